"""One of two values, as `jnp.where` has it, in one line of a program instead of a function.

>>> import jax.numpy as jnp
>>> select(jnp.array([True, False]), jnp.array([1.0, 2.0]), 0).tolist()
[1.0, 0.0]
"""

from jax import Array, lax
from jax.typing import ArrayLike


def select(condition: Array, yes: ArrayLike, no: ArrayLike) -> Array:
    """Return `yes` where the condition holds: arrays of its shape, of which one may be a number."""
    like = yes if isinstance(yes, Array) else no
    return lax.select(
        condition, *(v if isinstance(v, Array) else lax.full_like(like, v) for v in (yes, no))
    )
