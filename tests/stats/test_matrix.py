"""Covariance and correlation matrices: symmetry, scale, translation, two matrices, derivatives."""

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from helpers import assert_same, raises
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import PartitionSpec
from matrix_cases import BOUND, FLOAT, HARD, cov64, draw, error, few, seeds, shapes

from jfoundations import stats


@few
@given(seeds, shapes, st.sampled_from([0.0, 100.0]))
def test_covariance_is_numpys_and_symmetric_with_the_variance_on_its_diagonal(seed, shape, mean):
    x = draw(seed, shape, mean)
    found = np.asarray(stats.cov_matrix(x))
    assert_same(found, found.T.copy())
    assert error(found, cov64(x)) < BOUND
    np.testing.assert_allclose(np.diagonal(found), stats.var(x, axis=0), rtol=BOUND)


@few
@given(seeds, shapes, st.integers(-100, 100))
def test_correlation_is_symmetric_bounded_and_blind_to_scale(seed, shape, k):
    x = draw(seed, shape)
    found = np.asarray(stats.corr_matrix(x))
    if shape[0] == 1:
        assert np.all(np.isnan(found))
        return
    assert_same(found, found.T.copy())
    assert np.all(np.abs(found) <= 1)
    assert np.array_equal(np.diagonal(found), np.ones(shape[1]))
    right = np.corrcoef(x.astype(np.float64), rowvar=False).reshape(found.shape)
    assert np.max(np.abs(found - right)) < BOUND
    scales = np.exp2(np.linspace(-k, k, shape[1]).round()).astype(np.float32)
    assert_same(found, np.asarray(stats.corr_matrix(x * scales)))  # to 1e-30 and 1e30


@pytest.mark.slow
@few
@given(seeds, st.sampled_from([(7, 3), (1000, 5), (3001, 70)]))
def test_two_matrices_are_a_part_of_the_matrix_of_both(seed, shape):
    x = draw(seed, shape, 10.0)
    p = shape[1] // 3
    a, b = x[:, :p], x[:, p:]
    spread = np.asarray(stats.std(x, axis=0), np.float64)
    whole, part = stats.cov_matrix(x)[:p, p:], stats.cov_matrix(a, b)
    assert part.shape == (p, shape[1] - p)
    assert np.max(np.abs(whole - part) / np.outer(spread[:p], spread[p:])) < BOUND
    whole, part = stats.corr_matrix(x)[:p, p:], stats.corr_matrix(a, b)
    assert np.max(np.abs(whole - part)) < BOUND
    assert np.all(np.abs(stats.corr_matrix(a, -a)) <= 1)
    opposite = np.diagonal(stats.corr_matrix(a, -a))  # exactly ±1 only on the diagonal of one
    np.testing.assert_allclose(opposite, -1, rtol=BOUND)


@few
@given(seeds, st.sampled_from([(50, 3), (5000, 3)]))
def test_hard_columns_keep_their_digits(seed, shape):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape).astype(np.float32)
    x[:, 0] += np.float32(1e6)
    x[0, 1] = 1e6
    x[:, 2] = np.sort(x[:, 2]) + np.where(np.arange(shape[0]) < 4, -1e3, 0)
    assert error(stats.cov_matrix(x), cov64(x)) < HARD


def test_an_unlucky_first_look_is_repeated():
    x = np.zeros((1000, 2), np.float32)  # all nine rows that are looked at first are alike
    x[:, 0] = np.linspace(0, 1, 1000)
    x[:, 1] = np.where(np.isin(np.arange(1000), np.arange(1, 18, 2) * 1000 // 18), 0.0, 1e4)
    x[1::7, 1] += 1
    for values in (x * np.float32(2.0**-70), x * np.float32(2.0**40), x):
        right = np.corrcoef(values.astype(np.float64), rowvar=False)
        assert np.max(np.abs(np.asarray(stats.corr_matrix(values)) - right)) < HARD
    assert error(stats.cov_matrix(x), cov64(x)) < HARD


def test_constants_and_translation():
    x = np.random.default_rng(0).integers(-512, 512, (3000, 4)).astype(np.float32)
    x[:, 2] = 0.1
    found = np.asarray(stats.cov_matrix(x))
    assert np.all(found[2] == 0.0) and np.all(found[:, 2] == 0.0)
    matrix = np.asarray(stats.corr_matrix(x))
    assert np.all(np.isnan(matrix[2])) and not np.any(np.isnan(np.delete(matrix, 2, 0)[:, :2]))
    assert np.all(np.asarray(stats.cov_matrix(x, x[:, 2:3])) == 0)
    assert np.all(np.isnan(stats.corr_matrix(x, x[:, 2:3])))
    whole = np.delete(x, 2, axis=1)
    moved = whole + np.float32([2**20, 0, -(2**19)])
    assert_same(stats.cov_matrix(whole), stats.cov_matrix(moved))
    assert_same(stats.corr_matrix(whole), stats.corr_matrix(moved))
    assert_same(4 * stats.cov_matrix(whole), stats.cov_matrix(2 * whole))


def test_dtypes():
    whole = np.random.default_rng(0).integers(-512, 512, (300, 3)).astype(np.float32)
    default = whole.astype(FLOAT)  # what integers become
    assert_same(stats.cov_matrix(default), stats.cov_matrix(whole.astype(np.int32)))
    far = whole.astype(np.int32) + np.int32([2**30, -(2**30), 2**30 + 1])
    assert_same(stats.cov_matrix(default), stats.cov_matrix(far))
    assert_same(stats.corr_matrix(default), stats.corr_matrix(far))
    flags = whole > 0
    assert_same(stats.cov_matrix(flags), stats.cov_matrix(flags.astype(FLOAT)))
    for dtype in (jnp.float16, jnp.bfloat16):
        half = jnp.asarray(whole / 4 + 1000, dtype)
        right = stats.cov_matrix(half.astype(np.float32))
        assert_same(stats.cov_matrix(half), right.astype(dtype))
        assert stats.corr_matrix(half, half[:, :1]).dtype == dtype


def test_complex_data():
    rng = np.random.default_rng(1)
    z = (rng.standard_normal((500, 6)) + 1j * rng.standard_normal((500, 6))) @ (
        rng.standard_normal((6, 6)) + 1j * rng.standard_normal((6, 6))
    )
    z = (z + 5 - 3j).astype(np.complex64)
    found = np.asarray(stats.cov_matrix(z))
    assert found.dtype == np.complex64
    assert np.array_equal(found, found.conj().T) and np.all(np.diagonal(found).imag == 0)
    assert error(found, cov64(z)) < BOUND
    np.testing.assert_allclose(found[0, 1], stats.cov(z[:, 0], z[:, 1]), rtol=1e-5)
    matrix = np.asarray(stats.corr_matrix(z))
    assert np.array_equal(matrix, matrix.conj().T)
    assert np.all(np.abs(matrix) <= 1) and np.all(np.diagonal(matrix) == 1)
    np.testing.assert_allclose(matrix[0, 1], stats.corr(z[:, 0], z[:, 1]), rtol=1e-5)
    scales = np.exp2([-90, 80, 3, 0, -1, 40]).astype(np.complex64)
    assert_same(matrix, np.asarray(stats.corr_matrix(z * scales)))
    for f in (stats.cov_matrix, stats.corr_matrix):
        np.testing.assert_allclose(f(z[:, :2], z[:, 2:]), f(z)[:2, 2:], rtol=1e-4, atol=1e-5)


def test_edges():
    for f in (stats.cov_matrix, stats.corr_matrix):
        assert np.all(np.isnan(f(np.zeros((0, 2), np.float32)))) and f(np.zeros((0, 2))).shape == (
            2,
            2,
        )
        assert f(np.zeros((3, 0), np.float32)).shape == (0, 0)
        assert f(np.zeros((3, 2)), np.zeros((3, 0))).shape == (2, 0)
        assert np.all(np.isnan(f(np.zeros((0, 2)), np.zeros((0, 3)))))
    one = np.ones((1, 2), np.float32)
    assert np.all(stats.cov_matrix(one) == 0) and np.all(np.isnan(stats.corr_matrix(one)))
    assert np.all(np.isnan(stats.cov_matrix(one, correction=1)))
    assert np.all(np.isnan(stats.cov_matrix(one, correction=2.5)))
    x = draw(0, (9, 3))
    for bad in (np.nan, np.inf):
        spoiled = x.copy()
        spoiled[4, 1] = bad
        for f in (stats.cov_matrix, stats.corr_matrix):
            found = np.isnan(f(spoiled))
            assert np.array_equal(found, np.add.outer([0, 1, 0], [0, 1, 0]) > 0), bad
            assert np.array_equal(np.isnan(f(x, spoiled)), np.tile([False, True, False], (3, 1)))


@pytest.mark.slow
def test_under_jit_vmap_and_shard_map():
    x = np.stack([draw(k, (50, 3)) for k in range(8)])
    for f in (stats.cov_matrix, stats.corr_matrix):
        rows = np.stack([f(part) for part in x])
        np.testing.assert_allclose(jax.vmap(f)(x), rows, rtol=1e-5, atol=1e-6)
        assert_same(jax.jit(f)(x[0]), jnp.asarray(rows[0]))
    mesh, spec = jax.make_mesh((8,), ("d",)), PartitionSpec("d")
    run = jax.jit(jax.shard_map(stats.cov_matrix, mesh=mesh, in_specs=spec, out_specs=spec))
    for data in (x.reshape(400, 3), draw(0, (8 * 400_000, 3))):  # the second: blocks on each device
        shards = jax.device_put(data, jax.sharding.NamedSharding(mesh, spec))
        found = np.asarray(run(shards)).reshape(8, 3, 3)
        alone = stats.cov_matrix(data[: len(data) // 8])
        np.testing.assert_allclose(found[0], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_gradients():
    x, y = (jnp.asarray(draw(k, (6, 3)), FLOAT) for k in range(2))
    tolerance = 1e-5 if FLOAT == np.float64 else 3e-2
    for f in (stats.cov_matrix, stats.corr_matrix):
        f = jax.jit(f)
        jax.test_util.check_grads(f, (x,), 2, ("fwd", "rev"), tolerance, tolerance)
        jax.test_util.check_grads(f, (x, y), 1, ("fwd", "rev"), tolerance, tolerance)
    slope = jax.jit(jax.grad(lambda x: jnp.trace(stats.cov_matrix(x))))(x)
    right = jax.jit(jax.grad(lambda x: stats.var(x, axis=0).sum()))(x)
    np.testing.assert_allclose(slope, right, rtol=1e-4, atol=1e-6)
    constant = x.at[:, 1].set(2.0)
    for f in (stats.cov_matrix, stats.corr_matrix):
        slope = jax.jit(jax.grad(lambda x, f=f: jnp.nansum(f(x))))(constant)
        assert np.all(np.isfinite(slope))


@pytest.mark.parametrize("name", ["cov_matrix", "corr_matrix"])
def test_bad_input(name):
    function, x = getattr(stats, name), np.ones((3, 2), np.float32)
    with raises(ValueError, f"{name}: x has shape (3,), (samples, variables) is needed", "cov"):
        function(np.ones(3))
    with raises(ValueError, f"{name}: y has shape (3,)"):
        function(x, np.ones(3))
    with raises(ValueError, "x has shape (3, 2) and y has shape (4, 2); they need equally many"):
        function(x, np.ones((4, 2)))
    with raises(TypeError, f"{name}: x is str, which holds no numbers"):
        function("ab")
    with raises(ValueError, "nan is 'drop'"):
        function(x, nan="drop")
    with raises(ValueError, "weights has shape (2,), (3,) or (3, 1) is needed"):
        jax.eval_shape(lambda x: function(x, weights=np.ones(2)), x)
    with raises(ValueError, "weights has shape (3, 2)"):
        function(x, weights=np.ones((3, 2)))
    with raises(TypeError, "weights are complex; give real ones"):
        function(x, weights=np.ones(3) * 1j)
    with raises(TypeError, "weights is list"):
        function(x, weights=["a", "b", "c"])
    with raises(ValueError, "where has shape (2,), (3,) or (3, 1) or (3, 2) is needed"):
        function(x, where=np.ones(2, bool))
    with raises(TypeError, "where has dtype int32, a bool array is needed", "weights="):
        function(x, where=np.ones(3, np.int32))
