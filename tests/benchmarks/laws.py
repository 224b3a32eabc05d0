"""What each law costs at its default number of examples, on a typical value that keeps it.

    python tests/benchmarks/laws.py [PATTERN] [--complex]

CPU seconds in this process without a cache, after the imports: once in a fresh process' state
(`first`), where all is traced and compiled, and once more (`again`).
"""

import argparse
import re
import time

import jax
import jax.numpy as jnp

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import laws


def build():
    """Return a pipe of three stages."""
    return jf.Pipe(jnp.abs, scale=jf.partial(jnp.multiply, 0.25), total=jnp.tanh)


STOPPING = jf.callbacks.early_stopping(jnp.max, patience=2)
LAWS = {
    "constant(var)": lambda **k: laws.constant(stats.var, **k),
    "translation(var)": lambda **k: laws.translation(stats.var, **k),
    "scale(var)": lambda **k: laws.scale(stats.var, power=2, **k),
    "permutation(var)": lambda **k: laws.permutation(stats.var, power=2, shift=0, **k),
    "bounds(var)": lambda **k: laws.bounds(stats.var, lower=0, **k),
    "gradient(var)": lambda **k: laws.gradient(stats.var, **k),
    "deletion(var)": lambda **k: laws.deletion(stats.var, power=2, shift=0, **k),
    "repetition(var)": lambda **k: laws.repetition(stats.var, power=2, shift=0, **k),
    "poison(var)": lambda **k: laws.poison(stats.var, **k),
    "var_is_cov": lambda **k: laws.var_is_cov(stats.var, stats.cov, **k),
    "covariance(cov)": lambda **k: laws.covariance(stats.cov, **k),
    "correlation(corr)": lambda **k: laws.correlation(stats.corr, **k),
    "fold(var)": lambda: laws.fold(folds.var()),
    "pipe": lambda: laws.pipe(build(), rebuild=build, ulp=4),
    "monoid(maximum)": lambda: laws.monoid(jnp.maximum, jnp.full(3, -jnp.inf)),
    "inverse": lambda: laws.inverse(lambda x: 4 * x, lambda x: x / 4),
    "pytree": lambda: laws.pytree(STOPPING),
    "driver_equivalence": lambda: laws.driver_equivalence(STOPPING),
    "resume": lambda: laws.resume(STOPPING),
    "chunking": lambda: laws.chunking(STOPPING),
    "lane": lambda: laws.lane(STOPPING),
    "frozen": lambda: laws.frozen(STOPPING),
    "observer": lambda: laws.observer(STOPPING),
    "chain_monoid": lambda: laws.chain_monoid(STOPPING),
    "callback": lambda: laws.callback(STOPPING, observes=True),
    "statistic(var)": lambda **k: laws.statistic(stats.var, power=2, shift=0, lower=0, **k),
}


def seconds(run, **options):
    """Return the CPU seconds of a call."""
    start = time.process_time()
    run(**options)
    return time.process_time() - start


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument(
        "--complex", action="store_true", help="of complex64, where dtype= is taken"
    )
    given = parser.parse_args()
    options = {"dtype": jnp.complex64} if given.complex else {}
    print(f"{'law':22}{'first':>8}{'again':>8}")
    for name, run in LAWS.items():
        takes = run.__code__.co_flags & 8  # **k
        if re.search(given.pattern, name) and (takes or not options):
            jax.clear_caches()
            first = seconds(run, **options)
            print(f"{name:22}{first:8.2f}{seconds(run, **options):8.2f}", flush=True)


if __name__ == "__main__":
    main()
