"""Every public statistic and fold as a function of two arrays, whose samples lie along axis 0.

Statistics take `weights=` and `where=` too, one for each sample. Folds hold arrays of the default
float, so where x64 is on they are made anew: `make_folds()`.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

import jfoundations as jf
from jfoundations import folds, stats

NO_STATISTICS = {"Bootstrap", "Count", "Description", "Frequency", "Probability", "Reliability"}
NO_FOLDS = {"Sketch", "row_names", "to_beam"}


def _alone(name, *given, **options):
    return lambda x, y, **more: getattr(stats, name)(x, *given, axis=0, **options, **more)


def _pair(name, *given):
    return lambda x, y, **more: getattr(stats, name)(x, y, *given, axis=0, **more)


def _matrix(name):
    def run(x, y, **more):
        if x.ndim == 1:  # a row is a sample
            x, more = x.reshape(-1, 4), {key: value[::4] for key, value in more.items()}
        return getattr(stats, name)(x, **more)

    return run


def _groups(x):
    return lax.iota(jnp.int32, x.shape[0]) % 5


def _quantiles(x):
    floating = jnp.issubdtype(x.dtype, jnp.inexact)
    return jnp.array([0.1, 0.5], x.dtype if floating else None)


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
    "bootstrap": lambda x, y, **more: stats.bootstrap(
        functools.partial(stats.mean, axis=0), x, key=jax.random.key(0), resamples=4, **more
    ),
    "histogram": _alone("histogram", 8),
    "moment": _alone("moment", 3),
    "quantile": lambda x, y, **more: stats.quantile(x, _quantiles(x), axis=0, **more),
    "segment_mean": lambda x, y, **more: stats.segment_mean(x, _groups(x), num_segments=5, **more),
    "segment_var": lambda x, y, **more: stats.segment_var(x, _groups(x), num_segments=5, **more),
    "segment_cov": lambda x, y, **more: stats.segment_cov(x, y, _groups(x), num_segments=5, **more),
    "trim_mean": _alone("trim_mean", 0.1),
}


def make_folds():
    """Return every public fold by name."""
    return {
        "ema": folds.ema(0.5),
        "grouped": folds.grouped(folds.var(), 5),
        "histogram": folds.histogram(8, range=(0.0, 6.0)),
        "moment": folds.moment(3),
        "quantile": folds.quantile(0.1),
        **{
            name: getattr(folds, name)()
            for name in (
                *("corr", "corr_matrix", "count", "cov", "cov_matrix", "describe", "iqr"),
                *("kurtosis", "maximum", "mean", "median", "minimum", "minmax", "sem", "sketch"),
                *("skew", "std", "var"),
            )
        },
    }


FOLDS = make_folds()


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
