"""A run that dies and goes on from its last checkpoint in another process, with the same bits.

Eight Markov chains sample a banana-shaped density, and a fold watches each. `jf.chunks` hands out
the whole `LoopResult` every 5,000 steps: state, callbacks' memories and step count are one pytree,
which orbax writes like any other. A first process is ended in the middle without warning; this one
restores the newest checkpoint and finishes. Since a step's random numbers follow from the key and
the step's index, the end is that of a run nobody disturbed, to the last bit. (Where one file is
enough, `jf.save` and `jf.load` do without orbax.)

    pip install orbax-checkpoint
    python examples/checkpoint.py

Method: Metropolis et al. (1953), "Equation of state calculations by fast computing machines".
"""

import argparse
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

try:
    import orbax.checkpoint as ocp
except ImportError:
    raise SystemExit("checkpoint.py saves with orbax: pip install orbax-checkpoint") from None

CHAINS, STEPS, EVERY = 8, 40_000, 5_000


class Chain(NamedTuple):
    """A point of the plane, and the logarithm of the density there."""

    x: jax.Array
    log_density: jax.Array


def banana(x: jax.Array) -> jax.Array:
    """Return the logarithm of N(x0; 0, 1) N(x1; x0², 1/2), up to a constant."""
    return -(x[0] ** 2) / 2 - (x[1] - x[0] ** 2) ** 2


def metropolis(chain: Chain, *, key: jax.Array) -> Chain:
    """Propose a point near by, and go there as often as the density is higher or nearly so."""
    move, toss = jax.random.split(key)
    x = chain.x + jax.random.normal(move, (2,))
    trial = Chain(x, banana(x))
    accept = jnp.log(jax.random.uniform(toss)) < trial.log_density - chain.log_density
    return jax.tree.map(lambda a, b: jnp.where(accept, a, b), trial, chain)


SEEN = jf.combine(mean=jf.folds.mean(), var=jf.folds.var())
CALLBACKS = (
    jf.watch(SEEN, of=lambda chain: chain.x, name="seen"),
    jf.callbacks.best(lambda chain: chain.log_density, mode="max"),
)
KEYS = jax.random.split(jax.random.key(0), CHAINS)
STARTS = Chain(jnp.full((CHAINS, 2), 3.0), jnp.full(CHAINS, banana(jnp.full(2, 3.0))))


def undisturbed() -> jf.LoopResult[Chain]:
    def run(chain: Chain, key: jax.Array) -> jf.LoopResult[Chain]:
        return jf.iterate(metropolis, chain, *CALLBACKS, max_steps=STEPS, key=key)

    return jax.jit(jax.vmap(run))(STARTS, KEYS)


def go_on(folder: str, die_after: int) -> jf.LoopResult[Chain]:
    """Return the result of all the steps, from the newest checkpoint on if there is one."""
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    with ocp.CheckpointManager(folder, options=options) as manager:
        start = STARTS
        if (newest := manager.latest_step()) is not None:
            like = jax.eval_shape(undisturbed)
            start = manager.restore(newest, args=ocp.args.StandardRestore(like))
            print(f"restored the run as it was after {newest} steps")
        result = None
        for result in jf.chunks(
            metropolis, start, *CALLBACKS, max_steps=STEPS, every=EVERY, lanes=True, key=KEYS
        ):
            steps = int(result.steps[0])
            manager.save(steps, args=ocp.args.StandardSave(result))
            if steps >= die_after:
                manager.wait_until_finished()
                os._exit(9)  # as if killed: nothing is cleaned up
    assert result is not None
    return result


def equal_bits(a: jf.LoopResult[Chain], b: jf.LoopResult[Chain]) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="A run that dies, and goes on with equal bits.")
    parser.add_argument("--folder", help="run into this folder, and die on the way")
    if folder := parser.parse_args().folder:
        go_on(folder, die_after=STEPS // 2)

    with tempfile.TemporaryDirectory() as folder:
        first = subprocess.run([sys.executable, __file__, "--folder", folder])
        print(f"the first process ended with {first.returncode}; its checkpoints are there")
        result = go_on(folder, die_after=STEPS + 1)

    seen = jax.vmap(SEEN.extract)(result.memory["seen"])
    print("chain  mean of x0 (0)  variance (1)  mean of x1 (1)")
    for k, ((mean0, mean1), (var0, _)) in enumerate(zip(seen["mean"], seen["var"], strict=True)):
        print(f"{k:<5}  {mean0:<14.3f}  {var0:<12.3f}  {mean1:.3f}")
    same = equal_bits(result, undisturbed())
    print(f"Same bits as a run that nobody disturbed: {same}")
    assert first.returncode == 9 and same
    assert jnp.allclose(jnp.mean(seen["mean"], axis=0), jnp.array([0.0, 1.0]), atol=0.05)


if __name__ == "__main__":
    main()
