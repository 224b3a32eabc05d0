"""Side-by-side timing: interleaved rounds, medians, ratios."""

import time
from collections.abc import Callable

import jax
import numpy as np


def interleaved(
    runs: dict[str, Callable[[], object]], rounds: int = 30, repeat: int = 1
) -> dict[str, float]:
    """Return the median seconds of each run, taken in turns so that all meet the same weather."""
    for run in runs.values():
        jax.block_until_ready(run())
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(repeat):
                jax.block_until_ready(run())
            times[name].append((time.perf_counter() - start) / repeat)
    return {name: float(np.median(found)) for name, found in times.items()}


def table(rows: list[dict[str, object]]) -> None:
    """Print rows of equal keys as an aligned table."""
    widths = {k: max(len(k), *(len(_text(r[k])) for r in rows)) for k in rows[0]}
    print("  ".join(k.ljust(w) for k, w in widths.items()))
    for row in rows:
        print("  ".join(_text(row[k]).ljust(w) for k, w in widths.items()))


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
