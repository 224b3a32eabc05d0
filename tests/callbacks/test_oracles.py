"""The ready-made callbacks against oracles in plain Python: eager, jitted and vmapped.

Each oracle gets the metrics one at a time, as a host loop would. Settings are traced, so that all
examples share a compile.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from callback_oracles import (
    EAGER,
    LANES,
    MAKE,
    MODES,
    N,
    check_best,
    check_early_stopping,
    check_plateau,
    check_rollback,
    converged_oracle,
    deltas,
    few,
    finite,
    float_type,
    jitted,
    make,
    many,
    mapped,
    memory_of,
    metrics,
    modes,
    plateau_settings,
    rare,
    results,
)
from helpers import assert_same, lane
from hypothesis import given
from hypothesis import strategies as st


@many
@given(metrics, modes, st.integers(1, 6), deltas)
def test_early_stopping(values, mode, patience, delta):
    for row, result in results("early_stopping", mode, values, (patience, delta)):
        check_early_stopping(row, result, patience, delta, MODES[mode])


@many
@given(metrics, modes, plateau_settings)
def test_reduce_on_plateau(values, mode, setting):
    for row, result in results("plateau", mode, values, setting):
        check_plateau(row, result, setting, MODES[mode])


# best


@many
@given(metrics, modes)
def test_best(values, mode):
    for row, result in results("best", mode, values, ()):
        check_best(row, result, MODES[mode])


@many
@given(metrics, deltas, st.sampled_from([0.0, 0.1, 0.5]))
def test_converged(values, atol, rtol):
    for row, result in results("converged", "min", values, (atol, rtol)):
        assert int(result.steps) == converged_oracle(row, atol, rtol)


# terminate_on_nonfinite and rollback_on_nonfinite


@many
@given(metrics)
def test_terminate_on_nonfinite(values):
    for row, result in results("finite", "min", values, ()):
        bad = np.flatnonzero(~np.isfinite(row))
        assert int(result.steps) == (bad[0] + 1 if bad.size else N)
        assert bool(result.stopped_by) == bool(bad.size)


@many
@given(metrics | rare, modes, st.integers(0, 5), st.sampled_from(["to last", "to best"]))
def test_rollback_on_nonfinite(values, mode, retries, kind):
    for row, result in results(kind, mode, values, (retries,)):
        check_rollback(row, result, retries, kind == "to best", MODES[mode])


@many
@given(finite, st.sampled_from([0.0, 0.5, 0.9, 0.99]))
def test_ema_is_the_weighted_mean(values, decay):
    for row, result in results("ema", "min", values, (decay,)):
        weights = np.float64(float_type()(decay)) ** np.arange(N - 1, -1, -1)
        exact = np.sum(weights * np.float64(row)) / np.sum(weights)
        memory = memory_of(result)
        # A rounding or so of the largest element in each of the steps that still count.
        bound = 4 * N * np.finfo(float_type()).eps * np.max(np.abs(row))
        assert abs(float(memory.value) - exact) <= bound
        total = np.sum(weights) * (1 - np.float64(float_type()(decay)))
        assert abs(float(memory.weight) - total) <= 2 * N * np.finfo(float_type()).eps


def test_every_callback_above_is_run_eagerly():
    assert set(EAGER) == set(MAKE)


@pytest.mark.parametrize("kind", EAGER)
@few
@given(values=metrics)
def test_eager_is_jitted_is_the_oracle(kind, values):
    setting, check = EAGER[kind]
    row = np.array(values, float_type())
    eager = make(kind, "max", jnp.asarray(row), setting, driver="python")
    check(row, eager)
    traced = tuple(float_type()(s) if isinstance(s, float) else np.int32(s) for s in setting)
    compiled = jitted(kind, "max", row, traced)
    if kind != "ema":  # its sums may be rounded otherwise where they are fused
        assert_same(eager, compiled)


@many
@given(metrics, modes)
def test_patience_and_delta_may_differ_between_lanes(values, mode):
    patience, delta = np.array([1, 2, 4], np.int32), np.array([0.0, 1.0, 0.25], float_type())
    rows = np.tile(np.array(values, float_type()), (LANES, 1))
    lanes = mapped("early_stopping", mode, rows, (patience, delta))
    for k in range(LANES):
        one = lane(lanes, k)
        check_early_stopping(rows[k], one, patience[k], delta[k], MODES[mode])
