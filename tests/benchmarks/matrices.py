"""Covariance and correlation matrices beside jnp and NumPy: milliseconds, multiples and digits.

    python tests/benchmarks/matrices.py [speed] [weighted] [digits]

Multiples are of `jnp.cov`'s time or of `np.cov`'s in float32, medians of interleaved rounds. Digits
are those of the worst entry, its error taken relative to the product of both deviations.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table
from accuracy import CAP, correct_digits, designs

from jfoundations import stats

Rows = list[dict[str, object]]
SIZES = ((10**6, 64), (10**5, 512), (10**4, 2048), (10**7, 8))


def normal(*shape: int, seed: int = 0) -> jax.Array:
    """Return float32 normals with mean 3."""
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    drawn += 3
    return jnp.asarray(drawn)


def times(runs: dict[str, Callable[..., Any]], *args: Any, **bare: Any) -> dict[str, float]:
    """Return the median seconds of each run on the arguments, compiled, and of the bare ones."""
    compiled = {k: partial(jax.jit(f).lower(*args).compile(), *args) for k, f in runs.items()}
    return interleaved(compiled | bare, 5)


def speed() -> Rows:
    """Time both matrices."""
    rows: Rows = []
    for shape in SIZES:
        x = normal(*shape)
        host = np.asarray(x)
        runs = {
            "cov": stats.cov_matrix,
            "corr": stats.corr_matrix,
            "jnp.cov": lambda x: jnp.cov(x, rowvar=False),
            "jnp.corrcoef": lambda x: jnp.corrcoef(x, rowvar=False),
        }
        # NumPy is as fast as the faster of its two spellings, which differ by the layout it meets
        lying = lambda a=host: np.cov(a, rowvar=False, dtype=np.float32)  # noqa: E731
        standing = lambda a=host: np.cov(a.T, dtype=np.float32)  # noqa: E731
        found = times(runs, x, lying=lying, standing=standing)
        numpy = min(found["lying"], found["standing"])
        rows.append(
            {
                "matrix": f"{shape[0]} x {shape[1]}",
                "cov, ms": found["cov"] * 1e3,
                "of jnp.cov": found["cov"] / found["jnp.cov"],
                "of np.cov": found["cov"] / numpy,
                "corr, ms": found["corr"] * 1e3,
                "of jnp.corrcoef": found["corr"] / found["jnp.corrcoef"],
            }
        )
    return rows


def weighted() -> Rows:
    """Time weights, masks and two matrices, as multiples of the bare matrix."""
    rows: Rows = []
    for shape in ((10**6, 64), (10**5, 512)):
        x, w = normal(*shape), jnp.abs(normal(shape[0], seed=1))
        runs = {
            "cov": lambda x, w: stats.cov_matrix(x),
            "where": lambda x, w: stats.cov_matrix(x, where=w > 2),
            "weights": lambda x, w: stats.cov_matrix(x, weights=w),
            "jnp.cov weights": lambda x, w: jnp.cov(x, rowvar=False, aweights=w),
            "nan='omit'": lambda x, w: stats.cov_matrix(x, nan="omit"),
            "half with half": lambda x, w: stats.cov_matrix(
                x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]
            ),
        }
        found = times(runs, x, w)
        first = found.pop("cov")
        others = {k: v / first for k, v in found.items()}
        rows.append({"matrix": f"{shape[0]} x {shape[1]}", "cov, ms": first * 1e3} | others)
    return rows


def digits() -> Rows:
    """Count correct digits over hard designs: columns of one design, mixed with each other."""
    rows: Rows = []
    ours, theirs = jax.jit(stats.cov_matrix), jax.jit(lambda x: jnp.cov(x, rowvar=False, ddof=0))
    for columns in (8, 64):
        for name, column in designs(2**18).items():
            x = mixed(column, columns)
            scale = float(np.exp2(-np.floor(np.log2(np.abs(x).max()))))
            right = np.cov(x.astype(np.float64) * scale, rowvar=False, ddof=0)
            row: dict[str, object] = {"columns": columns, "design": name}
            for method, f in (("default", ours), ("jnp", theirs)):
                # huge and tiny ones in range: what is left to the range is `corr_matrix`'s matter
                found = np.asarray(f(x * np.float32(scale)), np.float64)
                row[method] = worst(found, right)
            rows.append(row)
    summary = {m: min(r[m] for r in rows) for m in ("default", "jnp")}  # type: ignore[type-var]
    return [*rows, {"columns": "", "design": "worst"} | summary]


def mixed(column: np.ndarray, columns: int) -> np.ndarray:
    """Return columns that each begin elsewhere in one design, half of them negative."""
    shifts = np.arange(columns) * 97
    signs = np.where(np.arange(columns) % 2, -1, 1).astype(column.dtype)
    return np.stack([np.roll(column, k) for k in shifts], axis=1) * signs


def worst(found: np.ndarray, right: np.ndarray) -> float:
    """Return the digits of the worst entry."""
    spread = np.sqrt(np.outer(np.diagonal(right), np.diagonal(right)))
    error = float(np.max(np.abs(found - right) / spread))
    return correct_digits(1 + error, 1.0, CAP[np.dtype(np.float32)])


PARTS = {f.__name__: f for f in (speed, weighted, digits)}


def main(parts: list[str]) -> None:
    """Print the tables of the parts that are named; all by default."""
    for name in parts or PARTS:
        print(f"\n{name}")
        table(PARTS[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
