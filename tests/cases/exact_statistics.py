"""The statistics of `public_cases` by their definitions, in rational arithmetic.

Each takes two lists of fractions and whole weights, a weight being repetition and 0 deletion. Roots
are taken at the end, of numbers that were rounded once: a result is right within two roundings.
"""

from fractions import Fraction
from math import floor, sqrt

import numpy as np
import scipy.stats

GROUPS, DECAY = 5, Fraction(1, 2)


def fractions(values):
    """Return floats or integers of any width as fractions."""
    return [Fraction(v.item()) for v in np.asarray(values)]


def root(square):
    """Return a root with the sign of what it is taken of."""
    return sqrt(square) if square >= 0 else -sqrt(-square)


def repeated(values, weights):
    return [v for v, w in zip(values, weights, strict=True) for _ in range(w)]


def mean(x):
    return sum(x) / len(x)


def moment(x, order):
    center = mean(x)
    return mean([(v - center) ** order for v in x])


def cov(x, y):
    a, b = mean(x), mean(y)
    return mean([(p - a) * (q - b) for p, q in zip(x, y, strict=True)])


def corr(x, y):
    c, spread = cov(x, y), moment(x, 2) * moment(y, 2)
    return root(c * abs(c) / spread) if spread else np.nan


def skew(x):
    third, spread = moment(x, 3), moment(x, 2) ** 3
    return root(third * abs(third) / spread) if spread else np.nan


def kurtosis(x):
    spread = moment(x, 2) ** 2
    return moment(x, 4) / spread - 3 if spread else np.nan


def quantile(x, q):
    x, place = sorted(x), Fraction(q) * (len(x) - 1)
    low = floor(place)
    return x[low] + (place - low) * (x[min(low + 1, len(x) - 1)] - x[low])


def mean_abs_dev(x):
    center = mean(x)
    return mean([abs(v - center) for v in x])


def median_abs_dev(x):
    center = quantile(x, 0.5)
    return quantile([abs(v - center) for v in x], 0.5)


def trim_mean(x):
    cut = floor(Fraction(1, 10) * len(x))
    return mean(sorted(x)[cut : len(x) - cut])


def ranks(x):
    return [Fraction(float(r)) for r in scipy.stats.rankdata(np.array(x, object))]


def pearson_interval(x, y):
    center, margin = np.arctanh(corr(x, y)), scipy.stats.norm.ppf(0.975) / np.sqrt(len(x) - 3)
    return np.tanh(center - margin), np.tanh(center + margin)


def histogram(x):
    edges = np.linspace(float(min(x)), float(max(x)), 9)
    cuts = [Fraction(e) for e in edges]
    found = [sum(a <= v < b for v in x) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    found[-1] += sum(v == cuts[-1] for v in x)
    return np.array(found), edges


def describe(x):
    return len(x), min(x), max(x), mean(x), moment(x, 2), skew(x), kurtosis(x)


def standardize(x, y, weights):
    known = repeated(x, weights)
    center, spread = mean(known), moment(known, 2)
    return [root((v - center) * abs(v - center) / spread) for v in x]


def smoothed(of):
    """Return what there is at each element of the weights that fade before it."""

    def run(x, y, weights):
        given = [w * DECAY ** (len(x) - k) for k, w in enumerate(weights)]
        parts = ((x[:k], given[:k]) for k in range(1, len(x) + 1))
        return [of(part, w) if any(w) else np.nan for part, w in parts]

    return run


def faded_mean(x, w):
    return sum(v * u for v, u in zip(x, w, strict=True)) / sum(w)


def faded_var(x, w):
    center = faded_mean(x, w)
    return faded_mean([(v - center) ** 2 for v in x], w)


def rolled(of):
    """Return a statistic of the pairs in each window."""

    def run(x, y, weights):
        window = min(20, len(x) // 2)
        places = range(len(x) - window + 1)
        cuts = [[v[k : k + window] for v in (x, y, weights)] for k in places]
        return [of(repeated(a, w), repeated(b, w)) for a, b, w in cuts]

    return run


def grouped(of):
    """Return a statistic of the pairs in each group."""

    def run(x, y, weights):
        parts = [[v[k::GROUPS] for v in (x, y, weights)] for k in range(GROUPS)]
        return [of(repeated(a, w), repeated(b, w)) for a, b, w in parts]

    return run


def linear_fit(x, y):
    """Return the leaves of a `LinearFit` of one column."""
    n, spread, both = len(x), moment(x, 2), cov(x, y)
    slope, center = both / spread, mean(x)
    square = n * (moment(y, 2) - slope * both) / (n - 2)
    errors = [root(square * v) for v in (1 / (n * spread), (1 + center**2 / spread) / n)]
    r2 = slope * both / moment(y, 2)
    return slope, errors[0], mean(y) - slope * center, errors[1], r2, root(square), n - 2, 0


def matrix(of):
    def run(x, y, weights):
        columns = [repeated(x[k::4], weights[::4]) for k in range(4)]
        return np.array([[of(a, b) for b in columns] for a in columns])

    return run


def alone(of):
    return lambda x, y, weights: of(repeated(x, weights))


def pair(of):
    return lambda x, y, weights: of(repeated(x, weights), repeated(y, weights))


def first(of):
    return lambda x, y: of(x)


def quantiles_of(sets):
    both = [sets(first(lambda x, q=q: quantile(x, q))) for q in (0.1, 0.5)]
    return lambda x, y, weights: np.array([run(x, y, weights) for run in both])


def var(x):
    return moment(x, 2)


def std(x):
    return root(moment(x, 2))


def sem(x):
    return root(moment(x, 2) / (len(x) - 1))


EXACT = {
    "corr": pair(corr),
    "corr_matrix": matrix(corr),
    "cov": pair(cov),
    "cov_matrix": matrix(cov),
    "describe": alone(describe),
    "ema": smoothed(faded_mean),
    "ema_var": smoothed(faded_var),
    "histogram": alone(histogram),
    "iqr": alone(lambda x: quantile(x, 0.75) - quantile(x, 0.25)),
    "kurtosis": alone(kurtosis),
    "linear_fit": pair(linear_fit),
    "mean": alone(mean),
    "mean_abs_dev": alone(mean_abs_dev),
    "median": alone(lambda x: quantile(x, 0.5)),
    "median_abs_dev": alone(median_abs_dev),
    "minmax": alone(lambda x: (min(x), max(x))),
    "moment": alone(lambda x: moment(x, 3)),
    "pearson_interval": pair(pearson_interval),
    "quantile": alone(lambda x: [quantile(x, 0.1), quantile(x, 0.5)]),
    "rank_corr": pair(lambda x, y: corr(ranks(x), ranks(y))),
    "rolling_corr": rolled(corr),
    "rolling_cov": rolled(cov),
    "rolling_mean": rolled(first(mean)),
    "rolling_sem": rolled(first(lambda x: root(moment(x, 2) / (len(x) - 1)))),
    "rolling_std": rolled(first(lambda x: root(moment(x, 2)))),
    "rolling_sum": rolled(first(sum)),
    "rolling_var": rolled(first(var)),
    "rolling_median": rolled(first(lambda x: quantile(x, 0.5))),
    "rolling_quantile": quantiles_of(rolled),
    "segment_median": grouped(first(lambda x: quantile(x, 0.5))),
    "segment_quantile": quantiles_of(grouped),
    "segment_corr": grouped(corr),
    "segment_cov": grouped(cov),
    "segment_kurtosis": grouped(first(kurtosis)),
    "segment_mean": grouped(first(mean)),
    "segment_sem": grouped(first(sem)),
    "segment_skew": grouped(first(skew)),
    "segment_std": grouped(first(std)),
    "segment_sum": grouped(first(sum)),
    "segment_var": grouped(first(var)),
    "sem": alone(sem),
    "skew": alone(skew),
    "standardize": standardize,
    "std": alone(std),
    "sum": alone(sum),
    "trim_mean": alone(trim_mean),
    "var": alone(var),
}


def exact(name, x, y, weights=None):
    """Return the leaves of a statistic's answer, in float64."""
    weights = [1] * len(x) if weights is None else [int(w) for w in weights]
    found = EXACT[name](fractions(x), fractions(y), weights)
    found = found if isinstance(found, tuple) else (found,)
    return [np.array(leaf, np.float64) for leaf in found]
