"""Folds of matrices at the ends of what they take: range, dtypes, few rows, none, many."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from fold_cases import X, blocks
from helpers import assert_same

import jfoundations as jf
from jfoundations import folds

BOTH = jf.combine(cov=folds.cov_matrix(), corr=folds.corr_matrix())
WHOLE = np.random.default_rng(0).integers(-512, 512, (60, 3)).astype(np.float32)


def of(x):
    return jf.fold(BOTH, blocks(x))


def test_what_is_exact_changes_no_bit():
    x = jnp.asarray(WHOLE)
    found = of(x)
    assert_same(found, of(x + jnp.float32([[2**14, 0, -(2**13)]])))
    scales = np.float32([2.0**60, 1.0, 2.0**-60])
    scaled = of(x * scales[None])
    assert_same(found["corr"], scaled["corr"])
    assert_same(found["cov"] * np.outer(scales, scales), scaled["cov"])
    constant = of(x.at[:, 1].set(0.1))
    assert np.all(constant["cov"][1] == 0) and np.all(np.isnan(constant["corr"][1]))
    assert_same(constant["cov"][0, 2], found["cov"][0, 2])


def test_dtypes():
    default = jnp.asarray(WHOLE.astype(X.dtype))  # what integers become
    near = jnp.asarray(WHOLE.astype(np.int32))
    assert_same(of(default), of(near))
    # a pivot that no float holds leaves the rest to the mean's second word, which is rounded
    moved = of(near + jnp.int32([[2**30, -(2**30), 2**30 + 1]]))
    near_to = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    jax.tree.map(near_to, of(near), moved)
    assert_same(of(near > 0), of((near > 0).astype(np.int32)))
    assert_same(of(near.astype(np.int8)), of(near.astype(np.int8).astype(np.int32)))
    for dtype in (jnp.float16, jnp.bfloat16):
        half = jnp.asarray(WHOLE / 4 + 1000, dtype)
        assert_same(of(half), of(half.astype(np.float32)))


def test_differences_may_leave_the_range():
    x = jnp.asarray(np.where(WHOLE > 0, np.float32(3e38), np.float32(-3e38)))
    x = x.at[:, 2].set(WHOLE[:, 2] * 1e-30)
    small = jnp.where(x > 0, jnp.float32(1), jnp.float32(-1)).at[:, 2].set(WHOLE[:, 2])
    found, right = jf.fold(BOTH, x)["corr"], jf.fold(BOTH, small)["corr"]
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


def test_few_rows_and_columns():
    one = BOTH.extract(BOTH.block(jnp.asarray(WHOLE[:1])))
    assert np.all(one["cov"] == 0) and np.all(np.isnan(one["corr"]))
    for shape in ((0, 3), (0, 0), (5, 0)):
        none = BOTH.extract(BOTH.block(jnp.zeros(shape)))
        assert none["cov"].shape == (shape[1],) * 2 and np.all(np.isnan(none["cov"]))


def test_many_rows_of_many_columns():
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((3001, 70)) @ rng.standard_normal((70, 70)) + 100).astype(np.float32)
    found = np.asarray(jf.fold(folds.cov_matrix(), jnp.asarray(x)))
    assert_same(found, found.T.copy())
    assert_same(np.diagonal(found), np.asarray(jf.fold(folds.var(), jnp.asarray(x))))
    right = np.cov(x.astype(np.float64), rowvar=False, ddof=0)
    deviations = np.sqrt(np.diagonal(right))
    assert np.max(np.abs(found - right) / np.outer(deviations, deviations)) < 1e-6
    bad = x.copy()
    bad[1500, 3], bad[7, 5] = np.nan, np.inf
    lost = np.isnan(jax.jit(folds.cov_matrix().block)(bad).products.value)
    spoiled = np.isin(np.arange(70), (3, 5))
    assert np.array_equal(lost, spoiled[:, None] | spoiled)
