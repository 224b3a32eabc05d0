"""A loop in three compiled parts, for a host that runs it bit by bit: begin, advance, end.

Over lanes each part is mapped by `vmap` for itself, and what it hands out has lanes throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from .._core.programs import compiled
from .drivers import run_loop
from .iterate import to_carry, to_result
from .lane_axes import Axes, over_lanes
from .plan import Plan, Program
from .result import LoopResult


class Progress(NamedTuple):
    """How far a run is."""

    steps: int  # taken by each lane that is going, or by the one that is least far
    over: bool
    even: bool  # whether those lanes are all at one step


@dataclass(frozen=True)
class Parts:
    """The parts of one loop, each a function of what the one before it returned."""

    program: Program
    key: jax.Array | None
    max_steps: int
    axes: Axes | None

    def begin(self, state: Any) -> LoopResult[Any]:
        """Return the result before the first step, of a state or of a result to go on with."""
        axes = self._result_axes() if isinstance(state, LoopResult) else self.axes
        return self._compiled(_begin, axes)(state, self.key)

    def advance(self, result: LoopResult[Any], at: Progress, limit: int) -> LoopResult[Any]:
        """Return the result at a step, or where its callbacks have stopped it before."""
        # Where nobody can stop, lanes share one count of steps, and so the loop one predicate.
        start = np.int32(at.steps) if self.axes and at.even else None
        advance = self._compiled(_advance, self._result_axes())
        return advance(result, self.key, start, np.int32(limit))

    def end(self, result: LoopResult[Any]) -> LoopResult[Any]:
        """Return the result after `after_run`."""
        return self._compiled(_end, self._result_axes())(result, self.key)

    def _compiled(self, part: Callable[..., Any], axes: Axes | None) -> Callable[..., Any]:
        return compiled(part, self.program, max_steps=self.max_steps, axes=axes)

    def _result_axes(self) -> Axes | None:
        return self.axes and self.axes._replace(state=0)

    def progress(self, result: LoopResult[Any]) -> Progress:
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
            return Progress(self.max_steps, True, True)
        least = int(going.min())
        return Progress(least, least >= self.max_steps, least == int(going.max()))


def _begin(
    program: Program, state: Any, key: Any, *, max_steps: int, axes: Axes | None
) -> LoopResult[Any]:
    def begin(program: Program, state: Any, key: Any) -> LoopResult[Any]:
        plan = Plan(program, key, max_steps)
        if isinstance(state, LoopResult):
            carry = plan.grow(to_carry(plan, state))
        else:
            carry = plan.begin(plan.promote(state))
        return to_result(plan, carry, carry)

    return over_lanes(begin, axes, program, state, key)


def _advance(
    program: Program,
    result: LoopResult[Any],
    key: Any,
    start: Any,
    limit: Any,
    *,
    max_steps: int,
    axes: Axes | None,
) -> LoopResult[Any]:
    def advance(program: Program, result: LoopResult[Any], key: Any) -> LoopResult[Any]:
        plan = Plan(program, key, max_steps)
        carry = plan.probe(to_carry(plan, result))
        carry = run_loop("while", plan, carry, limit, start)
        return to_result(plan, carry, carry)

    return over_lanes(advance, axes, program, result, key)


def _end(
    program: Program, result: LoopResult[Any], key: Any, *, max_steps: int, axes: Axes | None
) -> LoopResult[Any]:
    def end(program: Program, result: LoopResult[Any], key: Any) -> LoopResult[Any]:
        plan = Plan(program, key, max_steps)
        carry = to_carry(plan, result)
        return to_result(plan, carry, plan.finish(carry))

    return over_lanes(end, axes, program, result, key)
