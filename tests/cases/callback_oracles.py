"""Oracles in plain Python of the ready-made callbacks, and how these are run."""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, lane
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import jfoundations as jf

jc = jf.callbacks
N, LANES = 24, 3
NAN, INF = float("nan"), float("inf")
MODES = {"min": 1, "max": -1}


def float_type():
    """Return the default float, which is wide where x64 is on."""
    return np.dtype(jnp.result_type(float)).type


special = st.sampled_from([NAN, INF, -INF, -2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 3.0])
ordinary = st.floats(-100, 100, width=32, allow_subnormal=False)
metrics = st.lists(special | ordinary, min_size=N, max_size=N)
modes = st.sampled_from(sorted(MODES))
deltas = st.sampled_from([0.0, 0.25, 0.3, 1.0])
many = settings(max_examples=200, deadline=None)
few = settings(max_examples=12, deadline=None)


def follow(values, state, *, step):
    """Take one step: the metric of that step, and one more step counted."""
    return {**state, "x": values[step], "t": state["t"] + 1}


def run(values, *callbacks, **options):
    start = {"x": jnp.zeros((), float_type()), "t": np.int32(0), "rate": jnp.ones((), float_type())}
    return jf.iterate(jf.partial(follow, values), start, *callbacks, max_steps=N, **options)


def metric(state):
    return state["x"]


def halve(state):
    return {**state, "rate": state["rate"] * 0.5}


def more(state, value):
    return {**state, "rate": value}


def above(level, value):
    return value > level


def shown(state, memory):
    return {**state, "x": HIGHEST.extract(memory)}


HIGHEST = jf.folds.maximum()
MAKE = {
    "early_stopping": lambda mode, patience, delta: jc.early_stopping(
        metric, patience=patience, min_delta=delta, mode=mode
    ),
    "plateau": lambda mode, factor, patience, rtol, atol, cooldown, least: jc.reduce_on_plateau(
        metric,
        lambda s, ratio: {**s, "rate": s["rate"] * ratio},
        factor=factor,
        patience=patience,
        rtol=rtol,
        atol=atol,
        cooldown=cooldown,
        min_scale=least,
        mode=mode,
    ),
    "best": lambda mode: jc.best(metric, mode=mode),
    "converged": lambda mode, atol, rtol: jc.converged(metric, atol=atol, rtol=rtol),
    "finite": lambda mode: jc.terminate_on_nonfinite(metric),
    "to last": lambda mode, retries: jc.rollback_on_nonfinite(
        metric, retries=retries, update=halve
    ),
    "to best": lambda mode, retries: jc.rollback_on_nonfinite(
        metric, retries=retries, update=halve, to="best", mode=mode
    ),
    "ema": lambda mode, decay: jc.ema(metric, decay=decay),
    "thresholds": lambda mode, patience, good, bad: jc.early_stopping(
        metric, patience, mode=mode, stopping_threshold=good, divergence_threshold=bad
    ),
    "spikes": lambda mode, retries, factor: jc.spike_guard(
        metric, retries=retries, factor=factor, window=4, update=halve
    ),
    "until": lambda mode, level: jc.until(HIGHEST, metric, when=jf.partial(above, level)),
    "schedule": lambda mode, start, stop, steps: jc.schedule(
        more, jc.schedules.linear(start, stop, steps=steps)
    ),
    "swap": lambda mode: jc.swap(jf.watch(HIGHEST, metric), shown, jc.best(metric, mode=mode)),
}


def make(kind, mode, values, setting, **options):
    return run(values, MAKE[kind](mode, *setting), **options)


@functools.partial(jax.jit, static_argnums=(0, 1))
def jitted(kind, mode, values, setting):
    return make(kind, mode, values, setting)


@functools.partial(jax.jit, static_argnums=(0, 1))
def mapped(kind, mode, values, setting):
    return jax.vmap(functools.partial(make, kind, mode))(values, setting)


def results(kind, mode, values, setting):
    """Return (values, result) pairs: alone, and in three lanes with settings of their own."""
    setting = tuple(float_type()(s) if isinstance(s, float) else np.int32(s) for s in setting)
    rows = np.array([values, values[::-1], np.roll(values, 5)], float_type())
    batch = tuple(np.full(LANES, s) for s in setting)
    lanes = jax.device_get(mapped(kind, mode, rows, batch))  # where a cut is no program
    alone = jitted(kind, mode, rows[0], setting)
    assert_same(lane(lanes, 0), alone)
    return [(row, lane(lanes, k)) for k, row in enumerate(rows)]


def memory_of(result):
    (memory,) = result.memory.values()
    return memory


def same(a, b):
    return np.array_equal(np.asarray(a, float), np.asarray(b, float), equal_nan=True)


# early_stopping


def early_stopping_oracle(values, patience, min_delta, sign, good=NAN, bad=NAN):
    """Keras' EarlyStopping, Lightning's thresholds: (steps, stopped, best, wait)."""
    best, wait, good, bad = float_type()(INF), 0, float_type()(good), float_type()(bad)
    for k, value in enumerate(values):
        wait += 1
        if sign * value + float_type()(min_delta) < best:
            best, wait = sign * value, 0
        if wait >= patience or sign * value < sign * good or sign * value > sign * bad:
            return k + 1, True, sign * best, wait
    return N, False, sign * best, wait


def check_early_stopping(row, result, patience, delta, sign, *thresholds):
    found = early_stopping_oracle(row, patience, delta, sign, *thresholds)
    steps, stopped, best, wait = found
    memory = memory_of(result)
    assert (int(result.steps), bool(result.stopped_by)) == (steps, stopped)
    assert (float(memory["best"]), int(memory["wait"])) == (best, wait)


# snapshots


def snapshots_oracle(steps, capacity):
    """Copy after each step that the distance divides: (the distance, {row: the step of its copy}).

    When all rows are taken and another is due, the distance doubles.
    """
    spacing, kept = 1, [0]
    for step in range(1, steps + 1):
        if len(kept) == capacity and step % spacing == 0:
            spacing *= 2
            kept = [k for k in kept if k % spacing == 0]
        if step % spacing == 0:
            kept.append(step)
    return spacing, {k % capacity: k for k in kept}


# reduce_on_plateau


def plateau_oracle(values, factor, patience, rtol, atol, cooldown, least, sign):
    """PyTorch's scheduler, line by line; |best| in the threshold, Keras' patience."""
    factor, rtol, atol, least = map(float_type(), (factor, rtol, atol, least))
    best, bad, left, scale, reductions = float_type()(INF), 0, 0, float_type()(1), 0
    for value in values:
        threshold = atol + rtol * abs(best) if np.isfinite(best) else atol
        if sign * value + threshold < best:
            best, bad = sign * value, 0
        else:
            bad += 1
        if left > 0:
            left, bad = left - 1, 0
        if bad >= patience:
            new = max(scale * factor, least)
            if new < scale:
                scale, reductions = new, reductions + 1
            left, bad = cooldown, 0
    return sign * best, bad, left, scale, reductions


plateau_settings = st.tuples(
    st.sampled_from([0.5, 0.25, 0.1, 0.0]),
    st.integers(1, 4),
    st.sampled_from([0.0, 1e-4, 0.1, 0.3]),
    deltas,
    st.integers(0, 3),
    st.sampled_from([0.0, 0.2, 0.25]),
)


def check_plateau(row, result, setting, sign):
    best, bad, left, scale, reductions = plateau_oracle(row, *setting, sign)
    memory = memory_of(result)
    found = (float(memory["best"]), int(memory["wait"]), int(memory["cooldown"]))
    assert found == (best, bad, left) and float(memory["scale"]) == scale
    # The rate was multiplied by a ratio a reduction, each off by half a unit or less.
    rate, eps = float(result.state["rate"]), float(np.finfo(float_type()).eps)
    assert abs(rate - scale) <= 2 * reductions * eps * scale
    assert int(result.steps) == N


def check_best(row, result, sign):
    ranked = [(sign * v, k + 1) for k, v in enumerate(row) if sign * v < INF]
    value, index = min(ranked, default=(INF, 0))
    memory = memory_of(result)
    assert (float(memory.value), int(memory.state["t"])) == (sign * value, index)
    assert same([memory.state[k] for k in ("x", "rate")], (row[index - 1] if index else 0, 1))


# converged


def converged_oracle(values, atol, rtol):
    before = float_type()(0)
    for k, value in enumerate(values):
        with np.errstate(invalid="ignore"):
            part = float_type()(rtol) * abs(value) if np.isfinite(value) else 0
            if value == before or abs(value - before) <= float_type()(atol) + part:
                return k + 1
        before = value
    return N


def rollback_oracle(values, retries, to_best, sign):
    """Return (x, t, rate), the good state, the best value, retries used, steps, stopped."""
    state = good = (float_type()(0), 0, 1.0)
    best, used = INF, 0
    for k, value in enumerate(values):
        state = (value, state[1] + 1, state[2])
        if np.isfinite(value):
            if not to_best or sign * value < best:
                best, good = sign * value, state
            continue
        if used == retries:
            return good, good, best, used, k + 1, True
        used += 1
        state = good = (*good[:2], good[2] / 2)
    return state, good, best, used, N, False


rare = st.lists(st.sampled_from([NAN, INF, -INF]) | ordinary, min_size=N, max_size=N)


def check_rollback(row, result, retries, to_best, sign):
    state, good, best, used, steps, stopped = rollback_oracle(row, retries, to_best, sign)
    memory = memory_of(result)
    kept = memory["good"].state if to_best else memory["good"]
    assert same([result.state[k] for k in ("x", "t", "rate")], state)
    assert same([kept[k] for k in ("x", "t", "rate")], good)
    assert not to_best or float(memory["good"].value) == sign * best
    assert np.isfinite(float(result.state["x"]))
    assert (int(memory["retries"]), int(result.steps)) == (used, steps)
    assert bool(result.stopped_by) == stopped


# spike_guard


def is_spike(value, accepted, factor, window=4):
    """Tell, in fractions, whether value > mean + factor std of the last accepted."""
    if not np.isfinite(value):
        return True
    if len(accepted) < max(2, (window + 1) // 2):
        return False
    last = [Fraction(float(v)) for v in accepted[-window:]]
    mean = sum(last) / len(last)
    variance = sum((v - mean) ** 2 for v in last) / len(last)
    gap = Fraction(float(value)) - mean
    edge = Fraction(float(factor)) ** 2 * variance
    assume(not (len(last) == 3 and edge and abs(gap**2 / edge - 1) < 1e-5))  # to rounding
    return gap > 0 and gap**2 > edge


def check_spikes(row, result, retries, factor):
    state = good = (float_type()(0), 0, 1.0)
    accepted, used, steps, stopped = [], 0, N, False
    for k, value in enumerate(row):
        state = (value, state[1] + 1, state[2])
        if not is_spike(value, accepted, factor):
            good = state
            accepted.append(value)
            continue
        stopped = used == retries
        used += not stopped
        state = good = good if stopped else (*good[:2], good[2] / 2)
        if stopped:
            steps = k + 1
            break
    memory = memory_of(result)
    for found in (result.state, memory["good"]):
        assert same([found[k] for k in ("x", "t", "rate")], state)
    ring = [NAN] * 4
    for k, value in enumerate(accepted):
        ring[k % 4] = value
    assert same(memory["values"], ring) and int(memory["count"]) == len(accepted)
    assert (int(memory["retries"]), int(result.steps)) == (used, steps)
    assert bool(result.stopped_by) == stopped


# Sums and squares of these are exact, so that an answer to the last bit is known.
dyadic = st.lists(
    st.integers(-32, 32).map(lambda k: k / 4) | st.sampled_from([NAN, INF, -INF, 90.0, 1.0, 1.25]),
    min_size=N,
    max_size=N,
)


# until, schedule and swap


def check_until(row, result, level):
    highest = np.maximum.accumulate(row)
    past = np.flatnonzero(highest > float_type()(level))
    steps = past[0] + 1 if past.size else N
    assert int(result.steps) == steps and bool(result.stopped_by) == bool(past.size)
    assert same(HIGHEST.extract(memory_of(result)), highest[steps - 1])


def check_schedule(row, result, start, stop, steps):
    # With their products rounded one by one the bits are those of NumPy.
    start, stop, one = map(float_type(), (start, stop, 1))
    part = min(float_type()(N - 1) / float_type()(steps), one)
    assert float(result.state["rate"]) == float(start * (one - part) + stop * part)
    assert int(result.steps) == N


def check_swap(row, result, sign):
    highest = np.maximum.accumulate(row)
    index = int(np.argmin(sign * highest)) if (sign * highest < INF).any() else -1
    memory = memory_of(result)["best"]
    assert same(memory.value, highest[index] if index >= 0 else sign * INF)
    assert int(memory.state["t"]) == index + 1
    assert index < 0 or float(memory.state["x"]) == highest[index]
    assert float(result.state["x"]) == row[-1] and int(result.state["t"]) == N


# ema


finite = st.lists(ordinary, min_size=N, max_size=N)


# Eager, and settings that differ between the lanes

EAGER = {
    "early_stopping": ((2, 0.25), lambda row, r: check_early_stopping(row, r, 2, 0.25, -1)),
    "plateau": (
        (0.5, 2, 0.1, 0.0, 1, 0.2),
        lambda row, r: check_plateau(row, r, (0.5, 2, 0.1, 0.0, 1, 0.2), -1),
    ),
    "best": ((), lambda row, r: check_best(row, r, -1)),
    "to last": ((3,), lambda row, r: check_rollback(row, r, 3, False, -1)),
    "to best": ((3,), lambda row, r: check_rollback(row, r, 3, True, -1)),
    "converged": (
        (0.25, 0.1),
        lambda row, r: (int(r.steps) == converged_oracle(row, 0.25, 0.1)) or pytest.fail("steps"),
    ),
    "finite": ((), lambda row, r: None),
    "ema": ((0.9,), lambda row, r: None),
    "thresholds": (
        (3, 50.0, -50.0),
        lambda row, r: check_early_stopping(row, r, 3, 0.0, -1, 50.0, -50.0),
    ),
    "spikes": ((3, 2.0), lambda row, r: None),
    "until": ((30.0,), lambda row, r: None if np.isnan(row).any() else check_until(row, r, 30.0)),
    "schedule": ((0.3, -0.1, 30), lambda row, r: check_schedule(row, r, 0.3, -0.1, 30)),
    "swap": ((), lambda row, r: None if np.isnan(row).any() else check_swap(row, r, -1)),
}


# Each of these is called without arguments, and draws.


@many
@given(metrics, modes, st.integers(1, 6), deltas)
def drawn_early_stopping(values, mode, patience, delta):
    for row, result in results("early_stopping", mode, values, (patience, delta)):
        check_early_stopping(row, result, patience, delta, MODES[mode])


@many
@given(metrics, modes, plateau_settings)
def drawn_reduce_on_plateau(values, mode, setting):
    for row, result in results("plateau", mode, values, setting):
        check_plateau(row, result, setting, MODES[mode])


# best


@many
@given(metrics, modes)
def drawn_best(values, mode):
    for row, result in results("best", mode, values, ()):
        check_best(row, result, MODES[mode])


@many
@given(metrics, deltas, st.sampled_from([0.0, 0.1, 0.5]))
def drawn_converged(values, atol, rtol):
    for row, result in results("converged", "min", values, (atol, rtol)):
        assert int(result.steps) == converged_oracle(row, atol, rtol)


# terminate_on_nonfinite and rollback_on_nonfinite


@many
@given(metrics)
def drawn_terminate_on_nonfinite(values):
    for row, result in results("finite", "min", values, ()):
        bad = np.flatnonzero(~np.isfinite(row))
        assert int(result.steps) == (bad[0] + 1 if bad.size else N)
        assert bool(result.stopped_by) == bool(bad.size)


@many
@given(metrics | rare, modes, st.integers(0, 5), st.sampled_from(["to last", "to best"]))
def drawn_rollback_on_nonfinite(values, mode, retries, kind):
    for row, result in results(kind, mode, values, (retries,)):
        check_rollback(row, result, retries, kind == "to best", MODES[mode])


levels = st.sampled_from([-INF, -1.0, 0.3, 0.5, 50.0, INF, NAN])


@many
@given(metrics, modes, st.integers(1, 6), levels, levels)
def drawn_thresholds(values, mode, patience, good, bad):
    for row, result in results("thresholds", mode, values, (patience, good, bad)):
        check_early_stopping(row, result, patience, 0.0, MODES[mode], good, bad)


@many
@given(dyadic, st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0]))
def drawn_spike_guard(values, retries, factor):
    for row, result in results("spikes", "min", values, (retries, factor)):
        check_spikes(row, result, retries, factor)


@few
@given(finite, levels)
def drawn_until(values, level):
    for row, result in results("until", "min", values, (level,)):
        check_until(row, result, level)


ends = st.integers(-800, 800).map(lambda k: k / 7)  # no subnormals on the way


@many
@given(ends, ends, st.integers(1, 2 * N))
def drawn_schedule(start, stop, steps):
    for row, result in results("schedule", "min", [0.0] * N, (start, stop, steps)):
        check_schedule(row, result, start, stop, steps)


@few
@given(finite, modes)
def drawn_swap(values, mode):
    for row, result in results("swap", mode, values, ()):
        check_swap(row, result, MODES[mode])


@many
@given(finite, st.sampled_from([0.0, 0.5, 0.9, 0.99]))
def drawn_ema_is_the_weighted_mean(values, decay):
    for row, result in results("ema", "min", values, (decay,)):
        weights = np.float64(float_type()(decay)) ** np.arange(N - 1, -1, -1)
        exact = np.sum(weights * np.float64(row)) / np.sum(weights)
        memory = memory_of(result)
        # A rounding or so of the largest element in each of the steps that still count.
        bound = 4 * N * np.finfo(float_type()).eps * np.max(np.abs(row))
        assert abs(float(memory.value) - exact) <= bound
        total = np.sum(weights) * (1 - np.float64(float_type()(decay)))
        assert abs(float(memory.weight) - total) <= 2 * N * np.finfo(float_type()).eps


DRAWN = {
    "early_stopping": drawn_early_stopping,
    "reduce_on_plateau": drawn_reduce_on_plateau,
    "best": drawn_best,
    "converged": drawn_converged,
    "terminate_on_nonfinite": drawn_terminate_on_nonfinite,
    "rollback_on_nonfinite": drawn_rollback_on_nonfinite,
    "ema_is_the_weighted_mean": drawn_ema_is_the_weighted_mean,
    "thresholds": drawn_thresholds,
    "spike_guard": drawn_spike_guard,
    "until": drawn_until,
    "schedule": drawn_schedule,
    "swap": drawn_swap,
}
