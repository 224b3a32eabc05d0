"""Every callback and form of a loop with a state of float64: types, bits, thresholds, files."""

import functools

import callback_oracles as oracles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, lane
from loop_cases import (
    AXIS,
    CALLBACKS,
    FORMS,
    HOST,
    LANES,
    START,
    N,
    check_that_none_is_missing,
    chunked,
    gradient,
    iterate,
    lanes,
    loss,
    resumed,
    scanned,
    step_of,
)
from x64_cases import EPS

import jfoundations as jf
from jfoundations import folds, stats

pytestmark = pytest.mark.usefixtures("x64")

jc = jf.callbacks
each = pytest.mark.parametrize("name", sorted(set(CALLBACKS) - AXIS))
some = pytest.mark.parametrize("name", ["several", "listener of every event", "stop_when | &"])
FLOATS = ("float64",)


def wide(tree):
    """Return the arrays in 64 bits."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), tree)


@functools.cache
def forms(name):
    """Return the results of one state by every form that runs within jit, as one program."""
    run = {
        "while": iterate(name),
        "scan": iterate(name, "scan"),
        "resumed": resumed(name),
        "scanned": lambda s: scanned(name)(s)[0],
    }
    return jax.jit(lambda s: {key: f(s) for key, f in run.items()})(wide(START))


def answer(result):
    """Return what a result says, without what it needs to go on."""
    return result.state, result.steps, result.stopped_by, result.memory


def kinds(tree):
    return {leaf.dtype.name for leaf in jax.tree.leaves(tree)}


def test_no_name_is_missing():
    check_that_none_is_missing()


@each
def test_states_and_memories_are_float64(name):
    found = forms(name)["while"]
    assert kinds(found.state) == {"float64"}
    assert found.steps.dtype == jnp.int32
    memory = kinds(found.memory)
    assert not memory & {"float32", "float16"}, memory
    assert not memory & {"int64"} - ({"int64"} if "watch" in name else set()), memory


@each
def test_scan_and_resumed_runs_have_the_bits_of_while(name):
    found = forms(name)
    for key in ("scan", "resumed", "scanned"):
        assert_same(answer(found[key]), answer(found["while"]))


@each
def test_a_lane_is_a_run_of_its_own(name):
    many = jax.jit(lanes(name))(wide(LANES))
    alone = jax.jit(iterate(name))
    for i in range(2):
        assert_same(answer(lane(many, i)), answer(alone(lane(wide(LANES), i))))


@pytest.mark.parametrize("name", sorted(AXIS))
def test_lanes_that_agree(name):
    many = jax.jit(lanes(name))(wide(LANES))
    assert kinds(many.state) == {"float64"} and len(set(many.steps.tolist())) == 1


@some
def test_other_drivers_and_chunks_have_the_bits_of_while(name):
    whole = forms(name)["while"]
    for driver in ("checkpointed", "python"):
        assert_same(answer(iterate(name, driver)(wide(START))), answer(whole))
    assert_same(answer(chunked(name)(wide(START))[-1]), answer(whole))
    lanes_too = chunked(name, lanes=True)(wide(LANES))[-1]
    assert_same(answer(lanes_too), answer(jax.jit(lanes(name))(wide(LANES))))


@pytest.mark.parametrize("name", [*FORMS, *HOST])
def test_every_other_form_runs_and_stays_wide(name):
    start = wide(LANES if "lanes" in name and name in FORMS and "mesh" in name else START)
    run = jax.jit(FORMS[name]) if name in FORMS else HOST[name]
    found = [leaf for leaf in jax.tree.leaves(run(start)) if isinstance(leaf, jax.Array)]
    floats = [leaf for leaf in found if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if name != "chunks lanes":  # whose state is of the table, which is float32
        assert kinds(floats) <= {"float64"}


@pytest.mark.parametrize("name", sorted(set(CALLBACKS) - AXIS))
def test_a_narrow_state_stays_narrow(name):
    found = jax.eval_shape(iterate(name), jax.tree.map(jnp.asarray, START))
    assert kinds(found.state) == {"float32"} and found.steps.dtype == jnp.int32


@pytest.mark.parametrize("name", ["several", "listener of every event", "when in when"])
@pytest.mark.parametrize("driver", ["scan", "checkpointed"])
def test_gradients_are_differences(name, driver):
    start, rng = wide(START), np.random.default_rng(0)
    slope = jax.jit(gradient(name, driver))(start)
    run = jax.jit(lambda s: loss(iterate(name, driver)(s).state))
    way = jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape)), start)
    move = lambda h: jax.tree.map(lambda v, d: v + h * d, start, way)  # noqa: E731
    right = (run(move(2.0**-20)) - run(move(-(2.0**-20)))) / 2.0**-19
    found = sum(jnp.sum(g * d) for g, d in zip(*map(jax.tree.leaves, (slope, way)), strict=True))
    np.testing.assert_allclose(found, right, rtol=1e-7, atol=1e-9)


def test_weak_types_are_strong_float64():
    result = jf.iterate(lambda x: 0.5 * x, 1.0, jc.history(), jc.best(jnp.abs), max_steps=3)
    assert kinds((result.state, result.memory["history"].buffer)) == {"float64"}
    assert float(result.state) == 0.125
    counted = jf.iterate(lambda n: n + 1, 2**40, max_steps=3)
    assert counted.state.dtype == jnp.int64 and int(counted.state) == 2**40 + 3
    assert repr(jf.iterate(lambda x: x, 1.0, max_steps=1)) == (
        "LoopResult(1 step, stopped by max_steps, state=float64[])"
    )


# What float32 cannot tell apart

TINY = 2.0**-40
ROWS = [
    1 + TINY * np.array([9, 8, 8, 7, 7, 7, 6, 9, 5, 5, 5, 5, 4, 3, 3, 3, 3, 3, 3, 2, 1, 1, 1, 1]),
    1e200 * np.array([3, 2, 2.5, np.nan, 1, 1, np.inf, 0.5, 0.5, -1, -1, -1, np.nan] + [0.0] * 11),
]


@pytest.mark.parametrize("kind", oracles.EAGER)
@pytest.mark.parametrize("row", ROWS, ids=["close", "large"])
def test_thresholds_and_memories_are_those_of_float64(kind, row):
    setting, check = oracles.EAGER[kind]
    fine = {"early_stopping": (2, TINY), "plateau": (0.5, 2, 0.0, TINY, 1, 0.2)}
    fine["converged"] = (TINY / 2, 0.0)
    for values, result in oracles.results(kind, "max", -row, fine.get(kind, setting)):
        if kind == "early_stopping":
            oracles.check_early_stopping(values, result, *fine[kind], -1)
        elif kind == "plateau":
            oracles.check_plateau(values, result, fine[kind], -1)
        elif kind == "converged":
            assert int(result.steps) == oracles.converged_oracle(values, *fine[kind])
        else:
            check(values, result)


@pytest.mark.parametrize("name", oracles.DRAWN)
def test_drawn_metrics(name):
    oracles.DRAWN[name]()


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_integers_next_to_each_other_at_the_ends_of_their_range(dtype, mode):
    ends = np.iinfo(dtype)
    last, sign = (ends.max, -1) if mode == "min" else (ends.min, 1)
    values = np.array([last, last, last + sign, last + 2 * sign, last + sign, last], dtype)
    it = lambda x: x  # noqa: E731
    heard = (jc.best(it, mode=mode), jc.early_stopping(it, 9, mode=mode), jc.history())
    step = lambda x, *, step: jnp.asarray(values)[step]  # noqa: E731
    result = jf.iterate(step, jnp.zeros((), dtype), *heard, max_steps=6)
    assert result.memory["best"].value == values[3] == result.memory["best"].state
    assert result.memory["best"].value.dtype == dtype
    assert result.memory["early_stopping"]["best"] == values[3]
    assert result.memory["early_stopping"]["wait"] == 2
    assert result.memory["history"].values.tolist() == values.tolist()


def test_watch_and_ema_have_the_digits_of_float64():
    values = 1e6 + np.random.default_rng(0).normal(size=9)
    step = lambda x, *, step: jnp.asarray(values)[step]  # noqa: E731
    seen, smooth = folds.var(), jc.ema(decay=0.5)
    result = jf.iterate(step, 0.0, jf.watch(seen), smooth, max_steps=9)
    right = np.var(np.longdouble(values))
    np.testing.assert_allclose(seen.extract(result.memory["var"]), float(right), rtol=16 * EPS)
    right = stats.ema(values, decay=0.5)[-1]
    np.testing.assert_allclose(result.memory["ema"].value, right, rtol=16 * EPS)


# Files


@some
def test_a_result_is_saved_and_goes_on(name, tmp_path):
    step, heard = step_of(name), CALLBACKS[name]
    half = jf.iterate(step, wide(START), *heard, max_steps=N // 2)
    jf.save(tmp_path / "half", half)
    back = jf.load(tmp_path / "half", like=half)
    assert_same(back, half)
    rest = jf.resume(back, step, *heard, max_steps=N)
    assert_same(answer(rest), answer(jf.iterate(step, wide(START), *heard, max_steps=N)))


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "complex128"])
def test_64_bits_are_saved(tmp_path, dtype):
    x = np.array([2**62 + 2**10, 1], dtype)
    jf.save(tmp_path / "x", x)
    for like in (x, jax.ShapeDtypeStruct(x.shape, x.dtype), jnp.asarray(x)):
        found = jf.load(tmp_path / "x", like=like)
        assert found.dtype == dtype and found.tolist() == x.tolist()


class Stop(Exception):
    """What ends a run in the test."""


@pytest.mark.parametrize("name", ["var", "describe", "count", "histogram", "sketch"])
def test_a_checkpoint_of_float64_goes_on_to_the_same_bits(tmp_path, name):
    f = folds.histogram(4, range=(0, 9)) if name == "histogram" else getattr(folds, name)()
    x = 5 + np.random.default_rng(0).normal(size=(6, 8))
    path = tmp_path / "run.jf"
    source = jf.Source(6, lambda i: x[i])

    def stop(done, total):
        if done == 4:
            raise Stop

    with pytest.raises(Stop):
        jf.fold(f, source, checkpoint=path, progress=stop)
    with jax.enable_x64(False), pytest.raises(ValueError):
        jf.fold(f, jf.Source(6, lambda i: np.float32(x[i])), checkpoint=path)
    found = jf.fold(f, source, checkpoint=path)
    assert_same(found, jf.fold(f, source))
    assert not {"float32"} & kinds(found)
