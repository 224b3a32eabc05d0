"""Callbacks made of callbacks: one way to combine them, and the operators `|`, `&` and `~`.

`stop_when`, `when`, `every` and the stopping callbacks of `jfoundations.callbacks` make stop
predicates. On the other side of `|` and `&` any callback may stand. All members are heard in every
step, each with its own memory; the whole is one callback, with one stop and a name that says what
it is.

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
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core.checks import check_function
from .._core.types import PyTree, Stop
from .._core.values import hold, partial, release
from .callback import (
    KEEP,
    Callback,
    CallbackLike,
    Chain,
    Predicate,
    callback_name,
    check_name,
    events_of,
)
from .handlers import Hearing
from .listener import any_of
from .members import Members

RUN = ("before_run", "after_run")
BINDING = ("|", "&", "~")  # from the weakest on, as in Python

# Its name, that without its members', the events, the names of what it remembers, and whether it
# stands for its members.
Settings: TypeAlias = tuple[str, str, tuple[str, ...], tuple[str, ...], bool]
Hear = Callable[Concatenate[Members, ...], Generator[Hearing, Any, Any] | tuple[Any, ...]]


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

    def __or__(self, other: object) -> "Combined":
        return join("|", self, other)

    def __ror__(self, other: object) -> "Combined":
        return join("|", other, self)

    def __and__(self, other: object) -> "Combined":
        return join("&", self, other)

    def __rand__(self, other: object) -> "Combined":
        return join("&", other, self)

    def __invert__(self) -> "Combined":
        return join("~", self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self.name}: whether it asks to stop is known only in a loop, so it is no bool; join "
            "stop predicates by | & ~ and not by or, and, not"
        )


@jax.tree_util.register_pytree_with_keys_class
class Combined(StopPredicate):
    """A callback made of callbacks, its members: `hear` says which of them hear what, and when.

    `when`, `every`, `|`, `&`, `~` and `agree` are made of it, and so is one of your own. At each
    event `hear(members, state)` is a generator that returns `(state, stop)`. In it

    * `state, stops = yield members(state)` lets all members hear the event, one after another;
    * `yield members[0](state)` one of them, and `yield members[1:](state)` some: the answer always
      is the state they leave and a stop each, a bool scalar or Python False; whether any of them
      asks to stop is `functools.reduce(operator.or_, stops, False)`;
    * `yield members(state, where=holds)` does so only where a bool scalar holds;
    * `members.memories`, not yielded, is a tuple of what they remember by now.

    It is a generator so that what it yields is called by the loop and not within it: nests may be
    as deep as one likes, and a member's memory, the lanes of a `vmap` and the collectives of a mesh
    are the loop's to care for. `hear` may name the context words, and two of its own: `event`, the
    event's name, and `predicates`. Members are looked at once a loop, before it is traced.

    It hears the events that its members hear, and `after_step`; `when` lets `before_run` and
    `after_run` through unasked. Its memory is a dict of its members' memories, by their names.

    Args:
        members: callbacks of any kind; a chain is one that stops when any of it does.
        hear: see above. With memory of its own it is `hear(members, own, state)` and returns
            `(own, state, stop)`. It may be a plain function where no member is heard.
        name: how results and messages call it.
        predicates: functions `state -> value` that `hear` asks: its word `predicates` has them, to
            be called with a state alone. They themselves may name the context words.
        own: what it remembers itself: functions `state -> memory`, by the names under which these
            stand among the members' memories; `hear` is given, and returns, a dict.
        transparent: whether it stands for its members, as `when` does: it has their name, hears
            their events alone, and its memory is the member's (of several, their tuple).

    Raises:
        TypeError: a member is no callback, or `hear`, a predicate or an init not callable.
        ValueError: it is transparent and has memory of its own.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> def majority(*callbacks):  # asks to stop when most of its members do
    ...     def hear(members, state):
    ...         state, stops = yield members(state)
    ...         return state, 2 * jnp.sum(jnp.array(stops)) > len(stops)
    ...     return jf.Combined(callbacks, hear, name="majority")
    >>> above = lambda n: jf.stop_when(lambda x: x > n)
    >>> stop = majority(above(3), above(5), above(9))
    >>> int(jf.iterate(lambda x: x + 1, 0, stop, max_steps=20).state)
    6

    With a predicate, and memory of its own:

    >>> def before(predicate, callback):  # lets a callback hear until a predicate has held once
    ...     def hear(members, own, state, *, predicates):
    ...         over = own["over"] | predicates[0](state)
    ...         state, stops = yield members(state, where=~over)
    ...         return {"over": over}, state, stops[0]
    ...     own = {"over": lambda state: jnp.array(False)}
    ...     return jf.Combined([callback], hear, name="before", predicates=[predicate], own=own)
    >>> double = lambda x: (2 * x, False)
    >>> result = jf.iterate(lambda x: x + 1, 0, before(lambda x: x > 9, double), max_steps=6)
    >>> int(result.state), result.memory
    (17, {'before': {'over': Array(True, dtype=bool)}})
    """

    members: tuple[Any, ...]
    hear: Hear
    predicates: tuple[Callable[..., Any], ...]
    own: dict[str, Callable[..., Any]]
    kind: str
    transparent: bool

    def __init__(
        self,
        members: Sequence[CallbackLike],
        hear: Hear,
        *,
        name: str = "combined",
        predicates: Sequence[Predicate] = (),
        own: Mapping[str, Callable[..., PyTree]] | None = None,
        transparent: bool = False,
    ):
        who = f"Combined {check_name(name, 'Combined')}"
        members = tuple(map(_as_one, members))
        predicates, own = tuple(predicates), dict(own or {})
        check_function(hear, "hear", who, "a generator function of (members, state)")
        for predicate in predicates:
            check_function(predicate, "a predicate", who, "a function state -> value")
        for key, init in own.items():
            check_function(init, f"own[{key!r}]", who, "a function state -> memory")
        if transparent and own:
            raise ValueError(f"{who}: it is transparent, so its memory has no place for own")
        heard = {e for m in members for e in events_of(m, f"{callback_name(m)} in {name}")[1]}
        if KEEP in heard:
            keeper = next(callback_name(m) for m in members if KEEP in events_of(m, who)[1])
            raise ValueError(
                f"{name}: {keeper} keeps all that a loop carries, and so cannot stand within "
                "another callback; give it to the loop itself"
            )
        heard |= set() if transparent else {"after_step"}
        title = "+".join(map(callback_name, members)) if transparent and members else name
        static = title, name, tuple(sorted(heard)), tuple(own), transparent
        self._put(hear, predicates, own.values(), members, static)

    def _put(
        self,
        hear: Hear,
        predicates: tuple[Predicate, ...],
        inits: Iterable[Callable[..., PyTree]],
        members: tuple[CallbackLike, ...],
        static: Settings,
    ) -> None:
        name, kind, heard, keys, transparent = static
        self._set(None, tuple((event, hear) for event in heard), name)
        own = dict(zip(keys, inits, strict=True))
        fields = {"members": members, "hear": hear, "predicates": predicates, "own": own}
        fields |= {"kind": kind, "transparent": transparent}
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Hashable]:
        """Return functions and members as children, plain functions static.

        Members that are combined themselves are taken apart here, level by level: JAX walks down
        a tree by recursion, of which Python allows little.

        @private
        """
        nodes, children, shapes = [self], [], []
        for node in nodes:
            inner = tuple(isinstance(m, Combined) for m in node.members)
            nodes += [m for m in node.members if isinstance(m, Combined)]
            outer = [m for m in node.members if not isinstance(m, Combined)]
            children += [node.hear, *node.predicates, *node.own.values(), *outer]
            heard = tuple(event for event, _ in node.events)
            static = node.name, node.kind, heard, tuple(node.own), node.transparent
            shapes.append((static, len(node.predicates), inner))
        keyed = enumerate(map(hold, children))
        return [(jax.tree_util.SequenceKey(k), child) for k, child in keyed], tuple(shapes)

    @classmethod
    def tree_unflatten(cls, structure: Any, held: tuple[PyTree, ...]) -> "Combined":
        """Rebuild from functions and members.

        @private
        """
        nodes: list[Combined] = [object.__new__(cls) for _ in structure]
        children, within = map(release, held), iter(nodes[1:])
        take = lambda n: tuple(next(children) for _ in range(n))  # noqa: E731
        for node, (static, n_predicates, inner) in zip(nodes, structure, strict=True):
            hear, predicates, inits = next(children), take(n_predicates), take(len(static[3]))
            members = tuple(next(within if i else children) for i in inner)
            node._put(hear, predicates, inits, members, static)
        return nodes[0]


def _as_one(callback: CallbackLike) -> CallbackLike:
    """Return a chain as one callback, which stops when any of it does, and others as they are."""
    return join("|", *callback.callbacks) if isinstance(callback, Chain) else callback


def join(op: str, *operands: CallbackLike) -> Combined:
    """Return callbacks joined by an operator."""
    members: list[Any] = []
    for operand in map(_as_one, operands):
        # Flat, so that brackets leave no trace: (a | b) | c is a | (b | c).
        if isinstance(operand, Combined) and operator_of(operand) == op != "~":
            members += operand.members
        else:
            members.append(operand)
    words = [_word(op, member) for member in members]
    name = f"~{words[0]}" if op == "~" else f" {op} ".join(words)
    heard = {event for m in members for event in events_of(m, callback_name(m))[1]}
    if heard <= {*RUN, "after_step"}:
        return Combined(members, partial(_vote, op), name=name)
    own = {"asked": partial(_nobody, len(members))}
    return Combined(members, partial(_vote_over_a_step, op), name=name, own=own)


def operator_of(callback: object) -> str:
    """Return the operator by which a callback is joined, or nothing."""
    hear = callback.hear if isinstance(callback, Combined) else None
    if isinstance(hear, partial) and hear.func in (_vote, _vote_over_a_step):
        return hear.args[0]
    return ""


def _word(op: str, member: CallbackLike) -> str:
    its = operator_of(member)
    weaker = its and BINDING.index(its) < BINDING.index(op)
    return f"({callback_name(member)})" if weaker else callback_name(member)


def _vote(op: str, members: Members, state: PyTree, *, event: str) -> Any:
    """Let all members hear an event, of which only one a step lets them ask."""
    state, stops = yield members(state)
    return state, False if op == "~" and event in RUN else _decide(op, stops)


def _nobody(n: int, state: PyTree) -> jax.Array:
    return jnp.zeros(n, np.bool_)


def _vote_over_a_step(
    op: str, members: Members, own: dict[str, Array], state: PyTree, *, event: str
) -> Any:
    """Let all members hear an event; the last of a step, `after_step`, decides."""
    state, stops = yield members(state)
    if event in RUN:
        return own, state, False if op == "~" else _decide(op, stops)
    asked = own["asked"] | jnp.stack([jnp.asarray(stop) for stop in stops])
    if event != "after_step":
        return {"asked": asked}, state, False
    stops = [asked[k] for k in range(len(stops))]
    return {"asked": jnp.zeros_like(asked)}, state, _decide(op, stops)


def _decide(op: str, stops: Sequence[Stop]) -> Any:
    """Return the stop of the whole, of members each of which asks or not."""
    if op == "|":
        return any_of(stops)
    if op == "&":
        able = all(stop is not False for stop in stops)
        return functools.reduce(operator.and_, stops) if able else False
    stop = any_of(stops)
    return True if stop is False else ~stop
