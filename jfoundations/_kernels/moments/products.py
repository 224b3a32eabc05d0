"""Sums of products of deviations over rows, for whole matrices: `_matrix` divides them.

Rows are read once, in blocks that fit the cache: a block is shifted by a value of each column, put
in units of a power of two, and multiplied with itself, upper tiles only. No centred copy of the
data is written. The sums say how many digits the shift may have cost (see `certificate`); where
that is too many, or a square left the range of its type, the rows are read again about the mean.

>>> import jax.numpy as jnp
>>> found = central_products((jnp.array([[1.0, 2.0], [3.0, 6.0]]),), None)
>>> print(found.products * found.units[0].T * found.units[0])
[[2. 4.]
 [4. 8.]]
"""

from functools import partial, reduce
from itertools import pairwise
from math import ceil, sqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.rounding import divide
from ..numbers.units import inverse_unit
from ..sums.blocks import accumulator, counted, difference, in_units, widen
from ..sums.tree_sums import tree_sum
from .certificate import doubtful, out_of_range, product_over
from .derivatives import deviations, shift

BLOCK = 2**18  # numbers in a block: a megabyte of float32, which the second cache about holds
ROWS = 1024  # rows in a block at least: fewer, and adding up tiles costs more than reading rows
MOST_ROWS = 4096  # of two or three columns a product adds up all rows one after another
NARROW = 60  # columns up to which the lower half is cheaper to compute than to leave out


class Products(NamedTuple):
    """Central sums of products; a leaf of one variable has the shape (1, columns).

    Attributes:
        total: the sum of weights, (1, 1).
        pivots: first words of the means, values of the data.
        offsets: second words of the means.
        units: powers of two that the deviations were divided by.
        squares: for each variable the sums of squares, in its units.
        products: the sums of products (columns of x, columns of y or x), in their units.
    """

    total: Array
    pivots: list[Array]
    offsets: list[Array]
    units: list[Array]
    squares: list[Array]
    products: Array


class About(NamedTuple):
    """What rows are shifted by and divided by: for each variable arrays (1, columns).

    Attributes:
        pivots: values of the data; of integers whose mean is known, in the sums' float.
        offsets: what is left to the mean.
        units: powers of two.
    """

    pivots: list[Array]
    offsets: list[Array]
    units: list[Array]


class _Strip(NamedTuple):
    # neighbouring columns of a variable
    variable: int
    start: int
    stop: int

    def of(self, arrays: Any) -> Array:
        return arrays[self.variable][:, self.start : self.stop]


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
        known: the means and units near the deviations, where these are known: then rows are read
            once, whatever they hold.

    Returns:
        `Products`, of one matrix exactly symmetric.
    """
    n = values[0].shape[0]
    dtype = accumulator(values[0].dtype)
    total = _total(weights, n, dtype)
    if known is None:
        about, found = _searched(values, weights, sharing, total)
    else:
        about, found = known, _central(_sums(values, weights, known, _from_mean), weights, total)
    drifts = [d * u for d, u in zip(found.drifts, about.units, strict=True)]
    offsets = [o + d for o, d in zip(about.offsets, drifts, strict=True)]
    return Products(total, about.pivots, offsets, about.units, found.squares, found.products)


@central_products.defjvp
def _products_rule(sharing, primals, tangents):
    # d C = sum w (ex dy + dx ey) + dw ex ey: the means' own moves drop out, since sum w e = 0
    (values, weights, known), (moves, weight_move, _) = primals, tangents
    out = central_products(values, weights, sharing, known)
    keep = None if weights is None else counted(weights)

    def shown(v: Array) -> Array:
        return v if keep is None else jnp.where(keep, v, 0)

    floats = weights is not None and weights.dtype != np.bool_
    spreads = [
        deviations(x, weights, p, o, u, (0,))
        for x, p, o, u in zip(values, out.pivots, out.offsets, out.units, strict=True)
    ]
    dtype = out.total.dtype
    moves = [
        jnp.zeros(x.shape, dtype) if m.dtype == jax.dtypes.float0 else shown(m.astype(dtype)) / u
        for m, x, u in zip(moves, values, out.units, strict=True)
    ]
    pulls = [_weigh(weights, m) for m in moves] if weights is not None and floats else moves
    e, pull = spreads[0], pulls[0]
    f, push = spreads[-1], pulls[-1]
    one = _gram(e, push)
    d_products = one + (one.T if len(values) == 1 else _gram(pull, f))
    d_squares = [2 * _column_sums(s * p) for s, p in zip(spreads, pulls, strict=True)]
    d_total = jnp.zeros_like(out.total)
    if floats:
        d_weight = shown(weight_move.astype(dtype))
        d_total = _column_sums(d_weight)
        d_products += _gram(e * d_weight, f)
        d_squares = [
            d + _column_sums(s * s * d_weight) for d, s in zip(d_squares, spreads, strict=True)
        ]
    still = jax.tree.map(jnp.zeros_like, out)  # `deviations` has a rule of its own for the means
    return out, still._replace(total=d_total, squares=d_squares, products=d_products)


def _searched(
    values: Any, weights: Array | None, sharing: int, total: Array
) -> tuple[About, "_Central"]:
    """Sum about what a first look tells, and about the mean where that was not near enough."""
    about = _pilot(values, weights, sharing)
    found = _central(_sums(values, weights, about, _from_pivot), weights, total)

    def again(about: About, found: _Central) -> tuple[About, _Central]:
        about = _better(values, weights, about, found, sharing)
        return about, _central(_sums(values, weights, about, _from_pivot), weights, total)

    # nobody pays for a second read of memory that the data do not need
    lossy = _lossy(about, found)
    return lax.cond(lossy, again, lambda *given: given, about, found)


def _total(weights: Array | None, n: int, dtype: Any) -> Array:
    if weights is None:
        return jnp.full((1, 1), n, dtype)
    if weights.dtype == np.bool_:
        return jnp.sum(weights, axis=0, keepdims=True, dtype=np.int32).astype(dtype)
    return tree_sum([weights[None]])[0]


def _column_sums(a: Array) -> Array:
    return jnp.sum(a, axis=0, keepdims=True)


def _gram(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)


def _pilot(values: Any, weights: Array | None, sharing: int) -> About:
    """Choose pivots and units by nine rows that lie evenly over the data."""
    n = values[0].shape[0]
    rows = np.arange(1, 18, 2) * n // 18
    valid = None if weights is None else counted(weights)
    pivots, units = [], []
    for x in map(widen, values):
        probes = x[rows]
        if valid is not None:
            probes = jnp.where(valid[rows], probes, x[jnp.argmax(valid[:, 0])])
        # itself a value, so that constants and exact translations stay exact
        pivot = _middle([_middle(list(probes[k::3])) for k in range(3)])[None]
        pivot = jnp.where(jnp.isfinite(pivot), pivot, jnp.zeros_like(pivot))
        pivots.append(pivot)
        units.append(_unit(jnp.max(jnp.abs(difference(probes, pivot)), axis=0), sharing))
    return About(pivots, [jnp.zeros_like(u) for u in units], units)


def _middle(three: list[Array]) -> Array:
    a, b, c = three
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))


def _unit(size: Array, sharing: int) -> Array:
    """Return the power of two next to each column's size, 1 where that is 0 or nan."""
    # numbers may be farther apart than any number is large
    size = jnp.minimum(size, jnp.finfo(size.dtype).max)
    sizes = jnp.where(jnp.isnan(size), 0, size).reshape(sharing, -1)
    size = jnp.tile(jnp.max(sizes, axis=0), sharing)
    _, exponent = jnp.frexp(jnp.where(size > 0, size, 1))
    most = -np.finfo(size.dtype).minexp - 1  # the inverse must be a normal number too
    return jnp.ldexp(jnp.ones_like(size), jnp.clip(exponent, -most, most))[None]


def _lossy(about: About, found: "_Central") -> Array:
    means = [o + d for o, d in zip(about.offsets, found.drifts, strict=True)]
    each = zip(found.raw, found.squares, means, strict=True)
    return reduce(
        jnp.logical_or, [out_of_range([q], [m]) | doubtful([q], [s], [m]) for q, s, m in each]
    )


def _better(
    values: Any, weights: Array | None, about: About, found: "_Central", sharing: int
) -> About:
    """Move to the mean that was found, and to units that the largest deviation fits."""
    offsets, units = [], []
    for x, p, o, u, d in zip(values, *about, found.drifts, strict=True):
        offsets.append(o + jnp.where(jnp.isfinite(d), d * u, 0))  # an overflowed sum says nothing
        spread = jnp.abs(difference(widen(x), p) - offsets[-1])
        spread = spread if weights is None else jnp.where(counted(weights), spread, 0)
        units.append(_unit(jnp.max(spread, axis=0), sharing))
    return About(about.pivots, offsets, units)


class _Central(NamedTuple):
    # what remains of the means, squares about the shift and about the mean, products
    drifts: list[Array]
    raw: list[Array]
    squares: list[Array]
    products: Array


def _central(
    sums: tuple[list[Array], list[Array], Array], weights: Array | None, total: Array
) -> _Central:
    # C = P - s t / W, symmetric in the variables to the bit
    firsts, raw, products = sums
    firsts = [jnp.where(jnp.isfinite(s), s, jnp.nan) for s in firsts]  # no mean, no deviations
    whole = jnp.where(total == 0, 1, total)

    def less(a: Array, b: Array) -> Array:
        return product_over(a, b, total)

    drifts = [divide(s, whole) for s in firsts]
    squares = [q - less(s, s) for q, s in zip(raw, firsts, strict=True)]
    return _Central(drifts, raw, squares, products - less(firsts[0].T, firsts[-1]))


def _sums(
    values: Any, weights: Array | None, about: About, deviate: Any
) -> tuple[list[Array], list[Array], Array]:
    """Sum deviations, their squares and products over rows, block after block."""
    columns = [x.shape[1] for x in values]
    strips, pairs = _tiling(columns)
    n = values[0].shape[0]
    size = min(n, MOST_ROWS, max(ROWS, BLOCK // sum(columns)))

    def block(start: Any, size: int) -> tuple[list[Array], ...]:
        def cut(v: Array) -> Array:
            return lax.dynamic_slice_in_dim(v, start, size)

        parts = [cut(x) for x in values]
        weight = None if weights is None else cut(weights)
        e = [deviate(s.of(parts), weight, *map(s.of, about)) for s in strips]
        w = e if weight is None or weight.dtype == np.bool_ else [_weigh(weight, d) for d in e]
        squares = (
            [] if len(values) == 1 else [_column_sums(a * b) for a, b in zip(w, e, strict=True)]
        )
        return list(map(_column_sums, w)), squares, [_gram(w[i], e[j]) for i, j in pairs]

    # the first blocks, then the rows that are left, begin the sums: their types, too
    odd = n % size
    sums = block(0, size)
    if n >= 2 * size:

        def step(i: Array, sums: Any) -> Any:
            return jax.tree.map(jnp.add, sums, block(i * size, size))

        sums = lax.fori_loop(1, n // size, step, sums)
    if odd:
        sums = jax.tree.map(jnp.add, sums, block(n - odd, odd))
    firsts, squares, tiles = sums
    if len(values) == 2:
        return firsts, squares, tiles[0]
    products = _assemble(dict(zip(pairs, tiles, strict=True)), len(strips))
    return [jnp.concatenate(firsts, axis=1)], [jnp.diagonal(products)[None]], products


def _tiling(columns: list[int]) -> tuple[list[_Strip], list[tuple[int, int]]]:
    """Cut one matrix's columns into strips of which the upper pairs count; do not cut two."""
    if len(columns) == 2:
        return [_Strip(0, 0, columns[0]), _Strip(1, 0, columns[1])], [(0, 1)]
    k = ceil(sqrt(columns[0] / NARROW))  # wide for the matrix unit, narrow to leave out much
    edges = [columns[0] * i // k for i in range(k + 1)]
    strips = [_Strip(0, a, b) for a, b in pairwise(edges)]
    return strips, [(i, j) for i in range(k) for j in range(i, k)]


def _assemble(tiles: dict[tuple[int, int], Array], k: int) -> Array:
    """Mirror the upper tiles."""
    for i in range(k):
        tiles[i, i] = jnp.triu(tiles[i, i]) + jnp.triu(tiles[i, i], 1).T
    whole = [[tiles[i, j] if i <= j else tiles[j, i].T for j in range(k)] for i in range(k)]
    return jnp.concatenate([jnp.concatenate(row, axis=1) for row in whole])


def _from_pivot(x: Array, weight: Array | None, pivot: Array, offset: Array, unit: Array) -> Array:
    inverse = inverse_unit(unit)
    e = in_units(widen(x), pivot, inverse) - offset * inverse
    return e if weight is None else jnp.where(counted(weight), e, 0)


def _from_mean(x: Array, weight: Array | None, pivot: Array, offset: Array, unit: Array) -> Array:
    inverse = inverse_unit(unit)
    if jnp.issubdtype(x.dtype, jnp.floating):
        e = in_units(widen(x), pivot, inverse) - offset * inverse
    else:
        e = (shift(x, pivot) - offset) * inverse
    return e if weight is None else jnp.where(counted(weight), e, 0)


def _weigh(weight: Array, e: Array) -> Array:
    return jnp.where(weight != 0, weight * e, 0)
