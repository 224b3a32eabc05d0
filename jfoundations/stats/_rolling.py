"""Statistics of a moving window, without ever subtracting a cumulative sum from another.

Windows double: those of 2m neighbours are those of m, merged with themselves m places on. So
nothing that has left a window leaves a trace in its digits, and the work is that of about
log₂(window) sums of whole arrays.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.rolling_mean(jnp.array([1.0, 2.0, 4.0, 18.0]), 2)
Array([ 1.5,  3. , 11. ], dtype=float32)

Source: the binary method of powers (Knuth, The Art of Computer Programming 2, 4.6.3), of merges.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._kernels.moments.formulas import FORMULAS
from .._kernels.moments.moments import times
from .._kernels.moments.moving import along, check_along, chunked, of_windows, windows
from .._kernels.sample.arguments import Data, Nan, Numbers, accumulator, answer, compiled, scalar
from .._kernels.sample.weights import Weights


def rolling_mean(
    x: Numbers,
    window: int,
    *,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the mean of every full window along an axis.

    Args:
        x: real array with n elements along the axis; bool and int become the default float.
        window: how many elements a window spans, a Python int in 1 … n.
        axis: along which axis; samples run along the first by default.
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
    data, window, axis = check_windows("rolling_mean", {"x": x}, window, axis, weights, where, nan)
    return _rolling(data, 0, name="mean", window=window, axis=axis, nan=nan)


def rolling_var(
    x: Numbers,
    window: int,
    *,
    correction: float = 0,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the variance of every full window along an axis, never negative.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        correction: as in `var`; 1 is what pandas gives by default.
        axis: along which axis; samples run along the first by default.
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
    data, window, axis = check_windows("rolling_var", {"x": x}, window, axis, weights, where, nan)
    correction = scalar("rolling_var", "correction", correction)
    return _rolling(data, correction, name="var", window=window, axis=axis, nan=nan)


def rolling_std(
    x: Numbers,
    window: int,
    *,
    correction: float = 0,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the standard deviation of every full window along an axis; of a constant 0.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        correction: as in `std`; 1 is what pandas gives by default.
        axis: along which axis; samples run along the first by default.
        weights: as in `std`.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        As of `rolling_var`. Deviations below 2**-110 of the array's largest number count as 0
        in float32.

    Raises: TypeError, ValueError, as `rolling_mean`.

    >>> rolling_std(jnp.array([1.0, 3.0, 3.0]), 2)
    Array([1., 0.], dtype=float32)
    """
    data, window, axis = check_windows("rolling_std", {"x": x}, window, axis, weights, where, nan)
    correction = scalar("rolling_std", "correction", correction)
    return _rolling(data, correction, name="std", window=window, axis=axis, nan=nan)


def rolling_sem(
    x: Numbers,
    window: int,
    *,
    correction: float = 1,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the standard error of the mean of every full window, std / √n as in `sem`.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        correction: as in `sem`: 1 by default.
        axis: along which axis; samples run along the first by default.
        weights: as in `sem`.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        As of `rolling_std`.

    Raises: TypeError, ValueError, as `rolling_mean`.

    >>> rolling_sem(jnp.array([1.0, 3.0, 3.0]), 2)
    Array([1., 0.], dtype=float32)
    """
    data, window, axis = check_windows("rolling_sem", {"x": x}, window, axis, weights, where, nan)
    correction = scalar("rolling_sem", "correction", correction)
    return _rolling(data, correction, name="sem", window=window, axis=axis, nan=nan)


def rolling_sum(
    x: Numbers,
    window: int,
    *,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the sum of every full window along an axis; whole numbers add up exactly.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        axis: along which axis; samples run along the first by default.
        weights: as in `sum`.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        An array with n − window + 1 elements along the axis; 0 where a window has no elements.

    Raises: TypeError, ValueError, as `rolling_mean`.

    >>> rolling_sum(jnp.array([1.0, 3.0, 3.0]), 2)
    Array([4., 6.], dtype=float32)
    """
    data, window, axis = check_windows("rolling_sum", {"x": x}, window, axis, weights, where, nan)
    return _rolling(data, 0, name="sum", window=window, axis=axis, nan=nan)


def rolling_cov(
    x: Numbers,
    y: Numbers,
    window: int,
    *,
    correction: float = 0,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the covariance of the pairs in every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        y: an array of the same shape.
        window: as in `rolling_mean`.
        correction: as in `cov`.
        axis: along which axis; samples run along the first by default.
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
    data, window, axis = check_windows("rolling_cov", named, window, axis, weights, where, nan)
    correction = scalar("rolling_cov", "correction", correction)
    return _rolling(data, correction, name="cov", window=window, axis=axis, nan=nan)


def rolling_corr(
    x: Numbers,
    y: Numbers,
    window: int,
    *,
    axis: int = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return Pearson's correlation of the pairs in every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        y: an array of the same shape.
        window: as in `rolling_mean`.
        axis: along which axis; samples run along the first by default.
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
    data, window, axis = check_windows("rolling_corr", named, window, axis, weights, where, nan)
    return _rolling(data, 0, name="corr", window=window, axis=axis, nan=nan)


def check_windows(
    who: str,
    named: Any,
    window: Any,
    axis: int,
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: str,
) -> tuple[Data, int, int]:
    """Return checked data, the window and the axis."""
    data, place = check_along(who, named, axis, weights, where, nan)
    window = check_count(window, "window", who, least=1)
    n = data.values[0].shape[place]
    if window > n:
        raise ValueError(f"{who}: window is {window}, longer than the {n} elements along the axis")
    return data, window, place


@compiled("name", "window", "axis")
def _rolling(
    data: Data, correction: ArrayLike, name: str, window: int, axis: int, nan: Nan
) -> jax.Array:
    if name == "sum":
        return _sums(data, window, axis, nan)
    form = FORMULAS[name]
    # where an answer is in range if and only if its parts are, what is large in one window touches
    # no other
    power = 1 if name in ("mean", "var") else 2
    words = {"order": form.order, "power": power, "window": window, "axis": axis, "nan": nan}
    return of_windows(lambda m: form.formula(m, correction), data, **words)


def _sums(data: Data, window: int, axis: int, nan: Nan) -> jax.Array:
    (x,), weights, (unit,) = along(data, nan, axis, 1)
    x = x.astype(accumulator(x.dtype))
    if weights is not None:
        x = jnp.where(weights == 0, jnp.zeros_like(x), x) * weights
    value = chunked(x, window, lambda x: windows(x, window, jnp.add))
    return answer(jnp.moveaxis(times(value, unit), 0, axis), data, (), False)
