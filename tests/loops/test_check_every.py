"""`check_every` changes no bit: on a GPU what is over is frozen, elsewhere no program differs.

The programs for a GPU run here too: they are exported for CUDA and called on the CPU.
"""

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import loop_cases as cases
import numpy as np
import pytest
from helpers import assert_same, counted, lane, nameless, raises
from jax import export, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jfoundations as jf
from jfoundations._loops.drivers import run_loop
from jfoundations._loops.iterate import make_program, to_result
from jfoundations._loops.plan import make_plan

EVERY = (2, 3, 7, 11, 64)  # 11: a block is longer than the steps in a row
FLOAT = jnp.result_type(float)
NUMBERS = jnp.array([1, 2, 27, 6, 7, 9, 19, 97])
STARTS = jnp.arange(1, 9).astype(FLOAT)
near = jf.stop_when(lambda x: jnp.abs(x * x - 2.0) < 1e-6, name="near")


def exported(function, *args):
    """Return a function's program for a GPU, which may be called on any device."""
    checks = [export.DisabledSafetyCheck.platform()]
    kept = jax.jit(functools.partial(function))
    return export.export(kept, platforms=["cuda"], disabled_checks=checks)(*args)


def on_gpu(function, *args) -> Any:
    return exported(function, *args).call(*args)


def text_for_gpu(function, *args):
    traced = jax.jit(functools.partial(function)).trace(*args)
    return nameless(traced.lower(lowering_platforms=("cuda",)).as_text())


def optimised(function, *args):
    """Return the program that the CPU runs, without names and places."""
    text: Any = jax.jit(functools.partial(function)).lower(*args).compile().as_text()
    return re.sub(r"metadata=\{[^}]*\}|, stack_frame_id=\d+", "", text[text.index("\n\n%") :])


def newton(x):
    return 0.5 * (x + 2.0 / x)


def collatz(n):
    return jnp.where(n % 2 == 0, n // 2, 3 * n + 1)


def _told(memory, n, live):
    return memory + live.astype(np.int32), n, False


HEARD = (
    jf.callbacks.history(),
    jf.stop_when(lambda n: n == 1, name="one"),
    jf.every(3, jf.callbacks.best(lambda n: n, mode="max")),
    jf.Callback(lambda n: np.int32(0), name="told", before_step=_told),
    jf.stop_when(lambda n, step: step >= 22, name="late"),
)


def reaches_one(k, most=25):
    return lambda n: jf.iterate(collatz, n, *HEARD, max_steps=most, check_every=k)


@functools.cache
def reached():
    once = jax.jit(jax.vmap(reaches_one(1)))(NUMBERS)
    assert len(set(once.steps.tolist())) > 5 and ("late",) in once.reasons
    return once


@pytest.mark.parametrize("k", EVERY)
def test_each_lane_ends_where_it_would(k):
    result = on_gpu(jax.vmap(reaches_one(k)), NUMBERS)
    assert result.reasons == reached().reasons
    assert_same(result, reached())


@pytest.mark.parametrize("k", [3, 64])
def test_a_single_run_ends_where_it_would(k):
    program = exported(reaches_one(k), NUMBERS[0])
    for i in (3, 7):  # stopped by itself, and late
        assert_same(program.call(NUMBERS[i]), lane(reached(), i))


@pytest.mark.parametrize("most", [0, 1, 5, 8])
def test_the_limit_need_not_be_a_multiple(most):
    result = on_gpu(reaches_one(4, most), NUMBERS[2])
    assert_same(result, jax.jit(reaches_one(1, most))(NUMBERS[2]))
    assert result.steps == most


@pytest.mark.parametrize("name", cases.CALLBACKS)
def test_every_callback_hears_the_same(name):
    step, heard = cases.step_of(name), cases.CALLBACKS[name]

    def lanes(k):
        run = lambda s: jf.iterate(step, s, *heard, max_steps=cases.N, check_every=k)  # noqa: E731
        return jax.vmap(run, axis_name="lanes")

    assert_same(on_gpu(lanes(4), cases.LANES), jax.jit(lanes(1))(cases.LANES))


FIFTH = jf.stop_when(lambda s, step: step >= 4, name="fifth")


@pytest.mark.parametrize("name", ["best", "snapshots", "rollback_on_nonfinite", "several"])
def test_what_a_single_run_remembers_is_frozen_too(name):
    step, heard = cases.step_of(name), (*cases.CALLBACKS[name], FIFTH)
    run = lambda k: lambda s: jf.iterate(step, s, *heard, max_steps=cases.N, check_every=k)  # noqa: E731
    once = jax.jit(run(1))(cases.START)
    assert once.steps <= 5 < cases.N
    assert_same(on_gpu(run(4), cases.START), once)


# A run that is gone on with: how many steps there are is not known to the program.


def test_resume():
    half = jax.vmap(reaches_one(1, 7))(NUMBERS)
    on = lambda r: jf.resume(r, collatz, *HEARD, max_steps=25, check_every=4)  # noqa: E731
    full = jax.vmap(lambda r: jf.resume(r, collatz, *HEARD, max_steps=25))(half)
    assert_same(on_gpu(jax.vmap(on), half), full)
    assert_same(jax.vmap(on)(half), full)


@pytest.mark.parametrize("heard", [(), HEARD], ids=["free", "stopped"])
def test_a_chunk_of_any_length(heard):
    program = make_program(collatz, heard, "chunks")

    def chunk(k):
        def run(n, limit):
            plan = make_plan(program, None, 25)
            carry = run_loop("while", plan, plan.begin(n), limit, stopped=False, check_every=k)
            return to_result(plan, carry, carry)

        return jax.vmap(run, (0, None))

    once, blocks = jax.jit(chunk(1)), exported(chunk(4), NUMBERS, jnp.int32(0))
    for limit in map(jnp.int32, (0, 3, 8, 13)):
        assert_same(blocks.call(NUMBERS, limit), once(NUMBERS, limit))


def test_chunks_end_where_they_would():
    def results(k):
        chunks = jf.chunks(
            collatz, NUMBERS, *HEARD, max_steps=25, every=6, lanes=True, check_every=k
        )
        return list(chunks)

    for result, expected in zip(results(4), results(1), strict=True):
        assert_same(result, expected)


# Loops of all kinds


def test_keys_are_those_of_the_steps():
    noisy = lambda s, *, key: s + jax.random.normal(key, s.shape, s.dtype)  # noqa: E731
    far = jf.stop_when(lambda s: jnp.abs(s) > 2.0, name="far")

    def walks(k):
        start = jnp.zeros((), FLOAT)
        run = lambda key: jf.iterate(noisy, start, far, max_steps=20, key=key, check_every=k)  # noqa: E731
        return jax.vmap(run)

    keys = jax.random.split(jax.random.key(5), 6)
    once = jax.jit(walks(1))(keys)
    assert len(set(once.steps.tolist())) > 2
    assert_same(on_gpu(walks(5), keys), once)


def test_loops_nest():
    low = jf.stop_when(lambda x: x < 1.2, name="low")

    def nested(k):
        inner = lambda x: jf.iterate(newton, x, near, max_steps=9, check_every=k).state - 0.25  # noqa: E731
        return lambda x: jf.iterate(inner, x, low, max_steps=9, check_every=k)

    once = jax.jit(jax.vmap(nested(1)))(STARTS)
    assert_same(on_gpu(jax.vmap(nested(3)), STARTS), once)


def together(k, x):
    """Step with a collective; all devices stop as one."""
    step = lambda s: s + 0.5 * (lax.pmean(s, "data") - s) + 0.25  # noqa: E731
    high = jf.agree(jf.stop_when(lambda s: s > 7.0, name="high"), "data")
    return jf.iterate(step, x, high, max_steps=30, check_every=k)


def apart(k, x):
    low = jf.stop_when(lambda s: s < 1.0, name="low")
    return jf.iterate(lambda s: s / 2, x, low, jf.callbacks.history(), max_steps=9, check_every=k)


@pytest.mark.parametrize("run", [together, apart])
def test_devices(run):
    mesh, split = Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data")

    def on_mesh(k):
        one = lambda x: jax.tree.map(lambda a: a[None], run(k, x[0]))  # noqa: E731
        return jax.shard_map(one, mesh=mesh, in_specs=split, out_specs=split)

    starts = jax.device_put(STARTS, NamedSharding(mesh, split))
    once = jax.jit(on_mesh(1))(starts)
    assert 1 < once.steps[-1] and (len(set(once.steps.tolist())) > 1) == (run is apart)
    assert_same(on_gpu(on_mesh(4), starts), once)
    assert_same(jax.jit(on_mesh(4))(starts), once)


def test_a_number_as_state_is_promoted_as_ever():
    for start in (1, 3.0):
        run = lambda k: lambda x: jf.iterate(newton, x, near, max_steps=9, check_every=k)  # noqa: E731
        assert_same(on_gpu(run(4), start), jax.jit(run(1))(start))


def test_derivatives():
    root = lambda k: lambda x: jf.iterate(newton, x, near, max_steps=9, check_every=k).state  # noqa: E731
    pushed = lambda k: lambda x: jax.jvp(jax.vmap(root(k)), (x,), (jnp.ones_like(x),))  # noqa: E731
    (x, dx), (y, dy) = on_gpu(pushed(4), STARTS), jax.jit(pushed(1))(STARTS)
    assert_same(x, y)
    np.testing.assert_allclose(dx, dy, rtol=1e-5, atol=1e-7)
    with raises(ValueError, "has no gradient in reverse mode"):
        jax.grad(root(4))(2.0)


def test_a_debugger_steps_through():
    with jax.disable_jit():
        assert_same(apart(4, jnp.asarray(5.0)), apart(1, jnp.asarray(5.0)))


# Programs


def chain_of_sines(x):
    return jnp.sin(x * 0.5)


LOOPS = {
    "run": lambda k: lambda x: jf.iterate(newton, x[0], near, max_steps=40, check_every=k),
    "lanes": lambda k: jax.vmap(
        lambda x: jf.iterate(newton, x, near, jf.callbacks.history(), max_steps=40, check_every=k)
    ),
    "free": lambda k: lambda x: jf.iterate(newton, x, max_steps=40, check_every=k),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_cpu_runs_the_program_of_one(name):
    assert optimised(LOOPS[name](7), STARTS) == optimised(LOOPS[name](1), STARTS)


def test_nothing_is_tested_where_the_steps_are_counted():
    one, seven = (text_for_gpu(LOOPS["free"](k), STARTS) for k in (1, 7))
    assert one == seven


@pytest.mark.parametrize("heard", [(), (near,)], ids=["free", "stopped"])
def test_the_text_holds_the_step_once_whatever_k(heard):
    def resumed(k):
        start = jf.iterate(chain_of_sines, STARTS[0], *heard, max_steps=0)
        on = lambda r: jf.resume(r, chain_of_sines, *heard, max_steps=10**6, check_every=k)  # noqa: E731
        text = text_for_gpu(on, start)
        assert text.count("stablehlo.sine") == 1
        return len(text)

    one, eight, large, larger = map(resumed, (1, 8, 64, 10**5))
    assert one < eight < 3 * one and larger < large + 50 < 4 * one


@pytest.mark.parametrize("heard", [(), (jf.callbacks.history(),), (near,)], ids=len)
def test_the_step_is_traced_as_often(heard):
    def traces(k):
        step, traced = counted(newton)
        run = lambda x: jf.iterate(step, x, *heard, max_steps=40, check_every=k)  # noqa: E731
        text_for_gpu(run, STARTS[0])
        return len(traced)

    assert traces(8) == traces(1)


# Bad input


@pytest.mark.parametrize(
    "value, kind, words",
    [
        (0, ValueError, "check_every is 0; it must lie in 1"),
        (-2, ValueError, "check_every is -2; it must lie in 1"),
        (True, TypeError, "check_every is True, a Python int is needed"),
        (2.0, TypeError, "check_every is 2.0, a Python int is needed"),
        (None, TypeError, "check_every is None, a Python int is needed"),
        (2**31, ValueError, "check_every is 2147483648; it must lie in 1 ... 2**31 - 1"),
    ],
)
def test_a_k_that_is_none(value, kind, words):
    start = jf.iterate(newton, 1.0, max_steps=1)
    with raises(kind, "iterate: " + words):
        jf.iterate(newton, 1.0, max_steps=3, check_every=value)
    with raises(kind, words):
        jf.resume(start, newton, max_steps=3, check_every=value)
    with raises(kind, words):
        jf.chunks(newton, 1.0, max_steps=3, check_every=value)


def test_a_traced_k():
    with raises(TypeError, "check_every is traced", "mark it static under jit"):
        jax.jit(lambda k: jf.iterate(newton, 1.0, max_steps=3, check_every=k))(2)


@pytest.mark.parametrize("driver", ["scan", "checkpointed", "python"])
def test_other_drivers_take_each_step_by_itself(driver):
    cause = f"check_every is 2, but driver='{driver}'"
    with raises(ValueError, "iterate: " + cause, "leave check_every out, or use driver='while'"):
        jf.iterate(newton, 1.0, max_steps=3, driver=driver, check_every=2)
    half = jf.iterate(newton, 1.0, max_steps=1)
    with raises(ValueError, "resume: " + cause):
        jf.resume(half, newton, max_steps=3, driver=driver, check_every=2)
    assert jf.iterate(newton, 1.0, max_steps=3, driver=driver, check_every=1).steps == 3


def test_more_than_max_steps_is_max_steps():
    three, many = (text_for_gpu(reaches_one(k, 3), NUMBERS[0]) for k in (3, 2**31 - 1))
    assert three == many
