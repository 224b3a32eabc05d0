"""The README's table of speed: what a call takes here, and what the same takes elsewhere.

    python tests/benchmarks/front.py [ROUNDS]

The least milliseconds of interleaved rounds, and the least CPU seconds of trace and compilation.
All ratios are time here / time of the other: below 1 this library is faster.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import table
from loops import STEPS, hand, ours, small

from jfoundations import stats


def normal(size: int, seed: int = 0) -> jax.Array:
    """Return float32 normals with mean 3."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(size, dtype=np.float32) + 3)


def by_jnp(x: jax.Array) -> Any:
    """Return what `stats.describe` does, as jnp has it."""
    mean, var = jnp.mean(x), jnp.var(x)
    cubes, fourths = (jnp.mean((x - mean) ** k) for k in (3, 4))
    return jnp.min(x), jnp.max(x), mean, var, cubes / var**1.5, fourths / var**2 - 3


def compiled(run: Callable[..., Any], *args: Any) -> tuple[Callable[[], Any], float]:
    """Return a run of a compiled function, and the least CPU seconds of three compilations."""
    seconds = []
    for _ in range(3):
        jax.clear_caches()
        start = time.process_time()
        program = jax.jit(partial(run)).lower(*args).compile()
        seconds.append(time.process_time() - start)
    return partial(program, *args), min(seconds)


def row(work: str, here: Any, other: Any, *args: Any, rounds: int) -> dict[str, object]:
    """Return one row of the table."""
    runs, seconds = zip(*(compiled(run, *args) for run in (here, other)), strict=True)
    least = [float("inf")] * 2
    for _ in range(rounds):
        for k, run in enumerate(runs):
            start = time.perf_counter()
            jax.block_until_ready(run())
            least[k] = min(least[k], time.perf_counter() - start)
    return {
        "work": work,
        "here, ms": 1e3 * least[0],
        "other, ms": 1e3 * least[1],
        "run": least[0] / least[1],
        "here, s": seconds[0],
        "other, s": seconds[1],
        "compile": seconds[0] / seconds[1],
    }


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    jax.config.update("jax_enable_compilation_cache", False)
    x, y, short = normal(10**7), normal(10**7, seed=1), normal(1000)
    loops = (f(small, 16, STEPS) for f in (ours, hand))
    table(
        [
            row("16 callbacks, 20,000 steps", *loops, jnp.ones(1024), rounds=max(rounds // 4, 1)),
            row("var of 1,000", stats.var, jnp.var, short, rounds=100 * rounds),
            row("var of 1e7", stats.var, jnp.var, x, rounds=rounds),
            row("describe of 1e7", stats.describe, by_jnp, x, rounds=rounds),
            row("corr of 1e7", stats.corr, jnp.corrcoef, x, y, rounds=rounds),
        ]
    )


if __name__ == "__main__":
    main()
