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

from .._folds.buckets import buckets
from .._folds.grouped import grouped
from .._folds.leafwise import row_names
from .._folds.recent import window
from ._describe import describe, minmax
from ._ema import ema
from ._extrema import count, maximum, minimum
from ._histogram import histogram
from ._logical import all, any
from ._logsumexp import logsumexp
from ._matrix import corr_matrix, cov_matrix
from ._moments import corr, cov, kurtosis, mean, moment, sem, skew, statistic, std, var
from ._places import argmax, argmin, first, last
from ._product import product
from ._quantile import iqr, median, quantile, sketch
from ._refused import refuse as _refuse
from ._sketch import Sketch
from ._sum import sum
from ._top_k import top_k

__all__ = [
    "Sketch",
    "all",
    "any",
    "argmax",
    "argmin",
    "buckets",
    "corr",
    "corr_matrix",
    "count",
    "cov",
    "cov_matrix",
    "describe",
    "ema",
    "first",
    "grouped",
    "histogram",
    "iqr",
    "kurtosis",
    "last",
    "logsumexp",
    "maximum",
    "mean",
    "median",
    "minimum",
    "minmax",
    "moment",
    "product",
    "quantile",
    "row_names",
    "sem",
    "sketch",
    "skew",
    "statistic",
    "std",
    "sum",
    "top_k",
    "var",
    "window",
]


def __getattr__(name: str) -> _Any:
    raise _refuse(name, sorted(globals()))
