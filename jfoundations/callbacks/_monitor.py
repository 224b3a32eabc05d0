"""What callbacks that look at a number share: reading it, what counts as better, their settings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from .._core.checks import check_function, keystr
from .._core.inputs import as_array
from .._core.types import Metric, PyTree
from .._core.values import describe, is_key, is_pytree

MODES = {"min": 1, "max": -1}


def check_mode(mode: str, who: str) -> int:
    """Return the sign that makes smaller better.

    Raises:
        ValueError: the mode is neither "min" nor "max".
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise ValueError(f"{who}: mode is {mode!r}; it must be 'min' or 'max'")
    return MODES[mode]


def check_of(of: object, who: str) -> None:
    """Raise unless what to look at is a function."""
    check_function(of, "of", who, "a function of the state, as lambda state: state['loss']")


def read(of: Metric, state: PyTree, who: str) -> jax.Array:
    """Return the monitored number in its own dtype; a float of 8 bits or fewer as a float32.

    Raises:
        TypeError: it is no real scalar.
    """
    value = of(state)
    if is_pytree(value):
        raise TypeError(
            f"{who}: what it monitors is {describe(value)}, a real scalar is needed; "
            "choose one, as in lambda state: state['loss']"
        )
    value = as_array(value, who, "what it monitors")
    if value.shape != () or jnp.iscomplexobj(value):
        raise TypeError(
            f"{who}: what it monitors has shape {value.shape} and dtype {value.dtype}, a real "
            "scalar is needed; reduce it, say with jnp.mean"
        )
    if is_key(value):
        raise TypeError(f"{who}: what it monitors is a PRNG key, a real scalar is needed")
    if is_float(value) and jnp.finfo(value.dtype).bits < 16:  # these know no infinity
        return value.astype(jnp.float32)
    return value.astype(value.dtype)  # no longer weakly typed


def is_float(value: Array | jax.ShapeDtypeStruct) -> bool:
    """Tell whether a number is a float, which has an infinity; not an integer or a bool."""
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


def worst(of: Metric, state: PyTree, sign: int, who: str) -> jax.Array:
    """Return what the best begins with: +inf ("max": -inf), of integers the last in order."""
    value = jax.eval_shape(lambda s: read(of, s, who), state)
    if is_float(value):
        return jnp.full((), sign * jnp.inf, value.dtype)
    if value.dtype == np.bool_:
        return jnp.asarray(sign > 0)
    range_ = jnp.iinfo(value.dtype)
    return jnp.full((), range_.max if sign > 0 else range_.min, value.dtype)


def first_wait(best: jax.Array) -> jax.Array:
    """Return how many waits there were before the first number; -1 says that it will be the best.

    Of floats the infinity says so, whose place no integer can take.
    """
    return jnp.asarray(0 if is_float(best) else -1, np.int32)


def precedes(value: Array, best: Array, sign: int) -> Array:
    """Tell whether a number is better than another: smaller, or with a negative sign greater."""
    return value < best if sign > 0 else value > best


def improves(value: Array, best: Array, margin: ArrayLike, sign: int) -> Array:
    """Tell whether value + margin < best ("max": value - margin > best), of integers exactly."""
    if not is_float(value):
        return precedes(value, best, sign) & exceeds(distance(value, best), margin)
    wide = widened(value.dtype)
    mine, least = sign * value.astype(wide), sign * best.astype(wide)
    # Of the infinite best, from which all begins, any margin is left, also where the sum overflows.
    first = (least == jnp.inf) & (mine < jnp.inf)
    return (mine + jnp.asarray(margin, wide) < least) | first


def passes(value: Array, bound: ArrayLike, sign: int) -> Array:
    """Tell whether a number is better than a bound, smaller or with a negative sign greater.

    Integers are compared as integers, also with a float; nan passes nothing.
    """
    bound = jnp.asarray(bound)
    if is_float(value):
        wide = widened(value.dtype)
        return precedes(value.astype(wide), bound.astype(wide), sign)
    if value.dtype == np.bool_:
        value = value.astype(np.int32)
    if is_float(bound):
        whole = jnp.ceil(bound) if sign > 0 else jnp.floor(bound)
        range_ = jnp.iinfo(value.dtype)
        inside = (whole >= float(range_.min)) & (whole < float(range_.max + 1))
        near = jnp.where(inside, whole, 0).astype(value.dtype)
        # Of a bound that no such integer reaches, any of them is on the same side, as 0 is.
        return jnp.where(
            inside, precedes(value, near, sign), precedes(jnp.zeros_like(whole), whole, sign)
        )
    wide = np.uint64 if 8 in (value.dtype.itemsize, bound.dtype.itemsize) else np.uint32
    below, negative = value < 0, bound < 0
    same = precedes(value.astype(wide), bound.astype(wide), sign)
    return jnp.where(below == negative, same, below if sign > 0 else negative)


def widened(dtype: DTypeLike) -> Any:
    """Return the dtype in which to compute with floats: of fewer than 32 bits, float32."""
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def distance(a: Array, b: Array) -> jax.Array:
    """Return |a - b| of integers or bools in an unsigned kind, where it cannot overflow."""
    wide = np.uint64 if a.dtype.itemsize == 8 else np.uint32
    return jnp.maximum(a, b).astype(wide) - jnp.minimum(a, b).astype(wide)


def exceeds(gap: jax.Array, bound: ArrayLike) -> jax.Array:
    """Tell whether an unsigned integer is greater than a number, which does not round it."""
    bound = jnp.asarray(bound)
    if jnp.issubdtype(bound.dtype, jnp.integer):
        wide = np.uint64 if 8 in (gap.dtype.itemsize, bound.dtype.itemsize) else np.uint32
        return gap.astype(wide) > jnp.maximum(bound, 0).astype(wide)
    bound = bound.astype(jnp.result_type(float))
    fits = bound < 2.0 ** (8 * gap.dtype.itemsize)  # not of nan
    whole = jnp.where(fits, jnp.maximum(jnp.floor(bound), 0), 0).astype(gap.dtype)
    return fits & (gap > whole)


def refuse_keys(tree: PyTree, who: str, what: str) -> None:
    """Raise if there is a PRNG key in what a callback looks at, which has none of what it needs."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if is_key(jax.typeof(leaf)):
            raise TypeError(
                f"{who}: {keystr(path, 'of(state)')} is a PRNG key, which has no {what}; let it "
                "look at the rest alone, as in of=lambda state: state['x']"
            )


def nonfinite(tree: PyTree) -> Any:
    """Return whether any number is nan or infinite; Python False where none can be."""
    bad = [
        ~jnp.all(jnp.isfinite(leaf))
        for leaf in jax.tree.leaves(tree)
        if jnp.issubdtype(jax.typeof(leaf).dtype, jnp.inexact)
    ]
    return jnp.any(jnp.stack(bad)) if bad else False


def float_leaf(value: ArrayLike, name: str, who: str, least: float, below: float = np.inf) -> Any:
    """Return a setting as a float, a leaf of its callback; arrays (perhaps traced) as they are.

    An int that a float32 would round stays an int.

    Raises:
        TypeError: it is no real number.
        ValueError: a Python number that is not in [least, below).
    """
    if (dtype := getattr(value, "dtype", None)) is not None:
        if not jnp.issubdtype(dtype, np.integer) and not jnp.issubdtype(dtype, np.floating):
            raise TypeError(f"{who}: {name} is {describe(value)}, a real number is needed")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{who}: {name} is {value!r}, a number is needed")
    if not least <= value < below:
        bounds = {(0, np.inf): "≥ 0", (-np.inf, np.inf): "a number"}
        bound = bounds.get((least, below), f"in [{least:g}, {below:g})")
        raise ValueError(f"{who}: {name} is {value}; it must be {bound}")
    if isinstance(value, int) and -(2**31) <= value < 2**32 and float(np.float32(value)) != value:
        return np.uint32(value) if value > 0 else np.int32(value)
    return float(value)
