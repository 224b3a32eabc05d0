"""The laws of `jfoundations.testing` with 64-bit types, each once.

Most hold of a program, not of a dtype: here a few draws show that they do in float64. What they
catch is tested beside them in 32 bits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from public_cases import MAKERS

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks, laws, strategies

pytestmark = pytest.mark.usefixtures("x64")

FEW = 5
quick = settings(deadline=None, database=None, max_examples=FEW, derandomize=True)
jc = jf.callbacks
var, cov, mean = (jax.jit(getattr(stats, name)) for name in ("var", "cov", "mean"))


def test_arrays_are_drawn_in_float64():
    @quick
    @given(strategies.arrays(), strategies.arrays("float32"))
    def check(wide, narrow):
        assert (wide.dtype, narrow.dtype) == ("float64", "float32")

    check()


STATISTICS = {
    "var": (stats.var, {"power": 2, "shift": 0}),
    "std": (stats.std, {"power": 1, "shift": 0}),
    "mean_abs_dev": (stats.mean_abs_dev, {"power": 1, "shift": 0}),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_exact_laws_of_spreads(name):
    f, powers = jax.jit(STATISTICS[name][0]), STATISTICS[name][1]
    laws.constant(f, dtype="float64", max_examples=FEW)
    laws.translation(f, dtype="float64", max_examples=FEW)
    laws.scale(f, power=powers["power"], dtype="float64", max_examples=FEW)
    laws.permutation(f, **powers, dtype="float64", max_examples=FEW)
    laws.bounds(f, lower=0, dtype="float64", max_examples=FEW)


def test_laws_of_weights_masks_and_gradients():
    for law in (laws.deletion, laws.repetition):
        law(stats.var, power=2, shift=0, dtype="float64", max_examples=2)
    laws.poison(stats.var, dtype="float64", max_examples=2)
    laws.gradient(stats.var, dtype="float64", max_examples=2)
    laws.constant(mean, lambda c: c, dtype="float64", max_examples=FEW)


def test_the_reproducible_mode_does_not_know_the_order():
    f = jax.jit(lambda x: stats.var(x, reproducible=True))
    x = jnp.asarray(np.random.default_rng(0).normal(1e6, 1.0, 64))
    found = f(x)
    for seed in range(3):
        checks.assert_same(f(jax.random.permutation(jax.random.key(seed), x)), found, bits=True)


def test_laws_of_pairs():
    laws.var_is_cov(var, cov, dtype="float64", max_examples=FEW)
    laws.covariance(cov, dtype="float64", max_examples=FEW)
    laws.correlation(jax.jit(stats.corr), dtype="float64", max_examples=FEW)


LENGTH = 12
PAIRS = strategies.arrays(shape=((LENGTH, 2),)).map(lambda a: (a[:, 0], a[:, 1]))
ONE = strategies.arrays(shape=(LENGTH,))
# Of one memory each; larger memories have the same merge, and take a minute to compile.
DRAWN = {
    "var": ONE,
    "quantile": ONE,
    "ema": ONE,
    "cov": PAIRS,
}


@pytest.mark.parametrize("name", DRAWN)
def test_folds(name):
    laws.fold(MAKERS[name](), DRAWN[name], max_examples=2)


def test_folds_of_weights_and_of_64_bit_integers():
    weighted = strategies.arrays(shape=(LENGTH,)).map(
        lambda x: (x, jnp.arange(LENGTH, dtype=x.dtype) % 3)
    )
    laws.fold(folds.var(weights=stats.Reliability), weighted, max_examples=2)
    whole = strategies.arrays("int64", (LENGTH,))
    laws.fold(jf.combine(n=folds.count(), m=folds.mean()), whole, max_examples=2)


def biggest(x):
    return jnp.max(x)


SEVERAL = {
    "steering": lambda: (
        lambda x: (x * 0.5, False),
        jc.reduce_on_plateau(biggest, lambda x, ratio: x * ratio, factor=0.5, patience=2),
    ),
    "observing": lambda: (
        jc.history(biggest),
        jc.best(biggest),
        jc.ema(decay=0.75),
        jc.early_stopping(biggest, patience=2) | jc.converged(atol=0.1),
        jf.watch(folds.var(), of=jnp.sum),
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_callbacks(name):
    laws.callback(*SEVERAL[name](), observes=name == "observing", ulp=4, max_examples=1)


def test_chains_pipes_monoids_inverses_and_pytrees():
    laws.chain_monoid(max_examples=2)
    laws.pipe(jf.Pipe(jnp.abs, scale=jf.partial(jnp.multiply, 0.25)), ulp=4, max_examples=2)
    laws.monoid(jnp.maximum, jnp.full(3, -jnp.inf), max_examples=FEW)
    laws.inverse(jnp.expm1, jnp.log1p, jnp.linspace(-0.5, 0.5, 4), ulp=64, max_examples=1)
    laws.pytree(folds.var())
    laws.pytree(jf.iterate(lambda x: x / 2, 1.0, jc.history(), max_steps=3))


@quick
@given(st.data(), strategies.folds(), strategies.arrays(shape=(6,)))
def test_a_fold_of_blocks_is_the_fold(data, fold, x):
    assert x.dtype == jnp.float64
    whole, parts = jf.fold(fold, x), jf.fold(fold, data.draw(strategies.blocks_of(x)))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        atol = 1e-13 * float(jnp.max(jnp.abs(x))) ** (1 if fold.name == "mean" else 0)
        checks.assert_same(a, b, rtol=1e-13, atol=atol)
