"""How a user's function is called: with the context it names, its answer checked.

A `Handler` is one event's function of one callback. It is heard as a generator, which yields the
calls to be made within it, so that callbacks made of others may be nested as deep as one likes.
"""

import functools
import inspect
from collections.abc import Callable, Container, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core.checks import check_like, check_stop, nearest
from .._core.types import Function, Live, PyTree
from .._core.values import Code, describe, partial

CONTEXT = ("step", "key", "live", "max_steps", "x")
INIT_CONTEXT = ("max_steps",)
CURES = {  # of the words that not every loop has
    "key": "the loop has none; pass key= to it",
    "max_steps": "the loop has none; pass max_steps= to it",
    "x": "the loop has none; only the body of as_scan_body has, an element of the scan's xs",
}
GIVEN = frozenset(CONTEXT)
Context: TypeAlias = Mapping[str, PyTree]  # the words of an event


@dataclass(frozen=True, eq=False, repr=False)
class Caller:
    """A user's function with the context words it names.

    Context is keyword-only and only what a function names is passed, so that a new word never
    breaks an old function. `**kwargs` takes `step` and `key`.
    """

    function: Callable[..., Any]
    words: frozenset[str]
    feeds: bool = False  # whether `x` is its second operand, whatever it is called there

    def __call__(self, *operands: PyTree, context: Context) -> Any:
        """Call the function on its operands and the words it wants."""
        if self.feeds:
            operands = (*operands, context["x"])
        words = {w: context[w] for w in self.words if w in context}
        return self.function(*operands, **words)

    @property
    def freezes(self) -> bool:
        """Whether the function itself keeps the memory of a finished lane as it was."""
        return "live" in self.words


class NoElement(TypeError):
    """Raised where a function needs an `x`, and the loop has none."""


def caller(
    function: Function,
    operands: int,
    who: str,
    given: Container[str],
    known: tuple[str, ...] = CONTEXT,
    *,
    feeds: bool = False,
    hint: str = "",
    called: str = "",
) -> Caller:
    """Find which context words a function of some positional operands wants.

    Args:
        function: the user's.
        operands: how many there are.
        who: how messages call it.
        given: of the words that not every loop has, those that this one has.
        known: the words there are.
        feeds: whether one more operand would be the `x`.
        hint: what might be meant by a word that is unknown.
        called: the operands' names; by default `state`, of two `memory, state`.

    Raises:
        TypeError: it needs an argument that is no context word, or a word that was not given.
    """
    left = operands
    words: set[str] = set()
    fed: str | None = None  # the parameter that takes the x by its place
    parameters = parameters_of(function)
    for parameter in parameters or ():
        required = parameter.default is parameter.empty
        if parameter.kind is parameter.VAR_POSITIONAL:
            left = 0
        elif parameter.kind is parameter.VAR_KEYWORD:
            words |= {"step", "key"} & set(known)
        elif left > 0 and parameter.kind is not parameter.KEYWORD_ONLY:
            left -= 1
        elif parameter.name in known:
            if required and parameter.name in CURES and parameter.name not in given:
                kind = NoElement if parameter.name == "x" else TypeError
                raise kind(f"{who}: it names {parameter.name}, but {CURES[parameter.name]}")
            words.add(parameter.name)
        elif required and feeds and fed is None and parameter.kind is not parameter.KEYWORD_ONLY:
            fed = parameter.name
        elif required:
            raise TypeError(_unknown(parameter.name, who, known) + hint)
    if left > 0 and parameters is not None:
        takes = ("no argument", "one argument", "two arguments")[operands - left]
        called = called or ("state" if operands == 1 else "memory, state")
        given_ = f"({called})" if operands > 1 else f"the {called}"
        raise TypeError(
            f"{who}: it takes {takes} by position, and is called with {given_}; write "
            f"lambda {called}: …"
        )
    if fed is not None and "x" not in given:
        raise NoElement(_unknown(fed, who, known))
    return Caller(function, frozenset(words), fed is not None)


def _unknown(name: str, who: str, known: tuple[str, ...]) -> str:
    return (
        f"{who}: it needs {name!r}, which a loop does not know; context is {', '.join(known)}"
        f"{nearest(name, known)} (bind other arguments with partial; call what makes a callback)"
    )


def parameters_of(function: Function) -> list[inspect.Parameter] | None:
    """Return what is not bound of a function's parameters, or None where they are not known."""
    bound: Iterable[str] = ()
    if isinstance(function, partial | functools.partial | jax.tree_util.Partial):
        bound, args = function.keywords, function.args
        function = function.func
        if isinstance(function, Code):  # which takes anything
            function, args = function.around(args[0]), args[1:]
        function = functools.partial(function, *args)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # some builtins have none
        return None
    return [p for p in parameters if p.name not in bound]


def cure_of(error: Exception, callback: bool = True) -> str:
    """Return what to do about JAX's error that a traced value is none yet, or nothing."""
    stop = "return the comparison itself as the stop, and " if callback else ""
    cures = {
        jax.errors.TracerBoolConversionError: (
            f"if, and, or, not cannot look at values; {stop}choose between states by jnp.where"
        ),
        jax.errors.TracerArrayConversionError: "NumPy cannot compute with values; use jnp",
        jax.errors.TracerIntegerConversionError: (
            "range and the index of a list cannot look at values; use lax.fori_loop, and index an "
            "array, jnp.array(list)"
        ),
        jax.errors.ConcretizationTypeError: (
            "int, float and item cannot look at values; keep the array, as by x.astype(float)"
        ),
    }
    cure = next((cure for kind, cure in cures.items() if isinstance(error, kind)), "")
    return cure and f": in a loop {cure}"


Calls = Generator[Any, Any, Any]  # yields generators of its kind, is sent what they return


@dataclass(frozen=True, eq=False, repr=False)
class Hearing:
    """A call still to be made, which a user's generator yields."""

    calls: Calls

    def __iter__(self) -> Any:
        raise TypeError(
            "members(…) is only a call still to be made; hear is a generator that yields it: "
            "state, stops = yield members(state)"
        )


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
            inner = inner.calls if isinstance(inner, Hearing) else inner
            if isinstance(inner, Generator):
                waiting.append(inner)
                resume = functools.partial(next, inner)
            else:
                error = TypeError(f"it yielded {_kind(inner)}; yield members(state)")
                resume = functools.partial(waiting[-1].throw, error)


@dataclass(frozen=True, eq=False, repr=False)
class Handler:
    """What a loop does at an event for one callback.

    Attributes:
        who: how messages call it.
        words: the context words that it needs.
        freezes: whether it keeps the memory of a finished lane as it was by itself, so that no
            copy is needed for that.
        hear: `(memory, state, context) -> (memory, state, stop)`, all checked, as a generator
            that yields what is to be called within.
    """

    who: str
    words: frozenset[str]
    freezes: bool
    hear: Callable[[PyTree, PyTree, Context], Calls]


def handler_of(caller: Caller, who: str, *, has_memory: bool) -> Handler:
    """Return the handler that calls a user's function."""
    hear = functools.partial(call_checked, caller, who, has_memory, ())
    return Handler(who, caller.words, caller.freezes, hear)


def call_checked(
    caller: Caller,
    who: str,
    has_memory: bool,
    members: tuple[object, ...],
    memory: PyTree,
    state: PyTree,
    context: Context,
) -> Calls:
    """Call a user's function, check its answer and freeze the memory of a finished lane.

    Args:
        caller: the function; it may be a generator where there are members.
        who: how messages call it.
        has_memory: whether it is called with a memory.
        members: of a combined callback, its first operand.
        memory: anything where there is none, which comes back as it is.
        state: what the event sees.
        context: all words.
    """
    operands = (*members, memory, state) if has_memory else (*members, state)
    try:
        answer = caller(*operands, context=context)
        if members and isinstance(answer, Generator):
            answer = yield from answer
    except StopIteration as error:
        raise RuntimeError(
            f"{who}: it raised StopIteration; to stop the loop return True as the stop"
        ) from error
    except Exception as error:
        error.add_note(f"in {who}{cure_of(error)}")
        raise
    new_memory, new_state, stop = _parts(answer, memory, who, has_memory)
    check_like(new_state, state, who)
    stop = check_stop(stop, who)
    if has_memory:
        check_like(new_memory, memory, who, "memory")
        if not caller.freezes:
            new_memory = freeze(context["live"], new_memory, memory)
    return new_memory, new_state, stop


def _parts(answer: object, memory: PyTree, who: str, has_memory: bool) -> tuple[Any, Any, Any]:
    form = "(memory, state, stop)" if has_memory else "(state, stop)"
    if not isinstance(answer, tuple) or len(answer) != 2 + has_memory:
        raise TypeError(
            f"{who}: it returned {_kind(answer)}, a callback returns {form}; "
            f"{_cure_of_form(answer)}"
        )
    return answer if has_memory else (memory, *answer)


def _cure_of_form(answer: object) -> str:
    if isinstance(answer, Hearing):
        return "write it as a generator, which yields the call: answer = yield members(state)"
    if getattr(answer, "dtype", None) == np.bool_:
        return "of a predicate, stop_when(predicate) makes a callback"
    return "return False as stop if it never stops"


def _kind(answer: object) -> str:
    if isinstance(answer, tuple):
        return f"a tuple of {len(answer)}"
    if answer is None:
        return "None"
    return f"one {describe(answer) if hasattr(answer, 'dtype') else type(answer).__name__}"


def freeze(live: Live, new: PyTree, old: PyTree) -> Any:
    """Return the new values where the lane is live, else the old."""
    if live is True or new is old:
        return new
    return jax.tree.map(functools.partial(_select, live), new, old)


def _select(live: Array, new: PyTree, old: PyTree) -> Any:
    if new is old:
        return new
    plain = isinstance(new, jax.Array) and isinstance(old, jax.Array) and new.dtype == old.dtype
    return lax.select(live, new, old) if plain else jnp.where(live, new, old)
