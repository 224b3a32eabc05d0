"""Training curves in a file that grows while the run goes on, and drawn when it has ended.

Nothing is called from inside the compiled loop: `jf.chunks` hands the run back a few times, and
`jf.records` gives what its histories hold as rows, those that are new since the last chunk. A row
is a dict of Python numbers, so what becomes of it is an ordinary line of Python: here a line of
JSON, which `pandas.read_json(path, lines=True)` reads, and `tail -f` shows as the run goes on. With
TensorBoard it would be `writer.add_scalar(name, value, row["step"])`, with csv
`DictWriter.writerow(row)`.

    pip install matplotlib
    python examples/records.py
    python examples/records.py --to run.jsonl --curve run.png

A logistic regression learns two noisy half-moons by mini-batches. The rate follows a warm-up and a
cosine, every tenth step asks for the loss on other data, by averaged weights, and a batch of wrong
labels that makes the loss leap is left out.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

STEPS, BATCH, WRONG = 300, 64, 150
jc = jf.callbacks


class Fit(NamedTuple):
    """The state: weights, the rate, the place in the data, and the loss of the last batch."""

    w: jax.Array
    rate: jax.Array
    batch: jax.Array
    loss: jax.Array


def moons(key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Return features [n, 9] of two half-moons, and which moon each is of."""
    turn, noise = jax.random.split(key)
    angle = jnp.pi * jax.random.uniform(turn, (n,))
    label = (jnp.arange(n) % 2).astype(jnp.float32)
    side = 1 - 2 * label
    x = side * jnp.cos(angle) + label + 0.15 * jax.random.normal(noise, (n,))
    y = side * jnp.sin(angle) + label / 2
    powers = [x**i * y**j for i in range(4) for j in range(4 - i) if i + j]
    return jnp.stack(powers, axis=1), label


DATA = moons(jax.random.key(1), BATCH * STEPS)
OTHERS = moons(jax.random.key(2), 2000)


def cross_entropy(w: jax.Array, data: tuple[jax.Array, jax.Array]) -> jax.Array:
    features, label = data
    return jnp.mean(jnp.logaddexp(0.0, (1 - 2 * label) * (features @ w)))


def train(s: Fit) -> Fit:
    """Learn from the next batch; the labels of one are wrong, and large."""
    features, label = (jax.lax.dynamic_slice_in_dim(d, BATCH * s.batch, BATCH) for d in DATA)
    label = jnp.where(s.batch == WRONG, 10.0 * (1 - label), label)
    loss, slope = jax.value_and_grad(cross_entropy)(s.w, (features, label))
    return Fit(s.w - s.rate * slope, s.rate, s.batch + 1, loss)


def averaged(s: Fit, average: jc.Ema) -> Fit:
    return s._replace(w=average.value)


CURVE = jc.schedules.warm_up(jc.schedules.cosine(1.0, 0.05, steps=STEPS - 20), steps=20)
SEEN = jc.history(lambda s: cross_entropy(s.w, OTHERS), every=10)
HEARD = (
    jc.schedule(lambda s, rate: s._replace(rate=rate), CURVE),
    jc.spike_guard(
        lambda s: s.loss, window=32, retries=9, update=lambda s: s._replace(batch=s.batch + 1)
    ),
    jc.history({"loss": lambda s: s.loss, "rate": lambda s: s.rate}),
    jc.swap(jc.ema(lambda s: s.w, decay=0.9), averaged, SEEN),
)


def run(path: Path) -> jf.LoopResult[Fit]:
    """Train, and write a line a step while the run goes on."""
    zero = jnp.zeros(())
    start = Fit(jnp.zeros(DATA[0].shape[1]), zero, jnp.zeros((), jnp.int32), zero)
    result = written = None
    with path.open("w", encoding="utf-8") as file:
        for result in jf.chunks(train, start, *HEARD, max_steps=STEPS - 1, every=50):
            rows = jf.records(result, since=written)
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            written = result.steps
            print(f"{written} steps: {rows[-1]['loss']:.3f}, {len(rows)} lines more")
    assert result is not None
    return result


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw each column by step; a row has what was recorded at its step."""
    try:
        import matplotlib
    except ImportError:
        print("no curve: pip install matplotlib")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name in ("loss", "history", "rate"):
        there = [row for row in rows if name in row]
        label = "other data, averaged weights" if name == "history" else name
        axes.plot([r["step"] for r in there], [r[name] for r in there], label=label)
    axes.set(xlabel="step", yscale="log")
    axes.legend()
    figure.savefig(path)
    print(f"drawn to {path.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Records of a run as JSON lines, and a curve.")
    folder = Path(tempfile.gettempdir())
    parser.add_argument("--to", type=Path, default=folder / "records.jsonl")
    parser.add_argument("--curve", type=Path, default=folder / "records.png")
    given = parser.parse_args()

    result = run(given.to)
    rows = [json.loads(line) for line in given.to.read_text(encoding="utf-8").splitlines()]
    assert rows == jf.records(result)  # written piece by piece, and asked for at the end
    skipped = int(result.memory["spike_guard"]["retries"])
    loss = np.array([row["loss"] for row in rows])
    print(f"{len(rows)} lines in {given.to.name}; {skipped} batch left out")
    print(f"loss {loss[:20].mean():.3f} at first, {loss[-20:].mean():.3f} in the end")
    assert loss[-20:].mean() < 0.7 * loss[:20].mean() and skipped == 1
    draw(rows, given.curve)


if __name__ == "__main__":
    main()
