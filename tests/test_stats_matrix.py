"""Covariance and correlation matrices: exact symmetry, the variance on the diagonal, NumPy."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jfoundations import stats

few = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(1, 1), (7, 3), (1000, 5), (3001, 70)])


def draw(seed, shape, mean=0.0):
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal(shape) @ rng.standard_normal((shape[1], shape[1]))
    return (mixed + mean).astype(np.float32)


@few
@given(seeds, shapes, st.sampled_from([0.0, 100.0]))
def test_covariance_is_numpys_symmetric_with_the_variance_on_its_diagonal(seed, shape, mean):
    x = draw(seed, shape, mean)
    found = np.asarray(stats.cov_matrix(x))
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diagonal(found), stats.var(x, axis=0))
    right = np.cov(x.astype(np.float64), rowvar=False, ddof=0).reshape(found.shape)
    scale = np.sqrt(np.outer(np.diagonal(right), np.diagonal(right))) + 1e-30
    assert np.max(np.abs(found - right) / scale) < 3e-5


@few
@given(seeds, shapes, st.integers(-60, 60))
def test_correlation_is_symmetric_bounded_and_blind_to_scale(seed, shape, k):
    x = draw(seed, shape)
    found = np.asarray(stats.corr_matrix(x))
    if shape[0] == 1:
        assert np.all(np.isnan(found))
        return
    assert np.array_equal(found, found.T)
    assert np.all(np.abs(found) <= 1)
    assert np.array_equal(np.diagonal(found), np.ones(shape[1]))
    right = np.corrcoef(x.astype(np.float64), rowvar=False).reshape(found.shape)
    assert np.max(np.abs(found - right)) < 3e-5
    scales = np.exp2(np.linspace(-k, k, shape[1]).round()).astype(np.float32)
    assert np.array_equal(found, stats.corr_matrix(x * scales))


def test_constants_translation_and_dtypes():
    x = np.random.default_rng(0).integers(-512, 512, (3000, 4)).astype(np.float32)
    x[:, 2] = 0.1
    found = np.asarray(stats.cov_matrix(x))
    assert found[2, 2] == 0.0 and np.all(np.abs(found[2]) < 1e-3)
    assert np.all(np.isnan(np.asarray(stats.corr_matrix(x))[2]))
    whole = np.delete(x, 2, axis=1)
    assert np.array_equal(stats.cov_matrix(whole), stats.cov_matrix(whole + np.float32(2**20)))
    default = whole.astype(jnp.result_type(float))  # what integers become
    assert np.array_equal(stats.cov_matrix(default), stats.cov_matrix(whole.astype(np.int32)))
    assert stats.cov_matrix(whole.astype(np.float16)).dtype == np.float16
    assert np.all(np.isnan(stats.cov_matrix(np.zeros((0, 2), np.float32))))
    assert np.all(np.isnan(stats.cov_matrix(np.ones((1, 2), np.float32), correction=1)))


def test_under_jit_and_vmap():
    x = np.stack([draw(k, (50, 3)) for k in range(3)])
    rows = np.stack([stats.cov_matrix(part) for part in x])
    np.testing.assert_allclose(jax.vmap(stats.cov_matrix)(x), rows, rtol=1e-5, atol=1e-6)
    assert np.array_equal(jax.jit(stats.cov_matrix)(x[0]), rows[0])


def test_gradients():
    x = jnp.asarray(draw(0, (6, 3)), jnp.result_type(float))
    for f in (stats.cov_matrix, stats.corr_matrix):
        tolerance = 1e-5 if x.dtype == np.float64 else 3e-2
        jax.test_util.check_grads(f, (x,), 1, ("fwd", "rev"), tolerance, tolerance)
    slope = jax.grad(lambda x: jnp.trace(stats.cov_matrix(x)))(x)
    right = jax.grad(lambda x: stats.var(x, axis=0).sum())(x)
    np.testing.assert_allclose(slope, right, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.ones(3), "x has shape .3,., .samples, variables. is needed"),
        (np.ones((2, 2)) * 1j, "complex"),
        ("ab", "holds no numbers"),
    ],
)
def test_bad_input(wrong, said):
    for function in (stats.cov_matrix, stats.corr_matrix):
        with pytest.raises((TypeError, ValueError), match=said):
            function(wrong)
