"""Sums of powers of deviations, in one read of the data.

The kernel knows the mean and the sum of squares; what skewness, kurtosis and other moments need
besides are sums more. They are in units of a power of two near the standard deviation, or near the
largest deviation, so that powers neither under- nor overflow.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.types import PyTree
from ..sample.arguments import Axes
from ..sums.layout import after, block_sums, choose, in_three
from ..sums.tree_sums import tree_sum
from .derivatives import deviations


@functools.partial(jax.custom_jvp, nondiff_argnums=(5, 6))
def power_sums(
    x: jax.Array,
    weights: Any,
    pivot: Array,
    offset: Array,
    unit: Any,
    axes: tuple[int, ...],
    orders: tuple[int, ...],
) -> list[jax.Array]:
    """Return Σwe^k over axes for each order k, with e = (x - mean) / unit.

    Args:
        x: real array.
        weights: None, bools or floats ≥ 0, of x's shape.
        pivot: the first word of the mean, with reduced axes kept or left out.
        offset: the second word.
        unit: a power of two.
        axes: the axes to reduce, non-negative and sorted.
        orders: at least two, the last one even: its sum is not negative.

    Returns:
        An array an order, without the reduced axes.
    """
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    data = [in_three(v, axes) for v in (x, weights) if v is not None]
    outer, _, inner = data[0].shape
    means = [v.reshape(outer, 1, inner) for v in (pivot, offset, unit)]

    def make(rows: list[jax.Array], sides: list[jax.Array]) -> list[jax.Array]:
        weight = None if weights is None else rows[1]
        return _terms(deviations(rows[0], weight, *sides, (3,)), weight, orders)

    parts: list[list[jax.Array]] = []
    for segment in choose(data[0].shape).segments:
        never = parts[-1][-1][:, -1:] < 0 if parts else None
        parts.append(block_sums(make, data, [after(m, never) for m in means], segment))
    if not parts:
        return [jnp.zeros(kept, offset.dtype) for _ in orders]
    sums = tree_sum([jnp.concatenate(p, axis=1) for p in zip(*parts, strict=True)])
    return [s.reshape(kept) for s in sums]


@power_sums.defjvp
def _rule(axes: Axes, orders: Any, primals: PyTree, tangents: PyTree) -> Any:
    # the same sums by ordinary operations: the deviations have a rule of their own
    def plain(x: Array, weights: Any, pivot: Array, offset: Array, unit: Any) -> Any:
        e = deviations(x, weights, *(_kept(v, x, axes) for v in (pivot, offset, unit)), axes)
        return [jnp.sum(term, axis=axes) for term in _terms(e, weights, orders)]

    return power_sums(*primals, axes, orders), jax.jvp(plain, primals, tangents)[1]


def _kept(v: jax.Array, x: jax.Array, axes: Axes) -> jax.Array:
    return v if v.ndim == x.ndim else jnp.expand_dims(v, axes)


def _terms(e: jax.Array, weights: Any, orders: tuple[int, ...]) -> list[jax.Array]:
    first = jnp.ones_like(e)
    if weights is not None and weights.dtype != np.bool_:
        first = jnp.where(weights != 0, weights, 0).astype(e.dtype)
    elif weights is not None:
        first = weights.astype(e.dtype)
    return [first * lax.integer_pow(e, k) for k in orders]
