"""What the tests of weights and masks share: pairs of data, and all statistics of one pair."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jfoundations import stats
from jfoundations.stats import Frequency, Probability, Reliability

FLOAT = np.dtype(jnp.result_type(float))
ONE = ("mean", "var", "std", "mean_abs_dev")
TWO = ("cov", "corr")
NAMES = ONE + TWO
KINDS = (Frequency, Reliability, Probability)
CORRECTED = ("var", "std", "cov")


def draw(rng, shape):
    """Return a pair, dependent and far from zero."""
    x = rng.normal(50.0, 1.0, shape)
    y = x + rng.normal(-20.0, 2.0, shape)
    return np.asarray(x, FLOAT), np.asarray(y, FLOAT)


def call(name, x, y, **keywords):
    return getattr(stats, name)(*((x, y) if name in TWO else (x,)), **keywords)


@functools.partial(
    jax.jit, static_argnames=("names", "axis", "keepdims", "nan", "accuracy", "reproducible")
)
def every(x, y, names=NAMES, correction=0, **keywords):
    """Return statistics of one pair, compiled together."""
    extra = {name: {"correction": correction} for name in CORRECTED}
    return {name: call(name, x, y, **keywords, **extra.get(name, {})) for name in names}
