"""Train a small network on handwritten digits, all of it in one jitted call.

A batch is a `jf.Pipe` of stages, an epoch a loop of batches, the fit a loop of epochs, as in
fast.ai's lessons, and a callback hears any stage of any of them. Here they clip gradients, cancel
an epoch that diverges and the fit with it, lower the learning rate when the loss of digits not
trained with rests, stop when it rests longer, and keep the best weights. Then sixteen learning
rates are tried at once under `jax.vmap`, each stopping by itself.

    pip install optax matplotlib scikit-learn
    python examples/train_digits.py

Data: scikit-learn's copy of https://archive.ics.uci.edu/dataset/80.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

try:
    import optax
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
except ImportError as error:
    raise SystemExit(f"missing {error.name}: pip install optax matplotlib scikit-learn") from None

EPOCHS, BATCHES, SIZE = 50, 18, 64
WIDTHS = (64, 128, 64, 10)
OPTIMISER = optax.adam(1.0)  # the rate is a part of the fit, so that callbacks may change it


def load() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return images and labels: to train with, to watch the training by, and to judge it by."""
    images, labels = load_digits(return_X_y=True)
    order, cuts = np.random.default_rng(0).permutation(len(labels)), [BATCHES * SIZE, 1437]
    images, labels = images[order].astype(np.float32) / 16, labels[order].astype(np.int32)
    return list(zip(np.split(images, cuts), np.split(labels, cuts), strict=True))


TRAIN, WATCHED, HELD_OUT = load()


class Learner(NamedTuple):
    """What one batch hands to the next."""

    params: Any
    optimiser: Any
    loss: jax.Array  # of that batch


class Fit(NamedTuple):
    """What one epoch hands to the next."""

    run: jf.LoopResult[Learner]  # how its batches ended
    rate: jax.Array
    loss: jax.Array  # of the digits to watch by


def learner(key: jax.Array) -> Learner:
    shapes, draw = list(zip(WIDTHS, WIDTHS[1:], strict=False)), jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(shapes))
    params = [(draw(k, shape), jnp.zeros(shape[1])) for k, shape in zip(keys, shapes, strict=True)]
    return Learner(params, OPTIMISER.init(params), jnp.float32(jnp.nan))


def network(params: Any, x: Any) -> jax.Array:
    *hidden, (w, b) = params
    for weights, bias in hidden:
        x = jax.nn.relu(x @ weights + bias)
    return x @ w + b


def cross_entropy(logits: jax.Array, labels: Any) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


# A batch: four stages, each of which takes what the one before it made.


def predict(order: Any, now: Learner, *, step: jax.Array, key: jax.Array) -> dict[str, Any]:
    x, labels = (jnp.asarray(part)[order[step]] for part in TRAIN)
    x = x + 0.2 * jax.random.normal(key, x.shape)  # lest it should learn the images by heart
    logits, pull_back = jax.vjp(lambda params: network(params, x), now.params)
    return {"now": now, "labels": labels, "logits": logits, "pull_back": pull_back}


def loss(s: dict[str, Any]) -> dict[str, Any]:
    value, slope = jax.value_and_grad(cross_entropy)(s["logits"], s["labels"])
    return {"now": s["now"]._replace(loss=value), "slope": slope, "pull_back": s["pull_back"]}


def gradient(s: dict[str, Any]) -> dict[str, Any]:
    return {"now": s["now"], "gradient": s["pull_back"](s["slope"])[0]}


def update(rate: Any, s: dict[str, Any]) -> Learner:
    changes, optimiser = OPTIMISER.update(s["gradient"], s["now"].optimiser)
    params = optax.apply_updates(s["now"].params, optax.tree.scale(rate, changes))
    return Learner(params, optimiser, s["now"].loss)


def batches(order: Any, rate: Any) -> jf.Pipe[Learner, Learner]:
    first, last = jf.partial(predict, order), jf.partial(update, rate)
    return jf.Pipe(predict=first, loss=loss, gradient=gradient, update=last)


def clip(s: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Keep the norm of what the stage `gradient` has made at 1 or less."""
    shrink = jnp.minimum(1, 1 / optax.tree.norm(s["gradient"]))
    return {**s, "gradient": optax.tree.scale(shrink, s["gradient"])}, False


EVERY_BATCH = (
    jf.Callback(name="clip", after_gradient=clip),
    jf.stop_when(lambda now: ~(now.loss < 100), name="diverged"),  # nan is not below it either
    jf.callbacks.history(lambda now: now.loss, capacity=EPOCHS * BATCHES),
)

# An epoch: two stages, a loop of batches and a look at digits it was not trained with.


def train(fit: Fit, *, key: jax.Array) -> Fit:
    shuffle, key = jax.random.split(key)
    step = batches(jax.random.permutation(shuffle, BATCHES * SIZE).reshape(BATCHES, SIZE), fit.rate)
    run = jf.resume(fit.run.again(), step, *EVERY_BATCH, max_steps=BATCHES, key=key)
    return fit._replace(run=run)


def validate(fit: Fit) -> Fit:
    return fit._replace(loss=cross_entropy(network(fit.run.state.params, WATCHED[0]), WATCHED[1]))


def lower(fit: Fit, ratio: jax.Array) -> Fit:
    return fit._replace(rate=fit.rate * ratio)


EVERY_EPOCH = (
    jf.stop_when(lambda fit: fit.run.stopped("diverged"), name="diverged"),
    jf.callbacks.reduce_on_plateau(lambda fit: fit.loss, lower, factor=0.3, patience=4),
    jf.callbacks.best(lambda fit: fit.loss),
    jf.callbacks.early_stopping(lambda fit: fit.loss, patience=12),
    jf.callbacks.history(lambda fit: {"loss": fit.loss, "rate": fit.rate}),
)


@jax.jit
def run(rate: Any, key: jax.Array) -> jf.LoopResult[Fit]:
    draw, key = jax.random.split(key)
    step = batches(jnp.zeros((BATCHES, SIZE), np.int32), rate)
    begun = jf.iterate(step, learner(draw), *EVERY_BATCH, max_steps=0, key=key)
    fit = Fit(begun, jnp.float32(rate), jnp.float32(jnp.inf))
    epoch = jf.Pipe(train=train, validate=validate)
    return jf.iterate(epoch, fit, *EVERY_EPOCH, max_steps=EPOCHS, key=key)


def right(fit: Fit) -> jax.Array:
    """Return how many in a hundred of the digits held out are told right."""
    return 100 * jnp.mean(network(fit.run.state.params, HELD_OUT[0]).argmax(1) == HELD_OUT[1])


def draw_curve(each: np.ndarray, losses: np.ndarray, rates: np.ndarray, path: Path) -> None:
    epochs, figure = np.arange(1, len(losses) + 1), Figure(layout="constrained")
    top, bottom = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    top.semilogy(np.arange(1, len(each) + 1) / BATCHES, each, lw=0.5, label="each batch")
    top.semilogy(epochs, losses, label="digits watched")
    top.semilogy(1 + losses.argmin(), losses.min(), "o", label="best")
    top.legend()
    bottom.semilogy(epochs, rates)
    bottom.set(xlabel="epoch", ylabel="learning rate")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--curve", type=Path, default=Path(tempfile.gettempdir()) / "digits.png")
    path, result = parser.parse_args().curve, run(0.005, jax.random.key(0))
    best, (losses, rates) = result.memory["best"], result.memory["history"].values.values()
    print(f"{result.steps} epochs, stopped by {', '.join(result.reasons)}; rate {rates[-1]:.2g}")
    print(f"best after epoch {losses.argmin() + 1}: {right(best.state):.1f} % of held-out digits")
    draw_curve(result.state.run.memory["history"].values, losses, rates, path)
    print(f"learning curve: {path}\n\n{'rate':>8}{'epochs':>8}{'best loss':>11}{'right':>8}")
    assert right(best.state) >= 97 and best.value == losses.min() and rates[-1] < rates[0]

    rates = jnp.geomspace(1e-3, 10, 16)
    results = jax.vmap(run, (0, None))(rates, jax.random.key(0))
    best, shares = results.memory["best"].value, jax.vmap(right)(results.memory["best"].state)
    for k, reasons in enumerate(results.reasons):
        print(f"{rates[k]:8.2g}{results.steps[k]:8}{best[k]:11.3g}{shares[k]:8.1f} %", *reasons)
    assert shares[best.argmin()] >= 97 and results.reasons[-1] == ("diverged",)


if __name__ == "__main__":
    main()
