"""Statistics of order: median, quantiles, trimmed mean, median deviation, extremes.

Short rows are sorted; long ones are counted on a CPU, with the same bits.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.median(t)), float(stats.iqr(t)), float(stats.median_abs_dev(t))
(3.0, 5.75, 1.5)
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from .._kernels.order.occurrences import Tally, hide, rows, tally, unrow
from .._kernels.order.quantiles import METHODS, WEIGHTED, MethodName, quantiles
from .._kernels.order.trimmed import trimmed
from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
    Data,
    Nan,
    accumulator,
    answer,
    check,
    compiled,
    numbers,
)
from .._kernels.sample.weights import Weights
from .._kernels.sums.blocks import difference


def median(
    x: ArrayLike,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the median: the middle element, or the mean of the two in the middle.

    It is `quantile(x, 0.5)`, and to the bit that of `np.median`. Derivatives flow to the middle
    elements; elements tied with one share its part equally.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `quantile`.
        where: bools that broadcast against x; elements at False do not exist.
        nan: "propagate" gives nan where one counts, "omit" drops them.

    Returns:
        An array in x's floating dtype; nan over no elements.

    Raises:
        TypeError: x holds no numbers that can be ordered.
        ValueError: shapes or axes do not fit.

    >>> float(median([4.0, 1.0, 18.0, 2.0]))
    3.0
    >>> float(median([1.0, 2.0, 18.0], weights=[1, 1, 3]))
    18.0
    """
    data, axes = check("median", {"x": x}, axis, weights, where, nan, real=ORDERED)
    return _median(data, axes, bool(keepdims), nan)


def quantile(
    x: ArrayLike,
    q: ArrayLike,
    *,
    method: MethodName = "linear",
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return quantiles, by default linearly interpolated, as NumPy does; streams: `folds.quantile`.

    With total weight W, the linear quantile is the mean, over the window [h, h + 1] with
    h = q·(W − 1), of the step function on [0, W] in which each element, in ascending order, is as
    wide as its weight.
    For whole weights that is the interpolated quantile of the repeated sample, to the bit; a window
    wider than everything (W < 1) is cut, which leaves the weighted mean. For whole weights an h
    that misses a whole number by the rounding of q alone is taken as whole. Derivatives flow to x,
    where ties share equally (at fractional weights the one in the window takes all), and to q; none
    to the weights.

    Args:
        x: real array of any shape; bool and int become the default float.
        q: probabilities, a scalar or of shape (m,).
        method: which definition, by NumPy's names: "linear" and the other eight of Hyndman and Fan,
            "inverted_cdf", "averaged_inverted_cdf", "closest_observation",
            "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased";
            and "lower", "higher", "midpoint", "nearest". With weights "linear" and "inverted_cdf",
            the least element at which the weights up to it reach q·W.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: how often each element was seen; a bare array holds frequencies. `Reliability` and
            `Probability` weights have no scale: they are made to add up to (Σw)²/Σw² and to the
            number of elements with w > 0. Weight 0 is deletion, even of nan; a negative one gives
            nan.
        where: bools that broadcast against x; elements at False do not exist.
        nan: "propagate" gives nan where one counts, "omit" drops them.

    Returns:
        An array in x's floating dtype, of q's shape and then the reduced one; nan over no elements,
        and where a traced q is outside [0, 1].

    Raises:
        TypeError: x or q holds no numbers that can be ordered.
        ValueError: q is outside [0, 1] or has two or more dimensions; the method is unknown, or has
            no meaning with weights; shapes or axes do not fit.

    Source: Hyndman and Fan (1996), "Sample quantiles in statistical packages"; for weights,
    Akinshin (2023), "Weighted quantile estimators".

    >>> float(quantile([1.0, 2.0, 4.0, 18.0], 0.7, method="inverted_cdf"))
    4.0
    >>> quantile([1.0, 2.0, 4.0, 18.0], [0.0, 0.25, 1.0]).tolist()
    [1.0, 1.75, 18.0]
    """
    data, axes = check("quantile", {"x": x}, axis, weights, where, nan, real=ORDERED)
    _defined("quantile", method, data)
    return _quantile(data, probabilities("quantile", q), method, axes, bool(keepdims), nan)


def iqr(
    x: ArrayLike,
    *,
    method: MethodName = "linear",
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the interquartile range, quantile ¾ − quantile ¼.

    Args:
        x: real array of any shape; bool and int become the default float.
        method: which quantiles, as in `quantile`.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `quantile`.
        where: bools that broadcast against x; elements at False do not exist.
        nan: "propagate" gives nan where one counts, "omit" drops them.

    Returns:
        An array in x's floating dtype, ≥ 0; nan over no elements, and where both are infinite.

    Raises:
        TypeError: x holds no numbers that can be ordered.
        ValueError: the method is unknown, or has no meaning with weights; shapes or axes do not
            fit.

    >>> float(iqr([1.0, 2.0, 4.0, 18.0]))
    5.75
    """
    data, axes = check("iqr", {"x": x}, axis, weights, where, nan, real=ORDERED)
    _defined("iqr", method, data)
    return _iqr(data, method, axes, bool(keepdims), nan)


def trim_mean(
    x: ArrayLike,
    proportion: ArrayLike,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the mean without the ⌊proportion·W⌋ smallest and as many of the largest elements.

    W is the number of elements that count, or their total weight. A product that misses a whole
    number by rounding alone is taken as whole. Derivatives flow to what is kept; elements tied with
    the last one kept share what remains of them.

    Args:
        x: real array of any shape; bool and int become the default float.
        proportion: what to cut off at each end, a scalar in [0, ½).
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `quantile`.
        where: bools that broadcast against x; elements at False do not exist.
        nan: "propagate" gives nan where one counts, "omit" drops them.

    Returns:
        An array in x's floating dtype; nan over no elements, and where a traced proportion is
        outside [0, ½).

    Raises:
        TypeError: x or proportion holds no numbers that can be ordered.
        ValueError: proportion is outside [0, ½) or no scalar; shapes or axes do not fit.

    >>> float(trim_mean([1.0, 2.0, 4.0, 18.0], 0.25))
    3.0
    """
    data, axes = check("trim_mean", {"x": x}, axis, weights, where, nan, real=ORDERED)
    cut = _fraction("trim_mean", "proportion", proportion)
    if cut.ndim:
        raise ValueError(f"trim_mean: proportion has shape {cut.shape}; a scalar is needed")
    if not isinstance(cut, Tracer) and not 0 <= float(cut) < 0.5:
        raise ValueError(f"trim_mean: proportion is {cut}; it must lie in [0, 0.5)")
    return _trim_mean(data, cut, axes, bool(keepdims), nan)


def median_abs_dev(
    x: ArrayLike,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return the median of the absolute deviations from the median, unscaled.

    Times 1.4826 it estimates the standard deviation of a normal sample. Half precision is worked in
    float32.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `quantile`.
        where: bools that broadcast against x; elements at False do not exist.
        nan: "propagate" gives nan where one counts, "omit" drops them.

    Returns:
        An array in x's floating dtype, ≥ 0; nan over no elements, and where the median is infinite.

    Raises:
        TypeError: x holds no numbers that can be ordered.
        ValueError: shapes or axes do not fit.

    Source: Hampel (1974), "The influence curve and its role in robust estimation".

    >>> float(median_abs_dev([1.0, 2.0, 4.0, 18.0]))
    1.5
    """
    data, axes = check("median_abs_dev", {"x": x}, axis, weights, where, nan, real=ORDERED)
    return _median_abs_dev(data, axes, bool(keepdims), nan)


def probabilities(who: str, q: Any) -> jax.Array:
    """Return q as floats, a scalar or of one dimension, or say why it holds no probabilities."""
    q = _fraction(who, "q", q)
    if q.ndim > 1:
        raise ValueError(f"{who}: q has shape {q.shape}; a scalar or one dimension is needed")
    if not isinstance(q, Tracer) and not np.all((np.asarray(q) >= 0) & (np.asarray(q) <= 1)):
        raise ValueError(f"{who}: q is {np.asarray(q)}; it must lie in [0, 1]")
    return q


def _fraction(who: str, name: str, value: Any) -> jax.Array:
    value = numbers(who, name, value)
    if jnp.iscomplexobj(value):
        raise TypeError(f"{who}: {name} is complex; a real number is needed")
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        value = value.astype(jnp.result_type(float))
    return value


def _defined(who: str, method: Any, data: Data) -> None:
    if method not in METHODS:
        names = ", ".join(METHODS)
        raise ValueError(f"{who}: method is {method!r}; it must be one of {names}")
    if data.weights is not None and method not in WEIGHTED:
        raise ValueError(
            f"{who}: method {method!r} has no meaning with weights; those that have one are "
            f"{' and '.join(WEIGHTED)}"
        )


@compiled()
def _median(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    value = _middle(rows(data.values[0], axes), tally(data, axes, nan))
    return answer(unrow(value[:, 0], data, axes), data, axes, keepdims)


@compiled("method")
def _quantile(data: Data, q: Array, method: str, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    q = jnp.asarray(q)
    value = quantiles(rows(data.values[0], axes), tally(data, axes, nan), q.reshape(-1), method)
    value = jnp.moveaxis(unrow(value, data, axes), -1, 0)
    value = answer(value, data, tuple(a + 1 for a in axes), keepdims)
    return value.reshape(q.shape + value.shape[1:])


@compiled("method")
def _iqr(data: Data, method: str, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    tallied = tally(data, axes, nan)
    x, _ = _shifted(rows(data.values[0], axes), tallied)
    value = quantiles(x, tallied, np.array([0.25, 0.75]), method)
    return answer(unrow(value[:, 1] - value[:, 0], data, axes), data, axes, keepdims)


@compiled()
def _trim_mean(data: Data, cut: Array, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    tallied = tally(data, axes, nan)
    x, pivot = _shifted(rows(data.values[0], axes), tallied)
    value = trimmed(x, tallied, cut) + pivot[:, 0]
    return answer(unrow(value, data, axes), data, axes, keepdims)


@compiled()
def _median_abs_dev(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    tallied = tally(data, axes, nan)
    x, _ = _shifted(hide(rows(data.values[0], axes), tallied.counts), tallied)
    x = x.astype(accumulator(x.dtype))
    # a deviation may be twice as large as the largest number
    size = jnp.max(jnp.where(jnp.isfinite(x), jnp.abs(x), 0), axis=1, keepdims=True, initial=0)
    half = jnp.where(size > jnp.finfo(x.dtype).max / 4, 0.5, 1).astype(x.dtype)
    x = x * half
    value = _middle(jnp.abs(x - _middle(x, tallied)), tallied) / half
    return answer(unrow(value[:, 0], data, axes), data, axes, keepdims)


def _shifted(x: jax.Array, tallied: Tally) -> tuple[jax.Array, jax.Array]:
    """Return rows of integers, which no float may hold, as distances from about their median.

    Returns:
        x and 0, or floats and what was subtracted, of shape (rows, 1).
    """
    dtype = accumulator(x.dtype)
    if jnp.issubdtype(x.dtype, jnp.inexact) or x.dtype.itemsize < 4:
        return x, jnp.zeros((x.shape[0], 1), dtype)
    pivot = jnp.round(jnp.nan_to_num(_middle(x, tallied))).astype(x.dtype)
    return difference(x, pivot), pivot.astype(dtype)


@jax.jit  # in a program once, however often it is called
def _middle(x: jax.Array, tallied: Tally) -> jax.Array:
    return quantiles(x, tallied, np.array([0.5]))
