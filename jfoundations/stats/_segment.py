"""Statistics of groups: of the elements that share a segment id.

Each is that of the array function of its name, in one pass; what is not made of moments has none.

>>> from jfoundations import stats
>>> stats.segment_mean([1.0, 2.0, 4.0, 18.0], [0, 0, 1, 1], num_segments=3)
Array([ 1.5, 11. ,  nan], dtype=float32)
"""

from __future__ import annotations

from typing import Any, Literal

from jax import Array
from jax.typing import ArrayLike

from .._kernels.moments.formulas import FORMULAS, of_shape
from .._kernels.moments.groups import of_segments
from .._kernels.sample.arguments import REAL, Data, Nan, Numbers, check, compiled, scalar
from .._kernels.sample.group_ids import segments_of
from .._kernels.sample.weights import Weights


def segment_mean(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's mean along axis 0.

    Args:
        x: real array of shape (n, ...); bool and int become the default float.
        segment_ids: ints of shape (n,), of any type; ids outside 0 … num_segments − 1 belong to no
            segment.
        num_segments: a Python int: how many segments the answer has.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...) in x's floating dtype; nan for an empty segment.

    Raises:
        TypeError: x holds no real numbers, the ids no ints, num_segments is no int (or is traced).
        ValueError: the ids' length differs from x's, or num_segments is not positive.

    >>> segment_mean([1.0, 3.0, 8.0], [0, 0, 1], num_segments=2)
    Array([2., 8.], dtype=float32)
    """
    return _call("mean", (x,), segment_ids, num_segments, 0, weights, where, nan)


def segment_sum(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's sum Σwx along axis 0.

    `jax.ops.segment_sum` with weights and masks, summed in blocks.

    Args:
        x: real array of shape (n, ...).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        weights: as in `sum`.
        where: as in `sum`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...) in x's floating dtype; 0 for an empty segment.

    Raises: TypeError, ValueError, as `segment_mean`.

    >>> segment_sum([1.0, 3.0, 8.0], [0, 0, 1], num_segments=2)
    Array([4., 8.], dtype=float32)
    """
    return _call("sum", (x,), segment_ids, num_segments, 0, weights, where, nan)


def segment_var(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: ArrayLike = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's variance along axis 0: `segment_cov(x, x)` to the bit.

    Args:
        x: real array of shape (n, ...).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: as in `var`.
        weights: as in `var`.
        where: as in `var`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...); nan where n ≤ correction or n = 0.

    Raises: TypeError, ValueError, as `segment_mean`.

    Source: the two-pass algorithm about a value of each segment; Chan, Golub and LeVeque (1983),
    "Algorithms for computing the sample variance".

    >>> segment_var([1.0, 3.0, 8.0], [0, 0, 1], num_segments=2)
    Array([1., 0.], dtype=float32)
    """
    return _call("var", (x,), segment_ids, num_segments, correction, weights, where, nan)


def segment_std(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: ArrayLike = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's standard deviation along axis 0.

    Args:
        x: real array of shape (n, ...).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: as in `std`.
        weights: as in `std`.
        where: as in `std`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...); nan where n ≤ correction or n = 0.

    Raises: TypeError, ValueError, as `segment_mean`.

    >>> segment_std([1.0, 3.0, 8.0], [0, 0, 1], num_segments=2)
    Array([1., 0.], dtype=float32)
    """
    return _call("std", (x,), segment_ids, num_segments, correction, weights, where, nan)


def segment_sem(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: ArrayLike = 1,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's standard error of the mean along axis 0, std / √n.

    Args:
        x: real array of shape (n, ...).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: as in `sem`.
        weights: as in `sem`.
        where: as in `sem`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...); nan where n ≤ correction or n = 0.

    Raises: TypeError, ValueError, as `segment_mean`.

    >>> segment_sem([1.0, 3.0, 8.0], [0, 0, 1], num_segments=2)
    Array([ 1., nan], dtype=float32)
    """
    return _call("sem", (x,), segment_ids, num_segments, correction, weights, where, nan)


def segment_cov(
    x: Numbers,
    y: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: ArrayLike = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's covariance of pairs along axis 0.

    Args:
        x: real array of shape (n, ...).
        y: an array of the same shape.
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: as in `cov`.
        weights: as in `cov`.
        where: as in `cov`, listwise.
        nan: "propagate", or "omit" to leave nan out, listwise.

    Returns:
        An array of shape (num_segments, ...); nan where n ≤ correction or n = 0.

    Raises: TypeError, ValueError, as `segment_mean`; the shapes of x and y differ.

    >>> segment_cov([1.0, 3.0, 8.0, 9.0], [2.0, 6.0, 16.0, 18.0], [0, 0, 1, 1], num_segments=2)
    Array([2. , 0.5], dtype=float32)
    """
    return _call("cov", (x, y), segment_ids, num_segments, correction, weights, where, nan)


def segment_corr(
    x: Numbers,
    y: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's Pearson correlation of pairs along axis 0, in −1 … 1.

    Args:
        x: real array of shape (n, ...).
        y: an array of the same shape.
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        weights: as in `corr`.
        where: as in `corr`, listwise.
        nan: "propagate", or "omit" to leave nan out, listwise.

    Returns:
        An array of shape (num_segments, ...); nan where x or y is constant or empty.

    Raises: TypeError, ValueError, as `segment_mean`; the shapes of x and y differ.

    >>> segment_corr([1.0, 3.0, 8.0, 9.0], [3.0, 1.0, 9.0, 8.0], [0, 0, 1, 1], num_segments=2)
    Array([-1., -1.], dtype=float32)
    """
    return _call("corr", (x, y), segment_ids, num_segments, 0, weights, where, nan)


def segment_skew(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: Literal[0, 1] = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's skewness m₃ / m₂^(3/2) along axis 0, biased as `skew`.

    Args:
        x: real array of shape (n, ...).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: 0, or 1 for the unbiased estimate, as in `skew`.
        weights: as in `skew`.
        where: as in `skew`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...); nan where a segment is constant or empty.

    Raises: TypeError, ValueError, as `segment_mean`.

    >>> x, ids = [1.0, 2.0, 4.0, 18.0, -1.0, 1.0], [0, 0, 0, 0, 1, 1]
    >>> segment_skew(x, ids, num_segments=2).round(4)
    Array([1.0716, 0.    ], dtype=float32)
    """
    form = of_shape("skew", correction, "segment_")
    return _call("skew", (x,), segment_ids, num_segments, 0, weights, where, nan, form)


def segment_kurtosis(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: Literal[0, 1] = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's excess kurtosis m₄ / m₂² − 3 along axis 0, biased as `kurtosis`.

    Args:
        x: real array of shape (n, ...).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: 0, or 1 for the unbiased estimate, as in `kurtosis`.
        weights: as in `kurtosis`.
        where: as in `kurtosis`.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        An array of shape (num_segments, ...); nan where a segment is constant or empty.

    Raises: TypeError, ValueError, as `segment_mean`.

    >>> x, ids = [1.0, 2.0, 4.0, 18.0, -1.0, 1.0], [0, 0, 0, 0, 1, 1]
    >>> segment_kurtosis(x, ids, num_segments=2).round(4)
    Array([-0.7351, -2.    ], dtype=float32)
    """
    form = of_shape("kurtosis", correction, "segment_")
    return _call("kurtosis", (x,), segment_ids, num_segments, 0, weights, where, nan, form)


def _call(
    name: str,
    values: tuple[Numbers, ...],
    ids: Numbers,
    num_segments: Any,
    correction: ArrayLike,
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: Nan,
    form: str = "",
) -> Array:
    """Check the arguments, then run the one compiled core by the formula of that or this name."""
    who = f"segment_{name}"
    correction = scalar(who, "correction", correction)
    named = dict(zip("xy", values, strict=False))
    data, _ = check(who, named, None, weights, where, nan, real=REAL)
    place, segments = segments_of(who, ids, num_segments, data.values[0].shape)
    return _core(data, place, correction, name=form or name, segments=segments, nan=nan)


@compiled("name", "segments")
def _core(
    data: Data, place: Array, correction: ArrayLike, *, name: str, segments: int, nan: Nan
) -> Array:
    if name == "sum":
        return of_segments(None, data, place, order=0, segments=segments, nan=nan)
    form = FORMULAS[name]
    words = {"order": form.order, "segments": segments, "nan": nan}
    return of_segments(lambda m: form.formula(m, correction), data, place, **words)
