"""The checks of transforms, gradients and memories pass what is sound, and name what is not."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from jax import lax
from jax.sharding import Mesh

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

X = jnp.arange(16.0)


def test_sharding_changes_no_bit_of_what_is_local():
    checks.assert_shard_invariant(jnp.sin, X)
    checks.assert_shard_invariant(lambda x, n: {"a": x[::-1], "n": n + 1}, X, jnp.arange(8))
    mesh = Mesh(np.array(jax.devices()[:4]).reshape(2, 2), ("rows", "columns"))
    checks.assert_shard_invariant(jnp.cumsum, jnp.arange(6), mesh=mesh)


def test_sharding_that_changes_the_answer():
    x = jnp.asarray(np.random.default_rng(0).normal(size=4096), jnp.float32)
    with pytest.raises(AssertionError, match="on one device, and over 8: the value differs"):
        checks.assert_shard_invariant(jnp.sum, x)
    checks.assert_shard_invariant(jnp.sum, x, rtol=1e-4)
    checks.assert_shard_invariant(lambda x: stats.sum(x, reproducible=True), x)


def test_what_cannot_be_sharded():
    with raises(ValueError, "shapes [(7,), (8,)] cannot be split over 8 devices"):
        checks.assert_shard_invariant(jnp.dot, jnp.ones(7), jnp.ones(8))
    with raises(ValueError, "cannot be split"):
        checks.assert_shard_invariant(jnp.sin, jnp.float32(1))


def test_gradients_that_match():
    checks.assert_grad_matches(lambda x, y: {"a": jnp.sin(x) * y, "n": 3}, X / 8, 2.0)
    checks.assert_grad_matches(stats.std, jnp.full(5, 3.0))
    checks.assert_grad_matches(jnp.sum, X.astype(jnp.bfloat16))
    checks.assert_grad_matches(lambda x, n: x**n, X[1:3], 3, rtol=1e-2)
    with jax.numpy_dtype_promotion("standard"):
        checks.assert_grad_matches(lambda t: t["x"] * t["n"], {"x": X, "n": jnp.arange(16)})


@jax.custom_jvp
def wrong(x):
    return jnp.sin(x)


@wrong.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    return jnp.sin(x), 1.1 * t * jnp.cos(x)


@jax.custom_vjp
def forgets(x):
    return x * x


forgets.defvjp(lambda x: (x * x, x), lambda x, g: (g * x,))


def test_gradients_that_do_not():
    with pytest.raises(AssertionError, match="the forward derivative along a direction is"):
        checks.assert_grad_matches(wrong, X / 8)
    with pytest.raises(AssertionError, match="the reverse derivative along a direction is"):
        checks.assert_grad_matches(forgets, X, modes=("reverse",))
    with pytest.raises(AssertionError, match="the forward derivative is not finite, though"):
        checks.assert_grad_matches(jnp.std, jnp.full(5, 3.0))
    with pytest.raises(AssertionError, match="the gradient is not finite, though"):
        checks.assert_grad_matches(jnp.std, jnp.full(5, 3.0), modes=("reverse",))
    with pytest.raises(AssertionError, match="the forward derivative along a direction is 0"):
        checks.assert_grad_matches(lambda x: lax.stop_gradient(x) * 2, X)


def test_where_there_is_no_gradient():
    with raises(ValueError, "the function is not finite there"):
        checks.assert_grad_matches(jnp.log, jnp.zeros(2))
    with raises(ValueError, "got 0 such arguments and 0 such answers"):
        checks.assert_grad_matches(jnp.sum, jnp.arange(3))


def test_a_loop_in_forward_mode_only():
    def loop(x):
        return lax.while_loop(lambda c: jnp.all(c[0] < 3), lambda c: (c[0] + 1, c[1] * x), (0, x))[
            1
        ]

    checks.assert_grad_matches(loop, X / 16, modes=("forward",))


CALLBACKS = {
    "function": lambda x: (x, False),
    "proceed": jf.proceed,
    "history": jf.callbacks.history(),
    "best": jf.callbacks.best(jnp.max),
    "ema": jf.callbacks.ema(decay=0.5),
    "early_stopping": jf.callbacks.early_stopping(jnp.max, patience=2),
    "rollback": jf.callbacks.rollback_on_nonfinite(jnp.max, retries=1),
    "watch": jf.watch(folds.describe(), of=jnp.max),
    "chain": jf.chain(jf.callbacks.history(), jf.callbacks.best(jnp.max)),
}
FOLDS = {
    "mean": folds.mean(),
    "describe": folds.describe(),
    "minmax": folds.minmax(),
    "histogram": folds.histogram(np.arange(4.0)),
    "of and where": folds.var().of(jnp.abs).where(lambda x: x[0] > 0),
    "combine": jf.combine(a=folds.count(), b=folds.skew()),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_start_from_shapes(name):
    like = jax.ShapeDtypeStruct((3,), X.dtype)
    checks.assert_abstract_init(CALLBACKS[name], like)
    state = jnp.arange(3.0)
    checks.assert_donatable(state, jf.iterate(jnp.sin, state, CALLBACKS[name], max_steps=2))


@pytest.mark.parametrize("name", FOLDS)
def test_folds_start_from_shapes(name):
    checks.assert_abstract_init(FOLDS[name], X[:2])


def test_inits_that_need_numbers():
    def counts(state):
        return jnp.zeros(int(state.sum()))

    with raises(AssertionError, "Callback: init under jax.eval_shape fails: Concretization"):
        checks.assert_abstract_init(jf.Callback(counts, name="Callback", after_step=keep), X)
    peeks = jf.Fold(lambda like: like * 0, jnp.add, jnp.add, name="peeks")
    with raises(AssertionError, "peeks: init of jax.ShapeDtypeStructs fails: TypeError"):
        checks.assert_abstract_init(peeks, X)

    def first(like):
        return jnp.zeros(()) if isinstance(like, jax.core.Tracer) else jnp.zeros((), jnp.int32)

    with raises(AssertionError, "two: init of shapes, and of arrays"):
        checks.assert_abstract_init(jf.Callback(first, name="two", after_step=keep), X)


def keep(memory, state):
    return memory, state, False


def test_a_key_in_the_state():
    state = {"key": jax.random.key(0), "x": X}
    checks.assert_abstract_init(jf.callbacks.history(lambda s: s["x"]), state)


def test_a_buffer_that_is_there_twice():
    with raises(AssertionError, "['a'] and ['b'] are one buffer: a donation of both fails"):
        checks.assert_donatable({"a": X, "b": X})
    with raises(AssertionError, "[0] and [1].best are one buffer"):
        checks.assert_donatable(X, Memory(X))
    with raises(AssertionError, "are one buffer"):
        checks.assert_donatable(*[jax.random.key(0)] * 2)
    checks.assert_donatable({"a": X, "b": X + 0, "c": np.arange(3), "d": 1.0, "e": jnp.zeros(0)})
    spread = jax.device_put(X, jax.sharding.NamedSharding(Mesh(jax.devices(), "d"), jax.P("d")))
    checks.assert_donatable(X, spread)
    with raises(AssertionError, "are one buffer"):
        checks.assert_donatable(spread, spread)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Memory:
    best: jax.Array
