"""Many sums in one read of memory: the one place that is tuned to a compiler.

Arrays have three axes (outer, n, inner), of which the middle one is summed, or that one alone. XLA
fuses sums of one array on accelerators; on CPU it reads the array once for each, along rows number
by number. There one variadic ``lax.reduce`` over a few rows of neighbouring numbers is unrolled and
made of vectors, however many sums there are; what it leaves is summed plainly.

Measured on XLA:CPU (jax 0.10.2), a variance to ``jnp.sum`` and ``jnp.var`` to it: of 2**20 floats
1.2 and 2.1, of 2**24 1.4 and 2.4, of 10**8 1.5 and 2.3; of (10240, 2048) along rows 1.0 and 1.3, of
(102400, 512) 1.9 and 9.9.

>>> import jax.numpy as jnp
>>> [float(s) for s in one_read(lambda x: [x, x * x], [jnp.arange(6.0)], [])]
[15.0, 55.0]
"""

from collections.abc import Callable, Sequence
from math import ceil, log, prod

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..numbers.select import select

Make = Callable[..., Sequence[Array]]
Join = Callable[[Array, Array], Array]

ROWS = 16  # added in one loop: so many are unrolled, twice as many are not
SHORT = 64  # lines that are added one after another
LONG = 2**16  # so many numbers, if there is one row of them, are summed by trees
FAR = 2**25  # so many no cache holds: two by two they leave half as much to be written
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
    if len(data) == 1 and data[0].ndim == 1 and _terms(make, data, sides) == 1:
        return plainly(make, data, sides, joins)  # which every compiler does well
    return lax.platform_dependent(
        list(data),
        list(sides),
        cpu=lambda data, sides: by_rows(make, data, sides, joins),
        default=lambda data, sides: plainly(make, data, sides, joins),
    )


def _terms(make: Make, data: Sequence[Array], sides: Sequence[Array]) -> int:
    return len(jax.eval_shape(make, *data, *sides))


def plainly(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join] = ()
) -> list[Array]:
    """Reduce each term by itself, for compilers that fuse them; what `by_rows` is held to."""
    axis = axis_of(data[0])
    terms = make(*data, *(_spread(s, (axis,)) for s in sides))
    return _reduce(terms, joins, (axis,))


def by_rows(
    make: Make, data: Sequence[Array], sides: Sequence[Array], joins: Sequence[Join] = ()
) -> list[Array]:
    """Reduce all terms in one loop of vectors."""
    shape, axis = data[0].shape, axis_of(data[0])
    n, outer, inner = shape[axis], shape[:axis], shape[axis + 1 :]
    blocks, pairs, rows = cut(n, data[0].size // n)
    lines = n // (blocks * pairs * rows)
    whole = blocks * pairs * rows * lines

    def view(v: Array, i: int) -> Array:
        v = v if whole == n else lax.slice_in_dim(v, 0, whole, axis=axis)
        if pairs == 1:
            return lax.reshape(v, (*outer, blocks, rows, lines, *inner))
        v = lax.reshape(v, (*outer, blocks, pairs, rows, lines, *inner))
        return lax.index_in_dim(v, i, axis + 1, keepdims=False)

    spread = [_spread(s, (axis, axis + 1, axis + 2)) for s in sides]
    terms, *more = [make(*(view(v, i) for v in data), *spread) for i in range(pairs)]
    for others in more:
        ways = joins or [lax.add] * len(terms)
        terms = [join(a, b) for join, a, b in zip(ways, terms, others, strict=True)]
    alone = len(terms) == 1 and jnp.issubdtype(terms[0].dtype, jnp.floating)
    terms = [*terms, terms[0] * terms[0]] if alone else terms
    found = _together(terms, joins, axis + 1)
    if n >= LONG and not axis:  # a tree by itself
        found = _reduce(found, joins, (axis, axis + 1))
    else:
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
        found = _reduce(found, joins, (axis,))
    if alone:  # one sum by itself is not made of vectors: its square is kept, though nobody asks
        s, q = found
        found = [lax.select(q == q, s, lax.full_like(s, np.nan))]
    if whole < n:
        rest = [lax.slice_in_dim(v, whole, n, axis=axis) for v in data]
        ways = joins or [lax.add] * len(found)
        found = [
            j(a, b) for j, a, b in zip(ways, found, plainly(make, rest, sides, joins), strict=True)
        ]
    return found


def height(n: int, inner: int, outer: int = 1) -> int:
    """Return the most additions in a row that a number goes through.

    Compilers sum plainly by trees of which no node has more than 32 branches.
    """
    blocks, pairs, rows = cut(n, outer * inner)
    lines, levels = n // max(pairs * blocks * rows, 1), 0
    rows += pairs - 1
    if outer * inner == 1 and n >= LONG:
        return rows + 32 * ceil(log(blocks * lines, 32)) + 1
    while lines > SHORT:
        lines, levels = lines // ROWS + lines % ROWS, levels + 1
    return rows + levels * ROWS + lines + blocks + 1


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


def cut(n: int, others: int) -> tuple[int, int, int]:
    """Return into how many blocks n is cut, and how many rows of how many numbers a loop adds.

    A loop along a whole row of some dozens may be made of vectors, in another order for each number
    of terms: then var(x) would not be cov(x, x).

    Args:
        n: the length that is summed.
        others: the product of the other lengths.
    """
    blocks = BLOCKS if n >= 2**13 else 8 if n >= 2**10 else 1
    if n * others >= FAR and n >= 2**13:
        return blocks, 2, ROWS
    # a divisor leaves no odd rows
    divisors = (r for r in range(ROWS, ROWS // 2, -1) if n % (blocks * r) == 0)
    return blocks, 1, min(n, next(divisors, ROWS))


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
