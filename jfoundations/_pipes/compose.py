"""Functions made of functions: one after another, and side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, overload

from .._core.pytrees import function, pytree
from .._core.types import Function
from .._core.values import Structural, name_of
from .pipe import Fn, Pipe
from .stages import check_callable

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
X = TypeVar("X")
Y = TypeVar("Y")
Z = TypeVar("Z")
T = TypeVar("T", bound=tuple[Any, ...])


@overload
def compose() -> Pipe[X, X]: ...
@overload
def compose(f: Fn[X, Y], /) -> Pipe[X, Y]: ...
@overload
def compose(g: Fn[C, Y], f: Fn[X, C], /) -> Pipe[X, Y]: ...
@overload
def compose(h: Fn[D, Y], g: Fn[C, D], f: Fn[X, C], /) -> Pipe[X, Y]: ...
@overload
def compose(i: Fn[E, Y], h: Fn[D, E], g: Fn[C, D], f: Fn[X, C], /) -> Pipe[X, Y]: ...
@overload
def compose(
    j: Fn[Any, Y], i: Function, h: Function, g: Function, f: Function, /, *functions: Function
) -> Pipe[Any, Y]: ...
def compose(*functions: Function) -> Pipe[Any, Any]:
    """Return the composition, last first, as in mathematics: `compose(f, g)(x) == f(g(x))`.

    See also `Pipe`, first to last and with names.

    Raises:
        TypeError: one of them is not callable.

    >>> compose(str, abs)(-3)
    '3'
    """
    for k, given in enumerate(functions):
        check_callable(given, f"its function {k + 1}", "compose")
    return Pipe(*reversed(functions))


@pytree
class juxt(Structural, Generic[Z, T]):  # noqa: N801  (the field's name, used like a function)
    """Apply several functions to one value, side by side: `juxt(f, g)(x) == (f(x), g(x))`.

    See also `combine`, which does so with folds; `compose`, one function after another.

    As a container it holds the functions in order: `len(j)`, iteration, `j[1]`.

    Raises:
        TypeError: one of them is not callable.

    >>> juxt(min, max)([3, 1, 2])
    (1, 3)
    """

    functions: tuple[Function, ...] = function()

    @overload
    def __init__(self: juxt[Any, tuple[()]]) -> None: ...
    @overload
    def __init__(self: juxt[X, tuple[A]], f: Fn[X, A], /) -> None: ...
    @overload
    def __init__(self: juxt[X, tuple[A, B]], f: Fn[X, A], g: Fn[X, B], /) -> None: ...
    @overload
    def __init__(
        self: juxt[X, tuple[A, B, C]], f: Fn[X, A], g: Fn[X, B], h: Fn[X, C], /
    ) -> None: ...
    @overload
    def __init__(
        self: juxt[X, tuple[Any, ...]],
        f: Fn[X, Any],
        g: Fn[X, Any],
        h: Fn[X, Any],
        i: Fn[X, Any],
        /,
        *functions: Fn[X, Any],
    ) -> None: ...
    def __init__(self, *functions: Function) -> None:
        for k, given in enumerate(functions):
            check_callable(given, f"its function {k + 1}", "juxt")
        object.__setattr__(self, "functions", functions)

    def __call__(self, x: Z) -> T:
        """Return every function's answer to `x`."""
        answers: Any = tuple(f(x) for f in self.functions)
        return answers

    def __len__(self) -> int:
        return len(self.functions)

    def __bool__(self) -> bool:
        return True  # of no functions it is a good function still

    def __iter__(self) -> Iterator[Function]:
        return iter(self.functions)

    def __getitem__(self, k: int) -> Function:
        return self.functions[k]

    def __repr__(self) -> str:
        return f"juxt({', '.join(map(name_of, self.functions))})"
