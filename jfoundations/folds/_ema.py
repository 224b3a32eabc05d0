"""The exponentially weighted mean of a stream."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core.checks import decay_of
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.moments.stretches import Stretch, elements, in_range, merge, moments
from .._kernels.sample.arguments import accumulator, scalar
from .._kernels.sums.blocks import widen


def ema(decay: ArrayLike) -> Fold[jax.Array]:
    """Return the fold of the exponentially weighted mean, elementwise: the last of `stats.ema`.

    The weight of an element k places back is decay**k, over the sum of the weights. It depends on
    the order of the elements, so it has no merge and no executor may split it. The memory keeps an
    offset's digits, in three numbers for each of an element; `callbacks.ema` has one.

    Args:
        decay: a scalar in [0, 1); others give nan.

    >>> import jfoundations as jf
    >>> float(jf.fold(ema(0.5), jnp.array([1.0, 2.0, 4.0])))
    3.0
    """
    decay = jnp.asarray(scalar("folds.ema", "decay", decay), jnp.result_type(float))
    return Fold(_init, partial(_step, decay), None, _extract, name="ema")


def _init(like: PyTree) -> Stretch:
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        raise TypeError("folds.ema: the elements are complex; give real ones: .of(jnp.real)")
    nothing = jnp.zeros(like.shape, accumulator(like.dtype))
    return _element(jnp.zeros(like.shape, like.dtype), nothing)


def _step(decay: jax.Array, memory: Stretch, x: Any) -> Stretch:
    one = jnp.ones_like(memory.weight)
    return merge(memory, _element(jnp.asarray(x), one), decay_of(decay, one.dtype))


def _extract(memory: Stretch) -> jax.Array:
    return moments(memory, [in_range(memory.pivot, None, 1)[1]]).mean


def _element(x: jax.Array, weight: jax.Array) -> Stretch:
    return elements(in_range(widen(x), weight, 1)[0], weight)
