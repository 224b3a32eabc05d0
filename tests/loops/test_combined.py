"""Combined: callbacks made of callbacks, one's own among them, and what nests of them cost."""

import functools
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, counted, hlo, lane, raises
from jax.sharding import Mesh, PartitionSpec

import jfoundations as jf

jc = jf.callbacks
N = 8
every_driver = pytest.mark.parametrize("driver", DRIVERS)


def inc(x):
    return x + 1


def double(x):
    return 2 * x, False


def at(name, row):
    """Return a callback that asks to stop at the steps where a row of bools holds."""
    return jf.stop_when(jf.partial(_at_step, row), name=name)


def _at_step(row, x, *, step):
    return row[step]


# Three combinators of a user's own.


def _most(members, state):
    state, stops = yield members(state)
    return state, 2 * jnp.sum(jnp.array(stops)) > len(stops)


def majority(*callbacks):
    """Ask to stop when most of the callbacks do."""
    return jf.Combined(callbacks, _most, name="majority")


def _hear_unless(members, state, *, predicates):
    state, (stop,) = yield members(state, where=~predicates[0](state))
    return state, stop


def unless(predicate, *callbacks):
    """Let callbacks hear only where a predicate does not hold."""
    return jf.Combined((jf.chain(*callbacks),), _hear_unless, name="unless", predicates=[predicate])


def _hear_in_turns(members, own, state):
    state, (one,) = yield members[0](state, where=own["turn"])
    state, (other,) = yield members[1](state, where=~own["turn"])
    return {"turn": ~own["turn"]}, state, one | other


def _first_turn(state):
    return jnp.array(True)


def in_turns(a, b):
    """Let two callbacks hear every other step each."""
    return jf.Combined((a, b), _hear_in_turns, name="in_turns", own={"turn": _first_turn})


def always(x):
    return x, x > -1


OWN = {
    "majority": lambda: majority(at("a", A), at("b", B), at("c", C)),
    "unless": lambda: unless(lambda x, *, step: step % 3 == 1, double, jc.history()),
    "in turns": lambda: in_turns(
        jf.chain(jc.history(), lambda x: (x + 5, x > 30)), jc.early_stopping(lambda x: -x, 3)
    ),
    "nested": lambda: jf.every(
        2, unless(lambda x: x < 3, in_turns(always, jc.best(abs))) | majority(A1, A1)
    ),
}
A, B, C = (jnp.array([k % n == n - 1 for k in range(N)]) for n in (2, 3, 5))
A1 = at("a1", A)


def test_majority_by_the_definition():
    rng = np.random.default_rng(0)

    @jax.jit
    def run(rows):
        return jf.iterate(inc, 0, majority(*map(at, "abc", rows)), max_steps=N)

    for _ in range(20):
        rows = rng.uniform(size=(3, N)) < 0.4
        most = rows.sum(axis=0) >= 2
        result = run(jnp.array(rows))
        assert int(result.steps) == (int(np.argmax(most)) + 1 if most.any() else N)
        assert result.reasons == (("majority",) if most.any() else ("max_steps",))


@every_driver
def test_unless_by_a_loop_of_pythons(driver):
    result = jf.iterate(inc, 0, OWN["unless"](), max_steps=N, driver=driver)
    x, seen = 0, []
    for step in range(N):
        x += 1
        if step % 3 != 1:
            x *= 2
            seen.append(x)
    memory = result.memory["unless"]["double | history"]["history"]
    assert int(result.state) == x and memory.values.tolist() == seen


def test_unless_hears_as_when_of_the_opposite():
    for callback in (double, jc.best(abs), jc.early_stopping(abs, 2), jf.every(2, double)):
        one = unless(lambda x, *, step: step < 3, callback)
        other = jf.when(lambda x, *, step: ~(step < 3), callback)
        a, b = (jf.iterate(inc, 0, c, max_steps=N) for c in (one, other))
        assert_same((a.state, a.steps), (b.state, b.steps))


@every_driver
def test_turns_by_a_loop_of_pythons(driver):
    result = jf.iterate(inc, 0, OWN["in turns"](), max_steps=N, driver=driver)
    x, best, wait, seen, step = 0, np.inf, 0, [], -1
    for step in range(N):
        x += 1
        if step % 2 == 0:
            seen.append(x)
            stop = x > 30
            x += 5
        else:
            better = -x < best
            best, wait = (-x, 0) if better else (best, wait + 1)
            stop = wait >= 3
        if stop:
            break
    assert int(result.state) == x and int(result.steps) == step + 1
    memory = result.memory["in_turns"]
    assert bool(memory["turn"]) == (step % 2 == 1)
    assert memory["history | lambda"]["history"].values.tolist() == seen
    assert int(memory["early_stopping"]["wait"]) == wait


@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_drivers_jit_lanes_and_resumed_runs_agree(make):
    run = lambda x, n=N: jf.iterate(inc, x, make(), max_steps=n)  # noqa: E731
    whole = run(jnp.int32(0))
    for driver in DRIVERS:
        assert_same(jf.iterate(inc, jnp.int32(0), make(), max_steps=N, driver=driver), whole)
    assert_same(jax.jit(run)(jnp.int32(0)), whole)
    starts = jnp.arange(3, dtype=np.int32) * 13
    lanes = jax.jit(jax.vmap(run))(starts)
    for k in range(3):
        assert_same(lane(lanes, k), run(starts[k]))
    for k in (0, 1, 3):
        assert_same(jf.resume(run(jnp.int32(0), k), inc, make(), max_steps=N), whole)
    *_, last = jf.chunks(inc, jnp.int32(0), make(), max_steps=N, every=3)
    assert_same(last, whole)


@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_it_is_a_value(make):
    one = make()
    leaves, structure = jax.tree.flatten(one)
    same = jax.tree.unflatten(structure, leaves)
    assert one == same and hash(one) == hash(same) and repr(one) == repr(same)
    assert (same.name, same.events) == (one.name, one.events)
    assert jax.tree.structure([one]) == jax.tree.structure([jax.tree.map(jnp.copy, one)])


def test_rebuilt_ones_do_not_retrace_and_settings_may_be_swept():
    step, traces = counted(inc)
    rows = [A, B, C]
    runs = [
        int(jf.iterate(step, 0, majority(at("a", r), at("b", r)), max_steps=N).steps) for r in rows
    ]
    assert runs == [2, 3, 5]
    first = len(traces)
    jf.iterate(step, 0, majority(at("a", A), at("b", B)), max_steps=N)
    assert len(traces) == first
    batch = jax.tree.map(lambda *r: jnp.stack(r), *(majority(at("a", r)) for r in rows))
    steps = jax.vmap(lambda stop: jf.iterate(inc, 0, stop, max_steps=N).steps)(batch)
    assert steps.tolist() == [2, 3, 5]


def test_it_may_be_pickled():
    stop = pickle.loads(pickle.dumps(majority(jc.converged(), jc.early_stopping(abs, 2), always)))
    assert stop == majority(jc.converged(), jc.early_stopping(abs, 2), always)


def test_operators_and_names():
    whole = ~majority(always, always) & A1
    assert whole.name == "~majority & a1" and isinstance(whole, jf.Combined)
    assert int(jf.iterate(inc, 0, whole, max_steps=N).steps) == N
    assert int(jf.iterate(inc, 0, majority(whole, A1, A1), max_steps=N).steps) == 2
    assert jf.Combined((always, double), _most, transparent=True).name == "always+double"
    memory = jf.iterate(inc, 0, majority(COUNT, COUNT, A1), max_steps=1).memory["majority"]
    assert {k: int(v) for k, v in memory.items()} == {"n": 1, "n_2": 1}


COUNT = jf.Callback(lambda x: 0, name="n", after_step=lambda n, x: (n + 1, x, False))


def test_a_transparent_one_shows_the_memories_as_they_are():
    def hear(members, state):
        state, stops = yield members(state)
        return state, False

    one = jf.Combined((COUNT,), hear, transparent=True)
    two = jf.Combined((COUNT, double), hear, transparent=True)
    memory = jf.iterate(inc, 0, one, two, max_steps=3).memory
    assert int(memory["n"]) == 3 and int(memory["n+double"][0]) == 3 and memory["n+double"][1] == ()


def test_events_are_those_of_the_members_and_after_step():
    seen = []

    def hear(members, state, *, event):
        seen.append((event, len(members)))
        state, stops = yield members(state)
        return state, stops[0]

    class Ends:
        def before_run(self, x):
            return x + 100, False

        def after_run(self, x):
            return -x, True

    def run(**options):
        seen.clear()
        both = jf.Combined((Ends(), jf.Callback(before_step=double)), hear, **options)
        return int(jf.iterate(inc, 0, both, max_steps=1, driver="python").state)

    assert run() == -201
    assert {e for e, _ in seen} == {"before_run", "before_step", "after_step", "after_run"}
    assert run(transparent=True) == -201
    assert {e for e, _ in seen} == {"before_run", "before_step", "after_run"}
    pipe = jf.Pipe(twice=lambda x: 2 * x)
    staged = jf.Combined((jf.Callback(after_twice=lambda x: (x + 1, False)),), hear)
    assert int(jf.iterate(pipe, 1, staged, max_steps=2).state) == 7
    with raises(ValueError, "callback 1 of 1, combined: no event is called 'after_twice'"):
        jf.iterate(inc, 1, staged, max_steps=2)


def test_hear_decides_who_hears_what_and_how_often():
    def on_part(members, state):  # the member sees one part of the state
        x, (stop,) = yield members[0](state["x"])
        return {**state, "x": x}, stop

    def backwards(members, state):
        for member in list(members)[::-1]:
            state, _ = yield member(state)
        return state, False

    def twice(members, state):
        for _ in range(2):
            state, _ = yield members[1:](state)
        return state, False

    step = lambda s: {"x": s["x"] + 1, "y": s["y"]}  # noqa: E731
    part = jf.Combined((lambda x: (x * 2, x > 5),), on_part)
    result = jf.iterate(step, {"x": 0, "y": 7}, part, max_steps=9)
    assert (int(result.state["x"]), int(result.state["y"]), int(result.steps)) == (14, 7, 3)
    add = lambda x: (x + 3, False)  # noqa: E731
    assert int(jf.iterate(inc, 0, jf.Combined((double, add), backwards), max_steps=1).state) == 8
    counts = jf.iterate(inc, 0, jf.Combined((COUNT, COUNT), twice), max_steps=3).memory["combined"]
    assert [int(n) for n in counts.values()] == [0, 6]


def test_what_is_known_leaves_nothing_in_the_program():
    def never(members, state):
        state, stops = yield members(state, where=False)
        return state, any(stops)

    def whatever(members, state):
        state, stops = yield members(state, where=np.bool_(True))
        return state, False

    bare = hlo(lambda x: jf.iterate(inc, x, max_steps=N), jnp.int32(0))
    shut = jf.Combined((always, double), never)
    mute = jf.Combined((lambda x: (x, True),), whatever)
    for callback in (shut, mute, jf.Combined((), lambda members, state: (state, False))):
        assert hlo(lambda x, c=callback: jf.iterate(inc, x, c, max_steps=N), jnp.int32(0)) == bare


def test_no_key_is_drawn_for_a_callback_that_names_none():
    run = lambda key: jf.iterate(inc, 0, majority(A1, A1), max_steps=N, key=key)  # noqa: E731
    key = jax.random.key(0)
    assert hlo(run, key).count("threefry") == 0
    heads = jf.stop_when(lambda x, *, key: jax.random.bernoulli(key, 0.3))
    alone = jf.iterate(inc, 0, heads, max_steps=99, key=key)
    deep = ~~majority(~~heads)
    assert int(jf.iterate(inc, 0, deep, max_steps=99, key=key).steps) == int(alone.steps) > 1


def test_a_predicate_learns_which_lanes_live():
    seen = jf.Callback(lambda x: 0, name="seen", after_step=lambda n, x: (n + 1, x, False))
    gate = unless(lambda x, *, live, max_steps: ~jnp.asarray(live) | (x > max_steps), seen)
    run = lambda x: jf.iterate(inc, x, gate, at("a", B), max_steps=N).memory["unless"]["seen"]  # noqa: E731
    assert jax.vmap(run)(jnp.array([0, 6])).tolist() == [3, 2]


def test_a_stop_that_hear_makes_needs_no_member():
    def hear(members, own, state):
        return {"n": own["n"] + 1}, state, own["n"] >= 3

    result = jf.iterate(
        inc, 0, jf.Combined((), hear, own={"n": lambda x: jnp.int32(0)}), max_steps=9
    )
    assert int(result.steps) == 4 and int(result.memory["combined"]["n"]) == 4


def test_descriptions():
    stop = in_turns(jc.history(capacity=3), majority(A1, jc.early_stopping(abs, 2), A1))
    found = jf.describe_loop(inc, stop, unless(lambda x: x > 3, double), state=jnp.float32(1))
    assert found.stops == {"in_turns": ("after_step",), "unless": ()}
    assert found.memory == {"in_turns": 1 + 4 * (3 + 1) + 8}


# Messages


def heard_by(hear, *members, **options):
    return lambda: jf.iterate(inc, 0, jf.Combined(members, hear, **options), max_steps=3)


def _forgets(members, state):
    state, stops = members(state)
    return state, stops[0]


def _yields_members(members, state):
    state, stops = yield members
    return state, stops[0]


def _one(members, state):
    state, (stop,) = yield members(state)
    return state, stop


def _bad_where(members, state):
    state, stops = yield members(state, where=jnp.ones(2) > 0)
    return state, False


def _unknown(members, state, *, events):
    return state, False


def _remembers(members, own, state):
    return {"n": 1.5}, state, False


MESSAGES = {
    "forgets": (heard_by(_forgets, double), TypeError, "state, stops = yield members(state)"),
    "yields": (heard_by(_yields_members, double), TypeError, "yielded one Members; yield members("),
    "where": (heard_by(_bad_where, double), TypeError, "where: stop has shape (2,), a scalar"),
    "word": (
        heard_by(_unknown, double),
        TypeError,
        "it needs 'events', which a loop does not know",
    ),
    "did you mean": (heard_by(_unknown, double), TypeError, "did you mean event?"),
    "operands": (heard_by(lambda state: 3, double), TypeError, "called with (members, state)"),
    "answer": (
        heard_by(lambda members, state: state),
        TypeError,
        "combined, after_step: it returned",
    ),
    "own": (
        heard_by(_remembers, own={"n": lambda x: jnp.int32(0)}),
        TypeError,
        "combined, after_step: memory['n'] was int32[] and became float",
    ),
    "own init": (
        heard_by(_remembers, own={"n": lambda x: "a"}),
        TypeError,
        "combined, n: the leaf",
    ),
    "member": (
        lambda: jf.Combined((3,), _one, name="mine"),
        TypeError,
        "int in mine: 3 is no callback",
    ),
    "hear": (lambda: jf.Combined((double,), 3), TypeError, "Combined combined: hear"),
    "predicate": (
        lambda: jf.Combined((), _one, predicates=[3]),
        TypeError,
        "Combined combined: a pred",
    ),
    "init": (lambda: jf.Combined((), _one, own={"n": 3}), TypeError, "own['n']"),
    "name": (
        lambda: jf.Combined((), _one, name=""),
        TypeError,
        "name is ''; it must be a non-empty",
    ),
    "transparent": (
        lambda: jf.Combined((double,), _one, own={"n": jnp.sum}, transparent=True),
        ValueError,
        "it is transparent, so its memory has no place for own",
    ),
    "key": (
        heard_by(_one, unless(lambda x, *, key: x > 0, double)),
        TypeError,
        "the predicate of unless: it names key, but the loop has none",
    ),
    "member's key": (
        heard_by(_one, lambda x, *, key: (x, False)),
        TypeError,
        "lambda, after_step: it names key, but the loop has none",
    ),
    "member's answer": (
        heard_by(_one, lambda x: x),
        TypeError,
        "lambda, after_step: it returned one",
    ),
}


@pytest.mark.parametrize("make, kind, text", MESSAGES.values(), ids=MESSAGES)
def test_messages(make, kind, text):
    with raises(kind, text):
        make()


def test_a_collective_that_some_would_not_reach_is_refused():
    mesh = Mesh(np.array(jax.devices()), ("data",))
    centre = lambda s: (s - jax.lax.pmean(s, "data"), False)  # noqa: E731

    def run(predicate):
        loop = lambda x: jf.iterate(  # noqa: E731
            lambda s: 2 * s, x[0], unless(predicate, centre), max_steps=4
        ).state[None]
        split = PartitionSpec("data")
        return jax.jit(jax.shard_map(loop, mesh=mesh, in_specs=split, out_specs=split))

    starts = jnp.arange(1.0, mesh.size + 1)
    if mesh.size > 1:
        with raises(
            ValueError, "where: it differs across the mesh axis 'data'", "agree(…, 'data')"
        ):
            run(lambda s: s < 20.0).lower(starts)
    agreed = run(lambda s: jf.agree(s < 20.0, "data", "all"))(starts)
    assert agreed.shape == starts.shape


# What nests cost

NESTS = {
    "~": lambda c: ~c,
    "|": lambda c: c | A1,
    "& |": lambda c: (c & A1) | A1,
    "every": lambda c: jf.every(2, c),
    "every, ~": lambda c: ~jf.every(2, c),
    "agree": lambda c: jf.agree(c, "lanes"),
    "majority": lambda c: majority(c, A1),
    "unless": lambda c: unless(lambda x: x > 3, c),
    "in turns": lambda c: in_turns(c, A1),
}


def nest(make, inner, n):
    for _ in range(n):
        inner = make(inner)
    return inner


class Counted:
    """A callback that counts how often its signature is looked at, and how often it is called."""

    def __init__(self):
        self.looks, self.calls = 0, 0

    @property
    def __signature__(self):
        self.looks += 1
        return inspect.signature(lambda x: x)

    def __call__(self, x):
        self.calls += 1
        return x + 0, x > 99


def counts(*callbacks):
    """Return how often a loop with the callbacks looks at one, and calls it."""
    watched = Counted()
    whole = [c(watched) for c in callbacks]
    pipe = jf.Pipe(inc)
    jax.jit(lambda x: jf.iterate(pipe, x, *whole, max_steps=3)).lower(jnp.int32(0))
    return watched.looks, watched.calls


def test_members_are_looked_at_once_a_loop_however_deep_they_are():
    alone = counts(lambda c: c)
    hears_all = lambda c: jf.Callback(**dict.fromkeys(EVENTS, c))  # noqa: E731
    for name in set(NESTS) - {"agree"}:
        one, many = (counts(lambda c, n=n, f=NESTS[name]: nest(f, A1 | c, n)) for n in (1, 40))
        assert many == one and one[0] == alone[0], name
    looks = counts(hears_all)[0]
    assert counts(lambda c: nest(NESTS["every, ~"], A1 | hears_all(c), 9))[0] == looks


EVENTS = ("before_run", "before_step", "after_step", "after_run")


@pytest.mark.parametrize("name", NESTS)
def test_the_program_grows_with_the_depth(name):
    def lines(n):
        callback = nest(NESTS[name], A1, n)
        run = lambda x: jf.iterate(inc, x, callback, max_steps=3)  # noqa: E731
        return hlo(jax.vmap(run, axis_name="lanes"), jnp.arange(2, dtype=np.int32)).count("\n")

    few, some, many = map(lines, (10, 20, 40))
    assert many - some <= 2 * (some - few)


def test_a_thousand_deep():
    """Deeper than Python's own calls may be: the tree, its normal form and its events."""
    stop = nest(NESTS["~"], A1, 1000)
    leaves, structure = jax.tree.flatten(stop)
    assert jax.tree.unflatten(structure, leaves) == stop and hash(stop)
    assert int(jf.iterate(inc, 0, stop, max_steps=N).steps) == 2
    assert int(jf.iterate(inc, 0, ~stop, max_steps=N, driver="python").steps) == 1
    assert jf.describe_loop(inc, stop, state=0).stops == {stop.name: ("after_step",)}
    gates = nest(NESTS["every"], double, 1000)
    assert int(jf.iterate(inc, 0, gates, max_steps=4).state) == 12
    joined = functools.reduce(lambda a, b: a | b, [A1] * 1000)
    assert len(joined.members) == 1000 and int(jf.iterate(inc, 0, joined, max_steps=N).steps) == 2
