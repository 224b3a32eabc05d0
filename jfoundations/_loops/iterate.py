"""Loops: fold callbacks through one `lax.while_loop`, inside jit, vmap and grad.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> newton = lambda x: 0.5 * (x + 2.0 / x)
>>> near = jf.stop_when(lambda x: jnp.abs(x * x - 2.0) < 1e-6, name="near")
>>> result = jf.iterate(newton, 1.0, near, max_steps=50)
>>> float(result.state), int(result.steps), result.reasons
(1.4142135381698608, 4, ('near',))

Every lane of a `vmap` stops by itself:

>>> jax.vmap(lambda x: jf.iterate(newton, x, near, max_steps=50).steps)(jnp.array([1.5, 99.0]))
Array([ 3, 10], dtype=int32)
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core.checks import as_arrays, check_count, check_key, keystr, nearest, tracing
from .._core.programs import compiled
from .._core.shown import see
from .._core.types import Function, PyTree
from .._core.values import describe, hold, is_pytree, release
from .callback import CallbackLike, callback_name, events_of, flatten
from .drivers import DRIVERS, begin_python, refuse_tracing, run_loop, run_python
from .facts import promote
from .implicit import Implicit, run_implicit, settings_of
from .plan import Carry, Plan, Step, StepAndCallbacks, make_plan
from .result import LoopResult, Memories

S = TypeVar("S")
Driver = Literal["while", "scan", "checkpointed", "implicit", "python"]


def iterate(
    step: Step[S],
    state: S,
    *callbacks: CallbackLike,
    max_steps: int,
    key: jax.Array | None = None,
    driver: Driver | Implicit = "while",
    check_every: int = 1,
) -> LoopResult[S]:
    """Repeat a pure step until a callback asks to stop, or for `max_steps` steps.

    A callback is a function `state -> (state, stop)` heard after each step, an object with any of
    the methods `before_run`, `before_step`, `after_step`, `after_run` (and `before_NAME`,
    `after_NAME` for the stages of a `Pipe` used as step), or a `Callback` with memory. They are
    heard in the order given. A stop is a bool scalar; Python `False` puts nothing in the graph.
    Stops are merged by OR, and every callback of the event still runs. A stop asked for before or
    within a step lets that step complete; one asked for in `before_run` lets none begin.

    Context is passed by name, to callbacks, step and stages that name it: `step` (int32 index of
    this step, from 0), `key` (`jax.random.fold_in(key, step)`), and `live` (False in a finished
    lane under `vmap`; who names it freezes its own memory).

    Loops nest: a step, or a stage of it, may iterate. A stop ends the loop that hears it; the outer
    one learns of it by `LoopResult.stopped`, and `LoopResult.again` keeps the inner callbacks'
    memories from one run to the next. The rest of a step is cancelled through the state: a callback
    sets a flag, and the stages after it ask: `lax.cond(s["skip"], lambda s: s, stage, s)`.

    Inside `shard_map` each device stops by itself, as lanes do, unless step or callbacks hold a
    collective: a stop that differs across its mesh axis is refused. `agree` makes it the same.

    Step and callbacks are traced once, as by `jax.jit`: what they read must not change, and what
    they print is shown once, without values. To print, plot or set a breakpoint use
    `driver="python"`, or the body of a `for` over `chunks`; `jax.debug.print` works everywhere.

    Args:
        step: `state -> state`, or a Pipe of stages that together are.
        state: a pytree of arrays or scalars. Structure, shapes and dtypes stay as they are;
            weakly typed scalars are promoted as `lax.while_loop` does.
        *callbacks: see above.
        max_steps: a Python int ≥ 0.
        key: a PRNG key for who names it.
        driver: `"while"` (forward mode; any lane stops by itself under vmap), `"scan"` (reverse
            mode, stores every step), `"checkpointed"` (reverse mode, memory O(√n)), `"implicit"` or
            `Implicit(…)` (as `"while"`, with the gradient of the fixed point that a converged run
            ends at: both modes, memory O(1)), or `"python"` (a Python loop over a jitted step,
            eager callbacks: print and breakpoints work).
        check_every: of drivers "while" and "implicit", on a GPU, where a test of the stop is a
            kernel and waits for the host: make one in so many steps; more than `max_steps` is
            `max_steps`. The result is that of 1: the steps of a block after its stop are computed
            and left out, as a finished lane's are. On other devices a test costs little, and the
            program is that of 1.

    Returns:
        A `LoopResult`. Running out of steps is no error: `result.reasons` says it.

    Raises:
        TypeError, ValueError: while tracing, with the callback, event and leaf named.

    >>> import jfoundations as jf
    >>> int(jf.iterate(lambda x: x + 1, 0, max_steps=3).state)
    3
    """
    max_steps = check_count(max_steps, "max_steps", "iterate")
    check_driver(driver, "iterate")
    check_every = check_blocks(check_every, driver, "iterate")
    check_key(key, "iterate")
    program = make_program(step, callbacks, "iterate")
    state = as_arrays(state, "iterate")
    if (implicit := settings_of(driver)) is not None:
        words = {"max_steps": max_steps, "check_every": check_every}
        return run_implicit(_run, implicit, program, state, state, key, **words)
    if driver == "python":
        refuse_tracing()
        plan = make_plan(program, key, max_steps)
        carry = run_python(plan, begin_python(plan, state), max_steps)
        return to_result(plan, carry, plan.finish(carry))
    options: Any = {"max_steps": max_steps, "driver": driver, "check_every": check_every}
    if tracing():
        return _run(program, state, key, **options)
    return compiled(_run, program, **options)(state, key)


def resume(
    result: LoopResult[S],
    step: Step[S],
    *callbacks: CallbackLike,
    max_steps: int,
    key: jax.Array | None = None,
    driver: Driver | Implicit = "while",
    check_every: int = 1,
) -> LoopResult[S]:
    """Go on with a run: `resume(iterate(k), n)` equals `iterate(n)` bit for bit.

    See also `LoopResult.again`, which starts anew with these memories.

    Give it the step, callbacks and key the run had. A run that a callback stopped stays stopped;
    to go on regardless, start anew from `result.state`.

    Args:
        result: what `iterate`, `resume` or `chunks` returned.
        step: the run's step.
        *callbacks: the run's callbacks, with the same names and memories.
        max_steps: counted from the run's first step.
        key: the run's key.
        driver: as in `iterate`.
        check_every: as in `iterate`.

    Raises:
        ValueError: the callbacks are not those of the run.

    >>> import jfoundations as jf
    >>> double = lambda x: 2 * x
    >>> half_way = jf.iterate(double, 1, max_steps=3)
    >>> int(jf.resume(half_way, double, max_steps=5).state)
    32
    """
    max_steps = check_count(max_steps, "max_steps", "resume")
    check_driver(driver, "resume")
    check_every = check_blocks(check_every, driver, "resume")
    if not isinstance(result, LoopResult):
        raise TypeError(
            f"resume: it goes on from a LoopResult, which iterate, resume and chunks return, not "
            f"from {describe(result)}; start a new run with iterate"
        )
    check_key(key, "resume")
    result = dataclasses.replace(result, limit="max_steps")
    program = make_program(step, callbacks, "resume")
    if (implicit := settings_of(driver)) is not None:
        state = result.state if result.resumable is None else result.resumable[0]
        words = {"max_steps": max_steps, "check_every": check_every}
        return run_implicit(_resume, implicit, program, result, state, key, **words)
    if driver == "python":
        refuse_tracing()
        plan = make_plan(program, key, max_steps)
        carry = run_python(plan, plan.grow(to_carry(plan, result)), max_steps)
        return to_result(plan, carry, plan.finish(carry))
    options: Any = {"max_steps": max_steps, "driver": driver, "check_every": check_every}
    if tracing():
        return _resume(program, result, key, **options)
    return compiled(_resume, program, **options)(result, key)


def check_driver(driver: object, who: str) -> None:
    """Raise unless there is a driver of that name."""
    known = (*DRIVERS, "implicit", "python")
    if driver not in known and not isinstance(driver, Implicit):
        raise ValueError(
            f"{who}: no driver {driver!r}; known are {', '.join(known)}{nearest(driver, known)}"
            f"{see('how_to_choose')}"
        )


def check_blocks(check_every: object, driver: object, who: str) -> int:
    """Return after how many steps the stop is tested, or say what is wrong with it."""
    size = check_count(check_every, "check_every", who, least=1)
    if size > 1 and driver != "while" and settings_of(driver) is None:
        raise ValueError(
            f"{who}: check_every is {size}, but driver={driver!r} takes each step by itself; "
            f"leave check_every out, or use driver='while'{see('how_to_choose')}"
        )
    return size


def make_program(step: Function, callbacks: tuple[CallbackLike, ...], who: str) -> StepAndCallbacks:
    """Return the step and the callbacks, flat, as one pytree."""
    if not callable(step):
        raise TypeError(
            f"{who}: the step is {step!r}, which is not callable; it comes first, a function "
            "state -> state, then the state"
        )
    callbacks = flatten(callbacks)
    for k, callback in enumerate(callbacks):
        # Here and not while tracing: jit would refuse the functions in a list in its own words.
        if is_pytree(callback):
            events_of(callback, f"callback {k + 1} of {len(callbacks)}")
    program = StepAndCallbacks(step, callbacks)
    if not all(isinstance(leaf, NUMBERS) for leaf in jax.tree.leaves(program)):
        _refuse_leaf(program, who)
    return program


NUMBERS = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)


def _refuse_leaf(program: StepAndCallbacks, who: str) -> None:
    parts = {"the step": program.step}
    parts |= {f"callback {k + 1}, {callback_name(c)}": c for k, c in enumerate(program.callbacks)}
    for part, held in parts.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(hold(held)):
            if not isinstance(leaf, NUMBERS):
                name = type(held).__name__
                raise TypeError(
                    f"{who}: {part}, has the leaf {keystr(path, name)}, which is no array but "
                    f"{leaf!r}; make it a static field, or pass partial({name}.__call__, …), which "
                    "keeps arrays as leaves and the rest as structure"
                )


def _run(
    program: StepAndCallbacks,
    state: PyTree,
    key: Array | None,
    *,
    max_steps: int,
    driver: str,
    check_every: int,
) -> LoopResult[PyTree]:
    plan = make_plan(program, key, max_steps)
    carry = plan.begin(promote(plan, state))
    stopped = not isinstance(carry.mask, np.generic)
    limit = np.int32(max_steps)
    carry = run_loop(driver, plan, carry, limit, stopped=stopped, check_every=check_every)
    return to_result(plan, carry, plan.finish(carry))


def _resume(
    program: StepAndCallbacks,
    result: LoopResult[PyTree],
    key: Array | None,
    *,
    max_steps: int,
    driver: str,
    check_every: int,
) -> LoopResult[PyTree]:
    plan = make_plan(program, key, max_steps)
    carry = plan.grow(to_carry(plan, result))
    limit = np.int32(max_steps)
    carry = run_loop(driver, plan, carry, limit, stopped=True, check_every=check_every)
    return to_result(plan, carry, plan.finish(carry))


def to_result(plan: Plan, carry: Carry, finished: Carry) -> LoopResult[PyTree]:
    """Return the result of a carry, and of what `after_run` made of it."""
    names = tuple(part.name for part in plan.listeners)
    resumable = (carry.state, carry.memories) if plan.hears("after_run") else None
    memory = Memories(
        (part.name, memory)
        for part, memory in zip(plan.listeners, finished.memories, strict=True)
        if part.init is not None
    )
    steps, mask = jnp.asarray(carry.step), jnp.asarray(carry.mask)
    asks = tuple(part.extract for part in plan.listeners)
    # Copies: a result that is donated must not take the numbers of a fold along.
    asks = tuple(release(jax.tree.map(jnp.array, hold(ask))) for ask in asks) if any(asks) else ()
    return LoopResult(finished.state, steps, mask, memory, resumable, asks, names)


def to_carry(plan: Plan, result: LoopResult[PyTree], who: str = "resume") -> Carry:
    """Return the carry a result goes on from.

    Raises:
        ValueError: the result is of a run with other callbacks.
    """
    names = tuple(part.name for part in plan.listeners)
    if names != result.names:
        raise ValueError(
            f"{who}: the run had the callbacks {list(result.names)}, now they are {list(names)}; "
            "give the same ones in the same order, or start anew from result.state"
        )
    if jnp.ndim(result.steps):
        all_lanes = ", or with all by chunks(lanes=True)" * (who == "resume")
        raise ValueError(
            f"{who}: the result is of {jnp.shape(result.steps)[0]} lanes; take each by "
            f"jax.vmap(lambda result: {who}(result, …))(result){all_lanes}"
        )
    if result.resumable is not None:
        state, memories = result.resumable
    else:
        state = result.state
        memories = tuple(result.memory.get(name, ()) for name in names)
    return Carry(result.steps, result.stopped_by, state, memories)
