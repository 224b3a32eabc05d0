"""Windows and exponential weights at every scale, over long gaps, in programs that do not grow.

Causes, and where else they can act:
squares and spans leave the range: means, variances, covariances, correlations of windows, of
exponential weights and of groups; data up to the largest float with either sign, after a spike that
has left or faded; weights from the smallest normal number to the largest in one array;
a weight that fades underflows: mean and corrected variance within a gap, and what comes after it,
for weights by hand, `where`, and `nan="omit"`;
integers that a float does not hold: windows, exponential weights (array and fold), groups;
constants as long as the data, gathers, and scans that double: values and gradients;
an axis by default: all functions of windows and of exponential weights.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import stats
from jfoundations.stats import Probability, Reliability

FLOAT = np.dtype(jnp.result_type(float))
EPS = float(np.finfo(FLOAT).eps)
MOST, LEAST = np.finfo(FLOAT).max, np.finfo(FLOAT).tiny
FAR, HALF = (110, 55) if FLOAT == np.float32 else (1000, 500)
IDS = np.arange(12) % 3


def draw(seed):
    return np.random.default_rng(seed).uniform(1, 50, 12).astype(FLOAT) * FLOAT.type(1 - 2 * seed)


X, Y = draw(0), draw(1)
W = np.random.default_rng(2).uniform(0.5, 2, 12).astype(FLOAT)


@jax.jit
def spreads(x, w):
    """Return what grows with the square of the data, whatever the scale of the weights."""
    w, groups = Reliability(w), dict(num_segments=3)
    return {
        "rolling_var": stats.rolling_var(x, 5, weights=w, correction=1),
        "ema_var": stats.ema_var(x, decay=0.9, weights=w, correction=1),
        "segment_var": stats.segment_var(x, IDS, weights=w, correction=1, **groups),
    }


@jax.jit
def means(x, w):
    return {
        "rolling_mean": stats.rolling_mean(x, 5, weights=w),
        "ema": stats.ema(x, decay=0.9, weights=w),
        "segment_mean": stats.segment_mean(x, IDS, num_segments=3, weights=w),
    }


@jax.jit
def pairs(x, y, w):
    """Return what depends on the product of the two scales alone, or on none."""
    w = Probability(w)
    return {
        "rolling_cov": stats.rolling_cov(x, y, 5, weights=w, correction=1),
        "rolling_corr": stats.rolling_corr(x, y, 5, weights=w),
        "segment_cov": stats.segment_cov(x, y, IDS, num_segments=3, weights=w, correction=1),
    }


def assert_bits(found, right, factor=1.0):
    for name, value in right.items():
        assert np.all(np.isfinite(value)) or name == "ema_var"  # nan of one element
        expected = np.asarray(value) * FLOAT.type(factor)
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


@pytest.mark.parametrize("weights", [0, FAR, -FAR])
@pytest.mark.parametrize("data", [0, FAR, -FAR])
def test_a_power_of_two_changes_no_bit(data, weights):
    w = W * FLOAT.type(2.0**weights)
    one, half = FLOAT.type(2.0**data), FLOAT.type(2.0 ** (data // FAR * HALF))
    assert_bits(means(X * one, w), means(X, W), one)
    assert_bits(spreads(X * half, w), spreads(X, W), half * half)
    assert_bits(pairs(X * one, Y / one, w), pairs(X, Y, W))


def test_the_correlation_of_windows_far_out():
    x = np.array([1, 2, 4, 18, 7, 3, 5, -2, 6], FLOAT)
    y = np.array([1, 3, 2, 9, 8, -4, 2, 2, 1], FLOAT)
    right = [np.corrcoef(x[i : i + 5], y[i : i + 5])[0, 1] for i in range(5)]
    found = stats.rolling_corr(x, y, 5)
    np.testing.assert_allclose(found, right, rtol=32 * EPS)
    for k in (61, -70, HALF, -FAR):
        assert np.array_equal(stats.rolling_corr(x * FLOAT.type(2.0**k), y, 5), found)


def test_a_spike_that_has_left_or_faded_leaves_all_digits():
    small = FLOAT.type(1e-10) * np.arange(1, 12, dtype=FLOAT)
    x = np.concatenate([[FLOAT.type(MOST / 4)], small])
    one = np.ones(12, FLOAT)
    right = [np.float64(x[i : i + 5]).var() * 5 / 4 for i in range(1, 8)]
    found = spreads(x, one)["rolling_var"]
    np.testing.assert_allclose(found[1:], right, rtol=32 * EPS)
    assert np.isinf(found[0])
    np.testing.assert_allclose(means(x, one)["rolling_mean"][1:], np.float64(x[3:10]), rtol=4 * EPS)
    # ten steps fade the spike below the smallest float
    w = (0.5 ** np.arange(11)[::-1]).astype(float)
    mean = (w * small).sum() / w.sum()
    decay = FLOAT.type(2.0**-125 if FLOAT == np.float32 else 2.0**-1000)
    faded = stats.ema(x, decay=decay)
    np.testing.assert_allclose(faded[4:], small[3:], rtol=4 * EPS)
    later = stats.ema_var(np.tile(small, 60), decay=0.5)  # of the small ones alone
    x[0] = 1e20  # 100 powers of two above: of 110 the squares are in range
    both = stats.ema_var(np.concatenate([x, np.tile(small, 59)]), decay=0.5)
    np.testing.assert_allclose(both[-1], later[-1], rtol=64 * EPS)
    np.testing.assert_allclose(later[-1], (w * (small - mean) ** 2).sum() / w.sum(), rtol=1e-2)


def test_data_that_span_twice_the_largest_number():
    x = np.array([MOST, -MOST] * 6, FLOAT)
    found = jax.tree.map(np.asarray, means(x, np.ones(12, FLOAT)))  # NumPy divides by MOST
    np.testing.assert_allclose(found["rolling_mean"][:2] / MOST, [0.2, -0.2], rtol=8 * EPS)
    np.testing.assert_allclose(found["segment_mean"], [0, 0, 0], atol=EPS * MOST)
    right = -0.1 / 1.9  # (1 − 0.9) / (1 + 0.9)
    assert float(found["ema"][1] / MOST) == pytest.approx(right, rel=16 * EPS)
    found = pairs(x, np.arange(12, dtype=FLOAT) % 2, np.ones(12, FLOAT))
    np.testing.assert_allclose(found["rolling_corr"], -np.ones(8), rtol=4 * EPS)
    low, high = jf.fold(jf.folds.ema(0.5), x[:2]), jf.fold(jf.folds.ema(0.5), x[1:3])
    assert float(low) == -float(high) and np.isclose(float(high) / MOST, 1 / 3, rtol=4 * EPS)


def test_weights_from_the_smallest_to_the_largest():
    w = np.repeat(np.array([LEAST, MOST / 8, 1.0], FLOAT), 4)  # windows and groups of each
    x = np.arange(12, dtype=FLOAT)
    mean = stats.rolling_mean(x, 4, weights=w)
    np.testing.assert_allclose(mean[::4], [1.5, 5.5, 9.5], rtol=4 * EPS)
    var = stats.rolling_var(x, 4, weights=Reliability(w), correction=1)
    np.testing.assert_allclose(var[::4], np.full(3, 5 / 3), rtol=16 * EPS)
    found = stats.segment_var(
        x, np.arange(12) // 4, num_segments=3, weights=Reliability(w), correction=1
    )
    np.testing.assert_allclose(found, np.full(3, 5 / 3), rtol=16 * EPS)
    w[:4] *= 2**24  # so far they fade, and no further
    found = stats.ema(x, decay=0.5, weights=w)
    np.testing.assert_allclose(found[1], 2 / 3, rtol=4 * EPS)
    assert float(found[4]) == 4.0  # beside it, what came before weighs nothing
    nothing = stats.rolling_var(x[:3], 3, weights=np.zeros(3, FLOAT), correction=-1)
    assert np.isnan(nothing).all()


def test_within_a_long_gap_nothing_changes():
    x = np.array([1, 3] + [np.nan] * 150 + [5, 7], FLOAT)
    mean = np.asarray(stats.ema(x, decay=0.5, nan="omit"))
    assert np.all(mean[1:152] == mean[1]) and mean[1] == pytest.approx(7 / 3, rel=2 * EPS)
    assert mean[152] == 5.0 and mean[153] == pytest.approx(19 / 3, rel=2 * EPS)
    biased = np.asarray(stats.ema_var(x, decay=0.5, nan="omit"))
    assert np.all(biased[1:152] == biased[1]) and biased[1] == pytest.approx(8 / 9, rel=8 * EPS)
    corrected = np.asarray(stats.ema_var(x, decay=0.5, nan="omit", correction=1))
    assert np.all(corrected[1:152] == 2.0)  # Σw²/W² is 5/9
    # (8/9 + (5 − 7/3)²) / 2: of two stretches one of which weighs next to nothing
    np.testing.assert_allclose(corrected[152:], [4.0, 2.0], rtol=16 * EPS)
    shown = np.where(np.isnan(x), 0, 1).astype(FLOAT)
    filled = np.nan_to_num(x)
    assert np.array_equal(stats.ema(filled, decay=0.5, weights=shown), mean)
    assert np.array_equal(stats.ema(filled, decay=0.5, where=shown > 0), mean)
    longer = np.concatenate([x[:2], np.full(3000, np.nan, FLOAT)])
    assert float(stats.ema(longer, decay=1e-30, nan="omit")[-1]) == 3.0
    assert float(stats.ema(longer, decay=0.0, nan="omit")[-1]) == 3.0  # as pandas' alpha=1
    found = stats.ema_var(np.array([1, np.nan, 3], FLOAT), decay=0.0, nan="omit")
    assert found.tolist() == [0, 0, 0]
    slope = jax.grad(lambda x: stats.ema(x, decay=0.5, nan="omit")[151])(jnp.asarray(x))
    np.testing.assert_allclose(slope[:2], [1 / 3, 2 / 3], rtol=4 * EPS)
    assert not slope[2:].any()


@pytest.mark.parametrize("base", [2**30, -(2**31), 123_456_789])
def test_integers_are_shifted_before_they_are_rounded(base):
    x = np.array([0, base, base + 1, base + 3, base + 7, base + 8], np.int64).astype(np.int32)
    wide = x.astype(np.int64)
    right = [np.var((wide[i : i + 3] - wide[i]).astype(float)) for i in range(4)]
    np.testing.assert_allclose(stats.rolling_var(x, 3), right, rtol=16 * EPS)
    corr = stats.rolling_corr(x, np.array([0, 0, -1, -3, -7, -8], np.int32), 3)
    np.testing.assert_allclose(corr[1:], -np.ones(3), rtol=4 * EPS)
    step = np.array([base, base + 2], np.int64).astype(np.int32)
    np.testing.assert_allclose(stats.ema_var(step, decay=0.5)[1], 8 / 9, rtol=8 * EPS)
    whole = jf.fold(jf.folds.ema(0.5), x)
    np.testing.assert_allclose(whole, stats.ema(x, decay=0.5)[-1], rtol=2 * EPS)


def test_infinities_stay_where_they_are():
    x = np.array([np.inf, 1, 2, 3, -np.inf, np.inf], FLOAT)
    assert np.array_equal(stats.ema(x, decay=0.5), [np.inf] * 4 + [np.nan] * 2, equal_nan=True)
    assert float(jf.fold(jf.folds.ema(0.5), x[:3])) == np.inf
    var = stats.rolling_var(x, 2)
    assert np.array_equal(var, [np.nan, 0.25, 0.25, np.nan, np.nan], equal_nan=True)
    found = stats.segment_mean(x, [0, 0, 1, 1, 2, 2], num_segments=3)
    assert np.array_equal(found, [np.inf, 2.5, np.nan], equal_nan=True)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-30, 1e30])
def test_constants_have_the_slopes_of_a_mean(scale):
    slope = jax.jit(jax.grad(lambda x: stats.rolling_mean(x, 3).sum()))
    x = np.full(6, scale, FLOAT)
    right = np.array([1, 2, 3, 3, 2, 1]) / 3
    np.testing.assert_allclose(slope(x), right, rtol=8 * EPS)
    x[-1] = 1000.0  # two zeros and a number
    np.testing.assert_allclose(slope(x), right, rtol=8 * EPS)


PROGRAMS = {
    "rolling_mean": lambda x: stats.rolling_mean(x, 20),
    "rolling_var": lambda x: stats.rolling_var(x, 20, weights=x),
    "rolling_corr": lambda x: stats.rolling_corr(x, 2 * x, 20),
    "half of it": lambda x: stats.rolling_mean(x, x.size // 2),
    "ema": lambda x: stats.ema(x, decay=0.9),
    "ema_var": lambda x: stats.ema_var(x, decay=0.9, nan="omit"),
    "slope": jax.grad(lambda x: stats.ema(x, decay=0.9).sum()),
    "segment_var": lambda x: stats.segment_var(x, x.astype(np.int32), num_segments=3),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_do_not_grow_with_the_data(name):
    def text(n):
        return jax.jit(PROGRAMS[name]).lower(jax.ShapeDtypeStruct((n,), FLOAT)).as_text()

    small, large = text(2**15), text(2**20)  # longer ones are cut into pieces
    # a window of half of it is doubled 18 times, not 13
    assert len(large) < (2 if name == "half of it" else 1.2) * len(small)
    # constants are single numbers, and windows are slices
    constants = re.findall(r"constant dense<\[.*?> : tensor<(\d+)x", large)
    assert all(int(n) < 64 for n in constants)
    assert name == "segment_var" or "gather" not in large


def test_samples_run_along_the_first_axis():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(FLOAT)
    assert stats.rolling_mean(jnp.ones((1000, 8)), 5).shape == (996, 8)
    for f in (
        lambda x, **axis: stats.rolling_var(x, 5, **axis),
        lambda x, **axis: stats.ema(x, decay=0.9, **axis),
    ):
        found = f(x)
        assert np.array_equal(found, np.stack([f(row) for row in x.T], axis=1))
        assert np.array_equal(found, f(x.T, axis=-1).T)
    assert stats.rolling_mean(np.zeros((3, 0)), 2).shape == (2, 0)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: stats.rolling_mean(np.ones(3), 2, axis=None), "axis is None; one int is needed"),
        (lambda: stats.ema(np.ones((3, 3)), decay=0.5, axis=(0, 1)), "one int is needed"),
        (lambda: stats.ema(np.ones(3), decay=np.ones(3)), "decay has shape .3,., a scalar"),
        (lambda: stats.rolling_mean(np.float32(1), 1), "axis 0 is out of range"),
        (lambda: stats.rolling_mean(np.zeros(0), 1), "window is 1, longer than the 0 elements"),
    ],
)
def test_bad_input(run, said):
    with pytest.raises((TypeError, ValueError), match=said):
        run()


@pytest.mark.parametrize("name", ["rolling_std", "rolling_sem"])
def test_small_deviations_beside_a_large_number(name):
    # one unit for all windows: digits are kept down to 2**-110 of the array's largest number
    for k in (20, 80, 110):
        d = np.float32(2.0**-k)
        found = getattr(stats, name)(jnp.array([1.0, 0, d, 0, d], jnp.float32), 2, correction=0)
        right = d / 2 if name == "rolling_std" else d / np.float32(8) ** 0.5
        np.testing.assert_allclose(found[1:], np.full(3, right), rtol=1e-6)
