"""Folds of arrays along axes, beside NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from helpers import raises

import jfoundations as jf
from jfoundations import folds, stats

RNG = np.random.default_rng(0)
X = RNG.integers(-9, 9, (3, 4, 5)).astype(np.float32)
KEEP = RNG.random((3, 4, 5)) < 0.7
KEEP[:, :, 0] = True
WEIGHTS = RNG.integers(0, 3, 5)
RIGHT = {
    "sum": np.sum,
    "product": np.prod,
    "logsumexp": scipy.special.logsumexp,
    "any": np.any,
    "all": np.all,
    "argmin": np.argmin,
    "argmax": np.argmax,
    "first": lambda v: v[0],
    "last": lambda v: v[-1],
    "top_k": lambda v: np.sort(v)[::-1][:2],
    "maximum": np.max,
    "var": np.var,
}


def make(name):
    return folds.top_k(2) if name == "top_k" else getattr(folds, name)()


def by_lanes(name, axis, keep=None):
    """Return what NumPy gives of what is kept along an axis."""
    lines = np.moveaxis(X, axis, -1).reshape(-1, X.shape[axis])
    kept = np.ones_like(lines, bool) if keep is None else np.moveaxis(keep, axis, -1)
    found = [RIGHT[name](v[k]) for v, k in zip(lines, kept.reshape(lines.shape), strict=True)]
    rest = tuple(n for k, n in enumerate(X.shape) if k != axis)
    return np.moveaxis(np.stack(found), 0, -1).reshape(*np.shape(found[0]), *rest)


@pytest.mark.parametrize("name", RIGHT)
def test_an_axis_with_and_without_a_mask(name):
    plain = np.asarray(jf.reduce(make(name), X, axis=2))
    np.testing.assert_allclose(plain, by_lanes(name, 2), rtol=1e-5)
    hidden = np.where(KEEP, X, np.nan).astype(np.float32)
    masked = jf.reduce(make(name), hidden, axis=2, where=KEEP)
    np.testing.assert_allclose(np.asarray(masked), by_lanes(name, 2, KEEP), rtol=1e-5)
    omitted = jf.reduce(make(name), hidden, axis=2, nan="omit")
    np.testing.assert_array_equal(np.asarray(omitted), np.asarray(masked))


def test_axes_are_kept_behind_the_answers_own():
    run = lambda **options: jf.reduce(folds.top_k(2), X, **options)  # noqa: E731
    assert run().shape == (2,) and run(keepdims=True).shape == (2, 1, 1, 1)
    assert run(axis=(0, 2)).shape == (2, 4) and run(axis=(0, 2), keepdims=True).shape == (
        2,
        1,
        4,
        1,
    )
    np.testing.assert_array_equal(run(axis=(2, 0)), run(axis=(0, 2)))
    assert jf.reduce(folds.product(), 3.0) == 3 and jf.reduce(folds.product(), X[:0]) == 1
    assert jf.reduce(folds.product(), X[:0], axis=1).shape == (0, 5)


def test_weights_are_given_to_the_fold():
    fold = folds.sum(weights=stats.Frequency)
    hidden = np.where(WEIGHTS > 0, X, np.nan).astype(np.float32)
    np.testing.assert_array_equal(jf.reduce(fold, hidden, axis=2, weights=WEIGHTS), X @ WEIGHTS)
    power = folds.product().of(lambda e: e[0] ** e[1])
    right = np.prod(X**WEIGHTS, axis=2)
    np.testing.assert_allclose(
        jf.reduce(power, X, axis=2, weights=WEIGHTS * np.float32(1)), right, rtol=1e-5
    )


def test_jit_vmap_and_gradients():
    run = lambda x: jf.reduce(folds.product(), x, axis=1)  # noqa: E731
    x = X[0] + 0.5
    np.testing.assert_array_equal(jax.jit(run)(x), run(x))
    np.testing.assert_array_equal(jax.vmap(run)(X + 0.5)[0], run(x))
    slope = jax.grad(lambda x: run(x).sum())(jnp.asarray(x))
    np.testing.assert_allclose(slope, run(x)[:, None] / x, rtol=1e-5)


def test_sharded_arrays():
    x = np.tile(X[0], (2, 1))
    lying = jax.device_put(x, jax.NamedSharding(jax.make_mesh((8,), ("d",)), jax.P("d")))
    for axis in (0, 1):
        found = jf.reduce(folds.argmax(), lying, axis=axis, where=x < 5)
        np.testing.assert_array_equal(found, jf.reduce(folds.argmax(), x, axis=axis, where=x < 5))


def test_any_fold_of_ones_own():
    span = folds.maximum() - folds.minimum()
    np.testing.assert_array_equal(jf.reduce(span, X, axis=0), np.ptp(X, axis=0))
    np.testing.assert_allclose(
        jf.reduce(folds.ema(0.5), X, axis=2)[0, 0], jf.fold(folds.ema(0.5), X[0, 0])
    )


def test_bad_input():
    with raises(TypeError, "reduce: 3 is no Fold", "jfoundations.folds"):
        jf.reduce(3, X)
    with raises(TypeError, "reduce: ema has no merge", "nan='omit'"):
        jf.reduce(folds.ema(0.5), X, nan="omit")
    with raises(ValueError, "reduce: axis 3 is out of range"):
        jf.reduce(folds.sum(), X, axis=3)
    with raises(ValueError, "reduce: where has shape (2,)"):
        jf.reduce(folds.sum(), X, where=np.ones(2, bool))
