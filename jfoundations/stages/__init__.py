"""Stages of a Pipe that learn from data by folds; `jfoundations.fit` makes them plain stages.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> pipe = jf.Pipe(jf.stages.quantile_clip(0.01, 0.99), jf.stages.standardize())
>>> pipe
quantile_clip(accuracy=0.01, q=[0.01, 0.99]) (unfitted) >> standardize (unfitted)
>>> jf.fit(pipe, jnp.linspace(0.0, 1.0, 100))
quantile_clip >> standardize

Each learns a number for each number of an element: an array of any shape, or a pytree of such. Once
fitted it takes an element, or a block with any number of axes in front. Bools and ints become the
default float; other arrays keep their dtype, half precision is computed in float32. One of your
own is a `jfoundations.Learned`.
"""

from .._core.checks import suggest_nearest as _suggest_nearest
from ._rotate import pca, whiten
from ._scale import quantile_clip, standardize

__all__ = [
    "pca",
    "quantile_clip",
    "standardize",
    "whiten",
]

_suggest_nearest(globals())
