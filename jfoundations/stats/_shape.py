"""The shape of a distribution: central moments, skewness, kurtosis; and the mean's standard error.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> round(float(stats.skew(t)), 4), round(float(stats.kurtosis(t)), 4)
(1.0716, -0.7351)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._kernels.moments.derivatives import shift
from .._kernels.moments.formulas import Call, root, spread, times
from .._kernels.moments.powers import power_sums
from .._kernels.numbers.units import binary_unit, unit_of
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
from .._kernels.sums.blocks import counted
from ._minmax import extremes


def moment(
    x: Numbers,
    order: int,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
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
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
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
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
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
    data, axes = _checked("sem", x, axis, weights, where, nan)
    correction = scalar("sem", "correction", correction)
    return _sem(data, correction, axes=axes, keepdims=bool(keepdims), nan=nan)


def _checked(
    who: str,
    x: Numbers,
    axis: Axis,
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: Nan,
) -> tuple[Data, Axes]:
    return check(who, {"x": x}, axis, weights, where, nan, real=REAL)


class Shape(NamedTuple):
    """What describes a distribution, from shared sums; reduced axes are kept as 1.

    Attributes:
        total: the sum of the weights.
        mean: the mean, nan of nothing.
        square: the sum of squares, in units.
        units: powers of two that the data are in, None for 1.
        skew: the skewness.
        kurtosis: the excess kurtosis.
    """

    total: jax.Array
    mean: jax.Array
    square: jax.Array
    units: list[Any]
    skew: jax.Array
    kurtosis: jax.Array

    @classmethod
    def of(cls, call: Call) -> "Shape":
        """Gather them: one read for the squares, one for cubes and fourth powers."""
        (x,), (scale,) = call.ranged(call.data.values, unit_of, small=True)
        total, [(pivot, offset)], (square,), (unit,) = call.memory((x,), 2)
        whole = jnp.where(total == 0, 1, total)
        near = binary_unit(jnp.minimum(root(square / whole) * unit, jnp.finfo(unit.dtype).max))
        found = power_sums(x, call.weights, pivot, offset, near, call.axes, (3, 4))
        third, fourth = (jnp.expand_dims(s, call.axes) / whole for s in found)
        second = square / whole * (unit / near) * (unit / near)
        varied = second > 0
        some = jnp.where(varied, second, 1)
        skew = jnp.where(varied, third / some / root(some), jnp.nan)
        kurtosis = jnp.where(varied, fourth / some / some - 3, jnp.nan)
        _, [words], _, _ = call.memory((x,), 0)
        mean = times(jnp.where(total == 0, jnp.nan, words[0] + words[1]), scale)
        return cls(total, mean, square, [unit, scale], skew, kurtosis)

    def var(self, call: Call) -> jax.Array:
        """Return the variance, with the bits of `var`."""
        return times(call.over(self.square, self.total), *self.units, *self.units)


@compiled("order")
def _moment(data: Data, order: int, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    call = Call.of(data, nan, axes)
    (x,), (scale,) = call.ranged(data.values, unit_of)
    total, [(pivot, offset)], _, _ = call.memory((x,), 1)
    if order < 2 or x.size == 0:  # of nan and of infinities there is no deviation
        value = pivot + offset
        value = value * 0 if order else jnp.ones_like(value)
        # the total is nan where a weight is, or is negative
        return _out(jnp.where(total > 0, value, jnp.nan), data, axes, keepdims)
    parts = _unit_parts(x, call, pivot, offset)
    found, _ = power_sums(
        x, call.weights, pivot, offset, parts[0] * parts[1], axes, (order, order + order % 2)
    )
    value = jnp.expand_dims(found, axes) / jnp.where(total == 0, 1, total)
    for _ in range(order):
        value = times(value, *parts, scale)
    return _out(jnp.where(total == 0, jnp.nan, value), data, axes, keepdims)


def _unit_parts(
    x: jax.Array, call: Call, pivot: jax.Array, offset: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return two powers of two whose product is near the largest deviation."""
    keep = None if call.weights is None else counted(call.weights)
    ends = [jnp.expand_dims(v, call.axes) for v in extremes(x, keep, call.axes)]
    sizes = [jnp.abs(lax.stop_gradient(shift(v, pivot) - offset)) for v in ends]
    size = jnp.where(jnp.isfinite(sizes[0]) & jnp.isfinite(sizes[1]), jnp.maximum(*sizes), 1)
    _, exponent = jnp.frexp(size)
    half = exponent // 2  # in two steps: one factor alone may overflow
    one = jnp.ones_like(size)
    return jnp.ldexp(one, half), jnp.ldexp(one, exponent - half)


@compiled()
def _skew(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    shape = Shape.of(Call.of(data, nan, axes))
    return _out(shape.skew, data, axes, keepdims)


@compiled()
def _kurtosis(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    shape = Shape.of(Call.of(data, nan, axes))
    return _out(shape.kurtosis, data, axes, keepdims)


@compiled()
def _sem(data: Data, correction: ArrayLike, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    call = Call.of(data, nan, axes, correction)
    square, total, units = spread(call, data.values)
    size = call.size(total)
    value = times(root(square / jnp.where(size > 0, size, 1)), *units)
    return _out(value, data, axes, keepdims)


def _out(value: jax.Array, data: Data, axes: Axes, keepdims: bool) -> jax.Array:
    return answer(value if keepdims else jnp.squeeze(value, axes), data, axes, False)
