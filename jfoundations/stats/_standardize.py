"""Data in units of their own spread.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.standardize(jnp.array([1.0, 3.0]))
Array([-1.,  1.], dtype=float32)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._kernels.moments.derivatives import shift
from .._kernels.moments.formulas import Call
from .._kernels.moments.moments import root
from .._kernels.numbers.units import unit_of
from .._kernels.sample.arguments import (
    REAL,
    Axes,
    Axis,
    Data,
    Nan,
    Numbers,
    accumulator,
    answer,
    check,
    compiled,
    scalar,
)
from .._kernels.sample.weights import Weights


def standardize(
    x: Numbers,
    *,
    axis: Axis = None,
    correction: ArrayLike = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return (x - mean) / std, of x's shape.

    The mean is subtracted in two words, so a translation that is exact changes no bit, and neither
    does a power of two. Where the standard deviation is 0, what equals the mean gives 0, as in
    scikit-learn (SciPy's `zscore` has nan).

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes over which mean and deviation are taken; all by default.
        correction: as in `std`.
        weights: as in `std`.
        where: a bool array that broadcasts against x: which elements mean and deviation are of.
            Elements that do not count (hidden, or of weight 0) are measured by those that do.
        nan: "propagate", or "omit" to leave nan out of mean and deviation; nan stays nan.

    Returns:
        An array of x's shape in its floating dtype; nan where std is nan. An element that does not
        count and differs from a constant of those that do is infinite.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> standardize(jnp.array([5.0, 5.0]))
    Array([0., 0.], dtype=float32)
    """
    data, axes = check("standardize", {"x": x}, axis, weights, where, nan, real=REAL)
    correction = scalar("standardize", "correction", correction)
    return _standardize(data, correction, axes=axes, keepdims=True, nan=nan)


@compiled()
def _standardize(
    data: Data, correction: ArrayLike, axes: Axes, keepdims: bool, nan: Nan
) -> jax.Array:
    call = Call.of(data, nan, axes, correction)
    (x,), _ = call.ranged(data.values, unit_of)
    if x.size == 0:
        return answer(jnp.zeros(x.shape, accumulator(x.dtype)), data, (), False)
    total, [(pivot, offset)], (m2,), (unit,) = call.memory((x,), 2)
    std = jnp.expand_dims(root(call.over(m2, total)), axes)
    pivot, offset, unit = (jnp.expand_dims(v, axes) for v in (pivot, offset, unit))
    flat = std == 0

    def measured(x: jax.Array) -> jax.Array:
        rest = (shift(x, pivot) - offset) / unit
        # 0 / 0 is 0 here, and any other x / 0 infinite; neither has a slope
        ends = lax.stop_gradient(jnp.where(rest == 0, 0, rest * jnp.inf))
        return jnp.where(flat, ends, rest / jnp.where(flat, 1, std))

    value = measured(x)
    if jnp.issubdtype(x.dtype, jnp.floating):
        # a nan that does not count stays one, and must not reach the derivatives of the others
        finite = jnp.isfinite(x)
        value = jnp.where(finite, measured(jnp.where(finite, x, 0)), lax.stop_gradient(value))
    return answer(value, data, (), False)
