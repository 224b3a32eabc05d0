"""The same program on the same data gives the same bits, run after run, with several threads.

The cause looked for: XLA:CPU divides work among threads, and is reported to divide a dot otherwise
from run to run (JAX issue 39741). Where it would act: matrices, gradients through loops that hold a
dot, and every sum that is taken in parts.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from public_cases import FOLDS, STATISTICS, of_fold

import jfoundations as jf
from jfoundations import stats

RNG = np.random.default_rng(0)
X, Y = (jnp.asarray(RNG.normal(3, 1, 100_000).astype(np.float32)) for _ in range(2))
TABLE = X[:99_968].reshape(-1, 64)
WEIGHTS = jnp.asarray(RNG.normal(0, 0.05, (300, 300)).astype(np.float32))
START = jnp.asarray(RNG.normal(0, 1, (300, 50)).astype(np.float32))


def loss(weights, start, driver):
    step = jf.partial(lambda weights, s: jnp.tanh(weights @ s), weights)
    return jnp.sum(jf.iterate(step, start, max_steps=10, driver=driver).state ** 2)


GRADIENTS = {
    driver: lambda w, s, driver=driver: jax.grad(loss)(w, s, driver)
    for driver in ("scan", "checkpointed")
}


QUICK = ("corr", "describe", "median", "histogram", "segment_var", "var", "grouped")


def replayed(function, *arguments):
    """Run a program two hundred times; twenty times, if nothing in it is divided by chance."""
    lowered = jax.jit(function).lower(*arguments)
    text, run = lowered.as_text(), lowered.compile()
    times = 200 if "stablehlo.dot" in text or "lapack" in text else 20
    seen = {
        b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(run(*arguments)))
        for _ in range(times)
    }
    assert len(seen) == 1, f"{times} runs gave {len(seen)} answers"


def some(names, quick):
    """Return all names, of which some are tested in a hurry too."""
    slow = pytest.mark.slow
    return [pytest.param(name, marks=() if name in quick else slow) for name in names]


@pytest.mark.parametrize("name", some(STATISTICS, QUICK))
def test_statistics(name):
    replayed(STATISTICS[name], X, Y)


@pytest.mark.parametrize("name", some(FOLDS, QUICK))
def test_folds(name):
    replayed(of_fold(name), X, Y)


@pytest.mark.parametrize("f", [stats.cov_matrix, stats.corr_matrix])
def test_matrices(f):
    replayed(f, TABLE)


@pytest.mark.parametrize("driver", GRADIENTS)
def test_gradients_through_loops(driver):
    replayed(GRADIENTS[driver], WEIGHTS, START)
