"""Statistics of order: NumPy's and SciPy's numbers, deletion, repetition."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from order_cases import DEFAULT, STATISTICS, Q, arrays, assert_equal, each, equal, fuzz, whole, wild

from jfoundations import stats


@fuzz(max_examples=60)
@given(arrays((4, 7), whole), st.sampled_from([(None, False), (0, False), ((0, 1), True)]))
def test_numpy_and_scipy_agree_on_whole_numbers(x, form):
    axis, keepdims = form
    options = {"axis": axis, "keepdims": keepdims}
    assert equal(stats.median(x, **options), np.median(x, **options))
    assert equal(stats.quantile(x, Q, **options), np.quantile(x, Q, **options))
    want = np.quantile(x, 0.75, **options) - np.quantile(x, 0.25, **options)
    assert equal(stats.iqr(x, **options), want)
    low, high = stats.minmax(x, **options)
    assert equal(low, np.min(x, **options)) and equal(high, np.max(x, **options))
    if not keepdims and not isinstance(axis, tuple):
        want = scipy.stats.median_abs_deviation(x, axis=axis)
        assert equal(stats.median_abs_dev(x, axis=axis), want)
        want = scipy.stats.trim_mean(x, 0.15, axis=axis)
        np.testing.assert_allclose(stats.trim_mean(x, 0.15, axis=axis), want, rtol=1e-6, atol=1e-6)


@fuzz(max_examples=60)
@given(arrays((12,), wild))
def test_the_median_is_numpys_to_the_bit(x):
    with np.errstate(invalid="ignore"):
        assert equal(stats.median(x), np.median(x))
    assert equal(stats.median(x), stats.quantile(x, 0.5))


@fuzz(max_examples=60)
@given(arrays((9,), st.floats(-1e3, 1e3, width=16)), st.floats(0, 1, width=16))
def test_quantile_is_numpys(x, q):
    want = np.quantile(x.astype(float), q)
    np.testing.assert_allclose(stats.quantile(x, q), want, rtol=2e-5, atol=1e-4)


@fuzz(max_examples=60)
@given(arrays((9,), whole), arrays((9,), whole))
def test_rank_corr_is_scipys(x, y):
    got = stats.rank_corr(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(got)
        return
    np.testing.assert_allclose(got, scipy.stats.spearmanr(x, y)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got, stats.rank_corr(y, x), rtol=1e-6)
    assert abs(got) <= 1
    assert got == stats.rank_corr(x**3, 2 * y + 100)
    assert stats.rank_corr(x, x) == 1 and stats.rank_corr(x, -x) == -1


@fuzz(max_examples=60)
@given(arrays((20,), st.one_of(whole, st.floats(-9, 9, width=16))), st.sampled_from([1, 3, 10]))
def test_histogram_is_numpys_with_its_edges(x, bins):
    counts, edges = stats.histogram(x, bins)
    assert counts.dtype == np.int32
    assert equal(counts, np.histogram(x, np.asarray(edges))[0])
    np.testing.assert_allclose(edges, np.histogram_bin_edges(x, bins), rtol=1e-5, atol=1e-6)
    given_edges = np.array([-3.5, -1, 0, 0.25, 7], DEFAULT)
    assert equal(stats.histogram(x, given_edges)[0], np.histogram(x, given_edges)[0])


def test_histogram_where_bins_are_narrower_than_an_ulp():
    x = np.float32([1e8, 1e8, 1e8 + 8, 1e8 + 16])
    counts, edges = stats.histogram(x, 10)
    assert equal(counts, np.histogram(x, np.asarray(edges))[0])


def test_histogram_of_weights_along_an_axis():
    x = np.arange(12, dtype=DEFAULT).reshape(3, 4)
    w = np.arange(4, dtype=np.int32)
    counts, edges = stats.histogram(x, 3, axis=1, keepdims=True, weights=w)
    assert counts.shape == (3, 1, 3) and edges.shape == (4,)
    # of weight 0 are 0, 4 and 8: the range begins at 1
    np.testing.assert_allclose(edges, np.linspace(1, 11, 4), rtol=1e-6)
    for i in range(3):
        want = np.histogram(x[i], np.asarray(edges), weights=w)[0]
        assert equal(counts[i, 0], want.astype(DEFAULT))


def test_the_median_of_pairs_that_overflow_or_differ_in_every_bit():
    big = np.finfo(DEFAULT).max
    assert stats.median([big, big]) == big
    assert stats.median([-big, big]) == 0
    assert stats.quantile([-np.inf, 1.0], 0.25) == -np.inf
    assert stats.quantile([1.0, np.inf], 0.25) == np.inf
    assert stats.quantile([np.inf, np.inf], 0.25) == np.inf
    assert np.isnan(stats.quantile([-np.inf, np.inf], 0.25))


@each
@fuzz(max_examples=25)
@given(arrays((9,), whole), st.permutations(range(9)), st.sampled_from([0, 5]))
def test_where_weight_0_and_omitted_nan_are_deletion(name, x, order, kept):
    f = STATISTICS[name]
    keep = np.isin(np.arange(9), order[:kept])
    want = f(x[keep])
    dirty = np.where(keep, x, np.nan)
    assert_equal(name, f(x, where=keep), want)
    assert_equal(name, f(dirty, where=keep), want)
    assert_equal(name, f(dirty, nan="omit"), want)
    assert_equal(name, f(dirty, weights=keep.astype(np.int32)), want)
    assert_equal(name, f(dirty, weights=np.where(keep, 1, 0).astype(DEFAULT)), want)


@each
@fuzz(max_examples=25)
@given(arrays((6,), whole), st.lists(st.integers(0, 5), min_size=10, max_size=10))
def test_weight_k_is_repetition(name, x, places):
    f = STATISTICS[name]
    times = np.bincount(places, minlength=6).astype(np.int32)
    want = f(np.repeat(x, times))
    assert_equal(name, f(x, weights=times), want)
    assert_equal(name, f(x, weights=times.astype(DEFAULT)), want)
    assert_equal(name, f(x, weights=stats.Frequency(times)), want)


@pytest.mark.parametrize("kind", [stats.Reliability, stats.Probability])
@fuzz(max_examples=25)
@given(x=arrays((7,), wild), scale=st.floats(0.01, 100))
def test_equal_weights_without_scale_are_none(kind, x, scale):
    w = np.full(7, scale, DEFAULT)
    for name in ("median", "quantile", "iqr", "median_abs_dev", "minmax"):
        f = STATISTICS[name]
        assert equal(f(x, weights=kind(w)), f(x)), name


def window_mean(x, w, q):
    """Return the mean of the weighted step function over [h, h + 1], from its definition."""
    order = np.argsort(x)
    x, w = x[order], w[order]
    through = np.cumsum(w)
    start = q * max(through[-1] - 1, 0)
    left = np.maximum(through - w, start)
    share = np.maximum(np.minimum(through, start + 1) - left, 0)
    return (share * x).sum() / share.sum()


def test_fractional_weights_are_the_mean_over_a_window():
    rng = np.random.default_rng(0)
    for scale in (0.1, 1, 20):
        x, w = rng.normal(size=8), rng.uniform(size=8) * scale
        got = stats.quantile(x.astype(DEFAULT), Q, weights=w.astype(DEFAULT))
        want = [window_mean(x, w, q) for q in Q]
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)
        kish = w * w.sum() / (w**2).sum()
        got = stats.quantile(x.astype(DEFAULT), Q, weights=stats.Reliability(w.astype(DEFAULT)))
        np.testing.assert_allclose(got, [window_mean(x, kish, q) for q in Q], rtol=2e-5, atol=1e-6)
        seen = w * 8 / w.sum()
        got = stats.quantile(x.astype(DEFAULT), Q, weights=stats.Probability(w.astype(DEFAULT)))
        np.testing.assert_allclose(got, [window_mean(x, seen, q) for q in Q], rtol=2e-5, atol=1e-6)


def test_rank_corr_does_not_know_the_scale_of_weights():
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 5, (2, 9)).astype(DEFAULT)
    w = rng.uniform(size=9).astype(DEFAULT)
    want = stats.rank_corr(x, y, weights=w)
    assert want == stats.rank_corr(x, y, weights=4 * w)
    assert abs(want - stats.rank_corr(x, y, weights=stats.Reliability(w))) < 1e-6


def test_trim_mean_of_fractional_weights():
    got = stats.trim_mean([1.0, 2.0, 4.0, 8.0], 0.25, weights=[0.5, 1.5, 1.5, 1.0])
    # W = 4.5, so 1 is cut at each end: ½·2 more, and the 8
    np.testing.assert_allclose(got, (1.0 * 2 + 1.5 * 4) / 2.5, rtol=1e-6)


def test_trim_mean_cuts_what_scipy_cuts():
    # 0.35·20 is 6.9999998 in float32, and 7
    x = np.arange(20, dtype=DEFAULT) ** 2
    for cut in (0.0, 0.05, 0.1, 0.15, 0.2, 0.35, 0.45, 0.49):
        np.testing.assert_allclose(stats.trim_mean(x, cut), scipy.stats.trim_mean(x, cut))
