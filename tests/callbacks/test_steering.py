"""Callbacks that change the state; and the settings of all: leaves, in range, in one trace."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, counted
from metrics import FLOAT, begin, metric, run, step

import jfoundations as jf

jc = jf.callbacks
N = 6
NAN, INF = float("nan"), float("inf")


# reduce_on_plateau


def rated(values, **settings):
    """Return what the rate is after each step."""
    state = {**begin(values), "rate": jnp.ones((), FLOAT)}
    plateau = jc.reduce_on_plateau(metric, lower, **{"factor": 0.5, "patience": 2, **settings})
    step = lambda s: {**s, "i": s["i"] + 1}  # noqa: E731
    record = jc.history(lambda s: s["rate"])
    result = jf.iterate(step, state, plateau, record, max_steps=len(values))
    return result.memory["history"].values.tolist(), result.memory["reduce_on_plateau"]


def lower(state, ratio):
    return {**state, "rate": state["rate"] * ratio}


@pytest.mark.parametrize(
    "values, settings, rates",
    [
        ([1.0] * 6, {}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([1.0] * 6, {"cooldown": 1}, [1, 1, 0.5, 0.5, 0.5, 0.25]),
        ([1.0] * 6, {"cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.5]),
        ([1.0] * 6, {"patience": 1}, [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        ([1.0] * 5, {"patience": 1, "min_scale": 0.375}, [1, 0.5, 0.375, 0.375, 0.375]),
        ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], {}, [1] * 6),
        ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], {"mode": "max"}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([4.0, 3.0, 2.0, 1.0], {"atol": 1.5}, [1, 1, 1, 1]),
        ([4.0, 3.0, 2.5, 1.0], {"atol": 1.5}, [1, 1, 0.5, 0.5]),
        ([NAN] * 4, {}, [1, 0.5, 0.5, 0.25]),
        ([-INF] * 4, {}, [1, 1, 0.5, 0.5]),
    ],
)
def test_reduce_on_plateau_by_example(values, settings, rates):
    found, memory = rated(values, **settings)
    assert found == rates and memory["scale"] == rates[-1]


def test_an_update_touches_what_it_names_alone():
    """Leaves that the update hands on are not selected: a reduction costs what it changes."""
    plateau = jc.reduce_on_plateau(lambda s: s["w"][0], lower, patience=1)
    state = {"w": jnp.zeros(12345), "rate": jnp.ones((), FLOAT)}
    run = lambda s: jf.iterate(lambda s: s, s, plateau, max_steps=9)  # noqa: E731
    text = jax.jit(run).lower(state).as_text()
    selects = [s for s in text.splitlines() if "stablehlo.select" in s]
    assert selects and not any("12345" in s for s in selects)


def test_an_update_keeps_the_state():
    for update, what in (
        (lambda s, ratio: {}, "structure"),
        (lambda s, ratio: {**s, "i": s["m"]}, "state"),
        (lambda s, ratio: {**s, "i": ratio}, "state"),
    ):
        with pytest.raises(TypeError, match=rf"(?s)update.*({what})|({what})"):
            run([1.0, 2.0], jc.reduce_on_plateau(metric, update))
    for bad in (lambda s: None, lambda s: {**s, "m": s["i"]}):
        with pytest.raises(TypeError, match="rollback_on_nonfinite, update"):
            run([1.0, 2.0], jc.rollback_on_nonfinite(metric, retries=1, update=bad))


# rollback_on_nonfinite


def test_each_retry_shrinks_further():
    """The changed state is what the next failure goes back to."""
    step = lambda s: {**s, "x": s["x"] - s["rate"] * jnp.where(s["rate"] > 0.2, NAN, s["x"])}  # noqa: E731
    slower = lambda s: {**s, "rate": s["rate"] / 2}  # noqa: E731
    start = {"x": jnp.ones((), FLOAT), "rate": jnp.ones((), FLOAT)}
    guard = jc.rollback_on_nonfinite(retries=5, update=slower)
    for driver in DRIVERS:
        result = jf.iterate(step, start, guard, max_steps=4, driver=driver)
        assert (float(result.state["rate"]), float(result.state["x"])) == (0.125, 0.875)
        assert int(result.memory["rollback_on_nonfinite"]["retries"]) == 3


def test_without_an_update_it_goes_back_unchanged():
    plain = jc.rollback_on_nonfinite(metric, retries=2, update=None)
    assert plain == jc.rollback_on_nonfinite(metric, retries=2)
    result = run([1.0, NAN, 2.0], plain)  # back to the first, index and all: the nan comes again
    assert metric(result.state) == 1.0 and int(result.steps) == 3


def test_rollback_copies_the_start_and_hears_the_start_alone():
    start = jnp.ones(3)
    guard = jc.rollback_on_nonfinite(retries=0)
    kept = jf.iterate(lambda x: x, start, guard, max_steps=0).memory["rollback_on_nonfinite"]
    start.delete()
    assert kept["good"].tolist() == [1.0, 1.0, 1.0]
    failing = jf.iterate(lambda x: x * NAN, 1.0, guard, max_steps=9)
    assert failing.state == 1.0 and int(failing.steps) == 1
    integers = jf.iterate(lambda n: n + 1, 0, guard, max_steps=3)
    assert int(integers.state) == 3


def test_rollback_to_the_best():
    values = [3.0, 1.0, 2.0, NAN, 4.0, INF, 0.5]
    guard = jc.rollback_on_nonfinite(metric, retries=1, to="best")
    result = run(values, guard)  # back from the fourth, index and all: the third comes again
    assert int(result.memory["rollback_on_nonfinite"]["retries"]) == 1
    assert metric(result.state) == 1.0 and result.reasons == ("rollback_on_nonfinite",)
    with pytest.raises(ValueError, match="to is 'first'; it must be 'last' or 'best'"):
        jc.rollback_on_nonfinite(retries=1, to="first")
    with pytest.raises(TypeError, match="a real scalar is needed"):
        run([1.0], jc.rollback_on_nonfinite(retries=1, to="best"))


# Projections are functions


def test_a_projection_is_a_plain_function():
    box = lambda x: (jnp.clip(x, -1.0, 1.0), False)  # noqa: E731
    ball = lambda x: (x / jnp.maximum(1.0, jnp.linalg.norm(x)), False)  # noqa: E731
    climb = lambda x: x + jnp.array([0.6, 0.8])  # noqa: E731
    found = jf.iterate(climb, jnp.zeros(2), box, jc.history(jnp.max), max_steps=3)
    assert found.state.tolist() == [1.0, 1.0] and found.memory["history"].values.max() == 1.0
    assert np.linalg.norm(jf.iterate(climb, jnp.zeros(2), ball, max_steps=9).state) <= 1 + 1e-6


# Settings are leaves


def shrink(state, ratio):
    return {**state, "m": state["m"] * ratio}


def keep(state, memory):
    return state


def above(level, value):
    return value > level


def ask(state):
    return state, True


SWEEPS = {
    "early_stopping": lambda k: jc.early_stopping(metric, patience=int(k), min_delta=k / 8),
    "converged": lambda k: jc.converged(metric, atol=k / 4, rtol=k / 16),
    "reduce_on_plateau": lambda k: jc.reduce_on_plateau(
        metric,
        shrink,
        factor=k / 8,
        patience=int(k),
        rtol=k / 16,
        atol=k / 8,
        cooldown=int(k),
        min_scale=k / 32,
    ),
    "rollback_on_nonfinite": lambda k: jc.rollback_on_nonfinite(metric, retries=int(k)),
    "ema": lambda k: jc.ema(metric, decay=k / 4),
    "early_stopping thresholds": lambda k: jc.early_stopping(
        metric, int(k), stopping_threshold=1 - k / 4, divergence_threshold=k
    ),
    "spike_guard": lambda k: jc.spike_guard(metric, window=2, retries=int(k), factor=k),
    "schedule": lambda k: jc.schedule(
        shrink,
        jc.schedules.warm_up(jc.schedules.cosine(k, k / 2, steps=int(k)), steps=int(k)),
    ),
    "swap": lambda k: jc.swap(jc.ema(metric, decay=k / 4), keep, jc.ema(metric, decay=k / 8)),
    "until": lambda k: jc.until(jf.folds.maximum(), metric, when=jf.partial(above, float(k))),
    "after": lambda k: jc.after(int(k), jc.early_stopping(metric, patience=1)),
    "once": lambda k: jc.once(int(k), ask),
    "every": lambda k: jf.every(int(k), jc.ema(metric, decay=k / 8)),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_over_settings_is_one_trace_and_may_be_mapped(name):
    counting, traces = counted(step)
    values = [1.0, 2.0, 1.5, NAN, 0.5, 0.5]
    make = lambda stop: jf.iterate(counting, begin(values), stop, max_steps=N)  # noqa: E731
    sweep, settings = jax.jit(make), [SWEEPS[name](k) for k in (1, 2, 3)]
    found, traced = [], set()
    for stop in settings:
        found.append(sweep(stop))
        traced.add(len(traces))
    assert len(traced) == 1 and sweep._cache_size() == 1
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *settings)
    lanes = jax.vmap(sweep)(batch)
    for i, alone in enumerate(found):
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], lanes), alone)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: jc.early_stopping(metric, patience=0), "patience is 0; it must lie in 1"),
        (lambda: jc.early_stopping(metric, patience=2.0), "patience is 2.0, a Python int"),
        (lambda: jc.early_stopping(metric, patience=1, min_delta=-1), "min_delta is -1; .*≥ 0"),
        (lambda: jc.early_stopping(metric, patience=1, min_delta="1"), "min_delta is '1', a num"),
        (lambda: jc.converged(atol=NAN), "converged: atol is nan; it must be ≥ 0"),
        (lambda: jc.ema(decay=1.0), r"ema: decay is 1.0; it must be in \[0, 1\)"),
        (lambda: jc.ema(decay=True), "ema: decay is True, a number is needed"),
        (lambda: jc.reduce_on_plateau(metric, lower, factor=1.5), "factor is 1.5"),
        (lambda: jc.reduce_on_plateau(metric, lower, cooldown=-1), "cooldown is -1"),
        (lambda: jc.rollback_on_nonfinite(retries=-1), "retries is -1"),
        (lambda: jc.history(every=0), "every is 0"),
        (lambda: jc.spike_guard(metric, retries=1, window=1), "window is 1; it must lie in 2"),
        (lambda: jc.spike_guard(metric, retries=1, factor=-1), "factor is -1; it must be ≥ 0"),
        (lambda: jc.spike_guard(metric, retries=-1), "spike_guard: retries is -1"),
        (lambda: jc.early_stopping(metric, 1, stopping_threshold=NAN), "threshold is nan.*a numb"),
        (lambda: jc.early_stopping(metric, 1, divergence_threshold="9"), "divergence_.* is '9'"),
        (lambda: jc.schedules.linear(0, 1, steps=0), "linear: steps is 0"),
        (lambda: jc.schedules.cosine("1", steps=9), "cosine: start is '1', a number is needed"),
        (lambda: jc.schedules.warm_up(0.1, steps=9), "warm_up: values is 0.1, which is not call"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_traced_decay_out_of_range_gives_nan():
    ema = lambda decay: run([1.0, 2.0], jc.ema(metric, decay=decay)).memory["ema"].value  # noqa: E731
    found = jax.vmap(ema)(jnp.array([-0.5, 0.5, 1.0, NAN]))
    assert np.isnan(found).tolist() == [True, False, True, True]


@pytest.mark.parametrize("mode", ["low", None, 1])
def test_unknown_modes_are_refused(mode):
    makes = (
        jc.best,
        functools.partial(jc.early_stopping, patience=1),
        functools.partial(jc.reduce_on_plateau, update=lower),
        functools.partial(jc.rollback_on_nonfinite, retries=1),
    )
    for make in makes:
        with pytest.raises(ValueError, match="mode is .*must be 'min' or 'max'"):
            make(metric, mode=mode)


def test_a_million_steps_in_one_call():
    steps = 1_000_000
    near = lambda x: jnp.abs(x - 3)  # noqa: E731
    heard = (
        jc.history(every=1000),
        jc.best(near),
        jc.early_stopping(near, patience=2 * steps),
        jc.ema(decay=0.999),
    )
    step = lambda x: x * 0.999999 + 3e-6  # noqa: E731
    run = jax.jit(lambda x: jf.iterate(step, x, *heard, max_steps=steps))
    compiled = run.lower(jnp.zeros((), FLOAT)).compile()
    result = compiled(jnp.zeros((), FLOAT))
    memory = result.memory
    # What the callbacks keep is there once: no second buffer beside the one handed back.
    assert compiled.memory_analysis().temp_size_in_bytes < memory["history"].buffer.nbytes / 4
    assert int(result.steps) == steps and result.reasons == ("max_steps",)
    assert memory["history"].values.shape == (1000,)
    assert memory["history"].values[-1] == result.state
    # 3 (1 - 0.999999**steps), up to a rounding a step that the contraction forgets
    exact = 3 * -np.expm1(steps * np.log1p(-1e-6))
    assert float(result.state) == pytest.approx(exact, abs=1e6 * float(np.finfo(FLOAT).eps))
    assert float(memory["ema"].value) == pytest.approx(float(result.state), abs=0.01)
    assert memory["best"].value == memory["early_stopping"]["best"]
