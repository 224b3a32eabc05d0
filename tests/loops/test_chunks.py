"""Chunks of a batch of runs, over a mesh, and within a budget of time: the bits of `iterate`."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, hlo, raises
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jfoundations as jf
from jfoundations._loops.chunks import CompiledLoop, LoopProgress
from jfoundations._loops.lanes import LaneAxes
from jfoundations._loops.plan import StepAndCallbacks

N = 9
jc = jf.callbacks
STARTS = jnp.array([8.0, 1.5, 300.0, 2.5])


def sink(x):
    return 0.5 * x + 0.5


def noisy(x, *, key):
    return 0.5 * x + jax.random.uniform(key, x.shape, x.dtype)


class Ends:
    """Changes the state before and after the run: each must be heard once."""

    def before_run(self, x):
        return x + 1.0, False

    def after_run(self, x):
        return -x, False


LOW = jf.stop_when(lambda x: x < 1.3, name="low")
HEARD = (jc.history(), jc.best(lambda x: x), jf.every(2, jc.history()), Ends(), LOW)


def mapped(step, starts, *heard, **run):
    return jax.vmap(lambda x: jf.iterate(step, x, *heard, max_steps=N, **run))(starts)


# Lanes


@pytest.mark.parametrize("heard", [HEARD, HEARD[:4], ()], ids=["stopped", "free", "bare"])
@pytest.mark.parametrize("every", [1, 4, None])
def test_lanes_have_the_bits_of_vmap(heard, every):
    whole = mapped(sink, STARTS, *heard)
    run = dict(max_steps=N, every=every, seconds=1e-9, lanes=True)
    results = list(jf.chunks(sink, STARTS, *heard, **run))
    assert_same(results[-1], whole)
    assert results[-1].reasons == whole.reasons
    if LOW in heard:
        assert len(set(whole.steps.tolist())) == 4
    for part in results[:-1:3]:
        *_, last = jf.chunks(sink, part, *heard, **run)
        assert_same(last, whole)
        again = jax.vmap(lambda r: jf.resume(r, sink, *heard, max_steps=N))(part)
        assert_same(again, whole)


def test_the_run_ends_when_all_lanes_have():
    steps = [
        r.steps.tolist() for r in jf.chunks(sink, STARTS, LOW, max_steps=10**9, every=3, lanes=True)
    ]
    whole = jax.vmap(lambda x: jf.iterate(sink, x, LOW, max_steps=99).steps)(STARTS).tolist()
    assert steps == [np.minimum(whole, k).tolist() for k in (3, 6, 9, 12)[: len(steps)]]
    assert steps[-1] == whole and max(whole) > 6


def test_keys_are_one_for_all_or_one_a_lane():
    key = jax.random.key(4)
    *_, shared = jf.chunks(noisy, STARTS, LOW, max_steps=N, every=4, lanes=True, key=key)
    assert_same(shared, mapped(noisy, STARTS, LOW, key=key))
    for keys in (jax.random.split(key, 4), jax.random.split(jax.random.PRNGKey(4), 4)):
        run = dict(max_steps=N, every=4, lanes=(False, False), key=keys)
        *_, own = jf.chunks(noisy, jnp.ones(()), **run)
        each = jax.vmap(lambda k: jf.iterate(noisy, jnp.ones(()), max_steps=N, key=k))(keys)
        assert_same(own, each)


def test_hyperparameters_may_differ_between_lanes():
    rates, patience = jnp.array([0.5, 0.75, 0.5]), jnp.array([1, 2, 3], np.int32)
    step = lambda rate: jf.partial(lambda rate, x: rate * x, rate)  # noqa: E731
    stop = lambda p: jc.early_stopping(lambda x: x + 1.0, patience=p, min_delta=0.25)  # noqa: E731

    def run(rate, patience):
        return jf.iterate(step(rate), 4.0, jc.history(), stop(patience), max_steps=N)

    whole = jax.vmap(run)(rates, patience)
    steps, stops = step(rates), jax.vmap(stop)(patience)
    options = dict(max_steps=N, every=2, lanes=(True, False, False, True))
    results = list(jf.chunks(steps, 4.0, jc.history(), stops, **options))
    assert_same(results[-1], whole)
    *_, last = jf.chunks(steps, results[0], jc.history(), stops, **options)
    assert_same(last, whole)
    assert len(set(whole.steps.tolist())) == 3


def test_lanes_that_nobody_stops_copy_no_history():
    """One count of steps for all lanes, and so a loop of which `vmap` selects nothing."""
    rows = 1237
    program = StepAndCallbacks(sink, (jc.history(),))
    loop = CompiledLoop(program, None, rows, LaneAxes((), 0, None))
    first = loop.begin(STARTS)
    text = hlo(lambda r: loop.advance(r, LoopProgress(0, False, True), rows), first)
    assert "stablehlo.while" in text
    assert not [s for s in text.splitlines() if "select" in s and f"x{rows}" in s]


def test_lanes_at_different_steps_are_taken_to_the_end():
    parts = [
        jf.iterate(sink, x, jc.history(capacity=N), max_steps=n) for x, n in ((8.0, 2), (4.0, 5))
    ]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    *_, last = jf.chunks(sink, batch, jc.history(capacity=N), max_steps=N, every=2, lanes=True)
    assert_same(last, mapped(sink, jnp.array([8.0, 4.0]), jc.history(capacity=N)))


def test_what_is_wrong_with_lanes_is_named():
    def wrong(state, lanes, *heard, key=None):
        return jf.chunks(sink, state, *heard, max_steps=N, lanes=lanes, key=key)

    with raises(ValueError, "chunks: state['a'] is float", "a leading axis of lanes"):
        wrong({"a": 1.0, "b": STARTS}, True)
    with raises(ValueError, "chunks: state['a'] has 4 lanes, but state['b'] has 3"):
        wrong({"a": STARTS, "b": STARTS[:3]}, True)
    with raises(ValueError, "state has 4 lanes, but key has 2"):
        wrong(STARTS, True, key=jax.random.split(jax.random.key(0)))
    with raises(ValueError, "there are no lanes"):
        wrong((), True)
    with raises(ValueError, "lanes has 2 bools, but there are 3 parts", "1 callbacks"):
        wrong(STARTS, (False, True), LOW)
    with raises(TypeError, "chunks: lanes is 1; give True, or a tuple of bools"):
        wrong(STARTS, 1)
    with raises(ValueError, "chunks: callback 1", "is int32[]"):
        wrong(STARTS, (False, True, True), jc.early_stopping(jnp.abs, patience=3))


# A mesh


def norm(x):
    return jnp.sum(x * x)


MESHED = (
    jc.history(norm),
    jc.history(capacity=3),
    jc.best(norm),
    jc.ema(decay=0.5),
    jf.stop_when(lambda x: norm(x) < 2.5, name="flat"),
)


@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto], ids=lambda kind: kind.name)
@pytest.mark.parametrize("lanes", [False, True], ids=["one run", "lanes"])
def test_a_sharding_is_kept(kind, lanes):
    if kind is AxisType.Explicit and not lanes and jax.__version_info__ < (0, 10):
        pytest.skip("JAX 0.9 loses explicit shardings in what the loop's step is made of")
    mesh = jax.make_mesh((8,), ("i",), axis_types=(kind,))
    sharding = NamedSharding(mesh, PartitionSpec("i"))
    values = jnp.linspace(1.0, 9.0, 32).reshape(16, 2)
    start = jax.device_put(values, sharding)
    results = list(jf.chunks(sink, start, *MESHED, max_steps=N, every=2, lanes=lanes))
    for result in results:
        best = result.memory["best"].state
        for leaf in (result.state, best, result.memory["ema"].value):
            assert leaf.sharding.mesh == mesh
            assert leaf.sharding.is_equivalent_to(sharding, 2)
    iterate = lambda x: jf.iterate(sink, x, *MESHED, max_steps=N)  # noqa: E731
    if lanes:  # each lane has its bits wherever it is
        assert_same(results[-1], jax.vmap(iterate)(values))
        assert len(set(results[-1].steps.tolist())) > 2
    else:  # sums depend on the number of devices, so the same are asked
        assert_same(results[-1], iterate(start))
        assert_same(results[-1].state, jf.iterate(sink, values, *MESHED, max_steps=N).state)
    *_, last = jf.chunks(sink, results[0], *MESHED, max_steps=N, lanes=lanes)
    assert_same(last, results[-1])
    assert last.state.sharding.is_equivalent_to(sharding, 2)


# A budget of time


def test_the_budget_ends_the_run_with_its_chunk():
    heard = (jc.history(), Ends())
    whole = jf.iterate(sink, 8.0, *heard, max_steps=N)
    (only,) = jf.chunks(sink, 8.0, *heard, max_steps=N, every=4, time_budget=1e-9)
    assert int(only.steps) == 4 and only.reasons == ("time_budget",)
    assert "4 steps, stopped by time_budget" in repr(only)
    assert_same(only.state, jf.iterate(sink, 8.0, *heard, max_steps=4).state)  # `after_run` heard
    assert_same(jf.resume(only, sink, *heard, max_steps=N), whole)
    *_, last = jf.chunks(sink, only, *heard, max_steps=N, every=4)
    assert_same(last, whole)
    assert last.reasons == ("max_steps",)
    rounds, result = 0, 8.0
    while rounds == 0 or result.reasons == ("time_budget",):
        *_, result = jf.chunks(sink, result, *heard, max_steps=N, every=4, time_budget=1e-9)
        rounds += 1
    assert rounds == 3
    assert_same(result, whole)


class Clock:
    """A clock that goes when it is told to, for steps and for who waits."""

    now = 0.0

    def monotonic(self):
        return self.now

    perf_counter = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(sys.modules[CompiledLoop.__module__], "time", clock)
    return clock


def test_the_for_body_is_part_of_the_budget(clock):
    results = []
    for result in jf.chunks(sink, 8.0, max_steps=10**6, every=1, time_budget=1.0):
        results.append(result)
        if len(results) == 2:
            clock.now += 1.0
    assert [int(r.steps) for r in results] == [1, 2, 2]
    assert [r.reasons for r in results] == [("max_steps",)] * 2 + [("time_budget",)]


def test_a_run_that_ends_within_its_budget_does_not_mention_it():
    run = dict(every=4, time_budget=1e-9)
    (only,) = jf.chunks(sink, 8.0, LOW, max_steps=10**6, every=20, time_budget=1e-9)
    assert only.reasons == ("low",)
    (only,) = jf.chunks(sink, 8.0, max_steps=4, **run)
    assert only.reasons == ("max_steps",)
    *_, last = jf.chunks(sink, 8.0, LOW, max_steps=N, every=1, time_budget=1e6)
    assert_same(last, jf.iterate(sink, 8.0, LOW, max_steps=N))


def test_a_budget_of_lanes():
    run = dict(max_steps=N, every=4, lanes=True)
    (only,) = jf.chunks(sink, STARTS, *HEARD, time_budget=1e-9, **run)
    assert only.reasons[1] == ("low",) and only.reasons[2] == ("time_budget",)
    *_, last = jf.chunks(sink, only, *HEARD, **run)
    assert_same(last, mapped(sink, STARTS, *HEARD))


def test_chunks_are_tuned_to_what_is_left(clock, monkeypatch):
    advance = CompiledLoop.advance

    def timed(self, result, at, limit):
        clock.now += 1e-4 * max(0, limit - at.steps)
        return advance(self, result, at, limit)

    monkeypatch.setattr(CompiledLoop, "advance", timed)
    run = dict(max_steps=2**30, seconds=60, time_budget=0.5)
    ends = [int(r.steps) for r in jf.chunks(sink, 8.0, **run)]
    # A chunk of a minute would have been 600 000 steps; the last is what was left.
    assert 1 < len(ends) < 10 and ends[-1] == pytest.approx(5000, abs=2)


def test_a_budget_does_not_retrace_what_goes_on():
    step, traces = counted(sink)
    start = jnp.ones(())
    (part,) = jf.chunks(step, start, max_steps=N, every=4, time_budget=1e-9)
    jf.resume(dataclasses.replace(part, limit="max_steps"), step, max_steps=N)
    first = len(traces)
    jf.resume(part, step, max_steps=N)
    list(jf.chunks(step, part, max_steps=N, every=4, time_budget=1e6))
    before = len(traces)
    list(jf.chunks(step, part, max_steps=N, every=4))
    assert len(traces) == before and before - first <= 2


def test_a_budget_is_positive():
    with raises(ValueError, "chunks: time_budget is 0; it must be positive"):
        jf.chunks(sink, 8.0, max_steps=3, time_budget=0)
