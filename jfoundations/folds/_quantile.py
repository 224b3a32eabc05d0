"""Quantiles as folds: to a share of their value in one pass, exact in three.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> blocks = [jnp.array([4.0, 1.0]), jnp.array([18.0, 2.0])]
>>> near = jf.fold(jf.folds.sketch(), blocks)
>>> nearer = jf.fold(jf.folds.narrow(0.5, within=near), blocks)
>>> float(jf.fold(jf.folds.median(within=nearer), blocks))
3.0
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.inputs import as_array
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.order.log_bins import Ladder
from .._kernels.sample.arguments import numbers
from ..stats._order import probabilities
from ._elements import Kind, Nan, Taken, checked, one, rows_of, zero_rows
from ._narrow import Narrow, narrowed
from ._sketch import Sketch, carrier, merged, sketched


def sketch(
    *,
    accuracy: float = 0.01,
    around: ArrayLike = 0.0,
    weights: Kind = None,
    nan: Nan = "propagate",
) -> Fold[Sketch]:
    """Return the fold of a `Sketch`: counts in bins, which know every quantile nearly.

    See also `quantile`, which answers given probabilities at once, and `narrow`, a second pass.

    Each order statistic is found to `accuracy` of its value where that is within 6.3 octaves, a
    factor of 79, of the largest magnitude; to twice that within 4.2 octaves more, and so on five
    times; what is smaller counts as 0. If all elements have one sign, octaves are twice as many. So
    data far from 0, of mean 1000 and deviation 1, need `around=1000.0`: of x the float x - around
    is counted, and what is said of values and magnitudes is true of that. Extremes are exact, and
    so are whole numbers up to 50 that are within those first octaves.

    It holds 4,060 bytes for each number of an element at 0.01, and 41 / accuracy at others. The
    same elements give the same bits in whatever order and parts, and with them whole weights; sums
    of fractional weights are rounded in 32 bits. A bin holds fewer than 2**40 elements; beyond
    that quantiles are nan.

    Args:
        accuracy: a Python float from 1e-4 to 0.2.
        around: a number, or an array that broadcasts to an element; for integers it is rounded.
        weights: as in `mean`; all kinds are alike. Of weights of an integer dtype, below 2**31, the
            sketch is that of the repeated elements. Fractional ones are kept in float32, and a
            quantile is the least element at which the weights up to it reach q·W.
        nan: "propagate": a nan makes all quantiles nan; "omit" leaves it out.

    Raises:
        TypeError: accuracy is no number; or, when it is run, the elements are trees or complex.
        ValueError: accuracy is out of its range, around not finite; or, when it is run, around does
            not fit.

    >>> import jfoundations as jf
    >>> found = jf.fold(sketch(), jnp.array([1.0, 2.0, 4.0]))
    >>> int(found.count), float(found.maximum), int(found.at_maximum)
    (3, 4.0, 1)
    """
    return _sketch("sketch", accuracy, around, weights, nan)


def narrow(q: Any, *, within: Sketch | Narrow) -> Fold[Narrow]:
    """Return the fold of a `Narrow`: where quantiles are, 2**16 times nearer than was known.

    After a sketch, a pass with it and a pass of `quantile` over the same data give the exact
    quantile of float32; float64 takes two more. What `around` rounds stays rounded.

    Args:
        q: probabilities, a scalar or of shape (m,); of a `Narrow` they are what they were.
        within: the answer of `sketch()` or `narrow()` over the same data, without weights.

    Raises:
        TypeError: q holds no real numbers; within is neither.
        ValueError: q is outside [0, 1] or has two or more dimensions; within is of weights.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 18.0])
    >>> found = jf.fold(narrow(0.5, within=jf.fold(jf.folds.sketch(), x)), x)
    >>> abs(float(found.value) - 2.0) < 1e-6
    True
    """
    return narrowed("narrow", probabilities("folds.narrow", q), within)


def quantile(
    q: Any,
    *,
    accuracy: float = 0.01,
    around: ArrayLike = 0.0,
    within: Sketch | Narrow | None = None,
    weights: Kind = None,
    nan: Nan = "propagate",
) -> Fold[jax.Array]:
    """Return the fold of quantiles, elementwise, linear between order statistics.

    Alone it takes one pass, and each order statistic is as near as `sketch` has it; where the two
    have opposite signs that bounds the distance from the interval between them. With the sketch of
    a first pass over the same data it is 2**16 times nearer, and with what `narrow` makes of that
    in a second pass exact: `stats.quantile` to the bit. With `around` that is true of x - around,
    as a float: what rounded that is lost, in the last digits of the larger of x and around.

    Args:
        q: probabilities, a scalar or of shape (m,).
        accuracy: as in `sketch`; with `within`, what that said.
        around: likewise.
        within: the answer of `sketch()` or `narrow()` over the same data. Data that differ in
            number where it matters give nan.
        weights: as in `sketch`; none with `within`.
        nan: as in `sketch`; with `within`, what that said.

    Returns:
        A fold whose answer has q's shape and then an element's; nan over nothing.

    Raises:
        TypeError: q holds no real numbers; within is neither.
        ValueError: q is outside [0, 1] or has two or more dimensions; there are weights, and
            within.

    >>> import jfoundations as jf
    >>> found = float(jf.fold(jf.folds.quantile(0.5), jnp.array([1.0, 2.0, 18.0])))
    >>> abs(found - 2.0) <= 2.0 * 0.01
    True
    """
    return _quantile("quantile", q, accuracy, around, within, weights, nan)


def median(
    *,
    accuracy: float = 0.01,
    around: ArrayLike = 0.0,
    within: Sketch | Narrow | None = None,
    weights: Kind = None,
    nan: Nan = "propagate",
) -> Fold[jax.Array]:
    """Return the fold of the median, elementwise: `quantile(0.5)`.

    Args:
        accuracy: as in `quantile`.
        around: as in `quantile`.
        within: as in `quantile`; the median is then nearer, or exact.
        weights: as in `quantile`.
        nan: as in `quantile`.

    >>> import jfoundations as jf
    >>> abs(float(jf.fold(median(), jnp.array([1.0, 2.0, 18.0]))) - 2.0) <= 2.0 * 0.01
    True
    """
    return _quantile("median", 0.5, accuracy, around, within, weights, nan)


def iqr(
    *,
    accuracy: float = 0.01,
    around: ArrayLike = 0.0,
    within: Sketch | Narrow | None = None,
    weights: Kind = None,
    nan: Nan = "propagate",
) -> Fold[jax.Array]:
    """Return the fold of the interquartile range, elementwise: quantile ¾ - quantile ¼.

    Args:
        accuracy: as in `quantile`.
        around: as in `quantile`.
        within: as in `quantile`; the range is then nearer, or exact.
        weights: as in `quantile`.
        nan: as in `quantile`.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> abs(float(jf.fold(iqr(), x)) - 5.75) <= 0.01 * (7.5 + 1.75)
    True
    """
    ends = _quantile("iqr", (0.25, 0.75), accuracy, around, within, weights, nan)
    return ends.map(_apart, name="iqr")


def _apart(ends: jax.Array) -> jax.Array:
    return ends[1] - ends[0]


def _quantile(
    who: str, q: Any, accuracy: Any, around: Any, within: Any, weights: Kind, nan: Nan
) -> Fold[jax.Array]:
    q = probabilities(f"folds.{who}", q)
    if within is None:
        made = _sketch(who, accuracy, around, weights, nan)
        return made.map(partial(_ask, q.astype(jnp.result_type(float))), name=who)
    if weights is not None:
        raise ValueError(
            f"folds.{who}: there are weights, and within; further passes know no weights, do "
            "without within and ask for more accuracy"
        )
    return narrowed(who, q, within).map(_value, name=who)


@jax.jit
def _ask(q: jax.Array, found: Sketch) -> jax.Array:
    return found.quantile(q)


def _value(found: Narrow) -> jax.Array:
    return found.value


def _sketch(who: str, accuracy: Any, around: Any, weights: Kind, nan: Nan) -> Fold[Sketch]:
    taken = checked(who, weights, nan)
    if isinstance(accuracy, bool) or not isinstance(accuracy, float | int):
        raise TypeError(f"folds.{who}: accuracy is {accuracy!r}; a Python float is needed")
    if not 1e-4 <= accuracy <= 0.2:  # nan too
        raise ValueError(f"folds.{who}: accuracy is {accuracy!r}; it must lie in [1e-4, 0.2]")
    around = numbers(f"folds.{who}", "around", around)
    if jnp.iscomplexobj(around):
        raise TypeError(f"folds.{who}: around is complex; a real number is needed")
    if not isinstance(around, Tracer) and not np.isfinite(np.asarray(around, float)).all():
        raise ValueError(f"folds.{who}: around is {around}; finite numbers are needed")
    ladder = Ladder.of(float(accuracy))
    init, step, block = (partial(f, taken, ladder, around) for f in (_init, _step, _block))
    return Fold(init, step, merged, block=block, block_where=block, name="sketch")


def _block(
    taken: Taken, ladder: Ladder, around: jax.Array, xs: PyTree, kept: jax.Array | None = None
) -> Sketch:
    data = xs if taken.weights is None or not isinstance(xs, tuple) else xs[0]
    if isinstance(data, dict | list | tuple) or jnp.iscomplexobj(data):
        what = "complex" if hasattr(data, "dtype") else "trees"
        raise TypeError(
            f"this fold's elements are {what}; real arrays, which have an order, are needed; pick "
            "them out with .of(lambda element: ...)"
        )
    (x,), times = rows_of(taken, xs, kept)
    x, bad = (x.astype(np.uint8) if x.dtype == np.bool_ else x), None
    if taken.weights is not None:
        times, bad = _times(xs[1], times, x.ndim)
    fixed = carrier(x.dtype)
    around = jnp.asarray(around, fixed)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        around = jnp.round(around)
    shape, form = x.shape[1:], around.shape
    if len(form) > len(shape) or any(
        n not in (1, m) for n, m in zip(form[::-1], shape[::-1], strict=False)
    ):
        raise ValueError(
            f"around has shape {form}, which does not broadcast to an element's {shape}"
        )
    return sketched(x, times, bad, around, ladder)


def _times(given: Any, times: jax.Array, ndim: int) -> tuple[jax.Array, jax.Array | None]:
    """Return weights as they are counted, and which of them are none; these count once, as nan."""
    given = as_array(given, "this fold", "a weight")
    if times.dtype == np.bool_:
        return times, None
    if jnp.issubdtype(given.dtype, jnp.integer):
        bad = ~((times >= 0) & (times < 2.0**31))
        wide = given.reshape(*given.shape[:1], *(1,) * (ndim - given.ndim), *given.shape[1:])
        times = jnp.where(times == 0, 0, wide).astype(np.uint32)
    else:
        times = times.astype(np.float32)
        bad = ~((times >= 0) & (times < np.inf))
    return jnp.where(bad, 1, times), bad


def _init(taken: Taken, ladder: Ladder, around: jax.Array, like: PyTree) -> Sketch:
    return _block(taken, ladder, around, zero_rows(like))


def _step(taken: Taken, ladder: Ladder, around: jax.Array, memory: Sketch, x: Any) -> Sketch:
    return merged(memory, _block(taken, ladder, around, one(x)))
