"""Every public statistic and fold as a function of two arrays, whose samples lie along axis 0."""

import functools
import inspect

import jax
import jax.numpy as jnp
from jax import lax

import jfoundations as jf
from jfoundations import folds, stats

NO_STATISTICS = {
    *("Bootstrap", "Count", "Description", "Frequency", "Moments", "Probability", "Reliability"),
    *("Components", "LinearFit", "Significance", "Statistic"),
    "moments",  # which the tests of significance are made of
}
SEGMENTS = tuple(
    f"segment_{name}"
    for name in ("corr", "cov", "kurtosis", "mean", "sem", "skew", "std", "sum", "var")
)
WINDOWS = (
    *("rolling_mean", "rolling_sem", "rolling_std", "rolling_sum", "rolling_var"),
    *("rolling_corr", "rolling_cov"),
)
CHAINS = {"ess", "mcse", "rhat"}  # whose elements are draws of several chains
# of order, which take no weights
ORDERED_SETS = ("rolling_median", "rolling_quantile", "segment_median", "segment_quantile")
NO_FOLDS = {"Narrow", "Sketch", "narrow", "row_names", "statistic"}


def _alone(name, *given, **fixed):
    return lambda x, y, **options: getattr(stats, name)(x, *given, **fixed, **options)


def _pair(name, *given):
    return lambda x, y, **options: getattr(stats, name)(x, y, *given, **options)


def _window(name):
    # 20 elements, or half of what there is
    window = lambda x: min(20, x.shape[0] // 2)  # noqa: E731
    if name in ("rolling_corr", "rolling_cov"):
        return lambda x, y, **options: getattr(stats, name)(x, y, window(x), **options)
    return lambda x, y, **options: getattr(stats, name)(x, window(x), **options)


def _segments(name):
    def run(x, y, **options):
        pair = (y,) if name in ("segment_corr", "segment_cov") else ()
        return getattr(stats, name)(x, *pair, _groups(x), num_segments=5, **options)

    return run


def _ordered_sets(name):
    def run(x, y, **options):
        given = (_probabilities(x),) if name.endswith("quantile") else ()
        if name.startswith("rolling"):
            return getattr(stats, name)(x, *given, min(20, x.shape[0] // 2), **options)
        return getattr(stats, name)(x, *given, _groups(x), num_segments=5, **options)

    return run


def _matrix(name):
    return lambda x, y, **options: getattr(stats, name)(_rows(x), **options)


def _rows(x):
    return x if x.ndim == 2 else x.reshape(-1, 4)


def _column(y):
    return y if y.ndim == 1 else y[:, 0]


def _groups(x):
    return lax.iota(jnp.int32, x.shape[0]) % 5


def _probabilities(x):
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return jnp.array([0.1, 0.5], x.dtype if floating else jnp.result_type(float))


ALONE = (
    *("describe", "gmean", "hmean", "iqr", "kurtosis", "mean", "mean_abs_dev", "median"),
    *("median_abs_dev", "minmax"),
    *("sem", "skew", "standardize", "std", "sum", "var"),
)
# Of two arrays and of the options that the statistic takes.
CALLS = {
    **{name: _alone(name) for name in ALONE},
    **{name: _pair(name) for name in ("corr", "cov", "pearson_interval", "rank_corr")},
    **{name: _pair(name) for name in ("anova", "ftest", "ttest", "welch")},
    "linear_fit": lambda x, y, **options: stats.linear_fit(x, _column(y), **options),
    **{name: _window(name) for name in WINDOWS},
    **{name: _alone(name, decay=0.5) for name in ("ema", "ema_var")},
    **{name: _matrix(name) for name in ("corr_matrix", "cov_matrix", "pca")},
    "bootstrap": lambda x, y, **options: stats.bootstrap(
        functools.partial(stats.mean, axis=0), x, key=jax.random.key(0), resamples=4, **options
    ),
    "histogram": _alone("histogram", 8),
    "moment": _alone("moment", 3),
    "pmean": _alone("pmean", 3),
    "quantile": lambda x, y, **options: stats.quantile(x, _probabilities(x), **options),
    **{name: _segments(name) for name in SEGMENTS},
    **{name: _ordered_sets(name) for name in ORDERED_SETS},
    "trim_mean": _alone("trim_mean", 0.1),
}


def options_of(function):
    """Return the names of the keywords that a public function takes."""
    return set(inspect.signature(function).parameters)


def _along_samples(name, call):
    has_axis = "axis" in options_of(getattr(stats, name))
    return functools.partial(call, axis=0) if has_axis else call


STATISTICS = {name: _along_samples(name, call) for name, call in CALLS.items()}

MAKERS = {
    "autocov": functools.partial(folds.autocov, 3),
    "buckets": lambda **options: folds.buckets(folds.var(**options), 4, 5),
    "ema": functools.partial(folds.ema, 0.5),
    "ess": functools.partial(folds.ess, 20),
    "grouped": lambda **options: folds.grouped(folds.var(**options), 5),
    "histogram": functools.partial(folds.histogram, 8, range=(0.0, 6.0)),
    "mcse": functools.partial(folds.mcse, 20),
    "moment": functools.partial(folds.moment, 3),
    # a mean is two words, of which only the sum is one for all cuts
    "moments": lambda **options: folds.moments(**options).map(lambda m: (m.mean, m.var())),
    "quantile": functools.partial(folds.quantile, 0.1),
    "rhat": folds.rhat,
    "sample": functools.partial(folds.sample, 4, key=jax.random.key(0)),
    "top_k": functools.partial(folds.top_k, 2),
    "window": lambda **options: folds.window(folds.var(**options), 20),
    **{
        name: getattr(folds, name)
        for name in (
            *("corr", "corr_matrix", "count", "cov", "cov_matrix", "describe", "iqr", "kurtosis"),
            *("maximum", "mean", "median", "minimum", "minmax", "sem", "sketch", "skew", "std"),
            *("all", "any", "argmax", "argmin", "distinct", "first", "last", "logsumexp"),
            *("linear_fit", "pca", "product", "sum", "var"),
        )
    },
}
FOLDS = {name: make() for name, make in MAKERS.items()}

TWO = folds.var(), folds.mean()
COMBINED = {  # what is made of folds, by the public name
    "combine": jf.combine(var=TWO[0], mean=TWO[1], most=folds.maximum()),
    "Fold arithmetic": abs(-TWO[0]) ** 0.5 / TWO[1] - 2.0 * folds.minimum(),
    "Fold map of where": TWO[0].of(jnp.abs).where(lambda x: x.sum() > 1).map(jnp.sqrt),
    "Fold of functions": jf.Fold(lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, jnp.add),
    "map_ filter_": jf.Pipe(jf.map_(jnp.abs), jf.filter_(lambda x: x.sum() > 1)).over(TWO[1]),
    "take": jf.Pipe(jf.take(3)).over(TWO[0]),
    "take_while": jf.Pipe(jf.take_while(lambda x: x.sum() > 1)).over(TWO[0]),
}


def elements(name, x, y, weights=None):
    """Return what a fold eats, of the two arrays, and of weights of the samples."""
    weighed = (lambda data: data) if weights is None else (lambda data: (data, weights))
    if name in ("corr", "cov"):
        return weighed((x, y))
    if name == "linear_fit":
        return weighed((x, _column(y)))
    if name == "buckets":
        return lax.iota(jnp.int32, x.shape[0]), weighed(x)
    if name == "grouped":
        return _groups(x), weighed(x)
    if name == "sample":
        return lax.iota(jnp.int32, x.shape[0]), weighed(x)
    rows = name.endswith("_matrix") or name == "pca" or name in CHAINS
    return weighed(_rows(x) if rows else x)


def of_fold(name):
    """Return the fold's answer as a function of the two arrays."""
    return lambda x, y: jf.fold(FOLDS[name], elements(name, x, y))


def check_that_none_is_missing():
    """Raise where the tables lack what has become public, or have what is no more."""
    differ = set(STATISTICS) ^ (set(stats.__all__) - NO_STATISTICS)
    differ |= set(FOLDS) ^ (set(folds.__all__) - NO_FOLDS)
    assert not differ, f"public without a case, or a case of no public name: {sorted(differ)}"
