"""Callbacks made of predicates: when to stop, and when to listen.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> halve = lambda x: x / 2
>>> result = jf.iterate(halve, 1.0, jf.stop_when(lambda x: x < 0.1), max_steps=100)
>>> float(result.state), int(result.steps), result.reasons
(0.0625, 4, ('stop_when',))
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from ._callable import name_of, partial
from ._callback import Chain, callback_name, chain
from ._collectives import check_gate
from ._compat import cond
from ._events import GIVEN, caller, fire, freeze
from ._predicate import StopPredicate, first_listeners, listeners
from ._tree import check_count, check_stop

RUN = ("before_run", "after_run")


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
    found = name_of(predicate)
    name = name or ("stop_when" if found == "lambda" else found)
    return StopPredicate(name=name, after_step=partial(_stop_when, predicate, name))


def _stop_when(predicate: Any, name: str, state: Any, *, _context: Any) -> tuple[Any, Any]:
    return state, caller(predicate, 1, name, _context)(state, context=_context)


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
    one = chain(*callbacks)
    members = tuple(one) if isinstance(one, Chain) else (one,)
    name = "+".join(map(callback_name, members))
    parts = listeners(members, GIVEN)
    events = dict.fromkeys(event for part in parts for event in part.handlers)
    remembers = any(part.init is not None for part in parts)
    run = _gated if remembers else _gated_without_memory
    functions = {e: partial(run, predicate, one, e) for e in events}
    return StopPredicate(partial(_start, one) if remembers else None, name=name, **functions)


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
    return when(partial(_nth, _leaf(n, "every", 1)), *callbacks)


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
    return when(partial(_past, _leaf(n, "after", 0)), *callbacks)


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
    return when(partial(_that, _leaf(n, "once", 1)), *callbacks)


def _leaf(n: Any, who: str, least: int) -> Any:
    return n if hasattr(n, "dtype") else np.int32(check_count(n, "n", who, least=least))


def _nth(n: Any, state: Any, *, step: Any) -> Any:
    return (step + 1) % jnp.asarray(n, np.int32) == 0


def _past(n: Any, state: Any, *, step: Any) -> Any:
    return step >= jnp.asarray(n, np.int32)


def _that(n: Any, state: Any, *, step: Any) -> Any:
    return step + 1 == jnp.asarray(n, np.int32)


def _start(one: Any, state: Any, *, max_steps: int | None = None) -> Any:
    members = tuple(one) if isinstance(one, Chain) else (one,)
    memories = tuple(part.start(state, max_steps) for part in first_listeners(members, max_steps))
    return memories if isinstance(one, Chain) else memories[0]


def _gated_without_memory(
    predicate: Any, one: Any, event: str, state: Any, *, _context: Any
) -> tuple[Any, Any]:
    members = tuple(one) if isinstance(one, Chain) else (one,)
    nothing = ((),) * len(members)
    return _gate(predicate, members, event, nothing, state, _context)[1:]


def _gated(
    predicate: Any, one: Any, event: str, memory: Any, state: Any, *, _context: Any
) -> tuple[Any, Any, Any]:
    chained = isinstance(one, Chain)
    members = tuple(one) if chained else (one,)
    memories = memory if chained else (memory,)
    memories, state, stop = _gate(predicate, members, event, memories, state, _context)
    return (memories if chained else memories[0]), state, stop


def _gate(
    predicate: Any, members: Any, event: str, memories: Any, state: Any, context: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """Run an event of the members where the predicate holds: `(memories, state, stop)`."""
    parts = listeners(members, context)

    def run(live: Any, memories: Any, state: Any) -> tuple[Any, Any, Any]:
        words = {**context, "live": live}
        state, memories, bits = fire(event, parts, state, memories, words)
        return memories, state, bits if bits is False else bits != 0

    live = context["live"]
    if event in RUN:
        return run(live, memories, state)
    holds = caller(predicate, 1, "the predicate of when", context)(state, context=context)
    holds = True if holds is True else check_stop(holds, f"the predicate of when, {event}")
    if not isinstance(holds, Tracer):
        holds = bool(holds)  # known: nothing to select, and an eager callback stays eager
    if holds is False:
        return memories, state, False
    if holds is True:
        return run(live, memories, state)
    if all(part.handlers[event].caller.freezes for part in parts if event in part.handlers):
        # These mask their own writes, so nothing need be copied, however large the memory.
        memories, new, stop = run(holds if live is True else holds & live, memories, state)
        return memories, freeze(holds, new, state), stop if stop is False else stop & holds
    check_gate(holds, partial(run, live), memories, state, who=f"the predicate of when, {event}")
    return _conditional(holds, partial(run, live), memories, state)


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
