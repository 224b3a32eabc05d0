"""Schedules by the step: their values, optax' own, and who hears them when."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, counted
from metrics import FLOAT

import jfoundations as jf

jc = jf.callbacks
schedules = jc.schedules
STEPS = [0, 1, 3, 7, 10, 11, 25, 99]


def rated(state, value):
    return {**state, "rate": jnp.asarray(value, FLOAT)}


def walk(state):
    """Add the rate that this step has."""
    return {**state, "x": state["x"] + state["rate"]}


START = {"x": jnp.zeros((), FLOAT), "rate": jnp.full((), jnp.nan, FLOAT)}
CURVE = schedules.warm_up(schedules.cosine(0.5, 0.1, steps=4), steps=3)


def test_step_k_runs_with_the_value_of_k():
    seen = jc.history({"x": lambda s: s["x"], "rate": lambda s: s["rate"]})
    heard = jc.schedule(rated, lambda step: step * step), seen
    for driver in DRIVERS:
        found = jf.iterate(walk, START, *heard, max_steps=5, driver=driver).memory["history"].values
        assert found["rate"].tolist() == [0, 1, 4, 9, 16]
        assert found["x"].tolist() == [0, 1, 5, 14, 30]


def test_any_part_of_a_run_has_the_same_bits():
    heard = jc.schedule(rated, CURVE), jc.history(lambda s: s["rate"], capacity=9)
    whole = jf.iterate(walk, START, *heard, max_steps=9)
    assert np.isfinite(whole.memory["history"].values).all()
    half = jf.iterate(walk, START, *heard, max_steps=4)
    assert_same(jf.resume(half, walk, *heard, max_steps=9), whole)
    *_, last = jf.chunks(walk, START, *heard, max_steps=9, every=2)
    assert_same(last, whole)
    assert_same(jf.iterate(walk, START, *heard, max_steps=9, driver="python"), whole)
    stop = jf.stop_when(lambda s: s["x"] > 1.0)
    run = lambda x: jf.iterate(walk, {**START, "x": x}, *heard, stop, max_steps=9)  # noqa: E731
    lanes = jax.vmap(run)(jnp.array([0.0, 0.9, -9.0], FLOAT))
    assert len(set(lanes.steps.tolist())) == 3
    for k, x in enumerate([0.0, 0.9, -9.0]):
        assert_same(jax.tree.map(lambda a, k=k: a[k], lanes), run(jnp.asarray(x, FLOAT)))


def test_the_ends_are_exact():
    for make in (schedules.linear, schedules.cosine):
        for start, stop in ((0.1, 0.3), (1e-3, 0.0), (-1.0, 1e9)):
            curve = make(start, stop, steps=7)
            found = [float(curve(k)) for k in (0, 7, 8, 2**31 - 1)]
            assert found == np.array([start, stop, stop, stop], FLOAT).tolist()
    rise = schedules.warm_up(schedules.linear(0.3, 0.1, steps=2), steps=4, start=0.01)
    expected = np.array([0.01, 0.3, 0.1, 0.1], FLOAT).tolist()
    assert [float(rise(k)) for k in (0, 4, 6, 99)] == expected
    assert float(schedules.constant(3)(5)) == 3.0 and schedules.constant(3)(5).dtype == FLOAT


def test_the_curves_are_those_of_optax():
    optax = pytest.importorskip("optax", reason="compares with its schedules")
    pairs = [
        (schedules.constant(0.3), optax.constant_schedule(0.3)),
        (schedules.linear(0.3, 0.1, steps=10), optax.linear_schedule(0.3, 0.1, 10)),
        (schedules.cosine(0.3, steps=10), optax.cosine_decay_schedule(0.3, 10)),
        (
            schedules.warm_up(schedules.cosine(0.3, 0.01, steps=20), steps=5, start=0.02),
            optax.warmup_cosine_decay_schedule(0.02, 0.3, 5, 25, 0.01),
        ),
    ]
    for ours, theirs in pairs:
        with jax.numpy_dtype_promotion("standard"):  # as optax expects it
            expected = [float(theirs(k)) for k in STEPS]
        np.testing.assert_allclose([float(ours(k)) for k in STEPS], expected, rtol=2e-6, atol=1e-8)


def test_schedules_of_optax_are_taken_as_they_are():
    optax = pytest.importorskip("optax", reason="runs its schedules")
    curve = optax.warmup_cosine_decay_schedule(0.0, 0.3, 3, 9)
    with jax.numpy_dtype_promotion("standard"):
        seen = jc.history(lambda s: s["rate"])
        result = jf.iterate(walk, START, jc.schedule(rated, curve), seen, max_steps=12)
        expected = [float(curve(k)) for k in range(12)]
    np.testing.assert_allclose(result.memory["history"].values, expected, rtol=1e-6, atol=1e-8)


def test_settings_are_leaves():
    counting, traces = counted(walk)
    run = jax.jit(lambda heard: jf.iterate(counting, START, heard, max_steps=5).state["x"])
    make = lambda k: jc.schedule(rated, schedules.cosine(k, k / 2, steps=4))  # noqa: E731
    alone = [run(make(k)) for k in (0.1, 0.2)]
    assert run._cache_size() == 1 and len(traces) <= 2
    both = jax.tree.map(lambda *a: jnp.stack(a), make(0.1), make(0.2))
    assert jax.vmap(run)(both).tolist() == [float(x) for x in alone]
    assert schedules.linear(0.1, 0.2, steps=3) == schedules.linear(0.1, 0.2, steps=3)


def test_a_rate_may_be_learnt():
    """The gradient reaches the ends of a schedule."""

    def last(ends):
        curve = schedules.linear(ends[0], ends[1], steps=4)
        heard = jc.schedule(rated, curve)
        return jf.iterate(walk, START, heard, max_steps=5, driver="scan").state["x"]

    # The parts are 0, 1/4, 1/2, 3/4, 1.
    assert jax.grad(last)(jnp.array([0.1, 0.2], FLOAT)).tolist() == [2.5, 2.5]


def test_an_update_keeps_the_state():
    wrong = jc.schedule(lambda s, value: {**s, "rate": value.astype(jnp.int32)}, CURVE)
    with pytest.raises(TypeError, match=r"schedule, before_step: state\['rate'\] was"):
        jf.iterate(walk, START, wrong, max_steps=3)
    with pytest.raises(TypeError, match="takes no argument|takes 0 positional"):
        jf.iterate(walk, START, jc.schedule(rated, lambda: 1.0), max_steps=3)


def test_a_lifted_schedule_does_not_retrace():
    def curve(rate):
        return jf.lift(lambda step: rate * jnp.asarray(step, FLOAT))

    run = jax.jit(lambda heard: jf.iterate(walk, START, heard, max_steps=3).state["x"])
    found = [float(run(jc.schedule(rated, curve(jnp.asarray(k, FLOAT))))) for k in (1.0, 2.0)]
    assert found == [3.0, 6.0] and run._cache_size() == 1
    assert functools.reduce(lambda a, b: a == b, [curve(1.0), curve(1.0)])
