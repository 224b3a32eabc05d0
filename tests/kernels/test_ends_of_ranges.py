"""Numbers at the ends of their range, and slopes of what is zero.

Causes: what leaves the range on the way though the answer is in it (a sum's parts, the difference
of two values, a mean's distance from the value it is counted from); integers that no float holds,
rounded up to one more than their type does; and a zero whose derivative is in a unit too far from
that of what it is added to. They can act in sums and means of every size, form and kind of
weights, in all that is made of deviations (moments, matrices, gradients), in bins that are made
from integers, in windows and fading means.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats

FLOAT = jnp.result_type(float)
M = float(jnp.finfo(FLOAT).max)
EPS = float(jnp.finfo(FLOAT).eps)
X64 = jax.config.read("jax_enable_x64")


@pytest.mark.parametrize("given", [[M, M, -M], [M, -M, M], [-M, M, M], [M, M, M, -M, -M]])
def test_a_sum_that_comes_back_into_range(given):
    x = jnp.array(given)
    near = pytest.approx(M, rel=4 * EPS)  # of M so many times, some taken off again
    assert float(stats.sum(x)) == near
    assert float(stats.sum(x, weights=jnp.full(x.shape, 0.5))) * 2 == near
    assert stats.sum(jnp.stack([x, x * 0 + 1]), axis=1).tolist() == [near, len(given)]
    assert jax.grad(stats.sum)(x).tolist() == [1.0] * len(given)


def test_a_sum_that_stays_out_of_range():
    assert float(stats.sum(jnp.array([M, M]))) == np.inf
    assert float(stats.sum(jnp.array([np.inf, 1.0]))) == np.inf
    assert np.isnan(stats.sum(jnp.array([np.nan, M, M])))
    assert float(stats.sum(jnp.array([M, M]), weights=jnp.array([0.5, 0.5]))) == M
    x = jnp.array([M, M, -M])
    found = complex(stats.sum(jax.lax.complex(x, -x)))
    assert (found.real, -found.imag) == pytest.approx((M, M), rel=4 * EPS)


def test_a_column_out_of_range_leaves_the_others_alone():
    most = 0.9 * M
    small = 2.0**-1000 if X64 else 2.0**-66
    x = np.array([[most, small], [-most, 3 * small], [most, 2 * small]], FLOAT)
    found = stats.mean(x, axis=0), stats.sum(x, axis=0), stats.describe(x, axis=0).mean
    for value, times in zip(found, (1, 3, 1), strict=True):
        right = times * np.array([most / 3, 2 * small])
        np.testing.assert_allclose(value, right, rtol=4 * EPS)
    lanes = jax.vmap(stats.mean)(x.T)
    np.testing.assert_allclose(lanes, found[0], rtol=4 * EPS)


@pytest.mark.parametrize("f", [stats.mean, stats.sum, stats.std])
def test_high_accuracy_keeps_what_differences_of_the_smallest_numbers_lose(f):
    x = (1 + np.random.default_rng(2).random(50)).astype(FLOAT)
    unit = FLOAT.type(4 * np.finfo(FLOAT).tiny)
    assert f(x * unit, accuracy="high") / unit == f(x, accuracy="high")


N = 8200
LARGE = {
    "alternating": np.where(np.arange(N) % 2 == 0, 0.9, -0.9),
    "far from the first": np.where(np.arange(N) % 3 == 0, 1.0, -1.0),
    "sorted": np.sort(np.where(np.arange(N) % 3 == 0, 0.9, -0.9))[::-1],
    "even": np.random.default_rng(0).uniform(-1, 1, N),
    "far less than all": np.random.default_rng(1).normal(size=N) * 0.01,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_arrays_that_span_the_range(name):
    share = LARGE[name].astype(FLOAT).astype(np.float64)
    x = jnp.asarray(share * M)  # exact, but for powers of two; sizes are compared in units of M
    share = np.asarray(x).astype(np.longdouble) / np.longdouble(M)
    mean, std = share.mean(), share.std()
    close = 64 * EPS  # blocks and their joints add up fewer than 64 roundings
    found = [stats.mean(x), jf.fold(folds.mean(), x), stats.mean(x, weights=jnp.ones(N))]
    for value in (*found, stats.describe(x).mean):
        assert abs(np.longdouble(float(value)) / M - mean) <= close
    assert abs(float(stats.std(x)) / M - std) <= close
    third, fourth = (float((((share - mean) / std) ** k).mean()) for k in (3, 4))
    np.testing.assert_allclose(float(stats.skew(x)), third, atol=8 * close)
    np.testing.assert_allclose(float(stats.kurtosis(x)), fourth - 3, atol=8 * close)
    slope = jax.grad(stats.std)(x)[:3]
    np.testing.assert_allclose(slope, ((share - mean) / std / N)[:3].astype(float), rtol=8 * close)
    assert stats.corr_matrix(jnp.stack([x, -x], axis=1)).tolist() == [[1, -1], [-1, 1]]


@pytest.mark.parametrize("name", ["uint32", "int32", "int64", "uint64"][: 4 if X64 else 2])
def test_moments_of_the_largest_integers(name):
    x = np.array(np.iinfo(name).max - np.array([0, 700, 300], name), name)
    e = -np.array([0.0, 700.0, 300.0]) + 1000 / 3
    right = (e**3).mean() / (e**2).mean() ** 1.5
    np.testing.assert_allclose(float(stats.skew(x)), right, rtol=1e-5)
    np.testing.assert_allclose(stats.standardize(x), e / e.std(), rtol=1e-5)


OFFSETS = [(np.int32, 2**30), (np.uint32, 2**31), (np.int32, -(2**31)), (np.int32, 2**31 - 3)]
OFFSETS = [(np.int64, 2**60), (np.int64, -(2**60))] if X64 else OFFSETS


@pytest.mark.parametrize("dtype, offset", OFFSETS)
def test_bins_of_integers_that_no_float_tells_apart(dtype, offset):
    x = np.array([offset, offset + 1, offset + 2], dtype)
    small = np.arange(3)
    for bins in (2, 3):
        assert stats.histogram(x, bins)[0].tolist() == np.histogram(small, bins)[0].tolist()
    assert jax.jit(lambda x: stats.histogram(x, 2)[0])(x).tolist() == [1, 2]
    assert stats.histogram(x, 2, weights=np.array([1.0, 2, 3]))[0].tolist() == [1, 5]
    assert stats.histogram(np.stack([x, x], axis=1), 2, axis=0)[0].tolist() == [[1, 2], [1, 2]]
    assert stats.histogram(x[:1], 3)[0].tolist() == [0, 1, 0]
    assert stats.histogram(x, 2, where=np.array([True, False, True]))[0].tolist() == [1, 1]
    ends = (offset, offset + (512 if X64 else 256))
    for refused in (
        lambda: stats.histogram(x, 8, range=ends),
        lambda: folds.histogram(8, range=ends),
        lambda: stats.histogram(x, x),
    ):
        with pytest.raises(ValueError, match="subtract it from the data|both ends are"):
            refused()


@pytest.mark.parametrize("last", [1.0, 1e30, -1e30, 3e38])
def test_slopes_of_zeros_beside_large_numbers(last):
    x = jnp.array([0.0, 0.0, last])
    slope = jax.jacrev(partial(stats.rolling_mean, window=3))(x)
    np.testing.assert_allclose(slope[0], [1 / 3] * 3, rtol=4 * EPS)
    slope = jax.jacrev(lambda x: stats.ema(x, decay=0.5)[-1])(x)
    np.testing.assert_allclose(slope, np.array([1, 2, 4]) / 7, rtol=4 * EPS)


def test_slopes_of_a_decay_of_zero():
    x = jnp.array([1.0, 2.0, 4.0])
    for jac in (jax.jacrev, jax.jacfwd):
        assert jac(lambda d: stats.ema(x, decay=d))(0.0).tolist() == [0, -1, -2]
        assert jac(lambda d: stats.ema_var(x, decay=d))(0.0).tolist() == [0, 1, 4]
    assert float(jax.grad(lambda d: jf.fold(folds.ema(d), x))(0.0)) == -2
    gap = jnp.array([1.0, jnp.nan, 2.0, 5.0])
    slope = jax.jacrev(lambda d: stats.ema(gap, decay=d, nan="omit"))(0.0)
    assert slope.tolist() == [0, 0, 0, -3]
    assert stats.ema(jnp.array([jnp.inf, 1.0, 2.0]), decay=0.0).tolist() == [np.inf, 1, 2]
