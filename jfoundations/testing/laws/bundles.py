"""The laws of each kind of thing as a value, ready to be run over many things.

>>> from jfoundations.testing import laws
>>> mine = {"textbook": lambda x: jnp.mean(x * x) - jnp.mean(x) ** 2}
>>> laws.run([laws.bundles.variance], mine)  # doctest: +ELLIPSIS
Traceback (most recent call last):
AssertionError: variance: scale, translation, constant, permutation, bounds, ...
  textbook: fails translation, constant, ...; deletion, repetition, poison left out...
"""

import jax
import jax.numpy as jnp

from . import _callback
from ._bundle import Bundle
from ._fold import fold as _fold
from ._pairs import correlation as _correlation
from ._pairs import covariance as _covariance
from ._pipe import pipe as _pipe
from ._statistic import bundle_of as _bundle_of
from ._values import pytree as _pytree


def _popoviciu(x: jax.Array) -> jax.Array:
    return jnp.square((jnp.max(x) - jnp.min(x)) / 2)


def _half_range(x: jax.Array) -> jax.Array:
    return (jnp.max(x) - jnp.min(x)) / 2


variance: Bundle = _bundle_of("variance", power=2, shift=0, lower=0, upper=_popoviciu)
deviation: Bundle = _bundle_of("deviation", power=1, shift=0, lower=0, upper=_half_range)
location: Bundle = _bundle_of("location", power=1, shift=1, lower=jnp.min, upper=jnp.max)
covariance: Bundle = Bundle("covariance", _covariance)
correlation: Bundle = Bundle("correlation", _correlation)
fold: Bundle = Bundle("fold", _fold)
pipe: Bundle = Bundle("pipe", _pipe)
pytree: Bundle = Bundle("pytree", _pytree)
callback: Bundle = _callback.CALLBACK
observer: Bundle = _callback.OBSERVER
