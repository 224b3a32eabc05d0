"""Callbacks that ask to stop.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> loss = lambda x: (x - 3.0) ** 2
>>> descend = lambda x: x - 0.1 * 2 * (x - 3.0)
>>> stop = jf.callbacks.converged(loss, atol=1e-3)
>>> jf.iterate(descend, 0.0, stop, max_steps=1000).reasons
('converged',)
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from .._core.checks import count_leaf
from .._core.rounding import protect
from .._core.types import Metric, PyTree, View
from .._core.values import identity, partial
from .._loops.combined import StopPredicate
from ._monitor import (
    check_mode,
    check_of,
    distance,
    exceeds,
    first_wait,
    float_leaf,
    improves,
    nonfinite,
    passes,
    read,
    refuse_keys,
    widened,
    worst,
)


def early_stopping(
    of: Metric,
    patience: ArrayLike,
    *,
    min_delta: ArrayLike = 0.0,
    mode: str = "min",
    stopping_threshold: ArrayLike | None = None,
    divergence_threshold: ArrayLike | None = None,
) -> StopPredicate:
    """Stop when a monitored number has not improved for `patience` steps, is good or bad enough.

    See also `converged`, of what is looked at holding still.

    An improvement is `value + min_delta < best` ("max": mirrored), from a best of +inf on; anything
    else, nan included, is a wait. With patience 2 a constant metric stops at its third step.
    Integers are compared as integers; the first of them is an improvement. Its memory is
    `{"best": …, "wait": int32}`, the wait of integers being -1 as long as there was none.

    It also stops at once at a number better than `stopping_threshold`, or worse than
    `divergence_threshold`; nan is neither, `| terminate_on_nonfinite(of)` stops there. The reason
    is the same in all cases. To have them told apart give the others on their own:
    `stop_when(lambda s: loss(s) > 1e3, name="diverged")`.

    Args:
        of: `state -> real scalar`.
        patience: how many waits make a stop, ≥ 1; a leaf.
        min_delta: the least absolute improvement that counts, ≥ 0; a leaf.
        mode: "min" or "max".
        stopping_threshold: what is good enough, a leaf; None asks nothing.
        divergence_threshold: what is bad enough, a leaf; None asks nothing.

    Raises:
        ValueError: the mode is unknown, patience not positive, min_delta negative or a threshold
            nan.
        TypeError: while tracing, when the monitored value is no real scalar.

    Source: the rule of Keras' EarlyStopping, with the thresholds of Lightning's; Prechelt (1998),
    "Early stopping — but when?".

    >>> import jfoundations as jf
    >>> never_better = early_stopping(lambda x: 5.0 + 0 * x, patience=2)
    >>> int(jf.iterate(lambda x: x + 1, 0, never_better, max_steps=10).steps)
    3
    """
    check_of(of, "early_stopping")
    sign = check_mode(mode, "early_stopping")
    patience = count_leaf(patience, "patience", "early_stopping", 1)
    min_delta = float_leaf(min_delta, "min_delta", "early_stopping", 0)
    thresholds = {
        toward: float_leaf(value, name, "early_stopping", -np.inf)
        for name, value, toward in (
            ("stopping_threshold", stopping_threshold, sign),
            ("divergence_threshold", divergence_threshold, -sign),
        )
        if value is not None
    }
    return StopPredicate(
        partial(_start, of, sign),
        name="early_stopping",
        after_step=partial(_wait, of, sign, patience, min_delta, thresholds),
    )


def _start(of: Metric, sign: int, state: PyTree) -> dict[str, jax.Array]:
    best = worst(of, state, sign, "early_stopping")
    return {"best": best, "wait": first_wait(best)}


def _wait(
    of: Metric,
    sign: int,
    patience: ArrayLike,
    min_delta: ArrayLike,
    thresholds: dict[int, ArrayLike],
    memory: PyTree,
    state: PyTree,
) -> tuple[Any, Any, jax.Array]:
    value, best = read(of, state, "early_stopping"), memory["best"]
    better = improves(value, best, min_delta, sign) | (memory["wait"] < 0)
    wait = jnp.where(better, 0, memory["wait"] + 1)
    stop = wait >= jnp.asarray(patience, wait.dtype)
    for toward, threshold in thresholds.items():
        stop |= passes(value, threshold, toward)
    return {"best": jnp.where(better, value, best), "wait": wait}, state, stop


def converged(
    of: View = identity, *, atol: ArrayLike = 0.0, rtol: ArrayLike = 0.0
) -> StopPredicate:
    """Stop when what is looked at changes by no more than atol + rtol·|value| in a step.

    See also `early_stopping`, of a number not getting better.

    Every leaf and every element must hold still; nan never does, an infinity does where it stays.
    Its memory is the value before.
    Where a step may be rejected and change nothing, as in a line search, let it look at accepted
    steps only: `when(lambda s: s.accepted, converged(of))`.

    Args:
        of: `state -> pytree of arrays`.
        atol: the absolute tolerance, ≥ 0; a leaf.
        rtol: the relative tolerance, ≥ 0; a leaf.

    Raises:
        ValueError: a tolerance is negative.
        TypeError: while tracing, when a PRNG key is among what is looked at.

    >>> import jfoundations as jf
    >>> int(jf.iterate(lambda x: x / 2, 1.0, converged(atol=0.1), max_steps=99).steps)
    4
    """
    check_of(of, "converged")
    atol, rtol = float_leaf(atol, "atol", "converged", 0), float_leaf(rtol, "rtol", "converged", 0)
    return StopPredicate(
        partial(_first, of), name="converged", after_step=partial(_still, of, atol, rtol)
    )


def _first(of: View, state: PyTree) -> Any:
    value = of(state)
    refuse_keys(value, "converged", "distance")
    return value


def _still(
    of: View, atol: ArrayLike, rtol: ArrayLike, before: PyTree, state: PyTree
) -> tuple[Any, Any, jax.Array]:
    def close(a: ArrayLike, b: ArrayLike) -> jax.Array:
        a, b = jnp.asarray(a), jnp.asarray(b)
        near = _near if jnp.issubdtype(a.dtype, jnp.inexact) else _near_integers
        return jnp.all(near(a, b, atol, rtol))

    now = of(state)
    still = jax.tree.leaves(jax.tree.map(close, now, before))
    return now, state, jnp.all(jnp.stack(still)) if still else jnp.asarray(True)


def _near(a: jax.Array, b: jax.Array, atol: ArrayLike, rtol: ArrayLike) -> jax.Array:
    if jnp.iscomplexobj(a):
        change = jnp.abs(lax.complex(_change(a.real, b.real), _change(a.imag, b.imag)))
    else:
        wide = widened(a.dtype)
        a, b = a.astype(wide), b.astype(wide)
        change = jnp.abs(_change(a, b))
    atol, rtol = jnp.asarray(atol, change.dtype), jnp.asarray(rtol, change.dtype)
    size = jnp.abs(a)  # nothing can be a part of an infinity
    return change <= atol + jnp.where(jnp.isinf(size), 0, protect(rtol * size))


def _change(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(a == b, 0, a - b)  # of an infinity that stays the difference is no number


def _near_integers(a: jax.Array, b: jax.Array, atol: ArrayLike, rtol: ArrayLike) -> jax.Array:
    dtype, gap, atol = jnp.result_type(float), distance(a, b), jnp.asarray(atol)
    slack = protect(jnp.asarray(rtol, dtype) * jnp.abs(a.astype(dtype)))
    if jnp.issubdtype(atol.dtype, jnp.integer):  # taken away exactly, as a float might not hold it
        gap = jnp.where(exceeds(gap, atol), gap - atol.astype(gap.dtype), 0)
    else:
        slack = atol.astype(dtype) + slack
    return (slack >= 0) & ~exceeds(gap, slack)


def terminate_on_nonfinite(of: View = identity) -> StopPredicate:
    """Stop when anything looked at is nan or infinite.

    See also `rollback_on_nonfinite`, which goes back and tries again.

    Args:
        of: `state -> pytree of arrays`; integers are always finite.

    Raises:
        TypeError: `of` is not callable.

    >>> import jfoundations as jf
    >>> result = jf.iterate(lambda x: x * 1e30, 1.0, terminate_on_nonfinite(), max_steps=9)
    >>> int(result.steps), result.reasons
    (2, ('terminate_on_nonfinite',))
    """
    check_of(of, "terminate_on_nonfinite")
    return StopPredicate(name="terminate_on_nonfinite", after_step=partial(_guard, of))


def _guard(of: View, state: PyTree) -> tuple[Any, Any]:
    return state, nonfinite(of(state))
