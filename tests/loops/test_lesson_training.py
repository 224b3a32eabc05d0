"""Loops in loops: fit, epoch and batch, whose callbacks hear any stage and cancel any of the three.

The oracle is fast.ai's `Runner`, in which a callback raises `CancelBatch`, `CancelEpoch` or
`CancelFit`. Here a cancel is a number in the state, how many levels it ends: the stages of a batch
ask for it, and so does a stop in each of the loops. All numbers are integers, so all are equal.

Source: Practical Deep Learning for Coders, 2019, lessons 9 and 10, notebook 05b_early_stopping.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, lane
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import jfoundations as jf

EPOCHS, BATCHES = 3, 4
X = np.array([1, -2, 3, 5], np.int32)
Y = np.array([20, -35, 61, 90], np.int32)
NONE, BATCH, EPOCH, FIT = map(np.int32, range(4))  # what a cancel ends

BATCH_EVENTS = ("begin_batch", "after_pred", "after_loss", "after_backward", "after_step")
EPOCH_EVENTS = ("begin_epoch", "begin_validate", "after_epoch")
EVENTS = ("begin_fit", *BATCH_EVENTS, "after_batch", *EPOCH_EVENTS, "after_fit")
CODE = {event: np.int32(k) for k, event in enumerate(EVENTS)}


# fast.ai's runner, with a model of one integer weight


class CancelBatch(Exception):
    pass


class CancelEpoch(Exception):
    pass


class CancelFit(Exception):
    pass


class Runner:
    """Says each event, and raises at the one it is told to."""

    def __init__(self, event, epoch, batch, level):
        self.where, self.cancel = (event, epoch, batch), (CancelBatch, CancelEpoch, CancelFit)
        self.level, self.said, self.w, self.valid = level, [], 0, 0

    def __call__(self, event, batch=0):
        self.said.append(event)
        if self.level and (event, self.epoch, batch) == self.where:
            raise self.cancel[self.level - 1]

    def one_batch(self, k):
        try:
            self("begin_batch", k)
            pred = self.w * X[k]
            self("after_pred", k)
            loss = abs(pred - Y[k])
            self("after_loss", k)
            grad = np.sign(X[k]) * np.sign(pred - Y[k]) * min(loss, 5)
            self("after_backward", k)
            self.w -= int(grad)
            self("after_step", k)
        except CancelBatch:
            pass
        finally:
            self("after_batch", k)

    def fit(self):
        self.epoch = 0
        self("begin_fit")
        try:
            for self.epoch in range(EPOCHS):
                self("begin_epoch")
                try:
                    for k in range(BATCHES):
                        self.one_batch(k)
                except CancelEpoch:
                    pass
                self("begin_validate")
                self.valid += int(np.sum(np.abs(self.w * X - Y)))
                self("after_epoch")
        except CancelFit:
            pass
        finally:
            self("after_fit")
        return self


# The same as three loops


def load(s, *, step):
    return {
        **s,
        "x": jnp.asarray(X)[step],
        "y": jnp.asarray(Y)[step],
        "batch": step,
        "cancel": NONE,
    }


def predict(s):
    return {**s, "pred": s["w"] * s["x"]}


def loss(s):
    return {**s, "loss": jnp.abs(s["pred"] - s["y"])}


def gradient(s):
    sign = jnp.sign(s["x"]) * jnp.sign(s["pred"] - s["y"])
    return {**s, "grad": sign * jnp.minimum(s["loss"], 5)}


def update(s):
    return {**s, "w": s["w"] - s["grad"]}


def unless(cancelled, stage):
    """Return a stage that is passed by where it has been cancelled."""
    return lambda s: lax.cond(cancelled(s), lambda s: s, stage, s)


def hear(plan, event, s):
    """Say an event unless it has been cancelled, and cancel what the plan says there."""
    return say(plan, event, s, s["cancel"] == NONE)


def say(plan, event, s, heard=True):
    here = jnp.stack([CODE[event], s["epoch"], s["batch"]])
    hit = heard & (plan["level"] > NONE) & jnp.all(here == plan["where"])
    place = jnp.where(heard, s["count"], len(s["log"]))
    log = s["log"].at[place].set(CODE[event], mode="drop")
    cancel = jnp.where(hit, plan["level"], s["cancel"])
    return {**s, "log": log, "count": s["count"] + jnp.int32(heard), "cancel": cancel}, False


def some(s):
    return s["cancel"] > NONE


def whole(s):
    return s["cancel"] == FIT


STAGES = {"predict": predict, "loss": loss, "gradient": gradient, "update": update}
BATCH_STEP = jf.Pipe(load=load, **{name: unless(some, f) for name, f in STAGES.items()})


def train(plan, s):
    after = zip(("after_load", *(f"after_{name}" for name in STAGES)), BATCH_EVENTS, strict=True)
    events = {event: jf.partial(hear, plan, name) for event, name in after}
    lesson = jf.Callback(**events, after_step=jf.partial(say, plan, "after_batch"))
    ends = jf.stop_when(lambda s: s["cancel"] >= EPOCH)
    s = jf.iterate(BATCH_STEP, s, lesson, ends, max_steps=BATCHES).state
    return {**s, "batch": jnp.int32(0), "cancel": jnp.where(whole(s), FIT, NONE)}


def validate(s):
    return {**s, "valid": s["valid"] + jnp.sum(jnp.abs(s["w"] * X - Y), dtype=np.int32)}


def count(s):
    return {**s, "epoch": s["epoch"] + 1}


NUMBERS = ("w", "x", "y", "pred", "loss", "grad", "valid", "epoch", "batch", "cancel", "count")


@jax.jit
def fit(plan):
    events = {
        "before_run": jf.partial(say, plan, "begin_fit"),
        "before_train": jf.partial(hear, plan, "begin_epoch"),
        "before_validate": jf.partial(hear, plan, "begin_validate"),
        "after_validate": jf.partial(hear, plan, "after_epoch"),
        "after_run": jf.partial(say, plan, "after_fit"),
    }
    stages = {"train": jf.partial(train, plan), "validate": validate, "count": count}
    epoch = jf.Pipe(**{name: unless(whole, stage) for name, stage in stages.items()})
    start = {name: np.int32(0) for name in NUMBERS} | {"log": jnp.zeros(99, np.int32)}
    cancelled = jf.stop_when(whole, name="cancelled")
    return jf.iterate(epoch, start, jf.Callback(**events), cancelled, max_steps=EPOCHS)


def planned(event, epoch, batch, level):
    where = np.array([CODE[event], epoch, batch], np.int32)
    return {"where": where, "level": np.int32(level)}


def check(result, event, epoch, batch, level):
    runner = Runner(event, epoch, batch, level).fit()
    s = jax.tree.map(np.asarray, result.state)
    assert [EVENTS[k] for k in s["log"][: s["count"]]] == runner.said
    assert (int(s["w"]), int(s["valid"])) == (runner.w, runner.valid)


places = st.one_of(
    st.tuples(
        st.sampled_from(BATCH_EVENTS),
        st.integers(0, EPOCHS - 1),
        st.integers(0, BATCHES - 1),
        st.sampled_from([NONE, BATCH, EPOCH, FIT]),
    ),
    st.tuples(
        st.just("after_batch"),
        st.integers(0, EPOCHS - 1),
        st.integers(0, BATCHES - 1),
        st.sampled_from([EPOCH, FIT]),
    ),
    st.tuples(st.sampled_from(EPOCH_EVENTS), st.integers(0, EPOCHS - 1), st.just(0), st.just(FIT)),
)


@settings(max_examples=150, deadline=None)
@given(places)
def test_cancelling_is_that_of_the_lesson(place):
    result = fit(planned(*place))
    check(result, *place)
    assert (result.reasons == ("cancelled",)) == (place[-1] == FIT)


def test_each_lane_is_cancelled_by_itself():
    lanes = [
        ("after_loss", 1, 2, BATCH),
        ("after_backward", 0, 1, EPOCH),
        ("after_step", 1, 0, FIT),
        ("begin_validate", 2, 0, FIT),
        ("begin_batch", 0, 0, NONE),
    ]
    plans = jax.tree.map(lambda *rows: np.stack(rows), *(planned(*place) for place in lanes))
    results = jax.vmap(fit)(plans)
    for k, place in enumerate(lanes):
        check(lane(results, k), *place)
        assert_same(lane(results, k), fit(planned(*place)))


# What cancels a batch's rest may remember: gradients are gathered, and every other one is taken


def gather(memory, s, *, step):
    total = memory + s["grad"]
    odd = step % 2 == 1
    s = {**s, "grad": total, "cancel": jnp.where(odd, NONE, BATCH)}
    return jnp.where(odd, 0, total), s, False


@pytest.mark.parametrize("driver", DRIVERS)
def test_gradients_are_gathered_over_two_batches(driver):
    accumulate = jf.Callback(lambda s: jnp.int32(0), name="gather", after_gradient=gather)
    weights = jf.callbacks.history(lambda s: s["w"])
    start = {name: np.int32(0) for name in NUMBERS}
    run = jf.iterate(BATCH_STEP, start, accumulate, weights, max_steps=BATCHES, driver=driver)
    w, expected = 0, []
    for k in (0, 2):
        d = w * X[k : k + 2] - Y[k : k + 2]
        expected += [w, w := w - int(np.sum(np.sign(X[k : k + 2] * d) * np.minimum(abs(d), 5)))]
    assert run.memory["history"].values.tolist() == expected
