"""What callbacks that look at a number share: reading it, and what counts as better."""

from typing import Any

import jax
import jax.numpy as jnp

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
    value = jnp.asarray(of(state))
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
