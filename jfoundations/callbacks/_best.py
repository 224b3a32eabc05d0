"""The best state so far."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from .._core.compat import cond
from .._core.pytrees import pytree
from .._core.types import Live, Metric, PyTree
from .._core.values import partial
from .._loops.callback import Callback
from .._loops.lanes import any_lane, lane_is_live
from ._monitor import check_mode, check_of, is_float, precedes, read, worst


@pytree
class Best:
    """The memory of `best`.

    Attributes:
        value: the best monitored number so far; +inf ("max": −inf) when none was a number, of
            integers and bools the largest ("max": smallest) there is.
        state: the state it was seen at; the first state when none was.
        found: of integers and bools, whether there was one yet; None of floats.
    """

    value: jax.Array
    state: Any
    found: jax.Array | None = None

    def __repr__(self) -> str:
        found = "" if self.found is None else f", found={self.found!r}"
        return f"Best(value={self.value!r}, state={self.state!r}{found})"


def best(of: Metric, *, mode: str = "min") -> Callback:
    """Remember the state at which a monitored number was best, the last step included.

    See also `rollback_on_nonfinite`, which goes back to such a state by itself.

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
    check_of(of, "best")
    sign = check_mode(mode, "best")
    return Callback(partial(_start, of, sign), name="best", after_step=partial(_keep, of, sign))


def _start(of: Metric, sign: int, state: PyTree) -> Best:
    # A copy: a donated buffer must not be held twice.
    return none_yet(worst(of, state, sign, "best"), jax.tree.map(jnp.array, state))


def none_yet(value: jax.Array, state: PyTree) -> Best:
    """Return the memory before there was a number."""
    return Best(value, state, None if is_float(value) else jnp.asarray(False))


def is_better(value: jax.Array, old: Best, sign: int) -> Any:
    """Tell whether a number is better than the best so far; any integer is, where none was yet."""
    better = precedes(value, old.value, sign)
    return better if old.found is None else better | ~old.found


def seen(value: jax.Array, state: PyTree) -> Best:
    """Return the memory of a number that is the best."""
    return Best(value, state, None if is_float(value) else jnp.asarray(True))


def _keep(
    of: Metric, sign: int, memory: Best, state: PyTree, *, live: Live = True
) -> tuple[Best, Any, bool]:
    value = read(of, state, "best")
    better = is_better(value, memory, sign) & live
    return keep_if(better, seen(value, state), memory), state, False


def keep_if(better: Array, new: Best, old: Best) -> Best:
    """Return the new memory where it is better, else the old, copied only where some lane's is."""

    def alike(a: ArrayLike, b: ArrayLike) -> jax.Array:
        return lax.convert_element_type(a, jnp.asarray(b).dtype)

    new, old = jax.tree.map(alike, new, old), jax.tree.map(alike, old, old)
    # `cond`, not `where`, and of a predicate no lane differs in, which `vmap` leaves a `cond`.
    return cond(any_lane(better), _take, _leave, lane_is_live(better), new, old)


def _take(lane: jax.Array, new: Best, old: Best) -> Best:
    return jax.tree.map(partial(lax.select, lane), new, old)


def _leave(lane: jax.Array, new: Best, old: Best) -> Best:
    return old
