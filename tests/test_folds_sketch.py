"""Quantiles of streams: near in one pass, exact in two, counts that do not saturate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

pytestmark = pytest.mark.slow  # compiles many programs

few = settings(max_examples=10, deadline=None)
Q = jnp.array([0.0, 0.1, 0.25, 0.5, 0.9, 1.0], jnp.float32)
DESIGNS = ("normal", "positive", "integers", "constant", "zeros", "huge", "infinite")


def draw(seed, design, n=60):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    made = {
        "normal": x,
        "positive": np.exp(8 * x),
        "integers": np.round(3 * x),
        "constant": np.full(n, x[0]),
        "zeros": np.where(x > 0, 0.0, x),
        "huge": x * 1e37,
        "infinite": np.where(x > 1, np.inf, np.where(x < -1, -np.inf, x)),
    }
    return jnp.asarray(made[design].astype(np.float32))


def parts(x):
    return [x[:20], x[20:40], x[40:]]


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(DESIGNS))
def test_near_in_one_pass_and_exact_in_two(seed, design):
    x = draw(seed, design)
    right = np.asarray(stats.quantile(x, Q))
    found = jf.fold(folds.sketch(), parts(x))
    assert isinstance(found, folds.Sketch)
    ordered = np.sort(np.asarray(x))
    for q in Q:  # each order statistic, to 2**-9 of its value
        low, high = (f(float(q) * 59) for f in (np.floor, np.ceil))
        ends = [ordered[int(k)] for k in (low, high)]
        slack = max(abs(e) * 2.0**-9 if np.isfinite(e) else 0.0 for e in ends)
        value = float(found.quantile(q))
        assert np.isnan(value) or ends[0] - slack <= value <= ends[1] + slack
    exact = jf.fold(folds.quantile(Q, within=found), parts(x))
    checks.assert_same(exact, jnp.asarray(right))


def test_relative_error():
    x = draw(3, "positive", 601)  # odd: each q below is one order statistic
    q = jnp.array([0.1, 0.5, 0.75])
    found, right = jf.fold(folds.quantile(q), x), stats.quantile(x, q)
    assert (jnp.abs(found - right) <= 2.0**-8 * right).all()
    assert jf.fold(folds.median(), x) == found[1]
    near = abs(float(jf.fold(folds.iqr(), x)) - float(stats.iqr(x)))
    assert near <= 2.0**-8 * float(right[2] + right[0]) + 2.0**-8 * float(right[2])
    within = jf.fold(folds.sketch(), x)
    assert jf.fold(folds.median(within=within), x) == stats.median(x)
    assert jf.fold(folds.iqr(within=within), x) == stats.iqr(x)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int8, jnp.uint16, jnp.int32])
def test_other_dtypes(dtype):
    x = (draw(1, "normal") * 30).astype(dtype)
    found = jf.fold(folds.sketch(), parts(x))
    right = stats.quantile(x, 0.3).astype(jnp.float32)
    exact = jf.fold(folds.quantile(0.3, within=found), parts(x))
    if dtype == jnp.int32 and jax.config.read("jax_enable_x64"):
        return
    assert exact.astype(jnp.float32).astype(stats.quantile(x, 0.3).dtype) == right.astype(
        stats.quantile(x, 0.3).dtype
    )
    if jnp.dtype(dtype).itemsize <= 2:  # counted whole
        assert found.quantile(0.3) == exact


def test_nan_and_nothing():
    x = draw(2, "normal").at[7].set(jnp.nan)
    assert np.isnan(jf.fold(folds.median(), x))
    some = jf.fold(folds.sketch(nan="omit"), x)
    assert int(some.count) == 59
    right = stats.median(x, nan="omit")
    assert jf.fold(folds.median(within=some), x) == right
    assert abs(float(jf.fold(folds.median(nan="omit"), x) - right)) <= 2.0**-8 * abs(float(right))
    assert np.isnan(jf.fold(folds.quantile([0.5]), x[:0])).all()


def test_vectors_and_other_data():
    x = jnp.stack([draw(4, "normal"), draw(5, "positive")], axis=1)
    found = jf.fold(folds.sketch(), parts(x))
    assert found.quantile(Q).shape == (6, 2) and found.quantile(0.5).shape == (2,)
    exact = jf.fold(folds.quantile(Q, within=found), parts(x))
    checks.assert_same(exact, stats.quantile(x, Q, axis=0))
    other = jf.fold(folds.median(within=found), parts(x)[:2])
    assert np.isnan(other).all()  # not the data of the sketch


def test_steps_are_blocks_of_one():
    f, x = folds.sketch(), draw(6, "normal")[:20]
    memory = jax.lax.scan(lambda m, v: (f.step(m, v), None), f.init(x[0]), x)[0]
    checks.assert_same(memory, f.block(x))
    g = folds.quantile(0.5, within=memory)
    stepped = g.step(g.block(x[:19]), x[19])
    checks.assert_same(stepped, g.block(x))


def test_ranks_beyond_2_to_32():
    f = folds.sketch()
    memory = f.block(jnp.array([1.0, 2.0, 4.0], jnp.float32))
    merge = jax.jit(f.merge)
    for _ in range(33):
        memory = merge(memory, memory)
    memory = merge(memory, f.block(jnp.array([4.0], jnp.float32)))
    n = 3 * 2**33 + 1
    known = np.asarray(memory.bins.high, object) * 2**32 + np.asarray(memory.bins.low, object)
    assert int(known.sum()) == n
    # a third of them are 1, and the median is the last 2 but half
    found = memory.quantile(jnp.array([0.25, 0.5, 0.6, 0.75]))
    assert (jnp.abs(found - jnp.array([1.0, 2.0, 2.0, 4.0], jnp.float32)) <= 2.0**-8 * found).all()
