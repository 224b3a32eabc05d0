"""Fit one regression from 1,024 random starts, a few at a time, and see which minima there are.

Most starts converge in some 50 Levenberg-Marquardt steps, a few need many times as many. `jax.vmap`
of the loop computes all of them until the slowest has ended; `jf.sweep` computes a few lanes, and
one whose fit has ended takes the next start.

    python examples/sweep.py

Method: Marquardt (1963), with the scaling of Moré (1978) and the damping rule of Nielsen (1999).
Data: NIST's Thurber, https://www.itl.nist.gov/div898/strd/nls/data/thurber.shtml.
"""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

import jfoundations as jf

jax.config.update("jax_enable_x64", True)  # the certified values have eleven digits

RUNS, SPREAD, MOST = 1024, 4, 500


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), float)


X = numbers("""-3.067 -2.981 -2.921 -2.912 -2.84 -2.797 -2.702 -2.699 -2.633 -2.481 -2.363
    -2.322 -1.501 -1.46 -1.274 -1.212 -1.1 -1.046 -0.915 -0.714 -0.566 -0.545 -0.4 -0.309
    -0.109 -0.103 0.01 0.119 0.377 0.79 0.963 1.006 1.115 1.572 1.841 2.047 2.2""")
Y = numbers("""80.574 84.248 87.264 87.195 89.076 89.608 89.868 90.101 92.405 95.854 100.696
    101.06 401.672 390.724 567.534 635.316 733.054 759.087 894.206 990.785 1090.109 1080.914
    1122.643 1178.351 1260.531 1273.514 1288.339 1327.543 1353.863 1414.509 1425.208 1421.384
    1442.962 1464.35 1468.705 1447.894 1457.628""")
START = numbers("1000 1000 400 40 0.7 0.3 0.03")
CERTIFIED = numbers("""1288.13968 1491.0792535 583.23836877 75.416644291 0.96629502864
    0.39797285797 0.049727297349""")
CERTIFIED_LOSS = 5642.7082397


class Fit(NamedTuple):
    """Where a fit is, and what the method remembers."""

    params: jax.Array
    loss: jax.Array  # residual sum of squares at params
    accepted: jax.Array  # whether the last trial was taken
    scale: jax.Array  # the largest norm each column of the Jacobian has had
    damping: jax.Array
    growth: jax.Array  # what the next rejected trial multiplies the damping by


def residual(b: jax.Array) -> jax.Array:
    top = b[0] + X * (b[1] + X * (b[2] + X * b[3]))
    return top / (1 + X * (b[4] + X * (b[5] + X * b[6]))) - Y


def start(params: jax.Array) -> Fit:
    r, one = residual(params), jnp.ones(())
    return Fit(params, r @ r, jnp.asarray(True), jnp.zeros_like(params), 1e-3 * one, 2 * one)


def step(s: Fit) -> Fit:
    r, J = residual(s.params), jax.jacfwd(residual)(s.params)
    scale = jnp.maximum(s.scale, jnp.linalg.norm(J, axis=0))

    # d minimises |J d + r|² + damping |scale d|²; QR of the stacked system keeps its digits
    Q, R = jnp.linalg.qr(jnp.concatenate([J, jnp.sqrt(s.damping) * jnp.diag(scale)]))
    d = -solve_triangular(R, Q[: len(r)].T @ r)
    trial = residual(s.params + d)
    loss = trial @ trial

    # gain: the fall of the loss, as a part of what the linear model predicted
    predicted = jnp.sum((J @ d) ** 2) + 2 * s.damping * jnp.sum((scale * d) ** 2)
    gain = (s.loss - loss) / jnp.maximum(predicted, jnp.finfo(loss.dtype).tiny)
    relax = jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)

    accepted = jnp.isfinite(loss) & (loss <= s.loss)
    taken = Fit(s.params + d, loss, accepted, scale, s.damping * relax, jnp.full_like(loss, 2))
    rejected = s._replace(
        accepted=accepted, scale=scale, damping=s.damping * s.growth, growth=2 * s.growth
    )
    return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), taken, rejected)


# a rejected trial moves nothing, which is not convergence: look at the accepted ones only
CONVERGED = jf.when(lambda s: s.accepted, jf.callbacks.converged(lambda s: s.params, rtol=1e-9))
BROKEN = jf.callbacks.terminate_on_nonfinite(lambda s: (s.params, s.loss, s.damping))


@jax.jit
def swept(starts: Fit) -> jf.LoopResult[Fit]:
    return jf.sweep(step, starts, CONVERGED, BROKEN, max_steps=MOST)


@jax.jit
def mapped(starts: Fit) -> jf.LoopResult[Fit]:
    return jax.vmap(lambda s: jf.iterate(step, s, CONVERGED, BROKEN, max_steps=MOST))(starts)


def random_starts() -> Fit:
    spread = np.random.default_rng(0).uniform(-1, 1, (RUNS, len(START)))
    return jax.jit(jax.vmap(start))(START * SPREAD**spread)


def timed(run: Any, starts: Fit) -> tuple[jf.LoopResult[Fit], float]:
    compiled = run.lower(starts).compile()
    started = time.perf_counter()
    return jax.block_until_ready(compiled(starts)), time.perf_counter() - started


def minima(result: jf.LoopResult[Fit]) -> list[tuple[float, int]]:
    """Return the residual sum of squares of each minimum, the lowest first, and its starts."""
    converged = np.array(["converged" in reasons for reasons in result.reasons])
    losses = np.asarray(result.state.loss)[converged]
    found, counts = np.unique([float(f"{loss:.6g}") for loss in losses], return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))


def main() -> None:
    starts = random_starts()
    result, ours = timed(swept, starts)
    other, others = timed(mapped, starts)
    steps = np.asarray(result.steps)
    print(f"Thurber from {RUNS} random starts, each parameter of NIST's times 1/4 to 4")
    print(f"steps: median {np.median(steps):.0f}, most {steps.max()}, {steps.sum()} in all")
    print(f"vmap computes {RUNS * steps.max()}, {RUNS * steps.max() / steps.sum():.1f} times that")
    print(f"sweep {ours:.2f} s, vmap {others:.2f} s: {others / ours:.1f} times as long")

    found = minima(result)
    print(f"\n{len(found)} residuals at which they converge; those of ten starts or more:")
    print(f"{'residual':>10}{'starts':>8}")
    for loss, count in found:
        if count >= 10:
            known = "  certified by NIST" if np.isclose(loss, CERTIFIED_LOSS, 1e-5) else ""
            print(f"{loss:10.6g}{count:8}{known}")
    lowest = np.asarray(result.state.params)[np.nanargmin(np.asarray(result.state.loss))]
    digits = -np.log10(np.abs(lowest / CERTIFIED - 1).max() + 1e-16)
    print(f"the lowest has {digits:.1f} digits of NIST's parameters, or more")

    assert np.isclose(found[0][0], CERTIFIED_LOSS, rtol=1e-5) and digits >= 6
    same = np.isclose(result.state.loss, other.state.loss, rtol=1e-6)
    assert same.mean() > 0.95, "vmap finds the same minima, but for a few that rounding decides"


if __name__ == "__main__":
    main()
