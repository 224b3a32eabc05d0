"""How large the programs of statistics are, in characters of StableHLO: they are for users who jit.

A compiler's time grows with the program, and so does whatever it is part of.
"""

import jax
import jax.numpy as jnp
import pytest

import jfoundations as jf
from jfoundations import folds, stats

N = 2**20
FLOATS, BOOLS = (jax.ShapeDtypeStruct((N,), d) for d in (jnp.float32, jnp.bool_))
ONE = {  # characters at most, plain
    "mean": 4_000,
    "sum": 6_500,
    "minmax": 4_000,
    "var": 10_000,
    "std": 10_000,
    "sem": 11_000,
    "skew": 18_000,
    "kurtosis": 18_000,
    "describe": 19_000,
}
TWO = {"cov": 14_600, "corr": 15_500}
MASKED = 1.65  # times the plain form


def size(function, *like):
    return len(jax.jit(function).lower(*like).as_text())


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_sizes(name):
    given = [FLOATS] * (1 + (name in TWO))
    function = getattr(stats, name)
    plain = size(function, *given)
    assert plain <= (ONE | TWO)[name]
    masked = size(lambda keep, *x: function(*x, where=keep), BOOLS, *given)
    assert masked <= (3.3 if name in ("mean", "sum", "minmax") else MASKED) * plain


@pytest.mark.parametrize("name", ["mean", "var", "corr", "describe"])
def test_they_do_not_grow_with_the_data(name):
    function = getattr(stats, name)
    small, large = (
        size(function, *[jax.ShapeDtypeStruct((n,), jnp.float32)] * (1 + (name in TWO)))
        for n in (2**14, 2**24)
    )
    assert large <= 1.2 * small


def test_gradients_and_batches():
    var = size(stats.var, FLOATS)
    assert size(jax.grad(stats.var), FLOATS) <= 2 * var
    rows = jax.ShapeDtypeStruct((2**10, 2**10), jnp.float32)
    assert size(jax.vmap(stats.var), rows) <= 2 * var


@pytest.mark.parametrize(
    ("name", "most"), [("mean", 9_000), ("var", 14_000), ("describe", 26_000), ("cov", 24_000)]
)
def test_steps_of_folds(name, most):
    fold = getattr(folds, name)()
    like = jax.ShapeDtypeStruct((), jnp.float32)
    element = (like, like) if name == "cov" else like
    assert size(fold.step, fold.init(element), element) <= most


def test_a_watched_loop():
    def run(*callbacks):
        return lambda x: jf.iterate(jnp.tanh, x, *callbacks, max_steps=1000)

    x = jax.ShapeDtypeStruct((), jnp.float32)
    assert size(run(jf.callbacks.watch(folds.var())), x) <= size(run(), x) + 20_000
