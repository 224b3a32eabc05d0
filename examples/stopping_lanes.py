"""A picture of what the library is for: one compiled loop, 64 lanes, each stops at its own step.

Gradient descent looks for a minimum of Himmelblau's function, which has four, from 64
random starts at once. The same three callbacks hear every lane: one records the history, one keeps
the best state, one stops when there is no progress. Where a lane has stopped, it stays.

    python examples/stopping_lanes.py
    python examples/stopping_lanes.py --to picture.png
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import matplotlib
import numpy as np

import jfoundations as jf

matplotlib.use("agg")
from matplotlib import pyplot as plt  # noqa: E402

LANES, MAX_STEPS = 64, 200
MINIMA = np.array(
    [[3.0, 2.0], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]]
)


def himmelblau(at: Any) -> Any:
    """Return the value at (x, y), along the first axis."""
    x, y = at
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def descend(at: jax.Array) -> jax.Array:
    """Take a step of gradient descent."""
    return at - 5e-3 * jax.grad(himmelblau)(at)


def run(start: jax.Array) -> Any:
    """Run one lane; under `vmap` it is the same code."""
    return jf.iterate(
        descend,
        start,
        jf.callbacks.history(lambda at: (at, himmelblau(at))),
        jf.callbacks.best(himmelblau),
        jf.callbacks.early_stopping(himmelblau, patience=5, min_delta=1e-7),
        max_steps=MAX_STEPS,
    )


def draw(result: Any, path: Path) -> None:
    """Draw the lanes' losses over the steps, and their ways over the function."""
    records = result.memory["history"].values  # of each lane, as many as it took steps
    steps = np.asarray(result.steps)
    colours = plt.get_cmap("viridis")((steps - steps.min()) / np.ptp(steps))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    grid = np.meshgrid(np.linspace(-6, 6, 200), np.linspace(-6, 6, 200))
    heights = np.log1p(himmelblau(grid))
    right.contour(*grid, heights, levels=14, colors="0.8", linewidths=0.6)
    for (places, losses), colour in zip(records, colours, strict=True):
        losses = np.maximum(losses, 1e-7)
        left.semilogy(losses, color=colour, linewidth=0.6, alpha=0.7)
        left.plot(len(losses) - 1, losses[-1], "o", color=colour, markersize=3.5)
        right.plot(*places.T, color=colour, linewidth=0.6, alpha=0.7)
        right.plot(*places[-1], "o", color=colour, markersize=3.5)
    left.set(xlabel="step", ylabel="loss", title="64 lanes of one loop, each stops at its own step")
    right.set(xlabel="x", ylabel="y", xlim=(-6, 6), ylim=(-6, 6), title="their ways to four minima")
    figure.savefig(path, dpi=80, metadata={"Software": None})  # no version: the same bytes
    plt.close(figure)


def main() -> None:
    """Run the lanes, say what they did, and draw them."""
    parser = argparse.ArgumentParser(description="64 lanes of one loop, drawn.")
    parser.add_argument("--to", type=Path, default=Path("stopping_lanes.png"))
    path = parser.parse_args().to
    starts = jax.random.uniform(jax.random.key(0), (LANES, 2), minval=-5.0, maxval=5.0)
    result = jax.jit(jax.vmap(run))(starts)
    steps = np.asarray(result.steps)
    stopped = np.asarray(result.stopped("early_stopping"))
    found = np.asarray(result.memory["best"].state)
    distance = np.linalg.norm(found[:, None] - MINIMA, axis=-1)
    counts = np.bincount(distance.argmin(1), minlength=len(MINIMA))
    print(f"{stopped.sum()} of {LANES} lanes stopped by themselves")
    print(f"after {steps.min()} ... {steps.max()} steps, half of them by {np.median(steps):.0f}")
    print(f"at the four minima: {', '.join(map(str, counts))}")
    print(f"the farthest is {distance.min(1).max():.0e} away from its minimum")
    draw(result, path)
    print(f"drawn to {path.name}")
    assert stopped.all() and len(set(steps.tolist())) > 8
    assert distance.min(1).max() < 1e-2 and counts.min() > 0


if __name__ == "__main__":
    main()
