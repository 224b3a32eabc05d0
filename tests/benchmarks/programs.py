"""How large the program of each statistic is, and how long JAX takes over it, beside jnp's.

    python tests/benchmarks/programs.py [PATTERN] [--size N]

Characters of StableHLO; CPU seconds of trace and compilation, in this process, without a cache.
"""

import argparse
import re
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parents[1] / "cases"))
from public_cases import STATISTICS


def _segments(x):
    return jnp.arange(x.shape[0], dtype=jnp.int32) % 5


def _segment_mean(x, y):
    total = partial(jax.ops.segment_sum, segment_ids=_segments(x), num_segments=5)
    return total(x) / total(jnp.ones_like(x))


PEERS = {
    "corr": lambda x, y: jnp.corrcoef(x, y)[0, 1],
    "corr_matrix": lambda x, y: jnp.corrcoef(x.reshape(-1, 4), rowvar=False),
    "cov": lambda x, y: jnp.cov(x, y)[0, 1],
    "cov_matrix": lambda x, y: jnp.cov(x.reshape(-1, 4), rowvar=False),
    "histogram": lambda x, y: jnp.histogram(x, 8),
    "mean": lambda x, y: jnp.mean(x),
    "median": lambda x, y: jnp.median(x),
    "minmax": lambda x, y: (jnp.min(x), jnp.max(x)),
    "quantile": lambda x, y: jnp.quantile(x, jnp.array([0.1, 0.5], x.dtype)),
    "segment_mean": _segment_mean,
    "std": lambda x, y: jnp.std(x),
    "sum": lambda x, y: jnp.sum(x),
    "var": lambda x, y: jnp.var(x),
}


def measured(function, size):
    """Return characters, and CPU seconds."""
    like = jax.ShapeDtypeStruct((size,), "float32")
    jax.clear_caches()
    start = time.process_time()
    lowered = jax.jit(lambda x, y: function(x, y)).lower(like, like)
    lowered.compile()
    return len(lowered.as_text()), time.process_time() - start


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--size", type=int, default=1 << 20)
    given = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)
    print(f"{'':20}{'text':>10}{'jnp':>8}{'s':>8}{'jnp':>7}{'ratio':>8}")
    for name, function in STATISTICS.items():
        if not re.search(given.pattern, name):
            continue
        text, seconds = measured(function, given.size)
        row = f"{name:20}{text:10,}"
        if name not in PEERS:
            print(f"{row}{'':8}{seconds:8.2f}", flush=True)
            continue
        other, theirs = measured(PEERS[name], given.size)
        row += f"{other:8,}{seconds:8.2f}{theirs:7.2f}{seconds / theirs:8.1f}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
