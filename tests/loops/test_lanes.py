"""Under vmap each lane is a run of its own, stops by itself, and costs no copies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, hlo, lane, size, steps
from jax import lax

import jfoundations as jf
from jfoundations.callbacks._row import write_row

N = 12


def spread(start, lanes=4):
    """Return a batch of different starts of the kind of one."""

    def vary(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.split(leaf, lanes)
        factors = jnp.arange(1, lanes + 1).astype(leaf.dtype)
        return leaf[None] * factors.reshape(-1, *(1,) * leaf.ndim)

    return jax.tree.map(vary, start)


def callbacks(bound):
    return (
        jf.callbacks.history(size),
        jf.callbacks.best(size, mode="max"),
        jf.Callback(lambda s: 0, name="heard", after_step=lambda n, s: (n + 1, s, False)),
        jf.every(2, jf.callbacks.history(size)),
        jf.stop_when(lambda s: size(s) > bound, name="large"),
        jf.stop_when(lambda s, step: (size(s) < 0.9 * bound) & (step > 7), name="small"),
    )


BOUNDS = {"affine": 3.5, "momentum": 2.0, "lcg": 3e9, "logistic": 2.0, "walk": 2.0}


@pytest.mark.parametrize(
    "name, driver",
    [*((name, "while") for name in BOUNDS), ("logistic", "scan"), ("logistic", "checkpointed")],
)
def test_a_lane_is_a_run(name, driver):
    step, start = steps()[name]
    heard = callbacks(BOUNDS[name])
    batch = spread(start)
    run = jax.jit(lambda s: jf.iterate(step, s, *heard, max_steps=N, driver=driver))
    lanes = jax.vmap(run)(batch)
    for i in range(4):
        alone = run(lane(batch, i))
        assert_same(lane(lanes, i), alone)
        assert lanes.reasons[i] == alone.reasons


def test_the_lanes_above_do_stop_apart():
    step, start = steps()["affine"]
    run = lambda s: jf.iterate(step, s, *callbacks(3.5), max_steps=N)  # noqa: E731
    taken = jax.vmap(run)(spread(start, 8)).steps
    assert len(set(taken.tolist())) >= 3


def test_a_finished_lane_is_frozen():
    stop = jf.stop_when(lambda x: x >= 3)
    events = {
        e: lambda n, x: (n + 1, x, False) for e in ("before_step", "after_step", "after_double")
    }
    count = jf.Callback(lambda x: jnp.zeros((), np.int32), name="count", **events)
    pipe = jf.Pipe(double=lambda x: x, inc=lambda x: x + 1)
    result = jax.vmap(lambda x: jf.iterate(pipe, x, count, stop, max_steps=9))(jnp.arange(5))
    assert result.state.tolist() == [3, 3, 3, 4, 5]
    assert result.steps.tolist() == [3, 2, 1, 1, 1]
    assert result.memory["count"].tolist() == [9, 6, 3, 3, 3]


def test_a_step_that_fails_beyond_the_stop_touches_no_frozen_lane():
    run = lambda x: jf.iterate(lambda x: jnp.sqrt(x - 1), x, STOP, max_steps=9)  # noqa: E731
    STOP = jf.stop_when(lambda x: x < 1)
    start = jnp.array([1.5, 50.0, 4000.0])
    lanes = jax.vmap(run)(start)
    assert np.isfinite(lanes.state).all()
    for i, x in enumerate(start):
        assert_same(lane(lanes, i), run(x))


def test_a_lane_stopped_before_it_began():
    class Large:
        def before_run(self, x):
            return x, x > 2

    run = lambda x: jf.iterate(lambda x: x + 1, x, Large(), max_steps=4)  # noqa: E731
    result = jax.vmap(run)(jnp.arange(5))
    assert result.steps.tolist() == [4, 4, 4, 0, 0]
    assert result.state.tolist() == [4, 5, 6, 3, 4]


def test_vmap_of_vmap():
    heard = (jf.callbacks.history(), jf.stop_when(lambda x: x > 3.5))
    run = lambda x, k: jf.iterate(lambda x: k * x + 1.0, x, *heard, max_steps=N)  # noqa: E731
    x, k = jnp.array([0.5, 1.0, 2.0]), jnp.array([0.5, 0.8])
    alone = jax.jit(run)
    both = jax.vmap(jax.vmap(run, (0, None)), (None, 0))(x, k)
    for j in range(2):
        for i in range(3):
            assert_same(lane(lane(both, j), i), alone(x[i], k[j]))


def test_vmap_of_vmap_of_every_kind():
    jc, largest = jf.callbacks, jnp.max
    late = jc.after(2, jc.early_stopping(largest, patience=2)) & ~jf.stop_when(
        lambda x: jnp.min(x) > 0.9, name="high"
    )
    heard = (
        jc.history(largest, every=2, initial=True),
        jc.best(largest),
        jc.ema(decay=0.75),
        jc.reduce_on_plateau(largest, lambda x, r: x * r, factor=0.5, patience=2),
        jc.rollback_on_nonfinite(lambda x: jnp.sqrt(0.9 - largest(x)), retries=1, to="last"),
        jf.watch(jf.folds.mean(), largest),
        jf.every(3, jc.history(largest)),
        late,
    )
    run = lambda x, k: jf.iterate(lambda x: k * x * (1 - x), x, *heard, max_steps=N)  # noqa: E731
    x = jnp.array([[0.3, 0.6], [0.5, 0.25], [0.875, 0.1]])
    k = jnp.array([3.5, 3.75])
    alone = jax.jit(run)
    both = jax.jit(jax.vmap(jax.vmap(run, (0, None)), (None, 0)))(x, k)
    assert len(set(np.ravel(both.steps).tolist())) > 1
    for j in range(2):
        for i in range(3):
            assert_same(lane(lane(both, j), i), alone(x[i], k[j]))


@pytest.mark.parametrize("lanes", [2, 16, 17, 40])
@pytest.mark.parametrize("nested", [False, True])
def test_rows_are_written_alike_for_few_lanes_and_many(lanes, nested):
    """Few lanes write slices in turn, many scatter; both drop what is out of bounds."""
    rows = 5
    place = jnp.arange(lanes, dtype=np.int32) % 7
    value = jnp.stack([jnp.arange(1.0, lanes + 1), jnp.arange(0.0, -lanes, -1)], axis=1)
    buffer = jnp.full((lanes, rows, 2), jnp.nan)
    expected = np.array(buffer)
    for k in range(lanes):
        if place[k] < rows:
            expected[k, place[k]] = value[k]
    write = jax.vmap(jax.vmap(write_row)) if nested else jax.vmap(write_row)
    given = (buffer, place, value)
    if nested:
        given = jax.tree.map(lambda a: jnp.stack([a, a]), given)
        expected = np.stack([expected, expected])
    assert_same(jax.jit(write)(*given), jnp.asarray(expected))
    integers = (jnp.zeros(given[0].shape, np.int32), given[1], given[2].astype(np.int32))
    assert_same(jax.jit(write)(*integers), jnp.nan_to_num(expected).astype(np.int32))


def test_rows_where_some_of_it_is_not_batched():
    buffer, place, value = jnp.zeros(3), jnp.array([0, 2], np.int32), jnp.array([5.0, 6.0])
    write = lambda axes: jax.vmap(write_row, axes)  # noqa: E731
    assert write((None, 0, None))(buffer, place, jnp.ones(())).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert write((None, None, 0))(buffer, np.int32(1), value).tolist() == [[0, 5, 0], [0, 6, 0]]
    outer = jax.vmap(write((None, None, 0)), (None, 0, None))(buffer, place, value)
    assert outer.tolist() == [[[5, 0, 0], [6, 0, 0]], [[0, 0, 5], [0, 0, 6]]]


@pytest.mark.parametrize("driver", ["scan", "checkpointed"])
def test_a_history_of_lanes_is_differentiable(driver):
    stop = jf.stop_when(lambda x: x > 30)

    def total(x):
        run = jf.iterate(
            lambda x: 3 * x, x, jf.callbacks.history(), stop, max_steps=6, driver=driver
        )
        buffer = run.memory["history"].buffer
        return jnp.sum(jnp.where(jnp.isnan(buffer), 0, buffer))

    slope = jax.vmap(jax.grad(total))(jnp.array([1.0, 5.0, 20.0]))
    assert slope.tolist() == [3 + 9 + 27 + 81, 3 + 9, 3]
    together = jax.grad(lambda x: jnp.sum(jax.vmap(total)(x)))(jnp.array([1.0, 5.0, 20.0]))
    assert together.tolist() == slope.tolist()


def test_hyperparameters_may_be_batched():
    loss = lambda x: (x - 3.0) ** 2  # noqa: E731

    def run(patience, min_delta, x=0.0):
        stop = jf.callbacks.early_stopping(loss, patience=patience, min_delta=min_delta)
        return jf.iterate(lambda x: x + 0.5, x, stop, max_steps=30)

    patience, delta = jnp.arange(1, 5), jnp.array([0.0, 0.5, 1.0, 0.0])
    lanes = jax.vmap(run)(patience, delta)
    assert lanes.steps.tolist()[0] == 7 and len(set(lanes.steps.tolist())) >= 2
    for i in range(4):
        assert_same(lane(lanes, i), run(patience[i], delta[i]))


def test_a_callback_is_a_pytree_to_be_mapped_over():
    flat = lambda x: 0.0 * x  # noqa: E731
    stops = [jf.callbacks.early_stopping(flat, patience=p) for p in (1, 2, 3)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *stops)
    run = lambda stop: jf.iterate(lambda x: x + 1.0, 0.0, stop, max_steps=9).steps  # noqa: E731
    assert jax.vmap(run)(batch).tolist() == [2, 3, 4]


def test_a_stop_that_no_lane_differs_in_is_one_stop():
    stop = jf.stop_when(lambda x, step: step >= 2)
    run = lambda x: jf.iterate(lambda x: x + 1.0, x, stop, max_steps=9)  # noqa: E731
    result = jax.vmap(run)(jnp.arange(3.0))
    assert result.steps.tolist() == [3, 3, 3] and result.state.tolist() == [3.0, 4.0, 5.0]


# What it costs

ROWS = 1237


def buffer_copies(text):
    """Return the lines that would touch a whole buffer of so many rows in each step."""
    touching = ("stablehlo.select", "stablehlo.add", "stablehlo.broadcast", "stablehlo.copy")
    body = text[text.index("stablehlo.while") :]
    body = body[: body.index("\n    }\n    return")] if "\n    }\n    return" in body else body
    lines = body.splitlines()
    return [line for line in lines if f"x{ROWS}" in line and any(t in line for t in touching)]


@pytest.mark.parametrize(
    "record",
    [
        jf.callbacks.history(),
        jf.callbacks.history(every=3, capacity=ROWS),
        jf.every(3, jf.callbacks.history(capacity=ROWS)),
        jf.when(lambda x: x > 0.5, jf.callbacks.history(capacity=ROWS)),
    ],
    ids=["history", "every=", "every", "when"],
)
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_record_under_vmap_writes_one_row(record, lanes):
    stop = jf.stop_when(lambda x: x > 0.999)
    run = jax.vmap(lambda x: jf.iterate(lambda x: 0.9 * x, x, record, stop, max_steps=ROWS))
    text = hlo(run, jnp.ones(lanes))
    assert f"{lanes}x{ROWS}" in text and "stablehlo.dynamic_update_slice" in text
    assert buffer_copies(text) == []


@pytest.mark.parametrize("driver", ["scan", "checkpointed"])
def test_a_record_under_vmap_writes_one_row_in_other_drivers(driver):
    stop = jf.stop_when(lambda x: x < 1e-9)
    heard = jf.callbacks.history(capacity=ROWS), stop
    run = lambda x: jf.iterate(lambda x: 0.9 * x, x, *heard, max_steps=100, driver=driver)  # noqa: E731
    text = hlo(jax.vmap(run), jnp.ones(3))
    copies = [s for s in text.splitlines() if "stablehlo.select" in s and f"x{ROWS}" in s]
    assert f"3x{ROWS}" in text and copies == []


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_best_under_vmap_is_copied_only_where_some_lane_improves(lanes):
    state = (jnp.ones((lanes, ROWS)), jnp.arange(float(lanes)))
    stop = jf.stop_when(lambda s: s[1] > 9)
    best = jf.callbacks.best(lambda s: s[1])
    run = lambda s: jf.iterate(lambda s: (s[0], s[1] + 1), s, best, stop, max_steps=99)  # noqa: E731
    text = hlo(jax.vmap(run), state)
    assert text.count("stablehlo.case") == 1
    outside = text[: text.index("stablehlo.case")] + text[text.index("}) : (tensor<i32>)") :]
    selected = [s for s in outside.splitlines() if "select" in s and f"x{ROWS}" in s]
    assert selected == []


def test_a_plain_loop_under_vmap_would_copy_the_buffer():
    def run(x):
        def body(c):
            i, x, rows = c
            return i + 1, 0.9 * x, rows.at[i].set(x, mode="drop")

        start = (np.int32(0), x, jnp.zeros(ROWS))
        return lax.while_loop(lambda c: (c[0] < ROWS) & (c[1] < 0.999), body, start)

    assert buffer_copies(hlo(jax.vmap(run), jnp.ones(3))) != []


def test_a_single_loop_has_no_select_for_lanes():
    stop = jf.stop_when(lambda x: x > 0.999)
    run = lambda x: jf.iterate(lambda x: 0.9 * x, x, jf.callbacks.history(), stop, max_steps=ROWS)  # noqa: E731
    compiled = jax.jit(run).lower(jnp.ones(())).compile().as_text()
    copies = [s for s in compiled.splitlines() if " select(" in s and f"[{ROWS}" in s]
    assert copies == []


def test_stopped_tells_the_lanes_apart_under_jit():
    small = jf.stop_when(lambda x: x < 0.1, name="small")
    late = jf.stop_when(lambda x, *, step: step >= 2, name="late")

    @jax.jit
    def run(x):
        result = jax.vmap(lambda x: jf.iterate(lambda x: x / 4, x, small, late, max_steps=9))(x)
        return result.stopped("small"), result.stopped("late")

    small_ones, late_ones = run(jnp.array([0.2, 4.0, 100.0]))
    assert small_ones.tolist() == [True, True, False]
    assert late_ones.tolist() == [False, True, True]
    with pytest.raises(ValueError, match="called 'smal'.*small, late; did you mean small"):
        jf.iterate(lambda x: x / 4, 1.0, small, late, max_steps=9).stopped("smal")
