"""Gradients that a loop has not, loops of no steps, and memories asked for by name.

Causes: reverse mode failed in JAX's words, which know no drivers: it does so wherever a while_loop
is, in `iterate`, `resume` and `chunks`, through state, memories and what the step closed over,
under jit, vmap and `jax.checkpoint`. JAX refuses to scan nothing under `disable_jit`, as `resume`
and the blocks of the checkpointed driver may ask it to. `memory` was a plain dict, whose KeyError
names no names; as one that does, it stays a pytree like it.
"""

import copy
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, hlo, raises

import jfoundations as jf

X = jnp.array([0.5, 1.0])


def squash(x):
    return jnp.sin(x)


def total(x, *callbacks, **options):
    return jf.iterate(squash, x, *callbacks, max_steps=3, **options).state.sum()


def slope(x):
    """Return the derivative of sin(sin(sin(x)))."""
    a, b = np.sin(x), np.sin(np.sin(x))
    return np.cos(x) * np.cos(a) * np.cos(b)


def in_chunks(x):
    for result in jf.chunks(squash, x, max_steps=3, every=2):
        x = result.state
    return x.sum()


def resumed(x):
    return jf.resume(jf.iterate(squash, x, max_steps=1), squash, max_steps=3).state.sum()


def by_memory(x):
    seen = jf.callbacks.history(capacity=3)
    return jf.iterate(squash, x, seen, max_steps=3).memory["history"].buffer.sum()


def closed_over(w):
    return jf.iterate(lambda x: w * x, X, lambda x: (x, jnp.sum(x) > 9), max_steps=3).state.sum()


ONE_WAY = {
    "iterate": total,
    "with a stop": lambda x: total(x, lambda x: (x, jnp.sum(x) > 9)),
    "with a callback": lambda x: total(x, lambda x: (x, False)),
    "resume": resumed,
    "chunks": in_chunks,
    "memory": by_memory,
    "closed over": closed_over,
    "jit": jax.jit(total),
    "checkpoint": jax.checkpoint(total),
    "inner": lambda x: jf.iterate(
        lambda y: y * total(x), x, max_steps=2, driver="scan"
    ).state.sum(),
}


@pytest.mark.parametrize("function", ONE_WAY.values(), ids=ONE_WAY)
def test_reverse_mode_names_the_drivers_that_have_it(function):
    for reverse in (jax.grad(function), jax.jacrev(function)):
        with raises(
            ValueError,
            *("driver='while'", "chunks", "driver='scan'", "'checkpointed'", "'implicit'", "jvp"),
        ):
            reverse(X)


def test_reverse_mode_under_jit_and_vmap():
    for reverse in (jax.jit(jax.grad(total)), jax.vmap(jax.grad(total))):
        with raises(ValueError, "driver='scan'"):
            reverse(jnp.stack([X, X]))


@pytest.mark.parametrize("driver", ["scan", "checkpointed", "python"])
def test_the_other_drivers_have_it(driver):
    found = jax.grad(functools.partial(total, driver=driver))(X)
    assert np.allclose(found, slope(np.asarray(X)), rtol=1e-6, atol=0)


def test_forward_mode_is_as_it_was():
    right = slope(np.asarray(X))
    assert np.allclose(jax.jvp(total, (X,), (X,))[1], (right * X).sum(), rtol=1e-6)
    assert np.allclose(jax.jacfwd(total)(X), right, rtol=1e-6)
    assert np.allclose(jax.linearize(total, X)[1](X), (right * X).sum(), rtol=1e-6)
    lanes = jax.vmap(jax.jacfwd(total))(jnp.stack([X, X]))
    assert_same(lanes[0], lanes[1])
    assert jax.jacfwd(jax.jacfwd(total))(X).shape == (2, 2)


def test_a_loop_that_no_gradient_needs_is_in_nobodys_way():
    constant = lambda x: (jax.lax.stop_gradient(jf.iterate(squash, x, max_steps=3).state) * x).sum()  # noqa: E731
    assert_same(jax.grad(constant)(X), jf.iterate(squash, X, max_steps=3).state)
    counts = lambda x: x * jf.iterate(lambda n: n + 1, 0, max_steps=3).state  # noqa: E731
    assert float(jax.grad(counts)(2.0)) == 3


def test_the_refusal_puts_nothing_into_the_program():
    def by_hand(x):
        body = lambda c: (c[0] + 1, squash(c[1]))  # noqa: E731
        return jax.lax.while_loop(lambda c: c[0] < 3, body, (np.int32(0), x))[1]

    bare = lambda x: jf.iterate(squash, x, max_steps=3).state  # noqa: E731
    assert hlo(bare, X) == hlo(by_hand, X)
    forward = lambda f: lambda x: jax.jvp(f, (x,), (x,))  # noqa: E731
    assert hlo(forward(bare), X) == hlo(forward(by_hand), X)
    assert hlo(jax.vmap(bare), X) == hlo(jax.vmap(by_hand), X)


# No steps, and eagerly


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_loops_under_disable_jit(driver, steps):
    inc = lambda x: x + 1  # noqa: E731
    for callbacks in ((), (lambda x: (x, x > 2),), (lambda x: (x, False),)):
        with jax.disable_jit():
            whole = jf.iterate(inc, 0, *callbacks, max_steps=steps, driver=driver)
            nothing = jf.iterate(inc, 0, *callbacks, max_steps=0, driver=driver)
            again = jf.resume(nothing, inc, *callbacks, max_steps=steps, driver=driver)
            parts = [*jf.chunks(inc, 0, *callbacks, max_steps=steps, every=2)]
        assert int(whole.state) == int(again.state) == int(parts[-1].state) == steps
        assert int(whole.steps) == int(again.steps) == int(parts[-1].steps) == steps


# Memories


def with_memories(x):
    callbacks = jf.watch(jf.folds.mean(), name="z"), jf.callbacks.history(capacity=3)
    return jf.iterate(squash, x, *callbacks, max_steps=3)


def test_memory_is_a_dict_and_a_pytree(tmp_path):
    result = with_memories(1.0)
    assert isinstance(result.memory, dict) and list(result.memory) == ["z", "history"]
    assert result.memory.get("mean") is None and "mean" not in result.memory
    compiled = jax.jit(with_memories)(1.0)
    doubled = jax.tree.map(lambda leaf: leaf + leaf, result)
    lanes = jax.vmap(with_memories)(X)
    jf.save(tmp_path / "run", result)
    loaded = jf.load(tmp_path / "run", like=result)
    copied = copy.deepcopy(result.memory), pickle.loads(pickle.dumps(result.memory))
    for memory in (compiled.memory, doubled.memory, lanes.memory, loaded.memory, *copied):
        assert list(memory) == ["z", "history"]
        with raises(KeyError, "no callback called 'histroy'", "did you mean history"):
            memory["histroy"]
    assert_same(loaded, result)
    routes = [
        jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(result.memory)
    ]
    plain = [
        jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path({**result.memory})
    ]
    assert routes == plain


def test_a_result_is_carried_by_another_loop():
    seen = jf.callbacks.history(capacity=9)
    epoch = lambda run: jf.resume(run.again(), squash, seen, max_steps=2)  # noqa: E731
    start = jf.iterate(squash, 1.0, seen, max_steps=0)
    for driver in ("while", "scan", "python"):
        fit = jf.iterate(epoch, start, max_steps=3, driver=driver)
        assert fit.state.memory["history"].values.size == 6
