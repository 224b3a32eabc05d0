"""Loops in loops: the outer loop's state is the result of the inner, which runs again and again."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, lane, raises

import jfoundations as jf

EPOCHS, BATCHES = 3, 4


def sink(x):
    return x * 0.75 + 0.5


LOW = jf.stop_when(lambda x: x < 2.5, name="low")
HEARD = (
    jf.callbacks.history(capacity=EPOCHS * BATCHES),
    jf.callbacks.best(lambda x: jnp.abs(x - 3)),
    jf.callbacks.ema(decay=0.5),
    jf.callbacks.early_stopping(lambda x: x, patience=99),
    jf.callbacks.converged(),
    LOW,
)


def epoch(run):
    return jf.resume(run.again(), sink, *HEARD, max_steps=BATCHES)


def nested(x, **options):
    start = jf.iterate(sink, x, *HEARD, max_steps=0)
    low = jf.stop_when(lambda run: run.stopped("low"), name="inner low")
    return jf.iterate(epoch, start, low, max_steps=EPOCHS, **options)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("x, steps, reason", [(100.0, 12, "max_steps"), (7.0, 9, "inner low")])
def test_runs_again_are_one_run(driver, x, steps, reason):
    result, flat = nested(x, driver=driver), jf.iterate(sink, x, *HEARD, max_steps=12)
    run = result.state
    assert_same((run.state, run.memory), (flat.state, flat.memory))
    assert int(flat.steps) == steps and int(result.steps) == -(-steps // BATCHES)
    assert int(run.steps) == steps - BATCHES * (int(result.steps) - 1)
    assert result.reasons == (reason,) and run.reasons == flat.reasons


def test_lanes_of_loops_in_loops():
    x = jnp.array([100.0, 7.0, 2.0, 4.0])
    lanes = jax.vmap(nested)(x)
    assert len(set(lanes.steps.tolist())) == 3
    for k, alone in enumerate(x):
        assert_same(lane(lanes, k), jax.jit(nested)(alone))


def test_the_outer_loop_is_resumed_and_run_by_the_chunk():
    whole = nested(100.0)
    low = jf.stop_when(lambda run: run.stopped("low"), name="inner low")
    start = jf.iterate(sink, 100.0, *HEARD, max_steps=0)
    half = jf.iterate(epoch, start, low, max_steps=1)
    assert_same(jf.resume(half, epoch, low, max_steps=EPOCHS), whole)
    none = jf.iterate(epoch, start, low, max_steps=0)  # a LoopResult in the state's place goes on
    *_, last = jf.chunks(epoch, none, low, max_steps=EPOCHS, every=2)
    assert_same(last, whole)


@pytest.mark.parametrize("driver", ["scan", "checkpointed"])
def test_loops_in_loops_are_differentiable(driver):
    step, heard = lambda x: x * x, jf.callbacks.ema(decay=0.5)

    def inner(run):
        return jf.resume(run.again(), step, heard, max_steps=2, driver=driver)

    def of(x):
        start = jf.iterate(step, x, heard, max_steps=0, driver=driver)
        return jf.iterate(inner, start, max_steps=2, driver=driver).state.memory["ema"].value

    def flat(x):
        return jf.iterate(step, x, heard, max_steps=4, driver=driver).memory["ema"].value

    x = jnp.asarray(1.125)
    assert jax.grad(of)(x) == jax.grad(flat)(x) != 0


def test_again_hears_no_before_run_and_goes_on_from_after_run():
    ends = jf.Callback(
        lambda x: jnp.int32(0),
        name="ends",
        before_run=lambda n, x: (n + 100, x, False),
        after_run=lambda n, x: (n + 1, x + 10, False),
    )
    first = jf.iterate(lambda x: x + 1, 0, ends, max_steps=3)
    assert int(first.state) == 13 and int(first.memory["ends"]) == 101
    second = jf.resume(first.again(), lambda x: x + 1, ends, max_steps=3)
    assert int(second.state) == 26 and int(second.memory["ends"]) == 102
    assert jax.tree.structure(second) == jax.tree.structure(first)


def test_again_is_stopped_by_nobody():
    run = jf.iterate(lambda x: x + 1, 0, jf.stop_when(lambda x: x >= 2, name="two"), max_steps=9)
    assert run.reasons == ("two",)
    again = run.again()
    assert again.reasons == ("max_steps",) and int(again.steps) == 0
    assert [leaf.dtype for leaf in (again.steps, again.stopped_by)] == [np.int32, np.uint32]
    lanes = jax.vmap(lambda x: jf.iterate(lambda x: x + 1, x, max_steps=3).again())(jnp.arange(2))
    assert lanes.steps.tolist() == [0, 0] and lanes.state.tolist() == [3, 4]


def test_a_history_of_an_inner_loop_needs_its_capacity():
    record = jf.callbacks.history()
    start = jf.iterate(sink, 9.0, record, max_steps=0)
    grows = lambda run: jf.resume(run.again(), sink, record, max_steps=4)  # noqa: E731
    with raises(TypeError, "memory['history'].buffer was float", "[0] and became float", "[4]"):
        jf.iterate(grows, start, max_steps=2)


def test_keys_of_loops_in_loops():
    """An inner loop draws from the key of its epoch's step."""
    draw = lambda s, *, key: s + jax.random.uniform(key, (), s.dtype)  # noqa: E731
    inner = lambda s, *, key: jf.iterate(draw, s, max_steps=2, key=key).state  # noqa: E731
    key = jax.random.key(3)
    found = jf.iterate(inner, jnp.zeros(()), max_steps=2, key=key).state
    keys = [jax.random.fold_in(jax.random.fold_in(key, i), j) for i in range(2) for j in range(2)]
    assert_same(found, functools.reduce(lambda s, k: draw(s, key=k), keys, jnp.zeros(())))
