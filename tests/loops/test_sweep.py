"""Sweeps: each run of many is its own `iterate`, however few the lanes that they go through."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, hlo, lane, raises
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.custom_batching import custom_vmap
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from loop_cases import AXIS, CALLBACKS, START, step_of

import jfoundations as jf

N = 6
jc = jf.callbacks
RUNS = 11
MANY = {
    "x": START["x"][None] + 0.5 * jnp.arange(RUNS, dtype=START["x"].dtype)[:, None],
    "rate": jnp.linspace(0.1, 0.95, RUNS, dtype=START["x"].dtype),
}
STARTS = jnp.array([8.0, 1.5, 300.0, 2.5, 1e4, 7.0, 1.0])
LOW = jf.stop_when(lambda x: x < 1.3, name="low")


class Ends:
    """Changes the state before and after each run, and stops some before they begin."""

    def before_run(self, x):
        return x + 1.0, x > 1e3

    def after_run(self, x):
        return -x, False


HEARD = (jc.history(), jc.best(lambda x: x), jf.every(2, jc.history()), Ends(), LOW)


def sink(x):
    return 0.5 * x + 0.5


def noisy(x, *, key):
    return 0.5 * x + jax.random.uniform(key, x.shape, x.dtype)


def one_by_one(run, *runs):
    """Return the results of runs, each for itself, as a batch."""
    run = jax.jit(run)
    results = [run(*(lane(x, k) for x in runs)) for k in range(len(jax.tree.leaves(runs)[0]))]
    return jax.tree.map(stacked, *results)


def stacked(*leaves):
    if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return np.stack(leaves)


def own(step, states, *heard, max_steps=9, **options):
    return one_by_one(lambda s: jf.iterate(step, s, *heard, max_steps=max_steps, **options), states)


# Each run is its own


@pytest.mark.parametrize("name", sorted(set(CALLBACKS) - AXIS))
def test_a_run_is_its_own_iterate(name):
    heard, step = CALLBACKS[name], step_of(name)
    result = jf.sweep(step, MANY, *heard, max_steps=N, lanes=3)
    whole = own(step, MANY, *heard, max_steps=N)
    assert_same(result, whole)
    assert jax.tree.structure(result) == jax.tree.structure(whole)
    assert result.reasons == whole.reasons


@functools.cache
def whole_of_starts():
    return own(sink, STARTS, *HEARD)


@pytest.mark.parametrize("lanes", [1, 2, 4, 7, 64, None])
def test_any_number_of_lanes(lanes):
    """At most there are as many as runs."""
    result = jf.sweep(sink, STARTS, *HEARD, max_steps=9, lanes=lanes)
    assert_same(result, whole_of_starts())
    assert len(set(result.steps.tolist())) > 4


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_numbers_of_steps(data):
    runs = data.draw(st.sampled_from([1, 40]))
    lanes = data.draw(st.sampled_from([1, 3, 16]))
    steps = data.draw(st.lists(st.integers(0, 14), min_size=runs, max_size=runs))
    result = jf.sweep(count_down, jnp.array(steps, jnp.int32), DONE, max_steps=12, lanes=lanes)
    taken = np.clip(steps, 1, 12)  # a run steps before it is asked
    assert result.steps.tolist() == taken.tolist()
    assert result.state.tolist() == (np.array(steps) - taken).tolist()
    assert result.reasons == tuple(("done",) if n <= 12 else ("max_steps",) for n in steps)


def count_down(left):
    return left - 1


DONE = jf.stop_when(lambda left: left <= 0, name="done")


def test_it_computes_hardly_more_steps_than_are_taken():
    computed = []

    @custom_vmap
    def step(left):
        return left - 1

    @step.def_vmap
    def _step(size, batched, left):
        jax.debug.callback(lambda _: computed.append(size), left[0])
        return left - 1, True

    steps = np.random.default_rng(0).lognormal(np.log(20), 1, 1024).astype(np.int32) + 1
    result = jf.sweep(step, jnp.asarray(steps), DONE, max_steps=10_000)
    assert result.steps.tolist() == steps.tolist()
    jax.effects_barrier()
    assert set(computed) == {64, 4}
    assert sum(computed) <= 1.15 * steps.sum() < 0.1 * steps.max() * len(steps)


def test_types_that_a_step_promotes():
    for step, start in ((lambda x: x + 1, 1.0), (lambda x: x + 0.5, 1)):
        weak = jnp.full(5, start)
        assert weak.aval.weak_type
        run = lambda x, step=step: jf.iterate(step, x, max_steps=3)  # noqa: E731
        assert_same(jf.sweep(step, weak, max_steps=3, lanes=2), jax.vmap(run)(weak))


# What differs between runs


def test_settings_may_differ_between_runs():
    decay = lambda rate, shift, x: rate * x + shift  # noqa: E731
    rates, shift = 2.0 ** -jnp.arange(1.0, 8.0), jnp.asarray(0.5)
    patient = lambda p: jc.early_stopping(lambda x: x, patience=p, min_delta=0.3)  # noqa: E731
    patience = jnp.arange(1, 8, dtype=jnp.int32)

    def run(rate, start, p):
        return jf.iterate(jf.partial(decay, rate, shift), start, LOW, patient(p), max_steps=9)

    axes = (jf.partial(decay, 0, None), 0, None, 0)
    heard = LOW, jax.vmap(patient)(patience)
    options = dict(max_steps=9, lanes=2, in_axes=axes)
    result = jf.sweep(jf.partial(decay, rates, shift), STARTS, *heard, **options)
    whole = one_by_one(run, rates, STARTS, patience)
    assert_same(result, whole)
    assert len(set(result.steps.tolist())) > 2

    *_, last = jf.sweep_chunks(jf.partial(decay, rates, shift), STARTS, *heard, every=3, **options)
    assert_same(last, whole)
    options["in_axes"] = (
        jax.tree.map(lambda leaf: 0 if leaf.ndim else None, jf.partial(decay, rates, shift)),
        None,
        None,
        0,
    )
    alike = jf.sweep(jf.partial(decay, rates, shift), jnp.asarray(8.0), *heard, **options)
    assert_same(alike, one_by_one(run, rates, jnp.full(7, jnp.asarray(8.0)), patience))


def test_settings_of_a_step_stay_in_its_in_axes():
    power = lambda rate, n, x: rate * x**n  # noqa: E731
    rates = jnp.array([0.5, 0.25])
    found = [
        jf.sweep(jf.partial(power, rates, 2), jnp.asarray(1.0), max_steps=2, in_axes=(axes, None))
        for axes in (jf.partial(power, 0, 2), jf.partial(power, 0, None), 0)
    ]
    assert [r.state.tolist() for r in found] == 3 * [[0.125, 0.015625]]


def test_a_part_of_the_state_may_be_the_same():
    step = lambda s: {**s, "x": s["x"] * s["by"]}  # noqa: E731
    states = {"x": STARTS, "by": jnp.asarray(0.5)}
    result = jf.sweep(step, states, max_steps=3, lanes=2, in_axes=(None, {"x": 0, "by": None}))
    assert_same(result, own(step, {"x": STARTS, "by": jnp.full(7, jnp.asarray(0.5))}, max_steps=3))


@pytest.mark.parametrize("key", [jax.random.key(4), jax.random.PRNGKey(4)], ids=["typed", "raw"])
def test_run_k_has_the_key_folded_with_k(key):
    result = jf.sweep(noisy, STARTS, LOW, max_steps=9, lanes=2, key=key)
    for k in range(len(STARTS)):
        alone = jf.iterate(noisy, STARTS[k], LOW, max_steps=9, key=jax.random.fold_in(key, k))
        assert_same(lane(result, k), alone)
    *_, last = jf.sweep_chunks(noisy, STARTS, LOW, max_steps=9, lanes=3, every=2, key=key)
    assert_same(last, result)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(7))
    assert_same(jf.sweep(noisy, STARTS, LOW, max_steps=9, key=keys), result)


def test_states_may_hold_keys():
    def walk(s):
        key, x = s
        key, draw = jax.random.split(key)
        return key, x + jax.random.normal(draw, (), x.dtype)

    states = jax.random.split(jax.random.key(0), 7), STARTS
    fell = jf.stop_when(lambda s: s[1] < 2.0, name="fell")
    assert_same(jf.sweep(walk, states, fell, max_steps=9, lanes=2), own(walk, states, fell))


# Chunks


@pytest.mark.parametrize("every", [1, 4, None])
def test_chunks_have_the_bits_of_the_sweep(every):
    whole = jf.sweep(sink, STARTS, *HEARD, max_steps=9, lanes=4)
    options = dict(max_steps=9, lanes=4, every=every, seconds=1e-9)
    results = list(jf.sweep_chunks(sink, STARTS, *HEARD, **options))
    assert_same(results[-1], whole)
    steps = np.array([r.steps for r in results])
    assert len(results) > 1 and (np.diff(steps, axis=0) >= 0).all()
    for part in results[:-1:3]:
        assert_same(jf.sweep(sink, part, *HEARD, max_steps=9, lanes=2), whole)
        *_, last = jf.sweep_chunks(sink, part, *HEARD, **options)
        assert_same(last, whole)


def test_the_last_runs_go_through_fewer_lanes():
    """A sixteenth as many, from 16 on; and chunks may end anywhere."""
    starts = jnp.exp(3 * jax.random.normal(jax.random.key(1), (40,)))
    whole = own(sink, starts, *HEARD)
    options = dict(max_steps=9, lanes=16, every=2)
    results = list(jf.sweep_chunks(sink, starts, *HEARD, **options))
    assert_same(results[-1], whole)
    *_, last = jf.sweep_chunks(sink, results[-3], *HEARD, **options)
    assert_same(last, whole)


def test_others_go_on_with_a_sweep():
    whole = jf.sweep(sink, STARTS, *HEARD, max_steps=9, lanes=3)
    part = jf.sweep(sink, STARTS, *HEARD, max_steps=4, lanes=3)
    assert_same(jf.sweep(sink, part, *HEARD, max_steps=9, lanes=2), whole)
    *_, last = jf.chunks(sink, part, *HEARD, max_steps=9, lanes=True)
    assert_same(last, whole)
    assert_same(jax.vmap(lambda r: jf.resume(r, sink, *HEARD, max_steps=9))(part), whole)
    assert_same(jf.sweep(sink, whole, *HEARD, max_steps=9), whole)


def test_ctrl_c_keeps_what_is_done_and_a_file_goes_on(tmp_path):
    options = dict(max_steps=9, lanes=2)
    whole = jf.sweep(sink, STARTS, *HEARD, **options)
    results = []
    with pytest.raises(KeyboardInterrupt):
        for result in jf.sweep_chunks(sink, STARTS, *HEARD, every=3, **options):
            results.append(result)
            if len(results) == 4:
                raise KeyboardInterrupt
    result = results[-1]
    over = np.asarray((result.stopped_by != 0) | (result.steps == 9))
    assert 0 < over.sum() < len(STARTS)
    assert_same(result.steps[over], whole.steps[over])
    jf.save(tmp_path / "sweep.jf", result)
    loaded = jf.load(tmp_path / "sweep.jf", like=result)
    assert_same(jf.sweep(sink, loaded, *HEARD, **options), whole)


def test_a_budget_of_time():
    options = dict(max_steps=9, lanes=2)
    (part,) = jf.sweep_chunks(sink, STARTS, LOW, every=4, time_budget=1e-9, **options)
    assert part.reasons[1] == ("low",) and part.reasons[-2] == ("time_budget",)
    whole = jf.sweep(sink, STARTS, LOW, **options)
    assert_same(jf.sweep(sink, part, LOW, **options), whole)
    *_, last = jf.sweep_chunks(sink, STARTS, LOW, time_budget=1e6, **options)
    assert_same(last, whole)


# Transforms


def test_inside_jit_vmap_and_forward_mode():
    run = lambda s: jf.sweep(sink, s, *HEARD, max_steps=9, lanes=3)  # noqa: E731
    many = jnp.stack([STARTS, 3 * STARTS, jnp.full(7, 2.0)])
    each = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(run, many))
    assert_same(jax.jit(jax.vmap(run))(many), each)
    state = lambda s: run(s).state  # noqa: E731
    ones = jnp.ones_like(STARTS)
    steps = own(sink, STARTS, LOW).steps  # each halves
    _, tangent = jax.jvp(
        lambda s: jf.sweep(sink, s, LOW, max_steps=9, lanes=4).state, (STARTS,), (ones,)
    )
    assert_same(tangent, 0.5 ** steps.astype(tangent.dtype))
    with raises(ValueError, "a sweep has no gradient in reverse mode", "driver='scan'", "jvp"):
        jax.grad(lambda s: jnp.sum(state(s)))(STARTS)


def test_loops_in_sweeps_and_sweeps_in_loops():
    inner = lambda x: 2.0 * jf.iterate(sink, x, LOW, max_steps=2).state  # noqa: E731
    assert_same(
        jf.sweep(inner, STARTS, LOW, max_steps=4, lanes=2), own(inner, STARTS, LOW, max_steps=4)
    )
    swept = lambda xs: jf.sweep(sink, xs, LOW, max_steps=2, lanes=2).state  # noqa: E731
    twice = jf.sweep(swept, jnp.stack([STARTS, 2.0 * STARTS]), max_steps=3, lanes=1)
    assert_same(lane(twice, 1), jf.iterate(swept, 2.0 * STARTS, max_steps=3))


def mesh(kind):
    return jax.make_mesh((8,), ("lanes",), axis_types=(kind,))


@pytest.mark.parametrize("heard", [(), HEARD], ids=["bare", "heard"])
def test_each_device_has_a_queue_of_its_own(heard):
    starts = jnp.exp(3 * jax.random.normal(jax.random.key(0), (8 * 6,)))
    split = PartitionSpec("lanes")

    def device(s):
        return jf.sweep(sink, s, *heard, max_steps=9, lanes=4)

    run = jax.shard_map(device, mesh=mesh(AxisType.Auto), in_specs=split, out_specs=split)
    found = jax.tree.map(np.asarray, jax.jit(run)(starts))
    assert_same(found, jax.tree.map(np.asarray, own(sink, starts, *heard)))


def test_what_differs_between_runs_may_differ_between_devices():
    starts, rates = jnp.arange(1.0, 25.0), 2.0 ** -jnp.arange(24.0)
    times = lambda rate, x, *, key: rate * x + jax.random.uniform(key)  # noqa: E731
    split, whole = PartitionSpec("lanes"), PartitionSpec()
    options = dict(max_steps=3, lanes=2, in_axes=(0, 0))

    def device(rates, s, key):
        return jf.sweep(jf.partial(times, rates), s, LOW, key=key, **options).state

    spread = dict(mesh=mesh(AxisType.Auto), in_specs=(split, split, whole), out_specs=split)
    key = jax.random.key(2)
    found = jax.jit(jax.shard_map(device, **spread))(rates, starts, key)
    shards = [device(rates[k : k + 3], starts[k : k + 3], key) for k in range(0, 24, 3)]
    assert_same(np.asarray(found), np.asarray(jnp.concatenate(shards)))


def test_devices_that_ask_one_another_stop_together():
    data = jnp.arange(8.0)

    def device(s, shard, stop):
        step = lambda x: x - 0.5 * jax.lax.pmean(x - shard[0], "lanes")  # noqa: E731
        return jf.sweep(step, s, stop(shard[0]), max_steps=99, lanes=2).steps

    def run(stop):
        split, whole = PartitionSpec("lanes"), PartitionSpec()
        device_ = lambda s, shard: device(s, shard, stop)  # noqa: E731
        on = jax.shard_map(
            device_, mesh=mesh(AxisType.Auto), in_specs=(whole, split), out_specs=whole
        )
        return jax.jit(on)(STARTS, data)

    together = run(lambda shard: jf.stop_when(lambda x: jnp.abs(x - 3.5) < 0.1))
    assert len(set(together.tolist())) > 3
    with raises(ValueError, "its stop differs across the mesh axis 'lanes'", "psum"):
        run(lambda shard: jf.stop_when(lambda x: jnp.abs(x - shard) < 0.1))


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_states_may_be_sharded(kind):
    starts = jnp.exp(3 * jax.random.normal(jax.random.key(0), (16,)))
    spread = jax.device_put(starts, NamedSharding(mesh(kind), PartitionSpec("lanes")))
    whole = jax.tree.map(np.asarray, own(sink, starts, LOW))
    result = jf.sweep(sink, spread, LOW, max_steps=9, lanes=3)
    *_, last = jf.sweep_chunks(sink, spread, LOW, max_steps=9, lanes=3, every=20)
    for found in (result, last):
        assert_same(jax.tree.map(np.asarray, found), whole)


# Programs


def test_no_settings_trace_again():
    step, traces = counted(sink)
    for patience in (1, 2):
        stop = jc.early_stopping(jnp.abs, patience=np.int32(patience))
        jf.sweep(step, STARTS, stop, LOW, max_steps=9, lanes=5)
    assert len(traces) == 1
    for every in (2, 3):
        list(jf.sweep_chunks(step, STARTS, LOW, max_steps=9, lanes=5, every=every))
    assert len(traces) == 2


def relax(s):
    """A step of ordinary size: Newton's, of a function of four numbers."""
    value = lambda x: jnp.sum(jnp.cosh(x - s["c"]) * jnp.cos(x[::-1])) + jnp.prod(x)  # noqa: E731
    slope, bend = jax.grad(value)(s["x"]), jax.hessian(value)(s["x"])
    return {**s, "x": s["x"] - jnp.linalg.solve(bend + 3 * jnp.eye(4, dtype=bend.dtype), slope)}


def test_its_program_is_three_times_its_loops():
    """That is two loops, for many lanes and for few, and what fills them up."""
    heard = (jc.converged(lambda s: s["x"]), jc.terminate_on_nonfinite())
    many = {"x": jnp.ones((64, 4)), "c": jnp.ones((64, 4))}

    def sizes(step, states, *heard):
        run = lambda s: jf.iterate(step, s, *heard, max_steps=9)  # noqa: E731
        swept = lambda s: jf.sweep(step, s, *heard, max_steps=9, lanes=16)  # noqa: E731
        return len(hlo(jax.vmap(run), states)), len(hlo(swept, states))

    loop, sweep = sizes(relax, many, *heard)
    assert sweep <= 3 * loop
    loop, sweep = sizes(sink, jnp.ones(64))
    assert sweep <= 3 * loop + 25_000


# Nothing, and mistakes


def test_a_sweep_of_nothing_is_an_empty_result():
    none = jnp.zeros((0, 3))
    run = lambda x: jf.iterate(sink, x, jc.history(jnp.sum), max_steps=4)  # noqa: E731
    result = jf.sweep(sink, none, jc.history(jnp.sum), max_steps=4)
    assert_same(result, jax.vmap(run)(none))
    assert result.reasons == () and result.steps.shape == (0,)
    (only,) = jf.sweep_chunks(sink, none, jc.history(jnp.sum), max_steps=4)
    assert_same(only, result)
    assert jf.sweep(noisy, none, max_steps=4, key=jax.random.key(0)).state.shape == (0, 3)
    assert_same(jf.sweep(sink, STARTS, *HEARD, max_steps=0), own(sink, STARTS, *HEARD, max_steps=0))


def test_what_is_wrong_with_the_runs_is_named():
    def wrong(states=STARTS, *heard, step=sink, **options):
        return jf.sweep(step, states, *heard, **{"max_steps": 3, **options})

    with raises(ValueError, "sweep: states['a'] has 7 runs, but states['b'] has 3"):
        wrong({"a": STARTS, "b": STARTS[:3]})
    with raises(ValueError, "sweep: states['b'] is float", "leading axis", "in_axes"):
        wrong({"a": STARTS, "b": 1.0})
    with raises(ValueError, "sweep: states[0] is float", "a list of starts is stacked"):
        wrong([1.0, 2.0])
    with raises(ValueError, "sweep: there are no runs", "in_axes"):
        wrong(())
    with raises(ValueError, "states has 7 runs, but key has 2"):
        wrong(key=jax.random.split(jax.random.key(0)))
    with raises(ValueError, "key has shape (2, 2)", "keys[0]"):
        wrong(key=jax.random.split(jax.random.key(0), (2, 2)))
    with raises(TypeError, "sweep: the state is None"):
        wrong(None)
    with raises(TypeError, "sweep: max_steps is 2.5"):
        wrong(max_steps=2.5)
    with raises(ValueError, "resume: the run had the callbacks ['low'], now they are []"):
        wrong(jf.sweep(sink, STARTS, LOW, max_steps=2))
    alone = jf.iterate(sink, 1.0, max_steps=2)
    with raises(ValueError, "states.state is float", "leading axis"):
        wrong(alone)
    with raises(TypeError, "unexpected keyword argument 'driver'"):
        wrong(driver="python")


def test_what_is_wrong_with_lanes_is_named():
    for lanes, kind in ((0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)):
        with raises(kind, f"sweep: lanes is {lanes}"):
            jf.sweep(sink, STARTS, max_steps=3, lanes=lanes)


def test_what_is_wrong_with_in_axes_is_named():
    step = jf.partial(lambda rate, x: rate * x, 0.5)

    def wrong(in_axes, *heard, step=step):
        return jf.sweep(step, STARTS, *heard, max_steps=3, in_axes=in_axes)

    with raises(ValueError, "sweep: step[", "is float", "leading axis"):
        wrong((0, 0))
    with raises(ValueError, "in_axes says that step differs between runs, but it holds no arrays"):
        wrong((0, 0), step=sink)
    with raises(ValueError, "in_axes says that callback 1 differs", "no arrays"):
        wrong((None, 0, 0), LOW)
    with raises(TypeError, "in_axes is 0; give a tuple", "(None, 0)"):
        wrong(0)
    with raises(ValueError, "in_axes has 3 entries, but there are 2 parts", "0 callbacks"):
        wrong((None, 0, 0))
    for axis in (1, True, "0"):
        with raises(ValueError, f"in_axes of states holds {axis!r}", "moveaxis"):
            wrong((None, axis))
    with raises(ValueError, "in_axes of states is {'x': 0}, which does not fit float"):
        wrong((None, {"x": 0}))
    with raises(ValueError, "there are no runs"):
        wrong((None, None))


def test_chunks_of_sweeps_run_on_the_host():
    with raises(TypeError, "sweep_chunks runs on the host", "traced by jit; use sweep"):
        jax.jit(lambda s: list(jf.sweep_chunks(sink, s, max_steps=3)))(STARTS)
    with raises(TypeError, "sweep_chunks runs on the host", "mapped by vmap; use sweep"):
        many = jnp.stack([STARTS, STARTS])
        jax.vmap(lambda s: [r.state for r in jf.sweep_chunks(sink, s, LOW, max_steps=3)])(many)
    with raises(TypeError, "sweep_chunks: every is '2', a Python int"):
        jf.sweep_chunks(sink, STARTS, max_steps=3, every="2")
    with raises(ValueError, "sweep_chunks: time_budget is 0; it must be positive"):
        jf.sweep_chunks(sink, STARTS, max_steps=3, time_budget=0)


def test_a_chunk_may_be_longer_than_a_run():
    results = list(jf.sweep_chunks(sink, STARTS, max_steps=2, lanes=1, every=5))
    assert [int(r.steps.sum()) for r in results] == [5, 10, 14]


def test_limits_are_forgotten_by_who_goes_on():
    part = dataclasses.replace(jf.sweep(sink, STARTS, max_steps=2), limit="time_budget")
    assert set(jf.sweep(sink, part, max_steps=3).reasons) == {("max_steps",)}
