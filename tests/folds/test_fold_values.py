"""Folds are the statistics of the whole array: values, laws, gradients, counts, digits."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fold_cases import EPS, W, X, Y, alike, blocks, close, everything, of_array

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

pytestmark = pytest.mark.slow  # compiles many programs


def test_plain():
    alike(jf.fold(everything(1), blocks(X)), of_array(X, 1))
    shape = jf.combine(skew=folds.skew(), kurtosis=folds.kurtosis(), moment=folds.moment(3))
    found = jf.fold(shape, blocks(X))
    close(found["skew"], stats.skew(X, axis=0))
    close(found["kurtosis"], stats.kurtosis(X, axis=0), 64)
    close(found["moment"], stats.moment(X, 3, axis=0), 64)
    whole = jf.fold(jf.combine(mean=folds.mean(), var=folds.var()), X)
    right = {"mean": stats.mean(X, axis=0), "var": stats.var(X, axis=0)}
    checks.assert_same(whole, right, ulp=1)


def test_orders_zero_and_one():
    zero, one = (jf.fold(folds.moment(k), blocks(X)) for k in (0, 1))
    assert zero.tolist() == [1.0, 1.0] and one.tolist() == [0.0, 0.0]
    assert np.isnan(jf.fold(folds.moment(0), X[:0])).all()


def test_complex_and_integers():
    z = jax.lax.complex(X, Y)
    i = jnp.asarray(2j, z.dtype)
    for f, g in ((folds.var(), stats.var), (folds.std(), stats.std), (folds.mean(), stats.mean)):
        close(jf.fold(f, blocks(z)), g(z, axis=0))
    close(
        jf.fold(folds.cov(), blocks((z, X.astype(z.dtype) * i))),
        stats.cov(z, X.astype(z.dtype) * i, axis=0),
    )
    close(jf.fold(folds.corr(), blocks((z, z * i))), stats.corr(z, z * i, axis=0))
    large = jnp.array([2**30, 2**30 + 1, 2**30 + 5, 2**30 + 9], jnp.int32)
    two = [large[:2], large[2:]]
    assert jf.fold(folds.var(), two) == jf.fold(folds.var(), [large[:2] - 2**30, large[2:] - 2**30])
    assert [int(v) for v in jf.fold(folds.minmax(), two)] == [2**30, 2**30 + 9]


def test_exact_laws():
    x = X[:, 0]
    for k in (-60, 40):  # nothing under- or overflows, and a power of two changes no bit
        scaled = x * 2.0**k
        assert jf.fold(folds.std(), blocks(scaled)) == jf.fold(folds.std(), blocks(x)) * 2.0**k
        for f in (folds.skew(), folds.kurtosis()):
            assert jf.fold(f, blocks(scaled)) == jf.fold(f, blocks(x))
        pair = jf.fold(folds.corr(), blocks((scaled, -x)))
        assert pair == jf.fold(folds.corr(), blocks((x, -x)))
    constant = jnp.full(60, 0.1, x.dtype)
    assert jf.fold(folds.var(), blocks(constant)) == 0
    assert jf.fold(folds.mean(), blocks(constant)) == constant[0]
    whole = jnp.round(x * 64)
    moved = jf.fold(folds.var(), blocks(whole + 2.0**17))
    assert moved == jf.fold(folds.var(), blocks(whole))
    assert jf.fold(folds.mean(), [jnp.array([1.0]), jnp.array([jnp.inf])]) == jnp.inf


def test_matrices():
    x = jnp.concatenate([X, Y], axis=1) * jnp.array([[1.0, 1e3, 1e-3, 1.0]], X.dtype)
    found = jf.fold(jf.combine(c=folds.cov_matrix(correction=1), r=folds.corr_matrix()), blocks(x))
    # products cancel: what is left is known to a part of the deviations
    size = jnp.outer(*[jnp.std(x, axis=0)] * 2)
    checks.assert_same(found["c"] / size, stats.cov_matrix(x, correction=1) / size, atol=4 * EPS)
    checks.assert_same(found["r"], stats.corr_matrix(x), atol=4 * EPS)
    for matrix in (found["c"], found["r"]):
        assert (matrix == matrix.T).all()
    assert (jnp.diagonal(found["c"]) == jf.fold(folds.var(correction=1), blocks(x))).all()
    assert (jnp.diagonal(found["r"]) == 1).all()
    assert np.isnan(jf.fold(folds.cov_matrix(), x[:0])).all()
    slope = jax.grad(lambda x: jf.fold(folds.cov_matrix(), x)[0, 1])(x)
    right = jax.grad(lambda x: stats.cov_matrix(x)[0, 1])(x)
    checks.assert_same(slope, right, rtol=64 * EPS, atol=64 * EPS)


def test_gradients_go_through_merges():
    def of_fold(f, x):
        parts = [f.block(part) for part in blocks(x)]
        return f.extract(f.merge(f.merge(*parts[:2]), parts[2]))

    x, y = X[:, 0], Y[:, 0]
    pairs = [
        (folds.mean(), stats.mean),
        (folds.var(), stats.var),
        (folds.std(), stats.std),
        (
            folds.describe().map(lambda d: d.skew + d.kurtosis),
            lambda x: stats.skew(x) + stats.kurtosis(x),
        ),
    ]
    for f, g in pairs:
        found = jax.jit(jax.grad(lambda x, f=f: of_fold(f, x)))(x)
        checks.assert_same(found, jax.jit(jax.grad(g))(x), rtol=1e-4, atol=1e-6)
    for f, g in ((folds.cov(), stats.cov), (folds.corr(), stats.corr)):
        found = jax.jit(jax.grad(lambda x, f=f: of_fold(f, (x, y))))(x)
        checks.assert_same(found, jax.jit(jax.grad(g))(x, y), rtol=1e-4, atol=1e-6)
    assert not jax.jit(jax.grad(lambda x: of_fold(folds.std(), x)))(jnp.ones(60)).any()


def doubled(f, memory, times):
    merge = jax.jit(f.merge)
    for _ in range(times):
        memory = merge(memory, memory)
    return memory


def test_counts_beyond_two_words_of_a_float():
    both = jf.combine(
        n=folds.describe(), bins=folds.histogram([0.0, 1.0, 2.0]), near=folds.sketch()
    )
    memory = doubled(both, both.block(jnp.array([0.5, 1.5, 1.5])), 28)
    found = both.extract(both.merge(memory, both.block(jnp.array([0.5]))))
    assert int(found["n"].count) == 3 * 2**28 + 1
    assert found["bins"][0].tolist() == [2**28 + 1, 2**29]
    assert int(found["near"].count) == 3 * 2**28 + 1
    memory = doubled(folds.var(), folds.var().block(jnp.array([0.0, 2.0])), 40)
    assert int(memory[0].weight) == 2**41 and float(folds.var().extract(memory)) == 1.0
    weighted = folds.mean(weights=stats.Frequency)
    memory = doubled(weighted, weighted.block((jnp.array([1.0, 5.0]), jnp.array([3.0, 1.0]))), 30)
    one = weighted.block((jnp.array([2.0]), jnp.array([1.0])))
    assert int(weighted.merge(memory, one)[0].weight) == 2**32 + 1
    assert float(weighted.extract(memory)) == 2.0


def exact(x):
    """Return mean and variance of the rounded data, from rational numbers."""
    unit = Fraction(2) ** -149
    whole = [int(Fraction(float(v)) / unit) for v in x]
    n, s, q = len(whole), sum(whole), sum(v * v for v in whole)
    return Fraction(s, n) * unit, (Fraction(q, n) - Fraction(s, n) ** 2) * unit**2


def digits(found, right):
    error = abs((Fraction(float(found)) - right) / right)
    return 7.22 if error == 0 else min(7.22, -math.log10(error))


@pytest.mark.parametrize("chunks", [16, 1024])
def test_digits_over_many_chunks(chunks):
    z = np.random.default_rng(0).standard_normal(2**16)
    designs = {f"offset {c:g}": z + c for c in (1e2, 1e4, 1e6)}
    designs |= {"sorted": np.sort(z), "random walk": np.cumsum(z)}
    both = jf.combine(mean=folds.mean(), var=folds.var())
    for name, x in designs.items():
        x = x.astype(np.float32)
        mean, var = exact(x)
        found = jf.fold(both, list(x.reshape(chunks, -1)))
        # of the mean, the digits that its distance to the data's spread leaves
        far = abs(Fraction(float(found["mean"])) - mean)
        assert far <= 4 * 2.0**-24 * max(abs(mean), math.sqrt(var)), name
        assert digits(found["var"], var) >= 6.8, name


def test_histogram():
    x = X[:, 0]
    for options in ({"bins": 7, "range": (3.0, 5.0)}, {"bins": [3.0, 3.5, 6.0]}):
        counts, edges = jf.fold(folds.histogram(**options), blocks(x))
        right, same = stats.histogram(x, **options)
        assert counts.tolist() == right.tolist() and edges.tolist() == same.tolist()
    block = folds.histogram(7, range=(3.0, 5.0)).block  # ends that are known, inside jit
    checks.assert_same(jax.jit(block)(x), block(x))
    heavy = folds.histogram([3.0, 3.5, 6.0], weights=stats.Frequency)
    found = jf.fold(heavy, blocks((x, W / 2)))[0]
    right = stats.histogram(x, [3.0, 3.5, 6.0], weights=W / 2)[0]
    close(found, right)
    assert jf.fold(folds.histogram([3.0, 4.0]), blocks(X))[0].shape == (2, 1)


def test_ema_is_the_last_of_the_array():
    found = jf.fold(folds.ema(0.9), blocks(X))
    close(found, stats.ema(X, decay=0.9, axis=0)[-1])
    assert jf.fold(folds.ema(0.9), jnp.full(9, 0.1)) == jnp.full((), 0.1)
    assert (
        np.isnan(jf.fold(folds.ema(1.0), X)).all()
        and np.isnan(jf.fold(folds.ema(0.5), X[:0])).all()
    )


def test_ema_keeps_the_digits_beside_an_offset():
    x = np.random.default_rng(0).normal(1000.0, 1.0, 20_000).astype(np.float32)
    weights = np.float64(np.float32(0.9999)) ** np.arange(x.size)[::-1]
    right = np.sum(weights * np.float64(x)) / np.sum(weights)
    # a float32 as the only memory is off by some 10 units in the last place
    assert abs(float(jf.fold(folds.ema(0.9999), x)) - right) <= np.spacing(np.float32(right))
