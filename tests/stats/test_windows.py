"""Rolling and exponentially weighted statistics against NumPy in float64, and their exact laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from jfoundations import stats

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)
windows = st.sampled_from([1, 7, 50])
N = 50


def draw(seed, mean=0.0, shape=(N,)):
    return (np.random.default_rng(seed).standard_normal(shape) + mean).astype(np.float32)


def mask(seed, shape=(N,)):
    return np.random.default_rng(seed + 1).random(shape) < 0.6


def reference(kind, w, x, y=None, weights=None, correction=0):
    """Compute every window's statistic in float64, by the definition."""
    x = x.astype(np.float64)
    y = x if y is None else y.astype(np.float64)
    weights = np.ones(len(x)) if weights is None else weights.astype(np.float64)
    out = []
    for a, b, v in zip(*(sliding_window_view(t, w) for t in (x, y, weights)), strict=True):
        a, b, v = a[v > 0], b[v > 0], v[v > 0]
        if v.sum() <= (0 if kind in ("mean", "corr") else correction):
            out.append(np.nan)
            continue
        ea, eb = a - np.average(a, weights=v), b - np.average(b, weights=v)
        if kind == "mean":
            out.append(np.average(a, weights=v))
        elif kind == "corr":
            scale = np.sqrt((v * ea * ea).sum()) * np.sqrt((v * eb * eb).sum())
            out.append((v * ea * eb).sum() / scale if scale > 0 else np.nan)
        else:
            out.append((v * ea * eb).sum() / (v.sum() - correction))
    return np.array(out)


@few
@given(seeds, windows, st.sampled_from([0, 1]), st.booleans())
def test_rolling_is_the_statistic_of_each_window(seed, window, correction, masked):
    x, y = draw(seed, mean=100.0), draw(seed + 7)
    keep = mask(seed) if masked else None
    given_ = {"where": keep} if masked else {}
    found = stats.rolling_mean(x, window, **given_)
    np.testing.assert_allclose(found, reference("mean", window, x, None, keep), rtol=3e-7)
    found = stats.rolling_var(x, window, correction=correction, **given_)
    right = reference("var", window, x, None, keep, correction)
    np.testing.assert_allclose(found, right, rtol=3e-5, atol=1e-7)
    found = stats.rolling_cov(x, y, window, correction=correction, **given_)
    right = reference("cov", window, x, y, keep, correction)
    np.testing.assert_allclose(found, right, rtol=3e-5, atol=3e-6)


@few
@given(seeds, st.sampled_from([7, 50]))
def test_rolling_corr(seed, window):
    x, y = draw(seed, mean=100.0), draw(seed + 7)
    found = np.asarray(stats.rolling_corr(x, y, window))
    np.testing.assert_allclose(found, reference("corr", window, x, y), atol=3e-5)
    assert np.all(np.abs(found) <= 1)
    assert np.all(np.asarray(stats.rolling_corr(x, x, window)) >= 1 - 2e-7)


@few
@given(seeds, windows, st.integers(0, 4))
def test_rolling_weights_are_repetitions(seed, window, top):
    x = draw(seed)
    weights = np.random.default_rng(seed).integers(0, top + 1, N)
    found = stats.rolling_var(x, window, weights=weights, correction=1)
    np.testing.assert_allclose(
        found, reference("var", window, x, None, weights, 1), rtol=3e-5, atol=1e-6
    )


@few
@given(seeds, windows)
def test_rolling_exact_laws(seed, window):
    x = np.random.default_rng(seed).integers(-512, 512, N).astype(np.float32)
    var = stats.rolling_var(x, window)
    assert np.array_equal(var, stats.rolling_var(x + np.float32(2**20), window))
    assert np.array_equal(16 * np.asarray(var), stats.rolling_var(4 * x, window))
    constant = np.full(N, draw(seed)[0])
    assert np.array_equal(stats.rolling_var(constant, window), np.zeros(N - window + 1))
    assert np.array_equal(stats.rolling_mean(constant, window), constant[: N - window + 1])


def test_what_has_left_the_window_leaves_no_trace():
    x = np.array([9.54e8, 0.6225, 0.3, 0.0, 1.14, 0.0, 0.5, 0.2], np.float32)
    right = reference("var", 4, x)
    np.testing.assert_allclose(stats.rolling_var(x, 4), right, rtol=3e-6)
    tail = np.array([1.0, 1e-7, 0, 0, 0, 0, 0], np.float32)
    assert float(stats.rolling_var(tail, 5)[-1]) == 0.0


def test_nan_and_inf_stay_in_their_windows():
    x = np.array([1.0, np.nan, 2.0, 3.0, np.inf, 4.0, 5.0], np.float32)
    found = np.asarray(stats.rolling_mean(x, 2))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 2.5, np.inf, np.inf, 4.5])
    found = np.asarray(stats.rolling_mean(x, 2, nan="omit"))
    np.testing.assert_array_equal(found, [1.0, 2.0, 2.5, np.inf, np.inf, 4.5])


def test_rolling_axes_and_integers():
    x = draw(3, shape=(4, N))
    rows = np.stack([stats.rolling_var(row, 5) for row in x])
    assert np.array_equal(stats.rolling_var(x, 5, axis=-1), rows)
    assert np.array_equal(stats.rolling_var(x.T, 5), rows.T)
    large = np.arange(2**30, 2**30 + 9, dtype=np.int32)
    np.testing.assert_allclose(stats.rolling_var(large, 3), np.full(7, 2 / 3), rtol=1e-6)
    assert stats.rolling_mean(np.array([True, False, True]), 2).dtype == jnp.result_type(float)


@pytest.mark.parametrize("nothing", [np.zeros((0,)), np.zeros((3, 0))])
def test_ema_of_nothing(nothing):
    assert stats.ema(nothing, decay=0.5).shape == nothing.shape


def ema_reference(x, decay, weights):
    """Compute weighted means, variances and their denominators in float64, by the definition."""
    means, spreads, totals, squares = [], [], [], []
    x = x.astype(np.float64)
    for t in range(len(x)):
        # The ages count from the last kept element, the answer through a gap: shares of weight
        # do not change when all of them decay, and decay 0 leaves that element alone.
        kept = np.flatnonzero(weights[: t + 1])
        last = kept[-1] if kept.size else t
        w = weights[: t + 1] * decay ** np.maximum(np.arange(last, last - t - 1, -1), 0)
        kept = w > 0
        w, part = w[kept], x[: t + 1][kept]
        mean = (w * part).sum() / w.sum() if kept.any() else np.nan
        means.append(mean)
        spreads.append((w * (part - mean) ** 2).sum())
        totals.append(w.sum())
        squares.append((w * w).sum())
    return map(np.array, (means, spreads, totals, squares))


@few
@given(seeds, st.sampled_from([0.0, 0.5, 0.97]), st.booleans())
def test_ema_by_the_definition(seed, decay, masked):
    x = draw(seed, mean=30.0)
    keep = mask(seed) if masked else np.ones(N, bool)
    x = np.where(keep, x, np.float32(np.nan))
    mean, spread, total, squares = ema_reference(x, decay, keep.astype(float))
    np.testing.assert_allclose(stats.ema(x, decay=decay, where=keep), mean, rtol=1e-6)
    assert np.array_equal(
        stats.ema(x, decay=decay, where=keep), stats.ema(x, decay=decay, nan="omit"), equal_nan=True
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        biased, free = spread / total, total - squares / total
        unbiased = np.where(free > 1e-6 * total, spread / free, np.nan)
    found = stats.ema_var(x, decay=decay, where=keep)
    np.testing.assert_allclose(found, biased, rtol=1e-4, atol=1e-6)
    found = np.asarray(stats.ema_var(x, decay=decay, where=keep, correction=1))
    both = np.isfinite(unbiased) & np.isfinite(found)
    np.testing.assert_allclose(found[both], unbiased[both], rtol=2e-3, atol=1e-5)
    assert np.isnan(found[np.argmax(keep)])  # one element has no spread to speak of


def test_ema_of_a_constant_and_bad_decays():
    x = np.full(20, np.float32(1e7 + 1))
    assert np.array_equal(stats.ema(x, decay=0.9), x)
    assert np.array_equal(stats.ema_var(x, decay=0.9), np.zeros(20))
    for decay in (-0.1, 1.0, np.nan):
        assert np.all(np.isnan(stats.ema(x, decay=decay)))


def test_gradients_are_finite_under_masks():
    x = jnp.array([1.0, jnp.nan, 2.0, 4.0, 3.0, 3.0])
    keep = ~jnp.isnan(x)
    for f in (
        lambda x: stats.rolling_var(x, 3, where=keep).sum(),
        lambda x: stats.rolling_mean(x, 3, where=keep).sum(),
        lambda x: stats.ema(x, decay=0.5, where=keep).sum(),
        lambda x: stats.ema_var(x, decay=0.5, where=keep).sum(),
    ):
        slope = jax.grad(f)(x)
        assert bool(jnp.all(jnp.isfinite(slope))) and float(slope[1]) == 0.0


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: stats.rolling_mean(np.ones(3), 4), "window is 4, longer than the 3 elements"),
        (lambda: stats.rolling_mean(np.ones(3), 0), "window is 0"),
        (lambda: stats.rolling_var(np.ones(3), 2.0), "window is 2.0, a Python int"),
        (lambda: stats.rolling_cov(np.ones(3), np.ones(4), 2), "x has shape .3,. and y has"),
        (lambda: stats.rolling_mean(np.ones(3) * 1j, 2), "complex"),
        (lambda: stats.rolling_mean("abc", 2), "holds no numbers"),
        (lambda: stats.ema(np.ones(3), decay=0.5, axis=1), "axis 1 is out of range"),
        (lambda: stats.ema(np.ones(3) * 1j, decay=0.5), "complex"),
        (lambda: jax.jit(lambda w: stats.rolling_mean(jnp.ones(3), w))(2), "window is traced"),
    ],
)
def test_bad_input(run, said):
    with pytest.raises((TypeError, ValueError), match=said):
        run()


@few
@given(seeds, windows, st.sampled_from([0, 1]))
def test_rolling_sum_std_and_sem(seed, window, correction):
    x = draw(seed, mean=3.0)
    rows = sliding_window_view(x.astype(np.float64), window)
    rounded = dict(rtol=2e-6, atol=2e-6)  # 32 u, of sums of 50
    np.testing.assert_allclose(stats.rolling_sum(x, window), rows.sum(axis=1), **rounded)
    if window > correction:
        spread = rows.std(axis=1, ddof=correction)
        found = stats.rolling_std(x, window, correction=correction)
        np.testing.assert_allclose(found, spread, **rounded)
        found = stats.rolling_sem(x, window, correction=correction)
        np.testing.assert_allclose(found, spread / np.sqrt(window), **rounded)


def test_sums_of_whole_numbers_are_exact_and_know_what_is_hidden():
    x = np.arange(1.0, 9.0, dtype=np.float32)
    keep = np.array([1, 1, 0, 1, 1, 1, 0, 0], bool)
    right = sliding_window_view(np.where(keep, x, 0), 3).sum(axis=1)
    hidden = np.where(keep, x, np.float32(np.nan))
    assert np.array_equal(stats.rolling_sum(hidden, 3, where=keep), right)
    assert np.array_equal(stats.rolling_sum(hidden, 3, weights=2 * keep), 2 * right)
    assert np.array_equal(stats.rolling_sum(np.arange(5), 2), [1, 3, 5, 7])
    slope = jax.grad(lambda x: stats.rolling_sum(x, 3, where=keep).sum())(jnp.asarray(hidden))
    assert np.array_equal(slope, keep * np.array([1, 2, 3, 3, 3, 3, 2, 1]))


@pytest.mark.parametrize("kind", [stats.Frequency, stats.Reliability, stats.Probability])
def test_errors_of_weighted_means_of_windows(kind):
    x = draw(5)
    w = np.random.default_rng(6).integers(1, 4, N).astype(np.float32)
    found = stats.rolling_sem(x, 9, weights=kind(w))
    right = [stats.sem(x[k : k + 9], weights=kind(w[k : k + 9])) for k in range(N - 8)]
    np.testing.assert_allclose(found, right, rtol=2e-6)


@pytest.mark.parametrize("window", [1, 7, 1000, 12_345, 30_000])
def test_pieces_of_long_arrays_are_the_whole(window):
    x = draw(8, mean=5.0, shape=(30_000,))
    ends = np.cumsum(np.concatenate([[0], x.astype(np.float64)]))
    right = (ends[window:] - ends[:-window]) / window
    np.testing.assert_allclose(stats.rolling_mean(x, window), right, rtol=1e-6)


TEXTS = {  # characters of StableHLO, of 2**20 numbers; windows of 50
    "rolling_sum": (lambda x: stats.rolling_sum(x, 50), 9_000),
    "rolling_mean": (lambda x: stats.rolling_mean(x, 50), 15_000),
    "rolling_var": (lambda x: stats.rolling_var(x, 50), 24_000),
    "rolling_cov": (lambda x: stats.rolling_cov(x, 2 * x, 50), 37_000),
    "rolling_std": (lambda x: stats.rolling_std(x, 50), 31_000),
    "rolling_sem": (lambda x: stats.rolling_sem(x, 50), 32_000),
    "rolling_corr": (lambda x: stats.rolling_corr(x, 2 * x, 50), 42_000),
    "ema": (lambda x: stats.ema(x, decay=0.9), 25_000),
    "ema_var": (lambda x: stats.ema_var(x, decay=0.9), 41_000),
}


@pytest.mark.parametrize("name", TEXTS)
def test_programs_are_short(name):
    f, most = TEXTS[name]
    assert len(jax.jit(f).lower(jax.ShapeDtypeStruct((2**20,), np.float32)).as_text()) <= most
