"""Sums of products of deviations over rows, for whole matrices: `stats._matrix` divides them.

Rows are read once, in blocks that fit the cache: a block is shifted to about the mean and put in
units of a power of two, both found from a few rows, and multiplied with itself. With q the squares
about the shift and M2 about the mean, q / M2 is what the shift may have cost: where it is large,
the few rows misled, and mean and units are found from all of them.

>>> import jax.numpy as jnp
>>> found = central_products((jnp.array([[1.0, 2.0], [3.0, 6.0]]),), None)
>>> print(found.products * found.units[0].T * found.units[0])
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

from ..._core.types import PyTree
from ..numbers.units import binary_unit, inverse_unit
from ..sums.blocks import counted, difference, widen

WHOLE = 2**20  # numbers up to which all rows are one block
ROWS = 4096  # in a block of more: products of more are added up one after another, out of cache
LANES = 64  # stretches of rows that a block takes its rows from: those of a device stay on it
STRIP = 512  # columns; a strip is multiplied with itself and what is to its right
PROBES = 32  # rows that are looked at first
LOST_BITS = 4  # q / M2 above 2**LOST_BITS asks for a second read


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


class Sums(NamedTuple):
    """Sums over rows: of weights, of deviations, of squares (of two variables) and products."""

    total: Array
    firsts: list[Array]
    squares: list[Array]
    products: Array


class Products(NamedTuple):
    """Central sums; a leaf of one variable has the shape (1, columns).

    Attributes:
        total: the sum of weights, (1, 1).
        about: for each variable what its rows were shifted and divided by; it has no derivative.
        squares: for each variable the sums of squares, in its units.
        products: the sums of products (columns of x, columns of y or x), in their units; of one
            matrix exactly symmetric.
    """

    total: Array
    about: list[About]
    squares: list[Array]
    products: Array

    @property
    def units(self) -> list[Array]:
        """The variables' units."""
        return [inverse_unit(a.inverse) for a in self.about]


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
    if known is not None:
        return _central([known], _sums(values, weights, [known]))
    rows = _probes(values[0].shape[0], weights)
    seen = None if weights is None else _at(weights, rows)
    firsts = [_at(x, rows) for x in values]
    about = [_look(x, _finite(x[-1:]), seen, sharing) for x in firsts]
    sums = _sums(values, weights, about)

    def again() -> tuple[list[About], Sums]:
        better = [_look(x, a.pivot, weights, sharing) for x, a in zip(values, about, strict=True)]
        return better, _sums(values, weights, better)

    return _central(*lax.cond(_misled(about, sums), again, lambda: (about, sums)))


@central_products.defjvp
def _rule(sharing: int, primals: PyTree, tangents: PyTree) -> tuple[Products, Products]:
    # d C = sum w (ex dy + dx ey) + dw ex ey: the means' own moves drop out, since sum w e = 0
    (values, weights, known), (moves, weight_move, _) = primals, tangents
    out = central_products(values, weights, sharing, known)
    dtype = out.products.dtype
    e = [_centred(x, weights, a, out.total) for x, a in zip(values, out.about, strict=True)]
    d = [
        _shown(weights, _moved(m, dtype) * a.inverse)
        for m, a in zip(moves, out.about, strict=True)
    ]
    pulls = [_weigh(weights, m) for m in d]
    one = _gram(e[0], pulls[-1])
    products = one + (one.T if len(values) == 1 else _gram(pulls[0], e[-1]))
    squares = [2 * _column_sums(a * b) for a, b in zip(e, pulls, strict=True)]
    total = jnp.zeros_like(out.total)
    if weights is not None and weights.dtype != np.bool_:
        move = _shown(weights, weight_move)
        total = _column_sums(move)
        products += _gram(e[0] * move, e[-1])
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
    e = _deviations(widen(x), weights, lax.stop_gradient(about))
    return _shown(weights, e - _column_sums(_weigh(weights, e)) / jnp.maximum(total, 1))


def _probes(n: int, weights: Array | None) -> Array:
    """Return some rows that lie evenly over the data, and one that counts."""
    k = min(n, PROBES)
    rows = (np.arange(1, 2 * k, 2) * n // (2 * k)).astype(np.int32)
    if weights is None:
        return jnp.asarray(np.append(rows, rows[k // 2]))
    return jnp.append(rows, jnp.argmax(weights[:, 0]).astype(np.int32))


def _at(x: Array, rows: Array) -> Array:
    # of an array of rows, each device looks for those that lie on it
    return x.at[rows].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _finite(pivot: Array) -> Array:
    return jnp.where(jnp.isfinite(pivot), pivot, jnp.zeros_like(pivot))


def _look(x: Array, pivot: Array, weights: Array | None, sharing: int) -> About:
    """Return units of the largest deviations from a pivot, and the mean in them."""
    size = jnp.max(_shown(weights, jnp.abs(difference(x, pivot))), axis=0, keepdims=True)
    if sharing > 1:
        size = jnp.tile(jnp.max(size.reshape(sharing, 1, -1), axis=0), sharing)
    # numbers may be farther apart than any number is large
    inverse = inverse_unit(binary_unit(jnp.minimum(size, jnp.finfo(size.dtype).max)))
    e = _weigh(weights, _shown(weights, _scaled(x, pivot, inverse)))
    return About(pivot, inverse, _column_sums(e) / jnp.maximum(_total(weights, e), 1))


@jax.jit
def _sums(values: tuple[Array, ...], weights: Array | None, about: list[About]) -> Sums:
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
        e = [_deviations(x, weight, a) for x, a in zip(rows, about, strict=True)]
        pulls = [_weigh(weight, d) for d in e]
        pairs = zip(e, pulls, strict=True)
        squares = [_column_sums(a * b) for a, b in pairs] if len(e) == 2 else []
        products = _gram(pulls[0], e[1]) if len(e) == 2 else _upper(pulls[0], e[0])
        return Sums(_total(weight, e[0]), list(map(_column_sums, pulls)), squares, products)

    if steps == 1:
        return one(weights, values)
    # zeros that differ over the devices as sums do: an inverse is finite, whatever the data
    sides = [a.inverse * 0 for a in about]
    few = [] if len(about) == 1 else sides
    zeros = Sums(sides[0][:, :1], sides, few, sides[0].T + sides[-1])
    return lax.fori_loop(0, steps, lambda k, sums: jax.tree.map(jnp.add, sums, block(k)), zeros)


def _misled(about: list[About], sums: Sums) -> Array:
    """Tell whether a variable's digits were lost to what its rows were shifted or divided by."""
    whole = jnp.maximum(sums.total, 1)
    squares = sums.squares or [_diagonal(sums.products)]
    least = 2.0 ** -(jnp.finfo(whole.dtype).minexp + 6)  # the unit of rows without any spread
    flags = [
        (q > 2**LOST_BITS * (q - s * (s / whole)))
        | (q == jnp.inf)
        | ((q > 0) & (a.inverse >= least))
        for q, s, a in zip(squares, sums.firsts, about, strict=True)
    ]
    return jnp.any(jnp.concatenate(flags, axis=1))


def _central(about: list[About], sums: Sums) -> Products:
    # C = P - s t / W
    total, firsts, squares, products = sums
    firsts = [jnp.where(jnp.isfinite(s), s, jnp.nan) for s in firsts]  # no mean, no deviations
    means = [s / jnp.maximum(total, 1) for s in firsts]
    products -= firsts[0].T * means[-1]
    if squares:
        squares = [q - s * m for q, s, m in zip(squares, firsts, means, strict=True)]
        return Products(total, about, squares, products)
    products = mirrored(products)
    return Products(total, about, [_diagonal(products)], products)


def mirrored(matrix: Array) -> Array:
    """Return a matrix, symmetric (Hermitian) by what it has on and above the diagonal."""
    across, down = (lax.broadcasted_iota(np.int32, matrix.shape, k) for k in (1, 0))
    return jnp.where(across >= down, matrix, jnp.conj(matrix.T))


def _diagonal(matrix: Array) -> Array:
    across, down = (lax.broadcasted_iota(np.int32, matrix.shape, k) for k in (1, 0))
    return _column_sums(jnp.where(across == down, matrix, jnp.zeros_like(matrix)))


def _scaled(x: Array, pivot: Array, inverse: Array) -> Array:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x * inverse - pivot * inverse  # each is in range where their difference may not be
    return difference(x, pivot) * inverse


def _deviations(x: Array, weights: Array | None, about: About) -> Array:
    return _shown(weights, _scaled(x, about.pivot, about.inverse) - about.offset)


def _shown(weights: Array | None, x: Array) -> Array:
    """Return 0 where a row does not count: before any arithmetic, so that no nan gets further."""
    return x if weights is None else jnp.where(counted(weights), x, jnp.zeros_like(x))


def _weigh(weights: Array | None, e: Array) -> Array:
    return e if weights is None or weights.dtype == np.bool_ else weights * e


def _total(weights: Array | None, e: Array) -> Array:
    if weights is None:
        return jnp.full((1, 1), len(e), e.dtype)
    dtype = np.int32 if weights.dtype == np.bool_ else e.dtype
    return jnp.sum(weights, axis=0, keepdims=True, dtype=dtype).astype(e.dtype)


def _column_sums(a: Array) -> Array:
    return jnp.sum(a, axis=0, keepdims=True)


def _gram(a: Array, b: Array) -> Array:
    return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST)


def _upper(a: Array, b: Array) -> Array:
    """Multiply a matrix with itself, strip by strip: what is to the left of a strip stays 0."""
    rows = range(0, a.shape[1], STRIP)
    strips = [jnp.pad(_gram(a[:, i : i + STRIP], b[:, i:]), ((0, 0), (i, 0))) for i in rows]
    return jnp.concatenate(strips)
