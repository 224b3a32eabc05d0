"""The best state so far."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._callable import partial
from .._callback import Callback
from .._compat import cond
from .._lanes import any_lane, lane_lives
from .._tree import pytree
from ._monitor import check_mode, read, worst


@pytree
class Best:
    """The memory of `best`.

    Attributes:
        value: the best monitored number so far; +inf ("max": −inf) when none was a number.
        state: the state it was seen at; the first state when none was.
    """

    value: jax.Array
    state: Any


def best(of: Any, *, mode: str = "min") -> Callback:
    """Remember the state at which a monitored number was best, the last step included.

    nan is never the best; of equals, the first is kept.

    Args:
        of: `state -> real scalar`, asked after each step.
        mode: "min" or "max".

    Raises:
        ValueError: the mode is unknown.
        TypeError: while tracing, when the monitored value is no real scalar.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> result = jf.iterate(lambda x: x + 1, 0, best(lambda x: jnp.abs(x - 3)), max_steps=5)
    >>> int(result.state), int(result.memory["best"].state)
    (5, 3)
    """
    sign = check_mode(mode, "best")
    return Callback(partial(_start, of, sign), name="best", after_step=partial(_keep, of, sign))


def _start(of: Any, sign: int, state: Any) -> Best:
    # A copy: a donated buffer must not be held twice.
    return Best(sign * worst(of, state, "best"), jax.tree.map(jnp.array, state))


def _keep(
    of: Any, sign: int, memory: Best, state: Any, *, live: Any = True
) -> tuple[Best, Any, bool]:
    value = read(of, state, "best")
    better = (sign * value < sign * memory.value) & live
    return keep_if(better, Best(value, state), memory), state, False


def keep_if(better: Any, new: Best, old: Best) -> Best:
    """Return the new memory where it is better, else the old, copied only where some lane's is."""
    alike = lambda a, b: lax.convert_element_type(a, jnp.asarray(b).dtype)  # noqa: E731
    new, old = jax.tree.map(alike, new, old), jax.tree.map(alike, old, old)
    # `cond`, not `where`, and of a predicate no lane differs in, which `vmap` leaves a `cond`.
    return cond(any_lane(better), _take, _leave, lane_lives(better), new, old)


def _take(lane: jax.Array, new: Best, old: Best) -> Best:
    return jax.tree.map(partial(lax.select, lane), new, old)


def _leave(lane: jax.Array, new: Best, old: Best) -> Best:
    return old
