"""What callbacks monitor: integers compared as integers, and infinities that stay.

Cause of the first kind: a metric was cast to the default float, and a float32 does not tell 2**24 +
1 from 2**24. It acts wherever a number is compared with a best one or with a tolerance: in
`early_stopping`, `best`, `reduce_on_plateau`, `rollback_on_nonfinite`, `converged`; for
integers of every width and sign, bools, and floats of 16 bits, to which a small `min_delta` was
rounded. Integers have no infinity to start from, so the first one is the best whatever it is.

Cause of the second: inf - inf and 0 * inf are nan. It acts on both infinities, in parts of complex
numbers, and where a relative tolerance makes of an infinite value an infinite slack.
"""

import operator

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same

import jfoundations as jf
from jfoundations.callbacks._monitor import passes

jc = jf.callbacks
INTEGERS = ["int8", "int16", "int32", "uint8", "uint16", "uint32"]
INF, NAN = np.inf, np.nan


def walk(values, *callbacks, driver="while", max_steps=None):
    """Run a loop whose state after step k is `values[k]`."""
    values = jnp.asarray(values)
    at = lambda x, *, step: values[step]  # noqa: E731
    n = len(values) if max_steps is None else max_steps
    return jf.iterate(at, jnp.zeros_like(values[0]), *callbacks, max_steps=n, driver=driver)


def it(x):
    return x


@pytest.mark.parametrize("driver", ["while", "scan", "python"])
def test_a_metric_that_falls_by_one_from_a_thousand_million_goes_on(driver):
    values = np.int32(10**9) - np.arange(9, dtype=np.int32)
    result = walk(values, jc.early_stopping(it, 2), driver=driver)
    assert int(result.steps) == 9 and int(result.memory["early_stopping"]["best"]) == 10**9 - 8
    up = walk(-values, jc.early_stopping(it, 2, mode="max"), driver=driver)
    assert int(up.steps) == 9 and int(up.memory["early_stopping"]["best"]) == 8 - 10**9


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_next_to_each_other_at_the_ends_of_their_range(dtype, mode):
    ends = np.iinfo(dtype)
    last, sign = (ends.max, -1) if mode == "min" else (ends.min, 1)
    values = np.array([last, last, last + sign, last + 2 * sign, last + sign, last], dtype)
    listeners = (jc.best(it, mode=mode), jc.early_stopping(it, 9, mode=mode))
    guard = jc.rollback_on_nonfinite(it, retries=1, to="best", mode=mode)
    update = lambda x, ratio: x  # noqa: E731
    plateau = jc.reduce_on_plateau(it, update, rtol=0.0, patience=2, mode=mode)
    result = walk(values, *listeners, guard, plateau)
    memory = result.memory
    assert memory["best"].value == values[3] and memory["best"].value.dtype == dtype
    assert memory["best"].state == values[3]
    assert memory["early_stopping"]["best"] == values[3] and memory["early_stopping"]["wait"] == 2
    assert memory["rollback_on_nonfinite"]["good"].value == values[3]
    assert 0.09 < float(memory["reduce_on_plateau"]["scale"]) < 0.11  # once: after two waits
    # Nothing wraps round at the other end either.
    far = np.array([ends.min if mode == "min" else ends.max, last], dtype)
    stop = jc.early_stopping(it, 1, min_delta=1, mode=mode)
    assert walk(far, stop, max_steps=2).reasons == ("early_stopping",)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_thresholds_of_integers_are_met_exactly(dtype):
    """Beyond 2**24 a float32 would take neighbours for equal, and wrap at the ends of a range."""
    ends = np.iinfo(dtype)
    numbers = np.array([ends.min, ends.min + 1, ends.max // 2 + 1, ends.max - 1, ends.max], dtype)
    bounds = [*numbers, np.int32(-7), np.int32(-(2**24) - 1), np.uint32(3_000_000_000)]
    bounds += map(np.float32, (0.5, 1.0, -1.5, 2.0**31, 2.0**32, -3e38, INF, -INF, NAN))
    for bound in bounds:
        for sign, compare in ((1, operator.lt), (-1, operator.gt)):
            found = jax.vmap(lambda n, b=bound, s=sign: passes(n, b, s))(numbers).tolist()
            assert found == [compare(int(n), bound.item()) for n in numbers], (bound, sign)


@pytest.mark.parametrize("beyond", [2**24 + 1, -(2**24) - 1, np.int32(2**24 + 1)])
def test_a_threshold_that_a_float32_does_not_hold(beyond):
    values = [int(beyond) + 1, int(beyond), int(beyond) - 1]
    good = jc.early_stopping(it, 9, stopping_threshold=beyond)
    bad = jc.early_stopping(it, 9, divergence_threshold=beyond)
    assert int(walk(np.int32(values), good).steps) == 3
    assert int(walk(np.int32(values[::-1]), bad).steps) == 3
    assert not walk(
        np.array([False, True]), jc.early_stopping(it, 9, divergence_threshold=1)
    ).stopped_by


@pytest.mark.parametrize("dtype", [*INTEGERS, bool])
def test_the_first_integer_is_the_best_whatever_it_is(dtype):
    last = True if dtype is bool else np.iinfo(dtype).max
    values = np.array([last] * 4, dtype)
    seen = jc.best(lambda s: s["m"])
    step = lambda s, *, step: {"m": jnp.asarray(values)[step], "k": s["k"] + 1}  # noqa: E731
    start = {"m": jnp.zeros((), dtype), "k": jnp.int32(0)}
    best = jf.iterate(step, start, seen, max_steps=4).memory["best"]
    assert best.value == values[0] and int(best.state["k"]) == 1 and bool(best.found)
    nothing = jf.iterate(step, start, seen, max_steps=0).memory["best"]
    assert not nothing.found and int(nothing.state["k"]) == 0
    # the first improves, and the third of equals stops patience 2; as for floats
    assert int(walk(values, jc.early_stopping(it, 2)).steps) == 3
    assert int(walk(values, jc.early_stopping(it, 2, mode="max")).steps) == 3


def test_best_keeps_the_better_of_two_neighbours_beyond_a_float32():
    for values, mode, right in (([2**24 + 1, 2**24], "min", 1), ([2**24, 2**24 + 1], "max", 1)):
        best = walk(np.array(values, np.int32), jc.best(it, mode=mode)).memory["best"]
        assert int(best.value) == values[right] and int(best.state) == values[right]


@pytest.mark.parametrize(
    "delta, better",
    [(0, 1), (0.0, 1), (0.5, 1), (1, 2), (1.0, 2), (1.5, 2), (2**24 + 1, 2**24 + 2), (1e30, None)],
)
def test_the_least_improvement_of_integers(delta, better):
    start = 2**30
    for gap in {1, 2, 2**24 + 1, 2**24 + 2}:
        values = np.array([start, start - gap], np.int32)
        memory = walk(values, jc.early_stopping(it, 9, min_delta=delta)).memory["early_stopping"]
        improved = better is not None and gap >= better
        assert int(memory["wait"]) == (0 if improved else 1)
    traced = jax.jit(
        lambda d: walk(np.array([9, 7], np.uint8), jc.early_stopping(it, 9, min_delta=d))
    )
    for d in (np.float32(2), np.int32(2), np.float16(2)):
        assert traced(d).memory["early_stopping"]["wait"] == 1


def test_relative_thresholds_of_integers():
    def waits(values, **settings):
        update = lambda x, ratio: x  # noqa: E731
        rule = jc.reduce_on_plateau(it, update, patience=9, **settings)
        return int(walk(np.array(values, np.int32), rule).memory["reduce_on_plateau"]["wait"])

    assert waits([1000, 900], rtol=0.1) == 1 and waits([1000, 899], rtol=0.1) == 0
    assert waits([-1000, -1100], rtol=0.1) == 1 and waits([-1000, -1101], rtol=0.1) == 0
    assert waits([2**31 - 1, -(2**31)], rtol=0.5) == 0


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_a_small_step_of_a_short_float_is_not_rounded_away(dtype):
    ulp = float(ml_dtypes.finfo(dtype).eps)
    values = np.array([2.0, 2.0 - ulp], dtype)  # exact
    for delta, waits in ((0.75 * ulp, 0), (1.25 * ulp, 1)):
        memory = walk(values, jc.early_stopping(it, 9, min_delta=delta)).memory["early_stopping"]
        assert memory["best"].dtype == dtype
        if dtype != np.float32:  # there the sum is a float32's
            assert int(memory["wait"]) == waits
    far = jc.early_stopping(it, 9, min_delta=1e38)
    top = walk(np.array([3e38, 3e38], ml_dtypes.bfloat16), far).memory["early_stopping"]
    assert int(top["wait"]) == 1  # the first improved, though the sum overflows


def test_lanes_and_resumed_runs_of_integers():
    of = (jc.early_stopping(it, 2), jc.best(it))
    rows = np.array([[9, 8, 8, 8, 1], [2**24 + 1, 2**24, 2**24 - 1, 5, 5]], np.int32)
    lanes = jax.vmap(lambda row: walk(row, *of))(jnp.asarray(rows))
    assert lanes.steps.tolist() == [4, 5]
    at = lambda x, *, step: jnp.asarray(rows[1])[step]  # noqa: E731
    half = jf.iterate(at, jnp.int32(0), *of, max_steps=2)
    whole = jf.iterate(at, jnp.int32(0), *of, max_steps=5)
    assert_same(jf.resume(half, at, *of, max_steps=5), whole)
    for i, row in enumerate(rows):
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], lanes), walk(row, *of))


# converged


def still(values, **tolerances):
    """Return after how many steps `converged` stops; None if it does not."""
    result = walk(values, jc.converged(**tolerances))
    return int(result.steps) if result.reasons == ("converged",) else None


@pytest.mark.parametrize("driver", ["while", "python"])
def test_a_leaf_that_stays_infinite_holds_still(driver):
    step = lambda s: {"x": s["x"] / 2, "bound": s["bound"]}  # noqa: E731
    for bound in (INF, -INF):
        start = {"x": jnp.float32(1), "bound": jnp.array([bound, 1.0])}
        for settings in ({"atol": 0.2}, {"atol": 0.2, "rtol": 1e-3}):
            run = jf.iterate(step, start, jc.converged(**settings), max_steps=9, driver=driver)
            assert int(run.steps) == 3 and run.reasons == ("converged",)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_what_is_about_to_be_infinite_does_not(dtype):
    for settings in ({}, {"rtol": 0.5}, {"atol": 1.0, "rtol": 0.1}):
        assert still(np.array([4, INF, INF], dtype), **settings) == 3
        assert still(np.array([4, INF, -INF, INF, 9], dtype), **settings) is None
        assert still(np.array([4, NAN, NAN, INF, NAN], dtype), **settings) is None


def test_parts_of_complex_numbers():
    inf = complex(INF, 1)
    assert still(np.array([1, inf, inf], np.complex64)) == 3
    assert still(np.array([1, inf, complex(INF, 1.5)], np.complex64)) is None
    assert still(np.array([1, inf, complex(INF, 1.5)], np.complex64), atol=0.5) == 3
    assert still(np.array([4, inf, complex(-INF, 1)], np.complex64), atol=1.0, rtol=0.5) is None
    assert still(np.array([3 + 4j, 3 + 4.5j], np.complex64), rtol=0.1) == 2


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_round_nowhere(dtype):
    ends = np.iinfo(dtype)
    assert still(np.array([ends.max, ends.min] * 2, dtype), atol=0.5 * ends.max) is None
    assert still(np.array([ends.max, ends.max - 1], dtype), atol=1) == 2
    assert still(np.array([ends.max, ends.max - 2], dtype), atol=1.9) is None
    assert still(np.array([ends.min + 50, ends.min + 53], dtype), atol=3) == 2


def test_tolerances_of_integers_that_no_float_holds():
    apart = lambda gap: np.array([2**30, 2**30 - gap], np.int32)  # noqa: E731
    assert still(apart(2**24 + 1), atol=2**24) is None
    assert still(apart(2**24 + 1), atol=2**24 + 1) == 2
    assert still(apart(2**24 + 2), atol=2**24 + 1) is None


def test_bools():
    assert still(np.array([True, False, False])) == 3
