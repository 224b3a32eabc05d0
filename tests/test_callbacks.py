"""The ready-made callbacks by example: edges, kinds of state, and what they refuse.

Oracles are in `test_callback_oracles`, laws in `test_laws_callbacks`, what joins and gates in
`test_predicates` and `test_when`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same
from metrics import FLOAT, metric, run

import jfoundations as jf

jc = jf.callbacks
N = 6
NAN, INF = float("nan"), float("inf")


# early_stopping


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
    stop = jc.early_stopping(metric, patience, **options)
    assert stop == jc.early_stopping(metric, patience=patience, **options)
    for driver in ("while", "scan", "python"):
        assert int(run(values, stop, driver=driver).steps) == steps


def test_integer_and_low_precision_metrics():
    for dtype in (np.int32, np.uint8, jnp.bfloat16, np.float16, bool):
        of = lambda s, dtype=dtype: jnp.asarray(5, dtype)  # noqa: E731
        result = run([0.0] * N, jc.early_stopping(of, patience=2))
        assert int(result.steps) == 3


# best


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
        result = run(values, jc.best(metric), driver=driver)
        assert int(result.memory["best"].state["i"]) == index


def test_best_includes_the_step_that_stops():
    result = run([3.0, 2.0, 1.0, 0.0], jf.stop_when(lambda s: s["i"] == 3), jc.best(metric))
    assert int(result.memory["best"].state["i"]) == 3


def test_best_copies_the_start():
    start = jnp.ones(3)
    kept = jf.iterate(lambda x: x, start, jc.best(jnp.sum), max_steps=0).memory["best"]
    start.delete()
    assert kept.state.tolist() == [1.0, 1.0, 1.0]


# converged


def test_converged_looks_at_every_element():
    state = {"x": jnp.array([1.0, 0.0]), "n": jnp.int32(0)}
    halve = lambda s: {"x": s["x"] / 2, "n": s["n"] + 1}  # noqa: E731
    run = functools.partial(jf.iterate, halve, state, max_steps=20)
    assert run(jc.converged(lambda s: s["x"], atol=0.1)).steps == 4
    assert run(jc.converged(atol=0.1)).reasons == ("max_steps",)  # n never rests


# terminate_on_nonfinite


def test_the_guard_looks_at_what_it_is_told():
    blind = run([1.0, NAN, 1.0], jc.terminate_on_nonfinite(lambda s: s["i"]))
    assert blind.reasons == ("max_steps",)
    assert int(run([1.0, NAN, 1.0], jc.terminate_on_nonfinite()).steps) == 1
    complex_nan = lambda s: metric(s).astype(complex)  # noqa: E731
    guard = jc.terminate_on_nonfinite(complex_nan)
    assert int(run([1.0, NAN, 1.0], guard).steps) == 2


def test_two_stoppers_are_both_named():
    stoppers = (
        jc.terminate_on_nonfinite(metric),
        jc.early_stopping(metric, patience=1),
    )
    result = run([1.0, NAN, 0.0], *stoppers)
    assert result.reasons == ("terminate_on_nonfinite", "early_stopping")


# history


def test_history_records_any_pytree():
    of = lambda s: {"m": metric(s), "pair": (s["i"], s["m"][:2])}  # noqa: E731
    values = run([1.0, 2.0, 3.0], jc.history(of)).memory["history"].values
    assert values["m"].tolist() == [1.0, 2.0, 3.0]
    assert values["pair"][0].tolist() == [1, 2, 3]
    assert values["pair"][1].shape == (3, 2)


@pytest.mark.parametrize("every", [1, 2, 3, 7])
@pytest.mark.parametrize("capacity", [None, 1, 2, 9])
def test_history_every_and_capacity(every, capacity):
    keep = jc.history(lambda s: s["i"], every=every, capacity=capacity)
    expected = list(range(every, N + 1, every))[:capacity]
    memory = run([0.0] * N, keep).memory["history"]
    assert memory.values.tolist() == expected and int(memory.count) == len(expected)
    assert (memory.buffer[len(expected) :] == 0).all()


def test_history_of_a_stopped_run_is_trimmed():
    memory = run([1.0, 2.0, NAN, 4.0], jc.history(metric), STOP).memory["history"]
    assert_same(memory.values, np.array([1.0, 2.0, NAN], FLOAT))
    assert np.isnan(memory.buffer[3])
    with pytest.raises(TypeError, match="a traced function.*use buffer and count"):
        jax.jit(lambda h: h.values)(memory)


STOP = jc.terminate_on_nonfinite(metric)


def test_values_of_lanes_are_a_list():
    lanes = jax.vmap(lambda m: run_lane(m).memory["history"])(jnp.array([[1.0, NAN], [1.0, 2.0]]))
    first, second = lanes.values
    assert (len(first), len(second)) == (2, 2)
    assert [len(v) for v in jax.vmap(lambda m: run_lane(m).memory["history"])(CUT).values] == [1, 3]


CUT = jnp.array([[NAN, 1.0, 1.0], [1.0, 2.0, 3.0]])


def run_lane(values):
    return run(values, jc.history(metric), STOP)


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


# history that begins before the first step


@pytest.mark.parametrize("driver", DRIVERS)
def test_history_may_begin_with_the_first_state(driver):
    run = functools.partial(jf.iterate, lambda x: 2 * x, 1, max_steps=5, driver=driver)
    assert run(jc.history(initial=True)).memory["history"].values.tolist() == [1, 2, 4, 8, 16, 32]
    sparse = run(jc.history(every=2, initial=True)).memory["history"]
    assert sparse.values.tolist() == [1, 4, 16] and sparse.buffer.shape == (3,)
    short = run(jc.history(capacity=2, initial=True)).memory["history"]
    assert short.values.tolist() == [1, 2]
    late = run(jc.after(3, jc.history(initial=True))).memory["history"]
    assert late.values.tolist() == [1, 16, 32]


def test_a_history_of_no_steps():
    run = functools.partial(jf.iterate, lambda x: 2 * x, 1)
    assert run(jc.history(), max_steps=0).memory["history"].values.tolist() == []
    assert run(jc.history(every=3), max_steps=2).memory["history"].values.tolist() == []
    assert run(jc.history(initial=True), max_steps=0).memory["history"].values.tolist() == [1]


def test_a_resumed_history_keeps_its_first_state():
    record, double = jc.history(every=2, initial=True), lambda x: 2 * x
    half = jf.iterate(double, 1, record, max_steps=3)
    whole = jf.iterate(double, 1, record, max_steps=8)
    assert_same(jf.resume(half, double, record, max_steps=8), whole)


# ema


def test_ema_is_that_of_the_statistics():
    values = np.array([1.0, 2.0, 4.0, -3.0, 0.5, 7.0])
    memory = run(values, jc.ema(metric, decay=0.8), jc.history(metric)).memory
    expected = jf.stats.ema(jnp.asarray(values, FLOAT), decay=0.8)[-1]
    assert float(memory["ema"].value) == pytest.approx(float(expected), rel=1e-6)
    assert float(jf.fold(jf.folds.ema(0.8), jnp.asarray(values, FLOAT))) == pytest.approx(
        float(expected), rel=1e-6
    )
    assert float(memory["ema"].weight) == pytest.approx(1 - 0.8**6, rel=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.9, 0.999, 0.999999])
@pytest.mark.parametrize("constant", [0.1, -3.3e7, 1e-30, INF])
def test_ema_of_a_constant_is_the_constant(decay, constant):
    for driver in DRIVERS:
        memory = run([constant] * N, jc.ema(metric, decay=decay), driver=driver).memory["ema"]
        assert memory.value == FLOAT.type(constant)


def test_ema_of_infinities_and_nan():
    ema = lambda *values: run(values, jc.ema(metric, decay=0.5)).memory["ema"].value  # noqa: E731
    assert ema(INF, 1.0, 2.0) == INF and ema(1.0, -INF, 2.0) == -INF
    assert np.isnan(ema(1.0, INF, -INF)) and np.isnan(ema(1.0, NAN, 2.0))
    finite = jc.ema(metric, decay=0.5)
    gated = jf.when(lambda s: jnp.isfinite(metric(s)), finite)
    kept = run([3.0, NAN, INF, 3.0], gated).memory["ema"]
    assert kept.value == 3.0 and kept.weight == 0.75


def test_ema_before_the_first_step_and_of_every_dtype():
    state = {
        "half": jnp.ones(2, jnp.bfloat16),
        "int": jnp.int32(3),
        "complex": jnp.complex64(1 + 2j),
        "bool": jnp.array(True),
    }
    run = functools.partial(jf.iterate, lambda s: s, state, jc.ema(decay=0.9))
    nothing = run(max_steps=0).memory["ema"]
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(nothing.value))
    assert nothing.weight == 0
    value = run(max_steps=4).memory["ema"].value
    assert value["half"].dtype == np.float32 and value["half"].tolist() == [1.0, 1.0]
    assert value["int"].dtype == FLOAT and value["int"] == 3
    assert value["complex"].dtype == np.complex64 and value["complex"] == 1 + 2j
    assert value["bool"] == 1.0
    assert isinstance(run(max_steps=1).memory["ema"], jc.Ema)


def test_ema_of_parameters_is_differentiable():
    def mean(x):
        run = jf.iterate(lambda x: 2 * x, x, jc.ema(decay=0.5), max_steps=2, driver="scan")
        return run.memory["ema"].value

    assert float(jax.grad(mean)(1.0)) == pytest.approx((2 / 4 + 4 / 2) / (1 / 4 + 1 / 2))


def test_converged_of_integers_and_bools():
    flat = {"n": jnp.uint8(9), "b": jnp.array([True, False])}
    down = lambda s: {"n": s["n"] - jnp.uint8(1), "b": s["b"]}  # noqa: E731
    run = lambda step, **tolerance: jf.iterate(step, flat, jc.converged(**tolerance), max_steps=5)  # noqa: E731
    assert run(down).reasons == ("max_steps",) and int(run(lambda s: s).steps) == 1
    assert int(run(down, atol=1.0).steps) == 1
    flip = lambda s: {"n": s["n"], "b": ~s["b"]}  # noqa: E731
    assert run(flip).reasons == ("max_steps",)
    far = jf.iterate(lambda n: -n, jnp.int8(-100), jc.converged(atol=99), max_steps=4)
    assert far.reasons == ("max_steps",)  # 200 apart, which an int8 cannot say
    large = jf.iterate(lambda n: n + 1, jnp.int32(2**24), jc.converged(), max_steps=4)
    assert large.reasons == ("max_steps",)  # nor a float32 tell apart


def test_what_is_monitored_must_be_a_real_scalar():
    for of in (lambda s: s["m"], lambda s: metric(s).astype(complex)):
        with pytest.raises(TypeError, match="best: .*a real scalar is needed.*jnp.mean"):
            run([1.0, 2.0], jc.best(of))


def test_the_callbacks_under_vmap():
    batch = jnp.array([[5.0] * 6, [6.0, 5, 4, 3, 2, 1], [NAN, 1, 2, 3, 4, 5], [1, 2, NAN, 0, 0, 0]])
    callbacks = (
        jc.early_stopping(metric, patience=2),
        jc.best(metric),
        STOP,
        jc.converged(metric, rtol=1e-3),
        jc.history(metric),
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
        jc.history(),
        jc.best(lambda x: -x),
        max_steps=3,
    )
    history, best = result.memory["history"], result.memory["best"]
    assert isinstance(history, jc.History) and isinstance(best, jc.Best)
    assert [leaf.shape for leaf in jax.tree.leaves(history)] == [(3,), ()]
    assert [float(leaf) for leaf in jax.tree.leaves(best)] == [-3.0, 3.0]
