"""Hypothesis strategies for arrays, pytrees, keys and the library's own nouns.

Arrays are drawn as a seed and a design, so large ones vary in every element (the usual strategy's
are nearly constant) and still shrink: to a smaller shape, a plainer design and seed 0. Shapes come
from a few buckets, since every new one compiles anew. Subnormal floats are not drawn unless asked
for: XLA on CPUs flushes them to zero, so a law that fails on one says nothing about the code.

`tolerance` says how far rounding may take a sound statistic of what was drawn, `register_profiles`
sets Hypothesis up for suites that compile.

>>> from hypothesis import given, settings
>>> import jax.numpy as jnp
>>> from jfoundations.testing import strategies
>>> @settings(deadline=None, database=None)
... @given(strategies.arrays(jnp.float32, (64, 16)))
... def test_square_is_not_negative(x):
...     assert (x * x >= 0).all()
>>> test_square_is_not_negative()
"""

from ..._core.checks import suggest_nearest as _suggest_nearest
from ._arrays import LENGTHS, arrays, floats_with_offset, ill_conditioned, strategy_of
from ._nouns import callbacks, folds, pipes
from ._profiles import register_profiles
from ._samples import blocks_of, masks, permutations_of, weights
from ._tolerance import condition, tolerance
from ._trees import keys, meshes, pytrees

__all__ = [
    "LENGTHS",
    "arrays",
    "blocks_of",
    "callbacks",
    "condition",
    "floats_with_offset",
    "folds",
    "ill_conditioned",
    "keys",
    "masks",
    "meshes",
    "permutations_of",
    "pipes",
    "pytrees",
    "register_profiles",
    "strategy_of",
    "tolerance",
    "weights",
]

_suggest_nearest(globals())
