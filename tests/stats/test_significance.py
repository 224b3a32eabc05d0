"""Tests of means and variances beside SciPy, of arrays, moments and streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers import raises

import jfoundations as jf
from jfoundations import folds, stats

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(m, s, n) for m, s, n in ((1.0, 1.0, 9), (2.0, 2.0, 14), (1.5, 1.0, 7)))
WORDS = ("two-sided", "less", "greater")


def f_test(a, b, alternative):
    f, both = a.var(ddof=1) / b.var(ddof=1), scipy.stats.f(len(a) - 1, len(b) - 1)
    below, above = both.cdf(f), both.sf(f)
    p = {"less": below, "greater": above, "two-sided": 2 * min(below, above)}[alternative]
    return f, (len(a) - 1, len(b) - 1), p


def of_scipy(name, alternative):
    if name == "ftest":
        return f_test(A, B, alternative)
    if name == "anova":
        found = scipy.stats.f_oneway(A, B, C)
        return found.statistic, (2, 27), found.pvalue
    found = {
        "one": lambda: scipy.stats.ttest_1samp(A, 0.5, alternative=alternative),
        "paired": lambda: scipy.stats.ttest_rel(A, B[:9], alternative=alternative),
        "two": lambda: scipy.stats.ttest_ind(A, B, alternative=alternative),
        "welch": lambda: scipy.stats.ttest_ind(A, B, equal_var=False, alternative=alternative),
    }[name]()
    return found.statistic, found.df, found.pvalue


CALLS = {
    "one": lambda a, b, c, w: stats.ttest(a, mean=0.5, alternative=w),
    "paired": lambda a, b, c, w: stats.ttest(a - b[:9], alternative=w),
    "two": lambda a, b, c, w: stats.ttest(a, b, alternative=w),
    "welch": lambda a, b, c, w: stats.welch(a, b, alternative=w),
    "ftest": lambda a, b, c, w: stats.ftest(a, b, alternative=w),
    "anova": lambda a, b, c, w: stats.anova(a, b, c),
}


def close(found, right, rtol):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.parametrize("name", CALLS)
def test_scipys_values(name):
    for word in WORDS if name != "anova" else WORDS[:1]:
        right = of_scipy(name, word)
        with jax.enable_x64(True):
            found = CALLS[name](A, B, C, word)
        assert isinstance(found, stats.Significance)
        close(found, right, 1e-11)
        close(CALLS[name](*(np.float32(v) for v in (A, B, C)), word), right, 2e-5)


@pytest.mark.parametrize("name", ["one", "two", "welch", "ftest", "anova"])
def test_moments_of_masks_weights_and_streams(name):
    right = jax.jit(CALLS[name], static_argnums=3)(*map(np.float32, (A, B, C)), "less")
    hidden = np.append(A, np.nan).astype(np.float32)
    a = stats.moments(hidden, where=np.arange(10) < 9)
    b = stats.moments(np.float32(np.append(B, 7.0)), weights=np.arange(15) < 14)
    c = jf.fold(
        folds.moments(nan="omit"), [np.float32(C[:3]), np.float32([np.nan]), np.float32(C[3:])]
    )
    close(CALLS[name](a, b, c, "less"), right, 1e-5)


def test_weights_are_repetitions():
    w = RNG.integers(0, 4, 9)
    right = stats.ttest(np.repeat(A, w).astype(np.float32))
    a = np.float32(A)
    close(stats.ttest(stats.moments(a, weights=w)), right, 1e-5)
    kept = jf.fold(folds.moments(weights=stats.Frequency), (jnp.asarray(a), jnp.asarray(w)))
    close(stats.ttest(kept), right, 1e-5)


def test_of_windows_groups_and_axes():
    x = np.float32(RNG.normal(size=(12, 2)))
    p = stats.Statistic(lambda m: stats.ttest(m).p)
    ids = np.arange(12) % 3
    found = p.segment(x, segment_ids=ids, num_segments=3)
    right = stats.ttest(x.reshape(4, 3, 2), axis=0)
    np.testing.assert_allclose(found, right.p, rtol=1e-5)
    np.testing.assert_allclose(p.rolling(x, window=12)[0], stats.ttest(x, axis=0).p, rtol=1e-5)
    assert stats.welch(x, x[:5], axis=0).statistic.shape == (2,)
    each = jf.fold(folds.moments(), jnp.asarray(x))
    close(stats.ttest(each, mean=0.1), stats.ttest(x, axis=0, mean=0.1), 1e-5)


def test_a_large_offset_costs_no_digits():
    a, b = np.float32(2**20 + RNG.integers(0, 9, 50)), np.float32(2**20 + RNG.integers(2, 9, 60))
    close(stats.welch(a, b), stats.welch(a - 2**20, b - 2**20), 1e-6)
    close(stats.anova(a, b), stats.anova(a - 2**20, b - 2**20), 1e-6)
    close(stats.ttest(a, mean=2**20 + 4), stats.ttest(a - 2**20, mean=4), 1e-6)


def test_constants_and_too_few():
    one = np.ones(3, np.float32)
    assert np.isnan(stats.ttest(one, mean=1.0).p) and np.isnan(stats.ttest(one[:1]).p)
    assert float(stats.ttest(one).statistic) == np.inf and float(stats.ttest(one).p) == 0
    far = stats.welch(one, 0 * one)
    assert float(far.statistic) == np.inf and float(far.p) == 0 and float(far.freedom) == 1
    for found in (stats.welch(one, one), stats.ftest(one, one), stats.anova(one, one)):
        assert np.isnan(found.statistic) and np.isnan(found.p)
    assert np.isnan(stats.ttest(one[:0]).p) and np.isnan(stats.anova(one, one[:0]).p)
    assert np.isnan(stats.ttest(one[:1], one[:1] * 2).p)
    assert float(stats.ttest(np.float32([1, 2, 4]), one[:1]).freedom) == 2
    assert np.isnan(stats.moments(one[:0]).mean) and np.isnan(stats.moments(one[:0]).var())


def test_derivatives_are_of_the_statistic_alone():
    a, b = map(np.float32, (A, B))
    slope = jax.grad(lambda a: stats.welch(a, b).statistic)(a)
    moved = [
        stats.welch(a + s * np.eye(9, dtype=np.float32)[2], b).statistic for s in (0.01, -0.01)
    ]
    np.testing.assert_allclose(slope[2], (moved[0] - moved[1]) / 0.02, rtol=1e-3)
    assert not np.any(jax.grad(lambda a: stats.welch(a, b).p)(a))


BAD = {
    "word": (
        ValueError,
        lambda: stats.ttest(A, alternative="more"),
        "ttest: alternative is 'more'",
    ),
    "complex": (TypeError, lambda: stats.welch(A * 1j, B), "welch: a is complex"),
    "second": (TypeError, lambda: stats.welch(A, B * 1j), "welch: b is complex"),
    "one": (TypeError, lambda: stats.anova(A), "anova: 1 samples are given"),
    "third": (TypeError, lambda: stats.anova(A, B, "C"), "anova: sample 3 is"),
    "axis": (ValueError, lambda: stats.ftest(A, B, axis=1), "ftest: axis 1 is out of range"),
    "mean": (ValueError, lambda: stats.ttest(A, mean=A), "ttest: mean has shape (9,)"),
    "weights": (
        TypeError,
        lambda: stats.moments(A, weights=stats.Reliability(A)),
        "moments: weights are Reliability, which count no observations",
    ),
    "weights of folds": (
        TypeError,
        lambda: folds.moments(weights=stats.Reliability),
        "folds.moments: weights are Reliability, which count no observations",
    ),
    "weights that are numbers": (
        TypeError,
        lambda: folds.moments(weights=A),
        "folds.moments: weights is array(",
    ),
    "shapes": (
        ValueError,
        lambda: stats.welch(np.ones((3, 4)), np.ones((5, 3)), axis=1),
        "welch: what is left of the samples has shapes (3,), (5,)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    error, call, said = BAD[name]
    with raises(error, said):
        call()
