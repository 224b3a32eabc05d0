"""Folds are the statistics of the whole array: values, laws, gradients, counts, digits."""

import functools
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
    z = np.asarray(X) + 1j * np.asarray(Y)
    one = jf.fold(jf.combine(var=folds.var(), std=folds.std(), mean=folds.mean()), blocks(z))
    for name, found in one.items():
        close(found, getattr(stats, name)(z, axis=0))
    two = jf.combine(cov=folds.cov(), corr=folds.corr())
    for other in (z.real * z.dtype.type(2j), z * z.dtype.type(2j)):
        for name, found in jf.fold(two, blocks((z, other))).items():
            close(found, getattr(stats, name)(z, other, axis=0))
    large = np.array([2**30, 2**30 + 1, 2**30 + 5, 2**30 + 9], np.int32)
    both = jf.combine(var=folds.var(), ends=folds.minmax())
    found, moved = (jf.fold(both, [v[:2], v[2:]]) for v in (large, large - 2**30))
    assert found["var"] == moved["var"]
    assert [int(v) for v in found["ends"]] == [2**30, 2**30 + 9]


def test_exact_laws():
    x = np.asarray(X[:, 0])
    ones = {f.name: f for f in (folds.std(), folds.skew(), folds.kurtosis())}
    ones = jf.combine(mean=folds.mean(), var=folds.var(), **ones)
    found, pair = jf.fold(ones, blocks(x)), jf.fold(folds.corr(), blocks((x, -x)))
    for k in (-60, 40):  # nothing under- or overflows, and a power of two changes no bit
        scaled = x * x.dtype.type(2.0**k)
        same = jf.fold(ones, blocks(scaled))
        assert same["std"] == found["std"] * 2.0**k
        for name in ("skew", "kurtosis"):
            assert same[name] == found[name]
        assert jf.fold(folds.corr(), blocks((scaled, -x))) == pair
    constant = jf.fold(ones, blocks(np.full(60, 0.1, x.dtype)))
    assert constant["var"] == 0
    assert constant["mean"] == x.dtype.type(0.1)
    whole = np.round(x * 64)
    moved = jf.fold(ones, blocks(whole + x.dtype.type(2.0**17)))["var"]
    assert moved == jf.fold(ones, blocks(whole))["var"]
    assert jf.fold(ones, blocks(np.where(np.arange(60) == 30, np.inf, x)))["mean"] == np.inf


def test_matrices():
    x = np.concatenate([X, Y], axis=1) * np.array([[1.0, 1e3, 1e-3, 1.0]], X.dtype)
    found = jf.fold(jf.combine(c=folds.cov_matrix(correction=1), r=folds.corr_matrix()), blocks(x))
    # products cancel: what is left is known to a part of the deviations
    size = np.outer(*[np.std(x, axis=0)] * 2)
    found = jax.tree.map(np.asarray, found)
    right = np.asarray(stats.cov_matrix(x, correction=1))
    checks.assert_same(found["c"] / size, right / size, atol=4 * EPS)
    checks.assert_same(found["r"], stats.corr_matrix(x), atol=4 * EPS)
    for matrix in (found["c"], found["r"]):
        assert (matrix == matrix.T).all()
    assert (np.diagonal(found["c"]) == jf.fold(folds.var(correction=1), blocks(x))).all()
    assert (np.diagonal(found["r"]) == 1).all()
    assert np.isnan(jf.fold(folds.cov_matrix(), x[:0])).all()
    slope = jax.jit(jax.grad(lambda x: jf.fold(folds.cov_matrix(), x)[0, 1]))(x)
    right = jax.jit(jax.grad(lambda x: stats.cov_matrix(x)[0, 1]))(x)
    checks.assert_same(slope, right, rtol=64 * EPS, atol=64 * EPS)


def test_gradients_go_through_merges():
    def of_fold(f, x):
        parts = [f.block(part) for part in blocks(x)]
        return f.extract(f.merge(f.merge(*parts[:2]), parts[2]))

    x, y = np.asarray(X[:, 0]), np.asarray(Y[:, 0])
    shape = folds.describe().map(lambda d: d.skew + d.kurtosis)
    ones = jf.combine(mean=folds.mean(), var=folds.var(), std=folds.std(), shape=shape)
    twos = jf.combine(cov=folds.cov(), corr=folds.corr())

    def one_by_one(x):
        found = {name: getattr(stats, name)(x) for name in ("mean", "var", "std")}
        return {**found, "shape": stats.skew(x) + stats.kurtosis(x)}

    slopes = jax.jit(jax.jacrev(lambda x: of_fold(ones, x)))
    checks.assert_same(slopes(x), jax.jit(jax.jacrev(one_by_one))(x), rtol=1e-4, atol=1e-6)
    found = jax.jit(jax.jacrev(lambda x: of_fold(twos, (x, y))))(x)
    right = jax.jit(jax.jacrev(lambda x: {"cov": stats.cov(x, y), "corr": stats.corr(x, y)}))(x)
    checks.assert_same(found, right, rtol=1e-4, atol=1e-6)
    assert not np.asarray(slopes(np.ones_like(x))["std"]).any()


def programs(f):
    return jax.jit(f.block), jax.jit(f.merge), jax.jit(f.extract)


def doubled(merge, memory, times):
    for _ in range(times):
        memory = merge(memory, memory)
    return memory


def test_counts_beyond_two_words_of_a_float():
    both = jf.combine(
        n=folds.describe(), bins=folds.histogram([0.0, 1.0, 2.0]), near=folds.sketch()
    )
    block, merge, extract = programs(both)
    memory = doubled(merge, block(np.float32([0.5, 1.5, 1.5])), 28)
    found = extract(merge(memory, block(np.float32([0.5, 0.5, 0.5]))))
    assert int(found["n"].count) == 3 * 2**28 + 3
    assert found["bins"][0].tolist() == [2**28 + 3, 2**29]
    assert int(found["near"].count) == 3 * 2**28 + 3
    block, merge, extract = programs(folds.var())
    memory = doubled(merge, block(np.float32([0.0, 2.0])), 40)
    assert int(memory[0].weight) == 2**41 and float(extract(memory)) == 1.0
    block, merge, extract = programs(folds.mean(weights=stats.Frequency))
    memory = doubled(merge, block((np.float32([1.0, 5.0]), np.float32([3.0, 1.0]))), 30)
    one = block((np.float32([2.0, 9.0]), np.float32([1.0, 0.0])))
    memory = merge(memory, one)
    assert int(memory[0].weight) == 2**32 + 1
    assert float(extract(memory)) == 2.0


def exact(x):
    """Return mean and variance of the rounded data, from rational numbers."""
    unit = Fraction(2) ** -149
    whole = [int(Fraction(float(v)) / unit) for v in x]
    n, s, q = len(whole), sum(whole), sum(v * v for v in whole)
    return Fraction(s, n) * unit, (Fraction(q, n) - Fraction(s, n) ** 2) * unit**2


def digits(found, right):
    error = abs((Fraction(float(found)) - right) / right)
    return 7.22 if error == 0 else min(7.22, -math.log10(error))


@functools.cache
def designs():
    """Return data, each with its exact mean and variance."""
    z = np.random.default_rng(0).standard_normal(2**16)
    made = {f"offset {c:g}": z + c for c in (1e2, 1e4, 1e6)}
    made |= {"sorted": np.sort(z), "random walk": np.cumsum(z)}
    made = {name: x.astype(np.float32) for name, x in made.items()}
    return {name: (x, *exact(x)) for name, x in made.items()}


@pytest.mark.parametrize("chunks", [16, 1024])
def test_digits_over_many_chunks(chunks):
    both = jf.combine(mean=folds.mean(), var=folds.var())
    for name, (x, mean, var) in designs().items():
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
