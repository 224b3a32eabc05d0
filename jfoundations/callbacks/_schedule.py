"""Set something in the state by the step."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from .._core.checks import check_function
from .._core.types import PyTree
from .._core.values import partial
from .._loops.callback import Callback


def schedule(
    update: Callable[[PyTree, Array], PyTree], values: Callable[[Array], ArrayLike]
) -> Callback:
    """Set something in the state, a learning rate say, to a function of the step.

    See also `reduce_on_plateau`, by how a number goes.

    It is heard before each step: step k, counted from 0, runs with `values(k)`, also in a run that
    is resumed.

    Args:
        update: `(state, value) -> state`.
        values: `step -> value`, of an int32 scalar: one of `callbacks.schedules`, a schedule of
            optax, or any function. A schedule of optax is a closure: built anew it is traced anew.

    Raises:
        TypeError: an argument is not callable; while tracing, when the state changes its kind.

    >>> import jfoundations as jf
    >>> rate = jf.callbacks.schedules.linear(1.0, 0.0, steps=4)
    >>> steps = schedule(lambda s, value: {**s, "rate": value}, rate)
    >>> seen = jf.callbacks.history(lambda s: s["rate"])
    >>> start = {"x": 0.0, "rate": 0.0}
    >>> jf.iterate(lambda s: s, start, steps, seen, max_steps=6).memory["history"].values
    array([1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ], dtype=float32)
    """
    check_function(update, "update", "schedule", "a function (state, value) -> state")
    check_function(values, "values", "schedule", "a function step -> value, as schedules.linear(…)")
    return Callback(name="schedule", before_step=partial(_set, update, values))


def _set(
    update: Callable[[PyTree, Array], PyTree],
    values: Callable[[Array], ArrayLike],
    state: PyTree,
    *,
    step: Array,
) -> tuple[PyTree, bool]:
    return update(state, jnp.asarray(values(step))), False
