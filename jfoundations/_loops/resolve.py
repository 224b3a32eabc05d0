"""Callbacks brought into their normal form, once, before anything of a loop is traced."""

import functools
from collections.abc import Container, Iterable

from .._core.checks import as_arrays, nearest
from .._core.types import PyTree
from .callback import KEEP, RUN_EVENTS, Callback, CallbackLike, callback_name, events_of
from .combined import Combined
from .handlers import (
    CONTEXT,
    INIT_CONTEXT,
    Caller,
    Calls,
    Context,
    Handler,
    caller,
    handler_of,
    in_turn,
)
from .listener import Listener, Start
from .members import ResolvedCombined


def listen(
    callbacks: tuple[CallbackLike, ...], stages: tuple[str, ...], given: Container[str]
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
    whos = [f"callback {k + 1} of {len(names)}, {name}" for k, name in enumerate(names)]
    for callback, who in zip(callbacks, whos, strict=True):
        for event in events_of(callback, who)[1]:
            if event not in known and event != KEEP:
                raise ValueError(
                    f"{who}: no event is called {event!r}; "
                    f"the events are {', '.join(known)}{_event_cure(event, known)}"
                )
    return [in_turn(_resolve(*each, given)) for each in zip(callbacks, names, whos, strict=True)]


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


def _resolve(callback: CallbackLike, name: str, who: str, given: Container[str]) -> Calls:
    """Return one callback's normal form, as a generator that yields those of its members."""
    if isinstance(callback, Combined):
        try:
            return (yield from _resolve_combined(callback, name, who, given))
        except Exception as error:
            error.add_note(f"in {who}")
            raise
    init, functions = events_of(callback, who)
    bare = init is None and isinstance(callback, Callback)
    hint = "; of (memory, state) it needs its init: Callback(init, …)" if bare else ""
    handlers = {}
    others = ("others",) if KEEP in functions else ()
    for event, function in functions.items():
        where, known = f"{who}, {event}", (*CONTEXT, *others)
        found = caller(function, 1 + (init is not None), where, given, known, hint=hint)
        handlers[event] = handler_of(found, where, has_memory=init is not None)
    if init is None:
        return Listener(name, who, None, handlers)
    found = caller(init, 1, f"{who}, init", given, (*INIT_CONTEXT, *others))
    start = Start(found.words, functools.partial(_begin, found, f"{who}, init"))
    return Listener(name, who, start, handlers, getattr(callback, "extract", None))


def _begin(init: Caller, who: str, state: PyTree, context: Context) -> Calls:
    return as_arrays(init(state, context=context), who)
    yield  # a generator, as that of a combined callback, but of nothing to be called within


def _resolve_combined(callback: Combined, name: str, who: str, given: Container[str]) -> Calls:
    names = unique(list(map(callback_name, callback.members)), *callback.own)
    listeners = []
    for member, its_name in zip(callback.members, names, strict=True):
        listeners.append((yield _resolve(member, its_name, its_name, given)))
    # What is nothing but a predicate is called by its own name in messages.
    asked = f"the predicate of {callback.kind}" if listeners else callback.kind
    operands = ("members", "own", "state") if callback.own else ("members", "state")
    hear = caller(
        callback.hear,
        len(operands),
        f"{who}, hear",
        given,
        (*CONTEXT, "event", "predicates"),
        called=", ".join(operands),
    )
    whole = ResolvedCombined(
        who,
        tuple(listeners),
        hear,
        tuple(caller(predicate, 1, asked, given) for predicate in callback.predicates),
        {
            n: caller(init, 1, f"{who}, {n}", given, INIT_CONTEXT)
            for n, init in callback.own.items()
        },
        callback.transparent,
    )
    asking = hear.words.union(*(predicate.words for predicate in whole.predicates))
    handlers = {}
    for event, _ in callback.events:
        heard = [part.handlers[event] for part in listeners if event in part.handlers]
        words = asking.union(*(handler.words for handler in heard))
        at = functools.partial(whole.at, event)
        handlers[event] = Handler(f"{who}, {event}", words, True, at)
    # Named whether a member needs it or not: a resumed run then checks the memory it is given.
    start = Start(frozenset({"max_steps"}), whole.begin) if whole.remembers else None
    return Listener(name, who, start, handlers, whole.extract)


def _event_cure(event: str, known: Iterable[str]) -> str:
    if len(list(known)) > len(RUN_EVENTS):
        return nearest(event, known)
    stage = event.removeprefix("before_").removeprefix("after_")
    return nearest(event, known, 0.8) or (
        f"; the step has no stages: to have one heard, name it, as the step Pipe({stage}=step)"
    )
