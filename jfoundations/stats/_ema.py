"""Exponentially weighted mean and variance along an axis, in parallel, by an associative scan.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.ema(jnp.array([1.0, 2.0, 4.0]), decay=0.5)
Array([1.       , 1.6666667, 3.       ], dtype=float32)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ._arguments import Data, accumulator, answer, check, compiled, join
from ._blocks import difference, widen
from ._weights import Reliability, in_units


def ema(
    x: Any,
    *,
    decay: Any,
    axis: int = -1,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the exponentially weighted mean up to each element, free of bias from the start.

    The weight of an element k places back is decay**k, over the sum of the weights so far (pandas'
    `ewm(alpha=1 - decay, adjust=True)`). A hidden element counts nothing, but time goes on.

    Args:
        x: real array; bool and int become the default float.
        decay: a scalar in [0, 1); others give nan.
        axis: along which axis.
        weights: more or less of an element, on top of the decay.
        where: which elements there are.
        nan: "propagate" or "omit".

    Returns:
        An array of x's shape in its floating dtype; nan until the first element there is.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: the axis is out of range, or x has none.

    >>> ema(jnp.array([5.0, 5.0, 5.0]), decay=0.9)
    Array([5., 5., 5.], dtype=float32)
    """
    data, place = _checked("ema", x, axis, weights, where, nan)
    return _ema(data, decay, axes=place, nan=nan)


def ema_var(
    x: Any,
    *,
    decay: Any,
    correction: float = 0,
    axis: int = -1,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the exponentially weighted variance up to each element.

    The denominator is W − correction·Σw²/W, so correction 1 is pandas' `ewm(...).var()` and 0 its
    `var(bias=True)`. A constant gives exactly 0.

    Args:
        x: real array; bool and int become the default float.
        decay: a scalar in [0, 1); others give nan.
        correction: 0 or 1.
        axis: along which axis.
        weights: more or less of an element, on top of the decay.
        where: which elements there are.
        nan: "propagate" or "omit".

    Returns:
        An array of x's shape, ≥ 0; nan where the denominator is not positive.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: the axis is out of range, or x has none.

    >>> ema_var(jnp.array([1.0, 3.0]), decay=0.5)
    Array([0.       , 0.8888889], dtype=float32)
    """
    data, place = _checked("ema_var", x, axis, weights, where, nan)
    return _ema_var(data, decay, correction, axes=place, nan=nan)


def _checked(
    who: str, x: Any, axis: int, weights: Any, where: Any, nan: str
) -> tuple[Data, tuple[int, ...]]:
    data, axes = check(who, {"x": x}, axis, weights, where, nan)
    if jnp.iscomplexobj(data.values[0]):
        raise TypeError(f"{who}: x is complex, real numbers are needed")
    return data, axes


class _Memory(NamedTuple):
    """Weights of a stretch of elements, their squares' sum, mean, Σw(x − mean)², and its length."""

    weight: jax.Array
    squares: jax.Array
    mean: jax.Array
    spread: jax.Array
    fade: jax.Array  # decay to the power of the stretch's length


def _later(a: _Memory, b: _Memory) -> _Memory:
    """Return the memory of stretch a followed by stretch b: b's length fades a's weights."""
    wa, spread = a.weight * b.fade, a.spread * b.fade
    total = wa + b.weight
    share = b.weight / jnp.where(total == 0, 1, total)
    gap = jnp.where((wa == 0) | (b.weight == 0), 0, b.mean - a.mean)
    mean = jnp.where(wa == 0, b.mean, a.mean + gap * share)
    squares = a.squares * b.fade * b.fade + b.squares
    return _Memory(
        total, squares, mean, spread + b.spread + gap * gap * wa * share, a.fade * b.fade
    )


def _scan(data: Data, decay: Any, axes: Any, nan: Any) -> tuple[_Memory, jax.Array]:
    (x,), (axis,) = data.values, axes
    x = widen(x)
    dtype = accumulator(x.dtype)
    if x.size == 0:
        nothing = jnp.zeros(x.shape, dtype)
        return _Memory(*(nothing,) * 5), nothing
    joined = join(data, nan)
    weights = jnp.ones(x.shape, dtype) if joined is None else joined.astype(dtype)
    weights, _ = in_units(data.weights, weights)  # of any scale: the answers do not depend on it
    keep = weights != 0
    first = jnp.argmax(keep, axis=axis, keepdims=True)
    pivot = jnp.take_along_axis(x, first, axis=axis)
    if jnp.issubdtype(x.dtype, jnp.inexact):
        pivot = lax.stop_gradient(jnp.where(jnp.isfinite(pivot), pivot, 0))
    shifted = jnp.where(keep, difference(x, pivot), 0)
    decay = jnp.asarray(decay, dtype)
    decay = jnp.where((decay >= 0) & (decay < 1), decay, jnp.nan)
    fade = jnp.broadcast_to(decay, x.shape)
    start = _Memory(weights, weights * weights, shifted, jnp.zeros_like(shifted), fade)
    found: Any = lax.associative_scan(_later, start, axis=axis)
    return found, pivot.astype(dtype)


@compiled()
def _ema(data: Data, decay: Any, axes: Any, nan: Any) -> jax.Array:
    found, pivot = _scan(data, decay, axes, nan)
    known = (found.weight != 0) & ~jnp.isnan(found.fade)
    return answer(jnp.where(known, pivot + found.mean, jnp.nan), data, (), False)


@compiled()
def _ema_var(data: Data, decay: Any, correction: Any, axes: Any, nan: Any) -> jax.Array:
    found, _ = _scan(data, decay, axes, nan)
    free = Reliability(None).free(found.weight, found.squares, None, correction)
    # the first element alone leaves a denominator of 0 up to rounding
    free = jnp.where(free > 4 * jnp.finfo(free.dtype).eps * found.weight, free, 0)
    value = jnp.where(free > 0, found.spread / jnp.where(free > 0, free, 1), jnp.nan)
    known = ~jnp.isnan(found.weight) & ~jnp.isnan(found.fade)
    return answer(jnp.where(known, value, jnp.nan), data, (), False)
