"""Go back to the state before a step that made a number leap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.rounding import protect
from .._core.types import Live, Metric, PyTree
from .._core.values import partial
from .._kernels.numbers.units import binary_unit
from .._loops.combined import StopPredicate
from .._loops.handlers import freeze
from ._monitor import check_of, float_leaf, is_float, read, widened
from ._rollback import check_retries, go_back, start
from ._row import write_row

WHO = "spike_guard"


def spike_guard(
    of: Metric,
    *,
    retries: ArrayLike,
    window: int = 128,
    factor: ArrayLike = 6.0,
    update: Callable[[PyTree], PyTree] | None = None,
) -> StopPredicate:
    """Skip the steps that make a number, a loss say, leap: keep the state before them.

    A spike is a number above mean + factor · standard deviation of the last `window` accepted ones,
    as soon as there are half so many (and two); nan and infinities always are. The rule does not
    ask for the sign of the number; of one that is to be large, look at its negative.

    As with `rollback_on_nonfinite` each way back costs a retry; when they are spent, it goes back
    once more and stops. A state that holds its place in the data goes back to that place too:
    `update` may move it on, and so leave the data out. Its memory is `{"good": the state to go back
    to, "retries": int32, those used, "values": floats[window], the accepted ones, in a ring,
    "count": int32, how many were accepted}`.

    Args:
        of: `state -> real scalar`; integers become the default float.
        retries: how many spikes to skip, ≥ 0; a leaf.
        window: how many accepted numbers to compare with, ≥ 2.
        factor: how many standard deviations are a spike, ≥ 0; a leaf.
        update: `state -> state`, applied to the state it goes back to; None leaves that as it is.

    Raises:
        ValueError: retries or factor is negative, or window below 2.
        TypeError: while tracing, when what is monitored is no real scalar, or the state gone back
            to has other shapes or dtypes.

    Source: the rule of OLMo-core's SkipStepOptimizer, and its 128 and 6; there what was skipped
    stays in the window, so that of two leaps in a row the second passes.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> data = jnp.array([3.0, 2.0, 3.0, 2.0, 90.0, 2.0])
    >>> step = lambda s: {"i": s["i"] + 1, "loss": data[s["i"]]}
    >>> skip = lambda s: {**s, "i": s["i"] + 1}
    >>> guard = spike_guard(lambda s: s["loss"], window=4, retries=9, update=skip)
    >>> result = jf.iterate(step, {"i": 0, "loss": 0.0}, guard, max_steps=6)
    >>> result.memory["spike_guard"]["values"], int(result.memory["spike_guard"]["retries"])
    (Array([2., 2., 3., 2.], dtype=float32), 1)
    """
    check_of(of, WHO)
    window = check_count(window, "window", WHO, least=2)
    retries, update = check_retries(retries, update, WHO)
    factor = float_leaf(factor, "factor", WHO, 0)
    hear = partial(_skip, of, factor, update, retries)
    return StopPredicate(partial(_start, of, window), name=WHO, after_step=hear)


def _number(of: Metric, state: PyTree) -> jax.Array:
    value = read(of, state, WHO)
    return value.astype(widened(value.dtype) if is_float(value) else jnp.result_type(float))


def _start(of: Metric, window: int, state: PyTree) -> dict[str, Any]:
    value = jax.eval_shape(partial(_number, of), state)
    values = jnp.full(window, jnp.nan, value.dtype)
    return {**start(state), "values": values, "count": jnp.zeros((), np.int32)}


def _skip(
    of: Metric,
    factor: ArrayLike,
    update: Callable[[PyTree], PyTree],
    retries: ArrayLike,
    memory: PyTree,
    state: PyTree,
    *,
    live: Live = True,
) -> tuple[Any, Any, Any]:
    value, values, count = _number(of, state), memory["values"], memory["count"]
    spike = ~jnp.isfinite(value) | _leaps(value, values, count, factor)
    bad, window = spike & live, values.shape[0]
    state, used, stop = go_back(bad, memory, memory["good"], update, retries, state, WHO)
    accepted = ~spike & live
    new = {
        "good": freeze(live, state, memory["good"]),
        "retries": used,
        "values": write_row(values, jnp.where(accepted, count % window, window), value),
        "count": count + accepted.astype(np.int32),
    }
    return new, state, stop


def _leaps(value: Array, values: Array, count: Array, factor: ArrayLike) -> Array:
    """Tell whether a number is more than so many standard deviations above the mean of others."""
    window, dtype = values.shape[0], values.dtype
    there = np.arange(window, dtype=np.int32) < count
    n = jnp.maximum(jnp.minimum(count, window), 1).astype(dtype)
    # From the newest on, so that a constant has no deviation at all; in a unit, for the squares.
    newest = values[(count - 1) % window]
    gaps = jnp.where(there, values - newest, 0)
    unit = binary_unit(jnp.max(jnp.abs(gaps)))
    gaps, gap = gaps / unit, (value - newest) / unit
    mean = jnp.sum(gaps) / n
    deviation = jnp.sqrt(jnp.sum(jnp.where(there, gaps - mean, 0) ** 2) / n)
    enough = count >= max(2, (window + 1) // 2)
    return enough & (gap - mean > protect(jnp.asarray(factor, dtype) * deviation))
