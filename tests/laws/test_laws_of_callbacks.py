"""Every law of the loop holds for the library's own callbacks, of every kind."""

import inspect

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


def high(x):
    return jnp.max(x) > 0.9


def smaller(x, ratio=0.5):
    return x * ratio


def fading(x):
    """Return a number that is nan where x is large."""
    return jnp.sqrt(0.85 - jnp.max(x))


def all_of(x):
    return x, jnp.min(x) > 0.3


jc = jf.callbacks
PATIENT = jc.early_stopping(biggest, patience=2)
CALLBACKS = {
    "function": half,
    "proceed": jf.proceed,
    "object": Clip(),
    "projection": lambda x: (jnp.clip(x, 0.2, 0.8), False),
    "stop_when": jf.stop_when(high, name="high"),
    "when": jf.when(lambda x: jnp.max(x) > 0.5, half),
    "every": jf.every(3, jc.history(biggest)),
    "after": jc.after(2, PATIENT),
    "once": jc.once(3, half),
    "history": jc.history(),
    "history, initial": jc.history(biggest, every=2, initial=True),
    "snapshots": jc.snapshots(capacity=3),
    "best": jc.best(biggest),
    "ema": jc.ema(decay=0.75),
    "early_stopping": PATIENT,
    "converged": jc.converged(atol=0.1),
    "terminate_on_nonfinite": jc.terminate_on_nonfinite(),
    "reduce_on_plateau": jc.reduce_on_plateau(biggest, smaller, factor=0.5, patience=2),
    "rollback_on_nonfinite": jc.rollback_on_nonfinite(fading, retries=2, update=smaller),
    "rollback to best": jc.rollback_on_nonfinite(fading, retries=1, to="best"),
    "schedule": jc.schedule(lambda x, value: x * value, jc.schedules.linear(1.0, 0.5, steps=9)),
    "spike_guard": jc.spike_guard(biggest, window=2, factor=1.0, retries=2, update=smaller),
    "swap": jc.swap(jc.ema(decay=0.75), lambda x, mean: mean.value, PATIENT, jc.best(biggest)),
    "until": jc.until(folds.mean(), biggest, when=lambda mean: mean > 0.6),
    "until of a callback": jc.until(jc.best(biggest), when=lambda best: best.value < 0.2),
    "watch": jf.watch(jf.combine(m=folds.mean(), hi=folds.maximum()), of=jnp.sum),
    "chain": jf.chain(half, PATIENT),
    "|": jf.stop_when(high) | PATIENT,
    "&": PATIENT & all_of & jf.every(2, jc.history(biggest)) | Clip(),
    "~": ~(PATIENT | jc.after(3, all_of)),
}
STEERING = {"function", "object", "projection", "when", "once", "chain", "&"}
STEERING |= {"reduce_on_plateau", "rollback_on_nonfinite", "rollback to best"}
STEERING |= {"schedule", "spike_guard"}
OBSERVERS = [k for k in CALLBACKS if k not in STEERING]


def test_no_callback_is_forgotten():
    named = {n for n, v in vars(jc).items() if not n.startswith("_") and inspect.isfunction(v)}
    assert named <= {*CALLBACKS, "records"}, "give each function of the namespace a case above"
    assert {"chain", "proceed", "when", "every", "stop_when"} <= set(CALLBACKS)


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
