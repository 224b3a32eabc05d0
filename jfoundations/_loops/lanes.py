"""What lets each lane of a vmapped loop stop by itself without copying what it carries.

`vmap` of a `lax.while_loop` whose predicate differs between lanes selects over the whole carry in
each step: a history of n entries then costs O(n) a step. Here the predicate is the OR over the
lanes, which no lane differs in, and the body freezes what belongs to a finished lane itself.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


@custom_vmap
def any_lane(going: jax.Array) -> jax.Array:
    """Return whether any lane is going; one lane's own flag where there is no vmap."""
    return going


@any_lane.def_vmap
def _any_lane(axis_size: int, batched: list[bool], going: jax.Array) -> tuple[Any, bool]:
    return any_lane(jnp.any(going, axis=0)), False


@custom_vmap
def lane_lives(going: jax.Array) -> jax.Array:
    """Return this lane's flag under vmap, else True: the body of a single loop is always live.

    The constant lets the compiler drop every select that freezes a finished lane.
    """
    return jnp.ones_like(going)


@lane_lives.def_vmap
def _lane_lives(axis_size: int, batched: list[bool], going: jax.Array) -> tuple[Any, bool]:
    return going, True
