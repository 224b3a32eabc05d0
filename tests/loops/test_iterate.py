"""Stops, order, context and the stages of a Pipe."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same

import jfoundations as jf

every_driver = pytest.mark.parametrize("driver", DRIVERS)


def inc(x):
    return x + 1


def stop_at(n, name=None):
    return jf.stop_when(lambda x: x >= n, name=name or f"at_{n}")


# Stops


@every_driver
def test_nobody_stops(driver):
    result = jf.iterate(inc, 0, max_steps=5, driver=driver)
    assert (int(result.state), int(result.steps)) == (5, 5)
    assert int(result.stopped_by) == 0
    assert result.reasons == ("max_steps",)
    assert result.memory == {}
    assert result.steps.dtype == np.int32 and result.stopped_by.dtype == np.uint32


@every_driver
def test_several_stoppers_at_once_are_all_named(driver):
    callbacks = (stop_at(3, "a"), stop_at(9, "b"), lambda x: (x, x == 3), stop_at(3, "d"))
    result = jf.iterate(inc, 0, *callbacks, max_steps=50, driver=driver)
    assert int(result.steps) == 3
    assert int(result.stopped_by) == 0b1101
    assert result.reasons == ("a", "lambda", "d")


@every_driver
def test_a_stop_at_the_last_step_is_named(driver):
    assert jf.iterate(inc, 0, stop_at(4), max_steps=4, driver=driver).reasons == ("at_4",)


def test_reasons_of_lanes_nest_as_the_batch_does():
    run = lambda x: jf.iterate(inc, x, stop_at(3), stop_at(4), max_steps=2)  # noqa: E731
    assert jax.vmap(run)(jnp.arange(4)).reasons == (
        ("max_steps",),
        ("at_3",),
        ("at_3",),
        ("at_3", "at_4"),
    )
    twice = jax.vmap(jax.vmap(run))(jnp.arange(4).reshape(2, 2)).reasons
    assert twice == ((("max_steps",), ("at_3",)), (("at_3",), ("at_3", "at_4")))


def test_reasons_are_refused_while_tracing():
    with pytest.raises(TypeError, match="return the LoopResult from jit"):
        jax.jit(lambda x: len(jf.iterate(inc, x, stop_at(3), max_steps=2).reasons))(0)


def test_repeated_names_are_numbered():
    result = jf.iterate(inc, 0, *[jf.callbacks.history()] * 3, stop_at(2, "history"), max_steps=5)
    assert list(result.memory) == ["history", "history_2", "history_3"]
    assert result.reasons == ("history_4",)


class At:
    """Counts how often each event is heard, in the state; asks to stop in one event."""

    def __init__(self, event, where):
        setattr(self, event, lambda x: (x, x >= where))


@every_driver
def test_a_stop_before_the_run_lets_no_step_begin(driver):
    result = jf.iterate(inc, 7, At("before_run", 7), max_steps=5, driver=driver)
    assert (int(result.state), int(result.steps), result.reasons) == (7, 0, ("At",))
    result = jf.iterate(inc, 6, At("before_run", 7), max_steps=5, driver=driver)
    assert (int(result.state), int(result.steps), result.reasons) == (11, 5, ("max_steps",))


@every_driver
def test_a_stop_before_a_step_lets_it_complete(driver):
    result = jf.iterate(inc, 0, At("before_step", 2), max_steps=5, driver=driver)
    assert (int(result.state), int(result.steps), result.reasons) == (3, 3, ("At",))


@every_driver
def test_a_stop_after_the_run_stops_nothing(driver):
    result = jf.iterate(inc, 0, At("after_run", 2), max_steps=5, driver=driver)
    assert (int(result.state), result.reasons) == (5, ("max_steps",))


@every_driver
def test_a_stop_by_the_step_index_alone(driver):
    for stop in (
        lambda x, *, step: (x, step >= 2),
        lambda x, *, step: (x, step == 2),
        jf.stop_when(lambda x, step: step + 1 >= 3),
        jf.every(3, lambda x: (x, True)),
        jf.when(lambda x, step: step >= 2, lambda x: (x, True)),
    ):
        result = jf.iterate(inc, 0, stop, max_steps=50, driver=driver)
        assert int(result.steps) == 3
        traced = jax.jit(lambda x, stop=stop: jf.iterate(inc, x, stop, max_steps=50).steps)
        assert int(traced(0)) == 3


@every_driver
def test_every_callback_hears_the_last_step(driver):
    callbacks = (stop_at(3), jf.callbacks.history(), jf.callbacks.best(lambda x: -x))
    result = jf.iterate(inc, 0, *callbacks, max_steps=50, driver=driver)
    np.testing.assert_array_equal(result.memory["history"].values, [1, 2, 3])
    assert int(result.memory["best"].state) == 3


@every_driver
def test_a_callback_after_the_stopper_changes_the_last_state(driver):
    result = jf.iterate(inc, 0, stop_at(3), lambda x: (x + 10, False), max_steps=9, driver=driver)
    assert (int(result.state), int(result.steps), result.reasons) == (22, 2, ("at_3",))


def test_many_callbacks_that_cannot_stop():
    callbacks = [lambda x: (x + 1, False) for _ in range(40)]
    result = jf.iterate(inc, 0, stop_at(41), *callbacks, max_steps=3)
    assert (int(result.state), result.reasons) == (82, ("at_41",))


def test_the_32nd_callback_may_stop_and_the_33rd_is_told():
    idle = [lambda x: (x, False)] * 31
    result = jf.iterate(inc, 0, *idle, stop_at(2), max_steps=9)
    assert int(result.stopped_by) == 2**31 and result.reasons == ("at_2",)
    with pytest.raises(ValueError, match="callback 33 of 33, at_2.*put those that stop first"):
        jf.iterate(inc, 0, *idle, jf.proceed, lambda x: (x, False), stop_at(2), max_steps=9)


# Order


@every_driver
def test_the_order_is_the_users(driver):
    double, add = (lambda x: (2 * x, False)), (lambda x: (x + 3, False))
    run = functools.partial(jf.iterate, inc, 0, max_steps=3, driver=driver)
    assert [int(run(double, add).state), int(run(add, double).state)] == [35, 56]
    assert_same(run(double, add).state, run(jf.chain(double, jf.proceed, add)).state)


class Scribe:
    """Appends a digit to a decimal number at each event."""

    def __init__(self, digit):
        for k, event in enumerate(("before_run", "before_step", "after_step", "after_run")):
            setattr(self, event, lambda x, d=digit + k: (10 * x + d, False))


@every_driver
def test_the_order_of_events(driver):
    result = jf.iterate(lambda x: 10 * x, 0, Scribe(1), Scribe(5), max_steps=1, driver=driver)
    assert int(result.state) == 15_26_0_37_48


# Context


@every_driver
def test_context_is_passed_by_name(driver):
    def step_and_limit(memory, x, *, step, max_steps):
        return memory.at[step].set(10 * max_steps + step), x, False

    told = jf.Callback(lambda x: jnp.zeros(3, np.int32), name="told", after_step=step_and_limit)
    result = jf.iterate(inc, 0, told, max_steps=3, driver=driver)
    assert result.memory["told"].tolist() == [30, 31, 32]


@every_driver
def test_the_key_is_folded_with_the_step(driver):
    key = jax.random.key(7)

    def noisy(x, *, key):
        return x + jax.random.uniform(key, x.shape, x.dtype)

    def record(memory, x, *, step, key):
        return memory.at[step].set(jax.random.uniform(key)), x, False

    keep = jf.Callback(lambda x: jnp.zeros(4), name="keep", after_step=record)
    result = jf.iterate(noisy, jnp.zeros(()), keep, max_steps=4, key=key, driver=driver)
    draws = jnp.stack([jax.random.uniform(jax.random.fold_in(key, k)) for k in range(4)])
    assert_same(result.memory["keep"], draws)
    assert_same(result.state, ((draws[0] + draws[1]) + draws[2]) + draws[3])


@every_driver
def test_kwargs_take_step_and_key(driver):
    seen = {}

    def spy(x, **context):
        seen.setdefault("words", sorted(context))
        return x, False

    jf.iterate(inc, 0, spy, max_steps=1, driver=driver)
    assert seen.pop("words") == ["step"]
    jf.iterate(
        inc, 0, lambda x, **c: spy(x, **c), max_steps=1, key=jax.random.key(0), driver=driver
    )
    assert seen["words"] == ["key", "step"]


@every_driver
def test_a_default_stands_where_there_is_no_key(driver):
    maybe = lambda x, *, key=None: (x + int(key is None), False)  # noqa: E731
    assert int(jf.iterate(inc, 0, maybe, max_steps=1, driver=driver).state) == 2


@every_driver
def test_steps_and_stages_take_context(driver):
    step = lambda x, *, step, max_steps: x + 100 * max_steps + step  # noqa: E731
    assert int(jf.iterate(step, 0, max_steps=3, driver=driver).state) == 903
    stages = jf.Pipe(inc, add=lambda x, step: x + step)
    assert int(jf.iterate(stages, 0, max_steps=3, driver=driver).state) == 6


@every_driver
def test_bound_arguments_are_no_context(driver):
    def add(k, x, *, step, scale):
        return x + k * scale + step, False

    for bind in (functools.partial, jf.partial):
        result = jf.iterate(inc, np.int32(0), bind(add, 5, scale=2), max_steps=2, driver=driver)
        assert int(result.state) == 23


def test_live_tells_a_finished_lane():
    def count(memory, x, *, live):
        return {"all": memory["all"] + 1, "live": memory["live"] + jnp.int32(live)}, x, False

    zeros = {"all": jnp.zeros((), np.int32), "live": jnp.zeros((), np.int32)}
    counter = jf.Callback(lambda x: zeros, name="n", after_step=count)
    run = lambda x: jf.iterate(inc, x, stop_at(3), counter, max_steps=9)  # noqa: E731
    memory = jax.vmap(run)(jnp.arange(3)).memory["n"]
    assert memory["live"].tolist() == [3, 2, 1]  # who names live freezes its own memory
    assert memory["all"].tolist() == [3, 3, 3]


# Stages of a Pipe


PIPE = jf.Pipe(double=lambda x: 2 * x, inc=inc)


@every_driver
def test_stages_are_events(driver):
    class Look:
        def before_double(self, x):
            return x + 100, False

        def after_double(self, x):
            return x - 200, False

        def before_inc(self, x):
            return 10 * x, False

        def after_inc(self, x):
            return x + 5, False

    result = jf.iterate(PIPE, 1, Look(), max_steps=2, driver=driver)
    assert int(result.state) == 10 * (2 * (10 * 2 + 6)) + 6


@every_driver
def test_stage_events_see_the_stages_values(driver):
    def keep(memory, x, *, step):
        return memory.at[step].set(x), x, False

    start = lambda x: jnp.zeros(3, np.int32)  # noqa: E731
    events = ("before_double", "after_double", "before_inc", "after_inc")
    looks = [jf.Callback(start, name=e, **{e: keep}) for e in events]
    memory = jf.iterate(PIPE, np.int32(1), *looks, max_steps=3, driver=driver).memory
    assert memory["before_double"].tolist() == [1, 3, 7]
    assert memory["after_double"].tolist() == memory["before_inc"].tolist() == [2, 6, 14]
    assert memory["after_inc"].tolist() == [3, 7, 15]


@every_driver
def test_a_stop_within_a_step_lets_it_complete(driver):
    stop = jf.Callback(name="within", after_double=lambda x: (x, x >= 6))
    result = jf.iterate(PIPE, 1, stop, max_steps=9, driver=driver)
    assert (int(result.state), int(result.steps), result.reasons) == (7, 2, ("within",))


def test_a_stage_may_change_the_structure():
    pipe = jf.Pipe(split=lambda x: {"a": x, "b": x[:1]}, join=lambda d: d["a"] + jnp.sum(d["b"]))
    look = jf.Callback(after_split=lambda d: ({"a": d["a"], "b": 2 * d["b"]}, False))
    assert jf.iterate(pipe, jnp.ones(3), look, max_steps=1).state.tolist() == [3.0, 3.0, 3.0]


def test_a_pipe_is_a_step_like_the_function_it_is():
    plain = jf.iterate(lambda x: 2 * x + 1, 1, max_steps=5)
    assert_same(jf.iterate(PIPE, 1, max_steps=5).state, plain.state)
    assert_same(jf.iterate(jf.Pipe(), 1, max_steps=5).state, jnp.asarray(1))


# The ends


@every_driver
def test_no_steps(driver):
    callbacks = (jf.callbacks.history(), jf.callbacks.best(lambda x: x), Scribe(1))
    result = jf.iterate(inc, 1, *callbacks, max_steps=0, driver=driver)
    assert (int(result.state), int(result.steps), result.reasons) == (114, 0, ("max_steps",))
    assert result.memory["history"].values.shape == (0,)


def test_an_empty_state():
    for driver in DRIVERS:
        assert int(jf.iterate(lambda s: s, (), max_steps=3, driver=driver).steps) == 3


def test_a_result_is_a_pytree():
    result = jax.jit(lambda x: jf.iterate(inc, x, jf.callbacks.history(), max_steps=3))(0)
    again = jax.tree.map(lambda leaf: leaf, result)
    assert_same(result, again)
    assert again.reasons == ("max_steps",)
