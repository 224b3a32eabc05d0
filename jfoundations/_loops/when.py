"""Callbacks made of predicates: when to stop, and when to listen.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> halve = lambda x: x / 2
>>> result = jf.iterate(halve, 1.0, jf.stop_when(lambda x: x < 0.1), max_steps=100)
>>> float(result.state), int(result.steps), result.reasons
(0.0625, 4, ('stop_when',))
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from .._core.checks import check_function, check_stop, count_leaf
from .._core.compat import cond
from .._core.values import name_of, partial
from .callback import Chain, callback_name, chain
from .collectives import check_gate
from .handlers import GIVEN, Calls, caller, freeze, in_turn
from .listener import Listener, any_of, hear_all
from .predicate import Composite, StopPredicate, first_listeners, listeners

RUN = ("before_run", "after_run")
PREDICATE = "a predicate returns the bool alone, as lambda state: state < 1"


def stop_when(predicate: Callable[..., Any], *, name: str | None = None) -> StopPredicate:
    """Ask to stop after the step at which a predicate of the state holds.

    `|`, `&` and `~` join it with others: `stop_when(small) & stop_when(flat)`.

    Args:
        predicate: `state -> bool scalar`; it may name the context words `step` and `key`.
        name: how `result.reasons` calls it; the predicate's own name unless that is a lambda.

    Raises:
        TypeError: while tracing, when the predicate's answer is no bool scalar.

    >>> def converged(x):
    ...     return abs(x) < 1e-3
    >>> import jfoundations as jf
    >>> jf.iterate(lambda x: 0.5 * x, 1.0, stop_when(converged), max_steps=100).reasons
    ('converged',)
    """
    check_function(predicate, "the predicate", "stop_when", "a function state -> bool")
    found = name_of(predicate)
    name = name or ("stop_when" if found == "lambda" else found)
    return StopPredicate(name=name, after_step=partial(_stop_when, predicate, name))


def _stop_when(predicate: Any, name: str, state: Any, *, _context: Any) -> tuple[Any, Any]:
    stop = caller(predicate, 1, name, _context)(state, context=_context)
    return state, check_stop(stop, f"the predicate of {name}", PREDICATE)


def when(predicate: Callable[..., Any], *callbacks: Any) -> StopPredicate:
    """Let callbacks hear the events of a step only where a predicate of the state holds.

    `before_run` and `after_run` are always heard. The callbacks are chained into one. Under `vmap`
    both sides are computed and selected; a callback that names `live` gates itself instead.

    Args:
        predicate: `value -> bool scalar` of what the event sees; it may name `step` and `key`.
        *callbacks: of any kind.

    Returns:
        A callback with the name and the memory of the callback (of several: their memories'
        tuple).

    Raises:
        TypeError: while tracing, when the predicate's answer is no bool scalar.
        ValueError: inside `shard_map`, while tracing, when the predicate differs over a mesh axis
            over which a callback holds a collective.

    >>> import jfoundations as jf
    >>> cap = when(lambda x: x > 10, lambda x: (x - 10, False))
    >>> int(jf.iterate(lambda x: x + 4, 0, cap, max_steps=5).state)
    10
    """
    check_function(predicate, "the predicate", "when", "a function state -> bool")
    one = chain(*callbacks)
    return Gated.of(predicate, one)


@jax.tree_util.register_pytree_with_keys_class
class Gated(Composite):
    """Callbacks behind predicates, which all must hold; made by `when`.

    Its parts are the predicates, then the callbacks; its setting says how many the former are, and
    whether the callbacks are a chain's, so that their memories are a tuple.
    """

    @classmethod
    def of(cls, predicate: Any, one: Any) -> "Gated":
        """Return a callback (or a chain) behind a predicate."""
        new = object.__new__(cls)
        if isinstance(one, Gated):  # flat: of a nest, all predicates are asked at once
            n, chained = one.setting
            new._put((predicate, *one.parts), (n + 1, chained), one.plan)
            return new
        chained = isinstance(one, Chain)
        members = tuple(one) if chained else (one,)
        parts = listeners(members, GIVEN, "when")
        heard = tuple(dict.fromkeys(event for part in parts for event in part.handlers))
        name = "+".join(map(callback_name, members))
        plan = name, heard, any(part.init is not None for part in parts)
        new._put((predicate, *members), (1, chained), plan)
        return new

    @staticmethod
    def start(setting: Any, parts: tuple[Any, ...], state: Any, max_steps: int | None) -> Calls:
        """Return the callbacks' memories."""
        n, chained = setting
        memories = []
        for part in first_listeners(parts[n:], max_steps):
            memories.append((yield part.begin(state, max_steps)))
        return tuple(memories) if chained else memories[0]

    @staticmethod
    def hear(
        setting: Any, parts: tuple[Any, ...], event: str, memory: Any, state: Any, context: Any
    ) -> Calls:
        """Let the callbacks hear an event where the predicates hold."""
        n, chained = setting
        members = listeners(parts[n:], context)
        memories = ((),) * len(members) if memory is None else memory if chained else (memory,)
        holds = event in RUN or _all_hold(parts[:n], event, state, context)
        if holds is False:
            return memory, state, False
        if holds is True:
            state, new, stops = yield from hear_all(event, members, state, memories, context)
        else:
            state, new, stops = yield from _gate(holds, event, members, state, memories, context)
        return new if chained else new[0], state, any_of(stops)


def every(n: Any, *callbacks: Any) -> StopPredicate:
    """Let callbacks hear every n-th step: those after which n, 2n, 3n, … steps are done.

    Args:
        n: a positive int, or an int32 scalar array; a leaf.
        *callbacks: of any kind.

    Raises:
        ValueError: n is not positive.

    >>> import jfoundations as jf
    >>> double = lambda x: (2 * x, False)
    >>> int(jf.iterate(lambda x: x + 1, 0, every(3, double), max_steps=6).state)
    18
    """
    return when(partial(_nth, count_leaf(n, "n", "every", 1)), *callbacks)


def after(n: Any, *callbacks: Any) -> StopPredicate:
    """Let callbacks hear all but the first n steps.

    What a callback would have remembered of the first steps is left out too: a patience counts
    from there on. To let it look from the start on and only hold its stop back, join it:
    `early_stopping(…) & after(n, stop)` with `stop = lambda state: (state, True)`.

    Args:
        n: an int ≥ 0, or an int32 scalar array; a leaf.
        *callbacks: of any kind.

    Raises:
        ValueError: n is negative.

    >>> import jfoundations as jf
    >>> small = jf.stop_when(lambda x: x < 0.5, name="small")
    >>> int(jf.iterate(lambda x: x / 2, 1.0, jf.callbacks.after(5, small), max_steps=9).steps)
    6
    """
    return when(partial(_past, count_leaf(n, "n", "after", 0)), *callbacks)


def once(n: Any, *callbacks: Any) -> StopPredicate:
    """Let callbacks hear the n-th step alone: that after which n steps are done.

    Args:
        n: a positive int, or an int32 scalar array; a leaf.
        *callbacks: of any kind.

    Raises:
        ValueError: n is not positive.

    >>> import jfoundations as jf
    >>> kick = lambda x: (x + 100, False)
    >>> int(jf.iterate(lambda x: x + 1, 0, jf.callbacks.once(3, kick), max_steps=6).state)
    106
    """
    return when(partial(_that, count_leaf(n, "n", "once", 1)), *callbacks)


def _nth(n: Any, state: Any, *, step: Any) -> Any:
    return (step + 1) % jnp.asarray(n, np.int32) == 0


def _past(n: Any, state: Any, *, step: Any) -> Any:
    return step >= jnp.asarray(n, np.int32)


def _that(n: Any, state: Any, *, step: Any) -> Any:
    return step + 1 == jnp.asarray(n, np.int32)


def _all_hold(predicates: tuple[Any, ...], event: str, state: Any, context: dict[str, Any]) -> Any:
    """Tell whether all predicates hold: a Python bool where that is known."""
    all_hold: Any = True
    for predicate in predicates:
        words = context if all_hold is True else {**context, "live": context["live"] & all_hold}
        holds = caller(predicate, 1, "the predicate of when", context)(state, context=words)
        if holds is not True:
            holds = check_stop(holds, f"the predicate of when, {event}", PREDICATE)
        if not isinstance(holds, Tracer):
            holds = bool(holds)  # known: nothing to select, and an eager callback stays eager
        if holds is False:
            return False
        all_hold = holds if all_hold is True else all_hold if holds is True else all_hold & holds
    return all_hold


def _gate(
    holds: Any, event: str, members: list[Listener], state: Any, memories: Any, context: Any
) -> Calls:
    """Let callbacks hear an event where a traced predicate holds: `(state, memories, stops)`."""
    live = context["live"]
    new, stops = list(memories), [False]
    within = {**context, "live": holds if live is True else holds & live}
    hearing = [k for k, part in enumerate(members) if event in part.handlers]
    masks = lambda k: members[k].handlers[event].caller.freezes  # noqa: E731
    for masked, group in itertools.groupby(hearing, masks):
        places = list(group)
        some, held = [members[k] for k in places], [new[k] for k in places]
        if masked:
            # These mask their own writes, so nothing need be copied, however large the memory.
            after, held, asked = yield from hear_all(event, some, state, held, within)
            state = freeze(holds, after, state)
            stops += [stop if stop is False else stop & holds for stop in asked]
        else:
            run = functools.partial(_run, event, some, context)
            check_gate(holds, run, tuple(held), state, who=f"the predicate of when, {event}")
            held, state, stop = _conditional(holds, run, tuple(held), state)
            stops.append(stop)
        for k, memory in zip(places, held, strict=True):
            new[k] = memory
    return state, tuple(new), stops


def _run(
    event: str, members: list[Listener], context: dict[str, Any], memories: Any, state: Any
) -> tuple[Any, Any, Any]:
    """Let callbacks hear an event: `(memories, state, stop)`."""
    state, memories, stops = in_turn(hear_all(event, members, state, memories, context))
    return memories, state, any_of(stops)


def _conditional(holds: Any, run: Any, memories: Any, state: Any) -> tuple[Any, Any, Any]:
    stops: list[Any] = []

    def yes(memories: Any, state: Any) -> tuple[Any, Any]:
        *new, stop = run(memories, state)
        stops.append(stop)
        return tuple(new), jnp.asarray(stop)

    # `cond` wants equal types on both sides, also where a weakly typed leaf was promoted.
    after = jax.eval_shape(yes, memories, state)

    def cast(tree: Any) -> Any:
        return jax.tree.map(lambda leaf, a: lax.convert_element_type(leaf, a.dtype), tree, after)

    (memories, state), stop = cond(
        holds,
        lambda m, s: cast(yes(m, s)),
        lambda m, s: cast(((m, s), False)),
        memories,
        state,
    )
    return memories, state, False if stops[0] is False else stop
