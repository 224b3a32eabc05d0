"""Every driver gives the same bits; forward and reverse mode through them are right."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, STEPS, assert_same, is_key, momentum, rosenbrock, size, steps
from jax.test_util import check_grads

import jfoundations as jf

N = 10
REVERSE = ("scan", "checkpointed")
every_driver = pytest.mark.parametrize("driver", DRIVERS)
other_driver = pytest.mark.parametrize("driver", DRIVERS[1:])
reverse_driver = pytest.mark.parametrize("driver", REVERSE)


def double_at_even(state, *, step):
    floats = lambda x: x if is_key(x) else jnp.where(step % 2 == 0, x + x, x)  # noqa: E731
    return jax.tree.map(floats, state), False


def none():
    return ()


def stopping():
    return (jf.stop_when(lambda state, step: (step >= 6) & (size(state) > 0), name="six"),)


def remembering():
    return (
        jf.callbacks.history(),
        jf.callbacks.best(size, mode="max"),
        jf.callbacks.early_stopping(size, patience=3),
        jf.callbacks.converged(size, rtol=1e-3),
        jf.callbacks.terminate_on_nonfinite(size),
        jf.watch(jf.folds.minimum(), size),
    )


def changing():
    return (double_at_even, jf.every(3, jf.callbacks.history(size)), *stopping())


CALLBACKS = {"none": none, "memory": remembering, "change": changing}

# Where the compiler is seen to contract a·b + c differently once a callback's product or select
# is fused with the step's: the law is stated in roundings.
CONTRACTED = {("momentum", "change"): 16}


def assert_close(result, expected, roundings):
    for x, y in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        tolerance = roundings * float(jnp.finfo(jnp.result_type(float)).eps)
        np.testing.assert_allclose(x, y, rtol=tolerance, equal_nan=True)


@functools.cache
def reference(name, which):
    step, start = steps()[name]
    callbacks = CALLBACKS[which]()
    return step, start, callbacks, jf.iterate(step, start, *callbacks, max_steps=N)


@other_driver
@pytest.mark.parametrize("which", CALLBACKS)
@pytest.mark.parametrize("name", STEPS)
def test_drivers_give_equal_bits(name, which, driver):
    step, start, callbacks, expected = reference(name, which)
    result = jf.iterate(step, start, *callbacks, max_steps=N, driver=driver)
    assert result.reasons == expected.reasons
    if roundings := CONTRACTED.get((name, which)):
        assert_close(result, expected, roundings)
    else:
        assert_same(result, expected)


@pytest.mark.parametrize("name", STEPS)
def test_a_python_loop_over_the_jitted_step_gives_equal_bits(name):
    step, start, _, expected = reference(name, "none")
    for _ in range(N):
        start = jax.jit(step)(start)
    assert_same(start, expected.state)


@pytest.mark.parametrize("driver", DRIVERS[:3])
@pytest.mark.parametrize("name", ["power", "logistic"])
def test_inside_jit_the_bits_are_those_outside(name, driver):
    step, start, callbacks, expected = reference(name, "memory")
    run = jax.jit(lambda s: jf.iterate(step, s, *callbacks, max_steps=N, driver=driver))
    assert_same(run(start), expected)


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17])
def test_checkpointed_takes_every_step_whatever_the_length(n):
    expected = jf.iterate(lambda x: 3 * x + 1, 1, jf.callbacks.history(), max_steps=n)
    result = jf.iterate(
        lambda x: 3 * x + 1, 1, jf.callbacks.history(), max_steps=n, driver="checkpointed"
    )
    assert_same(result, expected)


# Reverse mode


def loss(driver, start, *callbacks, n=9):
    def of(w):
        state = {"w": w, "v": jax.tree.map(jnp.zeros_like, w)}
        return rosenbrock(
            jf.iterate(momentum, state, *callbacks, max_steps=n, driver=driver).state["w"]
        )

    return of(start)


START = {"a": jnp.asarray(-1.2), "b": jnp.asarray(1.0)}
STOP = jf.stop_when(lambda s, step: step >= 4)


@reverse_driver
@pytest.mark.parametrize("callbacks", [(), (STOP,), (STOP, jf.callbacks.history())], ids=len)
def test_grad_agrees_with_finite_differences(driver, callbacks):
    run = lambda w: loss(driver, w, *callbacks)  # noqa: E731
    check_grads(run, (START,), order=1, modes=["rev", "fwd"], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("callbacks", [(), (STOP,)], ids=["free", "stopped"])
def test_grads_of_the_drivers_agree(callbacks):
    one, other = (jax.grad(functools.partial(loss, d))(START, *callbacks) for d in REVERSE)
    forward = jax.jacfwd(functools.partial(loss, "while"))(START, *callbacks)
    by_hand = jax.grad(lambda w: by_python(w, 5 if callbacks else 9))(START)
    for gradient in (other, forward, by_hand):
        for key, g in one.items():
            np.testing.assert_allclose(g, gradient[key], rtol=100 * np.finfo(g.dtype).eps)


def by_python(w, n):
    state = {"w": w, "v": jax.tree.map(jnp.zeros_like, w)}
    for _ in range(n):
        state = momentum(state)
    return rosenbrock(state["w"])


def root(x):
    return jnp.sqrt(x - 1.0)  # nan from 1 down: one step beyond the stop


BELOW = jf.stop_when(lambda x: x < 1.0, name="below")


def fall(x, driver):
    return jf.iterate(root, x, BELOW, max_steps=8, driver=driver).state


def fall_by_hand(x):
    while x >= 1.0:
        x = root(x)
    return x


@reverse_driver
def test_a_step_that_fails_beyond_the_stop_leaves_no_nan(driver):
    start = jnp.array([9.0, 3.0, 400.0])
    expected = jnp.stack([jax.grad(fall_by_hand)(x) for x in start])
    one = functools.partial(fall, driver=driver)
    np.testing.assert_allclose(jnp.stack([jax.grad(one)(x) for x in start]), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(one))(start), expected, rtol=1e-6)
    lanes = jax.grad(lambda x: jnp.sum(jax.vmap(one)(x)))
    np.testing.assert_allclose(lanes(start), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(lanes)(start), expected, rtol=1e-6)


def test_forward_mode_through_while():
    start = jnp.array([9.0, 3.0, 400.0])
    one = functools.partial(fall, driver="while")
    expected = jnp.stack([jax.grad(fall_by_hand)(x) for x in start])
    np.testing.assert_allclose(jax.vmap(jax.jacfwd(one))(start), expected, rtol=1e-6)
    _, tangent = jax.jvp(jax.vmap(one), (start,), (jnp.ones(3),))
    np.testing.assert_allclose(tangent, expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(jax.vmap(one))(start), jnp.diag(expected), rtol=1e-6)
    second = jax.jacfwd(jax.jacfwd(one))(start[0])
    np.testing.assert_allclose(second, jax.hessian(fall_by_hand)(start[0]), rtol=1e-5)


@pytest.mark.parametrize("driver", REVERSE)
def test_second_order_through_what_is_recorded(driver):
    def run(x):
        seen = jf.callbacks.history(), jf.callbacks.best(lambda x: -x)
        result = jf.iterate(lambda x: x * jnp.sin(x), x, *seen, max_steps=4, driver=driver)
        return jnp.sum(result.memory["history"].buffer) + result.memory["best"].value

    expected = jax.jacfwd(jax.jacfwd(run))(1.3)
    for way in (jax.grad(jax.grad(run)), jax.jacfwd(jax.grad(run)), jax.jacrev(jax.jacfwd(run))):
        np.testing.assert_allclose(way(1.3), expected, rtol=1e-5)


@reverse_driver
def test_grad_of_a_history_and_with_respect_to_a_callback(driver):
    def run(x, k):
        push = jf.partial(lambda k, x: (x + k, False), k)
        result = jf.iterate(jnp.sin, x, push, jf.callbacks.history(), max_steps=4, driver=driver)
        return jnp.sum(result.memory["history"].buffer ** 2)

    check_grads(run, (jnp.asarray(0.7), jnp.asarray(0.1)), order=1, atol=2e-2, rtol=2e-2)


def test_reverse_mode_through_while_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="no gradient in reverse mode.*driver='scan'"):
        jax.grad(functools.partial(fall, driver="while"))(9.0)


# The python driver


def test_callbacks_of_the_python_driver_see_concrete_arrays(capsys):
    def show(x, *, step):
        print(int(step), float(x))
        return x, bool(x > 3.0)

    result = jf.iterate(lambda x: 2.0 * x, 1.0, show, max_steps=9, driver="python")
    assert capsys.readouterr().out == "0 2.0\n1 4.0\n"
    assert result.reasons == ("show",)


def test_gated_callbacks_of_the_python_driver_see_concrete_arrays():
    seen = []
    look = lambda x: (seen.append(float(x)), (x, False))[1]  # noqa: E731
    gates = (jf.every(2, look), jf.when(lambda x: x > 3, look))
    jf.iterate(lambda x: x + 1, 0, *gates, max_steps=4, driver="python")
    assert seen == [2.0, 4.0, 4.0]


def test_stage_events_and_memories_of_the_python_driver_are_concrete():
    seen = []

    def note(memory, x):
        seen.append((int(memory), float(x)))
        return memory + 1, x, False

    pipe = jf.Pipe(half=lambda x: x / 2, inc=lambda x: x + 1)
    jf.iterate(pipe, 4.0, jf.Callback(lambda x: 0, after_half=note), max_steps=2, driver="python")
    assert seen == [(0, 2.0), (1, 1.5)]


@pytest.mark.parametrize("name", ["step", "run"])
def test_a_step_may_be_called_step(name):
    step = lambda x: x + 1  # noqa: E731
    step.__name__ = name
    for driver in DRIVERS:
        assert int(jf.iterate(step, 0, max_steps=3, driver=driver).state) == 3
    with pytest.raises(ValueError, match=f"a stage named '{name}' would make the events"):
        jf.iterate(jf.Pipe(step), 0, max_steps=3)


def test_the_python_driver_compiles_the_step_once():
    traces = []
    step = lambda x: (traces.append(1), 0.5 * x)[1]  # noqa: E731
    jf.iterate(step, jnp.asarray(1.0), max_steps=50, driver="python")
    first = len(traces)
    assert first <= 2  # once to settle the dtypes, once to compile
    jf.iterate(step, jnp.asarray(2.0), max_steps=50, driver="python")
    assert len(traces) <= first + 1


def test_the_python_driver_refuses_to_be_traced():
    stop = jf.stop_when(lambda x: x > 3.0)
    run = lambda x: jf.iterate(lambda x: x + 1.0, x, stop, max_steps=9, driver="python").state  # noqa: E731
    with pytest.raises(TypeError, match="cannot be traced by jit.*driver='while'"):
        jax.jit(run)(1.0)
    with pytest.raises(TypeError, match="cannot be mapped by vmap.*driver='while'"):
        jax.vmap(run)(jnp.arange(3.0))
