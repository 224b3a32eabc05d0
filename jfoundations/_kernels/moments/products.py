"""Sums of products of deviations over rows, for whole matrices: `stats._matrix` divides them.

Rows are read once, in blocks that fit the cache: a block is shifted to about the mean and put in
units of a power of two, both found from a few rows, and multiplied with itself. With q the squares
about the shift and M2 about the mean, q / M2 is what the shift may have cost: where it is large,
the few rows misled, and mean and units are found from all of them.

>>> import jax.numpy as jnp
>>> found = central_products((jnp.array([[1.0, 2.0], [3.0, 6.0]]),), None)
>>> print(found.products * found.about[0].unit.T * found.about[0].unit)
[[2. 4.]
 [4. 8.]]
"""

from collections.abc import Sequence
from functools import partial
from math import ceil, gcd
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from ..._core.rounding import protect
from ..._core.types import PyTree
from ..numbers.select import select
from ..numbers.two_words import two_sum
from ..numbers.units import binary_unit, inverse_unit
from ..sample.arguments import accumulator
from ..sums.blocks import counted, difference, widen
from .central_sums import LOST_BITS

WHOLE = 2**20  # numbers up to which all rows are one block
ROWS = 4096  # in a block of more: products of more are added up one after another, out of cache
LANES = 64  # stretches of rows that a block takes its rows from: those of a device stay on it
STRIP = 512  # columns; a strip is multiplied with itself and what is to its right
PROBES = 32  # rows that are looked at first


class About(NamedTuple):
    """What the rows of a variable are shifted by and divided by: arrays of shape (1, columns).

    Attributes:
        pivot: values of the data, so that constants and exact translations stay exact.
        inverse: one over the units, which are powers of two.
        offset: what is left from the pivot to the mean, in units.
    """

    pivot: Array
    inverse: Array
    offset: Array

    @property
    def unit(self) -> Array:
        """The units."""
        return inverse_unit(self.inverse)


class Sums(NamedTuple):
    """Means of what is left of the rows, sums of squares (of two variables) and of products."""

    means: list[Array]
    squares: list[Array]
    products: Array


class Products(NamedTuple):
    """Central sums; a leaf of one variable has the shape (1, columns).

    Attributes:
        total: the sum of weights, (1, 1).
        about: for each variable what its rows were shifted and divided by; it has no derivative.
        squares: for each variable the sums of squares, in its units.
        products: the sums of products (columns of x, columns of y or x), in their units; of one
            matrix what is on and above the diagonal, see `mirrored`.
    """

    total: Array
    about: list[About]
    squares: list[Array]
    products: Array


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def central_products(
    values: tuple[Array, ...],
    weights: Array | None,
    sharing: int = 1,
    known: About | None = None,
) -> Products:
    """Sum products of one matrix with itself, or of two with one another.

    Args:
        values: one or two real arrays (n, columns) of one dtype, none of them empty.
        weights: None, bools (which rows count) or floats ≥ 0, (n, 1).
        sharing: how many equal parts of the columns share units: 2 for real and imaginary parts.
        known: means and units near the deviations of one matrix, where these are known: then rows
            are read once, whatever they hold.
    """
    values = tuple(map(widen, values))
    total = _total(weights, values[0])
    whole = total if weights is None else jnp.maximum(total, 1)
    if known is not None:
        return _central(total, [known], _sums(values, weights, whole, [known]))
    about = [_coarse(look(*_probed(x, weights), None, PROBES, sharing)) for x in values]
    sums = _sums(values, weights, whole, about)

    def again() -> tuple[list[About], Sums]:
        pairs = zip(values, about, strict=True)
        better = [look(x, a.pivot, weights, whole, sharing) for x, a in pairs]
        return better, _sums(values, weights, whole, better)

    misled = _misled(total, about, sums)
    return _central(total, *lax.cond(misled, again, lambda: (about, sums)))


@central_products.defjvp
def _rule(sharing: int, primals: PyTree, tangents: PyTree) -> tuple[Products, Products]:
    # d C = sum w (ex dy + dx ey) + dw ex ey: the means' own moves drop out, since sum w e = 0
    (values, weights, known), (moves, weight_move, _) = primals, tangents
    out = central_products(values, weights, sharing, known)
    dtype = out.products.dtype
    e = [_centred(x, weights, a, out.total) for x, a in zip(values, out.about, strict=True)]
    d = [
        _shown(weights, _moved(m, dtype) * a.inverse) for m, a in zip(moves, out.about, strict=True)
    ]
    pulls = [_weigh(weights, m) for m in d]
    one = gram(e[0], pulls[-1])
    products = one + (one.T if len(values) == 1 else gram(pulls[0], e[-1]))
    squares = [2 * _column_sums(a * b) for a, b in zip(e, pulls, strict=True)]
    total = jnp.zeros_like(out.total)
    if weights is not None and weights.dtype != np.bool_:
        move = _shown(weights, weight_move)
        total = _column_sums(move)
        products += gram(e[0] * move, e[-1])
        squares = [s + _column_sums(a * a * move) for s, a in zip(squares, e, strict=True)]
    return out, Products(total, jax.tree.map(_still, out.about), squares, products)


def _still(a: Array) -> Array | np.ndarray:
    floats = jnp.issubdtype(a.dtype, jnp.inexact)
    return jnp.zeros_like(a) if floats else np.zeros(a.shape, jax.dtypes.float0)


def _moved(move: Array, dtype: DTypeLike) -> Array:
    # integers do not move: their tangents are of no dtype to calculate with
    return jnp.zeros(move.shape, dtype) if move.dtype == jax.dtypes.float0 else move.astype(dtype)


def _centred(x: Array, weights: Array | None, about: About, total: Array) -> Array:
    """Return deviations from the mean by operations of which each has a derivative."""
    e = deviations(widen(x), weights, lax.stop_gradient(about))
    return _shown(weights, e - _column_sums(_weigh(weights, e)) / jnp.maximum(total, 1))


def _probed(x: Array, weights: Array | None) -> tuple[Array, Array]:
    """Return rows that lie evenly over the data, and a pivot: a row that counts."""

    def at(v: Array, rows: ArrayLike) -> Array:
        # of an array of rows, each device looks for those that lie on it
        return v.at[rows].get(mode="promise_in_bounds", wrap_negative_indices=False)

    rows = (np.arange(1, 2 * PROBES, 2) * len(x) // (2 * PROBES)).astype(np.int32)
    found = at(x, rows)
    if weights is None:
        pivot = found[PROBES // 2][None]
    else:
        pivot = at(x, jnp.argmax(weights, axis=0))
        found = jnp.where(counted(at(weights, rows)), found, pivot)
    return found, pivot


def look(x: Array, pivot: Array, weights: Array | None, total: ArrayLike, sharing: int) -> About:
    """Return units of the largest deviations from a pivot, and the mean in them."""
    d = _shown(weights, difference(x, pivot))
    size = jnp.max(jnp.abs(d), axis=0, keepdims=True)
    if sharing > 1:
        size = jnp.tile(jnp.max(size.reshape(sharing, 1, -1), axis=0), sharing)
    # numbers may be farther apart than any number is large: then the pivot is all there is
    inverse = inverse_unit(binary_unit(jnp.minimum(size, jnp.finfo(size.dtype).max)))
    mean = _column_sums(_weigh(weights, d * inverse)) / total
    return About(pivot, inverse, select(jnp.isfinite(mean), mean, 0))


def _coarse(about: About) -> About:
    # a mean of few digits: deviations have as many digits as the data, and their products are exact
    # where these are few, as large offsets leave them
    near = lax.round(about.offset * 16, lax.RoundingMethod.TO_NEAREST_EVEN)
    return about._replace(offset=near * (1 / 16))


@jax.jit
def _sums(
    values: tuple[Array, ...], weights: Array | None, whole: Array, about: list[About]
) -> Sums:
    """Sum deviations, their squares and products."""
    n = values[0].shape[0]
    lanes, steps = gcd(n, LANES), 1 if values[0].size <= WHOLE else ceil(n / ROWS)
    size = ceil(n // lanes / steps)

    def cut(v: Array, start: ArrayLike) -> Array:
        stretches = v.reshape(lanes, n // lanes, v.shape[1])
        place, shape = (0, start, 0), (lanes, size, v.shape[1])
        part = lax.dynamic_slice(stretches, place, shape, allow_negative_indices=False)
        return part.reshape(lanes * size, v.shape[1])

    def block(k: Array) -> Sums:
        # the last block begins early enough to be whole; rows seen before do not count again
        start = jnp.minimum(k * size, n // lanes - size)
        weight = None if weights is None else cut(weights, start)
        if n // lanes % size:
            new = jnp.tile(start + lax.iota(np.int32, size) >= k * size, lanes)[:, None]
            weight = new if weight is None else jnp.where(new, weight, jnp.zeros_like(weight))
        return one(weight, [cut(x, start) for x in values])

    def one(weight: Array | None, rows: Sequence[Array]) -> Sums:
        e = [deviations(x, weight, a) for x, a in zip(rows, about, strict=True)]
        pulls = [_weigh(weight, d) for d in e]
        pairs = zip(e, pulls, strict=True)
        squares = [_column_sums(a * b) for a, b in pairs] if len(e) == 2 else []
        products = gram(pulls[0], e[1]) if len(e) == 2 else _upper(pulls[0], e[0])
        return Sums(list(map(_column_sums, pulls)), squares, products)

    if steps == 1:
        sums = one(weights, values)
    else:
        # zeros that differ over the devices as sums do: an inverse is finite, whatever the data
        sides = [a.inverse * 0 for a in about]
        few = [] if len(about) == 1 else sides
        sums = Sums(sides, few, sides[0].T + sides[-1])
        sums = lax.fori_loop(0, steps, lambda k, both: _add(both, block(k)), (sums, sums))
        # an infinite sum leaves nan over
        sums = jax.tree.map(lambda a, b: a + jnp.where(jnp.isfinite(b), b, 0), *sums)
    means = [s / whole for s in sums.means]
    return sums._replace(means=[m + (m - m) for m in means])  # no mean, no deviations: nan


def _add(both: tuple[Sums, Sums], block: Sums) -> tuple[Sums, Sums]:
    """Add in two words: blocks may be many."""
    pairs = jax.tree.map(two_sum, both[0], block)
    high, low = jax.tree.transpose(jax.tree.structure(block), jax.tree.structure((0, 0)), pairs)
    return high, jax.tree.map(jnp.add, both[1], low)


def _misled(total: Array, about: list[About], sums: Sums) -> Array:
    """Tell whether a variable's digits were lost to what its rows were shifted or divided by."""
    squares = sums.squares or [_diagonal(sums.products)]
    least = 2.0 ** -(jnp.finfo(squares[0].dtype).minexp + 6)  # the unit of rows without any spread
    flags = [
        (q > 0) & (~(q < 2**LOST_BITS * (q - total * m * m)) | (a.inverse >= least))
        for q, m, a in zip(squares, sums.means, about, strict=True)
    ]
    return jnp.any(jnp.concatenate(flags, axis=1))


def _central(total: Array, about: list[About], sums: Sums) -> Products:
    # C = P - W mx my, rounded alike wherever it is asked for: r is 1 where three of them agree
    means, squares, products = sums
    products -= protect(total * means[0].T * means[-1])
    squares = [q - protect(total * m * m) for q, m in zip(squares, means, strict=False)]
    return Products(total, about, squares or [_diagonal(products)], products)


def correlations(xx: Array, yy: Array, xy: Array) -> Array:
    """Return xy / √xx / √yy in −1 … 1, ±1 where all three agree, nan of a constant.

    Args:
        xx: sums of squares, (p, 1).
        yy: the others', (1, q).
        xy: sums of products, (p, q).
    """
    info, size = jnp.finfo(xy.dtype), jnp.abs(xy)
    raw = xy / jnp.sqrt(jnp.maximum(xx, info.tiny)) / jnp.sqrt(jnp.maximum(yy, info.tiny))
    one = np.ones((), xy.dtype)
    value = select((size == xx) & (size == yy), jnp.sign(xy), lax.clamp(-one, raw, one))
    value += 0 / xx + 0 / yy  # 0 / 0 is nan
    return raw + lax.stop_gradient(value - raw)  # the value is clamped, its slope is not


def mirrored(matrix: Array) -> Array:
    """Return a matrix, symmetric (Hermitian) by what it has on and above the diagonal."""
    across, down = (lax.broadcasted_iota(np.int32, matrix.shape, k) for k in (1, 0))
    return jnp.where(across >= down, matrix, jnp.conj(matrix.T))


def _diagonal(matrix: Array) -> Array:
    across, down = (lax.broadcasted_iota(np.int32, matrix.shape, k) for k in (1, 0))
    return _column_sums(select(across == down, matrix, 0))


def deviations(x: Array, weights: Array | None, about: About) -> Array:
    """Return what is left of x, in units; 0 where a row does not count."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        # made smaller first: numbers may be farther apart than any number is large
        less, more = jnp.minimum(about.inverse, 1), jnp.maximum(about.inverse, 1)
        e = (x * less - about.pivot * less) * more
    else:
        e = difference(x, about.pivot) * about.inverse
    return _shown(weights, e - about.offset)


def _shown(weights: Array | None, x: Array) -> Array:
    """Return 0 where a row does not count: before any arithmetic, so that no nan gets further."""
    return x if weights is None else jnp.where(counted(weights), x, jnp.zeros_like(x))


def _weigh(weights: Array | None, e: Array) -> Array:
    return e if weights is None or weights.dtype == np.bool_ else weights * e


def _total(weights: Array | None, x: Array) -> Array:
    dtype = accumulator(x.dtype)
    if weights is None:
        return jnp.full((1, 1), len(x), dtype)
    wide = np.int32 if weights.dtype == np.bool_ else dtype
    return jnp.sum(weights, axis=0, keepdims=True, dtype=wide).astype(dtype)


def _column_sums(a: Array) -> Array:
    return jnp.sum(a, axis=0, keepdims=True)


def gram(a: Array, b: Array) -> Array:
    return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST)


def _upper(a: Array, b: Array) -> Array:
    """Multiply a matrix with itself, strip by strip: what is to the left of a strip stays 0."""
    zero = np.zeros((), a.dtype)
    rows = range(0, a.shape[1], STRIP)
    strips = [gram(a[:, i : i + STRIP], b[:, i:]) for i in rows]
    return jnp.concatenate(
        [lax.pad(s, zero, [(0, 0, 0), (i, 0, 0)]) for i, s in zip(rows, strips, strict=True)]
    )
