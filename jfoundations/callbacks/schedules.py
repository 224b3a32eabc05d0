"""Functions of the step, for `schedule`: what optax calls schedules, as values.

Numbers in them are leaves, so that a sweep over a rate is one trace and may be vmapped. They answer
in the default float; a state of another dtype casts in `update`.

>>> from jfoundations.callbacks import schedules
>>> rate = schedules.warm_up(schedules.cosine(0.1, 0.0, steps=100), steps=10)
>>> [round(float(rate(k)), 3) for k in (0, 5, 10, 60, 110, 999)]
[0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._core.checks import check_function, count_leaf, suggest_nearest
from .._core.rounding import divide, protect
from .._core.values import partial
from ._monitor import float_leaf

__all__ = ["constant", "cosine", "linear", "warm_up"]

Schedule = Callable[[ArrayLike], Any]

suggest_nearest(globals())


def __dir__() -> list[str]:
    return __all__


def constant(value: ArrayLike) -> Schedule:
    """Return the value at every step.

    Args:
        value: a number; a leaf.

    >>> float(constant(0.5)(7))
    0.5
    """
    return partial(_constant, _leaf(value, "value", "constant"))


def linear(start: ArrayLike, stop: ArrayLike, *, steps: ArrayLike) -> Schedule:
    """Go from one value to another in equal parts, and stay there: optax' `linear_schedule`.

    Args:
        start: the value of step 0; a leaf.
        stop: the value from step `steps` on; a leaf.
        steps: ≥ 1; a leaf.

    Raises:
        ValueError: steps is not positive.

    >>> [float(linear(1.0, 2.0, steps=4)(k)) for k in (0, 1, 4, 9)]
    [1.0, 1.25, 2.0, 2.0]
    """
    ends = _leaf(start, "start", "linear"), _leaf(stop, "stop", "linear")
    return partial(_linear, *ends, count_leaf(steps, "steps", "linear", 1))


def cosine(start: ArrayLike, stop: ArrayLike = 0.0, *, steps: ArrayLike) -> Schedule:
    """Go from one value to another along half a cosine, and stay there.

    Args:
        start: the value of step 0; a leaf.
        stop: the value from step `steps` on; a leaf.
        steps: ≥ 1; a leaf.

    Raises:
        ValueError: steps is not positive.

    Source: Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm restarts",
    equation 5.

    >>> [round(float(cosine(1.0, steps=4)(k)), 3) for k in (0, 1, 2, 4, 9)]
    [1.0, 0.854, 0.5, 0.0, 0.0]
    """
    ends = _leaf(start, "start", "cosine"), _leaf(stop, "stop", "cosine")
    return partial(_cosine, *ends, count_leaf(steps, "steps", "cosine", 1))


def warm_up(values: Schedule, *, steps: ArrayLike, start: ArrayLike = 0.0) -> Schedule:
    """Rise in equal parts to the first value of another schedule, then begin with that.

    Args:
        values: `step -> value`, asked from its step 0 on when `steps` steps are done.
        steps: how many steps the rise takes, ≥ 1; a leaf.
        start: the value of step 0; a leaf.

    Raises:
        TypeError: values is not callable.
        ValueError: steps is not positive.

    Source: Goyal et al. (2017), "Accurate, large minibatch SGD", section 2.2.

    >>> [float(warm_up(constant(1.0), steps=4)(k)) for k in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    check_function(values, "values", "warm_up", "a function step -> value, as constant(0.1)")
    steps = count_leaf(steps, "steps", "warm_up", 1)
    return partial(_warm_up, values, _leaf(start, "start", "warm_up"), steps)


def _leaf(value: ArrayLike, name: str, who: str) -> Any:
    return float_leaf(value, name, who, -np.inf)


def _constant(value: ArrayLike, step: ArrayLike) -> jax.Array:
    return jnp.asarray(value, jnp.result_type(float))


def _linear(start: ArrayLike, stop: ArrayLike, steps: ArrayLike, step: ArrayLike) -> jax.Array:
    return _between(start, stop, _part(step, steps))


def _cosine(start: ArrayLike, stop: ArrayLike, steps: ArrayLike, step: ArrayLike) -> jax.Array:
    # (1 - cos(pi t)) / 2 without the loss of digits near t = 0
    return _between(start, stop, jnp.sin(jnp.pi / 2 * _part(step, steps)) ** 2)


def _warm_up(values: Schedule, start: ArrayLike, steps: ArrayLike, step: ArrayLike) -> jax.Array:
    step, steps = jnp.asarray(step, np.int32), jnp.asarray(steps, np.int32)
    then = jnp.asarray(values(jnp.maximum(step - steps, 0)), jnp.result_type(float))
    return jnp.where(step < steps, _between(start, then, _part(step, steps)), then)


def _part(step: ArrayLike, steps: ArrayLike) -> jax.Array:
    """Return how much of the steps is done, from 0 to 1."""
    dtype = jnp.result_type(float)
    return jnp.minimum(divide(jnp.asarray(step, dtype), jnp.asarray(steps, dtype)), 1)


def _between(start: ArrayLike, stop: ArrayLike, part: jax.Array) -> jax.Array:
    # Both ends exact; each product rounded by itself, so that all programs have the same bits.
    start, stop = jnp.asarray(start, part.dtype), jnp.asarray(stop, part.dtype)
    return protect(start * (1 - part)) + protect(stop * part)
