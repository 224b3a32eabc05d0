"""The exponentially weighted mean of a stream."""

from typing import Any

import jax
import jax.numpy as jnp

from .._callable import partial
from .._fold import Fold
from .._tree import pytree
from ..stats._arguments import accumulator


@pytree
class _Smoothed:
    weight: jax.Array
    mean: jax.Array


def ema(decay: Any) -> Fold[jax.Array]:
    """Return the fold of the exponentially weighted mean, elementwise: the last of `stats.ema`.

    The weight of an element k places back is decay**k, over the sum of the weights. It depends on
    the order of the elements, so it has no merge and no executor may split it.

    Args:
        decay: a scalar in [0, 1); others give nan.

    >>> import jfoundations as jf
    >>> float(jf.fold(ema(0.5), jnp.array([1.0, 2.0, 4.0])))
    3.0
    """
    decay = jnp.asarray(decay, jnp.result_type(float))
    return Fold(_init, partial(_step, decay), None, _answer, name="ema")


def _init(like: Any) -> _Smoothed:
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        raise TypeError("folds.ema: the elements are complex, real ones are needed")
    nothing = jnp.zeros(like.shape, accumulator(like.dtype))
    return _Smoothed(nothing, nothing)


def _step(decay: jax.Array, memory: _Smoothed, x: Any) -> _Smoothed:
    dtype = memory.mean.dtype
    fade = jnp.where((decay >= 0) & (decay < 1), decay, jnp.nan).astype(dtype)
    x = jnp.asarray(x).astype(dtype)
    weight = memory.weight * fade + 1
    start = jnp.where(memory.weight == 0, x, memory.mean)  # so that a constant stays one
    return _Smoothed(weight, start + (x - start) / weight)


def _answer(memory: _Smoothed) -> jax.Array:
    return jnp.where(memory.weight == 0, jnp.nan, memory.mean)
