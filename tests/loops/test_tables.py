"""What is shown of a loop before it runs and after: a description, a line, a table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import counted, raises

import jfoundations as jf

jc = jf.callbacks
FLOAT = jnp.zeros(()).dtype.name


def half(x):
    return x / 2


SMALL = jf.stop_when(lambda x: jnp.max(x) < 0.1, name="small")
NEAR = jf.stop_when(lambda x: jnp.max(x) < 0.13, name="near")


def run(x, *heard, n=4):
    return jf.iterate(half, x, *heard, max_steps=n)


# A line


def test_a_result_in_a_line():
    assert repr(run(1.0)) == f"LoopResult(4 steps, stopped by max_steps, state={FLOAT}[])"
    line = repr(
        run(
            1.0,
            SMALL,
            jf.stop_when(lambda x: x < 0.07),
            jc.early_stopping(jnp.abs, patience=9),
            n=9,
        )
    )
    assert line.startswith("LoopResult(4 steps, stopped by small and stop_when, state=")
    assert line.endswith(f"memory={{early_stopping: {{'best': {FLOAT}[], 'wait': int32[]}}}})")
    assert repr(run(1.0, n=1)).startswith("LoopResult(1 step, ")


def test_a_batch_in_a_line():
    lanes = jax.vmap(lambda x: run(x, SMALL))(jnp.array([1.0, 0.5, 9.0, 8.0]))
    assert repr(lanes) == (
        f"LoopResult(4 lanes, 3 to 4 steps, stopped by small: 2, max_steps: 2, state={FLOAT}[4])"
    )
    assert repr(jax.vmap(run)(jnp.ones(3))).startswith(
        "LoopResult(3 lanes, 4 steps, stopped by max"
    )
    empty = jax.tree.map(lambda leaf: leaf[:0], lanes)
    assert repr(empty) == f"LoopResult(0 lanes, state={FLOAT}[0])"


def test_a_large_state_is_counted():
    state = {str(k): jnp.ones(250, np.float32) for k in range(7)}
    assert "state=7 leaves, 7000 bytes)" in repr(
        jf.iterate(lambda s: jax.tree.map(half, s), state, max_steps=1)
    )


def test_what_is_not_known_is_described():
    shown = []
    jax.jit(lambda x: shown.append(repr(run(x, SMALL))))(1.0)
    shown.append(repr(jax.eval_shape(lambda: run(1.0, SMALL))))
    assert shown == [f"LoopResult(state={FLOAT}[])"] * 2
    assert repr(jax.tree.map(lambda _: 0, run(1.0))).startswith("LoopResult(state=")
    assert "state=object" in repr(jax.tree.map(lambda _: object(), run(1.0)))


# A table


def test_a_single_run_is_a_line_a_leaf():
    keep = jf.Callback(
        lambda s: {"key": jax.random.key(0), "half": jnp.bfloat16(1.5), "z": jnp.complex64(1j)},
        name="keep",
        after_step=lambda m, s: (m, s, False),
    )
    state = {"a": jnp.array([1.0, 3.0]), "big": jnp.ones((3, 3)), "n": jnp.int32(8)}
    step = lambda s: {**s, "a": s["a"] / 4}  # noqa: E731
    heard = keep, jf.stop_when(lambda s: s["a"][0] < 0.1, name="small")
    rows = [
        line.split("  ", 1)
        for line in jf.iterate(step, state, *heard, max_steps=9).table().split("\n")
    ]
    assert {name: text.strip() for name, text in rows} == {
        "steps": "2",
        "stopped by": "small",
        "state['a']": "[0.0625, 0.1875]",
        "state['big']": f"{FLOAT}[3,3]",
        "state['n']": "8",
        "keep['half']": "1.5",
        "keep['key']": "key<fry>[]",
        "keep['z']": "0+1j",
    }


def test_a_batch_is_a_line_a_lane():
    heard = (SMALL, NEAR, jc.history(), jc.best(lambda x: x))
    lanes = jax.vmap(jax.vmap(lambda x: run(x, *heard, n=5)))(jnp.array([[0.15, 9.0], [0.25, 0.5]]))
    assert lanes.table().split("\n") == [
        "lane  steps  stopped by   state    history.seen  best.value  best.state",
        "0,0   1      small, near  0.075    1             0.075       0.075",
        "0,1   5      max_steps    0.28125  5             0.28125     0.28125",
        "1,0   1      near         0.125    1             0.125       0.125",
        "1,1   2      near         0.125    2             0.125       0.125",
        f"in each lane history.buffer {FLOAT}[5]",
    ]


def test_many_lanes_are_cut_in_the_middle():
    lines = jax.vmap(run)(jnp.arange(1000.0)).table().split("\n")
    assert len(lines) == 1 + 50 + 1 + 50
    assert lines[50].startswith("49 ") and lines[51].startswith("… ")
    assert lines[52].startswith("950 ") and lines[-1].startswith("999 ")
    assert len(jax.vmap(run)(jnp.arange(100.0)).table().split("\n")) == 101


def test_a_table_is_refused_while_tracing():
    with raises(TypeError, "return the LoopResult from jit and print it there"):
        jax.jit(lambda x: run(x).table())(1.0)


# A description


PIPE = jf.Pipe(double=lambda x: 2 * x, shift=lambda x: x - 9)


def spy(name, log, *events):
    def note(event, x):
        log.append((event, name))
        return x, False

    return jf.Callback(name=name, **{e: jf.partial(note, e) for e in events})


def test_the_order_is_that_in_which_events_are_heard():
    log = []
    heard = (
        spy("a", log, "before_run", "before_double", "after_step", "after_run"),
        spy("b", log, "before_run", "before_step", "after_shift", "before_shift"),
        spy("c", log, "after_step", "after_double", "before_double"),
    )
    found = jf.describe_loop(PIPE, *heard)
    jf.iterate(PIPE, np.int32(1), *heard, max_steps=1, driver="python")
    told = [(event, name) for event, names in found.events for name in names]
    assert [pair for pair in told if pair[1] != "the step"] == log
    places = [event for event, names in found.events if names == ("the step",)]
    assert places == ["double", "shift"]


def test_memories_and_stops_are_those_of_the_run():
    loss = lambda x: jnp.sum(x * x)  # noqa: E731

    class Late:
        def before_step(self, x, *, step):
            return x, step > 3

        def after_run(self, x):
            return x, False

    heard = (
        jc.history(),
        jc.best(loss),
        jc.early_stopping(loss, patience=3) | SMALL,
        jf.when(lambda x: jnp.max(x) > 2, jc.history(loss, capacity=3)),
        jc.rollback_on_nonfinite(retries=1),
        Late(),
        lambda x: (x, jnp.max(x) < 0),
        jf.watch(jf.folds.mean(), loss),
    )
    start = jnp.ones(3)
    found = jf.describe_loop(half, *heard, state=start, max_steps=5)
    result = jf.iterate(half, start, *heard, max_steps=5)
    sizes = {
        name: sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(memory))
        for name, memory in result.memory.items()
    }
    assert found.memory == sizes and found.state == start.nbytes
    assert {name: events for name, events in found.stops.items() if events} == {
        "early_stopping | small": ("after_step",),
        "rollback_on_nonfinite": ("after_step",),
        "Late": ("before_step",),
        "lambda": ("after_step",),
    }
    assert tuple(found.stops) == result.names
    last = str(found).split("\n")[-1]
    assert last.split() == ["in", "all", str(start.nbytes + sum(sizes.values())), "bytes"]


def test_shapes_are_enough_and_nothing_is_computed():
    step, traces = counted(half)
    shape = jax.ShapeDtypeStruct((10**6, 10**6), np.float32)
    found = jf.describe_loop(step, jc.best(jnp.sum), state=shape)
    assert found.memory == {"best": 4 + 4 * 10**12} and len(traces) <= 2
    assert "4000 GB" in repr(found)
    assert found.events == jf.describe_loop(step, jc.best(jnp.sum)).events


def test_python_numbers_context_and_elements():
    heard = jc.history(), jf.stop_when(lambda s, *, x: s < x, name="under")
    step = lambda s, batch, *, key: s / 2 + batch  # noqa: E731
    found = jf.describe_loop(
        step, *heard, state=1, max_steps=7, key=jax.random.key(0), x=jnp.ones(())
    )
    width = jnp.zeros(()).nbytes
    assert found.state == width and found.memory == {"history": 7 * width + 4}
    with raises(TypeError, "history, init", "pass max_steps= to it"):
        jf.describe_loop(half, jc.history(), state=1.0)
    with raises(TypeError, "describe_loop: the leaf state['a'] is 'text'"):
        jf.describe_loop(half, state={"a": "text"})
    with pytest.raises(ValueError, match="no event is called 'after_halve'; the events are"):
        jf.describe_loop(half, jf.Callback(after_halve=lambda x: (x, False)))


def test_a_description_without_a_state_tells_the_events_alone():
    text = str(jf.describe_loop(half, jc.history(), SMALL))
    assert text.split("\n") == [
        "event        who hears it, in this order",
        "before_run   -",
        "before_step  -",
        "step         the step",
        "after_step   history, small",
        "after_run    -",
    ]
