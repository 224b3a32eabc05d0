"""Reverse mode through 10,000 steps: `driver="checkpointed"` beside equinox's checkpointed loop.

    python tests/benchmarks/reverse.py

Time is the median of interleaved rounds, memory what XLA sets aside for the compiled gradient. Both
loops are run free, and with a stop that is asked in each step and never comes. Without equinox
(`pip install equinox`) its columns are left out.
"""

import functools
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


def main() -> None:
    """Print the table."""
    table([measure(name, stops) for name in BODIES for stops in (False, True)])


if __name__ == "__main__":
    main()
