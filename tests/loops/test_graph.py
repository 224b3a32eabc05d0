"""What a loop puts into the graph: what its callbacks do, no more; and how often it is traced."""

import functools
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import STEPS, assert_same, counted, hlo, size, steps
from jax import lax

import jfoundations as jf

N = 9


def by_hand(step):
    def run(state):
        def body(c):
            i, s = c
            return i + 1, step(s)

        return lax.while_loop(lambda c: c[0] < N, body, (np.int32(0), state))

    return run


def by_iterate(step, *callbacks):
    def run(state):
        result = jf.iterate(step, state, *callbacks, max_steps=N)
        return result.steps, result.state

    return run


class Idle:
    """An object that hears every event of a run and does nothing."""

    def before_run(self, state):
        return state, False

    before_step = after_step = after_run = before_run


def idle_with_context(state, *, step, live, max_steps):
    return state, False


DO_NOTHING = {
    "none": (),
    "proceed": (jf.proceed,),
    "function": (lambda state: (state, False),),
    "context": (idle_with_context,),
    "kwargs": (lambda state, **context: (state, False),),
    "numpy False": (lambda state: (state, np.False_),),
    "object": (Idle(),),
    "Callback": (jf.Callback(before_step=lambda s: (s, False), after_step=lambda s: (s, False)),),
    "Callback without events": (jf.Callback(),),
    "chain": (jf.chain(jf.proceed, Idle(), lambda state: (state, False)),),
    "partial": (jf.partial(lambda k, state: (state, False), 3),),
    "when False": (jf.when(lambda state: False, lambda s: (s, True)),),
    "when True": (jf.when(lambda state: True, lambda s: (s, False)),),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_bare_loop_is_the_loop_one_would_write(name):
    step, start = steps()[name]
    assert hlo(by_iterate(step), start) == hlo(by_hand(step), start)


@pytest.mark.parametrize("callbacks", DO_NOTHING.values(), ids=DO_NOTHING)
@pytest.mark.parametrize("name", ["affine", "momentum"])
def test_callbacks_with_nothing_to_do_leave_no_trace(name, callbacks):
    step, start = steps()[name]
    assert hlo(by_iterate(step, *callbacks), start) == hlo(by_hand(step), start)


@pytest.mark.parametrize(
    "start",
    [1.0, 1, {"x": 2.0, "none": None}],
    ids=lambda v: getattr(v, "__name__", None) or repr(v),
)
def test_weakly_typed_starts_give_the_same_graph(start):
    def step(state):
        return jax.tree.map(lambda x: x + 1, state)

    assert hlo(by_iterate(step), start) == hlo(by_hand(step), start)


def test_the_comparison_sees_a_difference():
    step, start = steps()["affine"]
    bare = hlo(by_hand(step), start)
    assert hlo(by_iterate(step, lambda x: (x, x > 9.0)), start) != bare
    assert hlo(by_iterate(step, lambda x: (2.0 * x, False)), start) != bare
    assert hlo(by_iterate(lambda x: step(x) + 1.0), start) != bare


@pytest.mark.parametrize("name", STEPS)
def test_an_observer_leaves_the_state_alone(name):
    step, start = steps()[name]
    bare = jf.iterate(step, start, max_steps=N)
    observers = (
        jf.callbacks.history(size),
        jf.callbacks.best(size),
        jf.callbacks.early_stopping(size, patience=N + 1),
        jf.stop_when(lambda state: size(state) < 0),
    )
    assert_same(bare.state, jf.iterate(step, start, *observers[:1], max_steps=N).state)
    assert_same(bare.state, jf.iterate(step, start, *observers, max_steps=N).state)


# Weak types: a Python scalar as state is promoted as lax.while_loop does, in every dtype mode.


@pytest.mark.parametrize("driver", ["while", "scan", "checkpointed", "python"])
@pytest.mark.parametrize(
    "step, start",
    [
        (lambda x: x / 2, 1),
        (lambda x: x * 0.5, 3),
        (lambda x: x * jnp.bfloat16(2), 1.0),
        (lambda x: x + jnp.int8(2), 1),
        (lambda x: x * jnp.complex64(1j), 1.0),
        (lambda x: x + 1, 1),
    ],
    ids=["int/", "int*", "bfloat16", "int8", "complex", "int"],
)
def test_a_weak_start_is_promoted_as_while_loop_does(step, start, driver):
    expected = by_hand(step)(start)[1]
    result = jf.iterate(step, start, jf.callbacks.history(), max_steps=N, driver=driver)
    assert_same(result.state, expected)
    values = result.memory["history"].values
    assert values.dtype == expected.dtype  # memories are made of the promoted state
    assert_same(values[-1], expected)


def test_memories_follow_a_promoted_start():
    callbacks = (
        jf.callbacks.best(lambda x: x),
        jf.callbacks.converged(),
        jf.watch(jf.folds.minimum()),
        jf.callbacks.early_stopping(lambda x: x, patience=9),
    )
    result = jf.iterate(lambda x: x / 2, 1, *callbacks, max_steps=3)
    assert float(result.memory["best"].state) == float(result.memory["minimum"]) == 0.125
    assert float(result.memory["converged"]) == 0.125


def test_a_callback_may_promote_a_weak_start():
    result = jf.iterate(lambda x: x + 1, 1, lambda x: (x * 0.5, False), max_steps=2)
    assert float(result.state) == 1.0
    with pytest.raises(TypeError, match="start the state from that dtype"):
        jf.iterate(lambda x: x + 1, 1, lambda x: (x * 0.5, False), max_steps=2, driver="python")


# Traces: the same function objects, or equal values, are compiled once.


def run_many(step, *callbacks, times=3):
    for k in range(times):
        jf.iterate(step, jnp.asarray(float(k)), *callbacks, max_steps=N)


def test_the_same_functions_do_not_retrace():
    step, traces = counted(lambda x: 0.5 * x)
    stop, heard = counted(lambda x: (x, x < 0.1))
    jf.iterate(step, jnp.asarray(1.0), stop, max_steps=N)
    first, first_heard = len(traces), len(heard)
    run_many(step, stop)
    assert (len(traces), len(heard)) == (first, first_heard)


def below(bound, x):
    return x, x < bound


class Below:
    def after_step(self, x):
        return x, x < 0.1

    def method(self, x):
        return x, x < 0.1


_below = Below()

REBUILT = {
    "early_stopping": lambda k: jf.callbacks.early_stopping(jnp.abs, patience=k + 1),
    "converged": lambda k: jf.callbacks.converged(atol=0.1 * k),
    "partial": lambda k: jf.partial(below, jnp.asarray(0.1 * k)),
    "chain": lambda k: jf.chain(jf.partial(below, jnp.asarray(0.1 * k)), jf.callbacks.history()),
    "every": lambda k: jf.every(k + 1, jf.callbacks.best(jnp.abs)),
    "Callback": lambda k: jf.Callback(after_step=jf.partial(below, jnp.asarray(0.1 * k))),
    "watch": lambda k: jf.watch(jf.folds.mean(), jnp.abs),
    "bound method": lambda k: _below.method,
    "object": lambda k: _below,
}


@pytest.mark.parametrize("build", REBUILT.values(), ids=REBUILT)
def test_rebuilt_equal_callbacks_do_not_retrace(build):
    step, traces = counted(lambda x: 0.5 * x)
    jf.iterate(step, jnp.asarray(1.0), build(1), max_steps=N)
    first = len(traces)
    for k in (1, 2, 3):
        jf.iterate(step, jnp.asarray(1.0), build(k), max_steps=N)
    assert len(traces) == first


def test_a_pipe_of_arrays_does_not_retrace():
    scale, traces = counted(lambda k, x: k * x)
    traced = set()
    for k in range(4):
        pipe = jf.Pipe(scale=jf.partial(scale, jnp.asarray(0.5 + k)))
        jf.iterate(pipe, jnp.asarray(1.0), max_steps=N)
        traced.add(len(traces))
    assert len(traced) == 1


def test_chunks_and_resume_do_not_retrace():
    step, traces = counted(lambda x: 0.5 * x)
    history = jf.callbacks.history()

    def both():
        for result in jf.chunks(step, jnp.asarray(1.0), history, max_steps=N, every=2):
            jf.resume(result, step, history, max_steps=N)

    both()
    first = len(traces)
    both()
    assert len(traces) == first


def test_functools_partial_of_the_same_object_is_one_trace():
    step, traces = counted(lambda x: 0.5 * x)
    stop = functools.partial(below, 0.1)
    run_many(step, stop)
    first = len(traces)
    run_many(step, stop)
    assert len(traces) == first


@pytest.mark.parametrize("build", REBUILT.values(), ids=REBUILT)
def test_callbacks_are_hashable_equal_and_weakly_referenceable(build):
    one, other = build(1), build(1)
    assert one == other and hash(one) == hash(other)
    assert weakref.ref(one)
