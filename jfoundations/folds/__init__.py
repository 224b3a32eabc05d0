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

Where a fold takes no weights, a weight of 0 is deletion, by `where`, and a number that counts w
times is a power in a product:

>>> counted = jf.folds.argmax().of(lambda e: e[0]).where(lambda e: e[1] > 0)
>>> int(jf.fold(counted, (jnp.array([1.0, 9.0, 5.0]), jnp.array([3, 0, 1]))))
1
>>> power = jf.folds.product().of(lambda e: e[0] ** e[1])
>>> float(jf.fold(power, (jnp.array([2.0, 9.0, 5.0]), jnp.array([3.0, 0.0, 1.0]))))
40.0

`jf.reduce` takes any fold along axes of an array, with `weights`, `where` and `nan`. Without these
`jnp.any`, `all`, `argmax` and `argmin` are the same; `jnp.prod` leaves the range of its type where
`product` does not.

Half precision is answered in float32, the type that sums are kept in.
"""

from typing import Any as _Any

from .._folds.buckets import buckets
from .._folds.grouped import grouped
from .._folds.leafwise import row_names
from .._folds.recent import window
from ._describe import describe, minmax
from ._distinct import distinct
from ._ema import ema
from ._extrema import count, maximum, minimum
from ._histogram import histogram
from ._lags import autocov, ess, mcse
from ._linear_fit import linear_fit
from ._logical import all, any
from ._logsumexp import logsumexp
from ._matrix import corr_matrix, cov_matrix
from ._moments import corr, cov, kurtosis, mean, moment, sem, skew, statistic, std, var
from ._narrow import Narrow
from ._pca import pca
from ._places import argmax, argmin, first, last
from ._product import product
from ._quantile import iqr, median, narrow, quantile, sketch
from ._refused import refuse as _refuse
from ._rhat import rhat
from ._sample import sample
from ._significance import moments
from ._sketch import Sketch
from ._sum import sum
from ._top_k import top_k

__all__ = [
    "Narrow",
    "Sketch",
    "all",
    "any",
    "argmax",
    "argmin",
    "autocov",
    "buckets",
    "corr",
    "corr_matrix",
    "count",
    "cov",
    "cov_matrix",
    "describe",
    "distinct",
    "ema",
    "ess",
    "first",
    "grouped",
    "histogram",
    "iqr",
    "kurtosis",
    "last",
    "linear_fit",
    "logsumexp",
    "maximum",
    "mcse",
    "mean",
    "median",
    "minimum",
    "minmax",
    "moment",
    "moments",
    "narrow",
    "pca",
    "product",
    "quantile",
    "rhat",
    "row_names",
    "sample",
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
    raise _refuse(name, __all__)
