"""Geometric, harmonic and power means against SciPy in float64, at every scale; their slopes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations import folds, stats

EPS = float(np.finfo(np.float32).eps)
P = [-2.0, -1, 0, 0.5, 1, 3]


def draw(shape=(40, 3)):
    return np.random.default_rng(0).lognormal(size=shape).astype(np.float32)


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("p", P)
def test_they_are_those_of_scipy(p, axis):
    x, w = draw(), np.random.default_rng(1).integers(0, 3, (40, 3)) + 1
    wide = x.astype(np.float64)
    for weights in (None, w):
        right = scipy.stats.pmean(wide, p, axis=axis, weights=weights)
        found = stats.pmean(x, p, axis=axis, weights=weights)
        np.testing.assert_allclose(found, right, rtol=16 * EPS)
        named = {0: stats.gmean, -1: stats.hmean}.get(p)
        if named:
            np.testing.assert_allclose(named(x, axis=axis, weights=weights), right, rtol=16 * EPS)


@pytest.mark.parametrize("scale", [1e-36, 1.0, 1e30])
def test_no_power_leaves_the_range(scale):
    x = draw((50,)) * np.float32(scale)
    for p in P:
        right = scipy.stats.pmean(x.astype(np.float64), p)
        np.testing.assert_allclose(stats.pmean(x, p), right, rtol=32 * EPS)
    np.testing.assert_allclose(stats.hmean(x), scipy.stats.hmean(x.astype(np.float64)), rtol=1e-5)


def test_edges():
    for mean in (stats.gmean, stats.hmean):
        assert mean(jnp.array([0.0, 2.0])) == 0
        assert np.isnan(mean(jnp.array([-1.0, 2.0]))) and np.isnan(mean(jnp.zeros(0)))
        assert np.isnan(mean(jnp.array([jnp.nan, 2.0])))
        hidden = jnp.array([-1.0, 0.0, jnp.nan, 2.0])
        keep = jnp.array([False, False, False, True])
        np.testing.assert_allclose(mean(hidden, where=keep), 2, rtol=4 * EPS)
        slope = jax.grad(functools.partial(mean, where=keep))(hidden)
        np.testing.assert_allclose(slope, [0, 0, 0, 1], rtol=8 * EPS)
        assert mean(np.array([1, 4, 16])).dtype == jnp.float32
    assert_same(stats.pmean(jnp.arange(3.0), jnp.float32(0)), stats.gmean(jnp.arange(3.0)))
    with raises(TypeError, "pmean", "p"):
        stats.pmean(draw(), 1j)
    with raises(TypeError, "gmean", "complex"):
        stats.gmean(draw() * 1j)


def test_unbiased_shapes_and_other_centers_are_those_of_scipy():
    x = draw((30, 4))
    wide = x.astype(np.float64)
    for ours, right in ((stats.skew, scipy.stats.skew), (stats.kurtosis, scipy.stats.kurtosis)):
        found = ours(x, axis=0, correction=1)
        np.testing.assert_allclose(found, right(wide, axis=0, bias=False), rtol=1e-4)
        assert np.isnan(ours(x[:2], axis=0, correction=1)).all()
        with raises(ValueError, "correction is 2"):
            ours(x, correction=2)
        fold = getattr(folds, ours.__name__)
        streamed = jf.fold(fold(correction=1), [x[:7], x[7:]])
        np.testing.assert_allclose(streamed, found, rtol=1e-4)
        with raises(ValueError, f"folds.{ours.__name__}", "correction is 2"):
            fold(correction=2)
        grouped, groups = getattr(stats, f"segment_{ours.__name__}"), {"num_segments": 2}
        of_all = grouped(x, np.zeros(30, int), **groups, correction=1)
        np.testing.assert_allclose(of_all[0], found, rtol=1e-4)
        assert np.isnan(of_all[1]).all()
        with raises(ValueError, f"segment_{ours.__name__}", "correction is True"):
            grouped(x, np.zeros(30, int), **groups, correction=True)
    for order in (1, 2, 3, 5):
        found = stats.moment(x, order, center=0.5, axis=0)
        np.testing.assert_allclose(found, ((wide - 0.5) ** order).mean(axis=0), rtol=1e-5)
    with raises(ValueError, "center", "scalar"):
        stats.moment(x, 2, center=x)
