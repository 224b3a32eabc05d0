"""Sweeps: the steps that lanes compute, and the time, beside `vmap(iterate)` of all runs at once.

    python tests/benchmarks/sweep.py

1,024 runs. "steps computed" counts a step of a lane that is idle too, as a multiple of the sum of
the runs' own steps; times are medians of interleaved rounds.
"""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table
from jax import lax
from jax.custom_batching import custom_vmap

import jfoundations as jf

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import fit_with_callbacks as fit

RUNS, LANES, MOST = 1024, 64, 100_000
WEIGHTS = np.random.default_rng(1).normal(0, 0.1, (64, 64)).astype(np.float32)
LOW = jf.stop_when(lambda s: s["left"] <= 0, name="low")


def work(s: Any) -> Any:
    """Take a step of about a microsecond: a 64-by-64 product."""
    return {"x": jnp.tanh(WEIGHTS @ s["x"]), "left": s["left"] - 1}


def starts(steps: np.ndarray) -> Any:
    """Return runs that take so many steps."""
    x = jnp.ones((len(steps), 64), jnp.float32)
    return {"x": x, "left": jnp.asarray(steps, jnp.int32)}


def lognormal() -> np.ndarray:
    """Return numbers of steps, of median 50 and sigma 1."""
    return np.random.default_rng(0).lognormal(np.log(50), 1, RUNS).astype(int) + 1


def lane_steps(steps: np.ndarray, lanes: int) -> int:
    """Count the steps of lanes that a sweep computes."""
    computed = []

    @custom_vmap
    def counting(left: jax.Array) -> jax.Array:
        return left - 1

    @counting.def_vmap
    def _counting(size: int, batched: Any, left: jax.Array) -> Any:
        jax.debug.callback(lambda _: computed.append(size), left[0])
        return left - 1, True

    step = lambda s: {**s, "left": counting(s["left"])}  # noqa: E731
    few = {**starts(steps), "x": jnp.ones((len(steps), 1))}
    result = jf.sweep(step, few, LOW, max_steps=MOST, lanes=lanes)
    assert result.steps.tolist() == steps.tolist()
    jax.effects_barrier()
    return sum(computed)


def swept(s: Any, lanes: int = LANES) -> Any:
    """Sweep."""
    return jf.sweep(work, s, LOW, max_steps=MOST, lanes=lanes)


def run(s: Any) -> Any:
    """Iterate one run."""
    return jf.iterate(work, s, LOW, max_steps=MOST)


def in_batches(s: Any) -> Any:
    """Run batches of lanes one after another, which none has to wait in where all are equal."""
    batches = jax.tree.map(lambda leaf: leaf.reshape(-1, LANES, *leaf.shape[1:]), s)
    return lax.map(jax.vmap(run), batches)


RESIDUAL = jf.partial(fit.residuals, fit.thurber, fit.THURBER.x, fit.THURBER.y)
FIT = jf.partial(fit.levenberg_marquardt, RESIDUAL), fit.CALLBACKS[:2]


def thurber_starts() -> Any:
    """Return random starts, each parameter of NIST's times 1/4 to 4."""
    spread = np.random.default_rng(0).uniform(-1, 1, (RUNS, 7))
    params = jnp.asarray(fit.THURBER.starts[0] * 4**spread)
    return jax.jit(jax.vmap(functools.partial(fit.start, RESIDUAL)))(params)


def thurber_swept(s: Any) -> Any:
    """Sweep."""
    return jf.sweep(FIT[0], s, *FIT[1], max_steps=1000, lanes=LANES)


def thurber(s: Any) -> Any:
    """Iterate one run."""
    return jf.iterate(FIT[0], s, *FIT[1], max_steps=1000)


def compared(
    name: str, ours: Callable[..., Any], other: Callable[..., Any], s: Any, rounds: int = 7
) -> Any:
    """Return the row of two ways to do the same."""
    made = {k: jax.jit(f).lower(s).compile() for k, f in (("ours", ours), ("other", other))}
    found = interleaved({k: functools.partial(f, s) for k, f in made.items()}, rounds)
    return {
        "1,024 runs": name,
        "sweep, ms": found["ours"] * 1e3,
        "other, ms": found["other"] * 1e3,
        "other to sweep": found["other"] / found["ours"],
    }


def main() -> None:
    """Print the ratios."""
    steps = lognormal()
    print(f"steps computed, lognormal, {LANES} lanes: ", end="")
    print(f"{lane_steps(steps, LANES) / steps.sum():.3f} of those taken")
    print(f"vmap: {steps.max() * RUNS / steps.sum():.1f} of those taken\n")

    equal = starts(np.full(RUNS, 100))
    rows = [
        compared("lognormal steps, other: vmap", swept, jax.vmap(run), starts(steps)),
        compared("Thurber by LM, other: vmap", thurber_swept, jax.vmap(thurber), thurber_starts()),
        compared("100 steps each, other: batches of 64", swept, in_batches, equal, 60),
        compared("100 steps each, other: vmap", swept, jax.vmap(run), equal, 60),
    ]
    table(rows)


if __name__ == "__main__":
    main()
