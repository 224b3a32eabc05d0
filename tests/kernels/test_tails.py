"""The probabilities of F beside SciPy, of few degrees of freedom and of very many."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jfoundations import stats
from jfoundations._kernels.moments.moments import Moments
from jfoundations._kernels.moments.tails import tails

FREEDOMS = (1, 2, 3, 5, 20, 100, 1e3, 1e5, 1e7)
SHARES = (1e-25, 1e-8, 1e-3, 0.1, 0.4, 0.6, 0.9, 0.999)


@pytest.mark.parametrize("dtype, least, count", [(np.float32, 1e-5, 9), (np.float64, 1e-9, 8)])
def test_scipys_tails(dtype, least, count):
    # of more degrees of freedom SciPy keeps 1e-8 itself
    rows = np.array(list(itertools.product(FREEDOMS[:count], FREEDOMS[:count], SHARES)))
    m, n = rows[:, :2].T.astype(dtype)
    f = scipy.stats.f.isf(rows[:, 2], m, n)
    f = np.where(f < 1e35, f, 1).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        found = np.minimum(*jax.jit(tails)(f, m, n))
    right = [side(*map(np.float64, (f, m, n))) for side in (scipy.stats.f.cdf, scipy.stats.f.sf)]
    lost = least + 8 * np.finfo(dtype).eps / 2 * np.sqrt(np.minimum(m, n))
    assert np.all(np.abs(found / np.minimum(*right) - 1) <= lost)


def test_ends():
    f, m, n = np.float32([0, np.inf, 0, np.inf, np.nan, 1, 1]), [2, 2, 5, 5, 2, 0, 2], [3] * 7
    below, above = jax.jit(tails)(f, np.float32(m), np.float32(n))
    np.testing.assert_array_equal(below[:6], [0, 1, 0, 1, np.nan, np.nan])
    np.testing.assert_array_equal(above[:6], [1, 0, 1, 0, np.nan, np.nan])
    assert 0 < below[6] < 1


@pytest.mark.parametrize("size", [1e5, 1e7, 1e9])
def test_a_mean_of_very_many(size):
    n, one = jnp.float32(size), jnp.float32(1)
    sample = Moments(n, ((one * 4, one * 0),), (n * n,), (one,))  # of standard error 1
    p = stats.ttest(sample).p
    assert abs(p / (2 * scipy.stats.t.sf(4.0, size - 1)) - 1) < 3e-4
