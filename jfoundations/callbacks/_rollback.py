"""Go back to a good state when a step has failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._core.checks import check_function, check_like, count_leaf
from .._core.types import Live, Metric, PyTree, View
from .._core.values import identity, partial
from .._loops.combined import StopPredicate
from .._loops.handlers import freeze
from ._best import is_better, keep_if, none_yet, seen
from ._monitor import check_mode, check_of, nonfinite, read, worst

WHO, PLACES = "rollback_on_nonfinite", ("last", "best")


def rollback_on_nonfinite(
    of: View = identity,
    *,
    retries: ArrayLike,
    update: Callable[[PyTree], PyTree] | None = None,
    to: str = "last",
    mode: str = "min",
) -> StopPredicate:
    """Go back to the last or the best finite state when a step has left it nan or infinite.

    Each way back costs a retry; when they are spent, it goes back once more and stops. So the
    state is always a finite one (if the first was), and `reasons` tells that it failed. Going
    back, `update` may change what made the step fail, a step size say; the changed state is what
    the next failure goes back to, so that it is changed further each time. Its memory is
    `{"good": the state to go back to, "retries": int32, those used}`, of `to="best"` with "good"
    a `Best`.

    Args:
        of: `state -> pytree of arrays` to be looked at; for `to="best"`, a real scalar.
        retries: how often to go on after a failure, ≥ 0; a leaf.
        update: `state -> state`, applied to the state it goes back to; None leaves that as it is.
        to: "last" or "best".
        mode: which number is best, the "min" or the "max".

    Raises:
        ValueError: `to` or the mode is unknown, or retries negative.
        TypeError: while tracing, when the state gone back to has other shapes or dtypes; when
            for `to="best"` what is monitored is no real scalar.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> step = lambda s: {**s, "x": s["x"] * s["rate"]}  # 1e20, then too large for a float32
    >>> slower = lambda s: {**s, "rate": s["rate"] * 1e-10}
    >>> guard = rollback_on_nonfinite(retries=3, update=slower)
    >>> start = {"x": jnp.float32(1), "rate": jnp.float32(1e20)}
    >>> result = jf.iterate(step, start, guard, max_steps=20)
    >>> print(result.state["x"], result.memory["rollback_on_nonfinite"]["retries"])
    1e+30 2
    """
    check_of(of, WHO)
    sign = check_mode(mode, WHO)
    if to not in PLACES:
        raise ValueError(f"{WHO}: to is {to!r}; it must be 'last' or 'best'")
    retries, update = check_retries(retries, update, WHO)
    if to == "last":
        hear = partial(_back_to_last, of, update, retries)
        return StopPredicate(start, name=WHO, after_step=hear)
    hear = partial(_back_to_best, of, sign, update, retries)
    return StopPredicate(partial(_start_best, of, sign), name=WHO, after_step=hear)


def check_retries(
    retries: ArrayLike, update: Callable[[PyTree], PyTree] | None, who: str
) -> tuple[Any, Any]:
    """Return how often to go back, a leaf, and what changes the state then."""
    update = identity if update is None else update
    check_function(update, "update", who, "a function state -> state, or None")
    return count_leaf(retries, "retries", who, 0), update


def start(state: PyTree) -> dict[str, Any]:
    """Return the memory before the first step."""
    # A copy: a donated buffer must not be held twice.
    return {"good": jax.tree.map(jnp.array, state), "retries": jnp.zeros((), np.int32)}


def _start_best(of: Metric, sign: int, state: PyTree) -> dict[str, Any]:
    memory = start(state)
    value = worst(of, state, sign, WHO)
    return {**memory, "good": none_yet(value, memory["good"])}


def _back_to_last(
    of: View,
    update: Callable[[PyTree], PyTree],
    retries: ArrayLike,
    memory: PyTree,
    state: PyTree,
    *,
    live: Live = True,
) -> tuple[Any, Any, Any]:
    bad = jnp.asarray(nonfinite(of(state))) & live
    state, used, stop = go_back(bad, memory, memory["good"], update, retries, state, WHO)
    return {"good": freeze(live, state, memory["good"]), "retries": used}, state, stop


def _back_to_best(
    of: Metric,
    sign: int,
    update: Callable[[PyTree], PyTree],
    retries: ArrayLike,
    memory: PyTree,
    state: PyTree,
    *,
    live: Live = True,
) -> tuple[Any, Any, Any]:
    value, good = read(of, state, WHO), memory["good"]
    bad = ~jnp.isfinite(value) & live
    better = ~bad & live & is_better(value, good, sign)
    state, used, stop = go_back(bad, memory, good.state, update, retries, state, WHO)
    new = seen(jnp.where(bad, good.value, value), state)
    return {"good": keep_if(bad | better, new, good), "retries": used}, state, stop


def go_back(
    bad: Array,
    memory: dict[str, Any],
    good: PyTree,
    update: Callable[[PyTree], PyTree],
    retries: ArrayLike,
    state: PyTree,
    who: str,
) -> tuple[Any, Any, Any]:
    """Return the state to go on from, the retries used, and whether they are spent."""
    used = memory["retries"]
    spent = used >= jnp.asarray(retries, np.int32)
    changed = update(good)
    check_like(changed, good, f"{who}, update")
    state = freeze(bad, freeze(spent, good, changed), state)
    return state, used + (bad & ~spent).astype(np.int32), bad & spent
