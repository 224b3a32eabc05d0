"""Matrices with weights and masks: rows count wholly or not; NumPy, denominators."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from helpers import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_cases import BOUND, FLOAT, cov64, draw, error

from jfoundations import stats
from jfoundations.stats import Frequency, Probability, Reliability

pytestmark = pytest.mark.slow  # compiles many programs

KINDS = (Frequency, Reliability, Probability)
few = settings(max_examples=6, deadline=None)
seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(40, 3), (3001, 40)])
BOTH = (stats.cov_matrix, stats.corr_matrix)


def textbook(x, w, kind, correction):
    """Return a weighted covariance matrix by its formula in double precision."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    total, n = w.sum(), (w > 0).sum()
    free = {
        Frequency: total - correction,
        Reliability: total - correction * (w * w).sum() / total,
        Probability: total * (n - correction) / n,
    }[kind]
    e = x - (w[:, None] * x).sum(0) / total
    return (w[:, None] * e).T @ e / free


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@few
@given(seeds, shapes, st.sampled_from([0, 1, 0.5]))
def test_denominators(kind, seed, shape, correction):
    rng = np.random.default_rng(seed)
    x = draw(seed, shape, 5.0)
    w = (rng.uniform(0.5, 3.0, shape[0]) * (rng.random(shape[0]) < 0.8)).astype(np.float32)
    where = rng.random(shape[0]) < 0.9
    spoiled = np.where(where[:, None] & (w > 0)[:, None], x, np.float32(np.nan))
    found = stats.cov_matrix(spoiled, weights=kind(w), where=where, correction=correction)
    right = textbook(x, np.where(where, w, 0), kind, correction)
    assert_same(found, found.T)
    assert error(found, right) < BOUND
    diagonal = stats.var(
        spoiled, axis=0, weights=kind(w[:, None]), where=where[:, None], correction=correction
    )
    np.testing.assert_allclose(np.diagonal(found), diagonal, rtol=BOUND)
    matrix = np.asarray(stats.corr_matrix(spoiled, weights=kind(w[:, None]), where=where[:, None]))
    spread = np.sqrt(np.diagonal(right))
    assert np.max(np.abs(matrix - right / np.outer(spread, spread))) < BOUND
    assert np.all(np.abs(matrix) <= 1) and np.all(np.diagonal(matrix) == 1)


UNOPTIMISED = """
import numpy as np
from matrix_cases import draw
from jfoundations import stats
for seed in range(12):
    rng = np.random.default_rng(seed)
    w = rng.uniform(0.5, 3.0, (3001, 1)) * (rng.random((3001, 1)) < 0.8)
    x, where = draw(seed, (3001, 40), 5.0), rng.random((3001, 1)) < 0.9
    w = stats.Frequency(w.astype(np.float32))
    found = stats.corr_matrix(x, weights=w, where=where)
    assert np.all(np.diagonal(found) == 1), seed
"""


def test_the_diagonal_is_1_where_some_products_are_fused_with_sums_and_others_not():
    flags = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
    env = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", UNOPTIMISED], env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_numpy_agrees_on_frequencies_and_reliabilities():
    rng = np.random.default_rng(3)
    x, k, w = draw(3, (50, 4)), rng.integers(0, 5, 50), rng.uniform(0.1, 2.0, 50)
    counted = stats.cov_matrix(x, weights=k, correction=1)
    assert error(counted, cov64(x, fweights=k, ddof=1)) < BOUND
    trusted = stats.cov_matrix(x, weights=Reliability(w.astype(np.float32)), correction=1)
    assert error(trusted, cov64(x, aweights=w, ddof=1)) < BOUND


@few
@given(seeds, shapes)
def test_deletion_and_repetition(seed, shape):
    rng = np.random.default_rng(seed)
    x = draw(seed, shape, 5.0)
    rows = rng.permutation(shape[0]) < shape[0] // 2
    holes = x.copy()
    holes[~rows, rng.integers(0, shape[1], (~rows).sum())] = np.nan
    gone = [
        stats.cov_matrix(holes, where=rows),
        stats.cov_matrix(holes, where=~np.isnan(holes)),
        stats.cov_matrix(holes, weights=rows),
        stats.cov_matrix(holes, nan="omit"),
    ]
    for other in gone[1:]:
        assert_same(gone[0], other)
    assert error(gone[0], cov64(x[rows])) < BOUND
    counts = rng.integers(0, 4, shape[0])
    repeated = np.repeat(x, counts, axis=0)
    assert error(stats.cov_matrix(x, weights=counts, correction=1), cov64(repeated, ddof=1)) < BOUND
    assert np.all(np.isnan(np.asarray(stats.cov_matrix(holes))).any(0) == np.isnan(holes).any(0))


def test_listwise_is_the_matrix_of_whole_rows():
    x = draw(5, (60, 4))
    x[::7, 1] = np.nan
    x[3::11, 2] = np.nan
    whole = x[~np.isnan(x).any(axis=1)].astype(np.float64)
    right = cov64(whole, ddof=1)
    assert error(stats.cov_matrix(x, nan="omit", correction=1), right) < BOUND
    found = stats.corr_matrix(x, nan="omit")
    np.testing.assert_allclose(found, np.corrcoef(whole, rowvar=False), rtol=1e-5, atol=BOUND)
    part = stats.cov_matrix(x[:, :1], x[:, 1:], nan="omit", correction=1)
    np.testing.assert_allclose(part, right[:1, 1:], rtol=1e-4, atol=1e-5)


def test_nothing_left_and_bad_weights_are_nan():
    x = draw(6, (5, 3))
    for f in BOTH:
        assert np.all(np.isnan(f(x, where=np.zeros(5, bool))))
        assert np.all(np.isnan(f(np.full((5, 3), np.nan, np.float32), nan="omit")))
        for kind in KINDS:
            for bad in ([0, 0, 0, 0, 0], [1, 2, -1, 1, 1], [1, 2, np.nan, 1, 1]):
                assert np.all(np.isnan(f(x, weights=kind(np.array(bad, np.float32))))), bad
    one = np.arange(5) == 3
    assert np.all(stats.cov_matrix(x, where=one) == 0)
    assert np.all(np.isnan(stats.cov_matrix(x, where=one, correction=1)))
    assert np.all(stats.cov_matrix(x, weights=one * 3, correction=1) == 0)
    assert np.all(np.isnan(stats.corr_matrix(x, where=one)))


def test_constants_and_scale_under_weights():
    rng = np.random.default_rng(7)
    x, w = draw(7, (3001, 3)), rng.random(3001).astype(np.float32)
    x[:, 1] = 0.1
    found = np.asarray(stats.cov_matrix(x, weights=w))
    assert np.all(found[1] == 0)
    z = draw(8, (3001, 3))
    scales = np.exp2([-90, 80, 7]).astype(np.float32)
    z[0] = 1e5  # hidden, and far out
    options = {"weights": Reliability(np.where(np.arange(3001) > 0, w, 0))}
    one, other = (stats.corr_matrix(v, **options) for v in (z, z * scales))
    assert_same(one, other)
    for kind in (Reliability, Probability):
        one, four = (stats.cov_matrix(z, weights=kind(w * np.float32(s))) for s in (1, 4))
        assert_same(one, four)


def test_complex_rows():
    rng = np.random.default_rng(9)
    z = (rng.standard_normal((50, 3)) + 1j * rng.standard_normal((50, 3))).astype(np.complex64)
    w, rows = rng.integers(0, 4, 50), rng.random(50) < 0.7
    spoiled = np.where(rows[:, None], z, np.complex64(complex(np.nan, np.inf)))
    found = stats.cov_matrix(spoiled, weights=w, where=rows)
    assert np.array_equal(found, np.conj(found).T)
    assert error(found, cov64(z, fweights=w * rows)) < BOUND
    assert_same(stats.cov_matrix(np.where(rows[:, None], z, np.nan), nan="omit", weights=w), found)


def test_gradients_under_weights_and_masks():
    x, y = (jnp.asarray(draw(k, (7, 2)), FLOAT) for k in range(2))
    w = jnp.asarray(np.random.default_rng(0).uniform(0.5, 2, 7), FLOAT)
    where = np.arange(7) != 3
    tolerance = 1e-5 if FLOAT == np.float64 else 3e-2

    def of(f, kind):
        return lambda x, w: f(jnp.asarray(x).at[3].set(jnp.nan), weights=kind(w), where=where)

    for f in BOTH:
        for kind in (Frequency, Reliability):
            jax.test_util.check_grads(of(f, kind), (x, w), 2, ("fwd", "rev"), tolerance, tolerance)
        masked = lambda x, y, f=f: f(jnp.asarray(x).at[3, 0].set(jnp.nan), y, nan="omit")  # noqa: E731
        jax.test_util.check_grads(masked, (x, y), 1, ("fwd", "rev"), tolerance, tolerance)
        slope = jax.grad(lambda v, f=f: jnp.sum(f(v, where=where)))(x.at[3].set(jnp.nan))
        assert np.all(np.isfinite(slope)) and np.all(slope[3] == 0)
    right = jax.grad(lambda x: stats.var(x, axis=0, weights=w[:, None]).sum())(x)
    slope = jax.grad(lambda x: jnp.trace(stats.cov_matrix(x, weights=w)))(x)
    np.testing.assert_allclose(slope, right, rtol=1e-4, atol=1e-6)


def test_under_vmap():
    x = np.stack([draw(k, (50, 3)) for k in range(3)])
    w = np.random.default_rng(0).uniform(0, 2, (3, 50)).astype(np.float32)
    run = lambda x, w: stats.corr_matrix(x, weights=Reliability(w))  # noqa: E731
    rows = np.stack([run(a, b) for a, b in zip(x, w, strict=True)])
    np.testing.assert_allclose(jax.vmap(run)(x, w), rows, rtol=1e-5, atol=1e-6)
