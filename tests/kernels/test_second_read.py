"""What a first read leaves in doubt is read again, and changes no row that is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfoundations import stats
from jfoundations._kernels.moments.central_sums import central_sums

SHAPES = [(300, 64), (301, 50), (130, 160)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
ODD = [5, 7, 8, -2, -1]


def rows(shape):
    x = np.random.default_rng(0).normal(3.0, 1.0, shape).astype(np.float32)
    x[5] *= np.float32(1e-30)  # squares leave their range
    x[-1] *= np.float32(1e30)
    middle = (shape[1] - 1) // 2
    for k in (7, 8, -2):  # all that pivots are chosen from is far from the mean
        x[k, middle - 1 : middle + 2] = 1e5
    return jnp.asarray(x)


def run(x, weights=None):
    found = jax.jit(lambda x, w: central_sums([x], (1,), 2, w))(x, weights)
    return found.powers[0], found.units[0], found.pivots[0] + found.offsets[0]


@shapes
@pytest.mark.parametrize("masked", [False, True])
def test_a_row_in_doubt_changes_no_other(shape, masked):
    weights = jnp.asarray(np.random.default_rng(1).uniform(size=shape) < 0.9) if masked else None
    x = rows(shape)
    calm = x.at[jnp.asarray(ODD)].set(x[60])
    others = np.delete(np.arange(shape[0]), ODD)
    for a, b in zip(run(x, weights), run(calm, weights), strict=True):
        np.testing.assert_array_equal(a[others], b[others])
    # and is what it is by itself
    for k in np.arange(shape[0])[ODD]:
        alone = None if weights is None else weights[k : k + 1]
        for a, b in zip(run(x, weights), run(x[k : k + 1], alone), strict=True):
            np.testing.assert_allclose(a[k], b[0], rtol=4e-6)


@shapes
def test_the_digits_that_were_lost_are_found(shape):
    x = rows(shape)
    wide = np.asarray(x, np.float64)
    np.testing.assert_allclose(stats.std(x, axis=1), wide.std(axis=1), rtol=2e-6)
    np.testing.assert_allclose(stats.mean(x, axis=1), wide.mean(axis=1), rtol=2e-5)
