"""`until` and `swap`: callbacks whose members' memories are looked at."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, lane, raises
from metrics import FLOAT

import jfoundations as jf

jc = jf.callbacks
mean = jf.folds.mean()
N = 8


def add(x):
    return x + 1


ZERO = jnp.zeros((), FLOAT)


# until


def test_until_is_a_watch_that_stops():
    stop = jc.until(mean, when=lambda m: m >= 3)
    for driver in DRIVERS:
        result = jf.iterate(add, ZERO, stop, max_steps=N, driver=driver)
        assert (int(result.steps), result.reasons) == (5, ("mean",))
        watched = jf.iterate(add, ZERO, jf.watch(mean), max_steps=5, driver=driver)
        assert_same(result.memory, watched.memory)
    named = jc.until(mean, jnp.square, when=lambda m: m > 5, name="square")
    result = jf.iterate(add, ZERO, named, max_steps=N)
    assert result.reasons == ("square",) and float(mean.extract(result.memory["square"])) == 7.5


def test_until_of_any_memory():
    best = jc.best(lambda x: jnp.abs(x - 5))
    stop = jc.until(best, when=lambda memory, step: (memory.value < 3) & (step > 3))
    result = jf.iterate(add, ZERO, stop, max_steps=N)
    assert (int(result.steps), result.reasons) == (5, ("best",))
    assert_same(result.memory, jf.iterate(add, ZERO, best, max_steps=5).memory)
    # A member that stops by itself still does.
    both = jc.until(jc.early_stopping(lambda x: -x * 0, 2), when=lambda m: m["wait"] > 5)
    assert int(jf.iterate(add, ZERO, both, max_steps=N).steps) == 3
    # One that hears a stage alone is asked there.
    count = jf.Callback(lambda x: 0, name="count", before_add=lambda n, x: (n + 1, x, False))
    stop = jc.until(count, when=lambda n: n >= 4)
    assert int(jf.iterate(jf.Pipe(add=add), ZERO, stop, max_steps=N).steps) == 4
    # Nothing is asked before a step or after the run.
    seen = jc.until(jc.history(initial=True), when=lambda h: h.count >= 1)
    assert int(jf.iterate(add, ZERO, seen, max_steps=N).steps) == 1


def test_until_is_joined_and_nested():
    stop = jc.until(mean, when=lambda m: m >= 3)
    late = jf.stop_when(lambda x: x >= 7, name="late")
    result = jf.iterate(add, ZERO, stop & late, max_steps=N)
    assert (int(result.steps), result.reasons) == (7, ("mean & late",))
    assert int(jf.iterate(add, ZERO, ~stop & late, max_steps=N).stopped_by) == 0
    assert int(jf.iterate(add, ZERO, jf.every(2, stop), max_steps=N).steps) == 4
    twice = jc.until(jc.until(mean, when=lambda m: m >= 3), when=lambda m: False)
    assert int(jf.iterate(add, ZERO, twice, max_steps=N).steps) == 5


def test_lanes_of_until_stop_by_themselves():
    stop = jc.until(mean, when=lambda m: m >= 3)
    run = lambda x: jf.iterate(add, x, stop, max_steps=N)  # noqa: E731
    x = jnp.array([0.0, 2.0, -9.0], FLOAT)
    lanes = jax.vmap(run)(x)
    assert lanes.steps.tolist() == [5, 1, 8]
    for k in range(3):
        assert_same(lane(lanes, k), run(x[k]))
        half = jf.iterate(add, x[k], stop, max_steps=3)
        assert_same(jf.resume(half, add, stop, max_steps=N), run(x[k]))


# swap


def swing(s):
    """Go to and fro around w = 1, and lose half the way each time."""
    return {**s, "w": 1 - (s["w"] - 1) / 2, "t": s["t"] + 1}


def loss(s):
    return (s["w"] - 1) ** 2


def averaged(s, average):
    return {**s, "w": average.value}


START = {"w": jnp.asarray(3.0, FLOAT), "t": jnp.int32(0)}
EMA = jc.ema(lambda s: s["w"], decay=0.5)


def test_members_hear_the_average_and_the_loop_goes_on_with_its_own():
    seen = jc.swap(EMA, averaged, jc.history(), jc.best(loss))
    alone = (EMA, jc.history(lambda s: s["w"]))
    bare = jf.iterate(swing, START, *alone, max_steps=N)
    for driver in DRIVERS:
        result = jf.iterate(swing, START, seen, max_steps=N, driver=driver)
        memory = result.memory["swap"]
        assert_same(result.state, bare.state)
        assert set(memory) == {"ema", "history", "best"}
        assert_same(memory["ema"], bare.memory["ema"])
        w, t = (memory["history"].values[k] for k in "wt")
        assert t.tolist() == list(range(1, N + 1))
        # v_t = v_{t-1} + (x_t - v_{t-1}) / (2 (1 - 2**-t))
        means = []
        for k, x in enumerate(bare.memory["history"].values.astype(float)):
            means.append(x if not k else means[-1] + (x - means[-1]) / (2 * (1 - 0.5 ** (k + 1))))
        np.testing.assert_allclose(w, means, rtol=1e-5)
        assert int(memory["best"].state["t"]) == 1 + np.argmin((w - 1) ** 2)


def test_what_members_make_of_the_state_is_dropped_and_their_stops_are_not():
    spoil = lambda s: ({**s, "w": s["w"] * jnp.nan}, s["t"] >= 3)  # noqa: E731
    after = jc.history(lambda s: s["w"])
    result = jf.iterate(swing, START, jc.swap(EMA, averaged, spoil, after), max_steps=N)
    assert int(result.steps) == 3 and result.reasons == ("swap",)
    assert np.isfinite(result.state["w"])
    assert np.isnan(result.memory["swap"]["history"].values).all()  # one after another

    class Everywhere:
        def before_run(self, s):
            return {**s, "w": s["w"] * jnp.nan}, False

        before_step = before_turn = after_turn = after_step = after_run = before_run

    step = jf.Pipe(turn=swing)
    kept = jf.iterate(step, START, jc.swap(EMA, averaged, Everywhere()), max_steps=N)
    assert_same(kept.state, jf.iterate(swing, START, max_steps=N).state)


def test_any_memory_may_be_swapped_in():
    fold = jf.folds.mean()
    put = lambda s, memory: {**s, "w": fold.extract(memory)}  # noqa: E731
    seen = jc.swap(jf.watch(fold, lambda s: s["w"]), put, jc.history(lambda s: s["w"]))
    result = jf.iterate(swing, START, seen, max_steps=4)
    assert result.memory["swap"]["history"].values.tolist() == [0.0, 0.75, 0.75, 0.84375]


def test_lanes_of_swap_and_resume():
    rested = jc.early_stopping(loss, patience=2, min_delta=0.05)
    seen = jc.swap(EMA, averaged, rested, jc.history(loss))
    run = lambda w: jf.iterate(swing, {**START, "w": w}, seen, max_steps=N)  # noqa: E731
    w = jnp.array([3.0, 1.0, 40.0], FLOAT)
    lanes = jax.vmap(run)(w)
    assert len(set(lanes.steps.tolist())) > 1
    for k in range(3):
        assert_same(lane(lanes, k), run(w[k]))
        half = jf.iterate(swing, {**START, "w": w[k]}, seen, max_steps=2)
        assert_same(jf.resume(half, swing, seen, max_steps=N), run(w[k]))


def test_into_keeps_the_kind_of_the_state():
    start = {**START, "w": jnp.bfloat16(3)}
    with pytest.raises(TypeError, match=r"swap, into: state\['w'\] was bfloat16\[\]"):
        jf.iterate(swing, start, jc.swap(EMA, averaged, jc.best(loss)), max_steps=3)
    cast = lambda s, ema: {**s, "w": ema.value.astype("bfloat16")}  # noqa: E731
    jf.iterate(swing, start, jc.swap(EMA, cast, jc.best(loss)), max_steps=3)


def test_the_memories_that_hear_sees():
    def latest(members, state):
        assert members.memories == members[:].memories and members[1:].memories == ((),)
        before = members.memories[0]
        state, _ = yield members(state)
        return state, members.memories[0] > before + 5

    total = jf.Callback(lambda x: 0 * x, name="total", after_step=lambda m, x: (m + x, x, False))
    heard = jf.Combined((total, jf.proceed), latest, name="latest")
    assert int(jf.iterate(add, ZERO, heard, max_steps=N).steps) == 6
    assert functools.reduce(lambda a, b: a == b, [heard, heard])


def test_an_average_of_python_numbers_says_what_to_do():
    average = jc.swap(jc.ema(decay=0.5), lambda s, m: m.value, jc.best(lambda s: s["x"]))
    with raises(TypeError, "swap, into", "int32", "float32"):
        jf.iterate(lambda s: {"x": s["x"] + 1}, {"x": 0}, average, max_steps=3)
