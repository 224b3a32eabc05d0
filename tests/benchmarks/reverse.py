"""Reverse mode through 10,000 steps: `driver="checkpointed"` beside equinox's checkpointed loop.

    python tests/benchmarks/reverse.py
    python tests/benchmarks/reverse.py memories

Time is the median of interleaved rounds, memory what XLA sets aside for the compiled gradient. Both
loops are run free, and with a stop that is asked in each step and never comes. Without equinox
(`pip install equinox`) its columns are left out.

With `memories`: what 1, 4, 16 and 64 memories, or leaves of the state, cost in a gradient: seconds
to trace and compile, µs a step, and the ratio of 64 to 1; with the same of no gradient beside it.
The memories are only returned, or the gradient goes through them.
"""

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from _timing import interleaved, table

import jfoundations as jf

try:
    import equinox.internal as eqxi
except ImportError:
    eqxi = None
    print("equinox is not installed: its columns are left out")

STEPS = 10_000


def fade(x: jax.Array) -> jax.Array:
    """Take a step elementwise."""
    return x * 0.9999 + 1e-4 * jnp.sin(x)


def layer(x: jax.Array) -> jax.Array:
    """Take a step with a matrix product."""
    return jnp.tanh(x @ (0.999 * jnp.eye(64, dtype=x.dtype)))


def pendulum(s: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Take a step of many pendulums."""
    return s[0] + 1e-3 * s[1], s[1] - 1e-3 * jnp.sin(s[0])


LINE = jnp.linspace(0, 1, 1024, dtype=jnp.float32)
BODIES: dict[str, tuple[Callable[..., Any], Any]] = {
    "scalar": (fade, jnp.float32(1)),
    "1024 elements": (fade, LINE),
    "1024 pendulums": (pendulum, (LINE, LINE)),
    "64x64 layer": (layer, jnp.linspace(0, 1, 64 * 64, dtype=jnp.float32).reshape(64, 64)),
}


def total(state: Any) -> jax.Array:
    """Return one number of a state."""
    return functools.reduce(jnp.add, map(jnp.sum, jax.tree.leaves(state)))


def ours(step: Any, driver: Any, stops: bool, state: Any) -> jax.Array:
    """Return a number at the end of our loop."""
    stop = (jf.stop_when(lambda s: total(s) > 1e9),) if stops else ()
    return total(jf.iterate(step, state, *stop, max_steps=STEPS, driver=driver).state)


def equinoxs(step: Any, stops: bool, state: Any) -> jax.Array:
    """Return the same number at the end of equinox's."""
    assert eqxi is not None
    going = (lambda s: total(s) <= 1e9) if stops else (lambda s: True)
    return total(eqxi.while_loop(going, step, state, max_steps=STEPS, kind="checkpointed"))


def measure(name: str, stops: bool) -> dict[str, object]:
    """Return a row."""
    step, state = BODIES[name]
    runs: dict[str, Any] = {
        driver: functools.partial(ours, step, driver, stops) for driver in ("checkpointed", "scan")
    }
    if eqxi is not None:
        runs["equinox"] = functools.partial(equinoxs, step, stops)
    compiled = {k: jax.jit(jax.grad(run)).lower(state).compile() for k, run in runs.items()}
    seconds = interleaved({k: functools.partial(c, state) for k, c in compiled.items()}, 9)
    memory = {k: c.memory_analysis().temp_size_in_bytes for k, c in compiled.items()}
    row: dict[str, object] = {"body": name, "stop": "asked" if stops else "free"}
    row |= {f"{k}, ms": v * 1e3 for k, v in seconds.items()}
    row |= {f"{k}, kB": v / 1e3 for k, v in memory.items()}
    if "equinox" in runs:
        row["time ratio"] = seconds["checkpointed"] / seconds["equinox"]
        row["memory ratio"] = memory["checkpointed"] / memory["equinox"]
    return row


FEW = 500
MEMORIES: dict[str, Callable[..., Any]] = {
    "history": jf.callbacks.history,
    "ema": functools.partial(jf.callbacks.ema, decay=0.9),
    "watch": functools.partial(jf.watch, jf.folds.mean()),
}


def power(k: int, x: jax.Array) -> jax.Array:
    """Return a number of a state, another one for each k."""
    return (1.0 + k) * jnp.sum(x * x)


def floats(tree: Any) -> jax.Array:
    """Return one number of the floats in a tree."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return functools.reduce(jnp.add, map(jnp.sum, leaves))


def remembering(kind: str, n: int, driver: Any, through: bool, x: jax.Array) -> Any:
    """Return a number at the end of a loop with n memories, and the memories."""
    heard = [MEMORIES[kind](functools.partial(power, k)) for k in range(n)]
    result = jf.iterate(fade, x, *heard, max_steps=FEW, driver=driver)
    end = floats(result.state)
    return (end + floats(result.memory), ()) if through else (end, result.memory)


def in_leaves(n: int, driver: Any, x: jax.Array) -> Any:
    """Return the same number of a state that is n leaves."""
    step = lambda s: [fade(part) for part in s]  # noqa: E731
    return floats(jf.iterate(step, [x] * n, max_steps=FEW, driver=driver).state), ()


def compare(name: str, runs: dict[int, Any], state: jax.Array) -> dict[str, object]:
    """Return a row: what a gradient costs by how many memories there are."""
    row: dict[str, object] = {"loop": name}
    compiled = {}
    for n, run in runs.items():
        start = time.perf_counter()
        compiled[str(n)] = functools.partial(jax.jit(run).lower(state).compile(), state)
        row[f"{n}, s"] = time.perf_counter() - start
    seconds = interleaved(compiled, 9)
    row |= {f"{n}, µs": v / FEW * 1e6 for n, v in seconds.items()}
    return row | {"64 to 1": seconds["64"] / seconds["1"]}


def memories() -> None:
    """Print the table of memories and leaves."""
    jax.config.update("jax_enable_compilation_cache", False)
    counts, rows = (1, 4, 16, 64), []
    for driver in ("while", "scan", "checkpointed"):
        slope = functools.partial(jax.grad, has_aux=True) if driver != "while" else lambda f: f
        for kind in MEMORIES:
            for through in (False, True) if driver != "while" else (False,):
                of = functools.partial(remembering, kind, driver=driver, through=through)
                runs = {n: slope(functools.partial(_of_count, of, n)) for n in counts}
                how = "through" if through else "returned"
                rows.append(compare(f"{driver} {kind} {how}", runs, LINE))
        runs = {n: slope(functools.partial(in_leaves, n, driver)) for n in counts}
        rows.append(compare(f"{driver} leaves", runs, LINE))
        print(rows[-1]["loop"], "done", flush=True)
    table(rows)


def _of_count(of: Callable[..., Any], n: int, x: jax.Array) -> Any:
    return of(n=n, x=x)


def main() -> None:
    """Print the table."""
    if sys.argv[1:] == ["memories"]:
        memories()
        return
    table([measure(name, stops) for name in BODIES for stops in (False, True)])


if __name__ == "__main__":
    main()
