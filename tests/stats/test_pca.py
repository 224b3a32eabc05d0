"""Principal components beside NumPy, and sketches within their bound."""

import jax
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import folds, stats

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(40, 4)) @ RNG.normal(size=(4, 4)) + 100.0).astype(np.float32)


def textbook(x, correction=0):
    x = np.float64(x)
    values, vectors = np.linalg.eigh(np.cov(x.T, ddof=correction))
    rows = vectors.T[::-1]
    place = np.argmax(np.abs(rows), axis=1)
    signs = np.sign(rows[np.arange(len(rows)), place])
    return rows * signs[:, None], values[::-1]


def check(found, x, correction=0):
    assert isinstance(found, stats.Components)
    rows, values = textbook(x, correction)
    count = len(found.variances)
    np.testing.assert_allclose(found.variances, values[:count], atol=1e-5 * values[0])
    np.testing.assert_allclose(found.components, rows[:count], atol=2e-4)
    np.testing.assert_allclose(found.ratios, (values / values.sum())[:count], atol=1e-5)
    np.testing.assert_allclose(found.mean, np.float64(x).mean(0), rtol=1e-6)
    assert float(found.bound) == 0


def test_arrays_and_streams():
    check(stats.pca(X), X)
    check(stats.pca(X, 2, correction=1), X, 1)
    tree = {"a": X[:, :1], "b": X[:, 1:]}
    blocks = [jax.tree.map(lambda v, k=k: v[k : k + 20], tree) for k in (0, 20)]
    check(jf.fold(folds.pca(2, correction=1), blocks), X, 1)
    keep = np.arange(40) % 3 > 0
    hidden = np.where(keep[:, None], X, np.nan).astype(np.float32)
    check(stats.pca(hidden, where=keep), X[keep])
    check(stats.pca(hidden, nan="omit"), X[keep])
    check(stats.pca(hidden, weights=2 * keep), X[keep])


def test_signs_and_scales():
    found, turned = stats.pca(X), stats.pca(-X)
    np.testing.assert_array_equal(found.components, turned.components)
    largest = np.argmax(np.abs(found.components), axis=1)
    assert np.all(np.asarray(found.components)[np.arange(4), largest] > 0)
    for far in (2.0**60, 2.0**-60):
        moved = stats.pca(X * np.float32(far))
        np.testing.assert_array_equal(moved.components, found.components)
        np.testing.assert_array_equal(moved.ratios, found.ratios)


def test_nothing_and_constants():
    for found in (stats.pca(X[:0]), stats.pca(X[:1], correction=1), stats.pca(X * np.nan)):
        assert found.components.shape == (4, 4) and np.all(np.isnan(found.variances))
    still = stats.pca(np.ones((5, 2), np.float32))
    assert not np.any(still.variances) and np.all(np.isnan(still.ratios))


def test_jit_vmap_and_gradients():
    found = stats.pca(X, 2)
    many = jax.jit(jax.vmap(lambda x: stats.pca(x, 2)))(np.stack([X, 2 * X]))
    np.testing.assert_allclose(many.components[0], found.components, atol=1e-4)
    slope = jax.grad(lambda x: stats.pca(x).variances[0])(X)
    mean, first = np.asarray(found.mean), np.asarray(found.components[0])
    right = 2 / 40 * ((X - mean) @ first)[:, None] * first
    np.testing.assert_allclose(slope, right, atol=1e-3)


WIDE = (RNG.normal(size=(300, 6)) * 2.0 ** -np.arange(6)) @ RNG.normal(size=(6, 40)) + 50.0
WIDE = (WIDE + 0.01 * RNG.normal(size=WIDE.shape)).astype(np.float32)


@pytest.mark.parametrize("sketch", [2, 8])
@pytest.mark.parametrize("cut", [[300], [100] * 3])
def test_a_sketch_is_within_its_bound(sketch, cut):
    blocks = np.split(WIDE, np.cumsum(cut)[:-1])
    found = jf.fold(folds.pca(sketch=sketch), blocks)
    rows, values = textbook(WIDE)
    covariance = np.cov(np.float64(WIDE).T, ddof=0)
    kept = np.float64(found.components)
    near = (kept.T * np.float64(found.variances)) @ kept
    off = np.linalg.eigvalsh(covariance - near)
    rounding = 1e-5 * values[0]
    assert off.min() >= -rounding and off.max() <= float(found.bound) + rounding
    for k in range(sketch + 1):  # as published
        assert float(found.bound) <= values[k:].sum() / (sketch + 1 - k) + rounding
    np.testing.assert_allclose(found.mean, WIDE.mean(0), rtol=1e-6)
    total = np.asarray(found.variances) / np.asarray(found.ratios)
    np.testing.assert_allclose(total, values.sum(), rtol=1e-4)
    np.testing.assert_allclose(kept @ kept.T, np.eye(sketch), atol=1e-3)


def test_a_sketch_of_few_dimensions_is_exact():
    x = (RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 9)) + 5.0).astype(np.float32)
    found = jf.fold(folds.pca(3, sketch=4), [x[:20], x[20:]])
    rows, values = textbook(x)
    np.testing.assert_allclose(found.variances, values[:3], rtol=1e-4)
    np.testing.assert_allclose(found.components, rows[:3], atol=1e-3)
    assert float(found.bound) <= 1e-5 * values[0]
    nothing = jf.fold(folds.pca(1, sketch=2), x[:0])
    assert np.all(np.isnan(nothing.mean)) and np.all(np.isnan(nothing.variances))
    masked = folds.pca(3, sketch=4).where(lambda v: v[0] > 5)
    np.testing.assert_allclose(
        jf.fold(masked, x).variances, textbook(x[x[:, 0] > 5])[1][:3], rtol=1e-4
    )


BAD = {
    "many": (ValueError, lambda: stats.pca(X, 5), "pca: components is 5, and there are 4"),
    "many of folds": (ValueError, lambda: jf.fold(folds.pca(5), X), "folds.pca: components is 5"),
    "sketch": (ValueError, lambda: folds.pca(5, sketch=4), "components is 5, and there are 4"),
    "no int": (TypeError, lambda: stats.pca(X, 2.0), "components is 2.0, a Python int is needed"),
    "no columns": (ValueError, lambda: stats.pca(X[:, :0]), "pca: components is 0"),
    "vector": (ValueError, lambda: stats.pca(X[0]), "(samples, variables) is needed"),
    "complex": (TypeError, lambda: stats.pca(X * 1j), "pca: x is complex"),
    "nan": (ValueError, lambda: stats.pca(X, nan="pairwise"), "'propagate' or 'omit'"),
    "elements": (TypeError, lambda: jf.fold(folds.pca(sketch=2), X[0]), "vectors of real numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    error, call, said = BAD[name]
    with raises(error, said):
        call()
