"""Find a learning rate: fast.ai's finder, a mock training at ever higher rates, as one callback.

Before each step the callback raises the rate, from far too low to far too high; after it, it looks
at the loss, smoothed, and stops when that explodes. A good rate is the one at which the loss fell
fastest. All of it is one compiled loop, so eight networks are searched at once under `jax.vmap`;
then the suggestion is put to the test, by training with it and with rates far below and above.

    python examples/lr_finder.py

Method: Smith (2017), "Cyclical learning rates for training neural networks", as in fast.ai's
`LR_Find` (Practical Deep Learning for Coders, 2019, lesson 10) and `lr_find`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

SMOOTHING, EXPLOSION = 0.9, 4.0
NETWORKS, TRIALS, STEPS, SIZE = 8, 120, 400, 256


class Found(NamedTuple):
    """The memory of the finder: a row a step, nan where there was none."""

    rates: jax.Array
    losses: jax.Array  # smoothed
    mean: jax.Array


def lr_finder(
    of: Callable[[Any], Any], put: Callable[[Any, Any], Any], low: float, high: float
) -> jf.Callback:
    """Raise a learning rate from step to step, and stop when the loss explodes.

    Args:
        of: `state -> loss`.
        put: `(state, rate) -> state`.
        low: the rate of the first step.
        high: the rate of the last there may be.
    """

    def init(state: Any, *, max_steps: int) -> Found:
        none = jnp.full(max_steps, jnp.nan)
        return Found(none, none, jnp.zeros(()))

    def before_step(found: Found, state: Any, *, step: Any, max_steps: int) -> Any:
        rate = low * (high / low) ** (step / (max_steps - 1))
        return found._replace(rates=found.rates.at[step].set(rate)), put(state, rate), False

    def after_step(found: Found, state: Any, *, step: Any) -> Any:
        mean = SMOOTHING * found.mean + (1 - SMOOTHING) * of(state)
        loss = mean / (1 - SMOOTHING ** (step + 1))  # free of bias, as Adam's moments are
        losses = found.losses.at[step].set(loss)
        exploded = ~(loss <= EXPLOSION * jnp.nanmin(losses))  # of a nan, this holds
        return Found(found.rates, losses, mean), state, exploded

    return jf.Callback(init, name="lr_finder", before_step=before_step, after_step=after_step)


def suggest(found: Found) -> jax.Array:
    """Return the rate at which the loss fell fastest, on its way to the lowest."""
    slope = found.losses[2:] - found.losses[:-2]  # steps are even in the logarithm of the rate
    falling = jnp.arange(len(slope)) < jnp.nanargmin(found.losses)
    return found.rates[1 + jnp.nanargmin(jnp.where(falling, slope, jnp.nan))]


def task() -> tuple[np.ndarray, np.ndarray]:
    """Return points of ten classes, told apart by a random network."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2048, 32))
    scores = np.tanh(points @ rng.normal(size=(32, 64)) / 4) @ rng.normal(size=(64, 10))
    return points.astype(np.float32), scores.argmax(axis=1)


POINTS, CLASSES = task()


class Training(NamedTuple):
    """A network in training."""

    params: Any
    rate: jax.Array
    loss: jax.Array  # of the last batch


def cross_entropy(params: Any, rows: Any) -> jax.Array:
    *hidden, (w, b) = params
    x, classes = jnp.asarray(POINTS)[rows], jnp.asarray(CLASSES)[rows]
    for weights, bias in hidden:
        x = jnp.tanh(x @ weights + bias)
    chances = jax.nn.log_softmax(x @ w + b)
    return -jnp.mean(jnp.take_along_axis(chances, classes[:, None], axis=1))


def sgd(now: Training, *, key: jax.Array) -> Training:
    rows = jax.random.randint(key, (SIZE,), 0, len(CLASSES))
    loss, gradient = jax.value_and_grad(cross_entropy)(now.params, rows)
    params = jax.tree.map(lambda p, g: p - now.rate * g, now.params, gradient)
    return Training(params, now.rate, loss)


def start(rate: Any, key: jax.Array) -> Training:
    shapes, draw = [(32, 64), (64, 64), (64, 10)], jax.nn.initializers.glorot_normal()
    keys = jax.random.split(key, len(shapes))
    params = [(draw(k, shape), jnp.zeros(shape[1])) for k, shape in zip(keys, shapes, strict=True)]
    return Training(params, jnp.float32(rate), jnp.float32(jnp.inf))


FINDER = lr_finder(
    lambda now: now.loss, lambda now, rate: now._replace(rate=rate), low=1e-3, high=1e2
)


@jax.jit
def find(key: jax.Array) -> jf.LoopResult[Training]:
    draw, key = jax.random.split(key)
    return jf.iterate(sgd, start(0.0, draw), FINDER, max_steps=TRIALS, key=key)


@jax.jit
def train(rate: Any, key: jax.Array) -> jax.Array:
    """Return the loss after some training at one rate."""
    draw, key = jax.random.split(key)
    end = jf.iterate(sgd, start(rate, draw), max_steps=STEPS, key=key).state
    return cross_entropy(end.params, np.arange(len(CLASSES)))


def plot(found: Found, best: float) -> None:
    print(f"{'rate':>9}{'loss':>8}")
    rates, losses = np.asarray(found.rates), np.asarray(found.losses)
    rows = [k for k in range(0, TRIALS, 4) if losses[k] < 4]  # nan, where no step was, is not
    nearest = min(rows, key=lambda k: abs(np.log(rates[k] / best)))
    for k in rows:
        mark = "  <- suggested" if k == nearest else ""
        print(f"{rates[k]:9.2g}{losses[k]:8.3f}  {'#' * round(15 * losses[k])}{mark}")


def main() -> None:
    keys = jax.random.split(jax.random.key(0), NETWORKS)
    results = jax.vmap(find)(keys)
    found = results.memory["lr_finder"]
    rates = jax.vmap(suggest)(found)
    best = jnp.median(rates)
    plot(jax.tree.map(lambda rows: rows[0], found), float(rates[0]))
    print(f"\n{NETWORKS} networks suggest {', '.join(f'{rate:.2g}' for rate in jnp.sort(rates))};")
    print(f"each stopped by itself, after {', '.join(map(str, results.steps))} of {TRIALS} steps")
    assert set(results.reasons) == {("lr_finder",)} and max(results.steps) < TRIALS
    assert rates.max() < 10 * rates.min()

    print(f"\nlosses after {STEPS} steps at one rate")
    ends = {}
    for name, factor in (("suggested / 30", 1 / 30), ("suggested", 1), ("suggested x 30", 30)):
        ends[name] = jax.vmap(train, (None, 0))(best * factor, keys)
        print(f"{name:15}{best * factor:7.2g}: {ends[name].min():.2g} to {ends[name].max():.2g}")
    below, suggested, above = ends.values()
    assert suggested.max() < below.min() / 3 and suggested.max() < above.min() / 3


if __name__ == "__main__":
    main()
