"""Statistics of a moving window, without ever subtracting a cumulative sum from another.

The data are cut into blocks as long as the window. A window is the end of one block and the
beginning of the next, so its memory is the merge of a suffix scan and a prefix scan: nothing that
has left the window leaves a trace in the digits.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.rolling_mean(jnp.array([1.0, 2.0, 4.0, 18.0]), 2)
Array([ 1.5,  3. , 11. ], dtype=float32)

Source: van Herk (1992) and Gil and Werman (1993), who do so for the extremes of a window.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._tree import check_count
from ._arguments import Data, accumulator, answer, check, compiled, join
from ._blocks import difference, widen
from ._forms import coefficient
from ._moments import CoMoments, Moments, merge
from ._weights import free_in_units, in_units


def rolling_mean(
    x: Any,
    window: int,
    *,
    axis: int = -1,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the mean of every full window along an axis.

    Args:
        x: real array with n elements along the axis; bool and int become the default float.
        window: how many elements a window spans, a Python int in 1 … n.
        axis: along which axis.
        weights: as in `mean`, of x's elements.
        where: as in `mean`; a hidden element is missing from the windows it lies in.
        nan: "propagate" (to the windows it lies in) or "omit".

    Returns:
        An array with n − window + 1 elements along the axis; nan where a window has no elements.

    Raises:
        TypeError: x holds no real numbers, or window is no int (or is traced).
        ValueError: the window is longer than the data, or the axis out of range.

    >>> rolling_mean(jnp.arange(5.0), 3)
    Array([1., 2., 3.], dtype=float32)
    """
    data, window, axis = _checked("rolling_mean", {"x": x}, window, axis, weights, where, nan)
    return _rolling(data, 0, name="mean", window=window, axis=axis, nan=nan)


def rolling_var(
    x: Any,
    window: int,
    *,
    correction: float = 0,
    axis: int = -1,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the variance of every full window along an axis, never negative.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        correction: as in `var`; 1 is what pandas gives by default.
        axis: along which axis.
        weights: as in `var`.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        An array with n − window + 1 elements along the axis; nan where a window's elements do not
        exceed the correction.

    Raises:
        TypeError, ValueError: as `rolling_mean`.

    >>> rolling_var(jnp.array([1.0, 3.0, 3.0]), 2)
    Array([1., 0.], dtype=float32)
    """
    data, window, axis = _checked("rolling_var", {"x": x}, window, axis, weights, where, nan)
    return _rolling(data, correction, name="var", window=window, axis=axis, nan=nan)


def rolling_cov(
    x: Any,
    y: Any,
    window: int,
    *,
    correction: float = 0,
    axis: int = -1,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the covariance of the pairs in every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        y: an array of the same shape.
        window: as in `rolling_mean`.
        correction: as in `cov`.
        axis: along which axis.
        weights: as in `cov`.
        where: as in `rolling_mean`, listwise.
        nan: as in `rolling_mean`, listwise.

    Returns:
        An array with n − window + 1 elements along the axis.

    Raises:
        TypeError, ValueError: as `rolling_mean`; the shapes differ.

    >>> x = jnp.array([1.0, 3.0, 3.0])
    >>> rolling_cov(x, -x, 2)
    Array([-1.,  0.], dtype=float32)
    """
    named = {"x": x, "y": y}
    data, window, axis = _checked("rolling_cov", named, window, axis, weights, where, nan)
    return _rolling(data, correction, name="cov", window=window, axis=axis, nan=nan)


def rolling_corr(
    x: Any,
    y: Any,
    window: int,
    *,
    axis: int = -1,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return Pearson's correlation of the pairs in every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        y: an array of the same shape.
        window: as in `rolling_mean`.
        axis: along which axis.
        weights: as in `corr`.
        where: as in `rolling_mean`, listwise.
        nan: as in `rolling_mean`, listwise.

    Returns:
        An array with n − window + 1 elements along the axis, in −1 … 1; nan where x or y is
        constant in a window.

    Raises:
        TypeError, ValueError: as `rolling_mean`; the shapes differ.

    >>> x = jnp.array([1.0, 3.0, 2.0])
    >>> rolling_corr(x, -x, 2)
    Array([-1., -1.], dtype=float32)
    """
    named = {"x": x, "y": y}
    data, window, axis = _checked("rolling_corr", named, window, axis, weights, where, nan)
    return _rolling(data, 0, name="corr", window=window, axis=axis, nan=nan)


def _checked(
    who: str, named: Any, window: Any, axis: int, weights: Any, where: Any, nan: str
) -> tuple[Data, int, int]:
    data, (place,) = check(who, named, int(axis), weights, where, nan)
    if any(jnp.iscomplexobj(v) for v in data.values):
        raise TypeError(f"{who}: the data are complex, real numbers are needed")
    window = check_count(window, "window", who, least=1)
    n = data.values[0].shape[place]
    if window > n:
        raise ValueError(f"{who}: window is {window}, longer than the {n} elements along the axis")
    return data, window, place


@compiled("name", "window", "axis")
def _rolling(data: Data, correction: Any, name: str, window: int, axis: int, nan: Any) -> jax.Array:
    dtype = accumulator(jnp.result_type(*(v.dtype for v in data.values)))
    shape = data.values[0].shape
    joined = join(data, nan)
    weights = jnp.ones(shape, dtype) if joined is None else joined.astype(dtype)
    weights, unit = in_units(data.weights, jnp.moveaxis(weights, axis, -1))
    values = [_words(jnp.moveaxis(v, axis, -1), weights, dtype) for v in data.values]
    memory = _windows(_elements(values, weights), window)
    total = memory.weight
    if name == "mean":
        mean = values[0][2].astype(dtype) + (memory.pivot + memory.offset)
        value = jnp.where(total == 0, jnp.nan, mean)
    elif name == "corr":
        value = coefficient(memory.mxx, memory.myy, memory.cxy)
    else:
        spread = memory.m2 if name == "var" else memory.cxy
        squares = _sums(weights * weights, window)
        count = _sums((weights != 0).astype(dtype), window)
        free = free_in_units(data.weights, unit, total, squares, count, correction)
        value = jnp.where(free > 0, spread / jnp.where(free > 0, free, 1), jnp.nan)
    value = jnp.where(jnp.isnan(total), jnp.nan, value)
    return answer(jnp.moveaxis(value, -1, axis), data, (), False)


def _words(x: jax.Array, weights: jax.Array, dtype: Any) -> tuple[Any, Any, Any]:
    """Return data as pivots and offsets, counted from an integer origin (0 for floats)."""
    x = widen(x)
    if jnp.issubdtype(x.dtype, jnp.inexact):
        x = jnp.where(weights != 0, x, 0)
        finite = jnp.isfinite(x)
        return jnp.where(finite, x, 0), jnp.where(finite, 0, x), jnp.zeros((), dtype)
    origin = x[..., :1]
    return difference(x, origin), jnp.zeros(x.shape, dtype), origin


def _elements(values: list[Any], weights: jax.Array) -> Any:
    zero = jnp.zeros_like(weights)
    if len(values) == 1:
        return Moments(weights, values[0][0], values[0][1], zero)
    (px, ox, _), (py, oy, _) = values
    return CoMoments(weights, px, ox, py, oy, zero, zero, zero)


def _windows(memory: Any, window: int) -> Any:
    """Merge the memories of every `window` neighbours along the last axis."""
    n = memory.weight.shape[-1]
    blocks = -(-n // window)

    def cut(leaf: jax.Array) -> jax.Array:
        pad = [(0, 0)] * (leaf.ndim - 1) + [(0, blocks * window - n)]
        return jnp.pad(leaf, pad).reshape(*leaf.shape[:-1], blocks, window)

    parts = jax.tree.map(cut, memory)
    axis = parts.weight.ndim - 1
    ends = lax.associative_scan(lambda a, b: merge(b, a), parts, reverse=True, axis=axis)
    begins = lax.associative_scan(merge, parts, axis=axis)
    last = np.arange(window - 1, n)
    first = last - window + 1
    flat = lambda leaf: leaf.reshape(*leaf.shape[:-2], blocks * window)  # noqa: E731
    left = jax.tree.map(lambda leaf: flat(leaf)[..., first], ends)
    right = jax.tree.map(lambda leaf: flat(leaf)[..., last], begins)
    whole = jnp.asarray(first % window == 0)  # the window is a block: both scans hold all of it
    both = merge(left, right)
    return jax.tree.map(lambda one, two: jnp.where(whole, one, two), right, both)


def _sums(values: jax.Array, window: int) -> jax.Array:
    """Return the windows' sums of non-negative numbers, by the same two scans."""
    n = values.shape[-1]
    blocks = -(-n // window)
    pad = [(0, 0)] * (values.ndim - 1) + [(0, blocks * window - n)]
    parts = jnp.pad(values, pad).reshape(*values.shape[:-1], blocks, window)
    flat = (*values.shape[:-1], blocks * window)
    ends = lax.cumsum(parts, axis=parts.ndim - 1, reverse=True).reshape(flat)
    begins = lax.cumsum(parts, axis=parts.ndim - 1).reshape(flat)
    last = np.arange(window - 1, n)
    first = last - window + 1
    left = jnp.where(jnp.asarray(first % window == 0), 0, ends[..., first])
    return left + begins[..., last]
