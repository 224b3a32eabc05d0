"""Reduce something when a monitored number rests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._core.checks import check_function, check_like, count_leaf
from .._core.rounding import protect
from .._core.types import Metric, PyTree
from .._core.values import partial
from .._loops.callback import Callback
from .._loops.handlers import freeze
from ._monitor import (
    check_mode,
    check_of,
    first_wait,
    float_leaf,
    improves,
    is_float,
    read,
    widened,
    worst,
)


def reduce_on_plateau(
    of: Metric,
    update: Callable[[PyTree, Array], PyTree],
    *,
    factor: ArrayLike = 0.1,
    patience: ArrayLike = 10,
    rtol: ArrayLike = 1e-4,
    atol: ArrayLike = 0.0,
    cooldown: ArrayLike = 0,
    min_scale: ArrayLike = 0.0,
    mode: str = "min",
) -> Callback:
    """Reduce something in the state, a learning rate say, when a number has stopped improving.

    See also `schedule`, by the step alone.

    An improvement is `value + atol + rtol·|best| < best` ("max": mirrored), from a best of +inf on;
    anything else, nan included, is a wait. After `patience` waits the state becomes
    `update(state, ratio)`, where the ratio is `factor`, or what is left down to `min_scale`. Then,
    for `cooldown` steps, nothing is a wait. Its memory is
    `{"best": …, "wait": int32, "cooldown": int32, "scale": …}`; the scale is the product of all
    ratios so far, from 1 on.

    Args:
        of: `state -> real scalar`.
        update: `(state, ratio) -> state`; the ratio is a scalar of the monitored number's dtype,
            of an integer's the default float.
        factor: in [0, 1); a leaf.
        patience: how many waits make a plateau, ≥ 1; a leaf.
        rtol: the least improvement that counts, relative to |best|, ≥ 0; a leaf.
        atol: the same, absolute, ≥ 0; a leaf.
        cooldown: for how many steps after a reduction no wait counts, ≥ 0; a leaf.
        min_scale: what the scale never falls below, in [0, 1); a leaf.
        mode: "min" or "max".

    Raises:
        ValueError: the mode is unknown, or a setting out of its range.
        TypeError: while tracing, when the monitored value is no real scalar.

    Source: Keras' ReduceLROnPlateau, with the relative threshold and the cooldown of PyTorch's.

    >>> import jfoundations as jf
    >>> halve = reduce_on_plateau(
    ...     lambda s: s["loss"], lambda s, ratio: {**s, "rate": s["rate"] * ratio},
    ...     factor=0.5, patience=2)
    >>> result = jf.iterate(lambda s: s, {"loss": -1.0, "rate": 8.0}, halve, max_steps=5)
    >>> float(result.state["rate"])  # the first step improves; two waits, twice
    2.0
    """
    who = "reduce_on_plateau"
    check_of(of, who)
    check_function(update, "update", who, "a function (state, ratio) -> state")
    sign = check_mode(mode, who)
    settings = {
        "factor": float_leaf(factor, "factor", who, 0, 1),
        "patience": count_leaf(patience, "patience", who, 1),
        "rtol": float_leaf(rtol, "rtol", who, 0),
        "atol": float_leaf(atol, "atol", who, 0),
        "cooldown": count_leaf(cooldown, "cooldown", who, 0),
        "min_scale": float_leaf(min_scale, "min_scale", who, 0, 1),
    }
    hear = partial(_reduce, of, sign, update, settings)
    return Callback(partial(_start, of, sign), name=who, after_step=hear)


def _start(of: Metric, sign: int, state: PyTree) -> dict[str, jax.Array]:
    best = worst(of, state, sign, "reduce_on_plateau")
    memory = {"best": best, "wait": first_wait(best), "cooldown": jnp.zeros((), np.int32)}
    return {**memory, "scale": jnp.ones((), _floating(best))}


def _floating(value: Array) -> Any:
    return value.dtype if is_float(value) else jnp.result_type(float)


def _reduce(
    of: Metric,
    sign: int,
    update: Callable[[PyTree, Array], PyTree],
    settings: dict[str, ArrayLike],
    memory: PyTree,
    state: PyTree,
) -> tuple[Any, Any, bool]:
    value, best, scale = read(of, state, "reduce_on_plateau"), memory["best"], memory["scale"]
    factor, least = (jnp.asarray(settings[k], scale.dtype) for k in ("factor", "min_scale"))
    patience, cooldown = (jnp.asarray(settings[k], np.int32) for k in ("patience", "cooldown"))
    wide = widened(scale.dtype)
    rtol, atol = (jnp.asarray(settings[k], wide) for k in ("rtol", "atol"))
    # Of an infinite best, from which all begins, nothing can be a part.
    relative = jnp.where(jnp.isfinite(best), protect(rtol * jnp.abs(best.astype(wide))), 0)
    better = improves(value, best, atol + relative, sign) | (memory["wait"] < 0)
    resting = memory["cooldown"] > 0
    wait = jnp.where(better | resting, 0, memory["wait"] + 1)
    due = wait >= patience
    smaller = jnp.maximum(protect(scale * factor), least)
    reduces = due & (smaller < scale)
    ratio = jnp.where(scale * factor < least, least / scale, factor)
    reduced = update(state, ratio)
    check_like(reduced, state, "reduce_on_plateau, update")
    left = jnp.maximum(memory["cooldown"] - 1, 0)
    new = {
        "best": jnp.where(better, value, best),
        "wait": jnp.where(due, 0, wait),
        "cooldown": jnp.where(due, cooldown, left),
        "scale": jnp.where(reduces, smaller, scale),
    }
    return new, freeze(reduces, reduced, state), False
