"""The strategies draw what they say, the checks check, a missing extra is named."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import stats
from jfoundations.testing import checks, strategies

quick = settings(deadline=None, database=None, max_examples=20, derandomize=True)

FLOATS = [jnp.float32, jnp.bfloat16, jnp.float16]


@quick
@given(
    strategies.arrays(st.sampled_from([*FLOATS, jnp.int8, jnp.uint32, jnp.bool_, jnp.complex64]))
)
def test_drawn_arrays_are_finite_and_normal(x):
    assert bool(jnp.all(jnp.isfinite(x)))
    parts = (x.real, x.imag) if jnp.iscomplexobj(x) else (x,)
    for part in parts:
        if jnp.issubdtype(part.dtype, jnp.floating):
            size = np.abs(np.asarray(part).astype(np.float64))
            assert np.all((size == 0) | (size >= float(jnp.finfo(part.dtype).smallest_normal)))


@quick
@given(strategies.arrays(shape=(64, 16)))
def test_large_drawn_arrays_vary(x):
    values, counts = np.unique(np.asarray(x), return_counts=True)
    assert len(values) >= 10 and counts.max() < x.size / 4


@quick
@given(strategies.keys(), strategies.callbacks(memory=True), strategies.callbacks(memory=False))
def test_drawn_keys_and_callbacks(key, remembers, forgets):
    assert jax.random.uniform(key).shape == ()
    assert isinstance(remembers, jf.Callback) and remembers.init is not None
    assert not isinstance(forgets, jf.Callback) or forgets.init is None


def test_strategies_shrink_to_a_small_plain_value():
    found = find(
        strategies.arrays(jnp.float32),
        lambda x: x.size >= 3,
        settings=settings(quick, max_examples=50),
    )
    assert found.shape == (3,)
    assert np.all(np.asarray(found) == np.round(np.asarray(found)))


def test_checks_say_what_differs():
    with pytest.raises(AssertionError, match="traced 2 times, expected 1"):
        with checks.assert_traces(1) as counted:
            f = jax.jit(counted(lambda x: x))
            f(jnp.ones(2)), f(jnp.ones(3))
    checks.assert_jit_invariant(lambda x: {"a": x + 1}, jnp.arange(3))
    checks.assert_vmap_invariant(stats.var, jnp.arange(12.0).reshape(3, 4) ** 2)
    with pytest.raises(AssertionError, match=r"eager and jitted.*differs"):
        checks.assert_jit_invariant(
            lambda x: x + int(isinstance(x, jax.core.Tracer)), jnp.arange(3)
        )
    with pytest.raises(AssertionError, match="lane 0"):
        checks.assert_vmap_invariant(
            lambda x: x + (0 if type(x).__name__ == "ArrayImpl" else 1), jnp.arange(3)
        )
    one = jnp.float32(1.0)
    near = jnp.nextafter(one, jnp.float32(2))
    checks.assert_same(one, near, ulp=1)
    checks.assert_same(jax.random.key(1), jax.random.key(1))
    for other in (near, jnp.int32(1), {"a": one}, jnp.ones(1, jnp.float32)):
        with pytest.raises(AssertionError, match="differ"):
            checks.assert_same(one, other)
    checks.assert_same(jnp.float32(0), jnp.float32(-0.0))
    with pytest.raises(AssertionError, match="the value differs"):
        checks.assert_same(jnp.float32(0), jnp.float32(-0.0), bits=True)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("jfoundations.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jfoundations\[testing\]'"):
        import jfoundations.testing  # noqa: F401
