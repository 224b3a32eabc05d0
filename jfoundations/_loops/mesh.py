"""Loops inside `shard_map`: what differs across the devices, and stops that must not.

JAX writes into a value's type the mesh axes over which it may differ. A loop carries one type, so
what starts alike on all devices and comes to differ is declared to differ from the start.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from .._core.compat import on_a_mesh, vary, varying
from .collectives import collectives, named
from .listener import overheard
from .plan import Carry, Plan

T = TypeVar("T")


def spread(step: Callable[[T], T], carry: T) -> T:
    """Return a carry that may differ over all mesh axes over which a step makes it differ."""
    while on_a_mesh():
        axes = [varying(leaf) for leaf in jax.tree.leaves(jax.eval_shape(step, carry))]
        leaves, structure = jax.tree.flatten(carry)
        if all(a <= varying(leaf) for a, leaf in zip(axes, leaves, strict=True)):
            break
        carry = jax.tree.unflatten(structure, map(vary, leaves, axes))
    return carry


def check_agreement(plan: Plan, carry: Carry, bits: Any) -> None:
    """Raise where some devices might leave the loop and others wait for them in it.

    Args:
        plan: the loop.
        carry: what the step was given.
        bits: who asked to stop in it, or Python False.

    Raises:
        ValueError: a stop differs over a mesh axis over which the body holds a collective.
    """
    differ = varying(carry.mask) | varying(carry.step)
    differ |= frozenset() if bits is False else varying(bits)
    if differ <= plan.free_axes:
        return
    found, asked = _look_inside(plan, carry)
    if shared := differ & set(found):
        _refuse(shared, found, asked)
    plan.free_axes |= differ


def _look_inside(plan: Plan, carry: Carry) -> tuple[dict[Any, str], dict[str, frozenset[Any]]]:
    """Trace a step: its collectives by axis, and by handler the axes its stop differs over."""
    asked: dict[str, frozenset[Any]] = {}

    def note(who: str, stop: Any) -> None:
        asked[who] = frozenset() if stop is False else varying(stop)

    plan = copy.copy(plan)
    plan.listeners = [overheard(part, note) for part in plan.listeners]
    plan.demand_stop = False

    def body(step: Any, state: Any, memories: Any) -> Any:
        return plan.advance(step, state, memories, live=True)

    jaxpr = jax.make_jaxpr(body)(carry.step, carry.state, carry.memories)
    return dict(collectives(jaxpr)), asked


def _refuse(shared: frozenset[Any], found: dict[Any, str], asked: dict[str, Any]) -> None:
    blamed = [who for who, axes in asked.items() if axes & shared]
    stop = f"{blamed[0]}: its stop" if blamed else "iterate: the stop before the first step"
    name, axis = named(shared & asked[blamed[0]] if blamed else shared)
    raise ValueError(
        f"{stop} differs across the mesh axis {axis}, over which the loop's body holds a "
        f"collective, {found[name]}: the devices that go on would wait for ever for those that "
        f"stopped; stop together, with agree(stop, {axis}) or agree(callback, {axis})"
    )
