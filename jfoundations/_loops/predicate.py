"""Stop predicates: callbacks of which the stop matters, joined by `|`, `&` and `~`.

`stop_when`, `when`, `every` and the stopping callbacks of `jfoundations.callbacks` make them. On
the other side of `|` and `&` any callback may stand. All members are heard in every step, each
with its own memory; the whole is one callback, with one stop and a name that says what it is.

>>> import jfoundations as jf
>>> low = jf.stop_when(lambda x: x < 1.0, name="low")
>>> odd = jf.stop_when(lambda x, *, step: step % 2 == 0, name="odd")
>>> result = jf.iterate(lambda x: x / 2, 8.0, low & odd, max_steps=99)
>>> int(result.steps), result.reasons
(5, ('low & odd',))
>>> jf.iterate(lambda x: x / 2, 8.0, ~low | odd, max_steps=99).reasons
('~low | odd',)
"""

import functools
import operator
from abc import abstractmethod
from collections.abc import Container, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.values import hold, release
from .callback import Callback, Chain, callback_name
from .handlers import GIVEN, Calls, Nest, freeze
from .listener import Listener, any_of, hear_all, listener, unique

BINDING = ("|", "&", "~")  # from the weakest on, as in Python
ASKED = "asked"


@jax.tree_util.register_pytree_with_keys_class
class StopPredicate(Callback):
    """A callback that may ask to stop, and so can be joined with others.

    `a | b` asks when either does, `a & b` when both do within one step, `~a` when `a` does not.
    `result.memory` has the members' memories under the whole's name: a dict by the members' names.
    A stop in `before_run` counts for `|` and `&` as one in a step does; `~a` asks nothing there.

    Raises:
        TypeError: it is used as a bool: by `or`, `and`, `not` or `if`.
    """

    __array_ufunc__ = None  # else NumPy would take `array | predicate` apart

    def __or__(self, other: Any) -> "StopPredicate":
        return _join("|", self, other)

    def __ror__(self, other: Any) -> "StopPredicate":
        return _join("|", other, self)

    def __and__(self, other: Any) -> "StopPredicate":
        return _join("&", self, other)

    def __rand__(self, other: Any) -> "StopPredicate":
        return _join("&", other, self)

    def __invert__(self) -> "StopPredicate":
        return _join("~", self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self.name}: whether it asks to stop is known only in a loop, so it is no bool; join "
            "stop predicates by | & ~ and not by or, and, not"
        )


class Composite(StopPredicate):
    """A callback made of others, its parts, which are its children in the tree.

    Each is so once, in however many events it is heard: a nest of them grows with its depth.

    Attributes:
        parts: functions and callbacks.
        setting: what else it is made of, hashable.
        plan: its name, the events it hears, whether it has memory.
    """

    parts: tuple[Any, ...]
    setting: Any
    plan: tuple[str, tuple[str, ...], bool]

    def _put(self, parts: tuple[Any, ...], setting: Any, plan: Any) -> "Composite":
        name, heard, remembers = plan
        call = _heard_with_memory if remembers else _heard_without
        events = tuple((e, functools.partial(call, type(self), setting, parts, e)) for e in heard)
        start = functools.partial(_started, type(self), setting, parts) if remembers else None
        self._set(start, events, name)
        for field, value in (("parts", parts), ("setting", setting), ("plan", plan)):
            object.__setattr__(self, field, value)
        return self

    @staticmethod
    @abstractmethod
    def start(setting: Any, parts: tuple[Any, ...], state: Any, max_steps: int | None) -> Calls:
        """Return the first memory."""

    @staticmethod
    @abstractmethod
    def hear(
        setting: Any, parts: tuple[Any, ...], event: str, memory: Any, state: Any, context: Any
    ) -> Calls:
        """Let the parts hear an event: `(memory, state, stop)`; the memory is None without one."""

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Hashable]:
        """Return the parts as children, plain functions static."""
        keyed = enumerate(map(hold, self.parts))
        return [(jax.tree_util.SequenceKey(k), m) for k, m in keyed], (self.setting, self.plan)

    @classmethod
    def tree_unflatten(cls, structure: Any, held: tuple[Any, ...]) -> "Composite":
        """Rebuild from the parts."""
        return object.__new__(cls)._put(tuple(map(release, held)), *structure)


def _started(
    kind: type[Composite], setting: Any, parts: Any, state: Any, *, max_steps: int | None = None
) -> Nest:
    return Nest(kind.start(setting, parts, state, max_steps))


def _heard_with_memory(
    kind: type[Composite],
    setting: Any,
    parts: Any,
    event: str,
    memory: Any,
    state: Any,
    *,
    _context: Any,
) -> Nest:
    return Nest(kind.hear(setting, parts, event, memory, state, _context))


def _heard_without(
    kind: type[Composite], setting: Any, parts: Any, event: str, state: Any, *, _context: Any
) -> Nest:
    def calls() -> Calls:
        _, new, stop = yield from kind.hear(setting, parts, event, None, state, _context)
        return new, stop

    return Nest(calls())


def _join(op: str, *operands: Any) -> "Joined":
    members: list[Any] = []
    heard, remembers = {"after_step"}, False
    for operand in operands:
        if isinstance(operand, Chain):
            operand = Joined("|", operand.callbacks)  # what a chain's stop is
        # Flat, so that brackets leave no trace: (a | b) | c is a | (b | c).
        same = isinstance(operand, Joined) and operand.op == op != "~"
        members += operand.members if same else (operand,)
        (part,) = listeners((operand,), GIVEN)
        heard |= set(part.handlers)
        remembers |= part.init is not None
    return Joined(op, tuple(members), (heard, remembers))


@jax.tree_util.register_pytree_with_keys_class
class Joined(Composite):
    """Callbacks joined by an operator; made by `|`, `&` and `~`."""

    def __init__(self, op: str, members: tuple[Any, ...], known: Any = None):
        name = _spell(op, members)
        if known is None:
            parts = listeners(members, GIVEN, name)
            heard = {event for part in parts for event in part.handlers} | {"after_step"}
            known = heard, any(part.init is not None for part in parts)
        heard, remembers = known
        self._put(members, op, (name, tuple(sorted(heard)), remembers or _spreads(heard)))

    @property
    def op(self) -> str:
        """How they are joined."""
        return self.setting

    @property
    def members(self) -> tuple[Any, ...]:
        """The callbacks."""
        return self.parts

    @staticmethod
    def start(setting: str, parts: tuple[Any, ...], state: Any, max_steps: int | None) -> Calls:
        """Return the members' memories by name, and where needed who has asked in this step."""
        memory = {}
        heard: set[str] = set()
        for part in first_listeners(parts, max_steps):
            heard |= set(part.handlers)
            if part.init is not None:
                memory[part.name] = yield part.begin(state, max_steps)
        if _spreads(heard):
            memory[ASKED] = jnp.zeros(len(parts), np.bool_)
        return memory

    @staticmethod
    def hear(
        setting: str, parts: tuple[Any, ...], event: str, memory: Any, state: Any, context: Any
    ) -> Calls:
        """Let all members hear an event; the last of a step, `after_step`, decides."""
        op, memory, members = setting, memory or {}, listeners(parts, context)
        memories = [memory.get(part.name, ()) for part in members]
        state, memories, stops = yield from hear_all(event, members, state, memories, context)
        new = {p.name: m for p, m in zip(members, memories, strict=True) if p.init is not None}
        if event in ("before_run", "after_run"):
            return {**memory, **new}, state, False if op == "~" else _decide(op, stops)
        if ASKED in memory:
            asked = memory[ASKED] | jnp.stack([jnp.asarray(stop) for stop in stops])
            stops = [asked[k] for k in range(len(stops))]
            left = jnp.zeros_like(asked) if event == "after_step" else asked
            new[ASKED] = freeze(context["live"], left, memory[ASKED])
        return new, state, _decide(op, stops) if event == "after_step" else False


def _spell(op: str, members: tuple[Any, ...]) -> str:
    def word(member: Any) -> str:
        weaker = isinstance(member, Joined) and BINDING.index(member.op) < BINDING.index(op)
        return f"({member.name})" if weaker else callback_name(member)

    words = list(map(word, members))
    return f"~{words[0]}" if op == "~" else f" {op} ".join(words)


def listeners(members: tuple[Any, ...], given: Container[str], whole: str = "") -> list[Listener]:
    """Return the normal forms of callbacks that are heard within another."""
    names = unique(list(map(callback_name, members)), ASKED)
    return [
        listener(c, name, f"{name} in {whole}" if whole else name, None, given)
        for c, name in zip(members, names, strict=True)
    ]


def first_listeners(members: tuple[Any, ...], max_steps: int | None) -> list[Listener]:
    """Return the normal forms of such callbacks when their memories are made."""
    return listeners(members, GIVEN if max_steps is not None else GIVEN - {"max_steps"})


def _spreads(heard: set[str]) -> bool:
    """Tell whether members may ask at several places of a step, so that it must be noted down."""
    return bool(heard - {"before_run", "after_step", "after_run"})


def _decide(op: str, stops: list[Any]) -> Any:
    """Return the stop of the whole, of members each of which asks or not."""
    if op == "|":
        return any_of(stops)
    if op == "&":
        return (
            functools.reduce(operator.and_, stops) if all(s is not False for s in stops) else False
        )
    stop = any_of(stops)
    return True if stop is False else ~stop
