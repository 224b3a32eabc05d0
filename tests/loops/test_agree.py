"""Loops on a mesh: each device stops by itself, or all together, or while tracing not at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, raises
from jax import lax
from jax.sharding import Mesh, PartitionSpec

import jfoundations as jf
from jfoundations._core.compat import varying
from jfoundations._loops.collectives import collectives

P = PartitionSpec
SPLIT = P("data")
DRIVERS = ("while", "scan", "checkpointed")
FLOAT = jnp.result_type(float)
RNG = np.random.default_rng(52)
FEATURES = jnp.asarray(RNG.normal(size=(32, 3)), FLOAT)  # four rows a device
TARGETS = FEATURES @ jnp.array([3.0, -4.0, 2.0], FLOAT) + jnp.asarray(RNG.normal(size=32), FLOAT)
LEVEL = 2.5  # of a device's loss: the first is below it at step 5, the last at 10
STARTS = jnp.arange(1, 9).astype(FLOAT)


def mesh_of(shape=(8,), names=("data",)):
    return Mesh(np.array(jax.devices()).reshape(shape), names)


def on_mesh(function, ins=SPLIT, out=SPLIT, mesh=None, **options):
    mesh = mesh or mesh_of()
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=ins, out_specs=out, **options))


def loss(w, x, y):
    return jnp.mean((x @ w - y) ** 2)


def descend(x, y):
    # by hand: what jax.grad sums over the devices of itself depends on check_vma
    return lambda w: w - 0.1 * lax.pmean(x.T @ (x @ w - y) * 2 / 4, "data")


def fit(make, driver="while"):
    """Return data-parallel gradient descent with the callbacks `make(x, y)` of each device."""

    def run(x, y):
        step, start = descend(x, y), jnp.zeros(3, FLOAT)
        return jf.iterate(step, start, *make(x, y), max_steps=60, driver=driver)

    return run


def losses_of_devices(steps):
    """Return what each device's loss is after each step, by a loop without devices."""
    w, found = np.zeros(3), []
    x, y = np.asarray(FEATURES, float).reshape(8, 4, 3), np.asarray(TARGETS, float).reshape(8, 4)
    for _ in range(steps):
        left = x @ w - y
        w = w - 0.1 * np.mean(np.einsum("dnf,dn->df", x, left) * 2 / 4, axis=0)
        found.append(np.mean((x @ w - y) ** 2, axis=1))
    return np.array(found)


def below(level):
    return lambda x, y: [jf.stop_when(lambda w: loss(w, x, y) < level, name="low")]


def agreed(make, how, axis="data"):
    return lambda x, y: [jf.agree(callback, axis, how) for callback in make(x, y)]


@pytest.mark.parametrize("how", ["any", "all"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_data_parallel_descent_stops_as_one(driver, how):
    asks = losses_of_devices(60) < LEVEL
    first = np.flatnonzero(asks.any(axis=1) if how == "any" else asks.all(axis=1))[0]
    assert first == {"any": 5, "all": 10}[how]
    run = on_mesh(fit(agreed(below(LEVEL), how), driver), P("data"), P())
    result = run(FEATURES, TARGETS)
    assert (int(result.steps), result.reasons) == (first + 1, ("low",))


def test_callbacks_with_memory_agree():
    def make(x, y):
        early = jf.callbacks.early_stopping(lambda w: loss(w, x, y), patience=2, min_delta=0.02)
        return [jf.agree(early, "data"), jf.callbacks.best(lambda w: jnp.sum(w * w))]

    # the lanes of a vmap are another axis that collectives and agree run over
    lanes = jax.vmap(fit(make), axis_name="data")
    right = jax.jit(lanes)(FEATURES.reshape(8, 4, 3), TARGETS.reshape(8, 4))
    out = P()
    run = on_mesh(lambda *data: fit(make)(*data).steps, P("data"), out)
    assert int(run(FEATURES, TARGETS)) == right.steps[0] and len(set(right.steps.tolist())) == 1
    assert 2 < right.steps[0] < 60 and right.reasons[0] == ("early_stopping",)


def test_a_bool_agrees_within_a_callback():
    make = lambda x, y: [lambda w: (w, jf.agree(loss(w, x, y) < LEVEL, ("data",)))]  # noqa: E731
    run = on_mesh(fit(make), P("data"), P())
    same = on_mesh(fit(agreed(below(LEVEL), "any")), P("data"), P())
    a, b = run(FEATURES, TARGETS), same(FEATURES, TARGETS)
    assert_same((a.state, a.steps), (b.state, b.steps))


def halving(*callbacks, driver="while"):
    """Return a loop without a collective, of which each device makes its own."""

    def run(x):
        small = jf.stop_when(lambda s: s < 1.0, name="small")
        result = jf.iterate(lambda s: s / 2, x[0], small, *callbacks, max_steps=9, driver=driver)
        return jax.tree.map(lambda leaf: leaf[None], result)

    return run


@pytest.mark.parametrize("driver", DRIVERS)
def test_without_a_collective_each_device_stops_by_itself(driver):
    value = lambda s: s  # noqa: E731
    rest = (
        jf.callbacks.history(value),
        jf.every(2, jf.callbacks.best(value)),
        jf.callbacks.early_stopping(value, patience=3),
        jf.when(lambda s: s > 3.0, lambda s: (s - 1, False)),
    )
    run = halving(*rest, driver=driver)
    single = jax.vmap(lambda x: run(x[None]))(STARTS)
    result = on_mesh(run)(STARTS)
    assert_same(result, jax.tree.map(lambda leaf: leaf[:, 0], single))
    assert len(set(result.steps.tolist())) > 2 and result.reasons[0] == ("small",)


def test_a_state_that_begins_alike_may_come_to_differ():
    def run(x):
        result = jf.iterate(lambda s: s + x[0], jnp.zeros((), FLOAT), max_steps=3)
        stopped = jf.iterate(lambda s: s + x[0], 0.0, lambda s: (s, s > 10.0), max_steps=9)
        return result.state[None], stopped.steps[None]

    state, steps = on_mesh(run)(STARTS)
    assert state.tolist() == (3 * STARTS).tolist() and steps.tolist() == [9, 6, 4, 3, 3, 2, 2, 2]


def test_a_scan_of_ones_own():
    def run(x):
        small = jf.stop_when(lambda s: s < 1.0)
        body = jf.as_scan_body(lambda s: s / 2, small, jf.callbacks.best(lambda s: s))
        carry, _ = lax.scan(body, body.init(x[0]), None, length=6)
        return body.result(carry).steps[None]

    assert on_mesh(run)(STARTS).tolist() == [1, 2, 2, 3, 3, 3, 3, 4]


CURE = ("'data'", "a collective, psum", "agree(stop, 'data')")
REFUSED = {
    "function": (lambda x, y: [lambda w: (w, loss(w, x, y) < 2.0)], "callback 1 of 1, lambda"),
    "second": (
        lambda x, y: [jf.callbacks.history(jnp.sum), *below(2.0)(x, y)],
        "callback 2 of 2, low, after_step: its stop differs",
    ),
    "joined": (
        lambda x, y: [jf.callbacks.converged() | below(2.0)(x, y)[0]],
        "converged | low, after_step",
    ),
    "memory": (
        lambda x, y: [jf.callbacks.early_stopping(lambda w: loss(w, x, y), patience=2)],
        "early_stopping, after_step",
    ),
    "before": (
        lambda x, y: [jf.Callback(before_run=lambda w: (w, loss(w, x, y) < 2.0))],
        "iterate: the stop before the first step differs",
    ),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", REFUSED)
def test_a_stop_that_would_hang_is_refused_while_tracing(case, driver):
    make, who = REFUSED[case]
    with raises(ValueError, who, *CURE):
        on_mesh(fit(make, driver), P("data"), P()).lower(FEATURES, TARGETS)


def test_a_collective_in_a_callback_is_found_too():
    def run(x):
        norm = jf.callbacks.history(lambda s: lax.pmean(s, "data"))
        gated = jf.when(lambda s: lax.psum(s, "data") > 0, norm)
        return jf.iterate(lambda s: s / 2, x[0], gated, lambda s: (s, s < 1), max_steps=9).steps

    with raises(ValueError, "callback 2 of 2, lambda, after_step", *CURE):
        on_mesh(run, P("data"), P()).lower(STARTS)


def gated(*agrees):
    """Return a loop that centres its state across the devices, where the state is large."""

    def run(x):
        centre = lambda s: (s - lax.pmean(s, "data"), False)  # noqa: E731
        large = lambda s: jf.agree(s > 20.0, *agrees) if agrees else s > 20.0  # noqa: E731
        return jf.iterate(lambda s: 2 * s, x[0], jf.when(large, centre), max_steps=4).state[None]

    return on_mesh(run)


def test_a_collective_that_some_would_not_reach_is_refused():
    with raises(ValueError, "the predicate of when, after_step", *CURE[:2], "agree(…, 'data')"):
        gated().lower(STARTS)
    lanes = np.asarray(STARTS)
    for _ in range(4):
        lanes = 2 * lanes
        lanes = lanes - lanes.mean() if np.any(lanes > 20) else lanes
    assert gated("data")(STARTS).tolist() == lanes.tolist()


def test_a_gate_that_differs_over_another_axis_may_hold_a_collective():
    mesh = mesh_of((2, 4), ("a", "b"))

    def run(x):
        add = lambda s: (s + lax.psum(s, "b"), False)  # noqa: E731
        rows = lax.pmax(x[0, 0], "b")  # differs along "a" alone
        gate = jf.when(lambda s: rows > 4.0, add)
        return jf.iterate(lambda s: s, x[0, 0], gate, max_steps=1).state[None, None]

    found = on_mesh(run, P("a", "b"), P("a", "b"), mesh)(STARTS.reshape(2, 4))
    assert found.tolist() == [[1, 2, 3, 4], [5 + 26, 6 + 26, 7 + 26, 8 + 26]]


def test_resumed_runs_whose_steps_differ_are_refused():
    def run(x):
        first = jf.iterate(lambda s: s / 2, x[0], lambda s: (s, s < 1), max_steps=9)
        step = lambda s: s + lax.pmean(s, "data")  # noqa: E731
        return jf.resume(first, step, lambda s: (s, False), max_steps=20).steps

    with raises(ValueError, "the stop before the first step", *CURE):
        on_mesh(run, P("data"), P()).lower(STARTS)


def test_another_axis_may_be_asked():
    mesh, both = mesh_of((2, 4), ("a", "b")), P("a", "b")

    def run(axes, agrees=()):
        def loop(x):
            step = lambda s: s + lax.pmean(x[0, 0], axes)  # noqa: E731
            stop = lambda s: (s, jf.agree(s > 4 * x[0, 0], agrees))  # noqa: E731
            return jf.iterate(step, jnp.zeros((), FLOAT), stop, max_steps=30).steps

        return loop

    data = STARTS.reshape(2, 4)
    # four rows differ along "a" alone
    rows = jnp.broadcast_to(STARTS[:2, None], (2, 4))
    alone = on_mesh(lambda x: run("b", "b")(x)[None], both, P("a"), mesh)
    assert alone(rows).tolist() == [5, 5]
    together = on_mesh(run(("a", "b"), ("a", "b")), both, P(), mesh)
    assert int(together(data)) == 1
    with raises(ValueError, "the mesh axis 'a'", "agree(stop, 'a')"):
        on_mesh(run(("a", "b"), "b"), both, P(), mesh).lower(data)
    with raises(ValueError, "the mesh axis ('a', 'b')", "agree(stop, ('a', 'b'))"):
        on_mesh(run(("a", "b")), both, P(), mesh).lower(data)


def test_lanes_on_each_device():
    def run(agrees):
        def lane(x):
            step = lambda s: s + 0.5 * lax.pmean(x - s, "data")  # noqa: E731
            stop = lambda s: (s, agrees(s > 0.5 * x))  # noqa: E731
            kept = jf.callbacks.history(lambda s: s)
            start = jnp.zeros((), FLOAT)
            return jf.iterate(step, start, stop, kept, max_steps=9).steps

        return on_mesh(jax.vmap(lane), P("data"), P())

    data = jnp.arange(1, 25).astype(FLOAT).reshape(3, 8).T.reshape(24)  # of lane i: 8i+1 … 8i+8
    steps = run(lambda stop: jf.agree(stop, "data", "all"))(data).tolist()
    means = [4.5, 12.5, 20.5]
    assert steps == [int(np.ceil(np.log2(1 / (1 - 4 * (k + 1) / m)))) if 4 * (k + 1) < m else 0
                     for k, m in enumerate(means)]  # fmt: skip
    with raises(ValueError, "callback 1 of 2, lambda", *CURE):
        run(lambda stop: stop).lower(data)


def test_unchecked_types_refuse_nothing_and_agree_works():
    run = on_mesh(fit(agreed(below(LEVEL), "all")), P("data"), P(), check_vma=False)
    same = on_mesh(fit(agreed(below(LEVEL), "all")), P("data"), P())
    assert_same(run(FEATURES, TARGETS).steps, same(FEATURES, TARGETS).steps)


def test_what_does_not_differ_is_not_asked_for():
    def count(x):
        mean = lax.pmean(x[0], "data")
        return jf.agree(mean > 0, "data"), jf.agree(x[0] > 0, "data")

    run = on_mesh(count, P("data"), P())
    axes = [name for _, name in collectives(jax.make_jaxpr(run)(STARTS))]
    assert axes == ["psum", "pmax"] and [bool(stop) for stop in run(STARTS)] == [True, True]


def test_one_trace_and_no_collective_of_its_own():
    step, traces = counted(lambda s: s / 2)
    run = jax.jit(lambda x: jf.iterate(step, x, lambda s: (s, s < 1.0), max_steps=9).steps)
    assert int(run(4.0)) == 3 and len(traces) <= 4
    assert varying(jnp.zeros(3)) == frozenset()


def test_chains_and_names():
    low, odd = jf.stop_when(lambda s: s < 1.0, name="low"), lambda s: (s, s % 2 == 1)
    one = jf.agree(jf.chain(low, odd), "lanes")
    assert one.name == "low | lambda" and (one | low).name.startswith("low | lambda")
    run = jax.vmap(
        lambda x: jf.iterate(lambda s: s / 2, x, one, max_steps=9).steps, axis_name="lanes"
    )
    assert run(jnp.array([6.0, 64.0])).tolist() == [1, 1]
    assert jax.tree.structure(jf.agree(low, "a")) == jax.tree.structure(jf.agree(low, "a"))


def test_bad_arguments():
    assert jf.agree(False, "data") is False and jf.agree(True, "data") is True
    with raises(ValueError, "agree: how is 'every'", "'any' or 'all'"):
        jf.agree(False, "data", "every")
    with raises(ValueError, "agree: there is no mesh axis 'rows'", "inside shard_map"):
        jf.agree(jnp.array(True), "rows")
    with raises(TypeError, "agree: stop has shape (2,)", "jnp.any"):
        jf.agree(jnp.array([True, False]), "rows")
    with raises(TypeError, "is no callback"):
        jf.agree(3, "rows")
