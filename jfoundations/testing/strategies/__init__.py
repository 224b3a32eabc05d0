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

from ._arrays import LENGTHS as LENGTHS
from ._arrays import arrays as arrays
from ._arrays import floats_with_offset as floats_with_offset
from ._arrays import ill_conditioned as ill_conditioned
from ._arrays import strategy_of as strategy_of
from ._nouns import callbacks as callbacks
from ._nouns import folds as folds
from ._nouns import pipes as pipes
from ._profiles import register_profiles as register_profiles
from ._samples import blocks_of as blocks_of
from ._samples import masks as masks
from ._samples import permutations_of as permutations_of
from ._samples import weights as weights
from ._tolerance import condition as condition
from ._tolerance import tolerance as tolerance
from ._trees import keys as keys
from ._trees import meshes as meshes
from ._trees import pytrees as pytrees
