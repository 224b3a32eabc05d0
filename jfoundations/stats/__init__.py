"""Statistics of arrays: stable, exact where exactness is possible, under every transform.

Array-API keywords (`axis`, `keepdims`, `correction=0`). The same statistics as mergeable values are
in `jfoundations.folds`, from the same kernel.
"""

from ._basic import mean as mean
from ._basic import mean_abs_dev as mean_abs_dev
from ._basic import std as std
from ._basic import sum as sum
from ._basic import var as var
from ._count import Count as Count
from ._describe import Description as Description
from ._describe import describe as describe
from ._ema import ema as ema
from ._ema import ema_var as ema_var
from ._histogram import histogram as histogram
from ._intervals import Bootstrap as Bootstrap
from ._intervals import bootstrap as bootstrap
from ._intervals import pearson_interval as pearson_interval
from ._matrix import corr_matrix as corr_matrix
from ._matrix import cov_matrix as cov_matrix
from ._minmax import minmax as minmax
from ._order import iqr as iqr
from ._order import median as median
from ._order import median_abs_dev as median_abs_dev
from ._order import quantile as quantile
from ._order import trim_mean as trim_mean
from ._pairs import corr as corr
from ._pairs import cov as cov
from ._ranks import rank_corr as rank_corr
from ._rolling import rolling_corr as rolling_corr
from ._rolling import rolling_cov as rolling_cov
from ._rolling import rolling_mean as rolling_mean
from ._rolling import rolling_var as rolling_var
from ._segment import segment_cov as segment_cov
from ._segment import segment_mean as segment_mean
from ._segment import segment_var as segment_var
from ._shape import kurtosis as kurtosis
from ._shape import moment as moment
from ._shape import sem as sem
from ._shape import skew as skew
from ._standardize import standardize as standardize
from ._weights import Frequency as Frequency
from ._weights import Probability as Probability
from ._weights import Reliability as Reliability
