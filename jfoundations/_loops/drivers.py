"""The ways to run a loop; the same step gives the same bits in each.

A driver takes `(step, carry, limit, free)` and returns the carry after the last step. The step is
one that `facts` has traced: `carry -> carry` in a free loop, which no callback can stop, so that
nothing need be asked; else `(carry, live) -> carry`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer

from .._core.checks import tracing
from .._core.compat import cond, one_way
from .._core.shown import see
from .._core.types import PyTree
from .._core.values import describe
from .facts import Advance, Limit, find_facts, is_going, promote_by_step, take_step
from .lanes import any_lane, lane_is_live
from .listener import Memories
from .plan import Carry, Plan

NO_REVERSE = (
    "a loop of driver='while', and each of chunks, has no gradient in reverse mode (grad, vjp, "
    "jacrev), as it does not store its steps; use iterate with driver='scan', which stores them "
    "all, or driver='checkpointed', or driver='implicit' where it converges, else nan, or take the "
    "gradient in forward mode: jax.jvp or jax.jacfwd" + see("how_to_choose")
)


def run_loop(
    driver: str,
    plan: Plan,
    carry: Carry,
    limit: Limit,
    *,
    stopped: bool,
    start: Array | None = None,
    check_every: int = 1,
) -> Carry:
    """Run a loop, with a stop flag in the graph only if some callback can stop it.

    Args:
        driver: a name in `DRIVERS`.
        plan: the loop.
        carry: what it starts from.
        limit: the number of steps after which it ends.
        stopped: whether a callback may have asked to stop before the first step.
        start: where all lanes are at one step, that step; a free loop then shares its count.
        check_every: of driver "while", the steps to which there is one test of the stop.
    """
    run, reverse = DRIVERS[driver], driver != "while"
    if (size := min(check_every, plan.max_steps or 1)) > 1:
        run = functools.partial(run_in_blocks, size=size)
    if plan.listeners or stopped:
        held, facts = find_facts(plan, strong_counters(carry), free=False, reverse=reverse)
        if facts.stops or stopped:
            return run(facts.step, held, limit, False)
        carry = carry._replace(state=held.state, memories=held.memories)
    carry = carry if start is None else carry._replace(step=start)
    carry, facts = find_facts(plan, carry, free=True, reverse=reverse)
    return run(facts.step, carry, limit, True)


def run_while(step: Advance, carry: Carry, limit: Limit, free: bool) -> Carry:
    """Run in one `lax.while_loop`; a finished lane is frozen."""
    if not free:

        def body(c: Carry) -> Carry:
            return step(c, lane_is_live(is_going(c, limit)))

        after = lax.while_loop(lambda c: any_lane(is_going(c, limit)), body, carry)
        return one_way(after, NO_REVERSE)

    def free_body(c: tuple[Array, PyTree, Memories]) -> tuple[Array, PyTree, Memories]:
        after = step(Carry(c[0], carry.mask, c[1], c[2]))
        return after.step, after.state, after.memories

    # Exactly the loop that one would write by hand: it carries no mask.
    start = carry.step, carry.state, carry.memories
    count, state, memories = lax.while_loop(lambda c: c[0] < limit, free_body, start)
    return one_way(Carry(count, carry.mask, state, memories), NO_REVERSE)


UNROLL = 4  # steps of a block in a row at most: a compiler's time grows with them


def run_in_blocks(step: Advance, carry: Carry, limit: Limit, free: bool, size: int) -> Carry:
    """Run as `run_while` does, on a GPU with one test of the stop in `size` steps.

    There a test is a kernel, whose answer the host waits for. Elsewhere it costs little, and blocks
    may cost more: on a CPU they made steps of nanoseconds between a third faster and twice as slow,
    and those of 1,024 elements up to seven times slower; and beside a freeze the compiler rounded
    `a * b + c` otherwise. Where the number of steps is known there is nothing to test.
    """
    plain = functools.partial(run_while, step, carry, limit, free)
    if free and not isinstance(carry.step, Tracer) and not isinstance(limit, Tracer):
        return plain()
    blocks = functools.partial(_run_blocks, step, strong_counters(carry), limit, free, size)
    after = lax.platform_dependent(cuda=blocks, rocm=blocks, default=plain)
    return one_way(after, NO_REVERSE)


def _run_blocks(step: Advance, carry: Carry, limit: Limit, free: bool, size: int) -> Carry:
    @jax.jit  # so that the text holds the step once
    def take(c: Carry) -> Carry:
        after = step(c) if free else step(c, is_going(c, limit))
        # No step is compiled together with the next, but for its count, which is exact. (Leaf by
        # leaf: of a tree's barrier JAX takes all to differ over the mesh axes over which one does.)
        apart = jax.tree.map(lax.optimization_barrier, after._replace(step=()))
        return apart._replace(step=after.step)

    def block(c: Carry) -> Carry:
        return lax.fori_loop(0, size, lambda _, c: take(c), c, unroll=min(size, UNROLL))

    if not free:  # what is over is frozen, in the midst of a block too
        return lax.while_loop(lambda c: any_lane(is_going(c, limit)), block, carry)
    carry = lax.while_loop(lambda c: limit - c.step >= size, block, carry)
    return lax.while_loop(lambda c: c.step < limit, take, carry)


def run_scan(step: Advance, carry: Carry, limit: Limit, free: bool) -> Carry:
    """Run in one `lax.scan` over all steps there may be; those after the stop do nothing."""

    def body(c: Carry, _: None) -> tuple[Carry, None]:
        return (step(c) if free else skip_or_step(step, c, is_going(c, limit))), None

    return _scan(body, strong_counters(carry), int(limit))


def _scan(body: Callable[[Carry, None], tuple[Carry, None]], carry: Carry, length: int) -> Carry:
    if not length and getattr(jax.config, "jax_disable_jit"):  # noqa: B009
        return carry  # JAX refuses to scan nothing then
    return lax.scan(body, carry, None, length=length)[0]


def run_checkpointed(step: Advance, carry: Carry, limit: Limit, free: bool) -> Carry:
    """Run in √n blocks of √n steps, each rerun in the backward pass: memory O(√n).

    Griewank (1992), "Achieving logarithmic growth of temporal and spatial complexity in reverse
    automatic differentiation", in its one-level form.
    """
    length = int(limit)
    size = max(1, math.isqrt(length))
    blocks, rest = divmod(length, size)

    def body(c: Carry, _: None) -> tuple[Carry, None]:
        # Not skipped: a `lax.cond` here would store more for the backward pass, and copy.
        return (step(c) if free else step(c, is_going(c, limit))), None

    @jax.checkpoint
    def block(c: Carry) -> Carry:
        return lax.scan(body, c, None, length=size)[0]

    def outer(c: Carry, _: None) -> tuple[Carry, None]:
        if free:
            return block(c), None
        return lax.cond(any_lane(is_going(c, limit)), block, lambda c: c, c), None

    carry = _scan(outer, strong_counters(carry), blocks)
    return lax.scan(body, carry, None, length=rest)[0] if rest else carry


DRIVERS: dict[str, Callable[[Advance, Carry, Any, bool], Carry]] = {
    "while": run_while,
    "scan": run_scan,
    "checkpointed": run_checkpointed,
}


def skip_or_step(step: Advance, carry: Carry, going: Array) -> Carry:
    """Return the carry after a step, which is not computed where no lane is going."""
    taken = lambda live, c: step(c, live)  # noqa: E731
    return cond(any_lane(going), taken, lambda _, c: c, lane_is_live(going), carry)


def strong_counters(carry: Carry) -> Carry:
    """Return a carry whose counters are arrays, as a loop carries them."""
    step, mask = jnp.asarray(carry.step, np.int32), jnp.asarray(carry.mask, np.uint32)
    return carry._replace(step=step, mask=mask)


def refuse_tracing() -> None:
    """Raise where a loop of callbacks that are heard eagerly is being traced."""
    if tracing():
        raise TypeError(
            "driver='python' runs callbacks eagerly and cannot be traced by jit; "
            "call it outside jit, or use driver='while'" + see("how_to_choose")
        )


def begin_python(plan: Plan, state: PyTree) -> Carry:
    """Return the carry before the first step, with Python scalars promoted as the step will."""
    state = promote_by_step(plan, state)
    carry = plan.begin(state)
    _check_dtypes(carry.state, state)
    return carry


def run_python(plan: Plan, carry: Carry, limit: int) -> Carry:
    """Run a Python loop over the jitted step; callbacks see concrete arrays.

    Raises:
        TypeError: a callback promotes a Python scalar, which the other drivers see beforehand and
            this one cannot.
    """
    plan = plan.with_compiled_step()
    while int(carry.step) < limit and not _stopped(carry):
        after = take_step(plan, carry, reverse=True)
        _check_dtypes(after.state, carry.state)
        carry = after._replace(step=np.int32(after.step))
    return carry


def _stopped(carry: Carry) -> bool:
    try:
        return bool(int(carry.mask))
    except jax.errors.ConcretizationTypeError:
        raise TypeError(
            "driver='python' runs callbacks eagerly and cannot be mapped by vmap; "
            "call it a lane at a time, or use driver='while'" + see("how_to_choose")
        ) from None


def _check_dtypes(new: PyTree, old: PyTree) -> None:
    """Raise where a callback heard eagerly changed a dtype that could not be settled before."""
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
        if jax.typeof(a).dtype != jax.typeof(b).dtype:
            raise TypeError(
                f"driver='python': a callback turned {describe(old)} into {describe(new)}; "
                "start the state from that dtype"
            )
