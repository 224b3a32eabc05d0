"""What each callback of a loop costs: the loop run with all of them, and without each in turn."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from .._core.types import Function, PyTree
from .iterate import iterate
from .plan import StepAndCallbacks
from .tables import text_table

ROUNDS, SECONDS = (3, 30), 0.5  # at least and at most; of them as many as fit into the seconds


class Cost(NamedTuple):
    """What a loop takes, in seconds."""

    step: float  # a step, the median of some runs
    compile: float  # tracing and compiling, once


def measure(
    program: StepAndCallbacks,
    names: Sequence[str],
    state: PyTree,
    key: jax.Array | None,
    max_steps: int,
) -> dict[str, Cost]:
    """Return the cost of a loop, as "", and of it without each callback, by their names."""
    step, heard = program.step, program.callbacks
    programs = {"": program}
    for k, name in enumerate(names):
        programs[name] = StepAndCallbacks(step, heard[:k] + heard[k + 1 :])

    def lowered(program: StepAndCallbacks) -> jax.stages.Lowered:
        def run(program: StepAndCallbacks, state: PyTree, key: jax.Array | None) -> PyTree:
            return iterate(program.step, state, *program.callbacks, max_steps=max_steps, key=key)

        return jax.jit(run).lower(program, state, key)

    def compiled(program: StepAndCallbacks) -> tuple[Function, float]:
        started = time.perf_counter()
        loop = lowered(program).compile()
        taken = time.perf_counter() - started
        return lambda: jax.block_until_ready(loop(program, state, key)), taken

    lowered(program)  # what JAX traces once and keeps is no cost of the first
    loops = {name: compiled(one) for name, one in programs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for loop, _ in loops.values():
        loop()
    begun = time.perf_counter()
    for done in range(ROUNDS[1]):
        if done >= ROUNDS[0] and time.perf_counter() - begun > SECONDS:
            break
        for name, (loop, _) in loops.items():  # interleaved, so that all see the same machine
            started = time.perf_counter()
            steps = int(np.asarray(loop().steps))
            seconds[name].append((time.perf_counter() - started) / max(steps, 1))
    return {name: Cost(float(np.median(seconds[name])), loops[name][1]) for name in loops}


def cost_table(costs: dict[str, Cost]) -> str:
    """Return costs as a text."""
    whole = costs[""]
    rows = [["left out", "a step", "less by", "compile"]]
    rows.append(["nothing", _show(whole.step), "", _show(whole.compile)])
    for name, cost in costs.items():
        if name:
            less = _show(whole.step - cost.step)
            rows.append([name, _show(cost.step), less, _show(cost.compile)])
    return text_table(rows)


def _show(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
