"""Sweeps: thousands of runs through a few lanes of one compiled loop.

`vmap` of `iterate` computes all runs until the slowest has ended. A sweep computes a few lanes, and
a lane whose run has ended takes the next one: the work is that of the steps that are taken.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> low = jf.stop_when(lambda x: x < 1.0, name="low")
>>> starts = jnp.array([3.0, 100.0, 0.5, 1e9])
>>> result = jf.sweep(lambda x: x / 2, starts, low, max_steps=9, lanes=2)
>>> print(result.table())
lane  steps  stopped by  state
0     2      low         0.75
1     7      low         0.78125
2     1      low         0.25
3     9      max_steps   1.95312e+06
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.sharding import Mesh

from .._core.checks import as_arrays, check_count, check_key, tracing
from .._core.compat import on_a_mesh, one_way
from .._core.programs import compiled
from .._core.shown import see
from .._core.types import PyTree
from .callback import CallbackLike
from .chunks import (
    CompiledLoop,
    LoopProgress,
    begin_run,
    check_clock,
    end_run,
    hand_out,
    run_part,
)
from .drivers import strong_counters
from .facts import find_facts, is_going, settle, take_step
from .iterate import make_program, to_carry, to_result
from .lanes import LaneAxes, automatic, explicit_mesh, lay_over, one_a_lane
from .plan import Carry, Plan, Step, StepAndCallbacks, make_plan
from .refill import through_lanes
from .result import LoopResult
from .runs import Axes, find_runs

S = TypeVar("S")
LEAST = 64  # lanes, by default
SHARE = 16  # runs a lane, by default, of many
NO_REVERSE = (
    "a sweep has no gradient in reverse mode (grad, vjp, jacrev), as it does not store its steps; "
    "map iterate with driver='scan' or driver='checkpointed' by vmap, or take the gradient in "
    "forward mode: jax.jvp or jax.jacfwd" + see("how_to_choose")
)


def sweep(
    step: Step[S],
    states: S | LoopResult[S],
    *callbacks: CallbackLike,
    max_steps: int,
    lanes: int | None = None,
    in_axes: Axes = (None, 0),
    key: jax.Array | None = None,
) -> LoopResult[S]:
    """Run a loop from each of many starts, a few at a time, and return all their results.

    See also `sweep_chunks`, which shows how far it is.

    It returns what `jax.vmap(lambda s: iterate(step, s, *callbacks, max_steps=n))(states)` does,
    in the order of the starts, and each run is its own `iterate` (to the bit, as far as that is
    true of a lane of `vmap`: compilers may sum products in another order in a batch of another
    size). But it computes the steps that are taken, where `vmap` computes all runs until the
    slowest has ended: of 1,024 runs whose numbers of steps are lognormal (sigma 1) a thirteenth.

    It works inside `jit`, `vmap` and forward mode; its driver is always `"while"`. It holds the
    results and `lanes` runs more. Inside `shard_map` each device has a queue of its own, and counts
    its runs from 0. Where all runs take about as many steps, `vmap` is as good.

    Args:
        step: as in `iterate`.
        states: the starts: a pytree of arrays, (runs, …); or a `LoopResult` of a batch, to go on
            with its runs as `resume` does. Of no runs the result is empty.
        *callbacks: as in `iterate`; each hears every run, from `before_run` to `after_run`.
        max_steps: as in `iterate`, of each run.
        lanes: how many runs are computed at once, at most as many as there are. By default 64, or
            a sixteenth of the runs if that is more: few enough that waiting for the last ones costs
            little, enough that a step is worth its overhead. More suit an accelerator, fewer long
            memories.
        in_axes: what differs between runs, as in `jax.vmap(iterate, in_axes)`: of the step, the
            states and each callback (None of those left out) 0, None, or a tree of them. With
            `step=partial(f, rates, data)`, `in_axes=(partial(f, 0, None), 0)` gives run k
            `rates[k]` and all runs the same data.
        key: a PRNG key for who names it, of which run k has `jax.random.fold_in(key, k)`; or an
            array of keys, one a run.

    Returns:
        A `LoopResult` of a batch, for `resume` under `vmap`, `chunks(lanes=True)`, `save`, or
        another sweep.

    Raises:
        TypeError, ValueError: while tracing, as `iterate`; what should have runs has none, or not
            as many as another.

    >>> import jfoundations as jf
    >>> decay = jf.partial(lambda rate, x: x * rate, jnp.array([0.5, 0.9]))
    >>> low = jf.stop_when(lambda x: x < 1.0, name="low")
    >>> jf.sweep(decay, 8.0, low, max_steps=99, in_axes=(0, None)).steps
    Array([ 4, 20], dtype=int32)
    """
    loop, start, mesh = _prepare(step, states, callbacks, max_steps, lanes, in_axes, key, "sweep")
    options: Any = {"max_steps": loop.max_steps, "lanes": loop.lanes, "axes": loop.axes}
    if tracing():
        return _sweep(loop.program, start, loop.key, **options)
    result = compiled(_sweep, loop.program, **options)(start, loop.key)
    return result if mesh is None else lay_over(mesh, result)


def sweep_chunks(
    step: Step[S],
    states: S | LoopResult[S],
    *callbacks: CallbackLike,
    max_steps: int,
    every: int | None = None,
    seconds: float = 0.1,
    time_budget: float | None = None,
    lanes: int | None = None,
    in_axes: Axes = (None, 0),
    key: jax.Array | None = None,
) -> Iterator[LoopResult[S]]:
    """Sweep, and yield the `LoopResult` of all runs every so often, the final one last.

    The bits are those of `sweep`; where the chunks end does not matter. Between chunks the result
    is a whole one: runs not yet begun are in it as `before_run` leaves them, those in a lane after
    the steps that they have taken. Whatever happens in the `for` body, Ctrl-C included, it keeps
    all that is done; save it, and go on with it by another sweep. A run is over where
    `result.stopped_by` is not 0 or `result.steps` is `max_steps`.

    Args:
        step: as in `sweep`.
        states: as in `sweep`; so a result that this has yielded.
        *callbacks: as in `sweep`; `after_run` is heard once, at the end.
        max_steps: as in `sweep`.
        every: yield after this many steps of the lanes; by default the chunk is tuned to the clock.
        seconds: about how long a chunk takes, when tuned.
        time_budget: seconds after which the sweep ends, as in `chunks`. Of the runs that no
            callback stopped `reasons` then say `("time_budget",)`.
        lanes: as in `sweep`.
        in_axes: as in `sweep`.
        key: as in `sweep`.

    Yields:
        A `LoopResult` of all runs a chunk. Its arrays are ready: the device has finished them.

    Raises:
        TypeError, ValueError: at the call, as `sweep`; or it is being traced.

    >>> import jfoundations as jf
    >>> low, starts = jf.stop_when(lambda x: x < 1.0, name="low"), jnp.array([3.0, 100.0, 9.0])
    >>> for result in jf.sweep_chunks(
    ...     lambda x: x / 2, starts, low, max_steps=9, lanes=2, every=4
    ... ):
    ...     print(result.steps, (result.stopped_by != 0).sum(), "of 3 are over")
    [2 4 2] 1 of 3 are over
    [2 7 4] 3 of 3 are over
    """
    every = check_clock(every, seconds, time_budget, "sweep_chunks")
    if tracing():
        raise TypeError(
            "sweep_chunks runs on the host and cannot be traced by jit; use sweep there"
            + see("how_to_choose")
        )
    who = "sweep_chunks"
    loop, start, mesh = _prepare(step, states, callbacks, max_steps, lanes, in_axes, key, who)
    results = hand_out(loop, start, every, seconds, time_budget)
    return results if mesh is None else (lay_over(mesh, result) for result in results)


@dataclass(frozen=True)
class CompiledSweep(CompiledLoop):
    """A sweep in compiled parts: it begins and ends all runs at once, and advances a few."""

    axes: LaneAxes  # of the runs; it is never None
    lanes: int = LEAST

    def advance(
        self, result: LoopResult[PyTree], at: LoopProgress, limit: int
    ) -> LoopResult[PyTree]:
        """Return the result after as many more steps of the lanes as the limit is beyond `at`."""
        options: Any = {"max_steps": self.max_steps, "lanes": self.lanes, "axes": self.axes}
        run = compiled(_advance, self.program, **options)
        return run(result, self.key, np.int32(limit - at.steps))

    @property
    def last(self) -> int:
        """The lanes may take any number of steps in a chunk."""
        return 2**31 - 1

    def progress(self, result: LoopResult[PyTree]) -> LoopProgress:
        """Tell whether all runs are over; a sweep counts its own steps anew in each chunk."""
        if isinstance(result.steps, Tracer) or isinstance(result.stopped_by, Tracer):
            raise TypeError(
                "sweep_chunks runs on the host and cannot be mapped by vmap; use sweep there"
                + see("how_to_choose")
            )
        over = (np.asarray(result.stopped_by) != 0) | (np.asarray(result.steps) >= self.max_steps)
        return LoopProgress(0, bool(over.all()), True)


def _prepare(
    step: Step[S],
    states: S | LoopResult[S],
    callbacks: tuple[CallbackLike, ...],
    max_steps: int,
    lanes: int | None,
    in_axes: Axes,
    key: Array | None,
    who: str,
) -> tuple[CompiledSweep, Any, Mesh | None]:
    """Check what was given; return the sweep, its starts, and the explicit mesh they are on."""
    max_steps = check_count(max_steps, "max_steps", who)
    lanes = lanes if lanes is None else check_count(lanes, "lanes", who, least=1)
    check_key(key, who, many=True)
    check_key(None if one_a_lane(key) else key, who)
    program = make_program(step, callbacks, who)
    if isinstance(states, LoopResult):
        states = dataclasses.replace(states, limit="max_steps")
    else:
        states = as_arrays(states, who)
    batched, runs = find_runs((step, states, *callbacks), in_axes, key, who)
    own, starts, *others = batched
    if not all(starts):
        leaves, structure = jax.tree.flatten(states)
        spread = (
            leaf if has else jnp.broadcast_to(leaf, (runs, *leaf.shape))
            for leaf, has in zip(leaves, starts, strict=True)
        )
        states = jax.tree.unflatten(structure, spread)
    if key is not None and not one_a_lane(key):
        key = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(runs, dtype=np.uint32))
    flags = (flag for part in (own, *others) for flag in part)
    axes = LaneAxes(tuple(0 if flag else None for flag in flags), 0, None if key is None else 0)
    lanes = min(max(LEAST, runs // SHARE) if lanes is None else lanes, runs)
    mesh = None if tracing() else explicit_mesh((program, states, key))
    if mesh is not None:  # as in `chunks`
        program, states, key = lay_over(automatic(mesh), (program, states, key))
    return CompiledSweep(program, key, max_steps, axes, lanes=lanes), states, mesh


def _sweep(
    program: StepAndCallbacks,
    state: PyTree,
    key: Array | None,
    *,
    max_steps: int,
    lanes: int,
    axes: LaneAxes,
) -> LoopResult[PyTree]:
    options: Any = {"max_steps": max_steps, "axes": axes}
    result = run_part(program, state, key, part=begin_run, **options)
    result = _advance(program, result, key, None, lanes=lanes, **options)
    return run_part(program, result, key, part=end_run, **options)


def _advance(
    program: StepAndCallbacks,
    result: LoopResult[PyTree],
    key: Array | None,
    left: Array | None,
    *,
    max_steps: int,
    lanes: int,
    axes: LaneAxes,
) -> LoopResult[PyTree]:
    """Return the result of all runs, or where the lanes have taken as many steps as are left."""
    if not lanes:
        return result
    leaves, structure = jax.tree.flatten(program)

    def plan_of(own: tuple[list[Array], Array | None]) -> Plan:
        mine = iter(own[0])
        whole = [
            leaf if axis is None else next(mine)
            for leaf, axis in zip(leaves, axes.program, strict=True)
        ]
        return make_plan(jax.tree.unflatten(structure, whole), own[1], max_steps)

    @jax.jit  # traced once, for many lanes and for few
    def step(own: PyTree, carry: Carry, live: Array) -> Carry:
        return take_step(plan_of(own), carry, live, reverse=False)

    def settled(own: PyTree, result: LoopResult[PyTree]) -> Carry:
        plan = plan_of(own)
        carry = strong_counters(to_carry(plan, result))
        if on_a_mesh():
            return find_facts(plan, carry, free=False, reverse=False)[0]
        live = jax.eval_shape(is_going, carry, max_steps)
        return settle(lambda c: (jax.eval_shape(step, own, c, live), None), carry)[0]

    def written(own: PyTree, carry: Carry) -> LoopResult[PyTree]:
        return to_result(plan_of(own), carry, carry)

    own = [leaf for leaf, axis in zip(leaves, axes.program, strict=True) if axis == 0], key
    runs = jax.vmap(settled)(own, result)
    runs, _ = through_lanes(step, own, runs, lanes, max_steps, left)
    return jax.vmap(written)(own, one_way(runs, NO_REVERSE))
