"""Fit one regression from 1,024 random starts, a few at a time, and see which minima there are.

Most starts converge in some 50 Levenberg-Marquardt steps, a few need many times as many. `jax.vmap`
of the loop computes all of them until the slowest has ended; `jf.sweep` computes a few lanes, and
one whose fit has ended takes the next start.

    python examples/sweep.py

The method and NIST's data are those of `fit_with_callbacks.py`, beside this file.
"""

import time
from typing import Any

import jax
import numpy as np
from fit_with_callbacks import CALLBACKS, THURBER, Fit, levenberg_marquardt, residuals, start

import jfoundations as jf

RUNS, SPREAD, MOST = 1024, 4, 500
START, CERTIFIED, CERTIFIED_LOSS = THURBER.starts[0], THURBER.certified, THURBER.certified_loss
RESIDUAL = jf.partial(residuals, THURBER.model, THURBER.x, THURBER.y)
STEP = jf.partial(levenberg_marquardt, RESIDUAL)
CONVERGED, BROKEN = CALLBACKS[:2]


@jax.jit
def swept(starts: Fit) -> jf.LoopResult[Fit]:
    return jf.sweep(STEP, starts, CONVERGED, BROKEN, max_steps=MOST)


@jax.jit
def mapped(starts: Fit) -> jf.LoopResult[Fit]:
    return jax.vmap(lambda s: jf.iterate(STEP, s, CONVERGED, BROKEN, max_steps=MOST))(starts)


def random_starts() -> Fit:
    spread = np.random.default_rng(0).uniform(-1, 1, (RUNS, len(START)))
    return jax.jit(jax.vmap(lambda b: start(RESIDUAL, b)))(START * SPREAD**spread)


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
