"""Time travel: which copies `snapshots` keeps, and that from them every step is found again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from callback_oracles import snapshots_oracle
from helpers import DRIVERS, assert_same, counted, lane, raises

import jfoundations as jf

jc = jf.callbacks
N = 23
KEY = jax.random.key(5)
START = {"x": jnp.array([0.5, -2.0]), "n": jnp.zeros((), np.int32), "key": jax.random.key(1)}


def walk(s, *, key):
    """Take a step that needs all there is: a key of the loop's, one of the state's, a count."""
    drawn = jax.random.normal(jax.random.fold_in(s["key"], 7), (2,))
    x = 0.9 * s["x"] + 0.1 * drawn + 0.01 * jax.random.normal(key, (2,))
    return {"x": x, "n": s["n"] + 1, "key": jax.random.fold_in(s["key"], 1)}


def size(s):
    return jnp.sum(s["x"] ** 2)


class Both:
    """Changes the state before and after the run, and in it."""

    def before_run(self, s):
        return {**s, "x": s["x"] + 1}, False

    def after_step(self, s):
        return {**s, "x": s["x"] * 0.75}, False

    def after_run(self, s):
        return {**s, "n": -s["n"]}, False


late = jf.stop_when(lambda s: s["n"] >= 19, name="late")
SEEN = jc.snapshots(capacity=5)
RUNS = {
    "alone": (SEEN,),
    "amid others": (jc.history(size), SEEN, Both(), jc.best(size), jc.ema(size, decay=0.5)),
    "first, stopped": (SEEN, jc.early_stopping(size, patience=3) | late, jc.history(size)),
    "last, rolled back": (jc.rollback_on_nonfinite(size, retries=1), jf.every(2, Both()), SEEN),
    "two": (SEEN, jc.history(size, every=3), jc.snapshots(capacity=3)),
}


def run(heard, n=N, start=START, **options):
    return jf.iterate(walk, start, *heard, max_steps=n, key=KEY, **options)


def replay(result, heard, at, **options):
    return jf.replay(result, walk, *heard, at=at, key=KEY, **options)


def others(result):
    """Return a result without its snapshots, which are those of the whole run."""
    mine = {name: m for name, m in result.memory.items() if not isinstance(m, jc.Snapshots)}
    return result.state, result.steps, result.stopped_by, mine


@pytest.mark.parametrize("name", RUNS)
def test_every_step_is_found_again_with_all_memories(name):
    heard = RUNS[name]
    result = run(heard)
    end = int(result.steps)
    there = jf.chunks(walk, START, *heard, max_steps=N, key=KEY, every=1)
    for k, chunk in enumerate(there, 1):
        found = replay(result, heard, k)
        if k < end:  # of which the chunk has not heard after_run
            state, memories = found.resumable or (found.state, None)
            assert_same((state, *others(found)[1:]), others(chunk))
            if memories is not None:
                rows = [m for m in memories if not isinstance(m, jc.Snapshots)]
                kept = [m for m in chunk.resumable[1] if not isinstance(m, jc.Snapshots)]
                assert_same(rows, kept)
    assert_same(replay(result, heard, end), result)
    assert k == end


@pytest.mark.parametrize("k", [0, 9])
def test_a_replay_is_the_shorter_run(k):
    heard = (jc.best(size), *RUNS["first, stopped"][:2], Both())
    found, short = replay(run(heard), heard, k), run(heard, k)
    assert_same(others(found), others(short))
    assert found.reasons == short.reasons and found.names == short.names


def test_from_a_replay_the_run_goes_on_to_its_own_bits():
    heard = RUNS["amid others"]
    result = run(heard)
    for k in (0, 1, 8, 17, N):
        back = replay(result, heard, k)
        assert_same(jf.resume(back, walk, *heard, max_steps=N, key=KEY), result)


def scramble(s):
    return s * np.uint32(1664525) + np.uint32(1013904223)


def test_every_step_of_ten_thousand():
    """One program for all of them, with the step an argument."""
    seen, n = jc.snapshots(), 10_000
    states = jc.history(initial=True)
    result = jf.iterate(scramble, np.uint32(1), seen, max_steps=n)
    true = jf.iterate(scramble, np.uint32(1), states, max_steps=n).memory["history"].values
    back = jax.jit(jax.vmap(lambda k: jf.replay(result, scramble, seen, at=k)))
    found = back(jnp.arange(n + 1))
    assert np.array_equal(found.state, true) and np.array_equal(found.steps, range(n + 1))


def test_a_nan_born_late_in_a_million_steps():
    def step(s):
        return {"x": jnp.where(s["n"] == 700_000, jnp.nan, s["x"] * 0.999), "n": s["n"] + 1}

    seen, nan = jc.snapshots(), lambda s: jnp.isnan(s["x"])
    result = jf.iterate(step, {"x": 1.0, "n": 0}, seen, max_steps=10**6)
    for monotone in (True, False):
        born = jf.first(result, step, seen, where=nan, monotone=monotone)
        assert born == 700_001
    before = jf.replay(result, step, seen, at=born - 1)
    assert np.isfinite(before.state["x"]) and before.state["n"] == 700_000
    # The steps that are taken again: at most one distance, and this is short beside the run.
    assert int(result.memory["snapshots"].spacing) <= 2 * 10**6 / 31


# what is kept


@pytest.mark.parametrize("capacity", [3, 5, 31])
def test_the_copies_are_those_of_the_oracle(capacity):
    seen, n = jc.snapshots(capacity=capacity), 150
    for result in jf.chunks(lambda s: s + 1, 0, seen, max_steps=n, every=1):
        memory, steps = result.memory["snapshots"], int(result.steps)
        spacing, rows = snapshots_oracle(steps, capacity)
        assert memory.spacing == spacing <= max(1, 2 * steps / capacity)
        assert {row: int(memory.states[row]) for row in rows} == rows
        assert sorted(rows.values()) == list(range(0, steps + 1, spacing))


def test_resumed_in_chunks_and_at_once_they_are_the_same():
    heard = RUNS["amid others"]
    result = run(heard)
    half = run(heard, 9)
    assert_same(jf.resume(half, walk, *heard, max_steps=N, key=KEY), result)
    *_, last = jf.chunks(walk, START, *heard, max_steps=N, every=4, key=KEY)
    assert_same(last, result)


@pytest.mark.parametrize("driver", DRIVERS[1:])
def test_every_driver_keeps_the_same(driver):
    heard = RUNS["first, stopped"]
    assert_same(run(heard, driver=driver), run(heard))


def test_the_memory_is_that_of_so_many_states_whatever_the_steps():
    state = {"w": jnp.ones((50, 20)), "n": jnp.zeros((), np.int32)}

    def halve(s):
        return {"w": s["w"].at[0].multiply(0.5), "n": s["n"] + 1}

    def bytes_of(tree):
        return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))

    best = jc.best(lambda s: s["n"])
    for n in (10, 10**5):
        loop = lambda s, n=n: jf.iterate(halve, s, best, jc.snapshots(), max_steps=n)  # noqa: E731
        memory = jax.eval_shape(loop, state).memory
        sizes = [jax.tree.map(lambda s: np.empty(s.shape, s.dtype), m) for m in memory.values()]
        of_best, kept = map(bytes_of, sizes)
        assert kept == 31 * (bytes_of(state) + of_best) + 4
        # No copy of them is made within the loop, nor of the state.
        compiled = jax.jit(loop).lower(state).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < bytes_of(state) + of_best


def test_lanes_keep_their_own():
    heard = RUNS["first, stopped"]
    starts = jax.vmap(
        lambda a: {**START, "x": START["x"] * a.astype(START["x"].dtype), "n": START["n"] + a}
    )(jnp.arange(3, dtype=np.int32))
    lanes = jax.vmap(lambda s: run(heard, start=s))(starts)
    back = jax.jit(jax.vmap(lambda result, k: replay(result, heard, k)))
    ks = jnp.minimum(lanes.steps, jnp.array([4, 99, 11], np.int32))
    found = back(lanes, ks)
    for i in range(3):
        alone = run(heard, start=lane(starts, i))
        assert_same(lane(lanes, i), alone)
        assert_same(others(lane(found, i)), others(replay(alone, heard, ks[i])))


def test_in_jit_and_saved(tmp_path):
    heard = RUNS["amid others"]
    result = run(heard)
    whole = jax.jit(lambda s: replay(run(heard, start=s), heard, 7))(START)
    assert_same(others(whole), others(replay(result, heard, 7)))
    jf.save(tmp_path / "run", result)
    loaded = jf.load(tmp_path / "run", like=result)
    assert_same(replay(loaded, heard, 7), replay(result, heard, 7))


def test_python_numbers_64_bits_and_nothing_at_all():
    count = jf.Callback(lambda s: 0, name="count", after_step=lambda m, s: (m + s, s, False))
    for wide in (False, True):
        with jax.enable_x64(wide):
            heard = (jc.snapshots(capacity=3), count)  # whose memory of 0 becomes a float
            result = jf.iterate(lambda x: x * 0.5, 1, *heard, max_steps=9)
            found = jf.replay(result, lambda x: x * 0.5, *heard, at=4)
            assert found.state == 0.0625 and found.memory["count"] == 0.9375
            assert found.state.dtype == found.memory["count"].dtype == jnp.zeros(()).dtype
    nothing = jf.iterate(lambda s: s, (), SEEN, max_steps=9)
    assert jf.replay(nothing, lambda s: s, SEEN, at=4).steps == 4


def test_no_gradient_is_changed():
    def loss(x, *heard):
        step = lambda x: jnp.sin(x) + x * x  # noqa: E731
        return jf.iterate(step, x, *heard, max_steps=5, driver="scan").state

    assert jax.grad(loss)(0.3) == jax.grad(lambda x: loss(x, SEEN))(0.3)
    assert jax.jvp(lambda x: loss(x, SEEN), (0.3,), (1.0,))[1] == jax.jvp(loss, (0.3,), (1.0,))[1]


def test_of_a_loop_within_a_loop_that_runs_again():
    """Its steps begin anew, and so do its snapshots."""
    seen = jc.snapshots(capacity=3)
    double = lambda x: 2 * x  # noqa: E731
    begin = jf.iterate(double, 1, seen, max_steps=0)
    again = lambda r: jf.resume(r.again(), double, seen, max_steps=7)  # noqa: E731
    result = jf.iterate(again, begin, max_steps=3).state
    found = [int(jf.replay(result, double, seen, at=k).state) for k in range(8)]
    assert found == [2 ** (14 + k) for k in range(8)]
    assert jf.first(result, double, seen, where=lambda x: x >= 2**16) == 2
    start = result.again()
    assert jf.replay(start, double, seen, at=0).state == 2**21
    assert jf.first(start, double, seen, where=lambda x: x == 2**21) == 0


def test_of_a_scan_of_ones_own():
    body = jf.as_scan_body(scramble, SEEN)
    carry, _ = jax.lax.scan(body, body.init(np.uint32(1)), length=20)
    true = jf.iterate(scramble, np.uint32(1), max_steps=13).state
    assert jf.replay(body.result(carry), scramble, SEEN, at=13).state == true


def test_one_trace_for_all_steps():
    step, traces = counted(lambda x: x * 2)
    result = jf.iterate(step, 1, SEEN, max_steps=20)
    jf.replay(result, step, SEEN, at=3)
    n = len(traces)
    for at in (5, np.int32(6), jnp.array(7), np.uint8(8)):
        assert jf.replay(result, step, SEEN, at=at).state == 2 ** int(at)
    assert len(traces) == n


def test_a_run_that_never_began():
    none = jf.Callback(name="none", before_run=lambda s: (s + 1, True))
    result = jf.iterate(plain, 5, SEEN, none, max_steps=9)
    assert_same(jf.replay(result, plain, SEEN, none, at=0), result)
    assert jf.first(result, plain, SEEN, none, where=lambda s: s == 6, monotone=True) == 0


def test_a_description_says_who_keeps_what():
    found = jf.describe_loop(plain, SEEN, jc.history(), state=0, max_steps=4)
    assert found.events[-2] == ("keep", ("snapshots",))
    assert found.memory == {"snapshots": 5 * (4 + 20) + 4, "history": 20}


def test_in_the_debugger_at_a_step():
    """A step by hand from a replay: callbacks see numbers, and the bits are the run's."""
    values = []

    def look(s):
        if not isinstance(s["x"], jax.core.Tracer):
            values.append(s["x"])  # where one would stand in the debugger
        return s, False

    heard, k = (SEEN, jc.history(size), look), 17
    result = run(heard)
    before = replay(result, heard, k - 1)
    by_hand = jf.resume(before, walk, *heard, max_steps=k, key=KEY, driver="python")
    found = replay(result, heard, k)
    assert_same(others(by_hand), others(found))
    assert_same(values, [found.state["x"]])


# the first step where something holds


def reached(k, n):
    return n >= k


def test_first_of_what_goes_on_to_hold_and_of_what_does_not():
    seen, step = jc.snapshots(capacity=3), lambda n: n + 1
    result = jf.iterate(step, 0, seen, max_steps=41)

    def both(where):
        ask = lambda monotone: jf.first(result, step, seen, where=where, monotone=monotone)  # noqa: E731
        return int(ask(False)), int(ask(True))

    for k in (0, 1, 2, 15, 16, 17, 31, 32, 33, 40, 41):
        assert both(jf.partial(reached, np.int32(k))) == (k, k)
    assert both(lambda n: n > 41) == (-1, -1)
    assert both(lambda n: False) == (-1, -1)
    assert both(lambda n, *, step: step >= 20) == (21, 21)
    assert jf.first(result, step, seen, where=lambda n: n == 5) == 5


def test_first_in_jit_and_lanes():
    step = lambda s: {**s, "x": s["x"] / 2}  # noqa: E731
    stop = jf.stop_when(lambda s: s["x"] < s["end"])

    def born(x, end):
        result = jf.iterate(step, {"x": x, "end": end}, SEEN, stop, max_steps=99)
        ask = lambda m: jf.first(result, step, SEEN, stop, where=lambda s: s["x"] < 1, monotone=m)  # noqa: E731
        return result.steps, ask(True), ask(False)

    x, end = jnp.array([1.0, 1024.0, 3.0, 0.5]), jnp.array([1e-9, 1e-3, 2.0, 0.1])
    steps, *found = jax.jit(jax.vmap(born))(x, end)
    assert steps.tolist() == [30, 20, 1, 3]
    assert found[0].tolist() == found[1].tolist() == [1, 11, -1, 0]


def test_first_sees_what_all_callbacks_leave():
    heard = (jc.snapshots(capacity=3), lambda s: (s + 10, False))
    result = jf.iterate(scale, 1, *heard, max_steps=9)
    assert jf.first(result, scale, *heard, where=lambda s: s > 30) == 2  # 1, 12, 34


def scale(s):
    return 2 * s


# bad input


def plain(x):
    return x + 1


@pytest.fixture(scope="module")
def done():
    return jf.iterate(plain, 0, SEEN, max_steps=9)


@pytest.mark.parametrize(
    "at, words",
    [
        (10, "replay: at is 10, but the run took 9 steps; resume goes on beyond its end"),
        (-1, "replay: at is -1; it must lie in 0"),
        (jnp.arange(2), "replay: at has shape (2,), a scalar is needed; take each by jax.vmap"),
    ],
)
def test_steps_that_were_not_taken(done, at, words):
    with raises(ValueError, words):
        jf.replay(done, plain, SEEN, at=at)


@pytest.mark.parametrize("at", [1.5, True, None, jnp.ones(())])
def test_steps_that_are_no_integers(done, at):
    with raises(TypeError, "replay: at is"):
        jf.replay(done, plain, SEEN, at=at)


def test_traced_steps_are_brought_into_the_run(done):
    back = jax.jit(lambda k: jf.replay(done, plain, SEEN, at=k).steps)
    assert [int(back(k)) for k in (-5, 3, 99, np.uint8(200), np.uint32(2**32 - 1))] == [
        0,
        3,
        9,
        9,
        9,
    ]


def test_what_cannot_be_gone_back_in(done):
    without = jf.iterate(plain, 0, jc.history(), max_steps=3)
    for ask in (lambda *a: jf.replay(*a, at=1), lambda *a: jf.first(*a, where=lambda x: x > 1)):
        with raises(ValueError, "the run kept no snapshots; give iterate", "snapshots()"):
            ask(without, plain, jc.history())
        with raises(ValueError, "the run had the callbacks ['snapshots'], now they are []"):
            ask(done, plain)
        with raises(TypeError, "it goes back in a LoopResult", "not in int32[]"):
            ask(np.int32(0), plain, SEEN)
    with raises(
        TypeError, "callback 1 of 1, snapshots: its memory was", "capacity=5", "capacity=3"
    ):
        jf.replay(done, plain, jc.snapshots(capacity=3), at=1)
    lanes = jax.vmap(lambda x: jf.iterate(plain, x, SEEN, max_steps=9))(jnp.arange(2))
    with raises(ValueError, "replay: the result is of 2 lanes; take each by jax.vmap", "replay("):
        jf.replay(lanes, plain, SEEN, at=3)


def test_who_asks_for_max_steps_needs_it_said():
    step = lambda x, *, max_steps: x + 1.0 / max_steps  # noqa: E731
    heard = (SEEN, jc.history())
    result = jf.iterate(step, 0.0, *heard, max_steps=8)
    with raises(ValueError, "replay: the step", "names max_steps, which a result does not tell"):
        jf.replay(result, step, *heard, at=2)
    assert jf.replay(result, step, *heard, at=2, max_steps=8).state == 0.25
    asking = jf.stop_when(lambda x, *, max_steps: x > max_steps, name="asking")
    result = jf.iterate(plain, 0, SEEN, asking, max_steps=8)
    with raises(ValueError, "first: callback 2 of 2, asking, after_step, names max_steps"):
        jf.first(result, plain, SEEN, asking, where=lambda x: x > 2)


def test_snapshots_stand_in_the_loop_itself():
    for wrap in (lambda c: jf.every(2, c), lambda c: c | late, lambda c: jf.Combined([c], max)):
        with raises(ValueError, "snapshots keeps all that a loop carries", "to the loop itself"):
            wrap(SEEN)
    assert jf.iterate(plain, 0, jf.chain(SEEN, jf.proceed), max_steps=3).state == 3


@pytest.mark.parametrize("capacity, kind", [(4, ValueError), (1, ValueError), (2.5, TypeError)])
def test_capacities_that_cannot_be(capacity, kind):
    with raises(kind, "snapshots: capacity is"):
        jc.snapshots(capacity=capacity)


def test_predicates_that_are_none(done):
    with raises(TypeError, "first: where is 3, which is not callable"):
        jf.first(done, plain, SEEN, where=3)
    with raises(TypeError, "first, where: it needs 'key'", "context is step"):
        jf.first(done, plain, SEEN, where=lambda x, *, key: x > 3)
    with raises(TypeError, "first, where: stop has shape (1,)"):
        jf.first(done, plain, SEEN, where=lambda x: x[None] > 3)
    with raises(TypeError, "first: monotone is 1, True or False is needed"):
        jf.first(done, plain, SEEN, where=lambda x: x > 3, monotone=1)
