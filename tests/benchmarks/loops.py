"""Loops against one hand-written `lax.while_loop` that does the same: run and compile time.

    python tests/benchmarks/loops.py [check_every]

Both sides carry the same things: every callback's memory, the stop, the step index. Ratios are of
medians of interleaved rounds; 1 is the hand-written loop.

The second table (the only one, with `check_every`) is of `check_every=k`: time beside k = 1, where
this runs; and, with the extra `platforms`, the kernels that a step launches in the program for an
H200, which need not be there.
"""

import functools
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # its compiler needs no GPU

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


def newton(x: jax.Array) -> jax.Array:
    """Take a step of a few nanoseconds, towards the root of 2."""
    return 0.5 * (x + 2.0 / x)


def never(x: jax.Array) -> jax.Array:
    """Tell whether a state has gone astray."""
    return loss(x) > 1e9


def in_blocks(step: Callable[..., Any], k: int, lanes: bool, steps: int) -> Callable[..., Any]:
    """Return a run whose stop is tested, and never comes."""
    run = lambda x: jf.iterate(  # noqa: E731
        step, x, jf.stop_when(never), max_steps=steps, check_every=k
    )
    return jax.vmap(run) if lanes else run


def h200() -> Any:
    """Return an H200 that is known by its description alone, or None without its compiler."""
    sys.path.append(str(Path(__file__).parents[1] / "cases"))
    from platform_cases import target

    try:
        return jax.sharding.SingleDeviceSharding(target("cuda"))
    except Exception as error:
        print(f"no kernels are counted ({error}): pip install 'jfoundations[platforms]'")
        return None


NO_KERNELS = {"tuple", "get-tuple-element", "bitcast", "while"}


def kernels(text: str) -> int:
    """Return how many kernels a pass through the loop that tests its stop launches."""
    parts = {p.split(" ", 2)["ENTRY" in p[:5]].strip("%"): p for p in text.split("\n\n")}

    def launched(name: str) -> int:
        found = 0
        for line in parts[name].splitlines()[1:]:
            found += not NO_KERNELS.issuperset(re.findall(r" ([a-z][a-z0-9-]*)\([%)]", line)[:1])
            for trips, body in loops(line):
                found += int(trips) * launched(body)
        return found

    def loops(line: str) -> list[tuple[str, str]]:
        trips = re.findall(r'known_trip_count"?:\{"n":"(\d+)"', line)
        return [
            (trips[0], body) for body in re.findall(r" while\(.*body=%([\w.-]+)", line) if trips
        ]

    tested = r" while\((?!.*known_trip_count).*condition=%([\w.-]+), body=%([\w.-]+)"
    return max(sum(map(launched, pair)) for pair in re.findall(tested, text))


def check_every() -> None:
    """Print what blocks of steps with one test of the stop do."""
    lanes = {"64 lanes of 1024": (small, jnp.ones((64, 1024), jnp.float32))}
    bodies = {"Newton": (newton, jnp.float32(1)), **BODIES, **lanes}
    rows: list[dict[str, object]] = []
    elsewhere = h200()
    for name, (step, x) in bodies.items():
        steps = STEPS if x.size < 2**14 else STEPS // 20
        runs = {k: in_blocks(step, k, name in lanes, steps) for k in (1, 4, 16, 64)}
        compiled = {k: jax.jit(run).lower(x).compile() for k, run in runs.items()}
        calls = {str(k): functools.partial(c, x) for k, c in compiled.items()}
        found = interleaved(calls, 15)
        for k, run in runs.items():
            row: dict[str, object] = {"body": name, "k": k}
            row |= {
                "ns a step": found[str(k)] / steps * 1e9,
                "to k = 1": found[str(k)] / found["1"],
            }
            if elsewhere is not None:
                like = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=elsewhere)
                text = jax.jit(run).lower(like).compile().as_text() or ""
                row["kernels a step, H200"] = kernels(text) / k
            rows.append(row)
    table(rows)


def main() -> None:
    """Print the ratios."""
    if "check_every" not in sys.argv:
        beside_a_loop_by_hand()
    check_every()


def beside_a_loop_by_hand() -> None:
    """Print what callbacks cost."""
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
