"""Loops by the chunk: the same loop, handed back to the host every so often.

Progress bars, checkpoints, plots and loggers are an ordinary `for` body between chunks, and Ctrl-C
there keeps the last result. Nothing is called from inside the graph.

>>> import jfoundations as jf
>>> for result in jf.chunks(lambda x: x + 1, 0, max_steps=10, every=4):
...     print(int(result.steps), int(result.state))
4 4
8 8
10 10
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np

from ._drivers import run_loop
from ._loop import LoopResult, make_program, to_carry, to_result
from ._plan import Plan, Program
from ._tree import as_arrays, check_count, tracing

S = TypeVar("S")


def chunks(
    step: Callable[..., S],
    state: S | LoopResult[S],
    *callbacks: Any,
    max_steps: int,
    every: int | None = None,
    seconds: float = 0.1,
    key: jax.Array | None = None,
) -> Iterator[LoopResult[S]]:
    """Run a loop and yield its `LoopResult` every so often, the final one last.

    The steps and the bits are those of `iterate`; where the chunks end does not matter. Between
    chunks the result is a whole one: save it, plot it, `resume` it. `after_run` is heard once, at
    the end.

    Args:
        step: as in `iterate`.
        state: as in `iterate`; or a `LoopResult`, to go on with its run as `resume` does.
        *callbacks: as in `iterate`.
        max_steps: as in `iterate`.
        every: yield after this many steps; by default the chunk is tuned to the clock.
        seconds: about how long a chunk takes, when tuned.
        key: as in `iterate`.

    Yields:
        A `LoopResult` a chunk. Its arrays are ready: the device has finished them.

    Raises:
        TypeError, ValueError: at the call, as `iterate`; or it is being traced.
    """
    max_steps = check_count(max_steps, "max_steps", "chunks")
    if every is not None:
        every = check_count(every, "every", "chunks", least=1)
    if not seconds > 0:
        raise ValueError(f"chunks: seconds is {seconds}; it must be positive")
    if tracing():
        raise TypeError("chunks runs on the host and cannot be traced by jit; use iterate there")
    program = make_program(step, callbacks, "chunks")
    start = state if isinstance(state, LoopResult) else as_arrays(state, "chunks")
    return _chunks(program, start, key, max_steps, every, seconds)


def _chunks(
    program: Program, state: Any, key: Any, max_steps: int, every: int | None, seconds: float
) -> Iterator[LoopResult[Any]]:
    begin, advance, end = (
        functools.partial(f, program, max_steps=max_steps) for f in (_begin, _advance, _end)
    )
    result = begin(state, key)
    result = advance(result, key, np.int32(0))  # compiles, so that the clock sees steps alone
    done, size = _progress(result)[0], every or 1
    while True:
        limit = min(done + size, max_steps)
        started = time.perf_counter()
        result = jax.block_until_ready(advance(result, key, np.int32(limit)))
        taken = time.perf_counter() - started
        done, stopped = _progress(result)
        if stopped or done >= max_steps:
            break
        yield result
        if every is None:
            size = _tuned(size, taken, seconds)
    yield jax.block_until_ready(end(result, key))


def _progress(result: LoopResult[Any]) -> tuple[int, bool]:
    try:
        return int(result.steps), bool(result.stopped_by)
    except jax.errors.ConcretizationTypeError:
        raise TypeError(
            "chunks runs on the host and cannot be mapped by vmap; use iterate there, or map the "
            "step and stop when all lanes are done"
        ) from None


def _tuned(size: int, taken: float, seconds: float) -> int:
    """Return the next chunk's steps: at most eightfold, so one quick chunk misleads little."""
    return max(1, min(8 * size, round(size * seconds / max(taken, 1e-9)), 2**30))


_compiled = functools.partial(jax.jit, static_argnames="max_steps")


@_compiled
def _begin(program: Program, state: Any, key: Any, *, max_steps: int) -> LoopResult[Any]:
    plan = Plan(program, key, max_steps)
    if isinstance(state, LoopResult):
        carry = plan.grow(to_carry(plan, state))
    else:
        carry = plan.begin(plan.promote(state))
    return to_result(plan, carry, carry)


@_compiled
def _advance(
    program: Program, result: LoopResult[Any], key: Any, limit: Any, *, max_steps: int
) -> LoopResult[Any]:
    plan = Plan(program, key, max_steps)
    carry = plan.probe(to_carry(plan, result))
    carry = run_loop("while", plan, carry, limit)
    return to_result(plan, carry, carry)


@_compiled
def _end(program: Program, result: LoopResult[Any], key: Any, *, max_steps: int) -> LoopResult[Any]:
    plan = Plan(program, key, max_steps)
    carry = to_carry(plan, result)
    return to_result(plan, carry, plan.finish(carry))
