"""What every statistic is given: data, axis, weights, where, nan; checked once, joined once.

`check` runs before tracing and speaks to the user; `join` runs inside the compiled core and turns
`weights`, `where` and `nan="omit"` into one array that says how much each element counts.
"""

import functools
import inspect
import operator
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from ..._core.inputs import NO_NUMBERS, as_array, as_given
from ..._core.sharding import automatic
from .weights import Frequency, Probability, Reliability, Weights

Axis = int | tuple[int, ...] | None
Axes = tuple[int, ...]
Nan = Literal["propagate", "omit"]
Accuracy = Literal["default", "high"]
# What holds numbers: an array, a scalar, or lists of them, nested to a rectangle.
Numbers: TypeAlias = ArrayLike | Sequence[Any]


ORDERED = "which has no order"
REAL = "and this is of real numbers alone"
PARTS = "give {name}.real and {name}.imag one after the other, or the sizes, abs({name})"


class Data(NamedTuple):
    """Checked arguments: a pytree, to be passed to a compiled core.

    Attributes:
        values: one array a variable, all of one shape.
        weights: a kind of weights, or None.
        where: a bool array that broadcasts against the values, or None.
    """

    values: tuple[jax.Array, ...]
    weights: Any
    where: Any


def check(
    who: str,
    named: dict[str, Any],
    axis: Axis,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
    real: str = "",
) -> tuple[Data, Axes]:
    """Return checked data and the axes to reduce, non-negative and sorted.

    Args:
        who: the function's name, for messages.
        named: the variables, by the names of their arguments.
        axis: None, an int or a tuple of ints.
        weights: a kind of weights, a bare array (frequencies) or None.
        where: a bool array or None.
        nan: "propagate" or "omit".
        real: why the variables must be real, if they must: `ORDERED` or `REAL`.

    Raises:
        TypeError: a variable or the weights hold no numbers, or where no bools; a variable is
            complex and must be real.
        ValueError: shapes do not fit, an axis is out of range or repeated, nan is unknown.
    """
    values = tuple(numbers(who, name, value) for name, value in named.items())
    for name, value in zip(named, values, strict=True):
        if real and jnp.iscomplexobj(value):
            raise TypeError(f"{who}: {name} is complex, {real}; {PARTS.format(name=name)}")
    shapes = [v.shape for v in values]
    if len(set(shapes)) > 1:
        said = " and ".join(f"{n} has shape {s}" for n, s in zip(named, shapes, strict=True))
        raise ValueError(f"{who}: {said}; pairs need equal shapes (broadcast them first)")
    if nan not in ("propagate", "omit"):
        raise ValueError(f"{who}: nan is {nan!r}; it must be 'propagate' or 'omit'")
    if weights is not None and not isinstance(weights, Frequency | Reliability | Probability):
        weights = Frequency(weights)
    if weights is not None:
        array = numbers(who, "weights", weights.values)
        if jnp.iscomplexobj(array):
            raise TypeError(f"{who}: weights are complex; give real ones")
        weights = type(weights)(_fits(who, "weights", array, shapes[0]))
    if where is not None:
        where = _fits(who, "where", numbers(who, "where", where), shapes[0])
        if where.dtype != np.bool_:
            raise TypeError(
                f"{who}: where has dtype {where.dtype}, a bool array is needed; "
                "numbers that count more or less are weights="
            )
    return Data(values, weights, where), axes_of(who, axis, len(shapes[0]))


def numbers(who: str, name: str, value: Any) -> jax.Array:
    """Return a value as an array of numbers, or say that it is none."""
    array = as_array(value, who, name)
    if jnp.issubdtype(array.dtype, jax.dtypes.extended):
        cure = "give a real or complex array, as jax.random.key_data makes of keys"
        raise TypeError(f"{who}: {name} is {NO_NUMBERS.format(kind=array.dtype, cure=cure)}")
    return array


def scalar(who: str, name: str, value: Any) -> Any:
    """Return one real number as it was given, or say that it is none."""
    value = as_given(value, who, name, "{value!r}; a real number is needed")
    if np.ndim(value):
        raise ValueError(f"{who}: {name} has shape {np.shape(value)}, a scalar is needed")
    if jnp.iscomplexobj(value):
        raise TypeError(f"{who}: {name} is complex, a real number is needed")
    return value


def axes_of(who: str, axis: Axis, ndim: int) -> Axes:
    """Return the axes to reduce, non-negative and sorted."""
    given = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    try:
        if any(isinstance(a, bool) for a in given):
            raise TypeError  # as keepdims=True may have been meant
        axes = [operator.index(a) for a in given]
    except TypeError:
        raise TypeError(
            f"{who}: axis is {axis!r}; an int, a tuple of ints or None is needed"
        ) from None
    for a in axes:
        if not -ndim <= a < ndim:
            raise ValueError(f"{who}: axis {a} is out of range for an array of {ndim} dimensions")
    axes = sorted(a % ndim for a in axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{who}: axis {axis} names an axis twice")
    return tuple(axes)


def _fits(who: str, name: str, array: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    try:
        fits = np.broadcast_shapes(array.shape, shape) == tuple(shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{who}: {name} has shape {array.shape}, which does not broadcast to x's {shape}"
        )
    return array


def join(data: Data, nan: Nan = "propagate", signed: bool = False) -> jax.Array | None:
    """Return how much each element counts, of the values' shape: None, bools, or floats ≥ 0.

    Hidden and omitted elements count 0, and so do those of weight 0. A negative weight is nan, or
    itself where the caller sees to that: the kernel does while it sums, which spares a copy.
    """
    shape = data.values[0].shape
    keep = None if data.where is None else jnp.broadcast_to(data.where, shape)
    if nan == "omit":
        for value in data.values:
            if jnp.issubdtype(value.dtype, jnp.inexact):
                known = ~jnp.isnan(value)
                keep = known if keep is None else keep & known
    if data.weights is None:
        return keep
    weights = jnp.broadcast_to(jnp.asarray(data.weights.values), shape)
    if weights.dtype == np.bool_:
        return weights if keep is None else keep & weights
    dtype = accumulator(jnp.result_type(*(v.dtype for v in data.values)))
    weights = weights.astype(jnp.finfo(dtype).dtype)
    weights = weights if keep is None else jnp.where(keep, weights, 0)
    return weights if signed else jnp.where(weights < 0, jnp.nan, weights)


def accumulator(dtype: DTypeLike) -> Any:
    """Return the dtype sums are kept in: default float for ints, float32 for half precision."""
    if not jnp.issubdtype(dtype, jnp.inexact):
        return jnp.result_type(float)
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)


def answer(value: jax.Array, data: Data, axes: Axes, keepdims: bool) -> jax.Array:
    """Cast an answer back to the data's precision, and put reduced axes back if asked."""
    value = jnp.expand_dims(value, axes) if keepdims else value
    dtype = functools.reduce(jnp.promote_types, (v.dtype for v in data.values))
    if not jnp.issubdtype(dtype, jnp.inexact):
        return value
    return value.astype(dtype if jnp.iscomplexobj(value) else jnp.finfo(dtype).dtype)


def compiled(*static: str) -> Any:
    """Compile a core once a shape: an eager call is one dispatch, a traced one is inlined.

    Args:
        *static: the names of arguments that are no arrays, beside `axes`, `keepdims` and `nan`.
    """

    def decorate(core: Any) -> Any:
        names = tuple(inspect.signature(core).parameters)
        fixed = {"axes", "keepdims", "nan", *static}.intersection(names)

        @functools.wraps(core)
        def run(*given: Any, **named: Any) -> Any:
            named |= dict(zip(names, given, strict=False))
            options = {name: named.pop(name) for name in fixed.intersection(named)}

            def call(named: dict[str, Any]) -> Any:
                return core(**named, **options)

            return automatic(call, reduced=options.get("axes", ()))(named)

        return jax.jit(run, static_argnames=sorted(fixed))

    return decorate
