"""What single callbacks cost a loop: best, history, stops, lanes, snapshots, and several.

    python tests/benchmarks/callbacks.py

Times are medians of interleaved rounds; `loops.py` beside this has the ratios for many callbacks,
`reverse.py` those of reverse mode, `progress.py` what progress bars cost.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table
from jax import lax

import jfoundations as jf

jc = jf.callbacks
Row = dict[str, object]


def seconds(runs: dict[str, Callable[..., Any]], x: Any, rounds: int = 15) -> dict[str, float]:
    """Return the median seconds of compiled runs of one argument."""
    compiled = {name: jax.jit(run).lower(x).compile() for name, run in runs.items()}
    return interleaved({name: functools.partial(c, x) for name, c in compiled.items()}, rounds)


def best_of_a_large_state() -> list[Row]:
    """Keep the best of a million parameters when nothing improves, and when each step does."""
    steps, size = 200, 1_000_000
    state = {"w": jnp.zeros(size, jnp.float32), "n": jnp.float32(0)}

    def step(s: Any) -> Any:
        return {"w": s["w"].at[0].add(1.0), "n": s["n"] + 1}

    kinds = {
        "nothing improves": jc.best(lambda s: s["n"]),
        "every step improves": jc.best(lambda s: -s["n"]),
    }
    runs: dict[str, Any] = {"bare": lambda s: jf.iterate(step, s, max_steps=steps).state}
    for name, best in kinds.items():
        runs[name] = lambda s, best=best: jf.iterate(step, s, best, max_steps=steps)
    found = seconds(runs, state)
    rows: list[Row] = [
        {
            "best of 1e6 float32": name,
            "us a step over the bare loop": (found[name] - found["bare"]) / steps * 1e6,
        }
        for name in kinds
    ]
    lanes = jax.tree.map(lambda x: jnp.stack([x, x + 1]), state)
    mapped = {name: jax.vmap(run) for name, run in runs.items()}
    found = seconds(mapped, lanes, 7)
    for name in kinds:
        over = (found[name] - found["bare"]) / steps * 1e6
        text = f"two lanes: {name}"
        rows.append({"best of 1e6 float32": text, "us a step over the bare loop": over})
    return rows


def history_of_lanes() -> list[Row]:
    """Record each step of two lanes that stop apart: linear in the steps."""
    rows: list[Row] = []
    for steps in (5_000, 10_000, 20_000, 40_000):

        def run(x: Any, steps: int = steps) -> Any:
            stop = jf.stop_when(lambda x: x < 1e-30)
            return jf.iterate(lambda x: x * 0.9999, x, jc.history(), stop, max_steps=steps)

        time = seconds({"run": jax.vmap(run)}, jnp.array([1.0, 2.0]))["run"]
        rows.append(
            {"history, 2 lanes, steps": steps, "ms": time * 1e3, "ns a step": time / steps * 1e9}
        )
    return rows


def stops_early() -> list[Row]:
    """Stop at step k of at most 100,000, beside a loop of k steps that nothing stops."""
    rows: list[Row] = []
    for k in (100, 1_000, 10_000, 100_000):
        stop = jf.stop_when(jf.partial(lambda k, x, *, step: step + 1 >= k, np.int32(k)))
        runs = {
            "stopped": functools.partial(bounded, 100_000, stop),
            "to the end": functools.partial(bounded, k),
        }
        time = seconds(runs, jnp.ones(1024))
        rows.append(
            {
                "stops at step": k,
                "of at most": 100_000,
                "ms": time["stopped"] * 1e3,
                "over a loop of so many": time["stopped"] / time["to the end"],
            }
        )
    return rows


def bounded(steps: int, *rest: Any) -> Any:
    """Run until a callback stops it."""
    *stop, x = rest
    return jf.iterate(lambda x: x * 0.9999 + 1e-6 * jnp.sin(x), x, *stop, max_steps=steps).state


def lanes_of_their_own() -> list[Row]:
    """Stop each of 64 lanes at its own step, beside all of them going as far as the slowest."""
    stop = jf.stop_when(lambda s: s[0] <= 0)

    def step(s: Any) -> Any:
        return s[0] - 1, s[1] * 0.9999 + 1e-6 * jnp.sin(s[1])

    run = jax.vmap(lambda s: jf.iterate(step, s, stop, max_steps=10_000).state)
    own = jnp.linspace(100, 5_000, 64).astype(np.int32)
    slowest = jnp.full(64, 5_000, np.int32)
    x = jnp.ones((64, 256))
    runs = {"own": jax.jit(run).lower((own, x)).compile()}
    found = interleaved(
        {"own": lambda: runs["own"]((own, x)), "slowest": lambda: runs["own"]((slowest, x))}, 9
    )
    bare = seconds(
        {
            "bare": jax.vmap(
                lambda x: jf.iterate(lambda x: step((0, x))[1], x, max_steps=5_000).state
            )
        },
        x,
        9,
    )
    return [
        {
            "64 lanes": "each at its own step, over all at the slowest's",
            "ratio": found["own"] / found["slowest"],
        },
        {
            "64 lanes": "each at its own step, over 64 that nothing stops",
            "ratio": found["own"] / bare["bare"],
        },
    ]


def kept_bytes(run: Callable[..., Any], x: Any) -> int:
    """Return the bytes a compiled run needs beside its argument: what it hands back and scratch."""
    memory: Any = jax.jit(run).lower(x).compile().memory_analysis()
    return memory.output_size_in_bytes + memory.temp_size_in_bytes


def beside_a_loop_by_hand() -> list[Row]:
    """Run history, best, patience and ema, beside a loop written by hand that does the same."""
    scalar = jnp.float32(1.0)
    kinds = {
        "a scalar": (scalar, 1_000_000, 1000),
        "a scalar, each step": (scalar, 1_000_000, 1),
        "1024 elements": (jnp.ones(1024, jnp.float32), 20_000, 1),
    }
    rows: list[Row] = []
    for name, (x, steps, every) in kinds.items():
        runs = {"ours": ours_with(steps, every), "hand": hand_with(steps, every)}
        found = seconds(runs, x, 9)
        size = {name: kept_bytes(run, x) for name, run in runs.items()}
        rows.append(
            {
                "patience, history, best, ema of": name,
                "steps": steps,
                "history(every)": every,
                "ms": found["ours"] * 1e3,
                "ns a step by hand": found["hand"] / steps * 1e9,
                "ratio": found["ours"] / found["hand"],
                "kB": size["ours"] / 1e3,
                "kB by hand": size["hand"] / 1e3,
            }
        )
    return rows


def step_of_all(x: jax.Array) -> jax.Array:
    """Take a step of a few nanoseconds an element."""
    return x * 0.999999 + 1e-7 * jnp.sin(x)


def first(x: jax.Array) -> jax.Array:
    """Return a cheap number to look at."""
    return jnp.ravel(x)[0]


DECAY = np.float32(0.999)


def ours_with(steps: int, every: int) -> Callable[..., Any]:
    """Return a run with four callbacks."""
    heard = (
        jc.history(first, every=every),
        jc.best(first),
        jc.early_stopping(first, patience=10**6),
        jc.ema(first, decay=DECAY),
    )
    return lambda x: jf.iterate(step_of_all, x, *heard, max_steps=steps)


def hand_with(steps: int, every: int) -> Callable[..., Any]:
    """Return the same run written by hand."""

    def body(c: Any) -> Any:
        i, _, x, buffer, count, best, keep, least, wait, mean, weight = c
        x = step_of_all(x)
        value = first(x)
        due = (i + 1) % every == 0
        place = jnp.where(due, count, steps // every)
        buffer = buffer.at[place].set(value, mode="drop")
        best, keep = lax.cond(
            value < best, lambda a, b: a, lambda a, b: b, (value, x), (best, keep)
        )
        better = value < least
        wait = jnp.where(better, 0, wait + 1)
        least = jnp.where(better, value, least)
        weight = DECAY * weight + (1 - DECAY)
        mean = mean + (1 - DECAY) / weight * (value - mean)
        count = count + due.astype(np.int32)
        return i + 1, wait >= 10**6, x, buffer, count, best, keep, least, wait, mean, weight

    def run(x: Any) -> Any:
        inf, zero, none = jnp.float32(jnp.inf), jnp.float32(0), jnp.int32(0)
        buffer = jnp.full(steps // every, jnp.nan)
        start = (none, jnp.asarray(False), x, buffer, none, inf, x, inf, none, zero, zero)
        return lax.while_loop(lambda c: (c[0] < steps) & ~c[1], body, start)

    return run


def snapshots_of_a_run() -> list[Row]:
    """Keep copies of all that the loop carries, beside the same loop without; go back in it."""
    steps = 20_000

    def in_place(s: Any) -> Any:
        return {"w": s["w"].at[0].add(1.0), "n": s["n"] + 1}

    best = jc.best(lambda x: jnp.ravel(x)[0])
    stop = jf.stop_when(lambda x: jnp.any(jnp.isnan(x)))
    large = {"w": jnp.zeros(1_000_000, jnp.float32), "n": jnp.float32(0)}
    kinds: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
        "a scalar": (step_of_all, jnp.float32(1.0), ()),
        "1024 elements": (step_of_all, jnp.ones(1024, jnp.float32), ()),
        "4096 elements": (step_of_all, jnp.ones(4096, jnp.float32), ()),
        "1024 elements, a best": (step_of_all, jnp.ones(1024, jnp.float32), (best,)),
        "4096 elements, a stop": (step_of_all, jnp.ones(4096, jnp.float32), (stop,)),
        "1e6, of which a step writes one": (in_place, large, ()),
    }
    rows: list[Row] = []
    for name, (step, x, heard) in kinds.items():
        runs: dict[str, Any] = {
            "without": lambda x, step=step, heard=heard: jf.iterate(
                step, x, *heard, max_steps=steps
            ),
            "with": lambda x, step=step, heard=heard: jf.iterate(
                step, x, *heard, jc.snapshots(), max_steps=steps
            ),
        }
        found = seconds(runs, x, 11)
        rows.append(
            {
                "31 snapshots of": name,
                "ns a step without": found["without"] / steps * 1e9,
                "ns more": (found["with"] - found["without"]) / steps * 1e9,
                "kB of scratch": scratch_bytes(runs["with"], x) / 1e3,
            }
        )
    return rows


def scratch_bytes(run: Callable[..., Any], x: Any) -> int:
    """Return the bytes a compiled run needs beside its argument and what it hands back."""
    memory: Any = jax.jit(run).lower(x).compile().memory_analysis()
    return memory.temp_size_in_bytes


def back_in_time() -> list[Row]:
    """Find a nan planted at step 700,001 of a million, and go back to the step before."""
    seen, steps = jc.snapshots(), 1_000_000

    def step(s: Any) -> Any:
        grown = s["x"] * 0.999 + 1e-3 * jnp.sin(s["x"])
        return {"x": jnp.where(s["n"] == 700_000, jnp.nan, grown), "n": s["n"] + 1}

    def nan(s: Any) -> Any:
        return jnp.any(jnp.isnan(s["x"]))

    start = {"x": jnp.ones(64), "n": jnp.int32(0)}
    run = lambda: jf.iterate(step, start, seen, max_steps=steps)  # noqa: E731
    result = run()
    assert int(jf.first(result, step, seen, where=nan, monotone=True)) == 700_001
    found = interleaved(
        {
            "the run": run,
            "first, from the start": lambda: jf.first(result, step, seen, where=nan),
            "first, monotone": lambda: jf.first(result, step, seen, where=nan, monotone=True),
            "replay": lambda: jf.replay(result, step, seen, at=700_000),
        },
        5,
    )
    return [
        {"a nan in 1e6 steps": name, "ms": time * 1e3, "of the run": time / found["the run"]}
        for name, time in found.items()
    ]


def main() -> None:
    """Print all of it."""
    for measure in (
        best_of_a_large_state,
        history_of_lanes,
        stops_early,
        lanes_of_their_own,
        beside_a_loop_by_hand,
        snapshots_of_a_run,
        back_in_time,
    ):
        table(measure())
        print()


if __name__ == "__main__":
    main()
