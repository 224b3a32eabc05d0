"""A callback whose stop comes one step late: it remembers that it has asked, and asks then."""

import inspect
from collections.abc import Callable, Generator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..._core.pytrees import function, pytree, static
from ..._core.types import PyTree
from ..._core.values import node
from ..._loops.callback import Callback, Chain, callback_name, events_of
from ..._loops.combined import Combined
from ._mutated import Called


def late(value: Any, note: Callable[..., None]) -> Any:
    """Return a callback whose stop comes one step late.

    Args:
        value: a callback of any kind.
        note: called with the stop there is and the one there was.
    """
    if isinstance(value, Chain):
        return Chain(tuple(late(one, note) for one in value))
    if isinstance(value, Combined) and value.transparent:
        new = object.__new__(type(value))
        members = tuple(late(one, note) for one in value.members)
        heard = tuple(event for event, _ in value.events)
        fixed = value.name, value.kind, heard, (), True
        new._put(value.hear, value.predicates, (), members, fixed)
        return new
    if isinstance(value, Combined):
        own = {**value.own, "late": _nobody}
        return _later(value, LateHear(value.hear, note, len(value.own)), own)
    init, events = events_of(value, "mutants")
    events = {e: f if e == "keep" else Late(f, note, init is not None) for e, f in events.items()}
    kind = LateFunction if callable(value) else Callback
    return kind(LateInit(init) if init else _nobody, name=callback_name(value), **events)


def _later(value: Combined, hear: Any, own: dict[str, Any]) -> Combined:
    new = object.__new__(type(value))
    heard = tuple(event for event, _ in value.events)
    fixed = value.name, value.kind, heard, tuple(own), value.transparent
    new._put(hear, value.predicates, own.values(), value.members, fixed)
    return new


def _nobody(state: PyTree) -> Any:
    return jnp.zeros((), np.bool_)


@pytree
class Carried:
    """A memory, and whether a stop was asked for; else it is as the memory is."""

    memory: Any
    asked: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("memory", "asked"):
            raise AttributeError(name)
        return getattr(self.memory, name)

    def __getitem__(self, key: Any) -> Any:
        return self.memory[key]

    def __jax_array__(self) -> Any:
        return jnp.asarray(self.memory)

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        return np.asarray(self.memory, *args, **keywords)

    def __int__(self) -> int:
        return int(self.memory)

    def __float__(self) -> float:
        return float(self.memory)


@pytree
class LateInit(Called):
    """The memory of a callback that is late, and that nobody has asked yet."""

    function: Any = function()

    def __call__(self, state: PyTree, **words: Any) -> Any:
        return Carried(self.function(state, **words), _nobody(state))


@pytree
class Late(Called):
    """An event whose stop is the one that was asked for a step before."""

    function: Any = function()
    note: Any = static()
    has_memory: bool = static()

    def __call__(self, memory: Any, state: PyTree, **words: Any) -> Any:
        if not self.has_memory:
            state, stop = self.function(state, **words)
            self.note(stop, memory)
            return memory | stop, state, memory
        inner, state, stop = self.function(memory.memory, state, **words)
        self.note(stop, memory.asked)
        return Carried(inner, memory.asked | stop), state, memory.asked

    def _parameters(self, found: list[inspect.Parameter]) -> list[inspect.Parameter]:
        return found if self.has_memory else [_word("memory"), *found]


@pytree
class LateHear(Called):
    """What a combined callback hears, with the stop of a step before."""

    function: Any = function()
    note: Any = static()
    owned: int = static()

    def __call__(self, members: Any, own: Any, state: PyTree, **words: Any) -> Any:
        mine = {key: value for key, value in own.items() if key != "late"}
        answer = self.function(members, *([mine] if mine else []), state, **words)
        if isinstance(answer, Generator):
            answer = yield from answer
        *kept, state, stop = answer
        self.note(stop, own["late"])
        return {**(kept[0] if kept else {}), "late": own["late"] | stop}, state, own["late"]

    def _parameters(self, found: list[inspect.Parameter]) -> list[inspect.Parameter]:
        return found if self.owned else [found[0], _word("own"), *found[1:]]


def _word(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@node
class LateFunction(Callback):
    """A function `state -> (state, stop)`; called by itself, its first stop is yet to come."""

    def __call__(self, state: PyTree, **words: Any) -> Any:
        event = dict(self.events)["after_step"]
        return event(_nobody(state), state, **words)[1:]
