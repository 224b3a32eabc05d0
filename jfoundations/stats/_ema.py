"""Exponentially weighted mean and variance along an axis, in parallel.

A weight never fades to nothing, but to the smallest normal number: within a gap, however long, the
mean stays what it was, and so does the variance. Beside weights above 2**-100 (in float64 2**-960)
no digit shows it.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.ema(jnp.array([1.0, 2.0, 4.0]), decay=0.5).round(4)
Array([1.    , 1.6667, 3.    ], dtype=float32)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core.checks import decay_of
from .._kernels.moments.formulas import FORMULAS
from .._kernels.moments.moving import along, check_along, fading
from .._kernels.moments.stretches import Stretch, moments
from .._kernels.sample.arguments import Data, Nan, Numbers, accumulator, answer, compiled, scalar
from .._kernels.sample.weights import Reliability, Weights


def ema(
    x: Numbers,
    *,
    decay: ArrayLike,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the exponentially weighted mean up to each element; `folds.ema` gives the last.

    See also `callbacks.ema`, of the states of a loop.

    It is free of bias from the start. The weight of an element k places back is decay**k, over the
    sum of the weights so far (pandas' `ewm(alpha=1 - decay, adjust=True)`). A hidden element counts
    nothing, but time goes on.

    Args:
        x: real array; bool and int become the default float.
        decay: a scalar in [0, 1); others give nan.
        axis: along which axis; samples run along the first by default.
        weights: more or less of an element, on top of the decay.
        where: which elements there are.
        nan: "propagate" or "omit".

    Returns:
        An array of x's shape in its floating dtype; nan until the first element there is.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: the axis is out of range, or x has none; decay is no scalar.

    >>> ema(jnp.array([5.0, 5.0, 5.0]), decay=0.9)
    Array([5., 5., 5.], dtype=float32)
    """
    data, place = check_along("ema", {"x": x}, axis, weights, where, nan)
    return _call("ema", data, place, decay, 0, nan)


def ema_var(
    x: Numbers,
    *,
    decay: ArrayLike,
    correction: float = 0,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the exponentially weighted variance up to each element.

    The denominator is W − correction·Σw²/W, so correction 1 is pandas' `ewm(...).var()` and 0 its
    `var(bias=True)`. A constant gives exactly 0. Deviations keep their digits down to 2**-50 of the
    largest number in float32, to 2**-480 in float64; below 2**-110 and 2**-1000 they count as 0.

    Args:
        x: real array; bool and int become the default float.
        decay: a scalar in [0, 1); others give nan.
        correction: 0 or 1.
        axis: along which axis; samples run along the first by default.
        weights: more or less of an element, on top of the decay.
        where: which elements there are.
        nan: "propagate" or "omit".

    Returns:
        An array of x's shape, ≥ 0; nan where the denominator is not positive.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: the axis is out of range, or x has none; decay is no scalar.

    >>> ema_var(jnp.array([1.0, 3.0]), decay=0.5).round(4)
    Array([0.    , 0.8889], dtype=float32)
    """
    data, place = check_along("ema_var", {"x": x}, axis, weights, where, nan)
    return _call("ema_var", data, place, decay, correction, nan)


def _call(
    name: str, data: Data, place: int, decay: ArrayLike, correction: ArrayLike, nan: str
) -> jax.Array:
    decay, correction = scalar(name, "decay", decay), scalar(name, "correction", correction)
    return _core(data, decay, correction, name=name, axis=place, nan=nan)


@compiled("name", "axis")
def _core(
    data: Data, decay: ArrayLike, correction: ArrayLike, name: str, axis: int, nan: Nan
) -> jax.Array:
    form = FORMULAS["mean" if name == "ema" else "var"]
    (x,), weights, units = along(data, nan, axis, 2 if form.order else 1)
    fade = decay_of(decay, accumulator(x.dtype))

    def extract(memory: Stretch) -> jax.Array:
        return form.formula(moments(memory, units), correction)

    if x.size == 0:
        value = x.astype(fade.dtype)
    elif form.order == 0:
        value = fading(x, weights, fade, extract)
    else:
        value = fading(x, weights, fade, extract, kind=Reliability(None), power=True)
    value = jnp.where(jnp.isnan(fade), jnp.nan, value)
    return answer(jnp.moveaxis(value, 0, axis), data, (), False)
