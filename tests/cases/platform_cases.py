"""Every public function as a program of two arrays, to be lowered and compiled for any platform.

    python tests/cases/platform_cases.py tpu|cuda [--size N] [CASE …]

compiles some, or all, for an accelerator that need not be there, and says what does not compile and
how many CPU seconds each takes. A TPU's compiler is in `libtpu`, a GPU's in `jax-cuda13-plugin` and
`jax-cuda13-pjrt`: `pip install 'jfoundations[platforms]'`.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # before JAX is imported
    os.environ |= {
        "JAX_PLATFORMS": "cpu",  # what runs at all runs here
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
    }

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import SingleDeviceSharding
from public_cases import FOLDS, STATISTICS, elements

import jfoundations as jf

SIZE = 1 << 14
QUICK = ("mean", "var", "corr", "quantile", "fold describe", "fold grouped", "loop")
LOOPS = {}  # by name, of two arrays


def case(function):
    """Put a loop into the table."""
    LOOPS[function.__name__] = function
    return function


def _loss(s):
    return jnp.sum(s["x"] ** 2)


def _descend(s, slope):
    return {**s, "x": s["x"] - s["rate"] * (s["x"] - slope)}


def _start(x):
    return {"x": x, "rate": jnp.asarray(0.5, x.dtype)}


def _slower(s, ratio):
    return {**s, "rate": s["rate"] * ratio}


def _callbacks():
    return (
        jf.callbacks.early_stopping(_loss, 3),
        jf.callbacks.best(_loss),
        jf.every(2, jf.callbacks.history(_loss)),
        jf.callbacks.ema(lambda s: s["x"], decay=0.9),
        jf.callbacks.reduce_on_plateau(_loss, _slower, patience=2),
        jf.watch(jf.folds.var(), _loss),
        jf.callbacks.terminate_on_nonfinite(),
    )


@case
def loop(x, y):
    """Run a loop with callbacks until they stop it."""
    return jf.iterate(partial(_descend, slope=y), _start(x), *_callbacks(), max_steps=10).state


@case
def loop_in_blocks(x, y):
    """Run it with one test of the stop in some steps."""
    step = partial(_descend, slope=y)
    return jf.iterate(step, _start(x), *_callbacks(), max_steps=10, check_every=3).state


@case
def gradient(x, y):
    """Take a gradient through a loop of bounded length."""

    def last(x):
        stop = jf.callbacks.early_stopping(_loss, 3)
        step = partial(_descend, slope=y)
        return _loss(jf.iterate(step, _start(x), stop, max_steps=10, driver="scan").state)

    return jax.grad(last)(x)


@case
def scan(x, y):
    """Put callbacks into a scan."""
    body = jf.as_scan_body(_descend, *_callbacks(), max_steps=4)
    return lax.scan(body, body.init(_start(x)), jnp.stack([y] * 4))[0].state


def _block(name, x, y):
    a_fold = FOLDS[name]
    return a_fold.extract(a_fold.block(elements(name, x, y)))


def _kept(name, x, y):
    a_fold, xs = FOLDS[name], elements(name, x, y)
    size = jax.tree.leaves(xs)[0].shape[0]
    return a_fold.extract(a_fold.block_where(xs, jnp.arange(size) < size // 2))


def cases():
    """Return all, by name."""
    blocks = {f"fold {name}": partial(_block, name) for name in FOLDS}
    kept = {f"fold {name} where": partial(_kept, name) for name in FOLDS if FOLDS[name].merge}
    return STATISTICS | blocks | kept | LOOPS


def target(platform):
    """Return a device that is known by its description alone."""
    from jax.experimental import topologies

    if platform == "tpu":
        kind = {"platform": "tpu", "topology_name": "v5e:2x2"}
    else:
        described = (Path(__file__).parent / "h200.pbtxt").read_text()
        kind = {"platform": "cuda", "topology_name": "", "target_config": described}
        kind["topology"] = "1x1x1"
    return topologies.get_topology_desc(**kind).devices[0]


def compile_for(platform, names, size):
    """Compile some, say how long each takes, and return what fails, by name."""
    like = jax.ShapeDtypeStruct((size,), "float32", sharding=SingleDeviceSharding(target(platform)))
    table, failed = cases(), {}
    for name in names or table:
        start = time.process_time()
        try:
            jax.jit(table[name]).lower(like, like).compile()
            said = ""
        except Exception as error:
            said = failed[name] = f"{type(error).__name__}: {str(error)[:300]}"
        print(f"{name:32}{time.process_time() - start:8.2f} s  {said}", flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("platform", choices=["tpu", "cuda"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--size", type=int, default=SIZE)
    given = parser.parse_intermixed_args()
    sys.exit(bool(compile_for(given.platform, given.names, given.size)))
