"""How the members of a combined callback hear an event: in turn, or only where a condition holds.

A condition that is known while tracing leaves nothing in the program. Of a traced one the members
that keep the memory of a finished lane by themselves are told that theirs is finished where it
does not hold; the others stand in a `cond`.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import as_arrays, check_stop
from .._core.compat import cond
from .._core.types import Function, Live, PyTree
from .._core.values import partial
from .collectives import check_gate
from .handlers import Caller, Calls, Context, Hearing, call_checked, freeze, in_turn
from .listener import Listener, hear_all


def check_condition(value: ArrayLike, who: str, cure: str = "give a bool scalar") -> Any:
    """Return a bool scalar that is checked: a Python bool where it is known while tracing."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise TypeError(
            f"{who}: it is {value}, a bool is needed; of Python's bools `~` makes integers: "
            "negate by jnp.logical_not"
        )
    value = bool(value) if isinstance(value, bool | np.bool_) else check_stop(value, who, cure)
    return value if isinstance(value, Tracer) else bool(value)


def logical_and(a: Live, b: Live) -> Any:
    """Return the AND of two bools, either of which may be Python True."""
    return b if a is True else a if b is True else a & b


class Members:
    """The members of a combined callback at one event, as its `hear` is given them.

    Called with a state they make a call, which `hear` yields: all of them then hear the event, one
    after another, each with its own memory, and the answer is `(state, stops)`. `members[k]` and
    `members[i:j]` are some of them, called in the same way.
    """

    def __init__(
        self,
        event: str,
        listeners: Sequence[Listener],
        memories: list[PyTree],
        context: Context,
        places: Sequence[int],
    ):
        self._event, self._listeners = event, listeners
        self._memories, self._context, self._places = memories, context, places

    def __call__(self, state: PyTree, *, where: ArrayLike = True, who: str = "where") -> Hearing:
        """Return the call in which the members hear the event.

        Args:
            state: what they are to see.
            where: a bool scalar; where it does not hold, nothing is heard, so that state and
                memories stay as they are and nobody asks to stop. Under `vmap` both sides are
                computed and selected.
            who: how messages call the condition.

        Returns:
            What `hear` yields. It is sent `(state, stops)`: the state that the members leave, and
            a stop each, a bool scalar or Python False.
        """
        return Hearing(self._calls(state, where, who))

    def _calls(self, state: PyTree, where: ArrayLike, who: str) -> Calls:
        listeners = [self._listeners[k] for k in self._places]
        memories = [self._memories[k] for k in self._places]
        holds = check_condition(where, who)
        if holds is False:
            return state, (False,) * len(listeners)
        hear = hear_all if holds is True else functools.partial(_hear_where, holds, who)
        state, memories, stops = yield from hear(
            self._event, listeners, state, memories, self._context
        )
        for k, memory in zip(self._places, memories, strict=True):
            self._memories[k] = memory
        return state, tuple(stops)

    @property
    def memories(self) -> tuple[Any, ...]:
        """What they remember, after the calls so far; `()` of one that has no memory."""
        return tuple(self._memories[k] for k in self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, k: int | slice) -> "Members":
        places = self._places[k] if isinstance(k, slice) else (self._places[k],)
        return Members(self._event, self._listeners, self._memories, self._context, places)

    def __iter__(self) -> Iterator["Members"]:
        return (self[k] for k in range(len(self)))


def _hear_where(
    holds: jax.Array,
    who: str,
    event: str,
    listeners: Sequence[Listener],
    state: PyTree,
    memories: Sequence[PyTree],
    context: Context,
) -> Calls:
    """Let listeners hear an event where a traced condition holds: `(state, memories, stops)`."""
    within = {**context, "live": logical_and(holds, context["live"])}
    new, stops = list(memories), [False] * len(listeners)
    hearing = [k for k, part in enumerate(listeners) if event in part.handlers]
    for freezes, group in itertools.groupby(
        hearing, lambda k: listeners[k].handlers[event].freezes
    ):
        places = list(group)
        some, held = [listeners[k] for k in places], [new[k] for k in places]
        if freezes:
            # These mask their own writes, so nothing need be copied, however large the memory.
            after, held, asked = yield from hear_all(event, some, state, held, within)
            state = freeze(holds, after, state)
            asked = [stop if stop is False else stop & holds for stop in asked]
        else:
            run = functools.partial(_run, event, some, context)
            check_gate(holds, run, tuple(held), state, who=who)
            held, state, asked = _conditional(holds, run, tuple(held), state)
        for k, memory, stop in zip(places, held, asked, strict=True):
            new[k], stops[k] = memory, stop
    return state, new, stops


def _run(
    event: str,
    listeners: Sequence[Listener],
    context: Context,
    memories: tuple[PyTree, ...],
    state: PyTree,
) -> tuple[Any, Any, Any]:
    """Let listeners hear an event: `(memories, state, stops)`, with None for what never stops."""
    state, memories, stops = in_turn(hear_all(event, listeners, state, memories, context))
    return memories, state, tuple(None if stop is False else stop for stop in stops)


def _conditional(
    holds: jax.Array, run: Function, memories: tuple[PyTree, ...], state: PyTree
) -> tuple[Any, Any, Any]:
    # `cond` wants equal types on both sides, also where a weakly typed leaf was promoted.
    after = jax.eval_shape(run, memories, state)
    nobody = jax.tree.map(lambda _: np.False_, after[2])

    def cast(tree: PyTree) -> Any:
        return jax.tree.map(lambda leaf, a: lax.convert_element_type(leaf, a.dtype), tree, after)

    memories, state, stops = cond(
        holds,
        lambda m, s: cast(run(m, s)),
        lambda m, s: cast((m, s, nobody)),
        memories,
        state,
    )
    return memories, state, [False if stop is None else stop for stop in stops]


@dataclass(frozen=True, eq=False, repr=False)
class ResolvedCombined:
    """A combined callback that is resolved: its members' normal forms, its functions' callers.

    Attributes:
        who: how messages call it.
        listeners: the members.
        hear: its function of an event.
        predicates: functions of the state that this may ask.
        own: how what it remembers itself is made, by name.
        transparent: whether its memory is that of its members alone, not a dict by name.
    """

    who: str
    listeners: tuple[Listener, ...]
    hear: Caller
    predicates: tuple[Caller, ...]
    own: dict[str, Caller]
    transparent: bool

    @property
    def remembers(self) -> bool:
        """Whether there is any memory."""
        return bool(self.own) or any(part.init is not None for part in self.listeners)

    @property
    def extract(self) -> Function | None:
        """What makes answers of the memories in its own; None where no member has one."""
        asks = {part.name: part.extract for part in self.listeners if part.extract}
        if not asks or not self.transparent:
            return partial(_by_name, asks) if asks else None
        each = tuple(part.extract for part in self.listeners)
        return each[0] if len(each) == 1 else partial(_in_turn, each)

    def begin(self, state: PyTree, context: Context) -> Calls:
        """Make the memory."""
        memories = []
        for part in self.listeners:
            memories.append((yield part.begin(state, context)))
        own = {
            name: as_arrays(init(state, context=context), f"{self.who}, {name}")
            for name, init in self.own.items()
        }
        return self._pack(own, memories)

    def at(self, event: str, memory: PyTree, state: PyTree, context: Context) -> Calls:
        """Hear an event: `(memory, state, stop)`."""
        own, memories = self._unpack(memory)
        members = Members(event, self.listeners, memories, context, range(len(memories)))
        asks = tuple(functools.partial(_ask, caller, context) for caller in self.predicates)
        words = {**context, "event": event, "predicates": asks}
        who = f"{self.who}, {event}"
        own, state, stop = yield from call_checked(
            self.hear, who, bool(self.own), (members,), own, state, words
        )
        return self._pack(own, memories), state, stop

    def _pack(self, own: dict[str, PyTree], memories: list[PyTree]) -> Any:
        if not self.remembers:
            return ()
        if self.transparent:
            return memories[0] if len(memories) == 1 else tuple(memories)
        named = zip(self.listeners, memories, strict=True)
        return {part.name: memory for part, memory in named if part.init is not None} | own

    def _unpack(self, memory: PyTree) -> tuple[dict[str, Any], list[Any]]:
        if not self.remembers:
            return {}, [()] * len(self.listeners)
        if self.transparent:
            return {}, [memory] if len(self.listeners) == 1 else list(memory)
        memories = [memory.get(part.name, ()) for part in self.listeners]
        return {name: memory[name] for name in self.own}, memories


def _by_name(asks: dict[str, Function], memory: dict[str, PyTree]) -> dict[str, Any]:
    return {name: asks[name](m) if name in asks else m for name, m in memory.items()}


def _in_turn(asks: tuple[Function | None, ...], memory: tuple[PyTree, ...]) -> tuple[Any, ...]:
    return tuple(m if ask is None else ask(m) for ask, m in zip(asks, memory, strict=True))


def _ask(caller: Caller, context: Context, state: PyTree, *, where: Live = True) -> Any:
    """Ask a predicate, which learns as `live` that its lane is finished where `where` fails."""
    words = context if where is True else {**context, "live": logical_and(context["live"], where)}
    return caller(state, context=words)
