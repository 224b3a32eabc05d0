"""Data of 64 bits, and their comparison: what the tests of x64 share."""

import jax
import numpy as np

N = 24
EPS = 2.0**-52


def draw(seed=0, mean=1000.0):
    """Return a dependent pair far from 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, 1.0, N)
    return x, x + rng.normal(0.0, 2.0, N)


def whole(seed=3):
    """Return a pair of numbers of 8 bits, so that shifts and scales are exact."""
    rng = np.random.default_rng(seed)
    x = rng.permutation(np.arange(-60, 60, 5)) / 64.0
    return x, x + rng.integers(1, 60, N) / 64


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def close(found, right, ulps, atol=0.0):
    """Compare leaves with a bound in roundings of float64."""
    found = leaves(found)
    assert len(found) == len(right)
    for a, b in zip(found, right, strict=True):
        np.testing.assert_allclose(np.float64(a), b, rtol=ulps * EPS, atol=atol)
