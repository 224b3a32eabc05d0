"""The kernel under all moments: sums of products about a pivot, in a memory that merges.

A value of the data is subtracted first (the pivot), so nothing large cancels; the mean is kept as
two words, pivot and offset. Var is the product sum of a variable with itself and cov of two, so
that var(x) == cov(x, x) holds to the bit.

Sources: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"; Samuelson
(1968) bounds the condition number about any value of the data by √n.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._tree import pytree, static
from ._count import Count

Axes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


@pytree
class Moments:
    """First and second moments of some variables over the same elements.

    Attributes:
        count: how many elements.
        pivots: a value each variable's data were subtracted by, in the data's own dtype.
        offsets: mean minus pivot, so the mean is kept in two words.
        products: Σ (x_i − mean_i)·conj(x_j − mean_j) for every pair (i, j) asked for.
        pairs: the pairs.
    """

    count: Count
    pivots: tuple[jax.Array, ...]
    offsets: tuple[jax.Array, ...]
    products: tuple[jax.Array, ...]
    pairs: Pairs = static(default=())

    def mean(self, i: int = 0) -> jax.Array:
        """Return a variable's mean; nan over nothing."""
        mean = self.pivots[i].astype(self.offsets[i].dtype) + self.offsets[i]
        return jnp.where(self.count.positive(), mean, jnp.nan)

    def covariance(self, k: int = 0, correction: Any = 0) -> jax.Array:
        """Return a pair's product sum over count − correction; nan where that is not positive."""
        product = self.products[k]
        rest = self.count.astype(product.real.dtype) - correction
        return jnp.where(
            rest > 0, product / jnp.where(rest > 0, rest, 1).astype(product.dtype), jnp.nan
        )


def accumulator(dtype: Any) -> Any:
    """Return the dtype sums are kept in: default float for ints, float32 for half precision."""
    if not jnp.issubdtype(dtype, jnp.inexact):
        return jnp.result_type(float)
    return np.dtype(np.float32) if np.dtype(dtype).itemsize == 2 else np.dtype(dtype)


def prepare(x: jax.Array) -> jax.Array:
    """Return data in a dtype whose differences are exact or rounded once."""
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return x.astype(accumulator(x.dtype))
    return x.astype(np.int32) if x.dtype.itemsize < 4 else x


def difference(x: jax.Array, pivot: jax.Array) -> jax.Array:
    """Return x − pivot in the accumulator's dtype; of integers without overflow."""
    if jnp.issubdtype(x.dtype, jnp.inexact):
        return x - pivot
    unsigned = np.dtype(f"uint{8 * x.dtype.itemsize}")
    up = (x.astype(unsigned) - pivot.astype(unsigned)).astype(accumulator(x.dtype))
    down = (pivot.astype(unsigned) - x.astype(unsigned)).astype(accumulator(x.dtype))
    return jnp.where(x >= pivot, up, -down)


def rounded(a: jax.Array) -> jax.Array:
    """Return a product or quotient rounded by itself, never contracted with a sum.

    LLVM contracts a·b + c in one graph and not in another, and XLA makes a product of a quotient
    by a constant. A clamp stands in the way; `lax.reduce_precision` to the dtype's own precision
    and `lax.optimization_barrier` do not: they are gone before LLVM looks.
    """
    if jnp.iscomplexobj(a):
        return lax.complex(rounded(a.real), rounded(a.imag))
    top = jnp.asarray(jnp.finfo(a.dtype).max, a.dtype)
    return jnp.where(jnp.abs(a) <= top, jnp.clip(a, -top, top), a)


def round_product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return a·b rounded by itself, so that a·b is b·a in any graph."""
    return rounded(a * b)


def conjugate_product(a: jax.Array, b: jax.Array, same: bool) -> jax.Array:
    """Return a·conj(b), real where both are the same variable."""
    if not jnp.iscomplexobj(a) and not jnp.iscomplexobj(b):
        return round_product(a, b)
    real = round_product(a.real, b.real) + round_product(a.imag, b.imag)
    if same:
        return real
    imag = round_product(a.imag, b.real) - round_product(a.real, b.imag)
    return lax.complex(real, imag)


def moments(xs: tuple[jax.Array, ...], axes: Axes, pairs: Pairs) -> Moments:
    """Reduce arrays of one shape over some axes, which are dropped.

    Args:
        xs: the variables.
        axes: which axes to reduce, non-negative.
        pairs: whose products to sum.
    """
    data = [prepare(x) for x in xs]
    count = math.prod(xs[0].shape[a] for a in axes)
    if count == 0:
        shape = tuple(n for a, n in enumerate(xs[0].shape) if a not in axes)
        return empty(tuple(jax.ShapeDtypeStruct(shape, x.dtype) for x in xs), pairs)
    pivots = [_pivot(x, axes) for x in data]
    shifted = [difference(x, k) for x, k in zip(data, pivots, strict=True)]
    means = [rounded(jnp.sum(d, axis=axes, keepdims=True) / count) for d in shifted]
    rests = [d - m for d, m in zip(shifted, means, strict=True)]
    # The rests sum to what rounding left of zero: the correction of the second pass.
    sums = [jnp.sum(e, axis=axes, keepdims=True) for e in rests]
    products = [_product_sum(rests, sums, axes, pair, count) for pair in pairs]
    # An infinite mean has no rest: inf - inf would make it nan.
    offsets = [
        m + jnp.where(jnp.isfinite(m), s / count, 0) for m, s in zip(means, sums, strict=True)
    ]
    squeeze = lambda a: jnp.squeeze(a, axes)  # noqa: E731
    parts = (tuple(map(squeeze, part)) for part in (pivots, offsets, products))
    return Moments(Count.of(count), *parts, pairs=pairs)


def _pivot(x: jax.Array, axes: Axes) -> jax.Array:
    first = x[tuple(slice(0, 1) if a in axes else slice(None) for a in range(x.ndim))]
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return first
    return lax.stop_gradient(jnp.where(jnp.isfinite(first), first, 0))


def _product_sum(rests: Any, sums: Any, axes: Axes, pair: tuple[int, int], count: int) -> Any:
    i, j = pair
    total = jnp.sum(conjugate_product(rests[i], rests[j], i == j), axis=axes, keepdims=True)
    product = total - rounded(conjugate_product(sums[i], sums[j], i == j) / count)
    return jnp.maximum(product, 0) if i == j else product


def empty(likes: tuple[Any, ...], pairs: Pairs) -> Moments:
    """Return the moments of nothing, for elements like these: the identity of `merge`."""
    pivots = tuple(prepare(jnp.zeros(like.shape, like.dtype)) for like in likes)
    offsets = tuple(jnp.zeros(p.shape, accumulator(p.dtype)) for p in pivots)
    products = tuple(conjugate_product(offsets[i], offsets[j], i == j) for i, j in pairs)
    return Moments(Count.of(0), pivots, offsets, products, pairs)


def merge(a: Moments, b: Moments) -> Moments:
    """Join the moments of two parts of the data; an empty part changes no bit of the other."""
    count = a.count + b.count
    some_a, some_b = a.count.positive(), b.count.positive()
    gaps = [
        difference(kb, ka) + (db - da)
        for ka, kb, da, db in zip(a.pivots, b.pivots, a.offsets, b.offsets, strict=True)
    ]

    def pick(mine: Any, its: Any, joined: Any) -> Any:
        return jnp.where(some_b, jnp.where(some_a, joined, its), mine)

    def share(dtype: Any) -> tuple[Any, Any]:
        weight = b.count.astype(dtype) / jnp.maximum(count.astype(dtype), 1)
        return weight, a.count.astype(dtype) * weight

    pivots = tuple(pick(ka, kb, ka) for ka, kb in zip(a.pivots, b.pivots, strict=True))
    offsets = tuple(
        pick(da, db, da + gap * share(gap.real.dtype)[0].astype(gap.dtype))
        for da, db, gap in zip(a.offsets, b.offsets, gaps, strict=True)
    )
    products = tuple(
        pick(
            pa,
            pb,
            pa
            + pb
            + conjugate_product(gaps[i], gaps[j], i == j)
            * share(pa.real.dtype)[1].astype(pa.dtype),
        )
        for (i, j), pa, pb in zip(a.pairs, a.products, b.products, strict=True)
    )
    return Moments(count, pivots, offsets, products, a.pairs)
