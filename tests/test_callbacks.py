"""The ready-made callbacks against oracles of a few lines, eager, jitted and vmapped."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf

N = 6
NAN, INF = float("nan"), float("inf")
FLOAT = jnp.zeros(()).dtype
metrics = st.lists(
    st.sampled_from([NAN, INF, -INF, -2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 3.0]),
    min_size=N,
    max_size=N,
)
laws = settings(max_examples=60, deadline=None)


def step(state):
    return {"i": state["i"] + 1, "m": state["m"]}


def metric(state):
    """Return the metric of the step just taken."""
    return state["m"][state["i"] - 1]


def begin(values):
    return {"i": jnp.zeros((), np.int32), "m": jnp.asarray(values, FLOAT)}


def run(values, *callbacks, **options):
    return jf.iterate(step, begin(values), *callbacks, max_steps=len(values), **options)


# early_stopping


def early_stopping_oracle(values, patience, min_delta, sign):
    """Keras' rule: (index of the stop or None, best, wait)."""
    best, wait = INF, 0
    for k, value in enumerate(sign * v for v in values):
        if value + min_delta < best:
            best, wait = value, 0
        else:
            wait += 1
        if wait >= patience:
            return k, sign * best, wait
    return None, sign * best, wait


@functools.partial(jax.jit, static_argnames="mode")
def stop_early(values, patience, min_delta, mode):
    stop = jf.callbacks.early_stopping(metric, patience=patience, min_delta=min_delta, mode=mode)
    return run(values, stop)


@laws
@given(
    metrics, st.integers(1, 4), st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from(["min", "max"])
)
def test_early_stopping_is_keras_rule(values, patience, min_delta, mode):
    sign = 1 if mode == "min" else -1
    index, best, wait = early_stopping_oracle(values, patience, min_delta, sign)
    result = stop_early(jnp.asarray(values), jnp.int32(patience), jnp.asarray(min_delta), mode)
    assert int(result.steps) == (N if index is None else index + 1)
    assert bool(result.stopped_by) == (index is not None)
    memory = result.memory["early_stopping"]
    assert (float(memory["best"]), int(memory["wait"])) == (best, wait)


@pytest.mark.parametrize(
    "values, patience, options, steps",
    [
        ([5.0] * 5, 2, {}, 3),  # the first improves on +inf, then two waits: index 2
        ([NAN, 5.0, 4.0, 4.0, 4.0], 2, {}, 5),  # nan is a wait, never the best
        ([NAN, NAN, 1.0], 2, {}, 2),
        ([-INF, -INF, 0.0, 0.0], 2, {}, 3),  # −inf is an ordinary best
        ([5.0, 4.5, 4.0, 3.5], 2, {"min_delta": 1.0}, 3),  # 4.0 is no more than 1 below 5
        ([5.0, 4.5, 3.5, 3.0, 3.0], 2, {"min_delta": 1.0}, 5),  # 3.5 is
        ([-1.0] * 5, 2, {}, 3),  # a negative metric has no special place
        ([1.0, 2.0, 2.0, 2.0], 2, {"mode": "max"}, 4),
        ([5.0, 4.0, 3.0], 1, {}, 3),
    ],
)
def test_early_stopping_by_example(values, patience, options, steps):
    stop = jf.callbacks.early_stopping(metric, patience=patience, **options)
    for driver in ("while", "scan", "python"):
        assert int(run(values, stop, driver=driver).steps) == steps


def test_a_sweep_over_hyperparameters_is_one_trace():
    of, traces = counted(metric)

    @jax.jit
    def sweep(stop):
        return run([5.0] * N, stop).steps

    taken, traced = [], []
    for patience in (1, 2, 3):
        taken.append(int(sweep(jf.callbacks.early_stopping(of, patience=patience))))
        traced.append(len(traces))
    assert taken == [2, 3, 4]
    assert len(set(traced)) == 1


def test_integer_and_low_precision_metrics():
    for dtype in (np.int32, np.uint8, jnp.bfloat16, np.float16, bool):
        of = lambda s, dtype=dtype: jnp.asarray(5, dtype)  # noqa: E731
        result = run([0.0] * N, jf.callbacks.early_stopping(of, patience=2))
        assert int(result.steps) == 3


# best


@functools.partial(jax.jit, static_argnames="mode")
def keep_best(values, mode):
    return run(values, jf.callbacks.best(metric, mode=mode)).memory["best"]


@laws
@given(metrics, st.sampled_from(["min", "max"]))
def test_best_is_the_first_of_the_best(values, mode):
    sign = 1 if mode == "min" else -1
    ranked = [(sign * v, k + 1) for k, v in enumerate(values) if sign * v < INF]
    value, index = min(ranked, default=(INF, 0))
    memory = keep_best(jnp.asarray(values), mode)
    assert (float(memory.value), int(memory.state["i"])) == (sign * value, index)


@pytest.mark.parametrize(
    "values, index",
    [
        ([3.0, 2.0, 1.0], 3),  # the last step counts
        ([NAN, 2.0, 3.0], 2),  # nan first is never the best
        ([NAN, NAN, NAN], 0),
        ([1.0, 1.0, 1.0], 1),  # of equals the first
        ([1.0, -INF, 0.0], 2),
        ([-INF, -INF, 0.0], 1),
    ],
)
def test_best_by_example(values, index):
    for driver in ("while", "scan", "python"):
        result = run(values, jf.callbacks.best(metric), driver=driver)
        assert int(result.memory["best"].state["i"]) == index


def test_best_includes_the_step_that_stops():
    result = run(
        [3.0, 2.0, 1.0, 0.0], jf.stop_when(lambda s: s["i"] == 3), jf.callbacks.best(metric)
    )
    assert int(result.memory["best"].state["i"]) == 3


def test_best_copies_the_start():
    start = jnp.ones(3)
    kept = jf.iterate(lambda x: x, start, jf.callbacks.best(jnp.sum), max_steps=0).memory["best"]
    start.delete()
    assert kept.state.tolist() == [1.0, 1.0, 1.0]


# converged


@functools.partial(jax.jit, static_argnames=())
def hold_still(values, atol, rtol):
    value = lambda s: {"a": s["m"][s["i"] - 1], "b": s["i"] * 0}  # noqa: E731
    return run(values, jf.callbacks.converged(value, atol=atol, rtol=rtol))


@laws
@given(metrics, st.sampled_from([0.0, 0.25, 2.0]), st.sampled_from([0.0, 0.5]))
def test_converged_is_a_small_change(values, atol, rtol):
    # The value before the first step is that of index −1: the last of the list.
    pairs = list(zip([values[-1], *values], values, strict=False))
    with np.errstate(invalid="ignore"):
        still = [bool(np.abs(np.float64(b) - a) <= atol + rtol * abs(b)) for a, b in pairs]
    result = hold_still(jnp.asarray(values), jnp.asarray(atol), jnp.asarray(rtol))
    assert int(result.steps) == (still.index(True) + 1 if True in still else N)


def test_converged_looks_at_every_element():
    state = {"x": jnp.array([1.0, 0.0]), "n": jnp.int32(0)}
    halve = lambda s: {"x": s["x"] / 2, "n": s["n"] + 1}  # noqa: E731
    run = functools.partial(jf.iterate, halve, state, max_steps=20)
    assert run(jf.callbacks.converged(lambda s: s["x"], atol=0.1)).steps == 4
    assert run(jf.callbacks.converged(atol=0.1)).reasons == ("max_steps",)  # n never rests


# terminate_on_nonfinite


@jax.jit
def guarded(values):
    return run(values, jf.callbacks.terminate_on_nonfinite(metric))


@laws
@given(metrics)
def test_terminate_on_the_first_nonfinite(values):
    bad = [k + 1 for k, v in enumerate(values) if not np.isfinite(v)]
    assert int(guarded(jnp.asarray(values)).steps) == (bad[0] if bad else N)


def test_the_guard_looks_at_what_it_is_told():
    blind = run([1.0, NAN, 1.0], jf.callbacks.terminate_on_nonfinite(lambda s: s["i"]))
    assert blind.reasons == ("max_steps",)
    assert int(run([1.0, NAN, 1.0], jf.callbacks.terminate_on_nonfinite()).steps) == 1
    complex_nan = lambda s: metric(s).astype(complex)  # noqa: E731
    guard = jf.callbacks.terminate_on_nonfinite(complex_nan)
    assert int(run([1.0, NAN, 1.0], guard).steps) == 2


def test_two_stoppers_are_both_named():
    stoppers = (
        jf.callbacks.terminate_on_nonfinite(metric),
        jf.callbacks.early_stopping(metric, patience=1),
    )
    result = run([1.0, NAN, 0.0], *stoppers)
    assert result.reasons == ("terminate_on_nonfinite", "early_stopping")


# history


def test_history_records_any_pytree():
    of = lambda s: {"m": metric(s), "pair": (s["i"], s["m"][:2])}  # noqa: E731
    values = run([1.0, 2.0, 3.0], jf.callbacks.history(of)).memory["history"].values
    assert values["m"].tolist() == [1.0, 2.0, 3.0]
    assert values["pair"][0].tolist() == [1, 2, 3]
    assert values["pair"][1].shape == (3, 2)


@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("capacity", [None, 1, 2, 9])
def test_history_every_and_capacity(every, capacity):
    keep = jf.callbacks.history(lambda s: s["i"], every=every, capacity=capacity)
    expected = list(range(every, N + 1, every))[:capacity]
    memory = run([0.0] * N, keep).memory["history"]
    assert memory.values.tolist() == expected and int(memory.count) == len(expected)
    assert (memory.buffer[len(expected) :] == 0).all()


def test_history_of_a_stopped_run_is_trimmed():
    memory = run([1.0, 2.0, NAN, 4.0], jf.callbacks.history(metric), STOP).memory["history"]
    assert_same(memory.values, np.array([1.0, 2.0, NAN], FLOAT))
    assert np.isnan(memory.buffer[3])
    with pytest.raises(TypeError, match="a traced function.*use buffer and count"):
        jax.jit(lambda h: h.values)(memory)


STOP = jf.callbacks.terminate_on_nonfinite(metric)


def test_values_of_lanes_are_a_list():
    lanes = jax.vmap(lambda m: run_lane(m).memory["history"])(jnp.array([[1.0, NAN], [1.0, 2.0]]))
    first, second = lanes.values
    assert (len(first), len(second)) == (2, 2)
    assert [len(v) for v in jax.vmap(lambda m: run_lane(m).memory["history"])(CUT).values] == [1, 3]


CUT = jnp.array([[NAN, 1.0, 1.0], [1.0, 2.0, 3.0]])


def run_lane(values):
    return run(values, jf.callbacks.history(metric), STOP)


# watch


def test_watch_feeds_a_fold():
    stats = jf.combine(mean=jf.folds.mean(), var=jf.folds.var(), least=jf.folds.minimum())
    values = [1.0, 2.0, 4.0, 18.0]
    result = run(values, jf.watch(stats, metric, name="stats"))
    answer = stats.extract(result.memory["stats"])
    assert (float(answer["mean"]), float(answer["least"])) == (6.25, 1.0)
    assert float(answer["var"]) == pytest.approx(47.1875, rel=1e-6)


def test_watch_stops_with_its_loop():
    result = run([1.0, 3.0, NAN, 5.0], jf.stop_when(lambda s: s["i"] == 2), jf.watch(MEAN, metric))
    assert float(MEAN.extract(result.memory["mean"])) == 2.0


MEAN = jf.folds.mean()


@pytest.mark.parametrize("mode", ["low", None, 1])
def test_unknown_modes_are_refused(mode):
    for make in (jf.callbacks.best, functools.partial(jf.callbacks.early_stopping, patience=1)):
        with pytest.raises(ValueError, match="mode is .*must be 'min' or 'max'"):
            make(metric, mode=mode)


def test_what_is_monitored_must_be_a_real_scalar():
    for of in (lambda s: s["m"], lambda s: metric(s).astype(complex)):
        with pytest.raises(TypeError, match="best: .*a real scalar is needed.*jnp.mean"):
            run([1.0, 2.0], jf.callbacks.best(of))


def test_the_callbacks_under_vmap():
    batch = jnp.array([[5.0] * 6, [6.0, 5, 4, 3, 2, 1], [NAN, 1, 2, 3, 4, 5], [1, 2, NAN, 0, 0, 0]])
    callbacks = (
        jf.callbacks.early_stopping(metric, patience=2),
        jf.callbacks.best(metric),
        STOP,
        jf.callbacks.converged(metric, rtol=1e-3),
        jf.callbacks.history(metric),
        jf.watch(MEAN, metric),
    )
    one = jax.jit(lambda values: run(values, *callbacks))
    lanes = jax.vmap(one)(batch)
    for i, values in enumerate(batch):
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], lanes), one(values))
    assert lanes.reasons[3] == ("early_stopping", "terminate_on_nonfinite")


def test_memories_are_pytrees_of_their_own():
    result = jf.iterate(
        lambda x: x + 1.0,
        jnp.float32(0),
        jf.callbacks.history(),
        jf.callbacks.best(lambda x: -x),
        max_steps=3,
    )
    history, best = result.memory["history"], result.memory["best"]
    assert isinstance(history, jf.callbacks.History) and isinstance(best, jf.callbacks.Best)
    assert [leaf.shape for leaf in jax.tree.leaves(history)] == [(3,), ()]
    assert [float(leaf) for leaf in jax.tree.leaves(best)] == [-3.0, 3.0]
