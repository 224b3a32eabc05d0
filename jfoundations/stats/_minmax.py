"""The least and the greatest element.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> [int(v) for v in stats.minmax(jnp.array([3, 1, 2]))]
[1, 3]
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._kernels.moments.derivatives import extremes
from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
    Data,
    Nan,
    check,
    compiled,
    join,
)
from .._kernels.sample.weights import Weights


def minmax(
    x: ArrayLike,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> tuple[jax.Array, jax.Array]:
    """Return the least and the greatest element.

    Derivatives flow to the elements equal to them, which share equally.

    Args:
        x: real array of any shape.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: of any kind; weight 0 is deletion, other weights change nothing, negative ones give
            nan where x is floating.
        where: bools that broadcast against x; elements at False do not exist.
        nan: "propagate" gives nan where one counts, "omit" drops them.

    Returns:
        Two arrays in x's dtype. Over no elements: nan; for ints and bools, which have none, the
        dtype's largest and smallest value.

    Raises:
        TypeError: x holds no numbers that can be ordered.
        ValueError: shapes or axes do not fit.

    >>> [float(v) for v in minmax([4.0, 1.0, 18.0, 2.0])]
    [1.0, 18.0]
    """
    data, axes = check("minmax", {"x": x}, axis, weights, where, nan, real=ORDERED)
    return _minmax(data, axes, bool(keepdims), nan)


@compiled()
def _minmax(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> tuple[jax.Array, jax.Array]:
    (x,), counts = data.values, join(data, nan)
    if math.prod(x.shape[a] for a in axes) == 0:
        x = jnp.zeros(tuple(1 if a in axes else s for a, s in enumerate(x.shape)), x.dtype)
        counts = jnp.zeros(x.shape, bool)
    keep = None if counts is None else counts.astype(bool)  # nan counts, and spoils
    low, high = known(x, counts, axes, extremes(x, keep, axes))
    return (jnp.expand_dims(low, axes), jnp.expand_dims(high, axes)) if keepdims else (low, high)


def known(
    x: jax.Array, counts: jax.Array | None, axes: Axes, ends: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Return both ends, nan where nothing counts or a weight is nan."""
    if counts is None or not jnp.issubdtype(x.dtype, jnp.inexact):
        return ends
    none = ~jnp.any(counts.astype(bool), axis=axes) | jnp.any(counts != counts, axis=axes)
    low, high = (jnp.where(none, jnp.nan, v) for v in ends)
    return low, high
