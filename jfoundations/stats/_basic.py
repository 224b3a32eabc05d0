"""Mean, variance, covariance, correlation: the lesson's statistics, stable and exact.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.mean(t)), float(stats.var(t)), float(stats.mean_abs_dev(t))
(6.25, 47.1875, 5.875)
"""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._kernel import Axes, conjugate_product, difference, moments

Axis = int | tuple[int, ...] | None


def mean(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> jax.Array:
    """Return the arithmetic mean, of a constant exactly the constant.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.

    Returns:
        An array in x's floating dtype; nan over no elements.

    Raises:
        TypeError: x holds no numbers.
        ValueError: an axis is out of range or repeated.

    >>> float(mean([1.0, 2.0, 4.0, 18.0]))
    6.25
    """
    (data,), axes = _checked("mean", axis, x=x)
    return _mean(data, axes, bool(keepdims))


def var(
    x: ArrayLike, *, axis: Axis = None, correction: float = 0, keepdims: bool = False
) -> jax.Array:
    """Return the variance Σ|x − mean|² / (n − correction): `cov(x, x)` to the bit.

    A constant gives exactly 0, a translation that is exact changes no bit, and multiplying x by a
    power of two multiplies the result by its square exactly.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: 0 for the population's variance, 1 for the unbiased estimate.
        keepdims: keep reduced axes with length 1.

    Returns:
        A real array in x's floating dtype, ≥ 0; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x holds no numbers.
        ValueError: an axis is out of range or repeated.

    Source: the corrected two-pass algorithm about a pivot; Chan, Golub and LeVeque (1983).

    >>> float(var([1.0, 2.0, 4.0, 18.0]))
    47.1875
    """
    (data,), axes = _checked("var", axis, x=x)
    return _var(data, axes, bool(keepdims), correction)


def std(
    x: ArrayLike, *, axis: Axis = None, correction: float = 0, keepdims: bool = False
) -> jax.Array:
    """Return the standard deviation, the root of `var`, taken before any cast to half precision.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        correction: as in `var`.
        keepdims: keep reduced axes with length 1.

    Returns:
        A real array in x's floating dtype, ≥ 0; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x holds no numbers.
        ValueError: an axis is out of range or repeated.

    >>> round(float(std([1.0, 2.0, 4.0, 18.0])), 4)
    6.8693
    """
    (data,), axes = _checked("std", axis, x=x)
    return _std(data, axes, bool(keepdims), correction)


def mean_abs_dev(x: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> jax.Array:
    """Return the mean absolute deviation from the mean, Σ|x − mean| / n ≤ std.

    Args:
        x: real or complex array of any shape; bool and int become the default float.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.

    Returns:
        A real array in x's floating dtype; nan over no elements.

    Raises:
        TypeError: x holds no numbers.
        ValueError: an axis is out of range or repeated.

    >>> float(mean_abs_dev([1.0, 2.0, 4.0, 18.0]))
    5.875
    """
    (data,), axes = _checked("mean_abs_dev", axis, x=x)
    return _mean_abs_dev(data, axes, bool(keepdims))


def cov(
    x: ArrayLike,
    y: ArrayLike,
    *,
    axis: Axis = None,
    correction: float = 0,
    keepdims: bool = False,
) -> jax.Array:
    """Return the covariance Σ(x − mean x)·conj(y − mean y) / (n − correction) of pairs.

    `cov(x, y)` is `cov(y, x)` conjugated, to the bit, and `cov(x, x)` is `var(x)`.

    Args:
        x: real or complex array.
        y: an array of the same shape.
        axis: the axis or axes to reduce; all by default.
        correction: as in `var`; one default, so the lesson's corr is cov / std / std.
        keepdims: keep reduced axes with length 1.

    Returns:
        An array in the inputs' floating dtype; nan where n ≤ correction or n = 0.

    Raises:
        TypeError: x or y holds no numbers.
        ValueError: the shapes differ, or an axis is out of range or repeated.

    >>> float(cov([1.0, 2.0, 4.0, 18.0], [2.0, 4.0, 8.0, 36.0]))
    94.375
    """
    (a, b), axes = _checked("cov", axis, x=x, y=y)
    return _cov(a, b, axes, bool(keepdims), correction)


def corr(x: ArrayLike, y: ArrayLike, *, axis: Axis = None, keepdims: bool = False) -> jax.Array:
    """Return Pearson's correlation coefficient of pairs, in −1 … 1.

    The deviations are scaled by powers of two first, which is exact, so that nothing under- or
    overflows: `corr(2**k * x, 2**j * y)` is `corr(x, y)` to the bit.

    Args:
        x: real or complex array.
        y: an array of the same shape.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.

    Returns:
        An array in the inputs' floating dtype; nan where x or y is constant or empty.

    Raises:
        TypeError: x or y holds no numbers.
        ValueError: the shapes differ, or an axis is out of range or repeated.

    Source: Pearson (1895), "Note on regression and inheritance in the case of two parents".

    >>> round(float(corr([1.0, 2.0, 4.0, 18.0], [1.0, 3.0, 2.0, 9.0])), 4)
    0.9734
    """
    (a, b), axes = _checked("corr", axis, x=x, y=y)
    return _corr(a, b, axes, bool(keepdims))


def _checked(who: str, axis: Axis, **named: Any) -> tuple[list[jax.Array], Axes]:
    arrays = [_numbers(who, name, value) for name, value in named.items()]
    shapes = [a.shape for a in arrays]
    if len(set(shapes)) > 1:
        said = " and ".join(f"{n} has shape {s}" for n, s in zip(named, shapes, strict=True))
        raise ValueError(f"{who}: {said}; pairs need equal shapes (broadcast them first)")
    return arrays, _axes(who, axis, arrays[0].ndim)


def _numbers(who: str, name: str, value: Any) -> jax.Array:
    try:
        return jnp.asarray(None if isinstance(value, str | bytes) else value)
    except (TypeError, ValueError):
        kind = getattr(value, "dtype", None) or type(value).__name__
        raise TypeError(
            f"{who}: {name} is {kind}, which holds no numbers; give a real or complex array"
        ) from None


def _axes(who: str, axis: Axis, ndim: int) -> Axes:
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = []
    for a in given:
        a = operator.index(a)
        if not -ndim <= a < ndim:
            raise ValueError(f"{who}: axis {a} is out of range for an array of {ndim} dimensions")
        axes.append(a % ndim)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{who}: axis {axis} names an axis twice")
    return tuple(sorted(axes))


def _kernel(*static: str) -> Any:
    """Compile once a shape, so that an eager call is one dispatch and a traced one is inlined."""
    return functools.partial(jax.jit, static_argnames=("axes", "keepdims", *static))


def _answer(value: jax.Array, like: jax.Array, axes: Axes, keepdims: bool) -> jax.Array:
    """Cast an answer back to the data's precision, and put reduced axes back if asked."""
    value = jnp.expand_dims(value, axes) if keepdims else value
    if not jnp.issubdtype(like.dtype, jnp.inexact):
        return value
    real = jnp.finfo(like.dtype).dtype
    return value.astype(like.dtype if jnp.iscomplexobj(value) else real)


@_kernel()
def _mean(x: Any, axes: Any, keepdims: Any) -> Any:
    return _answer(moments((x,), axes, ()).mean(), x, axes, keepdims)


@_kernel()
def _var(x: Any, axes: Any, keepdims: Any, correction: Any) -> Any:
    value = moments((x,), axes, ((0, 0),)).covariance(0, correction)
    return _answer(value, x, axes, keepdims)


@_kernel()
def _std(x: Any, axes: Any, keepdims: Any, correction: Any) -> Any:
    value = moments((x,), axes, ((0, 0),)).covariance(0, correction)
    return _answer(jnp.sqrt(value), x, axes, keepdims)


@_kernel()
def _mean_abs_dev(x: Any, axes: Any, keepdims: Any) -> Any:
    found = moments((x,), axes, ())
    pivot, offset = (jnp.expand_dims(a[0], axes) for a in (found.pivots, found.offsets))
    deviations = jnp.abs(difference(x.astype(pivot.dtype), pivot) - offset)
    return _answer(jnp.mean(deviations, axis=axes), x, axes, keepdims)


@_kernel()
def _cov(x: Any, y: Any, axes: Any, keepdims: Any, correction: Any) -> Any:
    value = moments((x, y), axes, ((0, 1),)).covariance(0, correction)
    return _answer(value, _common(x, y), axes, keepdims)


@_kernel()
def _corr(x: Any, y: Any, axes: Any, keepdims: Any) -> Any:
    ex, ey = (_scaled_deviations(v, axes) for v in (x, y))
    total = lambda a, b, same: jnp.sum(conjugate_product(a, b, same), axis=axes)  # noqa: E731
    sxx, syy, sxy = total(ex, ex, True), total(ey, ey, True), total(ex, ey, False)
    return _answer(coefficient(sxx, syy, sxy), _common(x, y), axes, keepdims)


def coefficient(sxx: jax.Array, syy: jax.Array, sxy: jax.Array) -> jax.Array:
    """Return sxy / √sxx / √syy, of size at most 1, and exactly 1 where all three are equal."""
    value = sxy / jnp.sqrt(sxx).astype(sxy.dtype) / jnp.sqrt(syy).astype(sxy.dtype)
    size = jnp.abs(value)
    # s / √s / √s may round to just below 1; there x is ±y, and the answer that sign.
    proportional = (sxx == syy) & (jnp.abs(sxy) == sxx) & (sxx > 0)
    return jnp.where((size > 1) | proportional, value / size.astype(value.dtype), value)


def _common(x: jax.Array, y: jax.Array) -> Any:
    return jnp.zeros((), jnp.promote_types(x.dtype, y.dtype))


def _scaled_deviations(x: jax.Array, axes: Axes) -> jax.Array:
    """Return x − mean, divided by the power of two at or below its largest size."""
    found = moments((x,), axes, ())
    pivot, offset = (jnp.expand_dims(a[0], axes) for a in (found.pivots, found.offsets))
    rests = difference(x.astype(pivot.dtype), pivot) - offset
    largest = jnp.max(jnp.abs(rests), axis=axes, keepdims=True, initial=0)
    _, exponent = jnp.frexp(largest)
    # in two steps: 2**-exponent alone may overflow
    half = -exponent // 2
    one = jnp.ones_like(largest)
    first, second = jnp.ldexp(one, half), jnp.ldexp(one, -exponent - half)
    return rests * first.astype(rests.dtype) * second.astype(rests.dtype)
