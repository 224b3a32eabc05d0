"""Moments, skewness, kurtosis and the standard error against SciPy in float64, and their laws."""

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


def draw(seed, shape=(40,), mean=0.0):
    return (np.random.default_rng(seed).standard_exponential(shape) + mean).astype(np.float32)


@few
@given(seeds, st.sampled_from([0.0, 100.0]), st.sampled_from([None, 0, -1]))
def test_scipy_agrees(seed, mean, axis):
    x = draw(seed, (20, 6), mean)
    wide = x.astype(np.float64)
    tolerance = dict(rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(stats.skew(x, axis=axis), scipy.stats.skew(wide, axis), **tolerance)
    right = scipy.stats.kurtosis(wide, axis)
    np.testing.assert_allclose(stats.kurtosis(x, axis=axis), right, **tolerance)
    np.testing.assert_allclose(stats.sem(x, axis=axis), scipy.stats.sem(wide, axis), rtol=1e-5)
    for order in (0, 1, 2, 3, 4):
        right = scipy.stats.moment(wide, order, axis)
        np.testing.assert_allclose(stats.moment(x, order, axis=axis), right, rtol=1e-3, atol=2e-5)


@few
@given(seeds, st.integers(-100, 100))
def test_exact_laws(seed, k):
    x = np.random.default_rng(seed).integers(-512, 512, 40).astype(np.float32)
    for f in (stats.skew, stats.kurtosis):
        value = float(f(x))
        assert value == float(f(x + np.float32(2**20)))
        assert value == float(f(x * np.float32(2.0**k)))
    assert float(stats.skew(-x)) == -float(stats.skew(x))
    assert float(stats.kurtosis(x)) >= float(stats.skew(x)) ** 2 - 2 - 1e-5


@few
@given(seeds)
def test_where_is_deletion_and_weights_are_repetitions(seed):
    rng = np.random.default_rng(seed)
    x, keep = draw(seed), rng.permutation(40) < 25  # one length kept: one trace
    bad = np.where(keep, x, np.float32(np.nan))
    weights = rng.permutation(np.arange(40) % 3)
    for f in (stats.skew, stats.kurtosis, stats.sem, lambda x, **w: stats.moment(x, 3, **w)):
        right = f(x[keep])
        # 1e-5 of what is summed: of kurtosis + 3, since the excess itself may be next to nothing
        bound = dict(rtol=1e-5, atol={stats.sem: 0.0, stats.kurtosis: 3e-5}.get(f, 1e-5))
        np.testing.assert_allclose(f(bad, where=keep), right, **bound)
        np.testing.assert_allclose(f(bad, nan="omit"), right, **bound)
        np.testing.assert_allclose(f(bad, weights=keep.astype(np.int32)), right, **bound)
        right = f(np.repeat(x, weights))
        np.testing.assert_allclose(f(x, weights=weights), right, **bound)


def test_edges():
    for f in (stats.skew, stats.kurtosis):
        assert np.isnan(f(np.full(5, 0.1, np.float32))) and np.isnan(f(np.zeros(0)))
        assert np.isnan(f(np.array([1.0, np.nan, 2.0])))
    assert np.isnan(stats.sem(np.ones(1))) and float(stats.sem(np.ones(3))) == 0.0
    assert float(stats.moment(np.full(5, 0.1, np.float32), 4)) == 0.0
    huge = np.array([1.0, 2.0, 4.0, 18.0], np.float32)
    assert float(stats.skew(huge * np.float32(2.0**120))) == float(stats.skew(huge))
    large = np.array([2**30, 2**30 + 1, 2**30 + 5], np.int32)
    assert float(stats.skew(large)) == float(stats.skew(large - 2**30))
    assert stats.skew(huge.astype(np.float16)).dtype == np.float16
    kinds = (stats.Reliability, stats.Probability)
    for kind in kinds:  # equal weights are none
        np.testing.assert_allclose(stats.sem(huge, weights=kind(np.full(4, 3.0))), stats.sem(huge))


def test_gradients():
    x = jnp.array([1.0, 2.0, 4.0, 18.0, jnp.nan])
    keep = ~jnp.isnan(x)
    for f in (stats.skew, stats.kurtosis):
        slope = jax.grad(lambda x, f=f: f(x, where=keep))(x)
        assert float(slope[4]) == 0.0
        right = jax.grad(f)(x[:4])
        np.testing.assert_allclose(slope[:4], right, rtol=1e-4, atol=1e-7)
        assert abs(float(right @ x[:4])) < 1e-5  # of degree 0: Euler's identity
        assert abs(float(right.sum())) < 1e-6  # translation changes nothing
    assert float(jax.grad(stats.sem)(jnp.ones(3)).sum()) == 0.0


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: stats.skew(np.ones(3) * 1j), "complex"),
        (lambda: stats.kurtosis("a"), "holds no numbers"),
        (lambda: stats.moment(np.ones(3), -1), "order is -1"),
        (lambda: stats.moment(np.ones(3), 1.5), "order is 1.5"),
        (lambda: stats.sem(np.ones(3), axis=2), "axis 2 is out of range"),
    ],
)
def test_bad_input(run, said):
    with pytest.raises((TypeError, ValueError), match=said):
        run()
