"""The ready-made callbacks against oracles in plain Python: eager, jitted and vmapped.

Each oracle gets the metrics one at a time, as a host loop would. Settings are traced, so that all
examples share a compile.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from callback_oracles import (
    DRAWN,
    EAGER,
    LANES,
    MAKE,
    MODES,
    N,
    check_early_stopping,
    few,
    float_type,
    jitted,
    make,
    many,
    mapped,
    metrics,
    modes,
)
from helpers import assert_same, lane
from hypothesis import given


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_metrics(name):
    DRAWN[name]()


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


@pytest.mark.parametrize("kind", EAGER)
def test_metrics_of_which_none_is_a_number_or_none_is_at_first(kind):
    setting, check = EAGER[kind]
    traced = tuple(float_type()(s) if isinstance(s, float) else np.int32(s) for s in setting)
    late = np.where(np.arange(N) < N // 2, np.nan, np.arange(N))
    for row in (np.full(N, np.nan, float_type()), late.astype(float_type())):
        check(row, jitted(kind, "max", row, traced))


@many
@given(metrics, modes)
def test_patience_and_delta_may_differ_between_lanes(values, mode):
    patience, delta = np.array([1, 2, 4], np.int32), np.array([0.0, 1.0, 0.25], float_type())
    rows = np.tile(np.array(values, float_type()), (LANES, 1))
    lanes = mapped("early_stopping", mode, rows, (patience, delta))
    for k in range(LANES):
        one = lane(lanes, k)
        check_early_stopping(rows[k], one, patience[k], delta[k], MODES[mode])
