"""Call one kind of thing many times, with fresh functions that closed over fresh arrays of 1 MiB.

Prints, for each kind named in the arguments, how many of the arrays live on, and the resident
memory in MiB after a quarter of the calls and after all.
"""

import dataclasses
import gc
import sys
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

jc = jf.callbacks
SMALL = jnp.ones(4)


class Stepper:
    def __init__(self, function):
        self.function = function

    def step(self, x):
        return self.function(x)


@dataclasses.dataclass(frozen=True)
class Frozen:
    function: object

    def __call__(self, x):
        return self.function(x)


def apply(function, x):
    return function(x)


def run(step, *callbacks, **options):
    return jf.iterate(step, SMALL, *callbacks, max_steps=3, **options)


def listened(f):
    first = lambda x: f(x)[0]  # noqa: E731
    gated = jf.every(2, lambda x: (f(x), False))
    stop = jf.stop_when(lambda x: first(x) > 1e9) | jc.early_stopping(first, 9)
    run(jnp.sin, gated, stop, jc.history(f), jc.best(first), jc.ema(f, decay=0.5), jc.converged(f))


def in_parts(f, start=SMALL, **options):
    for _ in jf.chunks(f, start, max_steps=3, every=2, **options):
        pass


def scanned(f):
    body = jf.as_scan_body(f, lambda x: (f(x), False))
    return jax.jit(lambda x: jax.lax.scan(body, body.init(x), None, length=3)[0].state)(SMALL)


KINDS = {
    "jit": lambda f: jax.jit(f)(SMALL),
    "step": run,
    "callback that cannot stop": lambda f: run(jnp.sin, lambda x: (f(x), False)),
    "callbacks": listened,
    "scan": lambda f: run(f, lambda x: (f(x), False), driver="scan"),
    "checkpointed": lambda f: run(f, lambda x: (f(x), False), driver="checkpointed"),
    "python": lambda f: run(f, lambda x: (f(x), False), driver="python"),
    "pipe": lambda f: run(jf.Pipe(a=f) >> jnp.sin >> jf.juxt(f, f) >> (lambda pair: pair[0])),
    "bound method": lambda f: run(Stepper(f).step),
    "partial": lambda f: run(jf.partial(apply, f)),
    "frozen dataclass": lambda f: run(Frozen(f)),
    "resume": lambda f: jf.resume(run(jnp.sin), f, max_steps=5),
    "chunks": in_parts,
    "lanes": lambda f: in_parts(f, jnp.ones((2, 4)), lanes=True),
    "as_scan_body": scanned,
    "fold": lambda f: jf.fold(jf.folds.maximum().of(f), SMALL[None]),
    "fold of blocks": lambda f: jf.fold(jf.folds.maximum().of(f), [SMALL[None], SMALL[None]]),
    "bootstrap": lambda f: jf.stats.bootstrap(
        lambda x: f(x).sum(), SMALL, key=jax.random.key(0), resamples=3
    ),
}


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def measure(call, n):
    """Return how many arrays live on, and the memory after a quarter and after all of n calls."""
    arrays, sizes = [], []
    for k in range(n):
        array = jnp.asarray(np.full(2**18, k, np.float32))
        arrays.append(weakref.ref(array))
        call(lambda x, array=array: x + array[:4])
        del array
        if k + 1 in (n // 4, n):
            gc.collect()
            sizes.append(resident())
    return sum(ref() is not None for ref in arrays), sizes


if __name__ == "__main__":
    calls, *names = sys.argv[1:]
    for name in names or KINDS:
        alive, (early, late) = measure(KINDS[name], int(calls))
        print(f"{name}\t{alive}\t{early:.1f}\t{late:.1f}", flush=True)
