"""Order statistics: the k-th smallest of what counts, and the one after it, exact to the bit.

Two algorithms, one answer. Sorting keys is best for short and batched rows. A long row is counted
instead: a histogram of the leading 16 bits of the keys finds the bin that holds rank k, a second
one of the next 16 bits counts that bin's elements only, and so on; two passes for 32 bits.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.types import PyTree
from ..numbers.sortable_bits import decode, encode, last_key
from ..sample.arguments import accumulator
from .counting import add, in_blocks, present

BINS = 1 << 16
SIDE_BY_SIDE = 16  # rows whose bins are held at once: those of a sharded axis stay where they are


class Neighbours(NamedTuple):
    """The elements at ranks k and k + 1 of each row.

    Attributes:
        low: the k-th smallest, counted from 0, of shape (rows, ranks).
        high: the one after it, or the last.
        spoilt: whether a nan counts, of shape (rows,).
    """

    low: jax.Array
    high: jax.Array
    spoilt: jax.Array


def neighbours(x: jax.Array, counts: jax.Array | None, ranks: jax.Array) -> Neighbours:
    """Return the elements at `ranks` and at the next ranks.

    Derivatives flow to the elements equal to the one selected; ties share them equally, an element
    that counts k times k-fold.

    Args:
        x: of shape (rows, n), n > 0.
        counts: how often each element is there: None, bools, or int32 ≥ 0, of x's shape.
        ranks: int32 of shape (rows, m), from 0 to the row's total count − 1.
    """
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return _differentiable(x, counts, ranks)
    return _neighbours(x, counts, ranks)


def total(x: jax.Array, counts: jax.Array | None) -> jax.Array:
    """Return how many elements each row has, int32 of shape (rows,)."""
    if counts is None:
        return jnp.full(x.shape[:1], x.shape[1], jnp.int32)
    return jnp.sum(counts, axis=1, dtype=jnp.int32)


def _neighbours(x: jax.Array, counts: Any, ranks: jax.Array) -> Neighbours:
    if not _long(x.shape[1], ranks.shape[1]):
        return _by_sorting(x, counts, ranks)
    if x.shape[0] == 1:
        one = _by_counting(x[0], None if counts is None else counts[0], ranks[0])
        return Neighbours(*(part[None] for part in one))
    if x.shape[0] <= SIDE_BY_SIDE:
        return jax.vmap(_by_counting)(x, counts, ranks)
    return lax.map(lambda row: _by_counting(*row), (x, counts, ranks))


def _long(n: int, m: int) -> bool:
    """Tell whether to count rather than sort.

    On XLA:CPU a counting pass takes about 1 ns an element and 0.2 ms in all, and m ranks need
    1 + m of them; sorting 32-bit keys took 28 ns an element at 1e4 and 42 at 1e6, on one thread.
    Accelerators sort in parallel, and their scatters collide in a bin that many elements share.
    """
    return jax.default_backend() == "cpu" and n >= 1 << 15 and m <= 16


def _by_sorting(x: jax.Array, counts: Any, ranks: jax.Array) -> Neighbours:
    keys, end = encode(x), total(x, counts)[:, None] - 1
    ends = jnp.concatenate([ranks, jnp.minimum(ranks + 1, end), end], axis=1)
    ends = jnp.maximum(ends, 0)
    if counts is not None:
        keys = jnp.where(present(counts), keys, last_key(keys.dtype))
    if counts is None or counts.dtype == np.bool_:
        keys = jnp.sort(keys, axis=1)
    else:
        keys, counts = lax.sort((keys, counts), num_keys=1)
        ends = first_above(jnp.cumsum(counts, axis=1, dtype=counts.dtype), ends)
    found = decode(jnp.take_along_axis(keys, ends, axis=1), x.dtype)
    m = ranks.shape[1]
    return Neighbours(found[:, :m], found[:, m : 2 * m], _isnan(found[:, -1]))


def first_above(rising: jax.Array, levels: jax.Array) -> jax.Array:
    """Return where each rising row first exceeds its levels: the last place if it never does."""
    find = functools.partial(jnp.searchsorted, side="right")
    return jnp.minimum(jax.vmap(find)(rising, levels), rising.shape[1] - 1)


def _by_counting(x: jax.Array, counts: Any, ranks: jax.Array) -> Neighbours:
    """Return the neighbours of one row: x of shape (n,), ranks of shape (m,)."""
    leading = _histogram(x, counts, None, 0)
    end = jnp.sum(leading, dtype=jnp.int32) - 1
    # nan has the last key, and no number shares its 16 leading bits
    spoilt = leading[-1] > 0 if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.zeros((), bool)

    def find(rank: jax.Array) -> tuple[jax.Array, jax.Array]:
        bins, prefix, rest = leading, None, rank
        for digit in range(1, _digits(x)):
            place, rest, _ = _locate(bins, rest)
            prefix = _append(x, prefix, place)
            bins = _histogram(x, counts, prefix, digit)
        place, rest, here = _locate(bins, rest)
        key, near = (
            _append(x, prefix, place),
            jnp.where(rest + 1 < here, place, _after(bins, place)),
        )
        # all but always the next element shares the leading bits; else it is the least one above
        lonely = (near == BINS) & (rank < end)
        after = _append(x, prefix, jnp.where(near == BINS, place, near))
        return key, lax.cond(lonely, lambda: _next(x, counts, key), lambda: after)

    if ranks.shape[0] == 1:
        low, high = (key[None] for key in find(ranks[0]))
    else:
        low, high = lax.map(find, ranks)
    return Neighbours(decode(low, x.dtype), decode(high, x.dtype), spoilt)


def _histogram(x: jax.Array, counts: Any, prefix: Array | None, digit: int) -> jax.Array:
    """Count the keys that begin with `prefix` by their next 16 bits."""
    shift = 16 * (_digits(x) - 1 - digit)

    def step(bins: jax.Array, x: jax.Array, counts: Any) -> jax.Array:
        keys = encode(x)
        index = ((keys >> shift) & (BINS - 1)).astype(jnp.int32)
        if prefix is not None:
            index = jnp.where((keys >> (shift + 16)) == prefix, index, BINS)
        return add(bins, index, counts)

    return in_blocks(step, jnp.zeros(BINS, jnp.int32), x, counts)


def _locate(bins: jax.Array, rank: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the bin that holds a rank, the rank within it, and the bin's count."""
    # by 256 groups of 256 bins: a cumulative sum over 65,536 takes as long as a pass over 1e6
    groups = bins.reshape(256, 256)
    group, rest, _ = _walk(jnp.sum(groups, axis=1, dtype=jnp.int32), rank)
    place, rest, here = _walk(groups[group], rest)
    return group * 256 + place, rest, here


def _append(x: jax.Array, prefix: Array | None, place: jax.Array) -> jax.Array:
    place = place.astype(_key_dtype(x))
    return place if prefix is None else (prefix << 16) | place


def _after(bins: jax.Array, place: jax.Array) -> jax.Array:
    """Return the first bin after a place that is not empty, BINS if there is none."""
    index = lax.iota(jnp.int32, BINS)
    return jnp.min(jnp.where((index > place) & (bins > 0), index, BINS))


def _walk(bins: jax.Array, rank: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    through = jnp.cumsum(bins, dtype=bins.dtype)
    place = jnp.minimum(jnp.sum(through <= rank, dtype=jnp.int32), bins.shape[0] - 1)
    return place, rank - (through[place] - bins[place]), bins[place]


def _next(x: jax.Array, counts: Any, key: jax.Array) -> jax.Array:
    """Return the least counted key above `key`."""

    def step(least: jax.Array, x: jax.Array, counts: Any) -> jax.Array:
        keys = encode(x)
        above = keys > key if counts is None else (keys > key) & present(counts)
        return jnp.minimum(least, jnp.min(jnp.where(above, keys, last_key(keys.dtype))))

    return in_blocks(step, jnp.asarray(last_key(key.dtype)), x, counts)


def _key_dtype(x: jax.Array) -> Any:
    return jax.eval_shape(encode, x).dtype


def _digits(x: jax.Array) -> int:
    return _key_dtype(x).itemsize // 2


def _isnan(x: jax.Array) -> jax.Array:
    return jnp.isnan(x) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.zeros(x.shape, bool)


_differentiable = jax.custom_jvp(_neighbours)


@_differentiable.defjvp
def _tangents(primals: PyTree, tangents: PyTree) -> Any:
    x, counts, ranks = primals
    found = _differentiable(x, counts, ranks)
    share = jax.vmap(functools.partial(_share, x, counts, tangents[0]), in_axes=1, out_axes=1)
    none: Any = np.zeros(found.spoilt.shape, jax.dtypes.float0)
    return found, Neighbours(share(found.low), share(found.high), none)


def _share(x: jax.Array, counts: Any, tangent: jax.Array, value: jax.Array) -> jax.Array:
    """Return the mean tangent of the elements equal to each row's value."""
    equal = x == value[:, None]
    dtype = accumulator(x.dtype)
    often = equal.astype(dtype) * (1 if counts is None else counts.astype(dtype))
    often = often / jnp.maximum(jnp.sum(often, axis=1, keepdims=True), 1)
    # what is not selected may hold nan
    kept = jnp.where(often > 0, tangent, 0).astype(dtype)
    return jnp.sum(often * kept, axis=1).astype(x.dtype)
