"""Loops against one hand-written `lax.while_loop` that does the same: run and compile time.

    python tests/benchmarks/loops.py

Both sides carry the same things: every callback's memory, the stop, the step index. Ratios are of
medians of interleaved rounds; 1 is the hand-written loop.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table
from jax import lax

import jfoundations as jf

STEPS = 20_000


def tiny(x: jax.Array) -> jax.Array:
    """Take a step of a few nanoseconds: one multiplication."""
    return x * 0.99999


def small(x: jax.Array) -> jax.Array:
    """Take a step of about a microsecond: 1,024 elements."""
    return x * 0.99999 + 1e-6 * jnp.sin(x)


def large(x: jax.Array) -> jax.Array:
    """Take a step of some ten microseconds: a 128-by-128 product."""
    return 0.999 * x @ jnp.eye(128, dtype=x.dtype) + 1e-6


BODIES: dict[str, tuple[Callable[..., Any], jax.Array]] = {
    "scalar": (tiny, jnp.float32(1.0)),
    "1024 elements": (small, jnp.ones(1024, jnp.float32)),
    "128x128 product": (large, jnp.ones((128, 128), jnp.float32)),
}


def loss(x: jax.Array) -> jax.Array:
    """Return a cheap number to look at."""
    return jnp.ravel(x)[0]


def callbacks(count: int) -> list[Any]:
    """Return patience, history, best and a running mean, over and over."""
    kinds = [
        lambda: jf.callbacks.early_stopping(loss, patience=np.int32(10**6)),
        lambda: jf.callbacks.history(loss),
        lambda: jf.callbacks.best(loss),
        lambda: jf.Callback(
            lambda s: jnp.float32(0),
            name="ema",
            after_step=lambda m, s: (0.9 * m + 0.1 * loss(s), s, False),
        ),
    ]
    return [kinds[k % 4]() for k in range(count)]


def ours(step: Callable[..., Any], count: int, steps: int) -> Callable[..., Any]:
    """Return a run with that many callbacks."""
    return lambda x: jf.iterate(step, x, *callbacks(count), max_steps=steps)


def hand(step: Callable[..., Any], count: int, steps: int) -> Callable[..., Any]:
    """Return the same run written by hand with `lax.while_loop`."""

    def start(k: int, x: Any) -> Any:
        value = loss(x)
        return [
            lambda: (jnp.full((), jnp.inf, value.dtype), jnp.int32(0)),
            lambda: (jnp.full((steps,), jnp.nan, value.dtype), jnp.int32(0)),
            lambda: (jnp.full((), jnp.inf, value.dtype), x),
            lambda: jnp.float32(0),
        ][k % 4]()

    def update(k: int, i: Any, m: Any, x: Any) -> tuple[Any, Any]:
        value = loss(x)
        if k % 4 == 0:
            better = value < m[0]
            wait = jnp.where(better, 0, m[1] + 1)
            return (jnp.where(better, value, m[0]), wait), wait >= 10**6
        if k % 4 == 1:
            return (m[0].at[m[1]].set(value), m[1] + 1), False
        if k % 4 == 2:
            return lax.cond(value < m[0], lambda a, b: a, lambda a, b: b, (value, x), m), False
        return 0.9 * m + 0.1 * value, False

    def run(x: Any) -> Any:
        def body(c: Any) -> Any:
            i, stop, x, memories = c
            x = step(x)
            new = []
            for k, m in enumerate(memories):
                m, asked = update(k, i, m, x)
                new.append(m)
                stop = stop if asked is False else stop | (asked.astype(jnp.uint32) << k)
            return i + 1, stop, x, tuple(new)

        memories = tuple(start(k, x) for k in range(count))
        if count == 0:
            return lax.while_loop(
                lambda c: c[0] < steps, lambda c: (c[0] + 1, step(c[1])), (jnp.int32(0), x)
            )
        carry = (jnp.int32(0), jnp.uint32(0), x, memories)
        return lax.while_loop(lambda c: (c[0] < steps) & (c[1] == 0), body, carry)

    return run


def compile_seconds(run: Callable[..., Any], x: Any) -> float:
    """Return the seconds it takes to trace, lower and compile a fresh copy of a run."""
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(functools.partial(run)).lower(x).compile()
    return time.perf_counter() - start


def main() -> None:
    """Print the ratios."""
    rows: list[dict[str, object]] = []
    for name, (step, x) in BODIES.items():
        for count in (0, 1, 4, 16):
            runs = {"ours": ours(step, count, STEPS), "hand": hand(step, count, STEPS)}
            compiled = {k: jax.jit(r).lower(x).compile() for k, r in runs.items()}
            found = interleaved({k: functools.partial(c, x) for k, c in compiled.items()}, 15)
            built: dict[str, list[float]] = {"ours": [], "hand": []}
            for _ in range(5):
                for k, r in runs.items():
                    built[k].append(compile_seconds(r, x))
            compiles = {k: sorted(v)[len(v) // 2] for k, v in built.items()}
            rows.append(
                {
                    "body": name,
                    "callbacks": count,
                    "ns a step, by hand": found["hand"] / STEPS * 1e9,
                    "run ratio": found["ours"] / found["hand"],
                    "compile ratio": compiles["ours"] / compiles["hand"],
                    "ms to compile by hand": compiles["hand"] * 1e3,
                }
            )
    table(rows)


if __name__ == "__main__":
    main()
