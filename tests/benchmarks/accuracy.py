"""Correct digits of the variance over eleven hard designs, against exact integer arithmetic.

    python tests/benchmarks/accuracy.py

The log relative error is the number of correct digits; float32 holds 7.22 of them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jfoundations import stats

CAP = {np.dtype(np.float32): 7.22, np.dtype(np.float64): 15.95}


def designs(n: int = 2**20, dtype: Any = np.float32, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the eleven designs by name."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    first, blocks = z.copy(), z.copy()
    first[0] = 1e6
    blocks[::2048] = 1e6
    made = {
        "offset 1e2": z + 1e2,
        "offset 1e4": z + 1e4,
        "offset 1e6": z + 1e6,
        "outlier first": first,
        "outlier first in block": blocks,
        "sorted": np.sort(z),
        "random walk": np.cumsum(z),
        "two values": np.where(rng.random(n) < 0.5, 1e4, 1e4 + 1),
        "alternating": np.where(np.arange(n) % 2, -1.0, 1.0) * (1 + 0.1 * z),
        "tiny": z * 1e-25,
        "huge": z * 1e18,
    }
    return {name: x.astype(dtype) for name, x in made.items()}


def exact_moments(x: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of the rounded data, each rounded once, from integers."""
    mantissa, exponent = np.frexp(x[x != 0].astype(np.float64))
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    lowest, n, s, q = int(exponent.min(initial=0)), len(x), 0, 0
    for e in np.unique(exponent).tolist():  # what has one exponent is added in three parts
        some = whole[exponent == e]
        parts = [(some >> 36, 36), ((some >> 18) & (2**18 - 1), 18), (some & (2**18 - 1), 0)]
        s += sum(int(a.sum()) << i for a, i in parts) << (e - lowest)
        q += sum(int(a @ b) << i + j for a, i in parts for b, j in parts) << 2 * (e - lowest)
    top = n * q - s * s  # n**2 times the variance, in units
    root = math.isqrt(top << 128) / (n << 64)
    unit = lowest - 53
    return math.ldexp(s / n, unit), math.ldexp(root, unit)


def correct_digits(value: float, exact: float, cap: float) -> float:
    """Return -log10 of the relative error, in 0 ... cap."""
    error = abs(value - exact) / abs(exact)
    return 0.0 if not np.isfinite(error) else min(max(0.0, -math.log10(max(error, 1e-300))), cap)


def digits_of_variance(deviation: float, exact: float, cap: float) -> float:
    """Return the digits of a variance given by its root, which no float's range cuts off."""
    return correct_digits(deviation * deviation, exact * exact, cap)


def textbook(x: jax.Array) -> jax.Array:
    """Return the root of E[X²] - E[X]²."""
    return jnp.sqrt(jnp.mean(x * x) - jnp.mean(x) ** 2)


def main() -> None:
    """Print the table."""
    from _timing import table

    methods: dict[str, Callable[..., Any]] = {
        "default": jax.jit(stats.std),
        "high": jax.jit(functools.partial(stats.std, accuracy="high")),
        "jnp": jax.jit(jnp.std),
        "NumPy": np.std,
        "textbook": jax.jit(textbook),
    }
    rows: list[dict[str, object]] = []
    np.seterr(over="ignore")  # what others make of huge numbers is part of the table
    for name, x in designs().items():
        _, deviation = exact_moments(x)
        row: dict[str, object] = {"design": name}
        for method, f in methods.items():
            row[method] = digits_of_variance(float(f(x)), deviation, CAP[x.dtype])
        rows.append(row)
    rows.append({"design": "worst"} | {m: min(r[m] for r in rows) for m in methods})  # type: ignore[type-var]
    table(rows)


if __name__ == "__main__":
    main()
