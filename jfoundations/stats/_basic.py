"""Mean, variance, covariance, correlation: the lesson's statistics, stable and exact.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.mean(t)), float(stats.var(t)), float(stats.mean_abs_dev(t))
(6.25, 47.1875, 5.875)

Weights and masks are the same on every function:

>>> float(stats.mean(t, where=t < 10)), float(stats.var(t, weights=jnp.array([3, 1, 0, 0])))
(2.33333..., 0.1875)
"""

from typing import Any, Literal

import jax

from ._arguments import Axis, Nan
from ._forms import call

Accuracy = Literal["default", "high"]


def mean(
    x: Any,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
) -> jax.Array:
    """Return the arithmetic mean Σwx / Σw, of a constant exactly the constant.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate", or "omit" to leave nan out.
        accuracy: "high" always sums twice, in two words: 6.8 digits in float32, whatever the data.
            The default keeps 6.2 of one long axis, but of many short columns the worst may keep
            5.5; up to 8192 elements both are the same.

    Returns:
        An array in x's floating dtype; nan over no elements. mean([inf, 1]) is inf.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> float(mean([1.0, 2.0, 4.0, 18.0]))
    6.25
    """
    options = _options(weights, where, nan, accuracy)
    return call("mean", {"x": x}, axis, keepdims, 0, options)


def var(
    x: Any,
    *,
    axis: Axis = None,
    correction: Any = 0,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
) -> jax.Array:
    """Return the variance Σw|x − mean|² / (W − correction): `cov(x, x)` to the bit.

    A constant gives exactly 0, a translation that is exact changes no bit, and multiplying x by a
    power of two multiplies the result by its square exactly. What it is divided by, the kind of
    weights says.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: 0 for the population, 1 for the unbiased estimate; see the weights.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate", or "omit" to leave nan out.
        accuracy: "high" always sums twice, in two words: 6.8 digits in float32, whatever the data.
            The default keeps 6.2 of one long axis, but of many short columns the worst may keep
            5.5; up to 8192 elements both are the same.

    Returns:
        A real array in x's floating dtype, ≥ 0; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    Source: blocks about pivots, joined as by Chan, Golub and LeVeque (1983), "Algorithms for
    computing the sample variance"; a second pass where the first says that it lost digits.

    >>> float(var([1.0, 2.0, 4.0, 18.0]))
    47.1875
    """
    options = _options(weights, where, nan, accuracy)
    return call("var", {"x": x}, axis, keepdims, correction, options)


def std(
    x: Any,
    *,
    axis: Axis = None,
    correction: Any = 0,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
) -> jax.Array:
    """Return the standard deviation, the root of `var`, taken before a cast to half precision.

    Its gradient is cov(x, ẋ) / std, and 0 where std is 0.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: 0 for the population, 1 for the unbiased estimate; see the weights.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate", or "omit" to leave nan out.
        accuracy: "high" always sums twice, in two words: 6.8 digits in float32, whatever the data.
            The default keeps 6.2 of one long axis, but of many short columns the worst may keep
            5.5; up to 8192 elements both are the same.

    Returns:
        A real array in x's floating dtype, ≥ 0; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> round(float(std([1.0, 2.0, 4.0, 18.0])), 4)
    6.8693
    """
    options = _options(weights, where, nan, accuracy)
    return call("std", {"x": x}, axis, keepdims, correction, options)


def mean_abs_dev(
    x: Any,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
) -> jax.Array:
    """Return the mean absolute deviation from the mean, Σw|x − mean| / W ≤ std.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate", or "omit" to leave nan out.
        accuracy: "high" always sums twice, in two words: 6.8 digits in float32, whatever the data.
            The default keeps 6.2 of one long axis, but of many short columns the worst may keep
            5.5; up to 8192 elements both are the same.

    Returns:
        A real array in x's floating dtype; nan over no elements.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> float(mean_abs_dev([1.0, 2.0, 4.0, 18.0]))
    5.875
    """
    options = _options(weights, where, nan, accuracy)
    return call("mean_abs_dev", {"x": x}, axis, keepdims, 0, options)


def cov(
    x: Any,
    y: Any,
    *,
    axis: Axis = None,
    correction: Any = 0,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
) -> jax.Array:
    """Return the covariance Σw(x − mean x)·conj(y − mean y) / (W − correction) of pairs.

    `cov(x, y)` is `cov(y, x)` conjugated, to the bit, and `cov(x, x)` is `var(x)`.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        y: an array of the same shape.
        axis: the axis or axes to reduce; all by default.
        correction: 0 for the population, 1 for the unbiased estimate; see the weights.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are, listwise.
        nan: "propagate", or "omit" to leave nan out, listwise.
        accuracy: "high" always sums twice, in two words: 6.8 digits in float32, whatever the data.
            The default keeps 6.2 of one long axis, but of many short columns the worst may keep
            5.5; up to 8192 elements both are the same.

    Returns:
        An array in the inputs' floating dtype; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x or y holds no numbers, or `where` no bools.
        ValueError: the shapes differ; an axis is out of range or repeated; weights or `where` do
            not broadcast.

    >>> float(cov([1.0, 2.0, 4.0, 18.0], [2.0, 4.0, 8.0, 36.0]))
    94.375
    """
    options = _options(weights, where, nan, accuracy)
    return call("cov", {"x": x, "y": y}, axis, keepdims, correction, options)


def corr(
    x: Any,
    y: Any,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Any = None,
    where: Any = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
) -> jax.Array:
    """Return Pearson's correlation coefficient of pairs, in −1 … 1.

    Sums are kept in units of powers of two, which is exact, so that nothing under- or overflows:
    `corr(2**k * x, 2**j * y)` is `corr(x, y)` to the bit, and `corr(x, x)` is 1.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        y: an array of the same shape.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are, listwise.
        nan: "propagate", or "omit" to leave nan out, listwise.
        accuracy: "high" always sums twice, in two words: 6.8 digits in float32, whatever the data.
            The default keeps 6.2 of one long axis, but of many short columns the worst may keep
            5.5; up to 8192 elements both are the same.

    Returns:
        An array in the inputs' floating dtype; nan where x or y is constant or empty.

    Raises:
        TypeError: x or y holds no numbers, or `where` no bools.
        ValueError: the shapes differ; an axis is out of range or repeated; weights or `where` do
            not broadcast.

    Source: Pearson (1895), "Note on regression and inheritance in the case of two parents".

    >>> round(float(corr([1.0, 2.0, 4.0, 18.0], [1.0, 3.0, 2.0, 9.0])), 4)
    0.9734
    """
    options = _options(weights, where, nan, accuracy)
    return call("corr", {"x": x, "y": y}, axis, keepdims, 0, options)


def _options(weights: Any, where: Any, nan: Any, accuracy: Any) -> dict[str, Any]:
    return {"weights": weights, "where": where, "nan": nan, "accuracy": accuracy}
