"""Every callback of a loop has a name of its own, whatever the users called them.

Cause: repeated names were numbered without a look at the names that are there already, so that a,
a_2, a became a, a_2, a_2, and of two memories under one name one was lost. It acts wherever names
are made unique: in the loop, within `|`, `&`, `~` and `when`, for callbacks of the library as for a
user's; and wherever names are keys: `memory`, `stopped`, `reasons`, `table`, `describe_loop`,
`resume`, `chunks`, saved results.
"""

import itertools

import jax
import jax.numpy as jnp
import pytest
from helpers import DRIVERS, assert_same, raises

import jfoundations as jf
from jfoundations._loops.resolve import unique


def count(name, by=1, last=99):
    """Return a callback that counts by some number, and stops beyond a last one."""

    def hear(n, state):
        return n + by, state, n + by > last

    return jf.Callback(lambda state: jnp.int32(0), name=name, after_step=hear)


def inc(x):
    return x + 1


CASES = {
    ("a", "a_2", "a"): ["a", "a_2", "a_3"],
    ("a", "a", "a_2"): ["a", "a_3", "a_2"],
    ("a_2", "a", "a", "a"): ["a_2", "a", "a_3", "a_4"],
    ("a", "a_2", "a_2", "a"): ["a", "a_2", "a_2_2", "a_3"],
    ("a", "a", "a_2", "a_2", "a_2_2"): ["a", "a_3", "a_2", "a_2_3", "a_2_2"],
}


@pytest.mark.parametrize("names", CASES)
def test_three_names_are_three_memories_wherever_names_are_asked_for(names, tmp_path):
    expected = CASES[names]
    callbacks = [count(name, by=k + 1) for k, name in enumerate(names)]
    values = {name: 5 * (k + 1) for k, name in enumerate(expected)}
    whole = jf.iterate(inc, 0, *callbacks, max_steps=5)
    for run in (
        whole,
        jax.jit(lambda: jf.iterate(inc, 0, *callbacks, max_steps=5))(),
        jf.iterate(inc, 0, *callbacks, max_steps=5, driver="python"),
        jf.resume(jf.iterate(inc, 0, *callbacks, max_steps=2), inc, *callbacks, max_steps=5),
        [*jf.chunks(inc, 0, *callbacks, max_steps=5, every=2)][-1],
    ):
        assert list(run.names) == expected
        assert {name: int(value) for name, value in run.memory.items()} == values
        assert not any(bool(run.stopped(name)) for name in expected)
        lines = run.table().splitlines()
        assert [line.split() for line in lines[3:]] == [[n, str(v)] for n, v in values.items()]
    found = jf.describe_loop(inc, *callbacks, state=0)
    assert list(found.stops) == list(found.memory) == expected
    jf.save(tmp_path / "run", whole)
    assert_same(jf.load(tmp_path / "run", like=whole), whole)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_resumed_run_stops_where_the_whole_one_does(driver):
    callbacks = count("a", last=50), count("a_2", last=50), count("a", by=3, last=17)
    whole = jf.iterate(inc, 0, *callbacks, max_steps=20, driver=driver)
    assert int(whole.steps) == 6 and whole.reasons == ("a_3",) and bool(whole.stopped("a_3"))
    half = jf.iterate(inc, 0, *callbacks, max_steps=4, driver=driver)
    assert_same(jf.resume(half, inc, *callbacks, max_steps=20, driver=driver), whole)


def test_any_names_become_different_ones_and_the_first_of_each_stays():
    words = ("a", "a_2", "a_3", "a_2_2")
    for names in itertools.chain(*(itertools.product(words, repeat=n) for n in range(6))):
        made = unique(list(names))
        assert len({*made}) == len(names) and made == unique(list(names))
        for name in names:
            assert made[names.index(name)] == name
        assert unique(made) == made


def test_callbacks_of_the_library_and_functions():
    def history(state):
        return state, False

    seen = jf.callbacks.history(capacity=3), jf.watch(jf.folds.mean(), name="history_2")
    found = jf.iterate(inc, 0.0, *seen, history, jf.callbacks.history(), max_steps=3)
    assert found.names == ("history", "history_2", "history_3", "history_4")
    assert set(found.memory) == {"history", "history_2", "history_4"}
    assert found.memory["history_4"].values.tolist() == [1, 2, 3]


def test_names_within_others():
    members = [count(name, by=k + 1, last=6) for k, name in enumerate(("a", "a_2", "a"))]
    halt = jf.stop_when(lambda x: x > 90, name="halt")
    joined = halt | members[0] | members[1] | members[2]
    result = jf.iterate(inc, 0, joined, max_steps=9)
    assert int(result.steps) == 3
    (memory,) = result.memory.values()
    assert {k: int(v) for k, v in memory.items()} == {"a": 3, "a_2": 6, "a_3": 9}
    gated = jf.iterate(inc, 0, jf.every(2, *members), max_steps=4)
    assert [int(m) for m in gated.memory["a+a_2+a"]] == [2, 4, 6]


def test_a_member_named_as_what_joined_callbacks_note_down():
    early = jf.Callback(name="early", before_step=lambda x: (x, x == 2))
    asked = jf.Callback(
        lambda x: jnp.int32(0), name="asked", after_step=lambda n, x: (n + 1, x, x > 2)
    )
    joined = jf.stop_when(lambda x: x > 0, name="on") & early & asked
    result = jf.iterate(inc, 0, joined, max_steps=9)
    assert int(result.steps) == 3 and int(result.memory["on & early & asked"]["asked_2"]) == 3


def test_tables_show_every_leaf_whatever_its_callback_is_called():
    callbacks = count("state"), count("a['x']", by=2)
    start = {"x": jnp.int32(0)}
    pair = jf.Callback(lambda s: {"x": s["x"]}, name="a", after_step=lambda m, s: (m, s, False))
    run = lambda s: jf.iterate(lambda s: {"x": s["x"] + 1}, s, *callbacks, pair, max_steps=3)  # noqa: E731
    assert len(run(start).table().splitlines()) == 2 + 4
    lanes = jax.vmap(run)({"x": jnp.arange(2)})
    head, first, _ = lanes.table().splitlines()
    assert (
        head.split() == ["lane", "steps", "stopped", "by", "state['x']", "state"] + ["a['x']"] * 2
    )
    assert first.split() == ["0", "3", "max_steps", "3", "3", "6", "0"]


@pytest.mark.parametrize("name", [3, "", None, b"a"])
def test_a_name_is_a_word(name):
    with raises(TypeError, "Callback: name is", "a non-empty str"):
        jf.Callback(name=name)
