"""Time travel: what a run was after any of its steps, and the first step where something held.

A run that `snapshots` listened to has copies of all it carried, at steps not far apart. From the
last copy before a step the loop goes on to it, to the same bits.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> step, heard = lambda x: 3 * x + 1, (jf.callbacks.snapshots(), jf.callbacks.history())
>>> result = jf.iterate(step, 0, *heard, max_steps=18)
>>> int(jf.replay(result, step, *heard, at=5).state)
121
>>> int(jf.first(result, step, *heard, where=lambda x: x > 1_000_000))
14
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import check_count, check_function, check_key, check_stop, count_leaf, tracing
from .._core.programs import compiled
from .._core.pytrees import pytree, static
from .._core.types import PyTree
from .._core.values import describe
from .callback import KEEP, CallbackLike, Predicate
from .combinators import PREDICATE
from .drivers import run_loop, strong_counters
from .facts import find_facts, is_going, settle
from .handlers import caller, freeze
from .iterate import make_program, to_carry, to_result
from .lanes import any_lane, lane_is_live
from .plan import Carry, Plan, Step, StepAndCallbacks, make_plan
from .result import LoopResult

S = TypeVar("S")


@pytree
class Snapshots:
    """The memory of `snapshots`: what the run carried after some of its steps.

    After each step t that `spacing` divides, and before the first, t = 0, it was copied into row
    `t % capacity`. Rows of no such t hold what was there before.

    Attributes:
        states: copies of the state, [capacity, ...].
        memories: of the memories of the run's other callbacks, in order, `()` of those without.
        spacing: int32, a power of two.
        capacity: how many rows there are.
    """

    states: Any
    memories: tuple[Any, ...]
    spacing: jax.Array
    capacity: int = static()


def replay(
    result: LoopResult[S],
    step: Step[S],
    *callbacks: CallbackLike,
    at: ArrayLike,
    max_steps: int | None = None,
    key: jax.Array | None = None,
) -> LoopResult[S]:
    """Return what a run was after an earlier step: `iterate(…, max_steps=at)`, bit for bit.

    The run must have had `callbacks.snapshots()`: the loop goes on from the last of these before
    the step, so that at most `2 * result.steps / capacity` steps are taken again. Give it the step,
    callbacks and key of the run. Memories are as large as the run's, so a `history` has the records
    up to the step, and room for the others; `resume` goes on from there to the run's own bits.

    To stand in the debugger at step k, replay the one before and go on by hand:
    `resume(replay(result, step, *callbacks, at=k - 1), step, *callbacks, max_steps=k,
    driver="python")`.

    Args:
        result: what `iterate`, `resume` or `chunks` returned.
        step: the run's step.
        *callbacks: the run's callbacks, `snapshots()` included.
        at: how many steps were taken: an int of 0 ... `result.steps`, or such an int32 scalar. A
            traced one is not checked but brought into this range; by `vmap`, one each of many.
        max_steps: the run's, where the step or a callback asks for it in each step.
        key: the run's key.

    Returns:
        A `LoopResult` with `after_run` heard. The snapshots in it are those of the whole run.

    Raises:
        TypeError: `result` is no `LoopResult`, `at` no integer.
        ValueError: the run had no snapshots, or other callbacks, or did not get as far as `at`; a
            function asks for `max_steps`, which is not given.

    >>> import jax, jax.numpy as jnp
    >>> import jfoundations as jf
    >>> collatz = lambda n: jnp.where(n % 2 == 0, n // 2, 3 * n + 1)
    >>> seen = jf.callbacks.snapshots()
    >>> result = jf.iterate(collatz, 27, seen, max_steps=111)
    >>> int(jf.replay(result, collatz, seen, at=77).state)
    9232
    >>> last = jax.vmap(lambda k: jf.replay(result, collatz, seen, at=k).state)
    >>> last(jnp.array([108, 109, 110, 111])).tolist()
    [8, 4, 2, 1]
    """
    who = "replay"
    program, result = _check(who, result, step, callbacks, max_steps, key)
    taken = count_leaf(at, "at", who, 0)
    if np.ndim(taken):
        raise ValueError(
            f"replay: at has shape {np.shape(taken)}, a scalar is needed; take each by "
            "jax.vmap(lambda at: replay(…, at=at))(at)"
        )
    known = not (isinstance(taken, Tracer) or isinstance(result.steps, Tracer))
    if known and not np.ndim(result.steps) and int(taken) > int(result.steps):
        raise ValueError(
            f"replay: at is {int(taken)}, but the run took {int(result.steps)} steps; resume goes "
            "on beyond its end"
        )
    taken = jnp.asarray(taken)
    taken = jnp.clip(taken, 0, min(jnp.iinfo(taken.dtype).max, 2**31 - 1)).astype(np.int32)
    if tracing():
        return _replay(program, result, taken, key, max_steps=max_steps)
    return compiled(_replay, program, max_steps=max_steps)(result, taken, key)


def first(
    result: LoopResult[S],
    step: Step[S],
    *callbacks: CallbackLike,
    where: Predicate,
    monotone: bool = False,
    max_steps: int | None = None,
    key: jax.Array | None = None,
) -> jax.Array:
    """Return the first step of a run after which a predicate of the state holds.

    See also `folds.first`, the first element of data.

    The run is gone through again, from its start to that step. A predicate that holds to the end
    once it has held, as that the state is nan, is found faster with `monotone=True`: it is asked of
    the snapshots, by bisection, and at most `2 * result.steps / capacity` steps are taken again. If
    it is not monotone after all, what is found is a step at which it begins to hold, perhaps not
    the first.

    Args:
        result: of a run that had `callbacks.snapshots()`, as in `replay`.
        step: the run's step.
        *callbacks: the run's callbacks.
        where: `state -> bool scalar`; it may name `step`, the index of the step taken last, which
            is -1 before the first.
        monotone: whether the predicate holds to the end, once it has held.
        max_steps: as in `replay`.
        key: the run's key.

    Returns:
        An int32 scalar, the number of steps after which it holds first, for `replay` to go to: 0
        where it held before the first step, -1 where it never did.

    Raises:
        TypeError, ValueError: as `replay`; or the predicate returns no bool scalar.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> seen, step = jf.callbacks.snapshots(), lambda x: jnp.log(x)
    >>> result = jf.iterate(step, 99.0, seen, max_steps=1000)
    >>> born = jf.first(result, step, seen, where=jnp.isnan, monotone=True)
    >>> int(born), float(jf.replay(result, step, seen, at=born - 1).state)
    (5, -0.862...)
    """
    who = "first"
    program, result = _check(who, result, step, callbacks, max_steps, key)
    check_function(where, "where", who, "a function state -> bool")
    caller(where, 1, "first, where", (), ("step",))
    if not isinstance(monotone, bool | np.bool_):
        raise TypeError(f"first: monotone is {monotone!r}, True or False is needed")
    options: Any = {"monotone": bool(monotone), "max_steps": max_steps}
    if tracing():
        return _first(program, where, result, key, **options)
    return compiled(_first, program, where, **options)(result, key)


def _check(
    who: str,
    result: LoopResult[S],
    step: Step[S],
    callbacks: tuple[CallbackLike, ...],
    max_steps: int | None,
    key: Array | None,
) -> tuple[StepAndCallbacks, LoopResult[S]]:
    if not isinstance(result, LoopResult):
        raise TypeError(
            f"{who}: it goes back in a LoopResult, which iterate, resume and chunks return, not in "
            f"{describe(result)}"
        )
    if max_steps is not None:
        check_count(max_steps, "max_steps", who)
    check_key(key, who)
    return make_program(step, callbacks, who), result


def _replay(
    program: StepAndCallbacks,
    result: LoopResult[PyTree],
    at: Array,
    key: Array | None,
    *,
    max_steps: int | None,
) -> LoopResult[PyTree]:
    plan, last, kept = _look_back("replay", program, result, key, max_steps)
    at = jnp.minimum(at, last.step)
    start = _carry_at(at, last, kept)
    carry = run_loop("while", plan, start, at, stopped=True)
    return to_result(plan, carry, plan.finish(carry))


def _first(
    program: StepAndCallbacks,
    where: Predicate,
    result: LoopResult[PyTree],
    key: Array | None,
    *,
    monotone: bool,
    max_steps: int | None,
) -> jax.Array:
    plan, last, kept = _look_back("first", program, result, key, max_steps)
    ask = caller(where, 1, "first, where", (), ("step",))

    def holds(carry: Carry) -> jax.Array:
        answer = ask(carry.state, context={"step": carry.step - 1})
        return jnp.asarray(check_stop(answer, "first, where", PREDICATE))

    def halve(ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) // 2
        held = holds(_carry_at(middle * kept.spacing, last, kept))
        return jnp.where(held, low, middle), jnp.where(held, middle, high)

    low = jnp.zeros((), np.int32)
    if monotone:
        ends = low, last.step // kept.spacing + 1
        ends, _ = settle(lambda ends: (jax.eval_shape(halve, ends), None), ends)
        low = lax.while_loop(lambda ends: ends[1] - ends[0] > 1, halve, ends)[0]
    carry = strong_counters(_carry_at(low * kept.spacing, last, kept))
    carry, facts = find_facts(plan, carry, free=False, reverse=False)

    def seeking(c: tuple[Carry, Array]) -> jax.Array:
        return is_going(c[0], last.step) & ~c[1]

    def advance(c: tuple[Carry, Array]) -> tuple[Carry, Array]:
        carry = facts.step(c[0], lane_is_live(seeking(c)))
        return carry, holds(carry)

    start = carry, holds(carry)
    carry, held = lax.while_loop(lambda c: any_lane(seeking(c)), advance, start)
    return jnp.where(held, carry.step, -1)


def _look_back(
    who: str,
    program: StepAndCallbacks,
    result: LoopResult[PyTree],
    key: Array | None,
    max_steps: int | None,
) -> tuple[Plan, Carry, Snapshots]:
    """Return the loop, keeping nothing, what it carried last, and its snapshots."""
    # Without it: the memories have their sizes, so that only functions of a step could ask for it.
    plan = make_plan(program, key, max_steps or 0)
    if max_steps is None:
        _check_words(who, plan)
    last = plan.grow(strong_counters(to_carry(plan, result, who)))
    kept = [memory for memory in last.memories if isinstance(memory, Snapshots)]
    if not kept:
        raise ValueError(
            f"{who}: the run kept no snapshots; give iterate the callback callbacks.snapshots()"
        )
    # What is gone through again is kept already.
    listeners = tuple(
        replace(part, handlers={e: h for e, h in part.handlers.items() if e != KEEP})
        for part in plan.listeners
    )
    return replace(plan, listeners=listeners), last, kept[0]


def _check_words(who: str, plan: Plan) -> None:
    asking = [(plan.who, stage.words) for stage in plan.stages]
    asking += [(h.who, h.words) for part in plan.listeners for h in part.handlers.values()]
    for its, words in asking:
        if "max_steps" in words:
            raise ValueError(
                f"{who}: {its}, names max_steps, which a result does not tell; give the run's: "
                f"{who}(…, max_steps=…)"
            )


def _carry_at(step: Array, last: Carry, kept: Snapshots) -> Carry:
    """Return what the run carried at the last snapshot up to a step; at the end, its last."""
    at, rows = step - step % kept.spacing, (kept.states, kept.memories)
    state, others = jax.tree.map(lambda copies: copies[at % kept.capacity], rows)
    rest = iter(others)
    memories = tuple(
        memory if isinstance(memory, Snapshots) else next(rest) for memory in last.memories
    )
    then = Carry(at, jnp.zeros_like(last.mask), state, memories)
    return freeze(step == last.step, last, then)
