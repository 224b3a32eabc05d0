"""Rows of what histories and watches hold, against the runs themselves."""

import csv
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, lane, raises
from metrics import FLOAT

import jfoundations as jf

jc = jf.callbacks
N = 7


def halve(x):
    return x / 2


def square(x):
    return x * x


ONE = jnp.ones((), FLOAT)


def expected(steps, **columns):
    """Return the rows that a loop in Python would have written, of a halving from 1 on."""
    rows = []
    for step in steps:
        row = {"step": step}
        row |= {name: f(0.5**step) for name, (f, when) in columns.items() if when(step)}
        rows.append(row)
    return rows


def always(step):
    return step > 0


def twice(step):
    return step > 0 and step % 2 == 0


def test_several_histories_are_joined_by_step():
    heard = (
        jc.history({"x": lambda x: x, "square": square}),
        jc.history(square, every=2),
        jc.history(initial=True, every=3),
    )
    for driver in DRIVERS:
        result = jf.iterate(halve, ONE, *heard, max_steps=N, driver=driver)
        assert jf.records(result) == expected(
            range(N + 1),
            square=(lambda x: x * x, always),
            x=(lambda x: x, always),
            history_2=(lambda x: x * x, twice),
            history_3=(lambda x: x, lambda step: step % 3 == 0),
        )
    assert jf.records(jf.iterate(halve, ONE, *heard, max_steps=0)) == [
        {"step": 0, "history_3": 1.0}
    ]
    assert jf.records(jf.iterate(halve, ONE, max_steps=N)) == []
    assert jf.records is jc.records


def test_rows_are_of_python_and_go_where_one_likes():
    state = {
        "b": jnp.bool_(True),
        "n": jnp.int8(-3),
        "h": jnp.bfloat16(0.5),
        "c": jnp.complex64(1j),
        "v": jnp.ones((2, 1), FLOAT),
        "e": jnp.zeros((0,)),
        "key": jax.random.key(3),
    }
    result = jf.iterate(lambda s: s, state, jc.history(), max_steps=2)
    row = jf.records(result)[-1]
    assert row == {
        "step": 2,
        "b": True,
        "c": 1j,
        "h": 0.5,
        "key.0": 0,
        "key.1": 3,
        "n": -3,
        "v.0.0": 1.0,
        "v.1.0": 1.0,
    }
    assert [type(row[k]) for k in ("step", "b", "n", "h", "v.0.0")] == [
        int,
        bool,
        int,
        float,
        float,
    ]
    rows = jf.records(jf.iterate(halve, ONE, jc.history(), jc.history(every=2), max_steps=3))
    assert [json.loads(json.dumps(row)) for row in rows] == rows
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["step", "history", "history_2"])
    writer.writerows(rows)
    assert file.getvalue() == "1,0.5,\r\n2,0.25,0.25\r\n3,0.125,\r\n"


def test_names_of_columns():
    pair = jc.history(lambda x: (x, {"a": x}))
    clash = jc.history({"history": halve, "step": halve, "lane": halve, "history.0": halve})
    deep = jf.when(lambda x: True, jf.chain(jc.history({"l": square}), jc.history({"l": square})))
    joined = jf.stop_when(lambda x: x < 0) | jc.history(square)
    result = jf.iterate(halve, ONE, pair, clash, deep, joined, max_steps=1)
    assert list(jf.records(result)[0]) == [
        *("step", "history.0", "history.1.a"),
        *("history", "history.0_2", "lane_2", "step_2"),
        *("l", "l_2", "history_2"),
    ]


def test_rows_since_the_last_chunk_are_those_of_the_whole():
    fold = jf.folds.mean()
    heard = jc.history(), jc.history(square, every=3, initial=True), jf.watch(fold)
    rows, told, since = [], [], None
    for result in jf.chunks(halve, ONE, *heard, max_steps=N, every=2):
        new = jf.records(result, since=since, watched={"mean": fold})
        told.append(new[-1].pop("mean"))
        rows, since = rows + new, result.steps
    assert rows == jf.records(jf.iterate(halve, ONE, *heard, max_steps=N))
    assert told == [sum(0.5**k for k in range(1, n + 1)) / n for n in (2, 4, 6, 7)] or np.allclose(
        told, [sum(0.5**k for k in range(1, n + 1)) / n for n in (2, 4, 6, 7)], rtol=1e-6
    )
    assert jf.records(result, since=N, watched={"mean": fold}) == []
    half = jf.iterate(halve, ONE, *heard, max_steps=3)
    assert jf.records(jf.resume(half, halve, *heard, max_steps=N)) == rows


def test_watches_and_other_memories_stand_in_the_last_row():
    both = jf.combine(m=jf.folds.maximum(), n=jf.folds.count())
    heard = jf.watch(both, name="w"), jc.ema(decay=0.5), jc.best(square)
    result = jf.iterate(halve, ONE, *heard, max_steps=3)
    told = {"w": both, "ema": lambda m: m.weight, "best": lambda m: [m.value, m.state]}
    assert jf.records(result, watched=told) == [
        {"step": 3, "m": 0.5, "n": 3, "ema": 0.875, "best.0": 0.5**6, "best.1": 0.125}
    ]
    with pytest.raises(KeyError, match="no callback called 'v' has a memory"):
        jf.records(result, watched={"v": both})
    with pytest.raises(TypeError, match=r"watched\['w'\] is 3"):
        jf.records(result, watched={"w": 3})


def test_lanes_have_rows_of_their_own():
    fold = jf.folds.maximum()
    small = jf.stop_when(lambda x: x < 0.1)
    heard = jc.history(), jc.history(square, every=2, initial=True), jf.watch(fold), small
    run = lambda x: jf.iterate(halve, x, *heard, max_steps=N)  # noqa: E731
    x = jnp.array([1.0, 0.01, 100.0], FLOAT)
    lanes, told = jax.vmap(run)(x), {"maximum": fold}
    rows = jf.records(lanes, watched=told)
    alone = [jf.records(lane(lanes, k), watched=told) for k in range(3)]
    assert rows == [{"lane": k, **row} for k in range(3) for row in alone[k]]
    for k in range(3):
        assert_same(lane(lanes, k), run(x[k]))
    assert [len(rows) for rows in alone] == [5, 2, 8]
    nested = jax.vmap(jax.vmap(run))(x[None])
    assert {row["lane"] for row in jf.records(nested)} == {"0,0", "0,1", "0,2"}
    rows, since = [], None
    for result in jf.chunks(halve, x, *heard, max_steps=N, every=2, lanes=True):
        rows += jf.records(result, since=since)
        since = result.steps
    assert sorted(rows, key=lambda r: (r["lane"], r["step"])) == jf.records(lanes)


def test_steps_that_are_not_known_are_asked_for():
    late = lambda x: x < 0.2  # noqa: E731
    for wrap in (
        lambda h: jf.when(late, h(capacity=9)),
        lambda h: jc.after(2, h()),
        lambda h: jf.every(3, h()),
        lambda h: h(capacity=2),
    ):
        result = jf.iterate(halve, ONE, wrap(jc.history), max_steps=N)
        with pytest.raises(ValueError, match="history holds . records of 7 steps, .*steps=True"):
            jf.records(result)
        numbered = wrap(lambda **more: jc.history(steps=True, **more))
        found = jf.iterate(halve, ONE, numbered, max_steps=N)
        memory, seen = result.memory["history"], found.memory["history"]
        assert_same(seen.values, memory.values)
        assert jf.records(found) == [
            {"step": row["step"], "history": 0.5 ** row["step"]} for row in jf.records(found)
        ]
        assert len(jf.records(found)) == int(memory.count) > 0


def test_runs_in_runs_are_told_apart():
    seen, numbered = (jc.history(capacity=9, steps=s) for s in (False, True))
    for history, message in ((seen, "holds 4 records of 2"), (numbered, "several runs")):
        run = jf.iterate(halve, ONE, history, max_steps=2)
        again = jf.resume(run.again(), halve, history, max_steps=2)
        with pytest.raises(ValueError, match=message):
            jf.records(again)


def test_records_are_read_on_the_host():
    run = lambda x: jf.records(jf.iterate(halve, x, jc.history(), max_steps=2))  # noqa: E731
    with pytest.raises(TypeError, match="return the LoopResult from jit"):
        jax.jit(run)(ONE)


# history of several, by name


def test_a_history_by_name_is_that_of_a_dict():
    named = jc.history({"x": lambda x: x, "square": square}, every=2, initial=True)
    plain = jc.history(lambda x: {"x": x, "square": square(x)}, every=2, initial=True)
    for driver in DRIVERS:
        found = [jf.iterate(halve, ONE, h, max_steps=N, driver=driver) for h in (named, plain)]
        assert_same(found[0], found[1])
    assert jc.history({}) == jc.history({}) and jc.history({"s": square}) == jc.history(
        {"s": square}
    )
    assert jf.records(jf.iterate(halve, ONE, jc.history({}), max_steps=2)) == []


def test_the_functions_of_a_history_may_have_leaves():
    scaled = lambda k: jc.history({"k": jf.partial(jnp.multiply, jnp.asarray(k, FLOAT))})  # noqa: E731
    run = jax.jit(lambda h: jf.iterate(halve, ONE, h, max_steps=2).memory["history"].buffer["k"])
    assert [run(scaled(k)).tolist() for k in (2.0, 4.0)] == [[1.0, 0.5], [2.0, 1.0]]
    assert run._cache_size() == 1


def test_steps_beside_a_record():
    seen = jc.history(every=2, initial=True, steps=True)
    memory = jf.iterate(halve, ONE, seen, max_steps=5).memory["history"]
    assert memory.steps.tolist() == [0, 2, 4] and "steps=" in repr(memory)
    bare = jc.history(lambda x: (), steps=True)
    memory = jf.iterate(halve, ONE, bare, max_steps=3).memory["history"]
    assert memory.steps.tolist() == [1, 2, 3] and int(memory.count) == 3
    grown = jf.resume(jf.iterate(halve, ONE, seen, max_steps=3), halve, seen, max_steps=5).memory[
        "history"
    ]
    assert grown.steps.tolist() == [0, 2, 4]


@pytest.mark.parametrize("steps", [False, True])
def test_a_full_history_that_goes_on_in_another_run(steps):
    seen, step = jc.history(steps=steps), lambda x: x + 1
    first = jf.iterate(step, 0.0, seen, max_steps=4)
    assert len(jf.records(first)) == 4
    second = jf.resume(first.again(), step, seen, max_steps=4)
    with raises(ValueError, "records", "run"):
        jf.records(second)


def test_histories_in_copies_of_the_state_are_not_the_runs_own():
    heard = jc.snapshots(capacity=3), jc.history()
    rows = jf.records(jf.iterate(lambda x: x / 2, 8.0, *heard, max_steps=2))
    assert rows == [{"step": 1, "history": 4.0}, {"step": 2, "history": 2.0}]
    inner = jf.iterate(lambda x: x / 2, 8.0, jc.history(), max_steps=1)
    best = jc.best(lambda r: r.state)
    outer = jf.iterate(lambda r: r, inner, best, max_steps=1)
    assert jf.records(outer) == []
