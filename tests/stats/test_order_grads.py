"""Statistics of order under grad, jvp, jit and vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import counted
from jax.test_util import check_grads
from order_cases import DEFAULT, STATISTICS, Q, each, equal

from jfoundations import stats

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds

SMOOTH = ["median", "quantile", "iqr", "trim_mean", "median_abs_dev", "minmax"]


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_away_from_ties_and_under_masks(name):
    x = np.array([3.0, -1.0, 0.5, 7.0, 2.0, -4.0, 1.25, np.nan], DEFAULT)
    f = STATISTICS[name]
    known = ~np.isnan(x)
    for option in ({"nan": "omit"}, {"where": known}):
        total = jax.jit(lambda v, option=option: sum(map(jnp.sum, jax.tree.leaves(f(v, **option)))))
        gradient = jax.grad(total)(x)
        assert np.all(np.isfinite(gradient)) and gradient[7] == 0
    weights = np.array([1, 2, 1, 3, 1, 1, 2, 0], np.int32)
    g = jax.jit(lambda v: f(jnp.concatenate([v, jnp.array(x[7:])]), weights=weights))
    check_grads(g, (x[:7],), order=1, atol=2e-2, rtol=2e-2, eps=1e-2)


def test_ties_share_the_derivative():
    x = np.array([1.0, 2.0, 2.0, 3.0], DEFAULT)
    assert jax.grad(stats.median)(x).tolist() == [0, 0.5, 0.5, 0]
    times = np.array([1, 3, 1, 1], np.int32)
    assert jax.grad(lambda v: stats.median(v, weights=times))(x).tolist() == [0, 0.75, 0.25, 0]
    low = jax.grad(lambda v: stats.minmax(v)[0])
    assert low(np.array([1.0, 1.0, 3.0], DEFAULT)).tolist() == [0.5, 0.5, 0]
    trimmed = jax.grad(lambda v: stats.trim_mean(v, 0.25))
    assert trimmed(np.array([2.0, 2.0, 2.0, 3.0], DEFAULT)).tolist() == pytest.approx(
        [1 / 3] * 3 + [0]
    )


def test_derivatives_in_q_at_fractional_weights_and_of_rank_corr():
    x = np.array([1.0, 2.0, 4.0, 9.0], DEFAULT)
    for q, slope in ((0.4, 6.0), (0.5, 6.0), (0.9, 15.0)):
        assert jax.grad(stats.quantile, 1)(x, q) == pytest.approx(slope, rel=1e-5)
    w = np.array([0.5, 1.25, 1.5, 0.75], DEFAULT)
    check_grads(lambda v: stats.quantile(v, Q, weights=w), (x,), 1, atol=1e-2, rtol=1e-2, eps=1e-2)
    assert jax.grad(lambda v: stats.rank_corr(v, x))(x[::-1]).tolist() == [0, 0, 0, 0]


def close(name, a, b):
    """Tell of different bits; sums may differ by the last one from program to program."""
    if name in ("trim_mean", "rank_corr"):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    else:
        assert equal(a, b), (a, b)


@each
def test_eager_is_jit_is_vmap_and_traces_once(name):
    f, x = STATISTICS[name], np.random.default_rng(0).integers(-8, 8, (3, 8)).astype(DEFAULT)
    counting, traces = counted(f)
    jitted = jax.jit(counting)
    want = [f(row) for row in x]
    for row, answer in zip(x, want, strict=True):
        close(name, jitted(row), answer)
    assert len(traces) == 1
    w = np.array([1, 2, 1, 0, 3, 1, 1, 1], DEFAULT)
    for options in ({}, {"weights": w}, {"where": w > 0}):
        batched = jax.vmap(lambda row, options=options: f(row, **options))(x)
        for i, row in enumerate(x):
            close(name, jax.tree.map(lambda leaf, i=i: leaf[i], batched), f(row, **options))
