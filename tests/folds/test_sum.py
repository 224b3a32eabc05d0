"""The fold of sums: two words, weights, integers, complex data."""

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf
from jfoundations import folds, stats

U = float(np.finfo(np.float32).eps) / 2


def test_blocks_are_added_in_two_words():
    many = [jnp.full(10, 0.1, jnp.float32)] * 1000
    found = jf.fold(folds.sum(), many)
    exact = 10_000 * float(np.float32(0.1))
    assert abs(float(found) - exact) <= 2 * U * exact
    step = jax.jit(
        lambda xs: jf.iterate(
            lambda k: k + 1, 0, jf.watch(folds.sum(), xs.__getitem__), max_steps=len(xs) - 1
        ).memory["sum"]
    )
    x = jnp.asarray(np.random.default_rng(0).lognormal(sigma=3, size=5000), jnp.float32)
    memory = step(x)
    right = np.asarray(x[1:], np.float64).sum()
    assert abs(float(folds.sum().extract(memory)) - right) <= 2 * U * right


def test_whole_numbers_cancel_exactly():
    whole = [jnp.array([2**24 - 1, 0]), jnp.array([1, 5]), jnp.array([2**24, 2**24])]
    assert jf.fold(folds.sum(), whole) == 3 * 2**24 + 5
    huge = [jnp.array([3e38]), jnp.array([1.0]), jnp.array([-3e38])]
    assert jf.fold(folds.sum(), huge) == 1
    assert jf.fold(folds.sum(), jnp.zeros((0, 2))).tolist() == [0, 0]
    assert jf.fold(folds.sum(), [jnp.array([jnp.inf]), jnp.array([1.0])]) == jnp.inf


def test_weights_masks_and_trees():
    x, w = jnp.array([1.0, jnp.nan, 5.0, 2.0]), jnp.array([3.0, 0.0, 0.5, 1.0])
    for kind in (stats.Frequency, stats.Reliability, stats.Probability):
        assert jf.fold(folds.sum(weights=kind), (x, w)) == 7.5
        assert jf.fold(folds.sum(weights=kind), [(x[:2], w[:2]), (x[2:], w[2:])]) == 7.5
    assert jf.fold(folds.sum(nan="omit"), x) == 8
    tree = jf.fold(folds.sum(), {"a": x[2:], "b": x[2:].astype(complex) * 1j})
    assert tree["a"] == 7 and tree["b"] == 7j
    negative = jf.fold(folds.sum(weights=stats.Reliability), (x[:1], -w[:1]))
    assert np.isnan(negative)
    slope = jax.grad(lambda x: jf.fold(folds.sum(weights=stats.Frequency), (x, w)))(x)
    assert slope.tolist() == [3, 0, 0.5, 1]


def test_whole_numbers_are_added_exactly():
    rng = np.random.default_rng(0)
    for n in (3, 50, 4001):
        for x in (rng.integers(-100, 100, n), rng.random(n) < 0.4, rng.integers(-50, 50, n) * 1.0):
            x = jnp.asarray(x)
            assert float(stats.sum(x)) == np.asarray(x, np.float64).sum()
            assert float(jf.fold(folds.sum(), x)) == np.asarray(x, np.float64).sum()
            there = np.arange(n) % 3 > 0
            assert float(stats.sum(x, where=there)) == np.asarray(x, np.float64)[there].sum()
