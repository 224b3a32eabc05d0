"""Statistics as folds: one pass, mergeable, from the kernel of `jfoundations.stats`.

Each is a function that returns a `Fold`. Elements may have any shape; the answer has the same.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> blocks = [jnp.array([1.0, 2.0]), jnp.array([4.0, 18.0])]
>>> float(jf.fold(jf.folds.var(), blocks))
47.1875
"""

from ._extrema import count as count
from ._extrema import maximum as maximum
from ._extrema import minimum as minimum
from ._moments import corr as corr
from ._moments import cov as cov
from ._moments import mean as mean
from ._moments import std as std
from ._moments import var as var
