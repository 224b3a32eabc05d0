"""Every fold of the namespace keeps the laws of folds, on plain and on hard data."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import laws, strategies

pytestmark = pytest.mark.slow  # compiles many programs

LENGTH = 12  # one shape: one trace
HARD = strategies.arrays(shape=(LENGTH,)) | strategies.ill_conditioned(length=LENGTH)
WIDE = strategies.arrays(shape=((LENGTH, 3),))
PAIRS = strategies.arrays(shape=((LENGTH, 2),)).map(lambda a: (a[:, 0], a[:, 1]))
CHAINS = {"ess": folds.ess(4), "mcse": folds.mcse(4), "whole": folds.rhat(split=False)}
# Of chains with so much drift no lag decides, by a rounding, where Geyer's sequence ends.
APART = WIDE.map(lambda x: jnp.clip(x, -1, 1) + 4 * jnp.arange(LENGTH, dtype=x.dtype)[:, None])
# of seeds: a fit of what varies little has few digits
ROWS = st.integers(0, 99).map(lambda seed: np.random.default_rng(seed).normal(3, 1, (LENGTH, 3)))
ROWS = ROWS.map(lambda x: jnp.asarray(x * [1, 4, 16], jnp.result_type(float)))
GAPS = HARD.map(lambda x: jnp.where(jnp.arange(LENGTH) % 5 == 2, jnp.nan, x))


def counted_off(x):
    return x, jnp.arange(LENGTH, dtype=x.dtype) % 3


def numbered(x):
    return jnp.arange(LENGTH), x


# Folds of one memory go together: the laws are then compiled once for all.
SINGLE = {
    "means": {"mean": folds.mean(), "count": folds.count()},
    "sums": {"sum": folds.sum(), "product": folds.product(), "logsumexp": folds.logsumexp()},
    "truth": {"any": folds.any(), "all": folds.all()},
    "places": {
        "argmin": folds.argmin(),
        "argmax": folds.argmax(),
        "first": folds.first(),
        "last": folds.last(),
        "top_k": folds.top_k(2),
    },
    "squares": {
        "var": folds.var(correction=1),
        "std": folds.std(),
        "sem": folds.sem(),
        "moment": folds.moment(2),
        "moments": folds.moments().map(lambda m: m.var()),
    },
    "shape": {"skew": folds.skew(), "kurtosis": folds.kurtosis(), "moment": folds.moment(3)},
    "describe": {"describe": folds.describe()},
    "ends": {"minimum": folds.minimum(), "maximum": folds.maximum(), "minmax": folds.minmax()},
    "bins": {"histogram": folds.histogram(5, range=(-2.0, 2.0))},
    "ranks": {
        "quantile": folds.quantile([0.1, 0.9]),
        "median": folds.median(),
        "iqr": folds.iqr(),
        "sketch": folds.sketch(),
        "distinct": folds.distinct(accuracy=0.2),
    },
    "order": {"ema": folds.ema(0.9)},
    "lags": {"autocov": folds.autocov(4)},
}
OTHERS = {
    "cov": (folds.cov(), PAIRS),
    "corr": (folds.corr(), PAIRS),
    "cov_matrix": (folds.cov_matrix(), WIDE),
    "corr_matrix": (folds.corr_matrix(), WIDE),
    "rhat": (folds.rhat(), WIDE),
    "chains": (jf.combine(**CHAINS), APART),
    "linear_fit": (folds.linear_fit(), ROWS.map(lambda x: (x[:, :2], x[:, 2]))),
    "pca": (folds.pca(2), ROWS),
    "sketch of rows": (folds.pca(3, sketch=4).map(lambda c: c.variances), ROWS),
    "weights": (folds.var(weights=stats.Reliability, correction=1), HARD.map(counted_off)),
    "omit": (folds.std(nan="omit"), GAPS),
    "sample": (folds.sample(3, key=jax.random.key(0)), HARD.map(numbered)),
}
UNNAMED = {"omit", "sketch of rows", "weights"}
# in test files of their own
ELSEWHERE = {"buckets", "grouped", "narrow", "row_names", "window"}


def test_every_name_is_here():
    names = {n for n, v in vars(folds).items() if inspect.isfunction(v) and not n.startswith("_")}
    here = {n for group in (*SINGLE.values(), CHAINS) for n in group} | set(OTHERS)
    here -= UNNAMED | {"chains", "whole"}
    assert names == here | ELSEWHERE | {"statistic"}  # whose laws are of its formula


@pytest.mark.parametrize("name", SINGLE)
def test_laws(name):
    laws.fold(jf.combine(**SINGLE[name]), HARD, max_examples=12)


@pytest.mark.parametrize("name", OTHERS)
def test_laws_of_pairs_vectors_and_weights(name):
    a_fold, elements = OTHERS[name]
    laws.fold(a_fold, elements, max_examples=8)


@pytest.mark.parametrize("kind", [stats.Reliability])  # whose memory holds most
def test_laws_of_weighted_shape(kind):
    laws.fold(folds.describe(weights=kind, nan="omit"), GAPS.map(counted_off), max_examples=8)


@pytest.mark.parametrize("name", sorted(set(SINGLE) - {"order"}))
def test_the_cut_alone_decides_the_bits(name):
    x = jnp.asarray(np.random.default_rng(0).normal(3, 1, 48), jnp.result_type(float))
    blocks, both = list(x.reshape(4, LENGTH)), jf.combine(**SINGLE[name])
    first = jf.fold(both, blocks)
    second = jf.fold(both, iter(blocks), jf.executors.Local())
    jf.testing.checks.assert_same(first, second, bits=True)


def test_equal_memories_are_kept_once():
    like = jax.ShapeDtypeStruct((), jnp.result_type(float))
    second = jf.combine(var=folds.var(), std=folds.std(), sem=folds.sem(), m=folds.moment(2))
    fourth = jf.combine(skew=folds.skew(), kurtosis=folds.kurtosis(), m=folds.moment(3))
    ranks = jf.combine(lo=folds.quantile(0.1), median=folds.median(), iqr=folds.iqr())
    for shared in (second, fourth, ranks):
        assert len(jax.eval_shape(lambda f=shared: f.init(like))) == 1
    weighted = (folds.var(weights=stats.Frequency), folds.var(weights=stats.Reliability))
    both = jf.combine(a=weighted[0], b=weighted[1])
    assert len(jax.eval_shape(lambda: both.init((like, like)))) == 2
