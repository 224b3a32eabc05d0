"""Weights on any scale: very large and very small ones say what those near 1 do."""

import jax
import numpy as np
import pytest
from helpers import assert_same
from weight_cases import FLOAT, KINDS, draw, every

import jfoundations as jf
from jfoundations import stats
from jfoundations.stats import Frequency

FAR = 100 if FLOAT == np.float32 else 960


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_a_power_of_two_in_the_weights_changes_no_bit(kind):
    rng = np.random.default_rng(0)
    x, y = draw(rng, 50)
    w = rng.uniform(0.5, 2.0, 50).astype(FLOAT)
    correction = 0 if kind is Frequency else 1  # whose total is a number of observations
    right = every(x, y, correction=correction, weights=kind(w))
    for scale in (2.0**FAR, 2.0**-FAR):
        found = every(x, y, correction=correction, weights=kind(w * FLOAT.type(scale)))
        assert_same(found, right)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [FAR, FAR // 2, -FAR // 2, -FAR])
def test_long_arrays_whose_weights_leave_the_range(exponent):
    rng = np.random.default_rng(1)
    x, y = draw(rng, 20_000)
    w = rng.uniform(0.5, 2.0, 20_000).astype(FLOAT)
    right = every(x, y, weights=w)
    found = every(x, y, weights=w * FLOAT.type(2.0**exponent))
    for name, value in right.items():
        np.testing.assert_allclose(found[name], value, rtol=16 * np.finfo(FLOAT).eps, err_msg=name)


def test_weights_that_range_widely():
    # as unnormalised ones of importance sampling do: the largest decide
    x = np.asarray([1.0, 2.0, 4.0, 8.0], FLOAT)
    w = np.asarray([1e-30, 3e-25, 1e-8, 1e-8], FLOAT)
    assert float(stats.mean(x, weights=w)) == 6.0
    assert float(stats.var(x, weights=w)) == 4.0
    assert float(jax.jit(stats.cov)(x, x, weights=w)) == 4.0


def test_matrices_and_errors_of_means():
    rng = np.random.default_rng(2)
    x = np.stack(draw(rng, 50), axis=1)
    w = rng.uniform(0.5, 2.0, 50).astype(FLOAT)
    for f in (stats.cov_matrix, stats.corr_matrix):
        right = f(x, weights=w)
        for scale in (2.0**FAR, 2.0**-FAR):
            found = f(x, weights=w * FLOAT.type(scale))
            np.testing.assert_allclose(found, right, rtol=64 * np.finfo(FLOAT).eps)
    for kind in KINDS[1:]:
        right = stats.sem(x, axis=0, weights=kind(w[:, None]))
        for scale in (2.0**FAR, 2.0**-FAR):
            far = kind(w[:, None] * FLOAT.type(scale))
            assert_same(stats.sem(x, axis=0, weights=far), right)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_folds_of_weights_on_any_scale(kind):
    rng = np.random.default_rng(3)
    x, _ = draw(rng, 60)
    w = rng.uniform(0.5, 2.0, 60).astype(FLOAT)
    correction = 0 if kind is Frequency else 1
    spread = jf.folds.var(weights=kind, correction=correction)

    def run(scale):
        far = w * FLOAT.type(scale)
        return jf.fold(spread, [(x[i : i + 20], far[i : i + 20]) for i in (0, 20, 40)])

    right = run(1.0)
    whole = stats.var(x, weights=kind(w), correction=correction)
    np.testing.assert_allclose(right, whole, rtol=4 * np.finfo(FLOAT).eps)
    assert run(2.0**FAR) == right and run(2.0**-FAR) == right


OTHERS = {
    "segment_var": lambda x, w, c: stats.segment_var(
        x, np.arange(60) % 3, num_segments=3, weights=w, correction=c
    ),
    "rolling_var": lambda x, w, c: stats.rolling_var(x, 20, weights=w, correction=c),
    "ema_var": lambda x, w, c: stats.ema_var(x, decay=0.9, weights=w),
    "kurtosis": lambda x, w, c: stats.kurtosis(x, weights=w),
}


@pytest.mark.parametrize("name", OTHERS)
def test_groups_windows_and_moments(name):
    rng = np.random.default_rng(4)
    x, _ = draw(rng, 60)
    w = rng.uniform(0.5, 2.0, 60).astype(FLOAT)
    for kind in KINDS:
        run = jax.jit(lambda x, w, k=kind: OTHERS[name](x, k(w), 0 if k is Frequency else 1))
        assert_same(run(x, w * FLOAT.type(2.0**FAR)), run(x, w))
        assert_same(run(x, w * FLOAT.type(2.0**-FAR)), run(x, w))
