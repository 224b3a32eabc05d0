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

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import as_arrays, check_count, check_key, tracing
from .._core.programs import compiled
from .._core.shown import see
from .._core.types import PyTree
from .callback import CallbackLike
from .drivers import run_loop
from .facts import promote
from .iterate import check_blocks, make_program, to_carry, to_result
from .lanes import LaneAxes, automatic, explicit_mesh, find_lane_axes, lay_over, over_lanes
from .plan import Plan, Step, StepAndCallbacks, make_plan
from .result import LoopResult

S = TypeVar("S")
Part = Callable[..., LoopResult[PyTree]]  # (plan, state or result, …) -> result


def chunks(
    step: Step[S],
    state: S | LoopResult[S],
    *callbacks: CallbackLike,
    max_steps: int,
    every: int | None = None,
    seconds: float = 0.1,
    time_budget: float | None = None,
    lanes: bool | tuple[bool, ...] = False,
    key: jax.Array | None = None,
    check_every: int = 1,
) -> Iterator[LoopResult[S]]:
    """Run a loop and yield its `LoopResult` every so often, the final one last.

    See also `sweep_chunks`, of many runs.

    The steps and the bits are those of `iterate`; where the chunks end does not matter. Between
    chunks the result is a whole one: save it, plot it, `resume` it. `after_run` is heard once, at
    the end. A state sharded over a mesh stays so.

    With `lanes=True` the state is a batch, and the run is `jax.vmap(iterate)`: step and callbacks
    see one lane, each lane stops by itself, and the run ends when all have.

    Args:
        step: as in `iterate`.
        state: as in `iterate`; or a `LoopResult`, to go on with its run as `resume` does.
        *callbacks: as in `iterate`.
        max_steps: as in `iterate`.
        every: yield after this many steps; by default the chunk is tuned to the clock.
        seconds: about how long a chunk takes, when tuned.
        time_budget: seconds after which the run ends, with the chunk in which they are used up; the
            last result's `reasons` then say `("time_budget",)`, and it can be gone on with. They
            begin with the first chunk, and compiling and the `for` body are part of them.
        lanes: whether the leaves of the state have a leading axis of lanes; or a tuple of such
            bools, of step, state and each callback, for hyperparameters that differ between lanes.
        key: as in `iterate`; with lanes also an array of keys, one a lane.
        check_every: as in `iterate`; a chunk ends where it would with 1.

    Yields:
        A `LoopResult` a chunk. Its arrays are ready: the device has finished them.

    Raises:
        TypeError, ValueError: at the call, as `iterate`; or it is being traced.

    >>> import jfoundations as jf
    >>> small = jf.stop_when(lambda x: x < 1.0, name="small")
    >>> for result in jf.chunks(
    ...     lambda x: x / 2, jax.numpy.array([3.0, 40.0]), small, max_steps=9, every=4, lanes=True
    ... ):
    ...     print(result.steps, result.reasons)
    [2 4] (('small',), ('max_steps',))
    [2 6] (('small',), ('small',))
    """
    max_steps = check_count(max_steps, "max_steps", "chunks")
    every = check_clock(every, seconds, time_budget, "chunks")
    check_every = min(check_blocks(check_every, "while", "chunks"), every or max_steps)
    if tracing():
        raise TypeError(
            "chunks runs on the host and cannot be traced by jit; use iterate there"
            + see("how_to_choose")
        )
    check_key(key, "chunks", many=lanes is not False)
    program = make_program(step, callbacks, "chunks")
    if isinstance(state, LoopResult):
        start = dataclasses.replace(state, limit="max_steps")
    else:
        start = as_arrays(state, "chunks")
    if lanes is False:
        loop = CompiledLoop(program, key, max_steps, None, check_every)
        return hand_out(loop, start, every, seconds, time_budget)
    axes = find_lane_axes((step, start, *callbacks), lanes, key, "chunks")
    mesh = explicit_mesh((program, start, key))
    if mesh is not None:
        # JAX 0.10 maps no `while_loop` over lanes sharded along an explicit axis: of what the loop
        # itself begins with, its counter say, it does not know the mesh.
        program, start, key = lay_over(automatic(mesh), (program, start, key))
    loop = CompiledLoop(program, key, max_steps, axes, check_every)
    results = hand_out(loop, start, every, seconds, time_budget)
    return results if mesh is None else (lay_over(mesh, result) for result in results)


def check_clock(
    every: int | None, seconds: float, time_budget: float | None, who: str
) -> int | None:
    """Return after how many steps to yield, or say what is wrong with it or with the times."""
    for name, value in (("seconds", seconds), ("time_budget", time_budget)):
        if value is None and name == "time_budget":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(f"{who}: {name} is {value!r}, a number of seconds is needed")
        if not value > 0:
            raise ValueError(f"{who}: {name} is {value}; it must be positive")
    return every if every is None else check_count(every, "every", who, least=1)


class LoopProgress(NamedTuple):
    """How far a run is."""

    steps: int  # taken by each lane that is going, or by the one that is least far
    over: bool
    even: bool  # whether those lanes are all at one step


@dataclass(frozen=True)
class CompiledLoop:
    """A loop in three compiled parts, each a function of what the one before it returned.

    Over lanes each part is mapped by `vmap` for itself, and what it returns has lanes throughout.
    """

    program: StepAndCallbacks
    key: jax.Array | None
    max_steps: int
    axes: LaneAxes | None
    check_every: int = 1

    @property
    def last(self) -> int:
        """The step at which the last chunk ends at the latest."""
        return self.max_steps

    def begin(self, state: PyTree) -> LoopResult[PyTree]:
        """Return the result before the first step, of a state or of a result to go on with."""
        return self._run(begin_run, state)

    def advance(
        self, result: LoopResult[PyTree], at: LoopProgress, limit: int
    ) -> LoopResult[PyTree]:
        """Return the result at a step, or where its callbacks have stopped it before."""
        # Where nobody can stop, lanes share one count of steps, and so the loop one predicate.
        start = np.int32(at.steps) if self.axes and at.even else None
        options = {"check_every": self.check_every}
        return self._run(_advance, result, start, np.int32(limit), **options)

    def end(self, result: LoopResult[PyTree]) -> LoopResult[PyTree]:
        """Return the result after `after_run`."""
        return self._run(end_run, result)

    def _run(
        self, part: Part, state: PyTree, *shared: ArrayLike | None, **options: int
    ) -> LoopResult[PyTree]:
        axes = self.axes
        if axes and isinstance(state, LoopResult):
            axes = axes._replace(state=0)
        options["max_steps"] = self.max_steps
        run = compiled(run_part, self.program, part=part, axes=axes, **options)
        return run(state, self.key, *shared)

    def progress(self, result: LoopResult[PyTree]) -> LoopProgress:
        """Tell how far a result is.

        Raises:
            TypeError: it is traced.
        """
        if isinstance(result.steps, Tracer) or isinstance(result.stopped_by, Tracer):
            raise TypeError(
                "chunks runs on the host and cannot be mapped by vmap; use iterate there, "
                "or give it the batch of states, with lanes=True"
            )
        steps = np.asarray(result.steps)
        going = steps[np.asarray(result.stopped_by) == 0]
        if not going.size:
            return LoopProgress(self.max_steps, True, True)
        least = int(going.min())
        return LoopProgress(least, least >= self.max_steps, least == int(going.max()))


def run_part(
    program: StepAndCallbacks,
    state: PyTree,
    key: Array | None,
    *shared: ArrayLike | None,
    part: Part,
    max_steps: int,
    axes: LaneAxes | None,
    **options: int,
) -> LoopResult[PyTree]:
    """Run a part of a loop, in each lane where there are lanes."""

    def lane(program: StepAndCallbacks, state: PyTree, key: Array | None) -> LoopResult[PyTree]:
        return part(make_plan(program, key, max_steps), state, *shared, **options)

    return over_lanes(lane, axes, program, state, key)


def begin_run(plan: Plan, state: PyTree) -> LoopResult[PyTree]:
    """Return the result before the first step, of a state or of a result to go on with."""
    if isinstance(state, LoopResult):
        carry = plan.grow(to_carry(plan, state))
    else:
        carry = plan.begin(promote(plan, state))
    return to_result(plan, carry, carry)


def _advance(
    plan: Plan, result: LoopResult[PyTree], start: Array | None, limit: Array, *, check_every: int
) -> LoopResult[PyTree]:
    carry, stopped = to_carry(plan, result), plan.hears("before_run")
    options: Any = {"stopped": stopped, "start": start, "check_every": check_every}
    carry = run_loop("while", plan, carry, limit, **options)
    return to_result(plan, carry, carry)


def end_run(plan: Plan, result: LoopResult[PyTree]) -> LoopResult[PyTree]:
    """Return the result after `after_run`."""
    carry = to_carry(plan, result)
    return to_result(plan, carry, plan.finish(carry))


def hand_out(
    loop: CompiledLoop, state: PyTree, every: int | None, seconds: float, time_budget: float | None
) -> Iterator[LoopResult[PyTree]]:
    """Yield the result of a loop after each chunk."""
    deadline = np.inf if time_budget is None else time.monotonic() + time_budget
    result = loop.begin(state)
    at = loop.progress(result)
    result = loop.advance(result, at, 0)  # compiles, so that the clock sees steps alone
    size, late = every or 1, False
    while not late:
        started = time.perf_counter()
        limit = min(at.steps + size, loop.last)
        result = jax.block_until_ready(loop.advance(result, at, limit))
        taken = time.perf_counter() - started
        at = loop.progress(result)
        if at.over:
            break
        if not (late := time.monotonic() >= deadline):
            yield result
            late = time.monotonic() >= deadline
        if every is None:
            size = _tuned(size, taken, min(seconds, deadline - time.monotonic()))
    result = jax.block_until_ready(loop.end(result))
    yield dataclasses.replace(result, limit="time_budget") if late else result


def _tuned(size: int, taken: float, seconds: float) -> int:
    """Return the next chunk's steps: at most eightfold, so one quick chunk misleads little."""
    return max(1, round(min(8 * size, size * seconds / max(taken, 1e-9), 2**30)))
