"""Learn how strongly to regularise each feature, through an inner fit that runs until it converges.

A ridge regression with a strength a feature is fitted by gradient descent, which stops by itself.
The strengths are learnt by the error on rows held out: its gradient goes through the converged fit
by the implicit function theorem, `driver="implicit"`, and stores none of the steps. Both fits are
loops of the library, one in the step of the other, compiled as one program.

    python examples/implicit.py
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

FEATURES, USEFUL, ROWS, NOISE = 16, 4, 24, 1.0
MAX_STEPS = 2000


class Rows(NamedTuple):
    """Features and the answer, of a train, a validation or a test set."""

    x: jax.Array
    y: jax.Array


def draw(rows: int, seed: int) -> Rows:
    """Return rows of which the first features alone matter."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES))
    y = x[:, :USEFUL] @ np.arange(1, USEFUL + 1) / 2 + NOISE * rng.normal(size=rows)
    return Rows(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


TRAIN, VALID, TEST = draw(ROWS, 0), draw(100, 1), draw(1000, 2)
CURVATURE = float(np.linalg.norm(np.asarray(TRAIN.x), 2) ** 2 / ROWS)


def descend(strength: jax.Array, w: jax.Array) -> jax.Array:
    """Take a step of gradient descent on the ridge regression of the train set."""
    slope = TRAIN.x.T @ (TRAIN.x @ w - TRAIN.y) / ROWS + strength * w
    return w - slope / (CURVATURE + jnp.max(strength))


def fit(log_strength: jax.Array, start: jax.Array, driver: Any = "implicit") -> jf.LoopResult[Any]:
    """Fit the weights, from a start to convergence; with driver="scan" all steps are taken."""
    ends = () if driver == "scan" else (jf.callbacks.converged(rtol=1e-6, atol=1e-7),)
    step = jf.partial(descend, jnp.exp(log_strength))
    return jf.iterate(step, start, *ends, max_steps=MAX_STEPS, driver=driver)


def error(w: jax.Array, rows: Rows) -> jax.Array:
    return jf.stats.mean(jnp.square(rows.x @ w - rows.y))


def solution(log_strength: jax.Array) -> jax.Array:
    """Return the weights by the normal equations, to compare with."""
    matrix = TRAIN.x.T @ TRAIN.x / ROWS + jnp.diag(jnp.exp(log_strength))
    return jnp.linalg.solve(matrix, TRAIN.x.T @ TRAIN.y / ROWS)


class Outer(NamedTuple):
    """The state of the outer loop."""

    log_strength: jax.Array
    momentum: jax.Array
    w: jax.Array
    error: jax.Array
    inner_steps: jax.Array


def learn(s: Outer) -> Outer:
    """Take a step of gradient descent on the strengths; the inner fit starts where it ended."""

    def of(log_strength: jax.Array) -> tuple[jax.Array, jf.LoopResult[Any]]:
        inner = fit(log_strength, s.w)
        return error(inner.state, VALID), inner

    (value, inner), slope = jax.value_and_grad(of, has_aux=True)(s.log_strength)
    momentum = 0.8 * s.momentum - slope
    moved = jnp.clip(s.log_strength + momentum, -8.0, 4.0)
    return Outer(moved, momentum, inner.state, value, s.inner_steps + inner.steps)


def compare_gradients(log_strength: jax.Array) -> None:
    """Print the gradient by three ways, and what two of them store."""
    start = jnp.zeros(FEATURES)
    ways = {
        "implicit": lambda t: error(fit(t, start).state, VALID),
        "unrolled": lambda t: error(fit(t, start, "scan").state, VALID),
        "by the normal equations": lambda t: error(solution(t), VALID),
    }
    found, stored = {}, {}
    for name, way in ways.items():
        program = jax.jit(jax.grad(way)).lower(log_strength).compile()
        found[name] = program(log_strength)
        memory: Any = program.memory_analysis()
        stored[name] = memory.temp_size_in_bytes / 1e3
    for name, gradient in found.items():
        off = jnp.max(jnp.abs(gradient - found["by the normal equations"]))
        off = float(off / jnp.max(jnp.abs(gradient)))
        print(f"gradient {name}: off by {off:.0e}, {stored[name]:.0f} kB set aside")
        assert off < 1e-4


def main() -> None:
    compare_gradients(jnp.full(FEATURES, -2.0))

    zero = jnp.zeros(FEATURES)
    grid = jnp.linspace(-8.0, 4.0, 25)
    runs = jax.vmap(lambda t: fit(jnp.full(FEATURES, t), zero))(grid)  # each stops by itself
    by_grid = jax.vmap(functools.partial(error, rows=VALID))(runs.state)
    single = runs.state[jnp.argmin(by_grid)]

    start = Outer(jnp.full(FEATURES, -2.0), zero, zero, jnp.asarray(jnp.inf), jnp.asarray(0))
    patience = jf.callbacks.early_stopping(lambda s: s.error, patience=5, min_delta=1e-4)
    result = jf.iterate(learn, start, patience, max_steps=300)
    strengths = jnp.exp(result.state.log_strength)
    learnt = result.state.w

    print(f"\n{int(result.steps)} steps outside, {int(result.state.inner_steps)} inside,", end=" ")
    print(f"stopped by {', '.join(result.reasons)}")
    shown = [f"{float(s):.1g}" for s in strengths]
    print(f"strengths of the {USEFUL} features that matter: {', '.join(shown[:USEFUL])};")
    print(f"of the others: {', '.join(shown[USEFUL:])}")
    print("\nmean square error on 1000 new rows (noise alone: 1)")
    none = solution(jnp.full(FEATURES, -20.0))
    rows = {"no ridge": none, "one strength, best of 25": single, "a strength a feature": learnt}
    errors = {name: float(error(w, TEST)) for name, w in rows.items()}
    for name, value in errors.items():
        print(f"  {name:<25}{value:.3f}")
    assert errors["a strength a feature"] < errors["one strength, best of 25"] < errors["no ridge"]
    assert float(jnp.max(strengths[:USEFUL])) < float(jnp.median(strengths[USEFUL:]))


if __name__ == "__main__":
    main()
