"""Statistics of segments, Fisher's interval and the bootstrap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jfoundations import stats

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)
N, GROUPS = 200, 5


def draw(seed, mean=0.0, shape=(N,)):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) + mean).astype(np.float32)
    return x, rng.integers(-1, GROUPS + 1, N).astype(np.int32), rng.random(N) < 0.7


@few
@given(seeds, st.booleans())
def test_a_segment_is_the_statistic_of_its_elements(seed, masked):
    x, ids, keep = draw(seed, mean=50.0)
    y, _, _ = draw(seed + 1)
    keep = keep if masked else np.ones(N, bool)
    bad = np.where(keep, x, np.float32(np.nan))
    run = dict(num_segments=GROUPS, where=keep)
    mean = stats.segment_mean(bad, ids, **run)
    var = stats.segment_var(bad, ids, correction=1, **run)
    cov = stats.segment_cov(bad, y, ids, **run)
    for g in range(GROUPS):
        a, b = (v[(ids == g) & keep].astype(np.float64) for v in (x, y))
        np.testing.assert_allclose(mean[g], a.mean(), rtol=2e-7)
        np.testing.assert_allclose(var[g], a.var(ddof=1), rtol=1e-5)
        np.testing.assert_allclose(cov[g], np.cov(a, b, ddof=0)[0, 1], rtol=1e-4, atol=1e-5)
    assert np.array_equal(var, stats.segment_var(bad, ids, correction=1, nan="omit", **run))


@few
@given(seeds)
def test_segment_exact_laws(seed):
    _, ids, keep = draw(seed)
    x = np.random.default_rng(seed).integers(-512, 512, N).astype(np.float32)
    run = dict(num_segments=GROUPS)
    var = np.asarray(stats.segment_var(x, ids, **run))
    assert np.array_equal(var, stats.segment_cov(x, x.copy(), ids, **run), equal_nan=True)
    assert np.array_equal(var, stats.segment_var(x + np.float32(2**20), ids, **run), equal_nan=True)
    assert np.array_equal(16 * var, stats.segment_var(4 * x, ids, **run), equal_nan=True)
    constant = np.full(N, draw(seed)[0][0])
    assert not np.any(np.asarray(stats.segment_var(constant, ids, **run)) > 0)
    present = np.isin(np.arange(GROUPS), ids)
    means = np.asarray(stats.segment_mean(constant, ids, **run))
    assert np.all(means[present] == constant[0])


@few
@given(seeds)
def test_segment_weights_are_repetitions(seed):
    x, ids, _ = draw(seed)
    weights = np.random.default_rng(seed).permutation(np.arange(N) % 4)  # one length: one trace
    run = dict(num_segments=GROUPS, correction=1)
    found = stats.segment_var(x, ids, weights=weights, **run)
    right = stats.segment_var(np.repeat(x, weights), np.repeat(ids, weights), **run)
    np.testing.assert_allclose(found, right, rtol=2e-6)


def test_segments_of_features_nothing_and_many():
    x, ids, _ = draw(0, shape=(N, 3))
    whole = stats.segment_var(x, ids, num_segments=GROUPS)
    parts = [stats.segment_var(x[:, k], ids, num_segments=GROUPS) for k in range(3)]
    assert whole.shape == (GROUPS, 3)
    assert np.array_equal(whole, np.stack(parts, axis=1), equal_nan=True)
    nothing = stats.segment_mean(np.zeros(0, np.float32), np.zeros(0, np.int32), num_segments=2)
    assert np.all(np.isnan(nothing))
    many = np.random.default_rng(0).standard_normal(100_000).astype(np.float32) + 10
    groups = np.arange(100_000, dtype=np.int32) % 3
    found = stats.segment_var(many, groups, num_segments=3)
    right = [many[groups == g].astype(np.float64).var() for g in range(3)]
    np.testing.assert_allclose(found, right, rtol=1e-6)


def test_segment_gradient_under_a_mask():
    x = jnp.array([1.0, jnp.nan, 2.0, 4.0])
    ids, keep = jnp.array([0, 0, 0, 1]), jnp.array([True, False, True, True])
    run = lambda x: jnp.nansum(stats.segment_var(x, ids, num_segments=2, where=keep))  # noqa: E731
    np.testing.assert_allclose(jax.grad(run)(x), [-0.5, 0.0, 0.5, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: stats.segment_mean(np.ones(3), np.zeros(2, int), num_segments=1), "one id for"),
        (lambda: stats.segment_mean(np.ones(3), np.zeros(3), num_segments=1), "ints are needed"),
        (lambda: stats.segment_mean(np.ones(3), np.zeros(3, int), num_segments=0), "num_segments"),
        (lambda: stats.segment_var(np.ones(3) * 1j, np.zeros(3, int), num_segments=1), "complex"),
        (lambda: stats.bootstrap(stats.mean, np.ones(3), key=None, level=2.0), "level is 2.0"),
        (lambda: stats.bootstrap(stats.mean, key=jax.random.key(0)), "one leading axis"),
        (
            lambda: stats.bootstrap(stats.mean, np.ones(3), key=jax.random.key(0), method="x"),
            "method is 'x'",
        ),
        (lambda: stats.pearson_interval(np.ones(3), np.ones(4)), "equal shapes"),
        (lambda: stats.pearson_interval(np.ones(3), np.ones(3), level=1), "level is 1"),
    ],
)
def test_bad_input(run, said):
    with pytest.raises((TypeError, ValueError), match=said):
        run()


@few
@given(seeds, st.sampled_from([0.5, 0.95]), st.sampled_from([5, 40]))
def test_pearson_interval_is_scipys(seed, level, n):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n).astype(np.float32)
    y = (x + rng.standard_normal(n)).astype(np.float32)
    found = stats.pearson_interval(x, y, level=level)
    right = scipy.stats.pearsonr(x.astype(float), y.astype(float)).confidence_interval(level)
    np.testing.assert_allclose(found, right, atol=2e-5)
    twice = stats.pearson_interval(x, y, level=level, weights=np.full(n, 2))
    assert (
        right.low < float(twice[0]) < float(twice[1]) < right.high
    )  # twice the data, a narrower interval


def test_pearson_interval_of_few_or_constant_pairs():
    low, high = stats.pearson_interval(np.array([1.0, 2.0, 4.0]), np.array([1.0, 5.0, 2.0]))
    assert (float(low), float(high)) == (-1.0, 1.0)
    assert np.all(np.isnan(stats.pearson_interval(np.ones(9), np.arange(9.0))))
    low, high = stats.pearson_interval(np.arange(9.0), np.arange(9.0))
    assert (float(low), float(high)) == (1.0, 1.0)


def test_bootstrap_of_the_mean_has_its_standard_error():
    x = np.random.default_rng(0).standard_normal(400).astype(np.float32)
    found = stats.bootstrap(stats.mean, x, key=jax.random.key(0), resamples=1000)
    error = x.std() / 20
    assert abs(float(found.standard_error) / error - 1) < 0.1  # 4 deviations of 1000 resamples
    assert abs(float(found.high - found.low) / (2 * 1.96 * error) - 1) < 0.15
    assert float(found.estimate) == float(stats.mean(x))
    again = stats.bootstrap(stats.mean, x, key=jax.random.key(0), resamples=1000)
    assert np.array_equal(found.distribution, again.distribution)
    basic = stats.bootstrap(
        stats.mean, x, key=jax.random.key(0), resamples=1000, method="basic", level=0.95
    )
    np.testing.assert_allclose(basic.low, 2 * found.estimate - found.high, atol=1e-6)


def test_bootstrap_where_is_deletion_and_trees_come_back():
    x = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    keep = x > -0.5
    both = lambda x, y, **words: {"m": stats.mean(x, **words), "c": stats.corr(x, y, **words)}  # noqa: E731
    found = stats.bootstrap(both, x, x**2, key=jax.random.key(1), resamples=64, where=keep)
    assert set(found.low) == {"m", "c"} and found.distribution["c"].shape == (64,)
    np.testing.assert_allclose(found.estimate["m"], x[keep].mean(), rtol=1e-5)
    bad = np.where(keep, x, np.float32(np.nan))
    hidden = stats.bootstrap(both, bad, bad**2, key=jax.random.key(1), resamples=64, where=keep)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(hidden), strict=True):
        assert np.array_equal(a, b)


def test_bootstrap_weights_stay_with_their_elements():
    x, w = np.arange(6.0, dtype=np.float32), np.array([0, 0, 0, 1, 0, 0])
    found = stats.bootstrap(stats.mean, x, key=jax.random.key(0), resamples=50, weights=w)
    drawn = np.asarray(found.distribution)
    assert float(found.estimate) == 3.0
    assert np.all((drawn == 3.0) | np.isnan(drawn))
    assert isinstance(found, stats.Bootstrap)
