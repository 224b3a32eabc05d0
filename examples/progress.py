"""A long loop with a progress bar, which Ctrl-C stops without losing what it has done.

`jf.chunks` runs a loop on the device and hands the result back about ten times a second; the
progress bar is an ordinary `for` body, and nothing of it is in the compiled loop. Press Ctrl-C: the
last result is whole, and `jf.resume` goes on from it to the same bits as an uninterrupted run.

    pip install tqdm
    python examples/progress.py
    python examples/progress.py --steps 2_000_000

The loop is a planet on an eccentric orbit, by the leapfrog method, which keeps the energy.
"""

import argparse
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jfoundations as jf

try:
    from tqdm import tqdm
except ImportError:
    raise SystemExit("progress.py shows its progress with tqdm: pip install tqdm") from None

jax.config.update("jax_enable_x64", True)

DT = 1e-3


class Planet(NamedTuple):
    """A planet around a sun of mass 1 at the origin."""

    x: jax.Array
    v: jax.Array


START = Planet(jnp.array([1.0, 0.0]), jnp.array([0.0, 0.8]))


def gravity(x: jax.Array) -> jax.Array:
    return -x / (x @ x) ** 1.5


def energy(planet: Planet) -> jax.Array:
    return planet.v @ planet.v / 2 - 1 / jnp.sqrt(planet.x @ planet.x)


def leapfrog(planet: Planet) -> Planet:
    v = planet.v + DT / 2 * gravity(planet.x)
    x = planet.x + DT * v
    return Planet(x, v + DT / 2 * gravity(x))


def integrate(steps: int, what: str) -> jf.LoopResult[Planet] | None:
    """Return the result of so many steps, or of as many as Ctrl-C allowed."""
    result = None
    with tqdm(total=steps, desc=what, unit=" steps", unit_scale=True) as bar:
        try:
            for result in jf.chunks(leapfrog, START, max_steps=steps):
                bar.update(int(result.steps) - bar.n)
        except KeyboardInterrupt:
            pass
    return result


def report(result: jf.LoopResult[Planet]) -> None:
    change = float(energy(result.state) / energy(START) - 1)
    print(f"{result.steps} steps, planet at {result.state.x}, energy changed by {change:.1e}")
    assert abs(change) < 1e-3


def show_resume(result: jf.LoopResult[Planet], steps: int) -> None:
    more = min(steps, int(result.steps) + 100_000)
    print(f"Going on to {more} steps, and once more from the start to compare.", flush=True)
    resumed = jf.resume(result, leapfrog, max_steps=more)
    whole = integrate(more, "uninterrupted")
    if whole is None or int(whole.steps) < more:
        print("Stopped again: not compared.")
        return
    report(resumed)
    equal = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), resumed.state, whole.state)
    print(f"Same bits as the uninterrupted run: {all(equal)}")
    assert all(equal)


def main() -> None:
    parser = argparse.ArgumentParser(description="A long loop that Ctrl-C stops without loss.")
    parser.add_argument("--steps", type=int, default=500_000_000)
    steps = parser.parse_args().steps

    print(f"{steps} steps; press Ctrl-C to stop early.", flush=True)
    result = integrate(steps, "orbit")
    if result is None:
        print("Stopped before the first chunk had ended.")
        return
    report(result)
    if int(result.steps) < steps:
        print(f"Stopped by Ctrl-C at {result.steps / steps:.1%}, and nothing is lost.")
        show_resume(result, steps)


if __name__ == "__main__":
    main()
