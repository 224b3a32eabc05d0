"""The elements at given ranks of rows: sorted, or on a CPU counted, with the same bits.

A long row is not sorted on a CPU. Its keys are counted by their leading 16 bits; the counts say in
which bin each rank lies; the keys of these bins are counted by their next 16 bits, and so on: two
reads for keys of 32 bits, however many ranks.

>>> import jax.numpy as jnp
>>> select(jnp.array([[4.0, 1.0, 2.0]]), None, jnp.array([[0, 2]])).tolist()
[[1.0, 4.0]]
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from ..._core.compat import vary, varying
from ..._core.types import PyTree
from ..numbers.sortable_bits import decode, encode, last_key
from ..sample.arguments import accumulator
from .counting import add, in_blocks, present

BINS = 1 << 16
SIDE_BY_SIDE = 16  # rows whose bins are held at once: those of a sharded axis stay where they are


def select(x: Array, counts: Array | None, ranks: ArrayLike) -> Array:
    """Return the elements at ranks of rows.

    Derivatives flow to the elements equal to the one selected; ties share them equally, an element
    that counts k times k-fold.

    Args:
        x: of shape (rows, n), n > 0; nan comes last.
        counts: how often each element is there: None, bools, or int32 ≥ 0, of x's shape.
        ranks: int32 of shape (rows, m), from 0 to the row's total count − 1.

    Returns:
        The elements, of x's dtype and shape (rows, m).
    """
    ranks = jnp.asarray(ranks, np.int32)
    ranks = jnp.broadcast_to(ranks, (x.shape[0], ranks.shape[1]))
    way = _differentiable if jnp.issubdtype(x.dtype, jnp.inexact) else _select
    return way(x, counts, ranks)


def _select(x: Array, counts: Array | None, ranks: Array) -> Array:
    if not _long(x.shape[1], ranks.shape[1]):
        return by_sorting(x, counts, ranks)
    return lax.platform_dependent(x, counts, ranks, cpu=by_counting, default=by_sorting)


def _long(n: int, m: int) -> bool:
    """Tell whether to count rather than sort, on a CPU.

    On XLA:CPU a counting pass takes about 2 ns an element, and its bins 0.1 ms a rank; sorting
    32-bit keys took 28 ns an element at 1e4 and 57 at 1e6, on one thread. Accelerators sort in
    parallel, and their scatters collide in a bin that many elements share.
    """
    return n >= max(1 << 15, m << 11) and m <= 33


def by_sorting(x: Array, counts: Array | None, ranks: Array) -> Array:
    """Return what `select` does, by sorting."""
    keys = encode(x)
    if counts is not None:
        keys = jnp.where(present(counts), keys, last_key(keys.dtype))
    if counts is None or counts.dtype == np.bool_:
        keys = jnp.sort(keys, axis=1, stable=False)
    else:
        keys, counts = lax.sort((keys, counts), num_keys=1)
        through = jnp.cumsum(counts, axis=1, dtype=counts.dtype)
        ranks = jnp.sum(through[:, None] <= ranks[:, :, None], axis=2, dtype=jnp.int32)
    return decode(jnp.take_along_axis(keys, ranks.astype(np.uint32), axis=1, mode="clip"), x.dtype)


def by_counting(x: Array, counts: Array | None, ranks: Array) -> Array:
    """Return what `select` does, by counting."""
    if x.shape[0] <= SIDE_BY_SIDE:
        return _side_by_side(x, counts, ranks)
    alone = jax.tree.map(lambda v: v[:, None], (x, counts, ranks))
    return lax.map(lambda row: _side_by_side(*row)[0], alone)


def _side_by_side(x: Array, counts: Array | None, ranks: Array) -> Array:
    (rows, m), key = ranks.shape, jax.eval_shape(encode, x).dtype
    sixteen = np.array(16, key)

    def digit(found: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        # how far the digit is from the last, the leading bits of each rank's key, its rank in those
        shift, prefix, rest = found

        def count(bins: Array, x: Array, counts: Array | None) -> Array:
            keys = encode(x) >> shift.astype(key)
            index = _slot(prefix, keys >> sixteen) * BINS + (keys & (BINS - 1)).astype(jnp.uint32)
            # the axis that may be sharded comes first, else each device would be sent all
            counts = None if counts is None else counts.T.reshape(-1)
            return add(bins, index.T.reshape(-1), counts)

        bins = in_blocks(count, jnp.zeros(rows * m * BINS, jnp.int32), x, counts)
        # by 256 groups of 256 bins: a cumulative sum over 65,536 takes as long as a pass over 1e6
        bins = bins.reshape(rows * m, 256, 256)
        mine = _slot(prefix, prefix).reshape(-1)  # ranks with one prefix share bins
        group, before = _walk(jnp.dot(bins, jnp.ones(256, jnp.int32))[mine], rest)
        place, within = _walk(bins[mine, group], rest - before)
        place = (group * 256 + place).astype(key).reshape(rows, m)
        return shift - 16, (prefix << sixteen) | place, rest - (before + within)

    ranks = vary(ranks, varying(x))
    start = jnp.int32(8 * key.itemsize - 16), jnp.zeros_like(ranks, key), ranks.reshape(-1)
    _, keys, _ = lax.while_loop(lambda found: found[0] >= 0, digit, start)
    return decode(keys, x.dtype)


def _slot(prefix: Array, keys: Array) -> Array:
    """Return for each key (rows, n) the first of all prefixes (rows, m) that it has, or rows·m."""
    shape = prefix.shape[1], *keys.shape
    same = lax.broadcast_in_dim(prefix.T, shape, (0, 1)) == lax.broadcast_in_dim(
        keys, shape, (1, 2)
    )
    slot = lax.broadcasted_iota(jnp.uint32, shape, 0)
    if len(prefix) > 1:
        slot = slot + lax.broadcasted_iota(jnp.uint32, shape, 1) * shape[0]
    return lax.reduce_min(lax.select(same, slot, lax.full_like(slot, prefix.size)), (0,))


@jax.jit  # in a program once, called twice
def _walk(bins: Array, rest: Array) -> tuple[Array, Array]:
    """Return the bin of (m, 256) that holds a rank, and how many come before it."""
    # sums by products, which are no code of their own
    earlier, later = (lax.broadcasted_iota(jnp.int32, (256, 256), k) for k in (0, 1))
    before = jnp.dot(bins, (earlier < later).astype(jnp.int32))
    below = (before <= rest[:, None]).astype(jnp.int32)
    none = np.int32(0), np.int32(0)
    number, before = lax.reduce((below, before * below), none, _count_and_most, (1,))
    return (number - 1).astype(jnp.uint32), before


def _count_and_most(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    return a[0] + b[0], lax.max(a[1], b[1])


_differentiable = jax.custom_jvp(_select)


@_differentiable.defjvp
def _tangents(primals: PyTree, tangents: PyTree) -> Any:
    x, counts, ranks = primals
    found = _differentiable(x, counts, ranks)
    dtype = accumulator(x.dtype)
    often = (x[:, None] == found[:, :, None]).astype(dtype)  # (rows, m, n)
    often = often if counts is None else often * counts[:, None].astype(dtype)
    # what is not selected may hold nan
    moved = jnp.sum(often * jnp.where(often > 0, tangents[0][:, None].astype(dtype), 0), axis=2)
    return found, (moved / jnp.maximum(jnp.sum(often, axis=2), 1)).astype(x.dtype)
