"""Every public statistic and fold as a function of two arrays, whose samples lie along axis 0."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

import jfoundations as jf
from jfoundations import folds, stats

NO_STATISTICS = {"Bootstrap", "Count", "Description", "Frequency", "Probability", "Reliability"}
NO_FOLDS = {"Sketch", "row_names"}


def _alone(name, *given, **options):
    return lambda x, y: getattr(stats, name)(x, *given, axis=0, **options)


def _pair(name, *given):
    return lambda x, y: getattr(stats, name)(x, y, *given, axis=0)


def _matrix(name):
    return lambda x, y: getattr(stats, name)(x if x.ndim == 2 else x.reshape(-1, 4))


def _groups(x):
    return lax.iota(jnp.int32, x.shape[0]) % 5


ALONE = (
    *("describe", "iqr", "kurtosis", "mean", "mean_abs_dev", "median", "median_abs_dev", "minmax"),
    *("sem", "skew", "standardize", "std", "sum", "var"),
)
STATISTICS = {
    **{name: _alone(name) for name in ALONE},
    **{name: _pair(name) for name in ("corr", "cov", "pearson_interval", "rank_corr")},
    **{name: _alone(name, 20) for name in ("rolling_mean", "rolling_var")},
    **{name: _pair(name, 20) for name in ("rolling_corr", "rolling_cov")},
    **{name: _alone(name, decay=0.5) for name in ("ema", "ema_var")},
    **{name: _matrix(name) for name in ("corr_matrix", "cov_matrix")},
    "bootstrap": lambda x, y: stats.bootstrap(
        functools.partial(stats.mean, axis=0), x, key=jax.random.key(0), resamples=4
    ),
    "histogram": _alone("histogram", 8),
    "moment": _alone("moment", 3),
    "quantile": lambda x, y: stats.quantile(x, jnp.array([0.1, 0.5], x.dtype), axis=0),
    "segment_mean": lambda x, y: stats.segment_mean(x, _groups(x), num_segments=5),
    "segment_var": lambda x, y: stats.segment_var(x, _groups(x), num_segments=5),
    "segment_cov": lambda x, y: stats.segment_cov(x, y, _groups(x), num_segments=5),
    "trim_mean": _alone("trim_mean", 0.1),
}

FOLDS = {
    "ema": folds.ema(0.5),
    "grouped": folds.grouped(folds.var(), 5),
    "histogram": folds.histogram(8, range=(0.0, 6.0)),
    "moment": folds.moment(3),
    "quantile": folds.quantile(0.1),
    **{
        name: getattr(folds, name)()
        for name in (
            *("corr", "corr_matrix", "count", "cov", "cov_matrix", "describe", "iqr", "kurtosis"),
            *("maximum", "mean", "median", "minimum", "minmax", "sem", "sketch", "skew", "std"),
            "var",
        )
    },
}


def elements(name, x, y):
    """Return what a fold eats, of the two arrays."""
    if name in ("corr", "cov"):
        return x, y
    if name == "grouped":
        return _groups(x), x
    return x.reshape(-1, 4) if x.ndim == 1 and name.endswith("_matrix") else x


def of_fold(name):
    """Return the fold's answer as a function of the two arrays."""
    return lambda x, y: jf.fold(FOLDS[name], elements(name, x, y))


def check_that_none_is_missing():
    """Raise where the tables lack what has become public, or have what is no more."""
    assert set(STATISTICS) == set(stats.__all__) - NO_STATISTICS
    assert set(FOLDS) == set(folds.__all__) - NO_FOLDS
