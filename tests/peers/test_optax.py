"""An optax update is a fine step: any optimiser's, with callbacks that look, steer and stop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_same, lane

import jfoundations as jf

jc = jf.callbacks
STEPS = 30
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 3)).astype(np.float32)
RIGHT = np.array([1.0, -2.0, 0.5], np.float32)
Y = X @ RIGHT + np.float32(0.1)


@pytest.fixture(autouse=True)
def promotion_as_optax_expects_it():
    with jax.numpy_dtype_promotion("standard"):
        yield


def loss(params):
    return jnp.mean((X @ params["w"] + params["b"] - Y) ** 2)


def begin(optimiser):
    params = {"w": jnp.zeros(3, np.float32), "b": jnp.zeros((), np.float32)}
    return {"params": params, "optimiser": optimiser.init(params)}


def learn(optimiser, s):
    gradient = jax.grad(loss)(s["params"])
    updates, state = optimiser.update(gradient, s["optimiser"], s["params"])
    return {"params": optax.apply_updates(s["params"], updates), "optimiser": state}


def of(s):
    return loss(s["params"])


OPTIMISERS = {
    "sgd": optax.sgd(0.05),
    "momentum": optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1, weight_decay=1e-3),
    "lion": optax.lion(0.02),
    "schedule": optax.adam(optax.cosine_decay_schedule(0.2, STEPS)),
    "chain": optax.chain(optax.clip_by_global_norm(0.5), optax.rmsprop(0.02)),
    "injected": optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_update_is_a_step(name):
    """The states are those of a Python loop over the jitted update, and so are the records."""
    step = jf.partial(learn, OPTIMISERS[name])
    best, history = jc.best(of), jc.history(of)
    stop = jc.early_stopping(of, patience=5, min_delta=1e-3)
    result = jf.iterate(step, begin(OPTIMISERS[name]), best, history, stop, max_steps=STEPS)
    update, look = jax.jit(step), jax.jit(of)
    s, losses = begin(OPTIMISERS[name]), []
    for _ in range(int(result.steps)):
        s = update(s)
        losses.append(look(s))
    assert_same(result.state, s)
    np.testing.assert_allclose(result.memory["history"].values, losses, rtol=1e-5)
    assert result.memory["best"].value == result.memory["history"].values.min()
    assert result.memory["best"].value < 0.5 * of(begin(OPTIMISERS[name]))


def slower(s, ratio):
    state = s["optimiser"]
    rate = state.hyperparams["learning_rate"] * ratio
    changed = state._replace(hyperparams={**state.hyperparams, "learning_rate": rate})
    return {**s, "optimiser": changed}


def rate_of(s):
    return s["optimiser"].hyperparams["learning_rate"]


def injected(rate, make=optax.sgd):
    return optax.inject_hyperparams(make)(learning_rate=rate)


def test_a_plateau_lowers_optax_own_rate():
    optimiser = injected(0.6)  # too high: the loss goes to and fro
    plateau = jc.reduce_on_plateau(of, slower, factor=0.5, patience=3, rtol=1e-2)
    run = lambda *callbacks: jf.iterate(  # noqa: E731
        jf.partial(learn, optimiser), begin(optimiser), *callbacks, max_steps=100
    )
    steered, left = run(plateau), run()
    reductions = np.log2(0.6 / float(rate_of(steered.state)))
    assert reductions >= 1 and reductions == pytest.approx(round(reductions), abs=1e-4)
    assert rate_of(left.state) == np.float32(0.6)


def test_a_rollback_lowers_the_rate_until_it_holds():
    optimiser = injected(1e3)
    retreat = jc.rollback_on_nonfinite(of, retries=20, update=lambda s: slower(s, 0.1), to="best")
    run = lambda *callbacks: jf.iterate(  # noqa: E731
        jf.partial(learn, optimiser), begin(optimiser), *callbacks, max_steps=400
    )
    alone, guarded = run(), run(retreat)
    assert not np.isfinite(of(alone.state))
    assert np.isfinite(of(guarded.state)) and of(guarded.state) < of(begin(optimiser))
    assert 0 < int(guarded.memory["rollback_on_nonfinite"]["retries"]) < 20


def test_a_callback_between_the_stages_clips_as_optax_does():
    clip, adam = optax.clip_by_global_norm(0.5), optax.adam(0.1)

    def gradient(s):
        return {**s, "gradient": jax.grad(loss)(s["params"])}

    def update(s):
        updates, state = adam.update(s["gradient"], s["optimiser"], s["params"])
        return {"params": optax.apply_updates(s["params"], updates), "optimiser": state}

    def clipped(v):
        updates, _ = clip.update(v["gradient"], clip.init(v["params"]))
        return {**v, "gradient": updates}, False

    hook = jf.Callback(name="clip", after_gradient=clipped)
    stages = jf.Pipe(gradient=gradient, update=update)
    hooked = jf.iterate(stages, begin(adam), hook, max_steps=STEPS)
    whole = optax.chain(clip, adam)
    chained = jf.iterate(jf.partial(learn, whole), begin(whole), max_steps=STEPS)
    bare = jf.iterate(stages, begin(adam), max_steps=STEPS)
    assert_same(hooked.state["params"], chained.state["params"])
    assert not np.array_equal(hooked.state["params"]["w"], bare.state["params"]["w"])


def test_learning_rates_side_by_side():
    steps, diverged = 200, jc.terminate_on_nonfinite(of)
    rested = jc.early_stopping(of, patience=10, min_delta=1e-4)

    @jax.jit
    def run(rate):
        optimiser = injected(rate)
        step = jf.partial(learn, optimiser)
        return jf.iterate(step, begin(optimiser), diverged, rested, jc.best(of), max_steps=steps)

    rates = jnp.array([1e-3, 0.1, 0.4, 1e3], np.float32)
    lanes = jax.vmap(run)(rates)
    assert len(set(lanes.steps.tolist())) >= 3 and lanes.reasons[-1][0] == "terminate_on_nonfinite"
    for k, rate in enumerate(rates):
        alone = run(rate)
        assert int(alone.steps) == int(lanes.steps[k]) and alone.reasons == lanes.reasons[k]
        # The root of the loss is a residual's size. Each step rounds the parameters once, and a
        # residual is what is left of numbers as large as Y: three products, and two sums.
        eps = np.finfo(np.float32).eps
        left = 5 * eps * np.max(np.abs(X) @ np.abs(RIGHT) + np.abs(Y))
        pair = lane(lanes, k).memory["best"].value, alone.memory["best"].value
        np.testing.assert_allclose(*map(np.sqrt, pair), rtol=steps * eps, atol=left)
