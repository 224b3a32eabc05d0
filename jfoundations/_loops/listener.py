"""How a loop hears its callbacks: one normal form for every kind, and how an event is told to all.

A `Listener` is a callback as the loop sees it: a name of its own, a start if it has memory, and a
handler an event. Everything that can be known of it before tracing is decided in it.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._core.types import PyTree, Stop
from .handlers import Calls, Context, Handler, in_turn

Memories: TypeAlias = tuple[PyTree, ...]  # a memory a callback, () where it has none
# A uint32 with a bit a callback that asks to stop; Python False where none can.
Mask: TypeAlias = Array | Literal[False]


@dataclass(frozen=True, eq=False, repr=False)
class Start:
    """How a memory is made.

    Attributes:
        words: the context words that this needs.
        begin: `(state, context) -> memory`, as a generator that yields what is to be called within.
    """

    words: frozenset[str]
    begin: Callable[[PyTree, Context], Calls]


@dataclass(frozen=True, eq=False, repr=False)
class Listener:
    """A callback as the loop sees it.

    Attributes:
        name: its own among those of the loop.
        who: how messages call it.
        init: how its memory is made; None where it has none.
        handlers: by event.
        extract: what makes of its memory the answer that tables show; None: the memory.
    """

    name: str
    who: str
    init: Start | None
    handlers: dict[str, Handler]
    extract: Callable[[PyTree], PyTree] | None = None

    def start(self, state: PyTree, max_steps: int | None, others: Memories = ()) -> Any:
        """Return the first memory, `()` where there is none; `max_steps` is None in a scan's."""
        words = {} if max_steps is None else {"max_steps": max_steps}
        return in_turn(self.begin(state, {**words, "others": others}))

    def begin(self, state: PyTree, context: Context) -> Calls:
        """Do so as a generator, which yields what is to be called within."""
        if self.init is None:
            return ()
        try:
            return (yield from self.init.begin(state, context))
        except Exception as error:
            error.add_note(f"in {self.who}, init")
            raise


def overheard(part: Listener, note: Callable[[str, Stop], None]) -> Listener:
    """Return a listener that tells `note` who it is, event included, and its stop."""

    def overhear(handler: Handler, memory: PyTree, state: PyTree, context: Context) -> Calls:
        memory, state, stop = yield from handler.hear(memory, state, context)
        note(handler.who, stop)
        return memory, state, stop

    handlers = {
        event: dataclasses.replace(handler, hear=functools.partial(overhear, handler))
        for event, handler in part.handlers.items()
    }
    return dataclasses.replace(part, handlers=handlers)


def fire(
    event: str,
    listeners: Sequence[Listener],
    state: PyTree,
    memories: Memories,
    context: Context,
) -> tuple[PyTree, Memories, Any]:
    """Run one event through all listeners, in order: `(state, memories, bits)`.

    `bits` has bit k set where listener k asks to stop; Python False when none of them can.
    """
    state, new, stops = in_turn(hear_all(event, listeners, state, memories, context))
    bits: Any = False
    for k, stop in enumerate(stops):
        bits = merge_bits(bits, _bit(stop, k, f"{listeners[k].who}, {event}"))
    return state, new, bits


def hear_all(
    event: str,
    listeners: Sequence[Listener],
    state: PyTree,
    memories: Sequence[PyTree],
    context: Context,
) -> Calls:
    """Let all listeners hear an event, in order: `(state, memories, a stop each)`."""
    new, stops = list(memories), [False] * len(listeners)
    for k, part in enumerate(listeners):
        if (handler := part.handlers.get(event)) is not None:
            new[k], state, stops[k] = yield handler.hear(new[k], state, context)
    return state, tuple(new), stops


def any_of(stops: Sequence[Stop]) -> Any:
    """Return the OR of stops, any of which may be Python False."""
    able = [stop for stop in stops if stop is not False]
    return functools.reduce(operator.or_, able) if able else False


def _bit(stop: Stop, k: int, who: str) -> Any:
    if stop is False:
        return False
    if k >= 32:
        raise ValueError(
            f"{who}: it can stop, but only the first 32 callbacks of a loop have a bit to say so; "
            "put those that stop first"
        )
    return stop.astype(jnp.uint32) << k


def merge_bits(a: Mask, b: Mask) -> Any:
    """Return the OR of two masks, either of which may be Python False."""
    return b if a is False else a if b is False else a | b
