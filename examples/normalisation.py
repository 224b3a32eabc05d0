"""A dataset's normalisation: learned from files in two passes, killed, resumed, saved, undone.

200 files of recordings, each of its own length, with gaps that are nan and glitches far out. The
pipe takes logarithms of the loads, clips each feature to its quantiles 0.01 and 0.99, and divides
what is left by its deviation; two of its stages learn from the files, one pass each. The first run
is killed in each pass; the next goes on from the checkpoint and learns the same bits. The fitted
pipe is a value: one file, one program whatever it was fitted to, and a stage that can be undone.

    python examples/normalisation.py
"""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

FILES = 200
FEATURES = ("angle", "speed", "load", "battery")
LOAD = np.array([name == "load" for name in FEATURES])


def write(folder: Path) -> list[Path]:
    """Write the files: 100 to 250 rows each, 2 % gaps, 0.5 % glitches."""
    rng = np.random.default_rng(0)
    paths = [folder / f"recording_{i:03}.npy" for i in range(FILES)]
    for path in paths:
        rows = rng.standard_normal((rng.integers(100, 250), len(FEATURES)))
        rows = rows * [0.4, 3.0, 1.5, 0.0] + [0.1, 20.0, 4.0, 24.0]
        rows[:, 2] = np.exp(rows[:, 2])
        rows[rng.random(rows.shape) < 0.005] *= 1000
        rows[rng.random(rows.shape) < 0.02] = np.nan
        np.save(path, rows.astype(np.float32))
    return paths


def log_loads(x: jax.Array) -> jax.Array:
    """Return a row with the loads, which are positive, on a logarithmic scale."""
    return jnp.where(LOAD, jnp.log1p(jnp.where(LOAD, x, 0)), x)


PIPE = jf.Pipe(
    log_loads,
    jf.stages.quantile_clip(0.01, 0.99, nan="omit"),
    jf.stages.standardize(nan="omit"),
)


def kill_after(count: int) -> Any:
    """Return a progress that presses Ctrl-C after some chunks, whichever pass they are of."""
    left = iter(range(count))

    def progress(done: int, total: int | None) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    return progress


def learn(source: jf.Source, checkpoint: Path) -> Any:
    """Return the fitted pipe, of runs that are killed twice and go on each time."""
    for count in (70, 230):
        try:
            jf.fit(PIPE, source, checkpoint=checkpoint, progress=kill_after(count))
        except KeyboardInterrupt:
            size = sum(path.stat().st_size for path in checkpoint.parent.glob("*.jf*"))
            print(f"killed after {count} files more; {size / 1024:.0f} kB are kept")
    said: list[int] = []
    fitted = jf.fit(
        PIPE, source, checkpoint=checkpoint, progress=lambda done, total: said.append(done)
    )
    print(f"the last run folded {len(said)} files of {2 * FILES}")
    return fitted


def check(fitted: Any, rows: np.ndarray) -> None:
    """Compare with NumPy, which needs all rows at once."""
    logs = np.asarray(jax.vmap(log_loads)(jnp.asarray(rows)), np.float64)
    low, high = np.nanquantile(logs, [0.01, 0.99], axis=0)
    clipped = np.clip(logs, low, high)
    right = (clipped - np.nanmean(clipped, 0)) / np.where(low == high, 1, np.nanstd(clipped, 0))
    found = np.asarray(jax.vmap(fitted)(rows))
    print(f"{'':8}{'low':>9}{'high':>9}{'mean':>9}{'std':>9}{'largest difference':>21}")
    clip, scale = (stage.numbers for stage in fitted[1:])
    off = np.nanmax(np.abs(found - right), axis=0)
    for name, *numbers, worst in zip(FEATURES, *clip, *scale, off, strict=True):
        print(f"{name:8}" + "".join(f"{float(n):9.4g}" for n in numbers) + f"{worst:21.2g}")
    assert np.array_equal(np.isnan(found), np.isnan(rows))
    assert off.max() < 0.15


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder))
        source = jf.Source.of(paths)
        print(f"before: {PIPE}")
        fitted = learn(source, Path(folder) / "fit.jf")
        print(f"after:  {fitted}")
        same = fitted == jf.fit(PIPE, source)
        print(f"Same bits as an uninterrupted fit: {same}")
        assert same

        file = Path(folder) / "normalisation.jf"
        jf.save(file, fitted)
        row = jax.ShapeDtypeStruct((1, len(FEATURES)), jnp.float32)
        loaded = jf.load(file, like=jax.eval_shape(lambda rows: jf.fit(PIPE, rows), row))
        print(f"saved in {file.stat().st_size} bytes, loaded without data: {loaded == fitted}")

        check(loaded, np.concatenate([np.load(path) for path in paths]))

    scale = loaded[2:]
    clipped = loaded[:2](jnp.array([0.5, 1e6, 30.0, 24.0]))
    back = scale.inverse(scale(clipped))
    print(f"{clipped} there and back: {back}")
    assert np.allclose(back, clipped, rtol=1e-6)


if __name__ == "__main__":
    main()
