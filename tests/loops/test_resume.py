"""A run taken up again, and a run handed out by the chunk: the same bits as in one go."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, STEPS, assert_same, size, steps
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf

N = 8
KEY = jax.random.key(3)
every_driver = pytest.mark.parametrize("driver", DRIVERS)


def inc(x):
    return x + 1


class Ends:
    """Changes the state before and after the run: a resumed run must do each once."""

    def before_run(self, x):
        return x + 100.0, False

    def after_run(self, x):
        return -x, False


def sum_at_end(memory, x):
    return memory + x, x, False


def noisy(x, *, key):
    return 0.5 * x + jax.random.normal(key, x.shape, x.dtype)


@functools.cache  # the same function objects each time, so that a loop is compiled once
def callbacks(stop=np.inf):
    return (
        jf.callbacks.history(lambda x: {"x": x, "square": x * x}),
        jf.callbacks.history(jnp.abs, every=3),
        jf.callbacks.history(capacity=3),
        Ends(),
        jf.Callback(jnp.zeros_like, name="total", after_step=sum_at_end, after_run=sum_at_end),
        jf.callbacks.best(lambda x: x),
        jf.callbacks.early_stopping(lambda x: x, patience=5),
        jf.watch(jf.folds.var()),
        jf.every(2, jf.callbacks.history()),
        jf.stop_when(lambda x: x > stop, name="high"),
    )


HISTORY, ENDS = jf.callbacks.history(), Ends()


def high(bound, x):
    return x, x > bound


def noisy_run(stop):
    return jf.iterate(noisy, jnp.asarray(1.0), *callbacks(stop), max_steps=N, key=KEY)


# Resume


@pytest.mark.parametrize("k", [0, 1, 5, N])
@pytest.mark.parametrize("stop", [np.inf, 51.0])
def test_resume_is_going_on(k, stop):
    heard = callbacks(stop)
    run = dict(max_steps=N, key=KEY)
    whole = noisy_run(stop)
    part = jf.iterate(noisy, jnp.asarray(1.0), *heard, max_steps=k, key=KEY)
    assert_same(jf.resume(part, noisy, *heard, **run), whole)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 5]), max_size=4), st.sampled_from([5.0, 102.0, 1e9]))
def test_resume_any_number_of_times(counts, bound):
    heard = (HISTORY, ENDS, jf.partial(high, bound))
    whole = jf.iterate(noisy, jnp.asarray(1.0), *heard, max_steps=N, key=KEY)
    result = jf.iterate(noisy, jnp.asarray(1.0), *heard, max_steps=0, key=KEY)
    for count in (*sorted(counts), N):
        result = jf.resume(result, noisy, *heard, max_steps=count, key=KEY)
    assert_same(result, whole)


@pytest.mark.parametrize("name", STEPS)
def test_resume_of_any_step(name):
    step, start = steps()[name]
    history = jf.callbacks.history(size)
    whole = jf.iterate(step, start, history, max_steps=N)
    part = jf.iterate(step, start, history, max_steps=3)
    assert_same(jf.resume(part, step, history, max_steps=N), whole)


@every_driver
@pytest.mark.parametrize("first", DRIVERS)
def test_resume_by_another_driver(first, driver):
    step, start = steps()["logistic"]
    heard = (jf.callbacks.history(), jf.stop_when(lambda x: x[0] > 0.99))
    whole = jf.iterate(step, start, *heard, max_steps=N)
    part = jf.iterate(step, start, *heard, max_steps=3, driver=first)
    assert_same(jf.resume(part, step, *heard, max_steps=N, driver=driver), whole)


@every_driver
def test_a_stopped_run_stays_stopped(driver):
    stop = jf.stop_when(lambda x: x >= 3)
    stopped = jf.iterate(inc, 0, stop, max_steps=5, driver=driver)
    again = jf.resume(stopped, inc, stop, max_steps=50, driver=driver)
    assert_same(again, stopped)
    anew = jf.iterate(inc, stopped.state, stop, max_steps=50)
    assert int(anew.state) == 4


@every_driver
def test_a_run_stopped_before_it_began_stays_so(driver):
    class Never:
        def before_run(self, x):
            return x, x >= 0

    stopped = jf.iterate(inc, 0, Never(), max_steps=5, driver=driver)
    assert_same(jf.resume(stopped, inc, Never(), max_steps=50, driver=driver), stopped)


def test_a_limit_already_passed_changes_nothing():
    whole = jf.iterate(inc, 0, jf.callbacks.history(), max_steps=5)
    assert_same(jf.resume(whole, inc, jf.callbacks.history(), max_steps=2), whole)


def test_resume_under_jit_and_vmap():
    heard = (HISTORY, ENDS, jf.callbacks.best(lambda x: x), jf.partial(high, 101.0))
    start = jnp.array([1.0, 20.0, -5.0])

    def whole(x):
        return jf.iterate(noisy, x, *heard, max_steps=N, key=KEY)

    def halved(x):
        part = jf.iterate(noisy, x, *heard, max_steps=3, key=KEY)
        return jf.resume(part, noisy, *heard, max_steps=N, key=KEY)

    assert_same(jax.jit(jax.vmap(halved))(start), jax.jit(jax.vmap(whole))(start))


def test_a_history_with_a_capacity_does_not_grow():
    keep = jf.callbacks.history(capacity=3)
    part = jf.iterate(inc, 0, keep, max_steps=2)
    result = jf.resume(part, inc, keep, max_steps=N)
    assert result.memory["history"].values.tolist() == [1, 2, 3]


# Chunks


@pytest.mark.parametrize("every", [1, 7, 1000, None])
@pytest.mark.parametrize("name", STEPS)
def test_chunks_end_with_what_iterate_returns(name, every):
    step, start = steps()[name]
    history = jf.callbacks.history(size)
    *_, last = jf.chunks(step, start, history, max_steps=20, every=every)
    assert_same(last, jf.iterate(step, start, history, max_steps=20))


@pytest.mark.parametrize("every", [1, 7, None])
@pytest.mark.parametrize("stop", [np.inf, 51.0])
def test_chunks_with_everything(stop, every):
    heard = callbacks(stop)
    run = dict(max_steps=N, key=KEY)
    results = list(jf.chunks(noisy, jnp.asarray(1.0), *heard, every=every, seconds=1e-9, **run))
    whole = noisy_run(stop)
    assert_same(results[-1], whole)
    assert results[-1].reasons == whole.reasons
    for part in results[:-1]:  # any of them is a whole result: it can be taken up again
        assert_same(jf.resume(part, noisy, *heard, **run), whole)


def test_chunks_go_on_with_a_result():
    heard = (jf.callbacks.history(), Ends())
    step = lambda x: x * 0.75 + 1.0  # noqa: E731
    whole = jf.iterate(step, 8.0, *heard, max_steps=9)
    part = jf.iterate(step, 8.0, *heard, max_steps=4)
    results = list(jf.chunks(step, part, *heard, max_steps=9, every=2))
    assert [int(r.steps) for r in results] == [6, 8, 9]
    assert_same(results[-1], whole)
    (only,) = jf.chunks(step, whole, *heard, max_steps=9)
    assert_same(only, whole)


def test_where_chunks_end():
    ends = [int(r.steps) for r in jf.chunks(inc, 0, max_steps=10, every=4)]
    assert ends == [4, 8, 10]
    assert [int(r.steps) for r in jf.chunks(inc, 0, max_steps=8, every=4)] == [4, 8]
    stop = jf.stop_when(lambda x: x >= 6)
    results = list(jf.chunks(inc, 0, stop, max_steps=10, every=4))
    assert [int(r.steps) for r in results] == [4, 6]
    assert [r.reasons for r in results] == [("max_steps",), ("stop_when",)]


def test_chunks_of_no_steps():
    (only,) = jf.chunks(inc, 0, jf.callbacks.history(), max_steps=0)
    assert_same(only, jf.iterate(inc, 0, jf.callbacks.history(), max_steps=0))


def test_after_run_is_heard_at_the_end_of_the_chunks_only():
    results = list(jf.chunks(lambda x: x + 1.0, 0.0, Ends(), max_steps=5, every=2))
    assert [float(r.state) for r in results] == [102.0, 104.0, -105.0]


def test_chunks_are_tuned_to_the_clock():
    slow = list(jf.chunks(inc, 0, max_steps=64, seconds=1e-9))
    assert [int(r.steps) for r in slow] == list(range(1, 65))  # never less than a step
    quick = list(jf.chunks(inc, 0, max_steps=2**20, seconds=10.0))
    assert len(quick) <= 8  # 1, 8, 64, … steps


def test_a_for_body_may_break_and_keep_the_last_result():
    for result in jf.chunks(inc, 0, max_steps=10**9, every=3):
        if int(result.steps) >= 6:
            break
    assert int(result.state) == 6
    assert int(jf.resume(result, inc, max_steps=8).state) == 8


def test_an_interrupt_between_chunks_keeps_the_last_result():
    kept = []
    with pytest.raises(KeyboardInterrupt):
        for result in jf.chunks(inc, 0, max_steps=10**9, every=5):
            kept.append(result)
            raise KeyboardInterrupt
    assert int(kept[-1].state) == 5


def test_chunks_check_their_arguments_at_the_call():
    for wrong in (dict(every=0), dict(every=2.0), dict(seconds=0.0), dict(seconds=float("nan"))):
        with pytest.raises((TypeError, ValueError), match="chunks: (every|seconds) is"):
            jf.chunks(inc, 0, max_steps=3, **wrong)
