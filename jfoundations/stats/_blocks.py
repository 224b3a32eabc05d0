"""Sums over blocks of rows, each shifted by one of the block's own values, in one read of memory.

XLA:CPU does not fuse two reductions over one array, and a scalar reduction waits for each addition.
One variadic ``lax.reduce`` over four interleaved lanes does neither: it reads once and keeps four
chains of additions busy. Arrays here have three axes (outer, n, inner), of which the middle one is
summed.
"""

import itertools
from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._rounding import protect

# 4 sums and 4 sums of squares fit the 16 registers of x86; 8 lanes spill: 1.3 times slower.
LANES = 4
STEPS = 256  # additions in one chain: see choose


class Segment(NamedTuple):
    """Some blocks of rows from `start` on; in each, `fold` rows at a time are added in lanes."""

    start: int
    blocks: int
    rows: int
    fold: int

    @property
    def size(self) -> int:
        """Rows in one block."""
        return self.rows * self.fold

    @property
    def stop(self) -> int:
        """The row after the last."""
        return self.start + self.blocks * self.size


class Plan(NamedTuple):
    """How an array is cut into lanes and blocks, and whether it is summed in two words."""

    segments: tuple[Segment, ...]
    lanes: int
    corrected: bool


def choose(shape: tuple[int, int, int], accuracy: str = "default") -> Plan:
    """Choose lanes, blocks and passes by size and layout: the only place where that is decided.

    * Small arrays (up to 2**13 numbers) lie in the cache, and a call costs more than they do: they
      are summed once, in two words. That needs no ``lax.cond``, so it stays cheap under vmap, and
      leaves sums so exact that where= is deletion and an integer weight is repetition to the last
      bit. Large ones are read once, with the certificate.
    * Lanes are columns where there are some, else neighbouring rows: either way one step reads
      neighbouring numbers. Under 48 rows the sums of lanes would weigh more than the data
      (measured: 1M rows of 8).
    * A block is 256 steps: long enough that joining its sums costs little, short enough for its own
      rounding. (At 1,024, data whose digits end early, such as N(1e4, 1), round the same way so
      often that 5.8 digits were left; at 256, 6.7.) Wide rows take 64 steps: their blocks must fit
      the cache, since each of its lines is visited once for each four columns.
    * Measured on XLA:CPU alone; a GPU gets the same cut.
    """
    outer, n, inner = shape
    if inner < LANES:
        lanes = _lanes(n, n > 2048) * inner if n >= 48 else inner
    else:
        lanes = _lanes(inner, False)
    fold = max(1, lanes // max(1, inner))
    steps = STEPS if inner < 256 else STEPS // 4
    segments = _cut(n, fold, steps)
    return Plan(segments, max(1, lanes), accuracy == "high" or outer * n * inner <= 2**13)


def _lanes(n: int, long: bool) -> int:
    # four, or a near number that divides n and leaves no odd end; a long row can afford an odd end
    return LANES if long else next((k for k in (4, 5, 3, 6, 2) if n % k == 0), 1)


def _cut(n: int, fold: int, steps: int) -> tuple[Segment, ...]:
    # whole blocks, one shorter block, then the odd rows
    segments, start = [], 0
    for width, length in ((fold, steps), (fold, 0), (1, 0)):
        length = length or (n - start) // width
        blocks = (n - start) // (length * width) if length else 0
        if blocks:
            segments.append(Segment(start, blocks, length, width))
            start = segments[-1].stop
    return tuple(segments)


def accumulator(dtype):
    """The float in which sums of this dtype are kept."""
    if not jnp.issubdtype(dtype, jnp.floating):
        return jnp.result_type(float)
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)


def widen(x: Array) -> Array:
    if x.dtype.itemsize >= 4:
        return x
    return x.astype(jnp.float32 if jnp.issubdtype(x.dtype, jnp.floating) else jnp.int32)


def difference(x: Array, pivot: Array) -> Array:
    """Subtract, then round: integers exactly, also where the difference overflows their type."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x - pivot
    unsigned = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    a, b = x.astype(unsigned), pivot.astype(unsigned)
    dtype = accumulator(x.dtype)
    return jnp.where(x >= pivot, (a - b).astype(dtype), -(b - a).astype(dtype))


def _finite(pivot: Array) -> Array:
    return (
        jnp.where(jnp.isfinite(pivot), pivot, 0)
        if jnp.issubdtype(pivot.dtype, jnp.floating)
        else pivot
    )


def _median3(a: Array, b: Array, c: Array) -> Array:
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))


def first_valid(x: Array, weight: Array | None) -> Array:
    """Return each column's first value that counts, 0 if that is not finite: (outer, inner)."""
    if weight is None:
        return _finite(x[:, 0])
    outer, n, inner = x.shape
    size = min(n, 1024)

    def look(state):
        start, found, pivot = state
        seen, values = (lax.dynamic_slice_in_dim(v, start, size, 1) for v in (weight, x))
        seen = counted(seen)
        row = jnp.argmax(seen, axis=1)[:, None]
        here = jnp.take_along_axis(values, row, 1)[:, 0]
        has = jnp.any(seen, axis=1)
        return start + size, found | has, jnp.where(~found & has, here, pivot)

    none = jnp.zeros((outer, inner), bool)
    state = look((jnp.int32(0), none, jnp.zeros((outer, inner), x.dtype)))
    if size < n:
        state = lax.while_loop(lambda s: (s[0] < n) & ~jnp.all(s[1]), look, state)
    return _finite(state[2])


def heaviest(x: Array, weight: Array | None) -> Array:
    """Return each column's first value of the largest weight, 0 if not finite: (outer, inner)."""
    if weight is None:
        return _finite(x[:, 0])
    row = jnp.argmax(weight, axis=1)[:, None]
    return _finite(jnp.take_along_axis(x, row, 1)[:, 0])


def block_pivots(x: Array, weight: Array | None, fallback: Array, segment: Segment) -> Array:
    # The median of a block's first three values: itself a value, so constants and exact shifts stay
    # exact, and one outlier does not spoil it.
    def probe(i: int) -> Array:
        first = segment.start + i
        cut = lambda v: lax.slice_in_dim(v, first, segment.stop, segment.size, axis=1)  # noqa: E731
        if weight is None:
            return cut(x)
        return jnp.where(counted(cut(weight)), cut(x), fallback[:, None])

    return _finite(probe(0) if segment.size < 3 else _median3(probe(0), probe(1), probe(2)))


def sum_together(terms: list[Array], axis: int) -> list[Array]:
    """Sum arrays along an axis in one loop over memory, in its order, the same in every program."""
    add = lambda a, b: tuple(p + q for p, q in zip(a, b, strict=True))  # noqa: E731
    zeros = tuple(jnp.zeros((), t.dtype) for t in terms)
    return list(lax.reduce(tuple(terms), zeros, add, (axis,)))


def in_three(x: Array, axes: tuple[int, ...]) -> Array:
    """Return x as (outer, n, inner), of which the middle one is to be summed.

    Free where the axes, sorted, lie side by side; a transposition where they do not.
    """
    first = axes[0] if axes else x.ndim
    outer = list(range(first))
    inner = [a for a in range(first, x.ndim) if a not in axes]
    sizes = ([x.shape[a] for a in group] for group in (outer, axes, inner))
    return lax.reshape(lax.transpose(x, (*outer, *axes, *inner)), list(map(prod, sizes)))


def _deviate(values, pivots, shifts) -> list[Array]:
    # deviations from the pivot, or from (pivot + offset) in units of a power of two in the second
    # pass
    plain = [difference(x, k) for x, k in zip(values, pivots, strict=True)]
    if shifts is None:
        return plain
    return [
        protect(d * inverse) - offset for d, (inverse, offset) in zip(plain, shifts, strict=True)
    ]


def counted(weight: Array) -> Array:
    """Tell which elements count: a bool says so, a number is not 0."""
    return weight if weight.dtype == np.bool_ else weight != 0


def signed(weight: Array) -> Array:
    """Return weights as numbers to add: bools as integers, a negative weight as nan."""
    if weight.dtype == np.bool_:
        return weight.astype(jnp.int32)
    return jnp.where(weight < 0, jnp.nan, weight)


def _terms(values: Any, pivots: Any, weight: Any, shifts: Any) -> list[Array]:
    """Give what one pass adds up: the weight, deviations, squares, products."""
    # Weights are read as they are, lane by lane: a sanitised copy would cost more than the sums.
    e = _deviate(values, pivots, shifts)
    if weight is not None:
        e = [jnp.where(counted(weight), d, 0) for d in e]
    w = e
    if weight is not None and weight.dtype != np.bool_:
        w = [signed(weight) * d for d in e]
    products = [a * b for a, b in zip(w, e, strict=True)]
    if len(e) == 2:
        products += [w[0] * e[1]]
    return ([] if weight is None else [signed(weight)]) + w + products


def segment_sums(values, pivots, weight, shifts, segment: Segment, plan: Plan) -> list[Array]:
    """Sum each term over each block of a segment.

    Args:
        values: one or two arrays (outer, n, inner).
        pivots: for each, (outer, blocks or 1, inner).
        weight: None, bool or float, (outer, n, inner).
        shifts: None, or for each variable the inverse of its unit and its mean in that unit,
            (outer, 1, inner).
        segment: which rows.
        plan: how many neighbours are summed side by side.

    Returns:
        The count or weight (if given), first powers, squares, the product of a pair: shape
        (outer, blocks, inner).
    """
    inner = values[0].shape[2]
    width = min(inner, plan.lanes)  # columns that one step holds; lanes beyond are rows

    def split(v: Array) -> list[Array]:  # to lanes of (outer, blocks, rows, groups)
        v = lax.slice_in_dim(v, segment.start, segment.stop, axis=1)
        v = v.reshape(
            v.shape[0], segment.blocks, segment.rows, inner // width, segment.fold * width
        )
        return [v[..., k] for k in range(v.shape[-1])]

    def spread(v: Array) -> list[Array]:  # to lanes that broadcast over the rows of a block
        v = v.reshape(*v.shape[:2], 1, inner // width, width)
        return [v[..., k % width] for k in range(segment.fold * width)]

    xs, ks = zip(*map(split, values), strict=True), zip(*map(spread, pivots), strict=True)
    ws = itertools.repeat(None) if weight is None else split(weight)
    moves = itertools.repeat(None)
    if shifts is not None:
        moves = zip(*(zip(*map(spread, pair), strict=True) for pair in shifts), strict=True)
    lanes = zip(xs, ks, ws, moves, strict=False)
    terms = [_terms(*lane) for lane in lanes]
    sums = iter(sum_together([t for term in zip(*terms, strict=True) for t in term], 2))
    return [_gather(list(itertools.islice(sums, len(terms))), width) for _ in terms[0]]


def _gather(lanes: list[Array], width: int) -> Array:
    # lanes of (outer, blocks, groups) to (outer, blocks, inner); lanes that held rows of one column
    # are added
    folded = lanes[:width]
    for first in range(width, len(lanes), width):
        folded = [a + b for a, b in zip(folded, lanes[first : first + width], strict=True)]
    stacked = jnp.stack(folded, axis=-1)
    return stacked.reshape(*stacked.shape[:2], -1)
