"""Callbacks in a training loop of one's own: a `lax.scan` over epochs, with optax.

Who has a loop already need not give it up. `jf.as_scan_body` makes the body of a scan: here a step
is an epoch, which is itself a scan over minibatches. Early stopping watches a validation loss and
the best weights are kept; the scan stacks the losses as any scan does. Then eight learning rates
run at once under `jax.vmap`, each stopping by itself.

    pip install optax
    python examples/scan_callbacks.py

The task: a small network learns a curve from 24 noisy points, and would learn the noise too.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

import jfoundations as jf

try:
    import optax
except ImportError:
    raise SystemExit("scan_callbacks.py trains with optax: pip install optax") from None

EPOCHS, BATCHES, UNITS = 1000, 3, 32


class Training(NamedTuple):
    """What an epoch changes."""

    weights: Any
    moments: Any
    validation: jax.Array


def curve(key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    where, noise = jax.random.split(key)
    x = jax.random.uniform(where, (n, 1), minval=-1.0)
    return x, jnp.sin(4 * x) + 0.4 * jax.random.normal(noise, (n, 1))


KEYS = jax.random.split(jax.random.key(1), 4)
X, Y = curve(KEYS[0], 24)
VALIDATION = curve(KEYS[1], 512)


def network(weights: Any, x: jax.Array) -> jax.Array:
    hidden = jnp.tanh(x @ weights["w1"] + weights["b1"])
    return jnp.tanh(hidden @ weights["w2"] + weights["b2"]) @ weights["w3"]


def loss(weights: Any, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    return jnp.mean((network(weights, batch[0]) - batch[1]) ** 2)


def start(optimiser: optax.GradientTransformation) -> Training:
    k1, k2, k3 = jax.random.split(KEYS[2], 3)
    weights = {
        "w1": 3 * jax.random.normal(k1, (1, UNITS)),
        "b1": jnp.zeros((1, UNITS)),
        "w2": jax.random.normal(k2, (UNITS, UNITS)) / UNITS**0.5,
        "b2": jnp.zeros((1, UNITS)),
        "w3": jax.random.normal(k3, (UNITS, 1)) / UNITS**0.5,
    }
    return Training(weights, optimiser.init(weights), loss(weights, VALIDATION))


def train(rate: jax.Array, *callbacks: Any) -> tuple[jf.LoopResult[Training], jax.Array]:
    """Return the result of at most EPOCHS epochs, and the validation loss after each."""
    optimiser = optax.adam(rate)

    def minibatch(carry: tuple[Any, Any], batch: Any) -> tuple[tuple[Any, Any], None]:
        weights, moments = carry
        updates, moments = optimiser.update(jax.grad(loss)(weights, batch), moments)
        return (optax.apply_updates(weights, updates), moments), None

    def epoch(state: Training, order: jax.Array) -> Training:
        batches = X[order], Y[order]
        carry, _ = lax.scan(minibatch, (state.weights, state.moments), batches)
        return Training(*carry, loss(carry[0], VALIDATION))

    orders = jax.vmap(lambda k: jax.random.permutation(k, len(X)))(
        jax.random.split(KEYS[3], EPOCHS)
    )
    body = jf.as_scan_body(epoch, *callbacks, of=lambda state: state.validation)
    carry, losses = lax.scan(body, body.init(start(optimiser)), orders.reshape(EPOCHS, BATCHES, -1))
    return body.result(carry), losses


def validation(state: Training) -> jax.Array:
    return state.validation


CALLBACKS = (
    jf.callbacks.early_stopping(validation, patience=100),
    jf.callbacks.best(validation),
    jf.callbacks.terminate_on_nonfinite(validation),
)


def main() -> None:
    plain, losses = jax.jit(train)(1e-2)
    stopped, stopped_losses = jax.jit(lambda rate: train(rate, *CALLBACKS))(1e-2)
    epochs, best = int(stopped.steps), stopped.memory["best"]
    print("validation loss")
    print(f"  without callbacks, after {EPOCHS} epochs: {losses[-1]:.4f}")
    print(f"  stopped by {stopped.reasons[0]} after {epochs}: {losses[epochs - 1]:.4f}")
    print(f"  of the best weights, which were kept: {best.value:.4f}")
    assert int(plain.steps) == EPOCHS and epochs < EPOCHS
    assert jnp.array_equal(losses[:epochs], stopped_losses[:epochs])  # observers change nothing
    assert float(best.value) == float(jnp.min(losses[:epochs])) < float(losses[-1])

    rates = 10 ** jnp.linspace(-4, -0.5, 8)
    lanes = jax.jit(jax.vmap(lambda rate: train(rate, *CALLBACKS)[0]))(rates)
    print("\nrate       epochs  stopped by       best validation loss")
    for rate, steps, reasons, value in zip(
        rates, lanes.steps, lanes.reasons, lanes.memory["best"].value, strict=True
    ):
        print(f"{rate:<9.2g}  {steps:>6}  {reasons[0]:<15}  {value:.4f}")
    assert len(set(lanes.steps.tolist())) > 2


if __name__ == "__main__":
    main()
