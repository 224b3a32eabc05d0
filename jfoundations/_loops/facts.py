"""What one abstract trace of a loop's step finds out, before the loop is built.

Whether a callback can stop the loop decides its form: a loop that nobody stops carries no stop
flag. Which dtypes and mesh axes a step settles on decides what the loop carries. Both show only
in a trace of the step with all its callbacks. That trace is kept: the loop runs it, and the user's
functions are not traced again.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core.compat import call_jaxpr, on_a_mesh, vary, varying
from .._core.types import Live, PyTree
from .collectives import collectives, named
from .handlers import freeze
from .plan import Carry, Plan

T = TypeVar("T")
F = TypeVar("F")
Limit: TypeAlias = Array | np.integer | int  # the number of steps after which a loop ends
Advance = Callable[
    ..., Carry
]  # (carry, live) -> carry; of a loop that nobody stops: carry -> carry


class Facts(NamedTuple):
    """What a trace of one step, with all its callbacks, found out.

    Attributes:
        step: the step as it was traced, `(carry, live) -> carry`; of a free loop `carry -> carry`.
        stops: of each handler that can ask to stop, by the name messages use, the mesh axes over
            which its stop may differ.
        collectives: the mesh axes over which the step asks other devices, and by what.
    """

    step: Advance
    stops: dict[str, frozenset[Any]]
    collectives: dict[Any, str]


def find_facts(plan: Plan, carry: Carry, *, free: bool, reverse: bool) -> tuple[Carry, Facts]:
    """Return the carry with the types that a step keeps, and what the trace with them found.

    Args:
        plan: the loop.
        carry: what it starts from.
        free: whether the loop asks for no stop; else a lane that is over is held as it is.
        reverse: whether reverse mode goes through the loop.

    Raises:
        ValueError: a stop differs over a mesh axis over which the step holds a collective.
    """
    return settle(functools.partial(trace_step, plan, free=free, reverse=reverse), carry)


def trace_step(plan: Plan, carry: Carry, *, free: bool, reverse: bool) -> tuple[Carry, Facts]:
    """Trace a step once: the types of the carry after it, and the facts."""

    def once(carry: Carry, live: Live = True) -> tuple[Carry, dict[str, Any]]:
        stops: dict[str, Any] = {}
        after = take_step(plan.noting(stops), carry, live, reverse=reverse)
        return after, {who: stop for who, stop in stops.items() if stop is not False}

    live = () if free else (jax.eval_shape(is_going, carry, 1),)
    jaxpr, shapes = jax.make_jaxpr(once, return_shape=True)(carry, *live)
    # not the shapes, which in JAX 0.9 know no mesh axes
    after, stops = jax.tree.unflatten(jax.tree.structure(shapes), jaxpr.out_avals)
    asked = {who: varying(stop) for who, stop in stops.items()}
    found = dict(collectives(jaxpr)) if on_a_mesh() else {}
    structure = jax.tree.structure(after)

    def step(*operands: PyTree) -> Carry:
        if getattr(jax.config, "jax_disable_jit"):  # noqa: B009
            return take_step(plan, *operands, reverse=reverse)  # the user's Python in every step
        leaves = call_jaxpr(jaxpr, *jax.tree.leaves(operands))
        return jax.tree.unflatten(structure, leaves[: structure.num_leaves])

    facts = Facts(step, asked, found)
    if found and not free:
        _refuse_lone_stops(carry, facts)
    return after, facts


def take_step(plan: Plan, carry: Carry, live: Live = True, *, reverse: bool) -> Carry:
    """Return the carry after a step, or as it was where not live.

    Args:
        plan: the loop.
        carry: what the step is given.
        live: whether this lane is going; a Python True where nothing holds the step back.
        reverse: whether reverse mode goes through the loop.
    """
    free, given, count = live is True, carry.state, None
    if free and not reverse:
        count = carry.step + 1  # first, as one would write it: the text of the graph is the same
    if reverse and not free:
        # The gradient goes round a step that is not taken, which may fail: 0 times inf is nan.
        given = jax.tree.map(functools.partial(_gate_gradient, live), given)
    state, memories, bits = plan.advance(carry.step, given, carry.memories, live=live)
    if count is None:
        count = carry.step + (1 if live is True else live.astype(np.int32))
    mask = carry.mask if bits is False else freeze(live, bits, carry.mask)
    state = freeze(live, state, carry.state)
    memories = plan.keep(carry.step, state, memories, live=live)
    return Carry(count, mask, state, memories)


def is_going(carry: Carry, limit: Limit) -> Any:
    """Tell whether there is another step to take: a bool scalar."""
    return (carry.step < limit) & (carry.mask == 0)


def _gate_gradient(live: Live, leaf: PyTree) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return leaf
    return lax.select(live, leaf, lax.stop_gradient(leaf))


def _refuse_lone_stops(carry: Carry, facts: Facts) -> None:
    """Raise where some devices might leave the loop and others wait for them in it."""
    differ = varying(carry.mask) | varying(carry.step) | frozenset().union(*facts.stops.values())
    shared = differ & set(facts.collectives)
    if not shared:
        return
    blamed = [who for who, axes in facts.stops.items() if axes & shared]
    stop = f"{blamed[0]}: its stop" if blamed else "iterate: the stop before the first step"
    name, axis = named(shared & facts.stops[blamed[0]] if blamed else shared)
    raise ValueError(
        f"{stop} differs across the mesh axis {axis}, over which the loop's body holds a "
        f"collective, {facts.collectives[name]}: the devices that go on would wait for ever for "
        f"those that stopped; stop together, with agree(stop, {axis}) or agree(callback, {axis})"
    )


def promote(plan: Plan, state: PyTree) -> Any:
    """Promote weakly typed leaves as the run will, so that memories are made of its dtypes."""
    if not is_weak(state):
        return state

    def once(state: PyTree, step: Array) -> Any:
        carry = plan.begin(state)
        return plan.advance(step, carry.state, carry.memories, live=True)[0]

    # The step index is traced: of a concrete 0, `step >= 3` would be a plain False for ever.
    trace = lambda s: (jax.eval_shape(once, s, np.int32(0)), None)  # noqa: E731
    return settle(trace, promote_by_step(plan, state))[0]


def promote_by_step(plan: Plan, state: PyTree) -> Any:
    """Promote weakly typed leaves as the step alone does, without callbacks."""
    if not is_weak(state):
        return state
    alone = replace(plan, listeners=())

    def once(state: PyTree) -> Any:
        return alone.advance(np.int32(0), state, (), live=True)[0]

    return settle(lambda s: (jax.eval_shape(once, s), None), state)[0]


def settle(trace: Callable[[T], tuple[T, F]], carry: T) -> tuple[T, F]:
    """Give what a loop carries the types that a step keeps, and return what the last trace found.

    A weakly typed leaf (from a Python number) is promoted as the step promotes it; inside
    `shard_map` a leaf is declared to differ over all mesh axes over which the step makes it so.
    `lax.while_loop` promotes too; done here, every driver starts from the same types.

    Args:
        trace: returns the types after a step, and anything else.
        carry: what the step is given first.
    """
    while True:  # ends: types only go up
        after, found = trace(carry)
        raised = jax.tree.map(_raised, carry, after)
        if all(a is b for a, b in zip(*map(jax.tree.leaves, (raised, carry)), strict=True)):
            return carry, found
        carry = raised


def _raised(leaf: PyTree, after: PyTree) -> Any:
    kind = jax.typeof(leaf)
    weak = getattr(kind, "weak_type", False)
    if weak and not (after.weak_type and after.dtype == kind.dtype):
        leaf = jnp.asarray(leaf).astype(after.dtype)
    return vary(leaf, varying(after))


def is_weak(tree: PyTree) -> bool:
    """Tell whether any leaf is weakly typed, so that a step may still promote it."""
    return any(getattr(jax.typeof(leaf), "weak_type", False) for leaf in jax.tree.leaves(tree))
