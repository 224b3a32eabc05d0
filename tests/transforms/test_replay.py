"""The same program on the same data gives the same bits, run after run, with several threads.

The cause looked for: XLA:CPU divides work among threads, and is reported to divide a dot otherwise
from run to run (JAX issue 39741). Where it would act: matrices, gradients through loops that hold a
dot, and every sum that is taken in parts.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from public_cases import CHAINS, FOLDS, STATISTICS, of_fold

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


def replayed(function, *arguments, times):
    run = jax.jit(function)
    seen = {
        b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(run(*arguments)))
        for _ in range(times)
    }
    assert len(seen) == 1, f"{times} runs gave {len(seen)} answers"


@pytest.mark.parametrize("f", [stats.cov_matrix, stats.corr_matrix])
def test_matrices(f):
    replayed(f, TABLE, times=30)


@pytest.mark.parametrize("driver", GRADIENTS)
def test_gradients_through_loops(driver):
    replayed(GRADIENTS[driver], WEIGHTS, START, times=30)


@pytest.mark.slow
@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_two_hundred_times(name):
    slow = {"rank_corr", "rolling_median", "rolling_quantile"}  # a run takes over 0.1 seconds
    replayed(STATISTICS[name], X, Y, times=20 if name in slow else 200)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDS)
def test_every_fold_two_hundred_times(name):
    times = 20 if name in CHAINS | {"autocov"} else 200  # which take one draw after another
    replayed(of_fold(name), X, Y, times=times)
