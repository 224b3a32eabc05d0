"""Sums of products over the rows in which both variables of a pair are known, for all pairs.

Each variable is shifted to about the mean of what is known of it, and put in units; what is unknown
becomes 0, and what is known is a mask of ones. Products of these matrices are the counts, sums,
squares and products of every pair at once.

>>> import jax.numpy as jnp
>>> x = jnp.array([[1.0, 2.0], [3.0, jnp.nan], [5.0, 4.0]])
>>> found = pairwise_products((x,), (~jnp.isnan(x),), None)
>>> print(found.total)
[[3. 2.]
 [2. 2.]]
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..sample.arguments import accumulator
from ..sums.blocks import widen
from .products import deviations, gram, look, mirrored


class Pairs(NamedTuple):
    """Central sums of each pair, (columns of x, columns of y or x).

    Attributes:
        total: the sums of weights.
        trusted: the sums of squared weights; None without weights.
        rows: how many rows count.
        units: for each variable the powers of two that it is in, (1, columns).
        squares: the sums of x's squares, and of y's.
        products: the sums of products.
    """

    total: Array
    trusted: Array | None
    rows: Array
    units: list[Array]
    squares: tuple[Array, Array]
    products: Array


def pairwise_products(
    values: tuple[Array, ...], known: tuple[Array, ...], weights: Array | None
) -> Pairs:
    """Sum products of one matrix with itself, or of two with one another, over rows of both.

    An error is relative to the squares about the columns' means, not about the pair's: what is left
    of a variable in the rows of a pair is 0 where it is no more than the rounding of these.

    Args:
        values: one or two real arrays (n, columns) of one dtype, none of them empty.
        known: for each which elements there are, bools of its shape.
        weights: None, or floats ≥ 0, (n, 1).
    """
    values = tuple(map(widen, values))
    dtype = accumulator(values[0].dtype)
    each = []
    for x, keep in zip(values, known, strict=True):
        integers = not jnp.issubdtype(x.dtype, jnp.floating)
        largest = jnp.iinfo(x.dtype).max if integers else jnp.inf
        pivot = jnp.min(jnp.where(keep, x, np.asarray(largest, x.dtype)), axis=0, keepdims=True)
        pivot = jnp.where(jnp.isfinite(pivot), pivot, jnp.zeros_like(pivot))
        count = jnp.sum(keep, axis=0, keepdims=True, dtype=np.int32).astype(dtype)
        about = lax.stop_gradient(look(x, pivot, keep, jnp.maximum(count, 1), 1))
        each.append((keep.astype(dtype), deviations(x, keep, about), about.unit))
    (k, e, _), (m, f, _) = each[0], each[-1]
    w = jnp.ones((1, 1), dtype) if weights is None else weights
    one = len(values) == 1
    total, sums, raw = gram(w * k, m), gram(w * e, m), gram(w * e * e, m)
    sums += sums - sums  # no mean, no deviations: nan
    others, more = (sums.T, raw.T) if one else (gram(k, w * f), gram(k, w * f * f))
    others += others - others
    count = total if weights is None else gram(jnp.where(w > 0, k, 0), m)
    trusted = None if weights is None else gram(w * w * k, m)
    whole = jnp.where(total > 0, total, 1)
    noise = 4 * jnp.finfo(dtype).eps * jnp.sqrt(count)

    def central(q: Array, s: Array) -> Array:
        left = q - s * (s / whole)
        return jnp.where(left <= noise * q, jnp.zeros_like(left), left)

    products = gram(w * e, f) - sums * (others / whole)
    xx, yy = central(raw, sums), central(more, others)
    still = (xx == 0) | (yy == 0)
    products = jnp.where(still, jnp.zeros_like(products), products)
    if one:  # a variable with itself: summed in one order
        total, products = mirrored(total), mirrored(products)
        itself = jnp.eye(len(products), dtype=bool)
        xx, yy = (jnp.where(itself & (v > 0), products, v) for v in (xx, yy))
    return Pairs(total, trusted, count, [u for *_, u in each], (xx, yy), products)
