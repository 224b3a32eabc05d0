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

from collections.abc import Container, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._callable import hold, partial, release
from ._callback import Callback, Chain, callback_name
from ._events import GIVEN, Listener, fire, freeze, listener, merge_bits, unique

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
        return Joined("~", (self,))

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self.name}: whether it asks to stop is known only in a loop, so it is no bool; join "
            "stop predicates by | & ~ and not by or, and, not"
        )


def _join(op: str, *operands: Any) -> "StopPredicate":
    members: list[Any] = []
    for operand in operands:
        if isinstance(operand, Chain):
            operand = Joined("|", operand.callbacks)  # what a chain's stop is
        # Flat, so that brackets leave no trace: (a | b) | c is a | (b | c).
        same = isinstance(operand, Joined) and operand.op == op
        members += operand.members if same else (operand,)
    return Joined(op, tuple(members))


@jax.tree_util.register_pytree_with_keys_class
class Joined(StopPredicate):
    """Callbacks joined by an operator; made by `|`, `&` and `~`."""

    op: str
    members: tuple[Any, ...]
    plan: tuple[str, tuple[str, ...], bool]  # its name, its events, whether it has memory

    def __init__(self, op: str, members: tuple[Any, ...]):
        name = _spell(op, members)
        parts = listeners(members, GIVEN, name)
        heard = {event for part in parts for event in part.handlers} | {"after_step"}
        remembers = any(part.init is not None for part in parts) or _spreads(heard)
        self._join(op, members, (name, tuple(sorted(heard)), remembers))

    def _join(self, op: str, members: tuple[Any, ...], plan: tuple[str, Any, bool]) -> None:
        name, heard, remembers = plan
        hear = _hear if remembers else _hear_without_memory
        events = tuple((e, partial(hear, op, members, e)) for e in heard)
        self._set(partial(_start, members) if remembers else None, events, name)
        for field, value in (("op", op), ("members", members), ("plan", plan)):
            object.__setattr__(self, field, value)

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Hashable]:
        """Return the members as children, plain functions static."""
        keyed = enumerate(map(hold, self.members))
        return [(jax.tree_util.SequenceKey(k), m) for k, m in keyed], (self.op, self.plan)

    @classmethod
    def tree_unflatten(cls, structure: Any, held: tuple[Any, ...]) -> "Joined":
        """Rebuild from the members."""
        new = object.__new__(cls)
        new._join(structure[0], tuple(map(release, held)), structure[1])
        return new


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


def _start(members: tuple[Any, ...], state: Any, *, max_steps: int | None = None) -> dict[str, Any]:
    parts = first_listeners(members, max_steps)
    memory = {p.name: p.start(state, max_steps) for p in parts if p.init is not None}
    if _spreads({event for part in parts for event in part.handlers}):
        memory[ASKED] = jnp.zeros((), np.uint32)
    return memory


def _hear_without_memory(
    op: str, members: tuple[Any, ...], event: str, state: Any, *, _context: Any
) -> tuple[Any, Any]:
    return _hear(op, members, event, {}, state, _context=_context)[1:]


def _hear(
    op: str, members: tuple[Any, ...], event: str, memory: Any, state: Any, *, _context: Any
) -> tuple[dict[str, Any], Any, Any]:
    """Let all members hear an event; the last of a step, `after_step`, decides."""
    parts = listeners(members, _context)
    memories = tuple(memory.get(part.name, ()) for part in parts)
    state, memories, bits = fire(event, parts, state, memories, _context)
    new = {p.name: m for p, m in zip(parts, memories, strict=True) if p.init is not None}
    if event in ("before_run", "after_run"):
        stop = False if op == "~" or bits is False else _decide(op, len(parts), bits)
        return {**memory, **new}, state, stop
    if ASKED in memory:
        asked = bits = merge_bits(memory[ASKED], bits)
        if event == "after_step":
            asked = jnp.zeros_like(bits)
        new[ASKED] = freeze(_context["live"], asked, memory[ASKED])
    return new, state, _decide(op, len(parts), bits) if event == "after_step" else False


def _decide(op: str, n: int, bits: Any) -> Any:
    """Return the stop of n members, of which those ask whose bit is set."""
    if bits is False:
        return op == "~"
    if op == "&":
        return bits == np.uint32(2**n - 1)
    return bits == 0 if op == "~" else bits != 0
