"""How large the programs of matrices are: characters of StableHLO, which do not depend on load."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfoundations import stats

X = jax.ShapeDtypeStruct((8192, 128), np.float32)
W = jax.ShapeDtypeStruct((8192,), np.float32)
PLAIN = 20_000
BOTH = [stats.cov_matrix, stats.corr_matrix]
OPTIONS = {
    "weights": lambda w: {"weights": w},
    "where": lambda w: {"where": w > 0},
    "omit": lambda w: {"nan": "omit"},
    "pairwise": lambda w: {"nan": "pairwise"},
}


def size(function, *args):
    return len(jax.jit(function).lower(*args).as_text())


@pytest.mark.parametrize("f", BOTH)
def test_programs_are_short(f):
    plain = size(f, X)
    assert plain <= PLAIN
    for name, options in OPTIONS.items():
        assert size(lambda x, w, o=options: f(x, **o(w)), X, W) <= 1.6 * plain, name
    large = jax.ShapeDtypeStruct((2**17, 128), np.float32)
    assert size(f, large) <= 1.4 * plain  # a loop over blocks
    for n in (1, 2**10, 3**9):
        assert size(f, jax.ShapeDtypeStruct((n, 5), np.float32)) <= 1.1 * plain


@pytest.mark.parametrize("f", BOTH)
def test_two_matrices_and_slopes(f):
    assert size(lambda x: f(x[:, :64], x[:, 64:]), X) <= 2 * PLAIN
    assert size(jax.grad(lambda x: jnp.sum(f(x) ** 2)), X) <= 2 * PLAIN
