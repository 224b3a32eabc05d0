"""What the tests of order statistics share: the functions, their data, and what equal means."""

import functools

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, settings

from jfoundations import stats

X64 = jax.config.jax_enable_x64
FLOATS = [jnp.float16, jnp.bfloat16, jnp.float32] + ([jnp.float64] if X64 else [])
INTS = [jnp.bool_, jnp.int8, jnp.uint8, jnp.int16, jnp.int32, jnp.uint32]
INTS += [jnp.int64, jnp.uint64] if X64 else []
DEFAULT = np.float64 if X64 else np.float32
Q = np.array([0.0, 0.125, 0.5, 0.75, 1.0], DEFAULT)

whole = st.integers(-8, 8).map(float)  # exact in every sum, and full of ties
wild = st.one_of(whole, st.floats(-6e4, 6e4, width=16), st.sampled_from([np.inf, -np.inf, -0.0]))
fuzz = functools.partial(settings, deadline=None, phases=[Phase.explicit, Phase.generate])


def arrays(shape, elements, dtype=DEFAULT):
    return hnp.arrays(dtype, shape, elements=elements)


def equal(a, b):
    """Tell whether all values are ==, or nan in both."""
    return jax.tree.all(jax.tree.map(lambda u, v: np.array_equal(u, v, equal_nan=True), a, b))


STATISTICS = {
    "median": stats.median,
    "quantile": functools.partial(stats.quantile, q=Q),
    "iqr": stats.iqr,
    "trim_mean": functools.partial(stats.trim_mean, proportion=0.25),
    "median_abs_dev": stats.median_abs_dev,
    "minmax": stats.minmax,
    "histogram": functools.partial(stats.histogram, bins=4, range=(-8, 8)),
    "rank_corr": lambda x, **options: stats.rank_corr(x, x * x - x, **options),
}
# sums of these are rounded, and deletion changes their order
ROUNDED = {"rank_corr": 1e-5}
each = pytest.mark.parametrize("name", STATISTICS)


def assert_equal(name, a, b):
    if name in ROUNDED:
        np.testing.assert_allclose(a, b, rtol=ROUNDED[name], atol=1e-6)
    else:
        assert equal(a, b), (a, b)
