"""The least and the greatest element.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> [int(v) for v in stats.minmax(jnp.array([3, 1, 2]))]
[1, 3]
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
    Data,
    Nan,
    accumulator,
    check,
    compiled,
    join,
)
from .._kernels.sample.weights import Weights
from .._kernels.sums.layout import after, block_sums, choose, in_three, sum_together


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
def _minmax(data: Data, axes: Any, keepdims: Any, nan: Any) -> Any:
    (x,), counts = data.values, join(data, nan)
    keep = None if counts is None else counts.astype(bool)  # nan counts, and spoils
    if math.prod(x.shape[a] for a in axes) == 0:
        x = jnp.zeros(tuple(1 if a in axes else s for a, s in enumerate(x.shape)), x.dtype)
        counts = keep = jnp.zeros(x.shape, bool)
    reduce = _differentiable if jnp.issubdtype(x.dtype, jnp.inexact) else extremes
    low, high = reduce(x, keep, axes)
    if jnp.issubdtype(x.dtype, jnp.inexact) and keep is not None:
        none = ~jnp.any(keep, axis=axes) | jnp.any(counts != counts, axis=axes)
        low, high = (jnp.where(none, jnp.nan, v) for v in (low, high))
    return tuple(jnp.expand_dims(v, axes) if keepdims else v for v in (low, high))


def extremes(x: jax.Array, keep: Any, axes: Axes) -> tuple[jax.Array, jax.Array]:
    """Return the least and the greatest of what is kept, without the reduced axes."""
    # one reduction of pairs reads x once
    least, most = bounds(x.dtype)
    joins = [(lax.min, least), (lax.max, most)]
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    data = [in_three(v, axes) for v in (x, keep) if v is not None]

    def make(rows: list[jax.Array], sides: list[jax.Array]) -> list[jax.Array]:
        x = lax.min(rows[0], jnp.broadcast_to(sides[0], rows[0].shape))
        return [x if keep is None else jnp.where(rows[1], x, v) for v in (least, most)]

    parts, bound = [], jnp.full((data[0].shape[0], 1, data[0].shape[2]), least)
    for segment in choose(data[0].shape).segments:
        never = parts[-1][0][:, -1:] < most if parts and x.dtype != np.bool_ else None
        parts.append(block_sums(make, data, [after(bound, never)], segment, joins))
    blocks = [jnp.concatenate(p, axis=1) for p in zip(*parts, strict=True)]
    low, high = sum_together(blocks, 1, joins)
    return low.reshape(kept), high.reshape(kept)


_differentiable = jax.custom_jvp(extremes, nondiff_argnums=(2,))


@_differentiable.defjvp
def _tangents(axes: Any, primals: Any, tangents: Any) -> Any:
    (x, keep), tangent = primals, tangents[0]
    found = _differentiable(x, keep, axes)
    dtype = accumulator(x.dtype)

    def share(value: jax.Array) -> jax.Array:
        equal = x == jnp.expand_dims(value, axes)
        equal = equal if keep is None else equal & keep
        ties = jnp.sum(equal, axis=axes, dtype=dtype)
        total = jnp.sum(jnp.where(equal, tangent, 0).astype(dtype), axis=axes)
        return (total / jnp.maximum(ties, 1)).astype(x.dtype)

    return found, tuple(map(share, found))


def bounds(dtype: Any) -> tuple[Any, Any]:
    """Return what changes no minimum, and what changes no maximum."""
    if jnp.issubdtype(dtype, jnp.inexact):
        return np.array(np.inf, dtype), np.array(-np.inf, dtype)
    if dtype == np.bool_:
        return np.array(True), np.array(False)
    info = jnp.iinfo(dtype)
    return np.array(info.max, dtype), np.array(info.min, dtype)
