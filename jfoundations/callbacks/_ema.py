"""An exponentially weighted mean of what a loop goes through."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from .._core.checks import decay_of
from .._core.pytrees import pytree
from .._core.rounding import protect
from .._core.sharding import automatic
from .._core.types import PyTree, View
from .._core.values import identity, partial
from .._loops.callback import Callback
from ._monitor import check_of, float_leaf, refuse_keys


@pytree
class Ema:
    """The memory of `ema`.

    Attributes:
        value: the mean so far, a pytree of floats; nan before the first step.
        weight: the sum of the weights so far, 1 - decay**steps: 0 before the first step.
    """

    value: Any
    weight: jax.Array


def ema(of: View = identity, *, decay: ArrayLike) -> Callback:
    """Average a function of the state, parameters say, over a loop's steps; data: `stats.ema`.

    See also `watch(folds.ema(…))`, which is more exact and three times as large.

    The weight of a step fades by `decay` a step. The mean is free of bias from the first step on:
    that of Adam, m / (1 - decay**t), in the form that takes the mean of a constant to be the
    constant. A nan stays; to leave some out, gate it:
    `when(lambda s: jnp.isfinite(f(s)), ema(f, decay=0.9))`.

    Args:
        of: `state -> pytree of arrays`, parameters say. Integers become the default float, floats
            of 16 bits float32.
        decay: in [0, 1); a leaf. An array outside gives nan.

    Raises:
        ValueError: decay is not in [0, 1).

    Source: Kingma and Ba (2015), "Adam: a method for stochastic optimization", section 3.

    >>> import jfoundations as jf
    >>> result = jf.iterate(lambda x: 2 * x, 1.0, ema(decay=0.5), max_steps=3)
    >>> round(float(result.memory["ema"].value), 4)  # (2/4 + 4/2 + 8) / (1/4 + 1/2 + 1)
    6.0
    """
    check_of(of, "ema")
    decay = float_leaf(decay, "decay", "ema", 0, 1)
    return Callback(partial(_start, of), name="ema", after_step=partial(_average, of, decay))


def _wide(dtype: DTypeLike) -> Any:
    if not jnp.issubdtype(dtype, jnp.inexact):
        return jnp.result_type(float)
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def _start(of: View, state: PyTree) -> Ema:
    value = of(state)
    refuse_keys(value, "ema", "mean")
    # what is full of a number may lie otherwise over devices than what it is like
    value = automatic(_unknown, lies_as=0)(value)
    return Ema(value, jnp.zeros((), jnp.result_type(float)))


def _unknown(value: PyTree) -> Any:
    return jax.tree.map(lambda x: jnp.full_like(x, jnp.nan, _wide(x.dtype)), value)


def _average(of: View, decay: ArrayLike, memory: Ema, state: PyTree) -> tuple[Ema, Any, bool]:
    decay = decay_of(decay, memory.weight.dtype)
    # W_t = d W_{t-1} + (1 - d) and v_t = v_{t-1} + (1 - d) / W_t (x_t - v_{t-1})
    weight = protect(decay * memory.weight) + (1 - decay)
    share = (1 - decay) / weight  # 1 in the first step, when there is no mean yet

    def blend(mean: jax.Array, x: Array) -> jax.Array:
        x = jnp.asarray(x, mean.dtype)
        part, gap = share.astype(mean.dtype), x - mean
        near = mean + protect(part * gap)
        # Of an infinite mean or element the gap is no number.
        far = protect((1 - part) * mean) + protect(part * x)
        return jnp.where(part == 1, x, jnp.where(jnp.isfinite(gap), near, far))

    return Ema(jax.tree.map(blend, memory.value, of(state)), weight), state, False
