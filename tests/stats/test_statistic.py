"""Statistics of one's own: formulas of moments, as exact as what they are made of."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations import stats

VARIATION = stats.Statistic(lambda m: m.std() / m.mean, name="variation")
SLOPE = stats.Statistic(lambda m: m.cov() / m.var(), variables=2)
SHAPE = stats.Statistic(lambda m: m.kurtosis - m.skew**2, order=4)
EPS = float(np.finfo(np.float32).eps)


def draw(shape=(60, 3)):
    return np.random.default_rng(0).gamma(3.0, size=shape).astype(np.float32)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
def test_it_is_the_formula(axis):
    x = draw()
    options = {"axis": axis, "where": x < 5, "weights": stats.Reliability(x + 1)}
    right = stats.std(x, **options) / stats.mean(x, **options)
    np.testing.assert_allclose(VARIATION(x, **options), right, rtol=4 * EPS)
    kept = VARIATION(x, keepdims=True, **options)
    assert kept.ndim == 2
    right = stats.kurtosis(x, axis=axis) - stats.skew(x, axis=axis) ** 2
    np.testing.assert_allclose(SHAPE(x, axis=axis), right, rtol=64 * EPS)
    y = 3 * x + 1
    np.testing.assert_allclose(SLOPE(x, y, axis=axis), np.full(np.shape(right), 3), rtol=8 * EPS)


def test_folds_of_it_are_those_of_the_array():
    x = draw()
    found = jf.fold(jf.folds.statistic(VARIATION), [x[:20], x[20:25], x[25:]])
    np.testing.assert_allclose(found, VARIATION(x, axis=0), rtol=8 * EPS)
    found = jf.fold(jf.folds.statistic(SHAPE), [x[:20], x[20:]])
    np.testing.assert_allclose(found, SHAPE(x, axis=0), rtol=1e-4)
    found = jf.fold(jf.folds.statistic(SLOPE), [(x[:20], 3 * x[:20]), (x[20:], 3 * x[20:])])
    np.testing.assert_allclose(found, [3, 3, 3], rtol=8 * EPS)
    weighted = jf.folds.statistic(VARIATION, weights=stats.Reliability)
    found = jf.fold(weighted, [(x[:20], x[:20]), (x[20:], x[20:])])
    right = VARIATION(x, axis=0, weights=stats.Reliability(x))
    np.testing.assert_allclose(found, right, rtol=8 * EPS)


def test_laws_and_masks_come_with_it():
    x = draw((200,))
    assert VARIATION(jnp.full(9, 0.1)) == 0
    assert VARIATION(x * np.float32(2.0**60)) == VARIATION(x)
    bad = np.where(x < 5, x, np.float32(np.nan))
    assert_same(VARIATION(bad, nan="omit"), VARIATION(x, where=x < 5))
    assert np.isnan(VARIATION(bad)) and np.isnan(VARIATION(x[:0]))
    slope = jax.grad(lambda x: VARIATION(x, where=x < 5))(bad)
    assert np.isfinite(slope).all() and not slope[x >= 5].any()
    batch = jax.jit(jax.vmap(VARIATION))(x.reshape(4, 50))
    np.testing.assert_allclose(batch, VARIATION(x.reshape(4, 50), axis=1), rtol=4 * EPS)


@pytest.mark.parametrize("weighted", [False, True])
def test_windows_and_groups_of_it(weighted):
    x = draw((40, 2))
    w = np.arange(80, dtype=np.float32).reshape(40, 2) % 3
    options = {"weights": stats.Reliability(w)} if weighted else {"where": x < 6}
    right = stats.rolling_std(x, 7, **options) / stats.rolling_mean(x, 7, **options)
    found = VARIATION.rolling(x, window=7, **options)
    np.testing.assert_allclose(found, right, rtol=8 * EPS)
    ids = np.arange(40) % 3
    there = {"segment_ids": ids, "num_segments": 4}
    found = VARIATION.segment(x, **there, **options)
    right = [
        VARIATION(x[ids == k], axis=0, **jax.tree.map(lambda v, k=k: v[ids == k], options))
        for k in range(4)
    ]
    np.testing.assert_allclose(found, np.stack(right), rtol=8 * EPS)
    found = SHAPE.segment(x, **there)
    right = stats.segment_kurtosis(x, ids, num_segments=4)
    right -= stats.segment_skew(x, ids, num_segments=4) ** 2
    np.testing.assert_allclose(found, right, rtol=64 * EPS, atol=64 * EPS)
    line = -2 * x + 1
    slope = SLOPE.segment(x, line, **there)
    np.testing.assert_allclose(slope[:3], np.full((3, 2), -2), rtol=16 * EPS)
    assert np.isnan(slope[3]).all()
    moving = SLOPE.rolling(x, line, window=5)
    np.testing.assert_allclose(moving, np.full((36, 2), -2), rtol=32 * EPS)


@pytest.mark.parametrize("e", [-100, 0, 100])
def test_windows_of_any_scale(e):
    x = draw((40,))
    found = VARIATION.rolling(x * np.float32(2.0**e), window=9)
    assert_same(found, VARIATION.rolling(x, window=9))
    spread = stats.Statistic(lambda m: m.std()).rolling(x * np.float32(2.0**e), window=9)
    assert_same(spread, stats.rolling_std(x, 9) * np.float32(2.0**e))


def test_gradients_of_windows_and_groups():
    x = np.where(np.arange(12) == 5, np.float32(np.nan), draw((12,)))
    there = {"segment_ids": np.arange(12) % 2, "num_segments": 2, "where": x == x}
    for of in (
        lambda x: VARIATION.segment(x, **there),
        lambda x: VARIATION.rolling(x, window=4, nan="omit"),
    ):
        slope = jax.grad(lambda x, of=of: of(x).sum())(x)
        assert np.isfinite(slope).all() and slope[5] == 0 and np.abs(slope).sum() > 0


def test_equal_formulas_are_traced_once_and_are_not_kept():
    traces = []

    def formula(m):
        traces.append(1)
        return m.mean

    statistic = stats.Statistic(formula)
    x = draw((10,))
    for _ in range(3):
        statistic(x)
        stats.Statistic(formula)(x + 1)
    assert len(traces) == 1
    gone = weakref.ref(formula)
    del statistic, formula
    gc.collect()
    assert gone() is None


def test_bad_input():
    with raises(ValueError, "order is 3"):
        stats.Statistic(lambda m: m.mean, order=3)
    with raises(ValueError, "variables is 3"):
        stats.Statistic(lambda m: m.mean, variables=3)
    with raises(ValueError, "pairs have moments of order 2 alone"):
        stats.Statistic(lambda m: m.mean, variables=2, order=4)
    with raises(TypeError, "variation", "2 arrays were given, and it is of 1"):
        VARIATION(draw(), draw())
    with raises(TypeError, "variation", "complex"):
        VARIATION(draw() * 1j)
    x, ids = draw((9,)), {"segment_ids": np.arange(9) % 2, "num_segments": 2}
    low = stats.Statistic(lambda m: m.var(), order=0), stats.Statistic(lambda m: m.skew)
    for bad in (*low, stats.Statistic(lambda m: m.cov())):
        for form in (
            bad,
            lambda x, bad=bad: bad.segment(x, **ids),
            lambda x, bad=bad: jf.fold(jf.folds.statistic(bad), x),
            lambda x, bad=bad: bad.rolling(x, window=3),
        ):
            with pytest.raises((IndexError, ValueError)) as caught:
                form(x)
            assert "need order=4" in "".join(caught.value.__notes__)
    for answer in (lambda m: (m.mean, m.mean), lambda m: 1.0):
        with raises(TypeError, "its formula returned", "no array"):
            stats.Statistic(answer)(x)
    with raises(ValueError, "statistic.rolling", "windows keep powers up to 2"):
        SHAPE.rolling(draw(), window=3)
    with raises(TypeError, "variation", "0 arrays were given"):
        VARIATION.segment(segment_ids=[0], num_segments=1)
    with raises(ValueError, "variation.segment", "segment_ids have shape (2,)"):
        VARIATION.segment(draw(), segment_ids=[0, 1], num_segments=1)
    with raises(ValueError, "variation.rolling", "longer than"):
        VARIATION.rolling(draw((3,)), window=9)
    with raises(ValueError, "axis 5 is out of range"):
        VARIATION(draw(), axis=5)
