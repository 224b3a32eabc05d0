"""Means of logarithms, of inverses and of powers: geometric, harmonic and power means.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0])
>>> [round(float(v), 4) for v in (stats.gmean(t), stats.hmean(t), stats.pmean(t, 2))]
[2.0, 1.7143, 2.6458]
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._kernels.moments.formulas import Call, alike
from .._kernels.numbers.select import select
from .._kernels.numbers.units import inverse_unit, unit_of
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
from .._kernels.sums.blocks import counted


def gmean(
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the geometric mean, exp of the mean of logarithms, as SciPy's.

    Args:
        x: real array of any shape, not negative; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array in x's floating dtype; 0 where an element is 0, nan where one is negative or there
        are none.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> round(float(gmean([1.0, 2.0, 4.0])), 6)
    2.0
    """
    data, axes = check("gmean", {"x": x}, axis, weights, where, nan, real=REAL)
    return _geometric(data, axes=axes, keepdims=bool(keepdims), nan=nan)


def hmean(
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the harmonic mean, the inverse of the mean of inverses, as SciPy's.

    Args:
        x: as in `gmean`.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: as in `mean`.

    Returns:
        As `gmean`.

    Raises:
        TypeError, ValueError: as `gmean`.

    >>> round(float(hmean([1.0, 2.0, 4.0])), 6)
    1.714286
    """
    data, axes = check("hmean", {"x": x}, axis, weights, where, nan, real=REAL)
    return _power(data, -1, axes=axes, keepdims=bool(keepdims), nan=nan)


def pmean(
    x: Numbers,
    p: ArrayLike,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the power mean, (Σwxᵖ / W)^(1/p); for p = 0 its limit, the geometric mean.

    Powers are of x in units of its size, so that none leaves the range of its type.

    Args:
        x: as in `gmean`.
        p: a real number.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `mean`.
        where: as in `mean`.
        nan: as in `mean`.

    Returns:
        As `gmean`.

    Raises:
        TypeError, ValueError: as `gmean`; p is no real number.

    >>> round(float(pmean([1.0, 2.0, 4.0], 2)), 6)
    2.645751
    """
    data, axes = check("pmean", {"x": x}, axis, weights, where, nan, real=REAL)
    p = scalar("pmean", "p", p)
    return _power(data, p, axes=axes, keepdims=bool(keepdims), nan=nan)


def _sizes(call: Call) -> jax.Array:
    """Return what counts as floats, 1 in the place of what does not, nan of what is negative."""
    (x,) = alike(call.data.values)
    x = x.astype(accumulator(x.dtype))
    x = x if call.weights is None else select(counted(call.weights), x, 1)
    return select(x < 0, jnp.nan, x)


@compiled()
def _geometric(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    call = Call.of(data, nan, axes)
    value = lax.exp(call.moments((lax.log(_sizes(call)),), 0).mean)
    return answer(value, data, axes, keepdims)


@compiled()
def _power(data: Data, p: ArrayLike, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    call = Call.of(data, nan, axes)
    x = _sizes(call)
    p = jnp.asarray(p, x.dtype)
    keep = None if call.weights is None else counted(call.weights)
    unit = unit_of(x, keep, axes) if x.size else jnp.ones((1,) * x.ndim, x.dtype)
    small = x * inverse_unit(unit)
    some = jnp.where(p == 0, 1, p)
    powers = jnp.where(p == 0, lax.log(small), small**some)
    mean = call.moments((powers,), 0).mean
    value = jnp.where(p == 0, lax.exp(mean), mean ** (1 / some))
    return answer(value * lax.squeeze(unit, axes), data, axes, keepdims)
