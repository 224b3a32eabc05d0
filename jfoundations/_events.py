"""How a loop hears its callbacks: one normal form for every kind, resolved while tracing.

A `Listener` is a callback as the loop sees it: a name of its own, an `init` if it has memory, and
a handler an event. A handler passes the context its function names, checks what comes back, and
keeps the memory of a finished lane as it was.
"""

import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable, Container, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._callable import describe, partial
from ._callback import RUN_EVENTS, Callback, callback_name
from ._tree import as_arrays, check_like, check_stop, nearest

CONTEXT = ("step", "key", "live", "max_steps", "x")
INIT_CONTEXT = ("max_steps",)
CURES = {  # of the words that not every loop has
    "key": "the loop has none; pass key= to it",
    "max_steps": "the loop has none; pass max_steps= to it",
    "x": "the loop has none; only the body of as_scan_body has, an element of the scan's xs",
}
GIVEN = frozenset(CONTEXT)
WHOLE = "_context"  # our own wrappers name this to get all of it, to pass on


@dataclass(frozen=True)
class Caller:
    """A user's function with the context words it names.

    Context is keyword-only and only what a function names is passed, so that a new word never
    breaks an old function. `**kwargs` takes `step` and `key`.
    """

    function: Callable[..., Any]
    words: frozenset[str]
    feeds: bool = False  # whether `x` is its second operand, whatever it is called there

    def __call__(self, *operands: Any, context: dict[str, Any]) -> Any:
        """Call the function on its operands and the words it wants."""
        if self.feeds:
            operands = (*operands, context["x"])
        words = {w: context[w] for w in self.words if w in context}
        if WHOLE in self.words:
            words[WHOLE] = context
        return self.function(*operands, **words)

    @property
    def freezes(self) -> bool:
        """Whether the function itself keeps the memory of a finished lane as it was."""
        return "live" in self.words or WHOLE in self.words


class NoElement(TypeError):
    """Raised where a function needs an `x`, and the loop has none."""


def caller(
    function: Callable[..., Any],
    operands: int,
    who: str,
    given: Container[str],
    known: tuple[str, ...] = CONTEXT,
    *,
    feeds: bool = False,
) -> Caller:
    """Find which context words a function of some positional operands wants.

    Args:
        function: the user's.
        operands: how many there are.
        who: how messages call it.
        given: of the words that not every loop has, those that this one has.
        known: the words there are.
        feeds: whether one more operand would be the `x`.

    Raises:
        TypeError: it needs an argument that is no context word, or a word that was not given.
    """
    left = operands
    words: set[str] = set()
    fed: str | None = None  # the parameter that takes the x by its place
    parameters = _parameters(function)
    for parameter in parameters or ():
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            left = 0
        elif parameter.kind is parameter.VAR_KEYWORD:
            words |= {"step", "key"} & set(known)
        elif left > 0 and parameter.kind is not parameter.KEYWORD_ONLY:
            left -= 1
        elif parameter.name in (*known, WHOLE):
            if required and parameter.name in CURES and parameter.name not in given:
                kind = NoElement if parameter.name == "x" else TypeError
                raise kind(f"{who}: it names {parameter.name}, but {CURES[parameter.name]}")
            words.add(parameter.name)
        elif required and feeds and fed is None and parameter.kind is not parameter.KEYWORD_ONLY:
            fed = parameter.name
        elif required:
            raise TypeError(_unknown(parameter.name, who, known))
    if left > 0 and parameters is not None:
        takes = {0: "no argument", 1: "one argument"}[operands - left]
        given_ = "(memory, state)" if operands == 2 else "the state"
        raise TypeError(
            f"{who}: it takes {takes} by position, and is called with {given_}; write "
            f"{'lambda memory, state: …' if operands == 2 else 'lambda state: …'}"
        )
    if fed is not None and "x" not in given:
        raise NoElement(_unknown(fed, who, known))
    return Caller(function, frozenset(words), fed is not None)


def _unknown(name: str, who: str, known: tuple[str, ...]) -> str:
    return (
        f"{who}: it needs {name!r}, which a loop does not know; context is {', '.join(known)}"
        f"{nearest(name, known)} (bind other arguments with partial; call what makes a callback; "
        "a callback of (memory, state) needs its init: Callback(init, after_step=…))"
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    bound: Iterable[str] = ()
    if isinstance(function, partial | functools.partial | jax.tree_util.Partial):
        bound = function.keywords
        function = functools.partial(function.func, *function.args)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # some builtins have none
        return None
    return [p for p in parameters if p.name not in bound]


def _cure_of(error: Exception) -> str:
    if not isinstance(error, jax.errors.TracerBoolConversionError):
        return ""
    return (
        ": in a loop if, and, or, not cannot look at values; return the comparison itself as the "
        "stop, and choose between states by jnp.where"
    )


Calls = Generator[Any, Any, Any]  # yields generators of its kind, is sent what they return


@dataclass(frozen=True)
class Nest:
    """What a callback made of others answers: the calls of those, still to be made."""

    calls: Calls


def in_turn(calls: Calls) -> Any:
    """Make calls, and those that they yield, without recursion, however deep callbacks are nested.

    In a traced loop each level would be many frames of Python's, of which there are few.
    """
    waiting, resume = [calls], functools.partial(next, calls)
    while True:
        try:
            inner = resume()
        except StopIteration as done:
            waiting.pop()
            if not waiting:
                return done.value
            resume = functools.partial(waiting[-1].send, done.value)
        except Exception as error:
            waiting.pop()
            if not waiting:
                raise
            resume = functools.partial(waiting[-1].throw, error)
        else:
            waiting.append(inner)
            resume = functools.partial(next, inner)


@dataclass(frozen=True)
class Handler:
    """One event's function, called as `(memory, state, context) -> (memory, state, stop)`."""

    caller: Caller
    has_memory: bool
    who: str

    def __call__(self, memory: Any, state: Any, context: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Call the function, check its answer and freeze the memory of a finished lane."""
        return in_turn(self.hear(memory, state, context))

    def hear(self, memory: Any, state: Any, context: dict[str, Any]) -> Calls:
        """Do so as a generator, which yields what is to be called within."""
        operands = (memory, state) if self.has_memory else (state,)
        try:
            answer = self.caller(*operands, context=context)
            if isinstance(answer, Nest):
                answer = yield from answer.calls
        except StopIteration as error:
            raise RuntimeError(
                f"{self.who}: it raised StopIteration; to stop the loop return True as the stop"
            ) from error
        except Exception as error:
            error.add_note(f"in {self.who}{_cure_of(error)}")
            raise
        new_memory, new_state, stop = self._parts(answer, memory)
        check_like(new_state, state, self.who)
        stop = check_stop(stop, self.who)
        if self.has_memory:
            check_like(new_memory, memory, self.who, "memory")
            if not self.caller.freezes:
                new_memory = freeze(context["live"], new_memory, memory)
        return new_memory, new_state, stop

    def _parts(self, answer: Any, memory: Any) -> tuple[Any, Any, Any]:
        form = "(memory, state, stop)" if self.has_memory else "(state, stop)"
        if not isinstance(answer, tuple) or len(answer) != 2 + self.has_memory:
            raise TypeError(
                f"{self.who}: it returned {_kind(answer)}, a callback returns {form}; "
                "return False as stop if it never stops"
            )
        return answer if self.has_memory else (memory, *answer)


def _kind(answer: Any) -> str:
    if isinstance(answer, tuple):
        return f"a tuple of {len(answer)}"
    if answer is None:
        return "None"
    return f"one {describe(answer) if hasattr(answer, 'dtype') else type(answer).__name__}"


def freeze(live: Any, new: Any, old: Any) -> Any:
    """Return the new values where the lane is live, else the old."""
    if live is True or new is old:
        return new
    return jax.tree.map(functools.partial(_select, live), new, old)


def _select(live: Any, new: Any, old: Any) -> Any:
    if new is old:
        return new
    plain = isinstance(new, jax.Array) and isinstance(old, jax.Array) and new.dtype == old.dtype
    return lax.select(live, new, old) if plain else jnp.where(live, new, old)


@dataclass(frozen=True)
class _Overheard(Handler):
    """A handler whose stops someone else hears of too."""

    note: Callable[[str, Any], None]

    def hear(self, memory: Any, state: Any, context: dict[str, Any]) -> Calls:
        memory, state, stop = yield from super().hear(memory, state, context)
        self.note(self.who, stop)
        return memory, state, stop


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
        event: _Overheard(h.caller, h.has_memory, h.who, note) for event, h in part.handlers.items()
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
    handlers = {}
    for event, function in functions.items():
        if known is not None and event not in known:
            raise ValueError(
                f"{who}: no event is called {event!r}; "
                f"the events are {', '.join(known)}{_event_cure(event, known)}"
            )
        where = f"{who}, {event}"
        has_memory = init is not None
        found = caller(function, 1 + has_memory, where, given)
        handlers[event] = Handler(found, has_memory, where)
    start = None if init is None else caller(init, 1, f"{who}, init", given, INIT_CONTEXT)
    return Listener(name, who, start, handlers)


def _event_cure(event: str, known: Iterable[str]) -> str:
    staged = len(list(known)) > len(RUN_EVENTS)
    if staged or (meant := nearest(event, known, 0.8)):
        return nearest(event, known) if staged else meant
    stage = event.removeprefix("before_").removeprefix("after_")
    return f"; the step has no stages: to have one heard, name it, as the step Pipe({stage}=step)"


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
    if callable(callback):
        return None, {"after_step": callback}
    raise TypeError(
        f"{who}: {callback!r} is no callback; give a function state -> (state, stop), an object "
        f"with methods among {', '.join(RUN_EVENTS)}, or a Callback (proceed does nothing)"
        f"{'; unpack several: *callbacks' if isinstance(callback, list | tuple) else ''}"
    )


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
