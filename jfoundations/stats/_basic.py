"""Sum, mean, variance and deviations: the lesson's statistics, stable and exact.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.mean(t)), float(stats.var(t)), float(stats.mean_abs_dev(t))
(6.25, 47.1875, 5.875)

Weights and masks are the same on every function:

>>> float(stats.mean(t, where=t < 10)), float(stats.var(t, weights=jnp.array([3, 1, 0, 0])))
(2.33333..., 0.1875)
"""

from __future__ import annotations

from typing import Any

import jax
from jax.typing import ArrayLike

from .._kernels.moments.formulas import call
from .._kernels.sample.arguments import Accuracy, Axis, Nan, Numbers
from .._kernels.sample.weights import Weights


def sum(
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
    accuracy: Accuracy = "default",
    reproducible: bool = False,
) -> jax.Array:
    """Return the sum Σx or Σwx: a constant's is n times it, rounded once.

    With ``reproducible=True`` elements are added as integers (see `limbs`), so any permutation of
    them and any sharding of the array under `jit` give the same bits, and the sum is correctly
    rounded, whatever cancels. Of other functions with this keyword: a mean is off by at most 0.501
    units in the last place, a variance, deviation or covariance by a relative 4 u, without regard
    to the data; squares neither overflow nor vanish. Derivatives are those of the plain function.

    Args:
        x: real or complex array of any shape; bool and int become the default float, so a sum
            beyond 2**24 (2**53 under x64) is rounded, and none wraps.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, that broadcast against x. Weight 0 is deletion, even of nan; negative
            weights give nan.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate", or "omit" to leave nan out.
        accuracy: "high" finds the mean in two words; the default sums deviations from a value of
            the data plainly, to a few roundings of their sizes' sum.
        reproducible: whether any order and any sharding of the elements give the same bits.

    Returns:
        An array in x's floating dtype; 0 over no elements.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> float(sum([1e30, 1.0, -1e30], reproducible=True))
    1.0
    """
    keywords = options(weights, where, nan, accuracy, reproducible, False)
    return call("sum", {"x": x}, axis, keepdims, 0, keywords)


def mean(
    x: Numbers,
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
        accuracy: "high" sums in two words: 6.8 digits in float32, whatever the data. The default
            keeps 6.2 of one long axis, but of many short columns the worst may keep 5.5.
        reproducible: whether any order and any sharding of the elements give the same bits; see
            `sum`.
        return_bound: whether to return a bound on the error too, for the price of a second look at
            the data: the exact result of the data as they are given is within it. It is nan where
            the value is, inf where that is infinite, and takes no part in derivatives.

    Returns:
        An array in x's floating dtype; nan over no elements. mean([inf, 1]) is inf. With
        ``return_bound=True`` the value and its bound, of one dtype.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> float(mean([1.0, 2.0, 4.0, 18.0]))
    6.25
    """
    keywords = options(weights, where, nan, accuracy, reproducible, return_bound)
    return call("mean", {"x": x}, axis, keepdims, 0, keywords)


def var(
    x: Numbers,
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
        accuracy: "high" sums in two words: 6.8 digits in float32, whatever the data. The default
            keeps 6.2 of one long axis, but of many short columns the worst may keep 5.5.
        reproducible: whether any order and any sharding of the elements give the same bits; see
            `sum`.
        return_bound: whether to return a bound on the error too; see `mean`.

    Returns:
        A real array in x's floating dtype, ≥ 0; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    Masks and weights of 0 delete, and integer weights repeat, to a few roundings by default and to
    the last bit with ``reproducible=True``.

    Source: sums about a pivot, as by Chan, Golub and LeVeque (1983), "Algorithms for computing the
    sample variance"; a second read where the first says that it lost digits.

    >>> float(var([1.0, 2.0, 4.0, 18.0]))
    47.1875
    """
    keywords = options(weights, where, nan, accuracy, reproducible, return_bound)
    return call("var", {"x": x}, axis, keepdims, correction, keywords)


def std(
    x: Numbers,
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
        accuracy: "high" sums in two words: 6.8 digits in float32, whatever the data. The default
            keeps 6.2 of one long axis, but of many short columns the worst may keep 5.5.
        reproducible: whether any order and any sharding of the elements give the same bits; see
            `sum`.
        return_bound: whether to return a bound on the error too; see `mean`.

    Returns:
        A real array in x's floating dtype, ≥ 0; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> round(float(std([1.0, 2.0, 4.0, 18.0])), 4)
    6.8693
    """
    keywords = options(weights, where, nan, accuracy, reproducible, return_bound)
    return call("std", {"x": x}, axis, keepdims, correction, keywords)


def mean_abs_dev(
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
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
        accuracy: "high" sums in two words: 6.8 digits in float32, whatever the data. The default
            keeps 6.2 of one long axis, but of many short columns the worst may keep 5.5.

    Returns:
        A real array in x's floating dtype; nan over no elements.

    Raises:
        TypeError: x holds no numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> float(mean_abs_dev([1.0, 2.0, 4.0, 18.0]))
    5.875
    """
    keywords = options(weights, where, nan, accuracy, False, False)
    return call("mean_abs_dev", {"x": x}, axis, keepdims, 0, keywords)


def options(
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: Nan,
    accuracy: Accuracy,
    reproducible: Any,
    return_bound: Any,
) -> dict[str, Any]:
    """Gather the keywords that every function here has."""
    return {
        "weights": weights,
        "where": where,
        "nan": nan,
        "accuracy": accuracy,
        "reproducible": reproducible,
        "return_bound": return_bound,
    }
