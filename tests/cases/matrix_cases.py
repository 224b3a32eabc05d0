"""What the tests of covariance matrices share: data, float64, errors relative to deviations."""

import jax.numpy as jnp
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

FLOAT = np.dtype(jnp.result_type(float))
few = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(1, 1), (7, 3), (1000, 5), (3001, 70)])
BOUND = 1e-5  # of an entry, relative to both deviations: 3 √n u at n = 3001, the largest here
HARD = 3e-5  # where a few rows outweigh thousands: sums lose what they add one after another


def draw(seed, shape, mean=0.0):
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal(shape) @ rng.standard_normal((shape[1], shape[1]))
    return (mixed + mean).astype(np.float32)


def cov64(x, **keywords):
    """Return NumPy's matrix in double precision."""
    n = x.shape[1]
    kind = np.complex128 if np.iscomplexobj(x) else np.float64
    return np.cov(x.astype(kind), rowvar=False, **{"ddof": 0} | keywords).reshape(n, n)


def error(found, right):
    """Return the largest error, relative to the product of both deviations."""
    spread = np.sqrt(np.abs(np.diagonal(right)))
    return np.max(np.abs(np.asarray(found) - right) / (np.outer(spread, spread) + 1e-30))
