"""How a loop hears its callbacks: one normal form for every kind, resolved while tracing.

A `Listener` is a callback as the loop sees it: a name of its own, an `init` if it has memory, and
a handler an event. A handler passes the context its function names, checks what comes back, and
keeps the memory of a finished lane as it was.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import dtypes

from .._core.checks import as_arrays, nearest
from .._core.values import maker_of
from .callback import RUN_EVENTS, Callback, callback_name
from .handlers import INIT_CONTEXT, Caller, Calls, Handler, Nest, Overheard, caller, in_turn

MAKERS = "jfoundations.callbacks.", "jfoundations._loops.when"


@dataclass(frozen=True)
class Listener:
    """A callback as the loop sees it."""

    name: str
    who: str
    init: Caller | None
    handlers: dict[str, Handler]

    def start(self, state: Any, max_steps: int | None) -> Any:
        """Return the first memory, `()` where there is none; `max_steps` is None in a scan's."""
        return in_turn(self.begin(state, max_steps))

    def begin(self, state: Any, max_steps: int | None) -> Calls:
        """Do so as a generator, which yields what is to be called within."""
        if self.init is None:
            return ()
        try:
            words = {} if max_steps is None else {"max_steps": max_steps}
            memory = self.init(state, context=words)
            if isinstance(memory, Nest):
                return (yield from memory.calls)
            return as_arrays(memory, f"{self.who}, init")
        except Exception as error:
            error.add_note(f"in {self.who}, init")
            raise


def overheard(part: Listener, note: Callable[[str, Any], None]) -> Listener:
    """Return a listener that tells `note` who it is, event included, and its stop."""
    handlers: dict[str, Handler] = {
        event: Overheard(h.caller, h.has_memory, h.who, note) for event, h in part.handlers.items()
    }
    return dataclasses.replace(part, handlers=handlers)


def listen(
    callbacks: tuple[Any, ...], stages: tuple[str, ...], given: Container[str]
) -> list[Listener]:
    """Bring callbacks into their normal form, or say what is wrong with one.

    Args:
        callbacks: flat, of any kind.
        stages: the names of the step's stages, if it is a Pipe.
        given: of the context words that not every loop has, those that this one has.

    Raises:
        TypeError: a callback is of no known kind, or needs context there is not.
        ValueError: it has an event there is not.
    """
    known = (*RUN_EVENTS, *(f"{when}_{s}" for s in stages for when in ("before", "after")))
    known = dict.fromkeys(known)
    names = unique([callback_name(c) for c in callbacks])
    return [
        listener(c, name, f"callback {k + 1} of {len(names)}, {name}", known, given)
        for k, (c, name) in enumerate(zip(callbacks, names, strict=True))
    ]


def unique(names: list[str], *reserved: str) -> list[str]:
    """Number repeated names from the second on: `history`, `history_2`.

    The first of a name keeps it, and no number makes a name that another has: `a, a_2, a` become
    `a, a_2, a_3`.
    """
    taken, last = {*names, *reserved}, dict.fromkeys(reserved, 1)
    out = []
    for name in names:
        if name not in last:
            last[name] = 1
            out.append(name)
            continue
        while (numbered := f"{name}_{last[name] + 1}") in taken:
            last[name] += 1
        taken.add(numbered)
        out.append(numbered)
    return out


def listener(
    callback: Any, name: str, who: str, known: Iterable[str] | None, given: Container[str]
) -> Listener:
    """Return one callback's normal form; `known=None` leaves its events unchecked."""
    init, functions = events_of(callback, who)
    bare = init is None and isinstance(callback, Callback)
    hint = "; of (memory, state) it needs its init: Callback(init, …)" if bare else ""
    handlers = {}
    for event, function in functions.items():
        if known is not None and event not in known:
            raise ValueError(
                f"{who}: no event is called {event!r}; "
                f"the events are {', '.join(known)}{_event_cure(event, known)}"
            )
        where = f"{who}, {event}"
        has_memory = init is not None
        found = caller(function, 1 + has_memory, where, given, hint=hint)
        handlers[event] = Handler(found, has_memory, where)
    start = None if init is None else caller(init, 1, f"{who}, init", given, INIT_CONTEXT)
    return Listener(name, who, start, handlers)


def _event_cure(event: str, known: Iterable[str]) -> str:
    if len(list(known)) > len(RUN_EVENTS):
        return nearest(event, known)
    stage = event.removeprefix("before_").removeprefix("after_")
    return nearest(event, known, 0.8) or (
        f"; the step has no stages: to have one heard, name it, as the step Pipe({stage}=step)"
    )


def is_event(name: str) -> bool:
    """Tell whether a method of that name hears an event."""
    return name.startswith(("before_", "after_"))


def events_of(callback: Any, who: str) -> tuple[Any, dict[str, Callable[..., Any]]]:
    """Return a callback's `init` (or None) and its functions by event."""
    if isinstance(callback, Callback):
        return callback.init, dict(callback.events)
    if isinstance(callback, type):
        name = callback.__name__
        raise TypeError(f"{who}: it is the class {name} itself; give an instance of it: {name}(…)")
    methods = {
        event: method
        for event in dir(callback)
        if is_event(event) and callable(method := getattr(callback, event, None))
    }
    if methods:
        return None, methods
    if name := maker_of(callback, *MAKERS):
        raise TypeError(f"{who}: {name} itself is no callback but makes one; call it: {name}(…)")
    if name := maker_of(callback, "jfoundations.folds"):
        raise TypeError(f"{who}: {name} makes a fold; to feed one, give watch(folds.{name}(…))")
    if callable(callback):
        return None, {"after_step": callback}
    raise TypeError(
        f"{who}: {callback!r} is no callback; give a function state -> (state, stop), an object "
        f"with methods among {', '.join(RUN_EVENTS)}, or a Callback (proceed does nothing)"
        f"{_cure(callback)}"
    )


def _cure(wrong: Any) -> str:
    if isinstance(wrong, list | tuple):
        return "; unpack several: *callbacks"
    if type(wrong).__name__ == "Fold":
        return "; of a fold, watch(fold) makes one"
    if hasattr(wrong, "dtype") and jnp.issubdtype(wrong.dtype, dtypes.prng_key):
        return "; a key is given by its name, key=…"
    return ""


def fire(
    event: str,
    listeners: list[Listener],
    state: Any,
    memories: tuple[Any, ...],
    context: dict[str, Any],
) -> tuple[Any, tuple[Any, ...], Any]:
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
    state: Any,
    memories: Sequence[Any],
    context: dict[str, Any],
) -> Calls:
    """Let all listeners hear an event, in order: `(state, memories, a stop each)`."""
    new, stops = list(memories), [False] * len(listeners)
    for k, part in enumerate(listeners):
        if (handler := part.handlers.get(event)) is not None:
            new[k], state, stops[k] = yield handler.hear(new[k], state, context)
    return state, tuple(new), stops


def any_of(stops: Sequence[Any]) -> Any:
    """Return the OR of stops, any of which may be Python False."""
    able = [stop for stop in stops if stop is not False]
    return functools.reduce(operator.or_, able) if able else False


def _bit(stop: Any, k: int, who: str) -> Any:
    if stop is False:
        return False
    if k >= 32:
        raise ValueError(
            f"{who}: it can stop, but only the first 32 callbacks of a loop have a bit to say so; "
            "put those that stop first"
        )
    return stop.astype(jnp.uint32) << k


def merge_bits(a: Any, b: Any) -> Any:
    """Return the OR of two masks, either of which may be Python False."""
    return b if a is False else a if b is False else a | b
