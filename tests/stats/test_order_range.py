"""Order statistics and histograms at the ends of the range, of many weights, of wide integers.

Causes, and where else each can act:

* A difference of two numbers, or a sum of many, may be larger than any number: in `between` (the
  median, quantiles, iqr, sketches), in deviations (`median_abs_dev`), in averages (`trim_mean`,
  weighted quantiles), in a histogram's edges and in the guess of a bin. Products of small numbers
  flush to 0 in the same places.
* Weights were added in one word: in a histogram's bins, in the running sums of weighted ranks.
  Integer weights wrapped where their sum leaves 32 bits.
* A float does not hold every integer: ranks are found by the integers themselves, deviations are
  taken before the cast, and no bin loses an element to rounding.
* Products were contracted with the sums that follow: quantiles and edges had not NumPy's bits.
* A range was rounded, to a subnormal or to one point, and then replaced in silence.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from order_cases import DEFAULT, X64, equal

import jfoundations as jf
from jfoundations import folds, stats

HUGE = 0.9 * float(np.finfo(DEFAULT).max)
EPS = float(np.finfo(DEFAULT).eps)
SAMPLE = np.array([3.0, -1.0, 0.5, 7.0, 2.0, 2.0, -4.5, 11.0], DEFAULT)
W = np.array([0.5, 1.0, 0.25, 3.0, 2.5, 0.75, 1.0, 1.5], DEFAULT)
LOCATION = {
    "median": stats.median,
    "quantile": lambda x, **k: stats.quantile(x, [0.1, 0.3, 0.8], **k),
    "iqr": stats.iqr,
    "trim_mean": lambda x, **k: stats.trim_mean(x, 0.2, **k),
    "median_abs_dev": stats.median_abs_dev,
    "minmax": stats.minmax,
    "edges": lambda x, **k: stats.histogram(x, 5, **k)[1],
}
FREE = {
    "counts": lambda x, **k: stats.histogram(x, 5, **k)[0],
    "rank_corr": lambda x, **k: stats.rank_corr(x, SAMPLE[::-1], **k),
}


@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", [*LOCATION, *FREE])
def test_a_power_of_two_changes_no_bit(name, weights):
    f = jax.jit((LOCATION | FREE)[name])
    options = {} if weights is None else {"weights": weights}
    right = f(SAMPLE, **options)
    most = 124 if DEFAULT == np.float32 else 1020  # 11·2**124 is near the largest number
    for power in (-most + 8, -60, 60, most):
        unit = DEFAULT(2.0) ** DEFAULT(power)
        found = f(SAMPLE * unit, **options)
        if name in FREE:
            assert equal(found, right), power
        else:
            assert equal(jax.tree.map(lambda v, u=unit: v / u, found), right), power


@pytest.mark.parametrize("weights", [None, W], ids=["plain", "weighted"])
@pytest.mark.parametrize("spread", [2.0**-6, 1.0])
def test_a_step_too_small_to_be_a_number_is_not_lost(spread, weights):
    rng = np.random.default_rng(5)
    qs = rng.random(40).astype(DEFAULT)
    options = {} if weights is None else {"weights": weights}

    @jax.jit
    def located(x):
        edges = stats.histogram(x, 5, **options)[1]
        ends = stats.trim_mean(x, 0.2, **options), stats.median(x, **options)
        return stats.quantile(x, qs, **options), ends, edges

    unit = DEFAULT(4 * np.finfo(DEFAULT).tiny)
    for sign in (1, -1):
        for _ in range(10):
            x = (sign * (1 + spread * rng.random(8))).astype(DEFAULT)
            assert equal(jax.tree.map(lambda v: v / unit, located(x * unit)), located(x))


@pytest.mark.parametrize("name", ["rank_corr", "trim_mean", "minmax", "median", "quantile"])
def test_large_weights_of_one_scale_are_one_scale(name):
    f = jax.jit((LOCATION | FREE)[name])
    tiny, few, huge = float(np.finfo(DEFAULT).tiny) * 4, DEFAULT(2.0**100), HUGE
    same = np.ones_like(SAMPLE)
    right = f(SAMPLE, weights=same * few)  # a window of one element is next to nothing
    np.testing.assert_allclose(f(SAMPLE, weights=same * DEFAULT(huge)), right, rtol=4 * EPS)
    if name in ("rank_corr", "minmax"):
        assert equal(f(SAMPLE, weights=same * DEFAULT(tiny)), right)


def test_spans_larger_than_any_number():
    x = np.array([-HUGE, HUGE], DEFAULT)
    np.testing.assert_allclose(stats.quantile(x, [0.25, 0.75]), [-HUGE / 2, HUGE / 2], rtol=2 * EPS)
    assert stats.quantile(x, [0.0, 0.5, 1.0]).tolist() == [x[0], 0, x[1]]
    np.testing.assert_allclose(stats.iqr(x), HUGE, rtol=4 * EPS)
    assert stats.median(x) == 0 and stats.median_abs_dev(x) == x[1]
    assert stats.median(x[[1, 1]]) == x[1] and stats.minmax(x)[0] == x[0]
    five = x[[0, 0, 1, 1, 1]]
    np.testing.assert_allclose(stats.trim_mean(five, 0.2), HUGE / 3, rtol=4 * EPS)
    weighted = stats.trim_mean(five, 0.2, weights=np.full(5, 0.75, DEFAULT))
    np.testing.assert_allclose(weighted, HUGE / 5, rtol=8 * EPS)  # nothing is cut: W is 3.75
    found = stats.quantile(x, [0.4, 0.5], weights=[1.5, 1.5])  # windows 0.8 … 1.8 and 1 … 2
    np.testing.assert_allclose(found, [-0.4 * HUGE, 0], rtol=8 * EPS, atol=8 * EPS * HUGE)
    gradient = jax.grad(lambda v: stats.quantile(v, 0.25))(jnp.asarray(x))
    assert gradient.tolist() == [0.75, 0.25]


@pytest.mark.parametrize("given", [{}, {"range": (-HUGE, HUGE)}], ids=["found", "given"])
def test_a_histogram_of_a_span_larger_than_any_number(given):
    x = np.array([-HUGE, -5.0, HUGE], DEFAULT)
    counts, edges = stats.histogram(x, 4, **given)
    assert counts.tolist() == [1, 1, 0, 1] and np.all(np.isfinite(edges))
    np.testing.assert_allclose(edges, np.array([-1, -0.5, 0, 0.5, 1]) * HUGE, rtol=1e-6, atol=1e30)
    counts, _ = jf.fold(folds.histogram(4, range=(-HUGE, HUGE)), x)
    assert counts.tolist() == [1, 1, 0, 1]


def test_folds_of_a_span_larger_than_any_number():
    x = np.array([-HUGE, HUGE], DEFAULT)
    near = jf.fold(folds.quantile([0.25, 0.5, 0.75]), x)
    np.testing.assert_allclose(near, [-HUGE / 2, 0, HUGE / 2], atol=2**-8 * HUGE)
    within = jf.fold(folds.sketch(), x)
    for _ in range(3 if X64 else 1):
        within = jf.fold(folds.narrow([0.25, 0.75], within=within), x)
    exact = jf.fold(folds.quantile([0.25, 0.75], within=within), x)
    assert exact.tolist() == stats.quantile(x, [0.25, 0.75]).tolist()
    assert jf.fold(folds.iqr(within=within), x) == stats.iqr(x)


def test_weights_of_a_bin_add_up():
    n = 2**24 + 10
    x, ones = jnp.full(n, 0.5, jnp.float32), jnp.ones(n, jnp.float32)
    assert stats.histogram(x, [0.0, 1.0], weights=ones)[0].tolist() == [n]
    heavy = jf.fold(folds.histogram([0.0, 1.0], weights=stats.Frequency), (x, ones))
    assert heavy[0].tolist() == [n]


def test_weights_of_a_bin_of_any_scale():
    rng = np.random.default_rng(0)
    x, w = rng.uniform(size=999).astype(DEFAULT), rng.uniform(size=999).astype(DEFAULT)
    for unit in (1e-30, 1.0, 1e30):
        mixed = w * np.where(x < 0.5, DEFAULT(unit), DEFAULT(1))
        found, edges = stats.histogram(x, 6, weights=mixed)
        place = np.searchsorted(np.asarray(edges), x, side="right") - 1
        place = np.minimum(place, 5)
        right = [math.fsum(mixed[place == k].tolist()) for k in range(6)]
        np.testing.assert_allclose(found, right, rtol=2 * EPS)
    largest = float(np.finfo(DEFAULT).max)
    assert stats.histogram([0.1, 0.2, 0.9], [0, 0.5, 1.0], weights=[largest, 0, 1.0])[
        0
    ].tolist() == [
        largest,
        1,
    ]
    bad = stats.histogram([0.1, 0.2, 0.9], [0, 0.5, 1.0], weights=[np.inf, np.nan, 1.0])[0]
    assert np.isnan(bad[0]) and bad[1] == 1
    slope = jax.grad(lambda w: stats.histogram(x[:5], [0, 0.5, 1.0], weights=w)[0][0])(w[:5])
    assert slope.tolist() == (x[:5] < 0.5).tolist()


def test_running_sums_of_weights_in_two_words():
    # a first weight so large that in one word the others leave no trace
    w = np.concatenate([[2.0**25 - 0.5], np.full(2**12, 0.25)]).astype(DEFAULT)
    x = np.arange(w.size, dtype=DEFAULT)
    wide = np.cumsum(w.astype(np.float64))
    q = DEFAULT(1 - 2.0**-16)
    start = float(q) * (wide[-1] - 1)
    left = np.maximum(wide - w, start)
    share = np.maximum(np.minimum(wide, start + 1) - left, 0)
    np.testing.assert_allclose(
        stats.quantile(x, q, weights=w), (share * x).sum() / share.sum(), rtol=1e-6
    )


def test_integer_weights_whose_sum_leaves_their_type():
    w = np.array([2**31 - 1, 1, 2**31 - 1], np.int32)
    assert stats.quantile([1.0, 2.0, 3.0], [0.0, 0.5, 1.0], weights=w).tolist() == [1, 2, 3]
    assert stats.trim_mean([1.0, 2.0, 9.0], 0.25, weights=w) == pytest.approx(5, rel=2**-22)
    assert stats.median([1.0, 2.0], weights=np.array([2**32 - 1, 1], np.uint32)) == 1
    near = pytest.approx(
        1, abs=max(4 * EPS, 2**-30)
    )  # of one pair in 2**32 the ranks change places
    assert stats.rank_corr([1.0, 2, 3], [1.0, 3, 2], weights=w) == near


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_integers_that_no_float_holds(dtype):
    top = int(np.iinfo(dtype).max) - 16
    x = np.array([top + k for k in (1, 2, 4, 5, 9)] + [0], dtype)
    assert stats.iqr(x) == 3.5 and stats.median_abs_dev(x) == 2
    assert int(stats.minmax(x)[1]) == top + 9
    np.testing.assert_allclose(stats.trim_mean(x, 0.2), top + 3, rtol=EPS)
    counts, edges = stats.histogram(x[:5], 3)
    assert counts.sum() == 5 and np.all(np.diff(edges) >= 0)
    assert stats.histogram(x, [0.0, 1.0, float(top + 17)])[0].tolist() == [1, 5]


def test_counts_of_integers_are_exact_at_every_edge():
    x = np.arange(2**24 - 2, 2**24 + 7, dtype=np.int32)
    edges = np.array([2**24 - 1, 2**24, 2**24 + 4, 2**24 + 6], DEFAULT)
    assert stats.histogram(x, edges)[0].tolist() == [1, 4, 3]


SUBNORMAL = float(np.finfo(DEFAULT).tiny) / 4


REFUSED = [
    ((0, SUBNORMAL), "taken for 0"),
    ((-SUBNORMAL, SUBNORMAL), "taken for 0"),
    ((0, "a"), "a pair of real numbers"),
    ((0, 1j), "a pair of real numbers"),
]
REFUSED += [] if X64 else [((1, 1 + 1e-9), "both ends are 1.0"), ((0, 1e39), "no number so large")]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_ranges_that_no_float_holds_are_refused(given, said):
    for call in (
        folds.histogram,
        lambda bins, range: stats.histogram(jnp.zeros(3), bins, range=range),
    ):
        with pytest.raises((ValueError, TypeError), match=said):
            call(4, range=given)


def test_a_range_in_the_datas_own_type():
    with pytest.raises(ValueError, match="float16, the data's type"):
        stats.histogram(jnp.zeros(3, jnp.float16), range=(0, 1e6))
    edges = stats.histogram(jnp.zeros(3), 2, range=(2**33, 2**34))[1]  # no 32-bit integers
    assert edges.tolist() == [2.0**33, 1.5 * 2.0**33, 2.0**34]


def test_edges_that_no_float_tells_apart_are_refused():
    top = 2 ** (53 if X64 else 24)
    dtype = np.int64 if X64 else np.int32
    edges, x = np.array([top, top + 1, top + 2], dtype), np.array([top, top + 1], dtype)
    for wrong in (lambda: stats.histogram(x, edges), lambda: folds.histogram(edges)):
        with pytest.raises(ValueError, match=f"the edges {top} and {top + 1} are both .* subtract"):
            wrong()
    assert stats.histogram(x - top, edges - top)[0].tolist() == [1, 1]
    assert stats.histogram([1.0, 2.0], [1.0, 1.0, 2.0])[0].tolist() == [0, 2]  # equal as given
