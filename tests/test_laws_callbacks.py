"""Every law of the loop holds for the library's own callbacks, of every kind."""

import jax.numpy as jnp
import pytest

import jfoundations as jf
from jfoundations import folds
from jfoundations.testing import laws


def biggest(x):
    return jnp.max(x)


class Clip:
    def before_step(self, x):
        return jnp.minimum(x, 0.75), False

    def after_step(self, x, step):
        return x, (step >= 6) & (jnp.max(x) > 0.5)


def half(x):
    return x * 0.5, False


CALLBACKS = {
    "function": half,
    "proceed": jf.proceed,
    "object": Clip(),
    "stop_when": jf.stop_when(lambda x: jnp.max(x) > 0.9, name="high"),
    "when": jf.when(lambda x: jnp.max(x) > 0.5, half),
    "every": jf.every(3, jf.callbacks.history(biggest)),
    "history": jf.callbacks.history(),
    "best": jf.callbacks.best(biggest),
    "early_stopping": jf.callbacks.early_stopping(biggest, patience=2),
    "converged": jf.callbacks.converged(atol=0.1),
    "nonfinite": jf.callbacks.terminate_on_nonfinite(),
    "watch": jf.watch(jf.combine(m=folds.mean(), hi=folds.maximum()), of=jnp.sum),
    "chain": jf.chain(half, jf.callbacks.early_stopping(biggest, patience=2)),
}
OBSERVERS = [k for k in CALLBACKS if k not in ("function", "object", "when", "chain")]


def test_chain_is_a_monoid():
    laws.chain_monoid()


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_keep_every_law(name):
    laws.callback(CALLBACKS[name], observes=name in OBSERVERS, ulp=4, max_examples=2)


def test_loop_laws_hold_for_drawn_callbacks_together():
    several = (half, jf.callbacks.history(biggest), CALLBACKS["early_stopping"])
    laws.resume(*several, max_examples=8)
    laws.chunking(*several, max_examples=8)
    laws.lane(*several, max_examples=8)
    laws.frozen(*several, max_examples=8)
    laws.driver_equivalence(*several, max_examples=8)


def test_laws_take_a_state_and_a_step_of_ones_own():
    start = {"x": jnp.float32(1.0), "n": jnp.int32(0)}
    laws.callback(
        jf.stop_when(lambda s: s["n"] > 4),
        step=lambda s: {"x": s["x"] / 3, "n": s["n"] + 1},
        states=start,
        observes=True,
        max_examples=1,
    )
