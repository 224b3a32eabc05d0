"""The exponentially weighted mean of a stream."""

from typing import Any

import jax
import jax.numpy as jnp

from .._core.checks import decay_of
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.moments.stretches import Stretch, elements, mean, merge
from .._kernels.sample.arguments import accumulator, scalar


def ema(decay: Any) -> Fold[jax.Array]:
    """Return the fold of the exponentially weighted mean, elementwise: the last of `stats.ema`.

    The weight of an element k places back is decay**k, over the sum of the weights. It depends on
    the order of the elements, so it has no merge and no executor may split it. The memory keeps an
    offset's digits in eight numbers for each of an element; `callbacks.ema` has one.

    Args:
        decay: a scalar in [0, 1); others give nan.

    >>> import jfoundations as jf
    >>> float(jf.fold(ema(0.5), jnp.array([1.0, 2.0, 4.0])))
    3.0
    """
    decay = jnp.asarray(scalar("folds.ema", "decay", decay), jnp.result_type(float))
    return Fold(_init, partial(_step, decay), None, mean, name="ema")


def _init(like: Any) -> Stretch:
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        raise TypeError("folds.ema: the elements are complex; give real ones: .of(jnp.real)")
    nothing = jnp.zeros(like.shape, accumulator(like.dtype))
    return elements((jnp.zeros(like.shape, like.dtype),), nothing, fade=1)


def _step(decay: jax.Array, memory: Stretch, x: Any) -> Stretch:
    one = jnp.ones_like(memory.weight.mantissa)
    return merge(memory, elements((jnp.asarray(x),), one, fade=decay_of(decay, one.dtype)))
