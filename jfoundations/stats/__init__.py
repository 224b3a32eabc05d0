"""Statistics of arrays: stable, exact where exactness is possible, under every transform.

Array-API keywords (`axis`, `keepdims`, `correction=0`). The same statistics as mergeable values are
in `jfoundations.folds`, from the same kernel.

**Arrays of many lengths.** JAX compiles a program for each shape. Where lengths differ, as those of
files or sentences do, fill arrays up to one of a few lengths, and say with `where=` which elements
there are: what the others hold, nan even, is nothing to the answer or its gradient.

>>> import numpy as np
>>> from jfoundations import stats
>>> def filled(x, least=8):
...     length = max(least, 1 << (len(x) - 1).bit_length())  # the next power of two
...     return np.pad(x, (0, length - len(x))), np.arange(length) < len(x)
>>> x, there = filled(np.array([1.0, 2.0, 4.0, 18.0, 5.0]))
>>> len(x), float(stats.mean(x, where=there)), float(stats.median(x, where=there))
(8, 6.0, 4.0)

`jf.fold` does that by itself with the blocks of a list, a stream or a `Source`.
"""

from .._core.checks import suggest_nearest as _suggest_nearest
from .._kernels.moments.components import Components
from .._kernels.moments.least_squares import LinearFit
from .._kernels.moments.moments import Moments
from .._kernels.numbers.counts import Count
from .._kernels.sample.weights import Frequency, Probability, Reliability
from ._basic import mean, mean_abs_dev, std, sum, var
from ._describe import Description, describe
from ._ema import ema, ema_var
from ._histogram import histogram
from ._intervals import Bootstrap, bootstrap, pearson_interval
from ._linear_fit import linear_fit
from ._matrix import corr_matrix, cov_matrix
from ._means import gmean, hmean, pmean
from ._minmax import minmax
from ._order import iqr, median, median_abs_dev, quantile, trim_mean
from ._ordered_sets import rolling_median, rolling_quantile, segment_median, segment_quantile
from ._pairs import corr, cov
from ._pca import pca
from ._ranks import rank_corr
from ._rolling import (
    rolling_corr,
    rolling_cov,
    rolling_mean,
    rolling_sem,
    rolling_std,
    rolling_sum,
    rolling_var,
)
from ._segment import (
    segment_corr,
    segment_cov,
    segment_kurtosis,
    segment_mean,
    segment_sem,
    segment_skew,
    segment_std,
    segment_sum,
    segment_var,
)
from ._shape import kurtosis, moment, sem, skew
from ._significance import Significance, anova, ftest, moments, ttest, welch
from ._standardize import standardize
from ._statistic import Statistic

__all__ = [
    "Bootstrap",
    "Components",
    "Count",
    "Description",
    "Frequency",
    "LinearFit",
    "Moments",
    "Probability",
    "Reliability",
    "Significance",
    "Statistic",
    "anova",
    "bootstrap",
    "corr",
    "corr_matrix",
    "cov",
    "cov_matrix",
    "describe",
    "ema",
    "ema_var",
    "ftest",
    "gmean",
    "histogram",
    "hmean",
    "iqr",
    "kurtosis",
    "linear_fit",
    "mean",
    "mean_abs_dev",
    "median",
    "median_abs_dev",
    "minmax",
    "moment",
    "moments",
    "pca",
    "pearson_interval",
    "pmean",
    "quantile",
    "rank_corr",
    "rolling_corr",
    "rolling_cov",
    "rolling_mean",
    "rolling_median",
    "rolling_quantile",
    "rolling_sem",
    "rolling_std",
    "rolling_sum",
    "rolling_var",
    "segment_corr",
    "segment_cov",
    "segment_kurtosis",
    "segment_mean",
    "segment_median",
    "segment_quantile",
    "segment_sem",
    "segment_skew",
    "segment_std",
    "segment_sum",
    "segment_var",
    "sem",
    "skew",
    "standardize",
    "std",
    "sum",
    "trim_mean",
    "ttest",
    "var",
    "welch",
]

_suggest_nearest(globals())
