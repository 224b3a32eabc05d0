"""The shape of a distribution: moments, skewness, kurtosis; and the mean's standard error.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> round(float(stats.skew(t)), 4), round(float(stats.kurtosis(t)), 4)
(1.0716, -0.7351)
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._kernels.moments.derivatives import deviations
from .._kernels.moments.formulas import Call, alike, call, of_shape
from .._kernels.moments.moments import times
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.sample.arguments import (
    REAL,
    Axes,
    Axis,
    Data,
    Nan,
    Numbers,
    answer,
    check,
    compiled,
    scalar,
)
from .._kernels.sample.weights import Weights


def moment(
    x: Numbers,
    order: int,
    *,
    center: ArrayLike | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return a central moment, Σw(x − mean)^order / W, or one about another center.

    See also `moments`, the value that formulas are made of.

    Args:
        x: real array of any shape; bool and int become the default float.
        order: a Python int ≥ 0.
        center: None for the mean; else a real number, 0 for raw moments.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; nan over no elements.

    Raises:
        TypeError: x holds no real numbers, or order is no int.
        ValueError: order is negative, or an axis is out of range or repeated.

    >>> float(moment([1.0, 2.0, 4.0, 18.0], 2))
    47.1875
    >>> float(moment([1.0, 2.0, 4.0, 18.0], 2, center=0.0))
    86.25
    """
    order = check_count(order, "order", "moment")
    data, axes = check("moment", {"x": x}, axis, weights, where, nan, real=REAL)
    if center is not None:
        center = scalar("moment", "center", center)
    return _moment(data, center, order=order, axes=axes, keepdims=bool(keepdims), nan=nan)


def skew(
    x: Numbers,
    *,
    axis: Axis = None,
    correction: Literal[0, 1] = 0,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the skewness m₃ / m₂^(3/2), biased as SciPy's default.

    Sums are in units of a power of two, so that nothing under- or overflows.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: 0, or 1 for the estimate that is unbiased for a normal distribution, nan where
            n is too small for it; n is that of `sem`.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; nan where x is constant or empty.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated, or correction is neither 0 nor 1.

    >>> float(skew([1.0, 2.0, 3.0]))
    0.0
    """
    options = {"weights": weights, "where": where, "nan": nan}
    return call("skew", {"x": x}, axis, keepdims, 0, options, of_shape("skew", correction))


def kurtosis(
    x: Numbers,
    *,
    axis: Axis = None,
    correction: Literal[0, 1] = 0,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the excess kurtosis m₄ / m₂² − 3, biased as SciPy's default; ≥ skew² − 2.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: 0, or 1 for the estimate that is unbiased for a normal distribution, nan where
            n is too small for it; n is that of `sem`.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; nan where x is constant or empty.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated, or correction is neither 0 nor 1.

    >>> float(kurtosis([-1.0, 1.0]))
    -2.0
    """
    options = {"weights": weights, "where": where, "nan": nan}
    return call("kurtosis", {"x": x}, axis, keepdims, 0, options, of_shape("kurtosis", correction))


def sem(
    x: Numbers,
    *,
    axis: Axis = None,
    correction: ArrayLike = 1,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the standard error of the mean, std / √n, with correction 1 as SciPy's.

    n is W for frequencies, the count for probabilities, Kish's W²/Σw² for reliabilities.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: as in `std`, but 1 by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `std`.
        where: as in `std`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; nan where n ≤ correction.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated.

    >>> round(float(sem([1.0, 2.0, 4.0, 18.0])), 4)
    3.966
    """
    options = {"weights": weights, "where": where, "nan": nan}
    return call("sem", {"x": x}, axis, keepdims, correction, options)


@compiled("order")
def _moment(
    data: Data, center: ArrayLike | None, order: int, axes: Axes, keepdims: bool, nan: Nan
) -> jax.Array:
    value = _about(Call.of(data, nan, axes), center, order)
    return answer(value, data, axes, keepdims)


def _about(call: Call, center: ArrayLike | None, order: int) -> jax.Array:
    (x,) = alike(call.data.values)
    found = call.moments((x,), 4 if center is None and order in (3, 4) else 2)
    if center is None and order in (2, 3, 4):
        return found.central(order)
    total, ((pivot, offset),), unit = found.weight, found.words, found.units[0]
    if center is not None:
        pivot, offset = jnp.full_like(pivot, center), jnp.zeros_like(offset)
    value = pivot + offset
    if order < 1 or (order == 1 and center is None):  # of nan and of infinities none is known
        value = value * 0 if order else jnp.ones_like(value)
    elif x.size:
        value = _power_mean(x, call, pivot, offset, unit, total, order)
    # the total is nan where a weight is, or is negative
    return jnp.where(total > 0, value, jnp.nan)


def _power_mean(
    x: jax.Array,
    call: Call,
    pivot: jax.Array,
    offset: jax.Array,
    unit: jax.Array | None,
    total: jax.Array,
    order: int,
) -> jax.Array:
    """Return Σw(x − pivot − offset)^order / W, summed in units of the largest deviation."""
    axes, weights = call.axes, call.weights
    one = jnp.ones_like(offset) if unit is None else unit
    words = (jnp.expand_dims(v, axes) for v in (pivot, offset, one))
    raw = deviations(x, weights, *words, axes)
    size = jnp.where(jnp.isfinite(raw), jnp.abs(lax.stop_gradient(raw)), 0)
    near = binary_unit(jnp.max(size, axis=axes, keepdims=True))
    power = lax.integer_pow(raw * inverse_unit(near), order)
    if weights is not None and weights.dtype != bool:
        power = jnp.where(weights != 0, power * weights, 0)
    value = jnp.sum(power, axis=axes) / jnp.where(total == 0, 1, total)
    return times(value, *[lax.squeeze(near, axes), unit] * order)
