"""Tests of means and variances, from the moments of the samples.

A sample is an array, or `Moments` that were found before: by `moments`, with weights and masks, or
by `folds.moments`, of any stream.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> a, b = jnp.array([1.0, 2.0, 4.0, 18.0]), jnp.array([9.0, 16.0, 20.0, 7.0, 12.0])
>>> round(float(jf.stats.welch(a, b).p), 4)
0.2146
>>> kept = jf.fold(jf.folds.moments(), [a[:2], a[2:]])
>>> round(float(jf.stats.welch(kept, jf.stats.moments(b, where=b < 20)).p), 4)
0.3384

Paired samples are one, of their differences: ``ttest(a - b)``.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from .._kernels.moments.formulas import Call
from .._kernels.moments.moments import Moments, times
from .._kernels.moments.significance import (
    Sample,
    Significance,
    analysis_of_variance,
    f_test,
    t_test,
)
from .._kernels.sample.arguments import (
    REAL,
    Axes,
    Axis,
    Data,
    Nan,
    Numbers,
    check,
    compiled,
    scalar,
)
from .._kernels.sample.weights import Frequency, Probability, Reliability

NO_COUNT = (
    "{who}: weights are {weights}, which count no observations; give Frequency, or take a "
    "Statistic, whose formula is given Moments of all kinds of weights"
)
Alternative = Literal["two-sided", "less", "greater"]


def moments(
    x: Numbers,
    *,
    axis: Axis = None,
    weights: Frequency | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Moments:
    """Return the `Moments` of a sample up to squares, for tests and for formulas of one's own.

    See also `moment`, one central moment as a number.

    Args:
        x: real array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        weights: `Frequency` weights, or a bare array of them: a test counts observations.
        where: as in `var`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        `Moments`, a pytree whose mean and variance are nan of nothing.

    Raises:
        TypeError, ValueError: as `var`; weights are no frequencies.

    >>> found = moments([1.0, 2.0, 4.0, 18.0])
    >>> float(found.mean), float(found.var())
    (6.25, 47.1875)
    """
    if isinstance(weights, Reliability | Probability):
        raise TypeError(NO_COUNT.format(who="moments", weights=type(weights).__name__))
    data, axes = check("moments", {"x": x}, axis, weights, where, nan, real=REAL)
    return _moments(data, axes=axes, nan=nan)


@compiled()
def _moments(data: Data, *, axes: Axes, nan: Nan) -> Moments:
    call = Call.of(data, nan, axes, signed=True)
    found = call.moments(data.values, 2)
    return as_values(found._replace(weight=times(found.weight, call.weight_unit)), call.weight_unit)


def as_values(found: Moments, unit: Array | None = None) -> Moments:
    """Return moments of frequencies without functions, a pytree; their powers are in that unit."""
    (pivot, offset), (square,) = found.words[0], found.powers
    pivot = jnp.where(found.weight != 0, pivot, jnp.nan)
    return Moments(found.weight, ((pivot, offset),), (times(square, unit),), (found.units[0],))


def ttest(
    a: Numbers | Moments,
    b: Numbers | Moments | None = None,
    *,
    mean: ArrayLike = 0.0,
    axis: Axis = None,
    nan: Nan = "propagate",
    alternative: Alternative = "two-sided",
) -> Significance:
    """Return Student's t-test of a mean, or of the means of two samples of equal variance.

    Args:
        a: a real array, or `Moments`.
        b: another sample, of any size; None to test a alone.
        mean: what the mean of a is compared with, or its difference from b's.
        axis: the axis or axes of arrays to reduce; all by default.
        nan: "propagate", or "omit" to leave nan out of arrays.
        alternative: whether the mean is other than the one compared with, "less" or "greater".

    Returns:
        A `Significance`, in the samples' floating dtype; nan of fewer than two observations, of two
        samples fewer than three, and of constants that do not differ.

    Raises:
        TypeError: a sample holds no real numbers.
        ValueError: an axis is out of range, or a word is unknown.

    Source: Student (1908), "The probable error of a mean".

    >>> found = ttest(jnp.array([1.0, 2.0, 4.0, 18.0]), mean=1.0)
    >>> round(float(found.statistic), 4), float(found.freedom), round(float(found.p), 4)
    (1.3238, 3.0, 0.2774)
    """
    _check_words("ttest", alternative)
    samples, dtype = _samples("ttest", (a,) if b is None else (a, b), axis, nan)
    mean = scalar("ttest", "mean", mean)
    return _t(samples, mean, pooled=True, alternative=alternative, dtype=dtype)


def welch(
    a: Numbers | Moments,
    b: Numbers | Moments,
    *,
    mean: ArrayLike = 0.0,
    axis: Axis = None,
    nan: Nan = "propagate",
    alternative: Alternative = "two-sided",
) -> Significance:
    """Return Welch's t-test of the means of two samples, whose variances may differ.

    Args:
        a: a real array, or `Moments`.
        b: another sample, of any size.
        mean: what the difference of the means, a's less b's, is compared with.
        axis: as in `ttest`.
        nan: as in `ttest`.
        alternative: as in `ttest`.

    Returns:
        A `Significance`; nan where a sample has fewer than two observations, and of constants that
        do not differ.

    Raises:
        TypeError, ValueError: as `ttest`.

    Source: Welch (1947), "The generalization of 'Student's' problem when several different
    population variances are involved".

    >>> round(float(welch([1.0, 2.0, 4.0, 18.0], [9.0, 16.0, 20.0]).statistic), 4)
    -1.714
    """
    _check_words("welch", alternative)
    samples, dtype = _samples("welch", (a, b), axis, nan)
    mean = scalar("welch", "mean", mean)
    return _t(samples, mean, pooled=False, alternative=alternative, dtype=dtype)


def ftest(
    a: Numbers | Moments,
    b: Numbers | Moments,
    *,
    axis: Axis = None,
    nan: Nan = "propagate",
    alternative: Alternative = "two-sided",
) -> Significance:
    """Return the F-test of the variances of two samples, F = var(a) / var(b).

    Args:
        a: a real array, or `Moments`.
        b: another sample, of any size.
        axis: as in `ttest`.
        nan: as in `ttest`.
        alternative: whether a's variance is other than b's, "less" or "greater".

    Returns:
        A `Significance`; nan where a sample has fewer than two observations, or both are constant.

    Raises:
        TypeError, ValueError: as `ttest`.

    >>> found = ftest([1.0, 2.0, 4.0, 18.0], [9.0, 16.0, 20.0])
    >>> round(float(found.statistic), 4), [int(n) for n in found.freedom]
    (2.0296, [3, 2])
    """
    _check_words("ftest", alternative)
    samples, dtype = _samples("ftest", (a, b), axis, nan)
    return _f(samples, alternative=alternative, dtype=dtype)


def anova(*samples: Numbers | Moments, axis: Axis = None, nan: Nan = "propagate") -> Significance:
    """Return the one-way analysis of variance: the F-test of whether all means are one.

    Args:
        *samples: two or more real arrays, of any size, or `Moments`.
        axis: as in `ttest`.
        nan: as in `ttest`.

    Returns:
        A `Significance`; nan where there are no more observations than samples, a sample is empty,
        or all are one constant.

    Raises:
        TypeError: as `ttest`; fewer than two samples are given.
        ValueError: as `ttest`.

    Source: Fisher (1925), "Statistical methods for research workers", chapter VII.

    >>> found = anova([1.0, 2.0, 4.0, 18.0], [9.0, 16.0, 20.0], [30.0, 33.0])
    >>> round(float(found.statistic), 4), round(float(found.p), 4)
    (9.9938, 0.0123)
    """
    if len(samples) < 2:
        raise TypeError(f"anova: {len(samples)} samples are given, two or more are needed")
    found, dtype = _samples("anova", samples, axis, nan)
    return _anova(found, dtype=dtype)


def _samples(
    who: str, given: tuple[Numbers | Moments, ...], axis: Axis, nan: Nan
) -> tuple[list[Sample], DTypeLike]:
    """Return the samples, and the dtype of answers."""
    found, dtypes = [], []
    for k, m in enumerate(given):
        narrow = np.dtype(np.int32)
        if not isinstance(m, Moments):
            name = "ab"[k] if len(given) < 3 else f"sample {k + 1}"
            data, axes = check(who, {name: m}, axis, nan=nan, real=REAL)
            m = _moments(data, axes=axes, nan=nan)
            narrow = data.values[0].dtype
        found.append(Sample.of(m))
        dtypes.append(narrow if jnp.issubdtype(narrow, jnp.floating) else found[-1].var.dtype)
    try:
        np.broadcast_shapes(*(s.var.shape for s in found))
    except ValueError as error:
        shapes = ", ".join(str(s.var.shape) for s in found)
        raise ValueError(
            f"{who}: what is left of the samples has shapes {shapes}, which do not broadcast; "
            "give samples that are alike but along axis"
        ) from error
    dtype = functools.reduce(jnp.promote_types, (s.var.dtype for s in found))
    found = [jax.tree.map(lambda v: v.astype(dtype), s) for s in found]
    return found, functools.reduce(jnp.promote_types, dtypes)


def _check_words(who: str, alternative: str) -> None:
    if alternative not in ("two-sided", "less", "greater"):
        raise ValueError(
            f"{who}: alternative is {alternative!r}; it must be 'two-sided', 'less' or 'greater'"
        )


@compiled("pooled", "alternative", "dtype")
def _t(
    samples: list[Sample], mean: ArrayLike, *, pooled: bool, alternative: str, dtype: DTypeLike
) -> Significance:
    return _cast(t_test(samples, mean, pooled=pooled, alternative=alternative), dtype)


@compiled("alternative", "dtype")
def _f(samples: list[Sample], *, alternative: str, dtype: DTypeLike) -> Significance:
    return _cast(f_test(samples, alternative=alternative), dtype)


@compiled("dtype")
def _anova(samples: list[Sample], *, dtype: DTypeLike) -> Significance:
    return _cast(analysis_of_variance(samples), dtype)


def _cast(found: Significance, dtype: DTypeLike) -> Significance:
    return jax.tree.map(lambda v: v.astype(dtype), found)
