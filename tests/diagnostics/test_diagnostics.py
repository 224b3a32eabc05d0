"""Diagnostics of arrays: under transforms, in every dtype, and what is said of mistakes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from jax.sharding import NamedSharding, PartitionSpec
from scipy.stats import beta

from jfoundations import diagnostics

FLOAT = jnp.result_type(float)
X = np.random.default_rng(0).normal(size=(4, 40, 3)).astype(FLOAT)
CASES = {
    "autocov": diagnostics.autocov,
    "ess": diagnostics.ess,
    "tail": functools.partial(diagnostics.ess, kind="tail"),
    "rhat": diagnostics.rhat,
    "mcse": functools.partial(diagnostics.mcse, kind="quantile", prob=0.2),
}
each = pytest.mark.parametrize("name", CASES)


@each
def test_jit_vmap_and_shards(name):
    """One parameter at a time, all at once, lanes and shards: the same."""
    f = CASES[name]
    right = f(X)
    lanes = jax.jit(jax.vmap(f, 2, -1))(X)
    np.testing.assert_allclose(lanes, right, rtol=1e-5, atol=1e-5)
    mesh = jax.make_mesh((4,), ("chains",))
    laid = jax.device_put(X, NamedSharding(mesh, PartitionSpec("chains")))
    np.testing.assert_allclose(f(laid), right, rtol=1e-5, atol=1e-5)
    assert right.shape == (X.shape if name.startswith("auto") else (3,))


@each
def test_scale_and_place_change_nothing(name):
    f, info = CASES[name], jnp.finfo(FLOAT)
    x = np.round(X * 64) / 64
    power = {"autocov": 2, "mcse": 1}.get(name, 0)
    right = np.asarray(f(x))
    np.testing.assert_allclose(f(x + 1024), right, rtol=1e-5, atol=1e-6)
    for e in (info.minexp // 3, info.maxexp // 3):
        np.testing.assert_array_equal(f(np.ldexp(x, e)), np.ldexp(right, power * e))
    if not power:
        np.testing.assert_array_equal(f(np.ldexp(x, info.maxexp - 6)), right)


@pytest.mark.parametrize("dtype", ["int32", "bool", "bfloat16"])
def test_dtypes(dtype):
    x = np.random.default_rng(2).integers(0, 2 if dtype == "bool" else 90, (4, 40, 3))
    given, wide = jnp.asarray(x).astype(dtype), jnp.asarray(x.astype(FLOAT))
    for name in ("autocov", "tail", "rhat"):
        found = CASES[name](given)
        assert found.dtype == (jnp.bfloat16 if dtype == "bfloat16" else FLOAT)
        right = np.float64(CASES[name](wide).astype(found.dtype))
        np.testing.assert_allclose(np.float64(found), right, rtol=1e-5, atol=1e-4, err_msg=name)
        if dtype == "int32":  # so large that floats do not tell them apart
            np.testing.assert_array_equal(CASES[name](given + np.int32(2**30)), found)


def test_infinities():
    """Ranks know them, means do not."""
    x = X.copy()
    x[0, 3, 0] = np.inf
    assert np.isfinite(diagnostics.ess(x)).all() and np.isfinite(diagnostics.rhat(x)).all()
    for found in (diagnostics.ess(x, kind="mean"), diagnostics.rhat(x, kind="split")):
        assert np.isnan(found[0]) and np.isfinite(found[1:]).all()


def test_the_error_of_a_quantile_of_many_draws():
    # a beta distribution of so many observations takes more than float32 has in a gamma function
    x = np.random.default_rng(0).normal(size=(4, 50_000)).astype(np.float32)
    size, ordered = x.size, np.sort(x.ravel())
    worth = float(diagnostics.ess(x, kind="median"))
    a = worth / 2 + 1
    low, high = (beta.ppf(q, a, a) * size - 1 for q in (0.1586553, 0.8413447))
    right = (ordered[int(np.ceil(high))] - ordered[int(np.floor(low))]) / 2
    np.testing.assert_allclose(diagnostics.mcse(x, kind="median"), right, rtol=1e-3)


def test_empty():
    assert np.isnan(diagnostics.ess(X[:0])).all() and np.isnan(diagnostics.rhat(X[:, :0])).all()
    assert diagnostics.ess(X[..., :0]).shape == (0,)
    assert diagnostics.autocov(X[:, :0]).shape == (4, 0, 3)
    assert diagnostics.autocov(X[:, :1]).shape == (4, 1, 3)


def test_programs_do_not_grow():
    for name, f in CASES.items():
        small, large = (
            len(jax.jit(f).lower(jax.ShapeDtypeStruct((4, n, 2), FLOAT)).as_text())
            for n in (2**10, 2**16)
        )
        assert large < 1.4 * small, name


def test_mistakes_are_named():
    with raises(ValueError, "ess: x has shape (40,)", "(chains, draws, ...)", "x[None]"):
        diagnostics.ess(X[0, :, 0])
    with raises(ValueError, "rhat: x has shape ()"):
        diagnostics.rhat(1.0)
    with raises(ValueError, "ess: kind is 'bilk'", "did you mean bulk?"):
        diagnostics.ess(X, kind="bilk")
    with raises(ValueError, "mcse: kind is 'tail'; it must be one of 'mean', 'sd'"):
        diagnostics.mcse(X, kind="tail")
    with raises(TypeError, "kind='quantile' needs a probability; give prob=0.9"):
        diagnostics.ess(X, kind="quantile")
    with raises(TypeError, "kind='bulk' takes no prob"):
        diagnostics.ess(X, prob=0.1)
    with raises(TypeError, "kind='local' needs a tuple of two Python floats"):
        diagnostics.ess(X, kind="local", prob=0.1)
    with raises(TypeError, "kind='quantile' needs a Python float"):
        diagnostics.mcse(X, kind="quantile", prob=jnp.array(0.5))
    with raises(ValueError, "prob is 1.5; it must lie in [0, 1]"):
        diagnostics.mcse(X, kind="quantile", prob=1.5)
    with raises(TypeError, "rhat: x is complex"):
        diagnostics.rhat(X + 1j)
    with raises(TypeError, "autocov: x is complex"):
        diagnostics.autocov(X + 1j)
    with raises(ValueError, "autocov: axis 1 is out of range"):
        diagnostics.autocov(X[0, :, 0])
    with raises(TypeError, "ess: x is", "holds no numbers"):
        diagnostics.ess(["a", "b"])
