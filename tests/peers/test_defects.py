"""What others get wrong, shown beside what is right here: one test a defect."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jfoundations import folds, stats
from jfoundations._running.run import fold

RNG = np.random.default_rng(7)


def digits(value, exact: float) -> float:
    """Return how many decimal digits are right, at most what float32 can hold."""
    error = abs(float(value) - exact) / abs(exact)
    return 7.22 if error == 0 else min(7.22, -np.log10(error))


def single(x) -> np.ndarray:
    return np.asarray(x, np.float32)


def variance(x) -> float:
    return float(np.var(np.asarray(x, np.float64)))


def test_the_textbook_formula_loses_the_digits_of_the_offset():
    textbook = jax.jit(lambda x: jnp.mean(x * x) - jnp.mean(x) ** 2)
    for offset, most in ((1e2, 4.5), (1e4, 1.0)):
        x = single(RNG.standard_normal(4096) + offset)
        assert digits(textbook(x), variance(x)) <= most
        assert digits(stats.var(x), variance(x)) >= 6.2


def test_the_variance_of_a_constant():
    constants = single(RNG.uniform(-100, 100, 200))
    theirs = jax.jit(jnp.var)
    assert sum(float(theirs(np.full(1000, c))) != 0 for c in constants) > 100
    assert all(float(stats.var(np.full(1000, c))) == 0 for c in constants)


def test_a_translation_that_is_exact():
    theirs, wrong = jax.jit(jnp.var), 0
    for _ in range(50):
        x = single(RNG.integers(-1000, 1000, 1000))
        c = np.float32(RNG.integers(2**18, 2**22))
        assert float(stats.var(x + c)) == float(stats.var(x))
        wrong += float(theirs(x + c)) != float(theirs(x))
    assert wrong > 25


def test_the_correlation_of_tiny_numbers():
    x = single(RNG.standard_normal(1000))
    y = single(x + RNG.standard_normal(1000))
    right = float(np.corrcoef(x.astype(float), y.astype(float))[0, 1])
    tiny = x * np.float32(1e-19)
    assert abs(float(jnp.corrcoef(tiny, y)[0, 1]) - right) > 0.2
    assert abs(float(stats.corr(tiny, y)) - right) < 1e-6


def test_integers_that_a_float_cannot_hold():
    x = jnp.asarray(2**30 + np.arange(8), jnp.int32)
    if not jax.config.jax_enable_x64:
        assert float(jnp.var(x)) == 0
    assert float(stats.var(x)) == 5.25


def test_half_precision():
    x = jnp.asarray(RNG.normal(1000, 300, 1000), jnp.float16)
    assert float(jnp.std(x)) == np.inf
    right = np.std(np.asarray(x, np.float64))
    assert abs(float(stats.std(x)) - right) < 2.0**-11 * right


def test_the_gradient_at_a_constant():
    x = jnp.full(8, 3.0)
    assert np.isnan(jax.grad(jnp.std)(x)).all()
    assert (np.asarray(jax.grad(stats.std)(x)) == 0).all()
    y = jnp.arange(8.0)
    assert np.isnan(jax.grad(lambda x: jnp.corrcoef(x, y)[0, 1])(x)).all()
    assert np.isnan(stats.corr(x, y))  # there is no correlation, and its gradient poisons nothing
    safe = jax.grad(lambda x: jnp.where(jnp.ptp(x) > 0, stats.corr(x, y), 0.0))(x)
    assert np.isfinite(safe).all()


def test_the_gradient_where_hidden_data_are_nan():
    x, keep = jnp.asarray([1.0, np.nan, 4.0, 9.0]), jnp.asarray([True, False, True, True])
    assert np.isnan(jax.grad(lambda x: jnp.var(x, where=keep))(x)).any()
    found = jax.grad(lambda x: stats.var(x, where=keep))(x)
    assert found[1] == 0 and np.isfinite(found).all()


def test_updating_one_element_at_a_time_on_sorted_data():
    x = np.sort(single(RNG.standard_normal(2**20)))

    def welford(carry, v):
        n, mean, m2 = carry
        step = v - mean
        mean = mean + step / (n + 1)
        return (n + 1, mean, m2 + step * (v - mean)), None

    zero = jnp.float32(0)
    (_, _, m2), _ = jax.jit(lambda x: lax.scan(welford, (zero, zero, zero), x))(x)
    assert digits(m2 / x.size, variance(x)) < 4.5
    assert digits(fold(folds.var(), iter(x.reshape(64, -1))), variance(x)) >= 6.2


def test_merging_means_of_one_word():
    # blocks of sorted data far from 0: what a merge adds is the square of a difference of means
    x = single(np.sort(RNG.standard_normal(2**14)) + 1e4)
    blocks = x.reshape(64, 256)

    def chan(a, b):
        (wa, ma, sa), (wb, mb, sb) = a, b
        w = wa + wb
        return w, (wa * ma + wb * mb) / w, sa + sb + (mb - ma) ** 2 * wa * wb / w

    parts = [(np.float32(256), b.mean(dtype=np.float32), np.float32(256) * b.var()) for b in blocks]
    total = parts[0]
    for part in parts[1:]:
        total = tuple(np.float32(v) for v in chan(total, part))
    assert digits(total[2] / x.size, variance(x)) < 5
    assert digits(fold(folds.var(), iter(blocks)), variance(x)) >= 6.5


def test_counts_beyond_what_a_float_counts():
    assert np.float32(2**24) + np.float32(1) == np.float32(2**24)
    many = stats.Count.of(2**24) + stats.Count.of(1)
    assert int(many) == 2**24 + 1
    assert int(stats.Count.of(2**31) + stats.Count.of(2**31)) == 2**32
