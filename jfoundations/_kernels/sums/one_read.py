"""Many sums in one read of memory: the one place that is tuned to a compiler.

Arrays have three axes (outer, n, inner), of which the middle one is summed, or that one alone. XLA
fuses sums of one array on accelerators; on CPU it reads the array once for each, along rows number
by number. There one variadic ``lax.reduce`` over a few rows of neighbouring numbers is unrolled and
made of vectors, however many sums there are; what it leaves is summed plainly.

Sums of rows that leave the cache cost more than the data: much data are summed piece by piece.

Measured on XLA:CPU (jax 0.10.2) as multiples of ``jnp.sum``, and ``jnp.var`` to it: a variance, a
covariance (of two arrays) and `describe` of 2**20 floats 1.3, 2.5, 2.6 and 1.7, of 10**7 1.3, 4.2,
2.6 and 2.7, of 10**8 1.4, 3.1, 2.5 and 2.1; of (10**4, 2048) along rows 1.2, 5.0, 2.0 and 1.7; of
(10**5, 512) along columns 1.4, 2.8, 2.8 and 2.1 (`python tests/benchmarks/statistics.py much`).

>>> import jax.numpy as jnp
>>> [float(s) for s in one_read(lambda x: [x, x * x], [jnp.arange(6.0)], [])]
[15.0, 55.0]
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, gcd, log, prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.compat import vary_as
from ..numbers.select import select

Make = Callable[..., Sequence[Array]]
Join = Callable[[Array, Array], Array]

ROWS = 10  # added in one loop: so many are unrolled, of two arrays 12 are not
MANY = 16  # of much data: fewer would leave more than memory's allocator keeps at hand
SHORT = 64  # lines that are added one after another
LONG = 2**16  # so many numbers, if there is one row of them, are summed by trees
FAR = 3 * 2**22  # of so many numbers the sums of rows alone leave the cache
PIECE = 2**20  # so many are summed at a time, in lines of no less than
WIDE = 256
MOST = 256  # about the most pieces, which are added one after another
BLOCKS = 64  # so many parts that a sharded axis is cut where its shards are


def one_read(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join] = ()
) -> list[Array]:
    """Reduce over the summed axis what `make` makes of the data.

    Args:
        make: `(*data, *sides) -> terms`, arrays of the data's shape, computed element by element.
        data: arrays (outer, n, inner), or (n,), n > 0.
        sides: arrays (outer, inner), or (), which `make` sees spread over n.
        joins: for each term `lax.add`, `lax.min` or `lax.max`; by default they are added.

    Returns:
        An array (outer, inner), or (), for each term.
    """
    if len(data) == 1 and data[0].ndim == 1 and len(_terms(make, data, sides)) == 1:
        return plainly(make, data, sides, joins)  # which every compiler does well
    # a mask may differ from device to device where the data do not: all sums have one type
    data, sides = vary_as((list(data), list(sides)), (data, sides))
    return lax.platform_dependent(
        data,
        sides,
        cpu=lambda data, sides: _in_vectors(make, data, sides, joins),
        default=lambda data, sides: plainly(make, data, sides, joins),
    )


def _terms(
    make: Make, data: Sequence[Array], sides: Sequence[Array]
) -> Sequence[jax.ShapeDtypeStruct]:
    sides = [jax.eval_shape(partial(_spread, axes=(axis_of(data[0]),)), s) for s in sides]
    return jax.eval_shape(make, *data, *sides)


def plainly(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join] = ()
) -> list[Array]:
    """Reduce each term by itself, for compilers that fuse them; what `by_rows` is held to."""
    axis = axis_of(data[0])
    terms = make(*data, *(_spread(s, (axis,)) for s in sides))
    return _reduce(terms, joins, (axis,))


def _in_vectors(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join]
) -> list[Array]:
    term, *others = _terms(make, data, sides)
    if others or joins or not jnp.issubdtype(term.dtype, jnp.floating):
        return by_pieces(make, data, sides, joins)

    def both(*given: Array) -> list[Array]:
        (term,) = make(*given)
        return [term, term * term]

    # one sum by itself is not made of vectors: its square is kept, though nobody asks
    found, square = by_pieces(both, data, sides)
    return [select(square == square, found, np.nan)]


def by_pieces(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join] = ()
) -> list[Array]:
    """Reduce by rows; of much data piece by piece, so that what rows leave stays in cache."""
    axis, shape = axis_of(data[0]), data[0].shape
    n, outer, inner = shape[axis], shape[:axis], shape[axis + 1 :]
    blocks, pieces, rows, lines = pieces_of(n, prod(inner), prod(outer))
    if pieces == 1:
        return by_rows(make, data, sides, joins)
    each, step = n // blocks, rows * lines
    spread = [_spread(s, (axis, axis + 1, axis + 2)) for s in sides]
    # data that are cut before the loop would be copied
    views = [lax.reshape(v, (*outer, blocks, each, *inner)) for v in data]

    def sum_rows(start: Array) -> Sequence[Array]:
        some = [lax.dynamic_slice_in_dim(v, start, step, axis + 1) for v in views]
        some = [lax.reshape(v, (*outer, blocks, rows, lines, *inner)) for v in some]
        return _together(make(*some, *spread), joins, axis + 1)

    start = lax.full((), 0, np.uint32)
    kinds = jax.eval_shape(sum_rows, start)
    ways = joins or [lax.add] * len(kinds)
    sums = [lax.full(k.shape, _start(j, k), k.dtype) for j, k in zip(ways, kinds, strict=True)]
    _, sums = lax.while_loop(
        lambda state: state[0] < pieces * step,
        lambda state: (state[0] + step, _joined(ways, state[1], sum_rows(state[0]))),
        (start, vary_as(sums, kinds)),
    )
    found = _lines(sums, joins, axis)
    odd = each - pieces * step
    if not odd:
        return found
    rest = [lax.slice_in_dim(v, pieces * step, None, axis=axis + 1) for v in views]
    rest = [lax.reshape(v, (*outer, blocks * odd, *inner)) for v in rest]
    return _joined(ways, found, plainly(make, rest, sides, joins))


def by_rows(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join] = ()
) -> list[Array]:
    """Reduce all terms in one loop of vectors."""
    shape, axis = data[0].shape, axis_of(data[0])
    n, outer, inner = shape[axis], shape[:axis], shape[axis + 1 :]
    blocks, rows = cut(n, prod((*outer, *inner)))
    lines = n // (blocks * rows)
    whole = blocks * rows * lines

    def view(v: Array) -> Array:
        v = v if whole == n else lax.slice_in_dim(v, 0, whole, axis=axis)
        return lax.reshape(v, (*outer, blocks, rows, lines, *inner))

    terms = make(*map(view, data), *(_spread(s, (axis, axis + 1, axis + 2)) for s in sides))
    found = _lines(_together(terms, joins, axis + 1), joins, axis)
    if whole == n:
        return found
    rest = [lax.slice_in_dim(v, whole, n, axis=axis) for v in data]
    ways = joins or [lax.add] * len(found)
    return _joined(ways, found, plainly(make, rest, sides, joins))


def _lines(found: Sequence[Array], joins: Sequence[Join], axis: int) -> list[Array]:
    """Reduce what rows left, (outer, blocks, lines, inner)."""
    outer, (blocks, lines, *inner) = found[0].shape[:axis], found[0].shape[axis:]
    if blocks * lines >= LONG // MANY and not axis:  # a tree by itself
        return _reduce(found, joins, (axis, axis + 1))
    while lines > SHORT:
        lines, odd = divmod(lines, ROWS)
        some = (*outer, blocks, ROWS, lines, *inner)
        even = [lax.slice_in_dim(v, 0, ROWS * lines, axis=axis + 1) for v in found]
        even = _together([lax.reshape(v, some) for v in even], joins, axis + 1)
        rest = [v for v in found if odd]
        rest = [lax.slice_in_dim(v, ROWS * lines, None, axis=axis + 1) for v in rest]
        pairs = zip(even, rest or even, strict=True)
        found = [lax.concatenate(p, axis + 1) for p in pairs] if odd else even
        lines += odd
    # the barrier keeps sums of sums, which round less, from becoming one loop
    found = lax.optimization_barrier(_reduce(found, joins, (axis + 1,)))
    return _reduce(found, joins, (axis,))


def _joined(ways: Sequence[Join], a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
    return [join(v, w) for join, v, w in zip(ways, a, b, strict=True)]


def height(n: int, inner: int, outer: int = 1) -> int:
    """Return the most additions in a row that a number goes through.

    Compilers sum plainly by trees of which no node has more than 32 branches.
    """
    blocks, pieces, rows, lines = pieces_of(n, inner, outer)
    if outer * inner == 1 and blocks * lines >= LONG // MANY:
        return rows + pieces - 1 + 32 * ceil(log(blocks * lines, 32)) + 1
    levels = 0
    while lines > SHORT:
        lines, levels = lines // ROWS + lines % ROWS, levels + 1
    return rows + pieces - 1 + levels * ROWS + lines + blocks + 1


def ends(x: Array, keep: Array | None = None) -> list[Array]:
    """Return what `lax.min` and `lax.max` find the least and the greatest of."""
    if keep is None:
        return [x, x]
    return [select(keep, x, end) for end in bounds(x.dtype)]


def axis_of(x: Array) -> int:
    """Return which axis of an array is summed: the middle one, or the only one."""
    return x.ndim // 2


def _spread(side: Array, axes: tuple[int, ...]) -> Array:
    return lax.expand_dims(side, axes) if side.ndim else side


def pieces_of(n: int, inner: int, outer: int) -> tuple[int, int, int, int]:
    """Return into how many blocks, pieces, rows and lines n is cut; what is left is added plainly.

    A piece takes rows of each block, and blocks are whole in each shard of a sharded axis.
    """
    size, blocks = n * inner * outer, gcd(n, BLOCKS)
    rows = _rows(n // blocks)
    lines = n // blocks // (rows * min(size // PIECE, MOST)) if size >= FAR else 0
    pieces = n // max(blocks * rows * lines, 1)  # none of a block that is shorter than its rows
    if lines * inner >= WIDE and pieces > 1:
        return blocks, pieces, rows, lines
    blocks, rows = cut(n, inner * outer)
    return blocks, 1, rows, n // max(blocks * rows, 1)


def cut(n: int, others: int) -> tuple[int, int]:
    """Return into how many blocks n is cut, and how many rows a loop adds.

    A loop along a whole row of some dozens may be made of vectors, in another order for each number
    of terms: then var(x) would not be cov(x, x).

    Args:
        n: the length that is summed.
        others: the product of the other lengths.
    """
    blocks = BLOCKS if n >= 2**13 else 8 if n >= 2**10 else 1
    return blocks, min(n, MANY if n * others >= FAR else _rows(n // blocks))


def _rows(n: int) -> int:
    """Return a divisor of n near ROWS, which leaves no odd rows, if it has one."""
    return next((r for r in range(ROWS, ROWS // 2, -1) if n % r == 0), ROWS)


def _together(terms: Sequence[Array], joins: Sequence[Join], axis: int) -> Sequence[Array]:
    ways = joins or [lax.add] * len(terms)
    starts = tuple(_start(join, t) for join, t in zip(ways, terms, strict=True))

    def step(a: Sequence[Array], b: Sequence[Array]) -> tuple[Array, ...]:
        return tuple(join(x, y) for join, x, y in zip(ways, a, b, strict=True))

    return lax.reduce(tuple(terms), starts, step, (axis,))


def _reduce(terms: Sequence[Array], joins: Sequence[Join], axes: tuple[int, ...]) -> list[Array]:
    ways = joins or [lax.add] * len(terms)
    return [lax.reduce(t, _start(join, t), join, axes) for join, t in zip(ways, terms, strict=True)]


def _start(join: Join, term: Array) -> np.ndarray:
    """Return what changes nothing."""
    if join is lax.add:
        return np.zeros((), term.dtype)
    return bounds(term.dtype)[join is lax.max]


def bounds(dtype: DTypeLike) -> tuple[np.ndarray, np.ndarray]:
    """Return what changes no minimum, and what changes no maximum."""
    if dtype == np.bool_:
        return np.asarray(True), np.asarray(False)
    if jnp.issubdtype(dtype, jnp.inexact):
        return np.asarray(np.inf, dtype), np.asarray(-np.inf, dtype)
    info = jnp.iinfo(dtype)
    return np.asarray(info.max, dtype), np.asarray(info.min, dtype)


def in_three(x: Array, axes: tuple[int, ...], flat: bool = True) -> Array:
    """Return x as (outer, n, inner), the middle axis to be summed; if flat, all of it as (n,).

    Free where the axes, sorted, lie side by side; a transposition where they do not.
    """
    first = axes[0] if axes else x.ndim
    outer = list(range(first))
    inner = [a for a in range(first, x.ndim) if a not in axes]
    sizes = [prod(x.shape[a] for a in group) for group in (outer, axes, inner)]
    if flat and sizes[0] * sizes[2] == 1:
        return lax.reshape(x, (x.size,))
    order = (*outer, *axes, *inner)
    return lax.reshape(x if order == tuple(range(x.ndim)) else lax.transpose(x, order), sizes)
