"""Covariance and correlation of pairs, with the keywords of `mean` and `var`.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.cov(t, 2 * t)), float(stats.corr(t, 2 * t))
(94.375, 1.0)
"""

from __future__ import annotations

from typing import Any

from jax.typing import ArrayLike

from .._kernels.moments.formulas import call
from .._kernels.sample.arguments import Axis, Nan, Numbers
from .._kernels.sample.weights import Weights
from ._basic import Accuracy, options


def cov(
    x: Numbers,
    y: Numbers,
    *,
    axis: Axis = None,
    correction: ArrayLike = 0,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
    reproducible: bool = False,
    return_bound: bool = False,
) -> Any:
    """Return the covariance Σw(x − mean x)·conj(y − mean y) / (W − correction) of pairs.

    See also `cov_matrix`, of the columns of one array.

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
        accuracy: "high" sums in two words: 6.8 digits in float32, whatever the data. The default
            keeps 6.2 of one long axis, but of many short columns the worst may keep 5.5.
        reproducible: whether any order and any sharding of the elements give the same bits; see
            `sum`.
        return_bound: whether to return a bound on the error too; see `mean`.

    Returns:
        An array in the inputs' floating dtype; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x or y holds no numbers, or `where` no bools.
        ValueError: the shapes differ; an axis is out of range or repeated; weights or `where` do
            not broadcast.

    >>> float(cov([1.0, 2.0, 4.0, 18.0], [2.0, 4.0, 8.0, 36.0]))
    94.375
    """
    keywords = options(weights, where, nan, accuracy, reproducible, return_bound)
    return call("cov", {"x": x, "y": y}, axis, keepdims, correction, keywords)


def corr(
    x: Numbers,
    y: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
    reproducible: bool = False,
    return_bound: bool = False,
) -> Any:
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
        accuracy: "high" sums in two words: 6.8 digits in float32, whatever the data. The default
            keeps 6.2 of one long axis, but of many short columns the worst may keep 5.5.
        reproducible: whether any order and any sharding of the elements give the same bits; see
            `sum`.
        return_bound: whether to return a bound on the error too; see `mean`.

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
    keywords = options(weights, where, nan, accuracy, reproducible, return_bound)
    return call("corr", {"x": x, "y": y}, axis, keepdims, 0, keywords)
