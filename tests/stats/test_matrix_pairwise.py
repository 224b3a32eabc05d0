"""Matrices of pairs: each entry is of the rows where both its variables are known."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from helpers import assert_same, raises
from hypothesis import given
from hypothesis import strategies as st
from matrix_cases import BOUND, FLOAT, draw, few, seeds

from jfoundations import stats
from jfoundations.stats import Frequency, Probability, Reliability

BOTH = (stats.cov_matrix, stats.corr_matrix)
SHAPES = st.sampled_from([(1, 1), (7, 3), (1000, 5)])


def holes(seed, shape, mean=0.0, share=0.3):
    x = draw(seed, shape, mean)
    x[np.random.default_rng(seed).random(shape) < share] = np.nan
    return x


def pandas(x, y, correction=0, kind=Frequency, w=None):
    """Return what `pandas.DataFrame.cov` and `.corr` are by definition, and the bound's scale."""
    x, y = (v.astype(np.float64) for v in (x, y))
    w = np.ones(len(x)) if w is None else w.astype(np.float64)
    cov, corr, size = (np.full((x.shape[1], y.shape[1]), np.nan) for _ in range(3))
    for i, j in np.ndindex(cov.shape):
        rows = ~np.isnan(x[:, i]) & ~np.isnan(y[:, j]) & (w > 0)
        a, b, v = x[rows, i], y[rows, j], w[rows]
        total, n = v.sum(), rows.sum()
        if n == 0:
            continue
        free = {
            Frequency: total - correction,
            Reliability: total - correction * (v * v).sum() / total,
            Probability: total * (n - correction) / n,
        }[kind]
        # an error is relative to the squares about the means of all that is known
        far = [(v * (p - np.nanmean(z)) ** 2).sum() for p, z in ((a, x[:, i]), (b, y[:, j]))]
        a, b = a - (v * a).sum() / total, b - (v * b).sum() / total
        aa, bb, ab = (v * a * a).sum(), (v * b * b).sum(), (v * a * b).sum()
        size[i, j] = np.sqrt(far[0] * far[1])
        cov[i, j] = ab / free if free > 0 else np.nan
        size[i, j] /= free if free > 0 else 1
        corr[i, j] = ab / np.sqrt(aa) / np.sqrt(bb) if min(aa, bb) > 0 else np.nan
    return cov, corr, size


@few
@given(seeds, SHAPES, st.sampled_from([0.0, 100.0]), st.sampled_from([0, 1]))
def test_covariances_are_those_of_pandas(seed, shape, mean, correction):
    x = holes(seed, shape, mean)
    found = np.asarray(stats.cov_matrix(x, nan="pairwise", correction=correction))
    right, _, size = pandas(x, x, correction)
    assert np.array_equal(np.isnan(found), np.isnan(right))
    assert_same(found, found.T.copy())
    assert np.all(np.abs(found - right) <= BOUND * size, where=~np.isnan(right))
    part = shape[1] // 2
    found = np.asarray(stats.cov_matrix(x[:, :part], x[:, part:], nan="pairwise"))
    right, _, size = (v[:part, part:] for v in pandas(x, x))
    assert np.all(np.abs(found - right) <= BOUND * size, where=~np.isnan(right))


@few
@given(seeds, st.integers(-100, 100))
def test_correlations_are_those_of_pandas_at_any_scale(seed, k):
    x = holes(seed, (500, 4), 3.0)
    found = np.asarray(stats.corr_matrix(x, nan="pairwise"))
    np.testing.assert_allclose(found, pandas(x, x)[1], atol=BOUND)
    assert_same(found, found.T.copy())
    assert np.array_equal(np.diagonal(found), np.ones(4)) and np.all(np.abs(found) <= 1)
    scales = np.exp2(np.linspace(-k, k, 4).round()).astype(np.float32)
    assert_same(found, np.asarray(stats.corr_matrix(x * scales, nan="pairwise")))


def test_what_is_exact_is_exact():
    x = np.random.default_rng(0).integers(-512, 512, (3000, 4)).astype(np.float32)
    gone = np.random.default_rng(1).random(x.shape) < 0.3
    x[:, 2] = 0.1
    x[gone] = np.nan
    found = np.asarray(stats.cov_matrix(x, nan="pairwise"))
    assert np.all(found[2] == 0) and np.all(np.isnan(stats.corr_matrix(x, nan="pairwise")[2]))
    whole = np.delete(x, 2, axis=1)
    moved = whole + np.float32([2**20, 0, -(2**19)])
    for f in BOTH:
        assert_same(f(whole, nan="pairwise"), f(moved, nan="pairwise"))
    integers = np.where(np.isnan(whole), 7, whole).astype(np.int32) + np.int32(2**30)
    where = ~np.isnan(whole)
    found = stats.cov_matrix(integers, nan="pairwise", where=where)
    np.testing.assert_allclose(found, stats.cov_matrix(whole, nan="pairwise"), rtol=1e-4, atol=1.0)


def test_without_holes_it_is_the_matrix():
    x = draw(0, (1000, 5), 10.0)
    for f in BOTH:
        np.testing.assert_allclose(f(x, nan="pairwise"), f(x), rtol=1e-4, atol=1e-5)


def test_nothing_in_common_one_and_constants():
    x = np.float32([[1, np.nan, 5], [2, np.nan, 5], [np.nan, 3, 5], [np.nan, 4, 5], [4, 7, np.nan]])
    cov, corr = (np.asarray(f(x, nan="pairwise")) for f in BOTH)
    assert cov[0, 1] == 0 and np.isnan(corr[0, 1])  # one row
    assert np.isnan(stats.cov_matrix(x, nan="pairwise", correction=1)[0, 1])
    assert np.all(np.isnan(corr[2])) and np.all(cov[2] == 0)  # a constant
    x[4] = np.nan
    assert np.isnan(stats.cov_matrix(x, nan="pairwise")[0, 1])  # no row
    some = np.float32([[3.0, 1], [3.0, 2], [3.0, 5], [8.1, np.nan], [0.3, np.nan]])
    assert np.isnan(stats.corr_matrix(some, nan="pairwise")[0, 1])  # constant in the pair's rows
    infinite = np.float32([[1, 2], [3, np.inf], [5, 1], [np.nan, 2]])
    found = np.isnan(stats.cov_matrix(infinite, nan="pairwise"))
    assert np.array_equal(found, [[False, True], [True, True]])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Frequency, Reliability, Probability], ids=lambda k: k.__name__)
def test_weights_and_masks(kind):
    rng = np.random.default_rng(2)
    x = holes(2, (60, 3), 5.0)
    w = (rng.uniform(0.5, 3, 60) * (rng.random(60) < 0.8)).astype(np.float32)
    where = rng.random(x.shape) < 0.8
    options = {"weights": kind(w), "nan": "pairwise", "correction": 1}
    spoiled = np.where(where, x, np.float32(9e9))
    right, corr, size = pandas(np.where(where, x, np.nan), np.where(where, x, np.nan), 1, kind, w)
    found = stats.cov_matrix(spoiled, where=where, **options)
    assert np.all(np.abs(found - right) <= BOUND * size)
    rows = where[:, 0]
    right, _, size = pandas(x[rows], x[rows], 1, kind, w[rows])
    assert np.all(np.abs(stats.cov_matrix(x, where=rows, **options) - right) <= BOUND * size)
    found = stats.corr_matrix(spoiled, where=where, weights=kind(w), nan="pairwise")
    np.testing.assert_allclose(found, corr, atol=BOUND)


@pytest.mark.slow
def test_gradients_pass_by_what_is_unknown():
    x = jnp.asarray(holes(3, (12, 3)), FLOAT)
    known = ~np.isnan(x)
    tolerance = 1e-5 if FLOAT == np.float64 else 3e-2
    for f in BOTH:
        run = jax.jit(lambda v, f=f: f(jnp.where(known, v, jnp.nan), nan="pairwise"))
        start = jnp.where(known, x, 0)
        jax.test_util.check_grads(run, (start,), 2, ("fwd", "rev"), tolerance, tolerance)
        slope = jax.grad(lambda v, f=f: jnp.sum(f(v, nan="pairwise")))(x)
        assert np.all(np.isfinite(slope)) and np.all(slope[~known] == 0)


def test_bad_input():
    with raises(TypeError, "cov_matrix: nan='pairwise' is of real data"):
        stats.cov_matrix(np.ones((3, 2)) * 1j, nan="pairwise")
    with raises(ValueError, "it must be 'propagate', 'omit' or 'pairwise'"):
        stats.corr_matrix(np.ones((3, 2)), nan="pairs")
