"""What callbacks that look at a number share: reading it, what counts as better, their settings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._callable import describe, is_pytree
from .._inputs import as_array
from .._tree import check_count

MODES = {"min": 1, "max": -1}


def check_mode(mode: str, who: str) -> int:
    """Return the sign that makes smaller better.

    Raises:
        ValueError: the mode is neither "min" nor "max".
    """
    if mode not in MODES:
        raise ValueError(f"{who}: mode is {mode!r}; it must be 'min' or 'max'")
    return MODES[mode]


def read(of: Any, state: Any, who: str) -> jax.Array:
    """Return the monitored number in a floating dtype.

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
    if jnp.issubdtype(value.dtype, jnp.inexact):
        return value.astype(value.dtype)
    return value.astype(jnp.result_type(float))


def worst(of: Any, state: Any, who: str) -> jax.Array:
    """Return +inf in the monitored number's dtype: any number but nan and +inf is better."""
    dtype = jax.eval_shape(lambda s: read(of, s, who), state).dtype
    return jnp.full((), jnp.inf, dtype)


def nonfinite(tree: Any) -> Any:
    """Return whether any number is nan or infinite; Python False where none can be."""
    bad = [
        ~jnp.all(jnp.isfinite(leaf))
        for leaf in jax.tree.leaves(tree)
        if jnp.issubdtype(jax.typeof(leaf).dtype, jnp.inexact)
    ]
    return jnp.any(jnp.stack(bad)) if bad else False


def count_leaf(value: Any, name: str, who: str, least: int) -> Any:
    """Return a count as an int32, a leaf of its callback; arrays (perhaps traced) as they are.

    Raises:
        TypeError, ValueError: a Python number that is no int of at least `least`.
    """
    return value if hasattr(value, "dtype") else np.int32(check_count(value, name, who, least))


def float_leaf(value: Any, name: str, who: str, least: float, below: float = np.inf) -> Any:
    """Return a setting as a float, a leaf of its callback; arrays (perhaps traced) as they are.

    Raises:
        TypeError: it is no number.
        ValueError: a Python number that is not in [least, below).
    """
    if hasattr(value, "dtype"):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{who}: {name} is {value!r}, a number is needed")
    if not least <= value < below:
        bound = "≥ 0" if (least, below) == (0, np.inf) else f"in [{least:g}, {below:g})"
        raise ValueError(f"{who}: {name} is {value}; it must be {bound}")
    return float(value)
