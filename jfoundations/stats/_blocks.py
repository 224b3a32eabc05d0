"""Sums over blocks of rows, each shifted by one of the block's own values, in one read of memory.

XLA:CPU does not fuse two reductions over one array, and the loops it makes of one along rows are
scalar. One variadic ``lax.reduce`` over a few rows of neighbouring numbers is different: the rows
are unrolled, the neighbours become vectors, and however many sums there are, memory is read once.
Arrays here have three axes (outer, n, inner), of which the middle one is summed.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._rounding import protect

# Rows added in one loop. The compiler unrolls so many, whatever is summed of them, but not twice as
# many; fewer would leave more sums to be written down.
ROWS = 16
# Numbers in a line, if rows are short. Lines of a power of two would share a place in the cache.
LINE = 4080
GROUPS = 16  # such loops in a block of long rows: its pivot costs reading three rows again
# Numbers that one loop sums: what it writes down stays in the last cache, if the loops take turns.
CHUNK = 2**24


class Segment(NamedTuple):
    """Blocks of rows from `start` on: each has `groups` of `rows` lines of `fold` rows."""

    start: int
    blocks: int
    groups: int
    rows: int
    fold: int

    @property
    def size(self) -> int:
        """Rows in one block."""
        return self.groups * self.rows * self.fold

    @property
    def height(self) -> int:
        """Additions in a row that a number goes through."""
        return self.rows + self.groups + height_of(self.fold)

    @property
    def stop(self) -> int:
        """The row after the last."""
        return self.start + self.blocks * self.size


class Plan(NamedTuple):
    """How an array is cut into blocks, and whether it is summed in two words."""

    segments: tuple[Segment, ...]
    corrected: bool


def choose(shape: tuple[int, int, int], accuracy: str = "default") -> Plan:
    """Choose blocks and passes by size and layout: the only place where that is decided.

    * Small arrays (up to 2**13 numbers) lie in the cache, and a call costs more than they do: they
      are summed once, in two words. That needs no ``lax.cond``, so it stays cheap under vmap, and
      leaves sums so exact that where= is deletion and an integer weight is repetition to the last
      bit. Large ones are read once, with the certificate.
    * A row of eight numbers and more is a line, and 256 rows are a block.
    * Of shorter rows many are put side by side to make a line, and 16 lines are a block.
    * Measured on XLA:CPU alone; a GPU gets the same cut.
    """
    outer, n, inner = shape
    corrected = accuracy == "high" or outer * n * inner <= 2**13
    if inner >= 8:
        return Plan(_cut(n, GROUPS, 1, outer * inner), corrected)
    fold = max(1, min(LINE // max(1, inner), n // ROWS))
    return Plan(_cut(n, 1, fold, outer * inner), corrected)


def _cut(n: int, groups: int, fold: int, width: int) -> tuple[Segment, ...]:
    # whole blocks, one of fewer groups, one of shorter lines, then the odd rows
    segments: list[Segment] = []
    start, size = 0, groups * ROWS * fold
    most = max(1, CHUNK // (size * max(1, width)), n // (16 * size))
    while n - start >= size:
        segments.append(Segment(start, min(most, (n - start) // size), groups, ROWS, fold))
        start = segments[-1].stop
    for lines in (ROWS, 1):
        if count := (n - start) // lines:
            if fold == 1:
                made = (
                    Segment(start, 1, count, lines, 1)
                    if lines > 1
                    else Segment(start, 1, 1, count, 1)
                )
            else:
                made = Segment(start, 1, 1, lines, count)
            segments.append(made)
            start = made.stop
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
    # The median of a block's first, middle and last value: itself a value, so constants and exact
    # shifts stay exact; near the mean where data are sorted; and one outlier does not spoil it.
    def probe(i: int) -> Array:
        first = segment.start + i
        cut = lambda v: lax.slice_in_dim(v, first, segment.stop, segment.size, axis=1)  # noqa: E731
        if weight is None:
            return cut(x)
        return jnp.where(counted(cut(weight)), cut(x), fallback[:, None])

    last = segment.size - 1
    return _finite(probe(0) if last < 2 else _median3(probe(0), probe(last // 2), probe(last)))


def sum_together(terms: Sequence[Array], axis: int, joins: Sequence[Any] = ()) -> list[Array]:
    """Reduce arrays along an axis in one loop over memory, in its order, the same in every program.

    Args:
        terms: arrays of one shape.
        axis: which axis.
        joins: for each term an operation and what changes nothing under it; by default they are
            added.
    """
    joins = joins or [(lax.add, np.zeros((), t.dtype)) for t in terms]
    together = lambda a, b: tuple(f(p, q) for (f, _), p, q in zip(joins, a, b, strict=True))  # noqa: E731
    return list(lax.reduce(tuple(terms), tuple(zero for _, zero in joins), together, (axis,)))


def sum_levels(terms: Sequence[Array], joins: Sequence[Any] = ()) -> list[Array]:
    """Reduce arrays (outer, n, inner) along the middle axis, a few rows of many numbers a loop."""
    outer, n, inner = terms[0].shape
    while n > 1:
        rows = _split(n)
        n, odd = divmod(n, rows)
        lines = [t[:, : n * rows].reshape(outer, rows, n * inner) for t in terms]
        sums = [s.reshape(outer, n, inner) for s in sum_together(lines, 1, joins)]
        if odd:
            rest = [t[:, n * rows :] for t in terms]
            sums = [jnp.concatenate(pair, axis=1) for pair in zip(sums, rest, strict=True)]
        terms, n = sums, n + odd
    return [t[:, 0] for t in terms]


def _split(n: int) -> int:
    # a divisor leaves no odd rows; another loop would cost more than to add so few
    divisors = (r for r in range(ROWS, ROWS // 2, -1) if n % r == 0)
    return n if n <= 8 * ROWS else next(divisors, ROWS)


def height_of(n: int) -> int:
    """Return how many additions in a row `sum_levels` makes."""
    height = 0
    while n > 1:
        rows = _split(n)
        height += rows
        n = n // rows + n % rows
    return height


def after(side: Array, never: Array | None) -> Array:
    """Return what a loop reads, once another is done, of whose sums `never` is made: it is false.

    Loops that do not wait write their sums down side by side, and the memory that this takes is
    new at each call: that costs as much as reading the data.
    """
    return side if never is None else jnp.where(never, jnp.zeros_like(side), side)


def block_sums(
    make: Callable[[list[Array], list[Array]], Sequence[Array]],
    data: Sequence[Array],
    sides: Sequence[Array],
    segment: Segment,
    joins: Sequence[Any] = (),
) -> list[Array]:
    """Sum what `make` makes of the data over each block of a segment.

    Args:
        make: gives terms of the data's shape, of at least two variables: XLA:CPU treats the sum of
            one by itself otherwise, and badly.
        data: arrays (outer, n, inner).
        sides: what broadcasts over the rows of a block, such as its pivot: arrays
            (outer, blocks or 1, inner).
        segment: which rows.
        joins: as in `sum_together`.

    Returns:
        An array (outer, blocks, inner) for each term.
    """
    outer, _, inner = data[0].shape
    _, blocks, groups, rows, fold = segment

    def cut(v: Array) -> Array:
        v = lax.slice_in_dim(v, segment.start, segment.stop, axis=1)
        return v.reshape(outer, blocks, groups, rows, fold * inner)

    def spread(v: Array) -> Array:
        if inner > 1:  # written down, else each loop of a block makes it anew
            v = lax.optimization_barrier(jnp.tile(v, (1, 1, fold)))
        return v.reshape(v.shape[0], v.shape[1], 1, 1, v.shape[2])

    terms = make([cut(v) for v in data], [spread(v) for v in sides])
    terms = sum_together(terms, 3, joins)
    terms = sum_together(terms, 2, joins) if groups > 1 else [t[:, :, 0] for t in terms]
    terms = sum_levels([t.reshape(outer * blocks, fold, inner) for t in terms], joins)
    return [t.reshape(outer, blocks, inner) for t in terms]


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


def _terms(values: Any, pivots: Any, weight: Any, shifts: Any, zero: Array) -> list[Array]:
    """Give what one pass adds up: the weight, deviations, squares, products."""
    # Weights are read as they are, lane by lane: a sanitised copy would cost more than the sums.
    e = _deviate(values, pivots, shifts)
    if weight is not None:
        e = [jnp.where(counted(weight), d, 0) for d in e]
    w = e
    if weight is not None and weight.dtype != np.bool_:
        w = [signed(weight) * d for d in e]
    products = [a * b + zero for a, b in zip(w, e, strict=True)]
    if len(e) == 2:
        products += [w[0] * e[1] + zero]
    return ([] if weight is None else [signed(weight)]) + w + products


def segment_sums(values, pivots, weight, shifts, segment: Segment) -> list[Array]:
    """Sum weights, deviations, squares and products over each block of a segment.

    Args:
        values: one or two arrays (outer, n, inner).
        pivots: for each, (outer, blocks or 1, inner).
        weight: None, bool or float, (outer, n, inner).
        shifts: None, or for each variable the inverse of its unit and its mean in that unit,
            (outer, 1, inner).
        segment: which rows.

    Returns:
        The count or weight (if given), first powers, squares, the product of a pair: shape
        (outer, blocks, inner).
    """
    k = len(values)
    data = list(values) if weight is None else [*values, weight]
    moves = [] if shifts is None else [v for pair in shifts for v in pair]

    # Each product is added to a zero that no compiler knows to be one, so it is rounded by itself,
    # whatever it is added to then: var(x) is cov(x, x) in every program. (`protect` costs more.)
    zero = jnp.minimum(jnp.abs(pivots[0].astype(accumulator(values[0].dtype))), 0)

    def make(rows: list[Array], sides: list[Array]) -> list[Array]:
        moved = list(zip(sides[k:-1:2], sides[k + 1 :: 2], strict=True)) if moves else None
        return _terms(rows[:k], sides[:k], None if weight is None else rows[k], moved, sides[-1])

    return block_sums(make, data, [*pivots, *moves, zero], segment)
