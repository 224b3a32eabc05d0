"""The four ways to run a loop; the same plan gives the same bits in each.

A driver takes `(plan, carry, limit, guarded)` and returns the carry after the last step. Where
`guarded` is False no callback can stop and the carry is at step 0, so nothing need be asked.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import settle, tracing
from .._core.compat import cond, one_way
from .._core.values import describe
from .handlers import freeze
from .lanes import any_lane, lane_lives
from .mesh import check_agreement, spread
from .plan import Carry, Plan, Program

T = TypeVar("T")
NO_REVERSE = (
    "a loop of driver='while', and each of chunks, has no gradient in reverse mode (grad, vjp, "
    "jacrev), as it does not store its steps; use iterate with driver='scan', which stores them "
    "all, or driver='checkpointed', or take the gradient in forward mode: jax.jvp or jax.jacfwd"
)
Driver = Callable[[Plan, Carry, Any, bool], Carry]


def run_loop(driver: str, plan: Plan, carry: Carry, limit: Any, start: Any = None) -> Carry:
    """Run a driver, with a stop flag in the graph only if some callback can stop.

    That shows in the trace of the loop itself: a guard found needless is traced again without.
    Then `start`, if given, is the step at which all lanes are, whose count they share.
    """
    run = functools.partial(DRIVERS[driver], plan)
    free = carry if start is None else carry._replace(step=start)
    if plan.can_stop is not None:
        return run(carry if plan.can_stop else free, limit, plan.can_stop)
    done = if_needed(plan, lambda: run(carry, limit, True))
    return run(free, limit, False) if done is None else done


def if_needed(plan: Plan, guarded: Callable[[], T]) -> T | None:
    """Run a guarded loop; None where its guard is needless, as a step that cannot stop has shown.

    Such a loop carries nothing on, see `carried`, which JAX or the loop itself refuses. An
    exception out of the step would do; but JAX 0.10 keeps for ever what a trace had closed over
    out of which an exception went.
    """
    plan.demand_stop, plan.needless = not plan.may_be_stopped, False
    try:
        done = guarded()
    except Exception:
        if not (plan.demand_stop and plan.needless):
            raise
        return None
    else:
        return None if plan.demand_stop and plan.needless else done
    finally:
        plan.demand_stop = False


def carried(plan: Plan, carry: Carry) -> Any:
    """Return the carry after a guarded step, or nothing where the guard has shown needless."""
    return () if plan.demand_stop and plan.needless else carry


def run_while(plan: Plan, carry: Carry, limit: Any, guarded: bool) -> Carry:
    """Run in one `lax.while_loop`; a finished lane is frozen."""
    if not guarded:
        return _run_free(plan, carry, limit)

    def body(c: Carry) -> Carry:
        going = lane_lives(_going(c, limit))
        return carried(plan, freeze_or_step(plan, c, going, reverse=False))

    carry = spread(body, strong_counters(carry))
    after = lax.while_loop(lambda c: any_lane(_going(c, limit)), body, carry)
    return one_way(after, NO_REVERSE)


def _run_free(plan: Plan, carry: Carry, limit: Any) -> Carry:
    """Run without a stop flag: exactly the loop one would write by hand."""

    def body(c: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        after = c[0] + 1  # first, as one would write it: the text of the graph is the same too
        state, memories, _ = plan.advance(*c, live=True)
        return after, state, memories

    start = spread(body, (carry.step, carry.state, carry.memories))
    step, state, memories = lax.while_loop(lambda c: c[0] < limit, body, start)
    return one_way(Carry(step, carry.mask, state, memories), NO_REVERSE)


def run_scan(plan: Plan, carry: Carry, limit: Any, guarded: bool) -> Carry:
    """Run in one `lax.scan` over all steps there may be; those after the stop do nothing."""

    def body(c: Carry, _: None) -> tuple[Carry, None]:
        return (skip_or_step(plan, c, _going(c, limit)) if guarded else take_step(plan, c)), None

    carry = spread(lambda c: body(c, None)[0], strong_counters(carry))
    return _scan(body, carry, int(limit))


def _scan(body: Any, carry: Any, length: int) -> Any:
    if not length and getattr(jax.config, "jax_disable_jit"):  # noqa: B009
        return carry  # JAX refuses to scan nothing then
    return lax.scan(body, carry, None, length=length)[0]


def run_checkpointed(plan: Plan, carry: Carry, limit: Any, guarded: bool) -> Carry:
    """Run in √n blocks of √n steps, each rerun in the backward pass: memory O(√n).

    Griewank (1992), "Achieving logarithmic growth of temporal and spatial complexity in reverse
    automatic differentiation", in its one-level form.
    """
    length = int(limit)
    size = max(1, math.isqrt(length))
    blocks, rest = divmod(length, size)

    def body(c: Carry, _: None) -> tuple[Carry, None]:
        # Not skipped: a `lax.cond` here would store more for the backward pass, and copy.
        if not guarded:
            return take_step(plan, c), None
        return carried(plan, freeze_or_step(plan, c, _going(c, limit))), None

    @jax.checkpoint
    def block(c: Carry) -> Carry:
        return lax.scan(body, c, None, length=size)[0]

    def outer(c: Carry, _: None) -> tuple[Carry, None]:
        skips = any_lane(_going(c, limit)) if guarded else None
        return (block(c) if skips is None else lax.cond(skips, block, lambda c: c, c)), None

    carry = spread(lambda c: body(c, None)[0], strong_counters(carry))
    carry = _scan(outer, carry, blocks)
    return lax.scan(body, carry, None, length=rest)[0] if rest else carry


def take_step(plan: Plan, carry: Carry) -> Carry:
    """Return the carry after a step that nothing holds back."""
    state, memories, bits = plan.advance(carry.step, carry.state, carry.memories, live=True)
    return Carry(carry.step + 1, carry.mask if bits is False else bits, state, memories)


def skip_or_step(plan: Plan, carry: Carry, going: Any) -> Carry:
    """Return the carry after a step, which is not computed where no lane is going."""

    def step(live: Any, c: Carry) -> Carry:
        return carried(plan, freeze_or_step(plan, c, live))

    return cond(any_lane(going), step, lambda _, c: c, lane_lives(going), carry)


def freeze_or_step(plan: Plan, carry: Carry, live: Any, *, reverse: bool = True) -> Carry:
    """Return the carry after a step, computed in any case, or as it was where not live."""
    given = carry.state
    if reverse:
        # The gradient goes round a step that is not taken, which may fail: 0 times inf is nan.
        given = jax.tree.map(functools.partial(_gate_gradient, live), given)
    state, memories, bits = plan.advance(carry.step, given, carry.memories, live=live)
    check_agreement(plan, carry, bits)
    return Carry(
        carry.step + live.astype(np.int32),
        carry.mask if bits is False else freeze(live, bits, carry.mask),
        freeze(live, state, carry.state),
        memories,
    )


def _gate_gradient(live: Any, leaf: Any) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return leaf
    return lax.select(live, leaf, lax.stop_gradient(leaf))


def _going(carry: Carry, limit: Any) -> Any:
    return (carry.step < limit) & (carry.mask == 0)


def strong_counters(carry: Carry) -> Carry:
    """Return a carry whose counters are arrays, as a loop carries them."""
    step, mask = jnp.asarray(carry.step, np.int32), jnp.asarray(carry.mask, np.uint32)
    return carry._replace(step=step, mask=mask)


DRIVERS: dict[str, Driver] = {
    "while": run_while,
    "scan": run_scan,
    "checkpointed": run_checkpointed,
}


def run_python(program: Program, start: Callable[[Plan], Carry], key: Any, limit: int) -> Any:
    """Run a Python loop over the jitted step; callbacks see concrete arrays: `(plan, carry)`.

    Raises:
        TypeError: the loop is itself being traced, or a callback promotes a Python scalar, which
            the other drivers see beforehand and this one cannot.
    """
    if tracing():
        raise TypeError(
            "driver='python' runs callbacks eagerly and cannot be traced by jit; "
            "call it outside jit, or use driver='while'"
        )
    plan = Plan(program, key, limit)
    carry = start(plan)
    plan.jit_stages()
    while int(carry.step) < limit and not _stopped(carry):
        state, memories, bits = plan.advance(carry.step, carry.state, carry.memories, live=True)
        _check_dtypes(state, carry.state)
        mask = carry.mask if bits is False else bits
        carry = Carry(np.int32(carry.step + 1), mask, state, memories)
    return plan, carry


def begin_python(plan: Plan, state: Any) -> Carry:
    """Return the carry before the first step, with Python scalars promoted as the step will."""
    words = plan.context(np.int32(0), True)
    state = settle(lambda s: plan.take_checked(s, words), state)
    carry = plan.begin(state)
    _check_dtypes(carry.state, state)
    return carry


def _stopped(carry: Carry) -> bool:
    try:
        return bool(int(carry.mask))
    except jax.errors.ConcretizationTypeError:
        raise TypeError(
            "driver='python' runs callbacks eagerly and cannot be mapped by vmap; "
            "call it a lane at a time, or use driver='while'"
        ) from None


def _check_dtypes(new: Any, old: Any) -> None:
    """Raise where a callback heard eagerly changed a dtype that could not be settled before."""
    for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True):
        if jax.typeof(a).dtype != jax.typeof(b).dtype:
            raise TypeError(
                f"driver='python': a callback turned {describe(old)} into {describe(new)}; "
                "start the state from that dtype"
            )
