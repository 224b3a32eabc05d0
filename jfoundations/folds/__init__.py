"""Statistics as folds: one pass, mergeable, from the kernel of `jfoundations.stats`.

Each is a function that returns a `Fold`. Elements may have any shape; the answer has the same.
Those of one variable take pytrees of arrays too, and answer leaf by leaf.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> blocks = [jnp.array([1.0, 2.0]), jnp.array([4.0, 18.0])]
>>> float(jf.fold(jf.folds.var(), blocks))
47.1875

With `weights=`, a class of `stats`, elements are `(x, weight)`; of pairs `((x, y), weight)`:

>>> weighted = jf.folds.mean(weights=jf.stats.Frequency)
>>> float(jf.fold(weighted, (jnp.array([1.0, 5.0]), jnp.array([3, 1]))))
2.0

Half precision is answered in float32, the type that sums are kept in.
"""

from typing import Any as _Any

from ._beam import to_beam as to_beam
from ._describe import describe as describe
from ._describe import minmax as minmax
from ._ema import ema as ema
from ._extrema import count as count
from ._extrema import maximum as maximum
from ._extrema import minimum as minimum
from ._grouped import grouped as grouped
from ._histogram import histogram as histogram
from ._matrix import corr_matrix as corr_matrix
from ._matrix import cov_matrix as cov_matrix
from ._moments import corr as corr
from ._moments import cov as cov
from ._moments import kurtosis as kurtosis
from ._moments import mean as mean
from ._moments import moment as moment
from ._moments import sem as sem
from ._moments import skew as skew
from ._moments import std as std
from ._moments import var as var
from ._quantile import iqr as iqr
from ._quantile import median as median
from ._quantile import quantile as quantile
from ._quantile import sketch as sketch
from ._refused import refuse as _refuse
from ._sketch import Sketch as Sketch
from ._trees import row_names as row_names


def __getattr__(name: str) -> _Any:
    raise _refuse(name, sorted(globals()))
