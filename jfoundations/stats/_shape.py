"""The shape of a distribution: central moments, skewness, kurtosis; and the mean's standard error.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> round(float(stats.skew(t)), 4), round(float(stats.kurtosis(t)), 4)
(1.0716, -0.7351)
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._tree import check_count
from ._arguments import Axes, Axis, Data, Nan, answer, check, join
from ._blocks import counted
from ._forms import Call, alike, root
from ._gradients import deviations
from ._weights import Frequency, Probability


def moment(
    x: Any,
    order: int,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return a central moment, Σw(x − mean)^order / W.

    Args:
        x: real array of any shape; bool and int become the default float.
        order: a Python int ≥ 0.
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
    """
    order = check_count(order, "order", "moment")
    data, axes = _checked("moment", x, axis, weights, where, nan)
    return _moment(data, order=order, axes=axes, keepdims=bool(keepdims), nan=nan)


def skew(
    x: Any,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the skewness m₃ / m₂^(3/2), biased, as SciPy's default.

    Sums are in units of a power of two, so that nothing under- or overflows.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; nan where x is constant or empty.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated.

    >>> float(skew([1.0, 2.0, 3.0]))
    0.0
    """
    data, axes = _checked("skew", x, axis, weights, where, nan)
    return _skew(data, axes=axes, keepdims=bool(keepdims), nan=nan)


def kurtosis(
    x: Any,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the excess kurtosis m₄ / m₂² − 3, biased, as SciPy's default; ≥ skew² − 2.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; nan where x is constant or empty.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated.

    >>> float(kurtosis([-1.0, 1.0]))
    -2.0
    """
    data, axes = _checked("kurtosis", x, axis, weights, where, nan)
    return _kurtosis(data, axes=axes, keepdims=bool(keepdims), nan=nan)


def sem(
    x: Any,
    *,
    axis: Axis = None,
    correction: Any = 1,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
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
    data, axes = _checked("sem", x, axis, weights, where, nan)
    return _sem(data, correction, axes=axes, keepdims=bool(keepdims), nan=nan)


def _checked(who: str, x: Any, axis: Axis, weights: Any, where: Any, nan: Nan) -> tuple[Data, Axes]:
    return check(who, {"x": x}, axis, weights, where, nan, ordered=True)


_compiled = functools.partial(jax.jit, static_argnames=("axes", "keepdims", "nan"))


class _Powers:
    """Deviations from the mean in units of a power of two, and averages of their powers."""

    def __init__(self, data: Data, axes: Axes, nan: Nan):
        call = Call(data, join(data, nan), axes, 0, "default")
        (x,) = alike(data.values)
        self.axes, self.weights = axes, call.weights
        self.total, [(pivot, offset)], _, _ = call.memory(data.values, 1)
        rest = deviations(x, call.weights, pivot, offset, jnp.ones_like(offset), axes)
        size = jnp.max(jnp.abs(lax.stop_gradient(rest)), axis=axes, keepdims=True, initial=0)
        _, exponent = jnp.frexp(jnp.where(jnp.isfinite(size), size, 1))
        half = exponent // 2  # in two steps: one factor alone may overflow
        one = jnp.ones_like(size)
        self.unit = (jnp.ldexp(one, half), jnp.ldexp(one, exponent - half))
        self.rest = rest / self.unit[0] / self.unit[1]

    def average(self, order: int) -> jax.Array:
        """Return Σw e^order / W in these units; nan over nothing."""
        power = self.rest**order
        if self.weights is not None:
            keep = counted(self.weights)
            power = jnp.where(keep, power, 0)
        if self.weights is not None and self.weights.dtype != np.bool_:
            power = jnp.where(self.weights != 0, self.weights, 0) * power
        whole = jnp.where(self.total == 0, 1, self.total)
        mean = jnp.sum(power, axis=self.axes, keepdims=True) / whole
        return jnp.where(self.total == 0, jnp.nan, mean)


@functools.partial(jax.jit, static_argnames=("order", "axes", "keepdims", "nan"))
def _moment(data: Data, order: int, axes: Axes, keepdims: bool, nan: Any) -> jax.Array:
    powers = _Powers(data, axes, nan)
    value = powers.average(order)
    for unit in powers.unit:
        value = value * unit**order
    return _out(value, data, axes, keepdims)


@_compiled
def _skew(data: Data, axes: Axes, keepdims: bool, nan: Any) -> jax.Array:
    powers = _Powers(data, axes, nan)
    second = powers.average(2)
    varied = second > 0
    value = powers.average(3) / jnp.where(varied, second, 1) / root(jnp.where(varied, second, 1))
    return _out(jnp.where(varied, value, jnp.nan), data, axes, keepdims)


@_compiled
def _kurtosis(data: Data, axes: Axes, keepdims: bool, nan: Any) -> jax.Array:
    powers = _Powers(data, axes, nan)
    second = powers.average(2)
    varied = second > 0
    value = powers.average(4) / jnp.where(varied, second, 1) / jnp.where(varied, second, 1) - 3
    return _out(jnp.where(varied, value, jnp.nan), data, axes, keepdims)


@_compiled
def _sem(data: Data, correction: Any, axes: Axes, keepdims: bool, nan: Any) -> jax.Array:
    call = Call(data, join(data, nan), axes, correction, "default")
    total, _, (m2,), (unit,) = call.memory(data.values, 2)
    size = total
    if call.weights is not None and isinstance(data.weights, Probability):
        size = jnp.sum((call.weights != 0).astype(total.dtype), axis=axes, keepdims=True)
    elif call.weights is not None and not isinstance(data.weights, Frequency | None):
        weights = call.weights.astype(total.dtype)
        squares = jnp.sum(weights * weights, axis=axes, keepdims=True)
        size = total * total / jnp.where(total == 0, 1, squares)
    value = root(call.over(m2, total) / jnp.where(size > 0, size, 1)) * unit
    return _out(value, data, axes, keepdims)


def _out(value: jax.Array, data: Data, axes: Axes, keepdims: bool) -> jax.Array:
    return answer(value if keepdims else jnp.squeeze(value, axes), data, axes, False)
