"""Statistics beside jnp and NumPy, as multiples of one `jnp.sum` over the same data.

    python tests/benchmarks/statistics.py [PART …], of those in PARTS below

A sum reads memory once and does nothing else: it is the limit. Medians of interleaved rounds.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table

from jfoundations import stats

Rows = list[dict[str, object]]


def normal(*shape: int, seed: int = 0) -> jax.Array:
    """Return float32 normals with mean 3."""
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    drawn += 3
    return jnp.asarray(drawn)


def race(
    runs: dict[str, Callable[..., Any]],
    *args: Any,
    rounds: int = 7,
    bare: dict[str, Callable[[], object]] | None = None,
) -> dict[str, object]:
    """Return milliseconds of the first run, and every other's multiple of it."""
    compiled = {k: partial(jax.jit(f).lower(*args).compile(), *args) for k, f in runs.items()}
    found = interleaved(compiled | (bare or {}), rounds)
    first, *others = found
    return {f"{first}, ms": found[first] * 1e3} | {k: found[k] / found[first] for k in others}


def mean_and_var(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return both, which share one pass."""
    return stats.mean(x), stats.var(x)


def vectors() -> Rows:
    """Time one long axis."""
    rows: Rows = []
    for n in (10**5, 10**7, 10**8):
        x = normal(n)
        runs = {
            "sum": jnp.sum,
            "mean": stats.mean,
            "var": stats.var,
            "std": stats.std,
            "mean and var": mean_and_var,
            "jnp.var": jnp.var,
        }
        host = np.asarray(x)
        bare: dict[str, Callable[[], object]] = {"np.var": lambda a=host: np.var(a)}
        rounds = {10**5: 101, 10**7: 11, 10**8: 3}[n]
        row = race(runs, x, rounds=rounds, bare=bare if n < 10**8 else None)
        rows.append({"elements": f"{n:.0e}"} | row | ({} if n < 10**8 else {"np.var": "-"}))
    return rows


def matrices() -> Rows:
    """Time each axis of matrices."""
    rows: Rows = []
    for shape in ((10**6, 64), (10**5, 512), (10**4, 2048), (10**7, 8)):
        x = normal(*shape)
        for axis in (0, -1):
            runs = {
                "sum": partial(jnp.sum, axis=axis),
                "var": partial(stats.var, axis=axis),
                "std": partial(stats.std, axis=axis),
                "jnp.var": partial(jnp.var, axis=axis),
            }
            rows.append({"matrix": f"{shape[0]} x {shape[1]}", "axis": axis} | race(runs, x))
        del x
    return rows


def pairs() -> Rows:
    """Time covariance and correlation of two arrays."""
    rows: Rows = []
    for n in (10**6, 10**7):
        x, y = normal(n), normal(n, seed=1)
        runs = {
            "two sums": lambda x, y: (jnp.sum(x), jnp.sum(y)),
            "cov": stats.cov,
            "corr": stats.corr,
            "jnp.cov": lambda x, y: jnp.cov(x, y, bias=True),
        }
        rows.append({"pairs": f"{n:.0e}"} | race(runs, x, y))
    return rows


def shape() -> Rows:
    """Time what describes a distribution, over 6.7e7 elements."""

    def plain(x: jax.Array) -> Any:
        mean, var = jnp.mean(x), jnp.var(x)
        cubes, fourths = (jnp.mean((x - mean) ** k) for k in (3, 4))
        return jnp.min(x), jnp.max(x), mean, var, cubes / var**1.5, fourths / var**2 - 3

    runs = {
        "sum": jnp.sum,
        "describe": stats.describe,
        "minmax": stats.minmax,
        "skew": stats.skew,
        "describe by jnp": plain,
    }
    return [{"elements": "6.7e7"} | race(runs, normal(67 * 10**6), rounds=5)]


def masks() -> Rows:
    """Time masks and weights against the unmasked form and one reading of the mask."""
    x, w = normal(10**7), jnp.abs(normal(10**7, seed=1))
    rows: Rows = []
    for name, other, ours, theirs in (
        (
            "where",
            w > 2,
            lambda x, m: stats.var(x, where=m),
            lambda x, m: jnp.var(x, where=m),
        ),
        (
            "weights",
            w,
            lambda x, w: stats.var(x, weights=w),
            lambda x, w: jnp.average((x - jnp.average(x, weights=w)) ** 2, weights=w),
        ),
    ):
        runs = {
            "var and a sum of the mask": lambda x, m: (stats.var(x), jnp.sum(m)),
            "var of both": ours,
            "jnp": theirs,
        }
        rows.append({"1e7 with": name} | race(runs, x, other, rounds=11))
    return rows


def call() -> Rows:
    """Time one jitted call of 1,000 elements, and one eager call."""
    x = normal(1000)
    runs: dict[str, Callable[[], object]] = {
        "jit(jnp.var)": partial(jax.jit(jnp.var), x),
        "jit(var)": partial(jax.jit(stats.var), x),
        "eager jnp.var": partial(jnp.var, x),
        "eager var": partial(stats.var, x),
        "np.var": partial(np.var, np.asarray(x)),
    }
    found = interleaved(runs, 101, repeat=20)
    return [{name: f"{seconds * 1e6:.1f} us" for name, seconds in found.items()}]


def gradient() -> Rows:
    """Time the gradient of a variance."""
    rows: Rows = []
    for n in (10**5, 10**7):
        x = normal(n)
        runs = {"grad(jnp.var)": jax.grad(jnp.var), "grad(var)": jax.grad(stats.var)}
        runs |= {"grad(jnp.std)": jax.grad(jnp.std), "grad(std)": jax.grad(stats.std)}
        rows.append({"elements": f"{n:.0e}"} | race(runs, x, rounds=9))
    return rows


def training() -> Rows:
    """Time a jitted training step, 512 samples of 64 features, and its trace and compilation."""
    x, w, v = normal(512, 64), normal(64, 64, seed=1) / 8, normal(64, 64, seed=2) / 8

    def normalized(mean: Callable[..., Any], std: Callable[..., Any]) -> Callable[..., Any]:
        def loss(w: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
            h = x @ w[0]
            h = (h - mean(h, axis=0)) / (std(h, axis=0) + 1e-5)
            return jnp.mean((jax.nn.relu(h) @ w[1]) ** 2)

        return loss

    def decorrelated(corr: Callable[..., Any]) -> Callable[..., Any]:
        def loss(w: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
            return jnp.sum((corr(jnp.tanh(x @ w[0]) @ w[1]) - jnp.eye(64)) ** 2)

        return loss

    def step(loss: Callable[..., Any], w: Any, x: jax.Array) -> Any:
        value, slope = jax.value_and_grad(loss)(w, x)
        return jax.tree.map(lambda a, b: a - 0.01 * b, w, slope), value

    rows: Rows = []
    for name, theirs, ours in (
        ("batch norm", normalized(jnp.mean, jnp.std), normalized(stats.mean, stats.std)),
        (
            "decorrelation",
            decorrelated(partial(jnp.corrcoef, rowvar=False)),
            decorrelated(stats.corr_matrix),
        ),
    ):
        seconds: dict[str, list[float]] = {"jnp": [], "here": []}
        for _ in range(3):
            for who, loss in (("jnp", theirs), ("here", ours)):
                jax.clear_caches()
                start = time.process_time()
                jax.jit(partial(step, loss)).lower((w, v), x).compile()
                seconds[who].append(time.process_time() - start)
        runs = {"jnp": partial(step, theirs), "here": partial(step, ours)}
        compiled = min(seconds["here"]) / min(seconds["jnp"])
        row = race(runs, (w, v), x, rounds=51)
        rows.append({"step with": name} | row | {"trace and compile": compiled})
    return rows


def much() -> Rows:
    """Time what is summed by rows, and of much data by pieces, on each kind of axis."""
    rows: Rows = []
    shapes = ((2**20,), (10**7,), (2**24,), (10**8,), (10**5, 512), (10**4, 2048))
    for shape in shapes:
        x, y = normal(*shape), normal(*shape, seed=1)
        axis = {1: None, 10**5: 0, 10**4: -1}[1 if len(shape) == 1 else shape[0]]
        runs = {
            "sum": lambda x, y, axis=axis: jnp.sum(x, axis),
            "mean": lambda x, y, axis=axis: stats.mean(x, axis=axis),
            "var": lambda x, y, axis=axis: stats.var(x, axis=axis),
            "cov": lambda x, y, axis=axis: stats.cov(x, y, axis=axis),
            "kurtosis": lambda x, y, axis=axis: stats.kurtosis(x, axis=axis),
            "describe": lambda x, y, axis=axis: stats.describe(x, axis=axis),
            "jnp.var": lambda x, y, axis=axis: jnp.var(x, axis),
        }
        row = race(runs, x, y, rounds=51 if x.size < 2**21 else 7)
        rows.append({"shape": str(shape), "axis": str(axis)} | row)
    return rows


FUNCTIONS = (vectors, matrices, pairs, shape, much, masks, call, gradient, training)
PARTS = {f.__name__: f for f in FUNCTIONS}


def main(parts: list[str]) -> None:
    """Print the tables of the parts that are named; all by default."""
    for name in parts or PARTS:
        print(f"\n{name}")
        table(PARTS[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
