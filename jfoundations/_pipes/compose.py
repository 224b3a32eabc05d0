"""Functions made of functions: one after another, and side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import jax

from .._core.values import Structural, hold, name_of, release
from .pipe import Fn, Function, Pipe, check_callable

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
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
    j: Fn[F, Y], i: Fn[E, F], h: Fn[D, E], g: Fn[C, D], f: Fn[X, C], /, *functions: Function
) -> Pipe[Any, Y]: ...
def compose(*functions: Function) -> Pipe[Any, Any]:
    """Return the composition, last first, as in mathematics: `compose(f, g)(x) == f(g(x))`.

    Raises:
        TypeError: one of them is not callable.

    >>> compose(str, abs)(-3)
    '3'
    """
    for k, function in enumerate(functions):
        check_callable(function, f"its function {k + 1}", "compose")
    return Pipe(*reversed(functions))


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, init=False, eq=False, repr=False)
class juxt(Structural, Generic[Z, T]):  # noqa: N801  (the field's name, used like a function)
    """Apply several functions to one value, side by side: `juxt(f, g)(x) == (f(x), g(x))`.

    As a container it holds the functions in order: `len(j)`, iteration, `j[1]`.

    Raises:
        TypeError: one of them is not callable.

    >>> juxt(min, max)([3, 1, 2])
    (1, 3)
    """

    functions: tuple[Function, ...]

    @overload
    def __init__(self: "juxt[Any, tuple[()]]") -> None: ...
    @overload
    def __init__(self: "juxt[X, tuple[A]]", f: Fn[X, A], /) -> None: ...
    @overload
    def __init__(self: "juxt[X, tuple[A, B]]", f: Fn[X, A], g: Fn[X, B], /) -> None: ...
    @overload
    def __init__(
        self: "juxt[X, tuple[A, B, C]]", f: Fn[X, A], g: Fn[X, B], h: Fn[X, C], /
    ) -> None: ...
    @overload
    def __init__(
        self: "juxt[X, tuple[Any, ...]]",
        f: Fn[X, Any],
        g: Fn[X, Any],
        h: Fn[X, Any],
        i: Fn[X, Any],
        /,
        *functions: Fn[X, Any],
    ) -> None: ...
    def __init__(self, *functions: Function) -> None:
        for k, function in enumerate(functions):
            check_callable(function, f"its function {k + 1}", "juxt")
        object.__setattr__(self, "functions", functions)

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """Return the functions as children, plain ones static."""
        return tuple(map(hold, self.functions)), None

    @classmethod
    def tree_unflatten(cls, _: None, held: tuple[Any, ...]) -> "juxt[Any, Any]":
        """Rebuild from the held functions."""
        new = object.__new__(cls)
        object.__setattr__(new, "functions", tuple(map(release, held)))
        return new

    def __call__(self, x: Z) -> T:
        """Return every function's answer to `x`."""
        answers: Any = tuple(function(x) for function in self.functions)
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
