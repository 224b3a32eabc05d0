"""Quantiles by NumPy's definitions: its elements to the bit, its means to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from order_cases import DEFAULT, equal

from jfoundations import stats

METHODS = (
    *("linear", "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "hazen"),
    *("interpolated_inverted_cdf", "weibull", "median_unbiased", "normal_unbiased"),
    *("lower", "higher", "midpoint", "nearest"),
)
ELEMENTS = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
Q = np.linspace(0, 1, 65).astype(DEFAULT)  # exact: NumPy rounds no rank


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 64])
def test_they_are_numpys(method, n):
    x = np.random.default_rng(n).normal(size=n).astype(DEFAULT)
    found, want = stats.quantile(x, Q, method=method), np.quantile(x, Q, method=method)
    if method in ELEMENTS:
        assert equal(found, want)
    else:  # a rank is rounded by few units, and moves the value by as much of a gap
        bound = 4 * n * np.finfo(DEFAULT).eps
        np.testing.assert_allclose(found, want, rtol=0, atol=bound * max(1, np.ptp(x)))


@pytest.mark.parametrize("method", METHODS)
def test_of_long_rows_of_what_counts_and_of_integers(method):
    x = np.random.default_rng(0).integers(-400, 400, 40_001).astype(DEFAULT)
    q = np.array([0.0, 0.125, 0.5, 0.75, 1.0], DEFAULT)
    want = np.quantile(x, q, method=method)
    close = dict(rtol=1e-6 if DEFAULT == np.float32 else 1e-12, atol=1e-6)
    np.testing.assert_allclose(stats.quantile(x, q, method=method), want, **close)
    np.testing.assert_allclose(stats.quantile(x.astype(int), q, method=method), want, **close)
    keep = x > -100
    want = np.quantile(x[keep], q, method=method)
    np.testing.assert_allclose(stats.quantile(x, q, method=method, where=keep), want, **close)
    ends = np.quantile(x, [0.25, 0.75], method=method)
    np.testing.assert_allclose(stats.iqr(x, method=method), ends[1] - ends[0], **close)


def test_the_inverted_cdf_of_weights_is_numpys():
    rng = np.random.default_rng(3)
    q = np.array([0.0, 0.1, 0.35, 0.5, 0.77, 1.0])
    for w in (rng.integers(0, 4, 12), rng.uniform(size=12), rng.uniform(size=12) * 1e-20):
        x = rng.normal(size=12).astype(DEFAULT)
        want = np.quantile(x, q, weights=w, method="inverted_cdf")
        for kind in (stats.Frequency, stats.Reliability, stats.Probability):
            weights = kind(w.astype(np.int32 if w.dtype == int else DEFAULT))
            found = stats.quantile(x, q.astype(DEFAULT), weights=weights, method="inverted_cdf")
            assert equal(found, want), (w, kind)
    ten = np.full(10, 0.1, DEFAULT)  # W is not 1, and 0.3·W not the third sum
    found = stats.quantile(np.arange(10.0), 0.3, weights=ten, method="inverted_cdf")
    assert float(found) == np.quantile(np.arange(10.0), 0.3, method="inverted_cdf") == 2
    assert stats.iqr([1.0, 2.0, 4.0], weights=[0.5, 3, 0.5], method="inverted_cdf") == 0


def test_methods_that_have_no_meaning_with_weights():
    for method in set(METHODS) - {"linear", "inverted_cdf"}:
        with pytest.raises(ValueError, match=f"quantile: method '{method}' has no meaning with"):
            stats.quantile([1.0, 2.0], 0.5, weights=[1, 2], method=method)
    with pytest.raises(
        ValueError, match="iqr: method 'hazen' has no meaning with weights; .*linear"
    ):
        stats.iqr([1.0, 2.0], weights=[1, 2], method="hazen")
    with pytest.raises(ValueError, match="method is 'cubic'; it must be one of linear, inverted"):
        stats.quantile([1.0], 0.5, method="cubic")


def test_derivatives_by_methods():
    x = jnp.asarray([1.0, 2.0, 4.0, 9.0])
    slope = jax.grad(lambda x, q: stats.quantile(x, q, method="hazen"), (0, 1))(x, 0.5)
    assert slope[0].tolist() == [0, 0.5, 0.5, 0] and slope[1] == 8  # 4 elements, 2 apart
    slope = jax.grad(lambda x, q: stats.quantile(x, q, method="lower"), (0, 1))(x, 0.5)
    assert slope[0].tolist() == [0, 1, 0, 0] and slope[1] == 0
