"""`spike_guard` by example: what is a spike, and what comes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same
from metrics import FLOAT

import jfoundations as jf

jc = jf.callbacks
NAN, INF = float("nan"), float("inf")


def follow(state):
    """Take the next number of the data; going back, the place in the data goes back too."""
    return {**state, "x": state["data"][state["t"]], "t": state["t"] + 1}


def begin(values):
    return {
        "data": jnp.asarray(values),
        "x": jnp.zeros_like(jnp.asarray(values)[0]),
        "t": jnp.int32(0),
    }


def leave_out(state):
    return {**state, "t": state["t"] + 1}


def metric(state):
    return state["x"]


def taken(values, *, max_steps=None, driver="while", **settings):
    """Return the result, and the numbers that the loop went on with."""
    settings = {"window": 4, "factor": 3.0, "retries": 9, "update": leave_out, **settings}
    heard = jc.spike_guard(metric, **settings), jc.history(metric)
    steps = max_steps or len(values)
    result = jf.iterate(follow, begin(values), *heard, max_steps=steps, driver=driver)
    return result, result.memory["history"].values.tolist()


@pytest.mark.parametrize(
    "values, settings, numbers",
    [
        pytest.param([3.0, 2.0, 90.0, 2.0], {}, [3, 2, 2, 2], id="skipped, and the data with it"),
        pytest.param([3.0, 90.0, 2.0, 3.0], {}, [3, 90, 2, 3], id="not before there are two"),
        pytest.param([3.0, NAN, 2.0, 3.0], {}, [3, 3, 2, 3], id="nan always is"),
        pytest.param([3.0, INF, 2.0, -INF], {}, [3, 3, 2, 2], id="infinities always are"),
        pytest.param([3.0, 2.0, -90.0, 2.0], {}, [3, 2, -90, 2], id="what is low is none"),
        pytest.param([-3.0, -2.0, 9.0, -2.0], {}, [-3, -2, -2, -2], id="negative numbers"),
        pytest.param([5.0, 5.0, 5.0, 5.0], {}, [5, 5, 5, 5], id="a constant has none"),
        pytest.param([0.1, 0.1, 0.1, 0.1, 0.2], {}, [0.1] * 5, id="beside a constant, anything"),
        pytest.param([1.0, 3.0, 5.0, 5.5], {"factor": 3.0}, [1, 3, 5, 5.5], id="3 deviations"),
        pytest.param([1.0, 3.0, 5.5, 5.0], {"factor": 3.0}, [1, 3, 3, 5], id="more than 3"),
        pytest.param(
            [1.0, 3.0, 5.5, 6.0], {"window": 8}, [1, 3, 5.5, 6], id="not before half a window"
        ),
        pytest.param(
            [9.0, 5.0, 3.0, 3.0, 4.0, 9.0],
            {"window": 2},
            [9, 5, 3, 3, 3, 3],
            id="compared with the last window alone",
        ),
    ],
)
def test_what_is_a_spike(values, settings, numbers):
    for driver in DRIVERS:
        _, found = taken(values, driver=driver, **settings)
        assert found == np.array(numbers, FLOAT).tolist()


def test_retries_are_spent_and_the_state_stays_good():
    values = [3.0, 2.0, *[90.0] * 4]
    for retries in range(4):
        result, found = taken(values, retries=retries)
        guard = result.memory["spike_guard"]
        assert result.reasons == ("spike_guard",) and int(result.steps) == 3 + retries
        assert int(guard["retries"]) == retries and found[-1] == 2.0
        assert_same(guard["good"], result.state)
    # Without an update the same number comes again, and again.
    again, _ = taken(values[:3] + [2.0], update=None, retries=2, max_steps=20)
    assert int(again.steps) == 5 and int(again.state["t"]) == 2


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16", "bfloat16", "bool"])
def test_other_numbers_are_compared_as_floats(dtype):
    values = jnp.asarray([3, 2, 90, 2, 3]).astype(dtype)
    result, found = taken(values)
    guard = result.memory["spike_guard"]
    assert guard["values"].dtype == (FLOAT if dtype in ("int32", "uint8", "bool") else "float32")
    assert int(guard["retries"]) == (dtype != "bool") and metric(result.state).dtype == dtype


def test_squares_stay_in_range():
    for scale in (1e-30, 1e30):
        values = np.array([1, 2, 1, 2, 9, 2], FLOAT) * FLOAT.type(scale)
        result, _ = taken(values)
        assert int(result.memory["spike_guard"]["retries"]) == 1


def test_lanes_guard_themselves_and_resume_goes_on():
    rows = np.array([[3, 2, 90, 2, 3, 2], [3, 2, 2, 2, 2, 2], [3, NAN, NAN, NAN, NAN, 2]], FLOAT)
    guard = jc.spike_guard(metric, window=4, factor=3.0, retries=2, update=leave_out)
    run = lambda row: jf.iterate(follow, begin(row), guard, max_steps=6)  # noqa: E731
    lanes = jax.vmap(run)(rows)
    assert lanes.memory["spike_guard"]["retries"].tolist() == [1, 0, 2]
    assert lanes.steps.tolist() == [6, 6, 4]
    for k, row in enumerate(rows):
        half = jf.iterate(follow, begin(row), guard, max_steps=3)
        assert_same(jax.tree.map(lambda a, k=k: a[k], lanes), run(row))
        assert_same(jf.resume(half, follow, guard, max_steps=6), run(row))


def test_an_update_keeps_the_state():
    with pytest.raises(TypeError, match="spike_guard, update"):
        taken([1.0, 2.0], update=lambda s: {**s, "t": s["x"]})
