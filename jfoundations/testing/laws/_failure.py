"""What is said where a law fails: what came, what was expected, and code that repeats it."""

import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar, cast

import jax
import numpy as np
from hypothesis.strategies import SearchStrategy

from ..._core.types import PyTree
from ..._core.values import name_of, partial
from ..checks._same import difference
from ._code import Code, Unwritable, user_space

F = TypeVar("F", bound=Callable[..., None])
HIDDEN = ("jfoundations.testing.", "hypothesis.", "hypothesis_temporary_module_")
LINES = 6  # of what came, and of what was expected


class Breach(AssertionError):
    """What the inside of a law raises: what is wrong, what came, and what was expected."""

    def __init__(self, wrong: str, came: object = None, expected: object = None):
        super().__init__(wrong)
        self.wrong, self.came, self.expected = wrong, came, expected


def claim(holds: bool, wrong: str, came: object, expected: object) -> None:
    """Raise what is wrong unless something holds."""
    if not holds:
        raise Breach(wrong, came, expected)


def same(
    found: PyTree, expected: PyTree, *, what: str, bits: bool = False, **bounds: float
) -> None:
    """Raise what is wrong unless an answer is what was expected; bounds as in `assert_same`."""
    apart = difference(found, expected, bits=bits, **bounds)
    if apart is not None:
        came, wanted = shown(apart.left), shown(apart.right) + _bound(**bounds)
        came += f", {apart.distance}" * bool(apart.distance)
        raise Breach(f"{what}: {apart.where} differs", came, wanted)


def _bound(**bounds: float) -> str:
    said = [f"{name}={size:.3g}" for name, size in bounds.items() if size]
    return f", to {', '.join(said)}" if said else ""


def shown(value: object) -> str:
    """Return a value in few lines.

    >>> shown(np.arange(3.0))
    '[0., 1., 2.] float64'
    """
    if isinstance(value, np.ndarray | jax.Array):
        value = np.asarray(value)
        text = np.array2string(value, separator=", ", threshold=40, edgeitems=4, max_line_width=88)
        return f"{text} {value.dtype}"
    return str(value)


class Call(NamedTuple):
    """A law that was called, and on what."""

    law: Callable[..., None]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def words(self) -> str:
        """Its name, and those of the functions and values that it was given."""
        held = [label(x) for x in self.args if callable(x) or _has_name(x)]
        return f"{self.law.__name__} of {', '.join(held)}" if held else self.law.__name__


CALL: ContextVar[Call | None] = ContextVar("CALL", default=None)


def label(value: object) -> str:
    """Return what a value is called in a message or in the name of a test."""
    if _has_name(value):
        return str(getattr(value, "name", ""))
    held = value.keywords if isinstance(value, partial | functools.partial) else {}
    plain = {k: v for k, v in held.items() if isinstance(v, bool | int | float | str)}
    return "-".join([name_of(value), *(f"{k}={v}" for k, v in plain.items())])


def _has_name(value: object) -> bool:
    return isinstance(getattr(value, "name", None), str)


def report(error: AssertionError, call: Call, values: Mapping[str, Any]) -> str:
    """Return what is said of a failure: the law in words, what was expected, what came, a repro."""
    breach = (
        error if isinstance(error, Breach) else Breach(str(error) or "an assertion in it fails")
    )
    lines = [breach.wrong, f"  law: {call.words}: {_first_line(call.law)}"]
    for name, value in (("expected", breach.expected), ("came", breach.came)):
        if value is not None:
            text = shown(value).splitlines()
            cut = text[:LINES] + ["…"] * (len(text) > LINES)
            lines.append(f"  {name}: " + "\n      ".join(cut))
    lines += [
        "  repro, with the smallest input found:",
        textwrap.indent(repro(call, values), "    "),
    ]
    return "\n".join(lines)


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or function.__name__).splitlines()[0]


def repro(call: Call, values: Mapping[str, Any]) -> str:
    """Return a program that calls a law with given values in the place of drawn ones.

    If a value cannot be written, it calls the law, which draws the same values again.
    """
    code = Code(user_space(), values)
    given, whole = [], True
    for name, value in values.items():
        try:
            given.append(f"{name} = {code.of(value)}")
        except Unwritable as error:
            given.append(f"{name} = {' '.join(str(error).split())}")
            whole = False
    code.imports.add("from jfoundations.testing import laws")
    lost: list[str] = []

    def word(value: object) -> str:
        if whole and isinstance(value, SearchStrategy):
            return "None"  # what is drawn is given
        try:
            return code.of(value)
        except Unwritable:
            lost.append(f"# for ... write {' '.join(repr(value).split())}")
            return "..."

    words = [word(value) for value in call.args]
    for name, value in call.kwargs.items():
        if not whole or not (name == "max_examples" or isinstance(value, SearchStrategy)):
            words.append(f"{name}={word(value)}")
    line = f"laws.{call.law.__name__}({', '.join(words)})"
    if not whole:
        return code.text([*(f"# {one}" for one in given), *lost, line])
    pinned = ", ".join(f"{name}={name}" for name in values)
    return code.text([*given, *lost, f"with laws.example({pinned}):", f"    {line}"])


def law(function: F) -> F:
    """Make a law of a function: where it fails its caller sees the report, and no frame of ours."""

    @functools.wraps(function)
    def held(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        token = CALL.set(Call(function, args, kwargs))
        try:
            return function(*args, **kwargs)
        except AssertionError as error:
            failure = error
        except Exception as error:
            error.__traceback__ = _of_users(error.__traceback__)
            raise
        finally:
            CALL.reset(token)
        raise failure.with_traceback(None) from None

    return cast(F, held)


def _of_users(trace: types.TracebackType | None) -> types.TracebackType | None:
    """Return a traceback without the frames of laws and of Hypothesis."""
    if trace is None:
        return None
    rest, frame = _of_users(trace.tb_next), trace.tb_frame
    if f"{frame.f_globals.get('__name__', '')}.".startswith(HIDDEN):
        return rest
    return types.TracebackType(rest, frame, trace.tb_lasti, trace.tb_lineno)
