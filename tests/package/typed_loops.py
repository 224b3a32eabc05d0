"""Not run but read by pyright, in test_types.py: what a loop, a callback and a fold are given.

Lines are marked as in `typed_pipes.py`.
"""

from typing import TYPE_CHECKING, reveal_type

import jax
import jax.numpy as jnp

import jfoundations as jf
from jfoundations import callbacks, executors, folds


def halve(x: float) -> float:
    return x / 2


def clip(x: jax.Array) -> tuple[jax.Array, bool]:
    return jnp.clip(x, 0, 1), False


def loss(state: dict[str, jax.Array]) -> jax.Array:
    return state["loss"]


def small(x: jax.Array, *, step: jax.Array) -> jax.Array:
    return (x < 1) & (step > 3)


def nothing(like: jax.Array) -> jax.Array:
    return jnp.zeros_like(like)


def add(memory: jax.Array, x: jax.Array) -> jax.Array:
    return memory + x


class Watcher:
    """Hears one stage."""

    def before_halve(self, x: jax.Array) -> tuple[jax.Array, bool]:
        return x, False


if TYPE_CHECKING:
    data = jnp.ones(3)
    reveal_type(jf.iterate(halve, 1.0, clip, Watcher(), max_steps=3))  # is LoopResult[float]
    reveal_type(jf.iterate(lambda x: x + 1, data, max_steps=3).state)  # is Array
    reveal_type(jf.iterate(halve, 1.0, max_steps=3, driver=jf.Implicit(tol=1e-3)).state)  # is float
    reveal_type(jf.fold(folds.mean().map(jnp.sqrt), [data, data]))  # is Array
    reveal_type(jf.Fold(nothing, add, jnp.add, jnp.sum))  # is Fold[Array]

    jf.iterate(3, 1.0, max_steps=3)  # wrong
    jf.iterate(halve, 1.0, max_steps=3.0)  # wrong
    jf.iterate(halve, 1.0, max_steps=3, driver="until")  # wrong
    jf.stop_when("loss")  # wrong
    jf.when(data, clip)  # wrong
    jf.Callback(after_step=3)  # wrong
    callbacks.best("loss")  # wrong
    callbacks.best(add)  # wrong
    callbacks.early_stopping(loss)  # wrong
    callbacks.early_stopping(loss, patience="3")  # wrong
    callbacks.converged(3)  # wrong
    callbacks.reduce_on_plateau(loss, halve)  # wrong
    callbacks.spike_guard(loss)  # wrong
    callbacks.schedule(0.1, loss)  # wrong
    callbacks.swap(clip, halve)  # wrong
    callbacks.until(folds.mean(), when=0.1)  # wrong
    callbacks.history({"loss": 3})  # wrong
    jf.records(data)  # wrong
    jf.Fold(data, add, jnp.add)  # wrong
    jf.Fold(nothing, nothing, jnp.add)  # wrong
    jf.Fold(nothing, add, halve)  # wrong
    folds.mean().where(add)  # wrong
    jf.fold(folds.mean, data)  # wrong
    jf.fold(folds.mean(), data, "pool")  # wrong
    jf.fold(folds.mean(), None)  # wrong
    executors.Devices("data", "data")  # wrong

    jf.stop_when(small) & callbacks.early_stopping(loss, patience=jnp.int32(3))
    callbacks.until(folds.mean(), loss, when=small) | callbacks.spike_guard(loss, retries=1)
    callbacks.schedule(add, callbacks.schedules.linear(1.0, 0.0, steps=3))
    callbacks.swap(callbacks.ema(decay=0.9), add, callbacks.history({"loss": loss}))
    jf.records(jf.iterate(halve, 1.0, max_steps=3), watched={"mean": folds.mean()})
    jf.fold(folds.mean(), {"x": data})
    jf.fold(folds.mean(), jf.Source(3, lambda i: data), executors.Local())
