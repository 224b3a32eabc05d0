"""Means and co-moments of the columns of a matrix in two words: what least squares are made of.

The products of a design whose columns are nearly dependent hold what matters in their last digits,
and one word does not keep them. Here deviations are cut into slices of few bits, so that a matrix
product of slices is exact, whatever order the machine adds in; the slices' products are added in
two words. Two memories are merged in two words too.

>>> import jax.numpy as jnp
>>> found = comoments(jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]]), None)
>>> print(in_units(found.products[0], found.units))
[[8. 4.]
 [4. 8.]]

Sources: Ozaki, Ogita, Oishi and Rump (2012), "Error-free transformations of matrix multiplication
by using fast routines of matrix multiplication and its applications"; Chan, Golub and LeVeque
(1983), "Algorithms for computing the sample variance", for the merge.
"""

import functools
from math import ceil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.types import PyTree
from ..numbers.two_words import (
    Pair,
    add,
    each,
    exact_words,
    multiply,
    over,
    two_product,
    two_sum,
)
from ..numbers.units import binary_unit, inverse_unit, unit_of
from ..sums.blocks import accumulator, counted, finite
from ..sums.tree_sums import tree_sum_pairs
from .products import gram

ROWS = 256  # in a product of slices; more of them leave fewer bits for each slice
BLOCKS, ROOM = 16, 2**20  # so many products are made at once, of at most so many numbers


class Comoments(NamedTuple):
    """Central sums of q columns.

    Attributes:
        weight: the sum of weights, a scalar in two words.
        units: for each column a power of two, (q,).
        means: in these units, (q,).
        products: Σw(x − mean)(y − mean) in these units, (q, q).
    """

    weight: Pair
    units: Array
    means: Pair
    products: Pair


def beside(x: Array, y: Array) -> Array:
    """Return two real matrices side by side: integers where both are, else the wider float."""
    kinds = {v.dtype if v.dtype.itemsize >= 4 else np.dtype(np.int32) for v in (x, y)}
    if len(kinds) > 1 or any(jnp.issubdtype(v.dtype, jnp.floating) for v in (x, y)):
        # of NumPy's promotion, since JAX's strict one refuses the question
        kinds = {functools.reduce(np.promote_types, (accumulator(v.dtype) for v in (x, y)))}
    (dtype,) = kinds
    return jnp.concatenate([v.astype(dtype) for v in (x, y)], axis=1)


@jax.custom_jvp
def comoments(x: Array, weights: Array | None) -> Comoments:
    """Return the co-moments of the columns of x.

    They are those of numbers that differ from x by less than 2**-7 of the rounding of the column's
    largest deviation, to about twice the digits of the dtype.

    Args:
        x: a real array (n, q) of at least 32 bits; integers are taken exactly.
        weights: None, bools (which rows count) or floats ≥ 0, (n,). A row of weight 0 may hold
            anything.
    """
    shown, pivot = x, finite(x[0]) if len(x) else jnp.zeros_like(x, shape=x.shape[1])
    if weights is not None:
        keep = counted(weights)
        shown = jnp.where(keep[:, None], x, jnp.zeros_like(x))
        # of a mask that a program holds as a constant the compiler would look for the largest
        if len(x):
            pivot = finite(shown[jnp.argmax(lax.optimization_barrier(keep))])
    weighted, weights = weights is not None, _floats(x, weights)
    values, start = (exact_words(v, weights.dtype) for v in (shown, pivot[None]))
    unit = unit_of(values[0], None, (0,))[0]
    inverse = inverse_unit(unit)
    values, start = (each(lambda v: v * inverse[None], v) for v in (values, start))
    # a row times the root of its weight, beside the root: their products are all the sums
    root = each(lambda v: v[:, None], _root(weights))
    rows = plus(values, minus(start))
    rows = multiply(root, rows) if weighted else rows
    joined = (jnp.concatenate(v, axis=1) for v in zip(root, rows, strict=True))
    sums = _products(two_sum(*joined))
    weight, first = each(lambda v: v[0, 0], sums), each(lambda v: v[0, 1:], sums)
    offset = over(first, weight)
    lost = outer(first, offset)
    products = plus(each(lambda v: v[1:, 1:], sums), minus(lost))
    means = plus(each(lambda v: v[0], start), offset)
    return Comoments(weight, unit, means, products)


@comoments.defjvp
def _rule(primals: PyTree, tangents: PyTree) -> tuple[Comoments, Comoments]:
    # dC = Σw(e dx + dx e) + Σdw e e: the means' own moves drop out, since Σwe = 0
    (x, weights), (move, weight_move) = primals, tangents
    out = comoments(x, weights)
    w = _floats(x, weights)
    keep = counted(w)[:, None]
    inverse = inverse_unit(out.units)
    whole = jnp.where(out.weight[0] > 0, out.weight[0], 1)
    e = jnp.where(keep, x.astype(w.dtype) * inverse[None], 0)
    e = (e - out.means[0][None]) - out.means[1][None]
    e = jnp.where(keep, e, 0)
    d = jnp.zeros_like(e)
    if move.dtype != jax.dtypes.float0:  # which integers have
        d = jnp.where(keep, move.astype(w.dtype), 0) * inverse[None]
    total, mean = jnp.zeros_like(whole), jnp.sum(w[:, None] * d, axis=0)
    one = gram(e, w[:, None] * d)
    products = one + one.T
    if weights is not None and jnp.issubdtype(weights.dtype, jnp.floating):
        by = jnp.where(keep[:, 0], weight_move, 0)[:, None]
        total, mean = jnp.sum(by), mean + jnp.sum(by * e, axis=0)
        products += gram(e, by * e)
    parts = (total, mean / whole, products)
    total, mean, products = ((v, jnp.zeros_like(v)) for v in parts)
    return out, Comoments(total, jnp.zeros_like(inverse), mean, products)


def merge(a: Comoments, b: Comoments) -> Comoments:
    """Join the co-moments of two parts; an empty part changes no number of the other."""
    units = jnp.maximum(a.units, b.units)
    a, b = (_with_units(m, units) for m in (a, b))
    weight = plus(a.weight, b.weight)
    gap, (high, low) = plus(b.means, minus(a.means)), over(b.weight, weight)
    alone = a.weight[0] == 0  # a quotient of equal numbers may be a rounding of one
    share = jnp.where(alone, 1, high), jnp.where(alone, 0, low)
    lever = multiply(a.weight, share)
    products = plus(plus(a.products, b.products), multiply(outer(gap, gap), lever))
    return Comoments(weight, units, plus(a.means, multiply(gap, share)), products)


def _with_units(m: Comoments, units: Array) -> Comoments:
    ratio = m.units / units
    means = each(lambda v: v * ratio, m.means)
    products = each(lambda v: in_units(v, ratio), m.products)
    return m._replace(units=units, means=means, products=products)


def in_units(matrix: Array, units: Array) -> Array:
    """Multiply rows and columns by powers of two."""
    return matrix * units[None] * units[:, None]


def plus(a: Pair, b: Pair) -> Pair:
    """Add, and bring the sum back to a number and what its rounding lost."""
    return two_sum(*add(a, b))


def minus(a: Pair) -> Pair:
    """Return what is to be added to subtract."""
    return -a[0], -a[1]


def outer(a: Pair, b: Pair) -> Pair:
    """Multiply each with each."""
    return multiply(each(lambda v: v[:, None], a), each(lambda v: v[None], b))


def _floats(x: Array, weights: Array | None) -> Array:
    dtype = accumulator(x.dtype)
    if weights is None:
        return jnp.ones_like(x, dtype, shape=len(x))
    return weights.astype(dtype)


def _root(weights: Array) -> Pair:
    # Newton's step is what one word lacks
    root = jnp.sqrt(weights)
    square, lost = two_product(root, root)
    rest = (weights - square) - lost
    return two_sum(root, rest / jnp.where(root > 0, 2 * root, 1))


def _products(z: Pair) -> Pair:
    """Return the sums of products of columns, (q, q): z is of shape (n, q)."""
    n, q = z[0].shape
    info = jnp.finfo(z[0].dtype)
    # ROWS products of two slices of so many bits add up to a whole number that a float holds
    bits = (info.nmant + 1 - (ROWS - 1).bit_length()) // 2
    count = ceil((info.nmant + 9) / bits)
    unit = 2 * binary_unit(jnp.max(jnp.abs(z[0]), axis=0, initial=0))
    inverse = inverse_unit(unit)
    blocks = max(1, ceil(n / ROWS))
    lanes = max(1, min(blocks, BLOCKS, ROOM // (count * q) ** 2))
    steps = ceil(blocks / lanes)
    falls = [0.5 ** (bits * (s + t + 2)) for s in range(count) for t in range(count)]
    falls = np.array(falls, info.dtype)[:, None]

    def cut(v: Array) -> Array:
        padded = jnp.pad(v * inverse[None], ((0, steps * lanes * ROWS - n), (0, 0)))
        return padded.reshape(steps, lanes, ROWS, q)

    def block(total: Pair, rows: Pair) -> tuple[Pair, None]:
        slices = _slices(rows, bits, count)  # (lanes, ROWS, count q)
        found = jnp.matmul(slices.mT, slices, precision=lax.Precision.HIGHEST)
        found = found.reshape(lanes, count, q, count, q).swapaxes(2, 3)
        terms = found.reshape(lanes, count * count, q * q) * falls[None]
        terms = terms.reshape(1, -1, q * q)
        ((high, low),) = tree_sum_pairs([(terms, jnp.zeros_like(terms))])
        return plus(total, (high.reshape(q, q), low.reshape(q, q))), None

    zero = jnp.zeros_like(z[0], shape=(q, q))
    total = lax.scan(block, (zero, zero), each(cut, z))[0]
    return each(lambda v: in_units(v, unit), total)


def _slices(rows: Pair, bits: int, count: int) -> Array:
    """Return whole numbers side by side, of which the k-th falls short by 2**-(k bits)."""
    high, low = rows
    slices = []
    for _ in range(count):
        high, low = high * 2.0**bits, low * 2.0**bits
        whole = lax.round(high, lax.RoundingMethod.TO_NEAREST_EVEN)
        high, low = two_sum(high - whole, low)
        slices.append(whole)
    return jnp.concatenate(slices, axis=-1)
