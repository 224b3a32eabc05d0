"""Many sums in one read of memory: loops of vectors, for arrays of three axes.

XLA:CPU does not fuse two reductions over one array, and the loops it makes of one along rows are
scalar. One variadic ``lax.reduce`` over a few rows of neighbouring numbers is different: the rows
are unrolled, the neighbours become vectors, and however many sums there are, memory is read once.
Arrays here have three axes (outer, n, inner), of which the middle one is summed: in lines of
neighbours, 16 of them a loop; what is left is summed in the same way until one number is left.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# Rows added in one loop. The compiler unrolls so many, whatever is summed of them, but not twice as
# many; fewer would leave more sums to be written down.
ROWS = 16
# Numbers in a line, if rows are short. Lines of a power of two would share a place in the cache.
LINE = 4080
GROUPS = 16  # such loops in a block of long rows: its pivot costs reading three rows again
# Numbers that one loop sums: what it writes down stays in the last cache, if the loops take turns.
CHUNK = 2**24
SMALL = 2**13  # so many numbers lie in the cache, and a call costs more than they do

TURN = 2**19  # of so many numbers, for each sum, a loop writes down, another takes its turn


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


class Turns(NamedTuple):
    """The outer axis as `pieces` times `turns` times `size`: each of `turns` turns takes a column.

    So an array that is sharded along that axis stays where it is.
    """

    pieces: int
    turns: int
    size: int

    def take(self, v: Array, turn: int) -> Array:
        """Return what one turn sees."""
        if self.turns == 1:
            return v
        rest = v.shape[1:]
        v = v.reshape(self.pieces, self.turns, self.size * prod(rest))[:, turn]
        return v.reshape(self.pieces * self.size, *rest)

    def join(self, parts: Sequence[Array]) -> Array:
        """Put what the turns made of their parts side by side again."""
        if self.turns == 1:
            return parts[0]
        rest = parts[0].shape[1:]
        cut = [p.reshape(self.pieces, 1, self.size * prod(rest)) for p in parts]
        return jnp.concatenate(cut, axis=1).reshape(-1, *rest)


def turns_of(shape: tuple[int, ...], segment: Segment) -> Turns:
    """Choose how many turns share a segment: what one loop over all would write down decides."""
    outer, _, inner = shape
    lines = segment.groups * segment.fold
    few = min(8, outer * inner * segment.blocks * lines // TURN) if lines > 1 else 1
    count = next((k for k in range(few, 1, -1) if outer % k == 0), 1)
    # pieces so long that memory is read in order
    least = -(-(2**14) // max(1, segment.size * inner))
    rows = outer // count
    size = next((r for r in range(least, 8 * least) if rows % r == 0), rows)
    return Turns(rows // max(1, size), count, size)


class Plan(NamedTuple):
    """How an array is cut into blocks, and whether it is summed in two words."""

    segments: tuple[Segment, ...]
    corrected: bool


def choose(shape: tuple[int, ...], accuracy: str = "default") -> Plan:
    """Choose blocks and passes by size and layout: the only place where that is decided.

    * `SMALL` arrays are summed once, in two words. That needs no ``lax.cond``, so it stays cheap
      under vmap, and leaves sums so exact that where= is deletion and an integer weight is
      repetition to the last bit. Large ones are read once, with the certificate.
    * A row of eight numbers and more is a line, and 256 rows are a block.
    * Of shorter rows many are put side by side to make a line, and 16 lines are a block.
    * Measured on XLA:CPU alone; a GPU gets the same cut.
    """
    outer, n, inner = shape
    corrected = accuracy == "high" or outer * n * inner <= SMALL
    if inner >= 8:
        return Plan(_cut(n, GROUPS, 1, outer * inner), corrected)
    fold = max(1, min(LINE // max(1, inner), n // ROWS))
    groups = _groups(fold, inner) if fold * inner < LINE else 1
    return Plan(_cut(n, groups, fold // groups, outer * inner), corrected)


def _groups(fold: int, inner: int) -> int:
    # short rows as lines of a few vectors each: they are read in order, not 16 of them far apart
    short = range(max(-(-8 // max(1, inner)), fold // GROUPS), fold)
    return fold // next((f for f in short if fold % f == 0), fold)


def _cut(n: int, groups: int, fold: int, width: int) -> tuple[Segment, ...]:
    # whole blocks, one of fewer groups, one of shorter lines, then the odd rows
    segments: list[Segment] = []
    start, size = 0, groups * ROWS * fold
    most = max(CHUNK // (size * max(1, width)), -(-n // (16 * size)), 1)
    while n - start >= size:
        segments.append(Segment(start, min(most, (n - start) // size), groups, ROWS, fold))
        start = segments[-1].stop
    if rest := (n - start) // ROWS:
        shape = (rest, ROWS, 1) if fold == 1 else (1, ROWS, rest)
        segments.append(Segment(start, 1, *shape))
        start = segments[-1].stop
    if odd := n - start:
        segments.append(Segment(start, 1, 1, odd, 1))
    return tuple(segments)


def sum_together(terms: Sequence[Array], axis: int, joins: Sequence[Any] = ()) -> list[Array]:
    """Reduce arrays along an axis in one loop over memory, in its order, the same in every program.

    Args:
        terms: arrays of one shape.
        axis: which axis.
        joins: for each term an operation and what changes nothing under it; by default they are
            added.
    """
    joins = joins or [(lax.add, np.zeros((), t.dtype)) for t in terms]

    def together(a: Any, b: Any) -> tuple[Any, ...]:
        return tuple(f(p, q) for (f, _), p, q in zip(joins, a, b, strict=True))

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
    turns = turns_of(data[0].shape, segment)
    parts: list[list[Array]] = []
    for i in range(turns.turns):
        some, beside = ([turns.take(v, i) for v in vs] for vs in (data, sides))
        if parts:
            done = parts[-1][-1][-1:, :1]
            beside[0] = after(beside[0], (done < 0) & (done > 0))
        parts.append(_block_sums(make, some, beside, segment, joins))
    return [turns.join(list(p)) for p in zip(*parts, strict=True)]


def _block_sums(make, data, sides, segment, joins) -> list[Array]:
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
