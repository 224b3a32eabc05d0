"""Pipelines: named pure functions, one after another.

A [`Pipe`][jfoundations.Pipe] is a value: a callable pytree whose arrays are leaves and whose
functions are static, so that it passes through `jit`, `vmap` and `grad` like any other argument.
`>>` flattens, so how a pipe was bracketed leaves no trace in it.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> def center(x):
...     return x - x.mean()
>>> pipe = center >> jf.Pipe(scale=lambda x: x / jnp.abs(x).max())
>>> pipe
center >> scale
>>> print(pipe(jnp.array([1.0, 2.0, 3.0])))
[-1.  0.  1.]
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import jax

from ._callable import Structural, describe, hold, name_of, release

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
X = TypeVar("X")
Y = TypeVar("Y")


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Pipe(Structural, Generic[A, B]):
    """Named pure functions, one after another: `Pipe(f, g)(x) == g(f(x))`.

    Positional stages take their function's name, keyword stages the keyword; positional ones come
    first. `Pipe()` returns its argument, `>>` joins two pipes (or a pipe and a function) into one
    flat pipe, and `value >> pipe` applies it. Each stage runs in a `jax.named_scope` of its name.
    An exception out of a stage carries a note saying which stage, of which pipe, on which input.

    As a container it holds its stages in order: `len(p)`, iteration, `p[1]`, `p["scale"]` and
    `p[:2]` (a pipe). Two pipes are equal when their names, functions and array leaves are.

    Args:
        *stages: functions of one argument; a Pipe among them contributes its stages.
        **named: the same, with the names given (a Pipe stays one stage of that name).

    Raises:
        TypeError: a stage is not callable.

    >>> p = Pipe(double=lambda x: 2 * x) >> Pipe(inc=lambda x: x + 1)
    >>> p(3), len(p), p["inc"](3), p[:1](3)
    (7, 2, 4, 6)
    >>> (Pipe() >> p) == p == (p >> Pipe())
    True
    """

    names: tuple[str, ...]
    stages: tuple[Callable[[Any], Any], ...]

    # Without this NumPy would take `array >> pipe` apart into an object array.
    __array_ufunc__ = None

    @overload
    def __init__(self: "Pipe[X, X]") -> None: ...
    @overload
    def __init__(self: "Pipe[X, Y]", f: Callable[[X], Y], /) -> None: ...
    @overload
    def __init__(self: "Pipe[X, Y]", f: Callable[[X], C], g: Callable[[C], Y], /) -> None: ...
    @overload
    def __init__(
        self: "Pipe[X, Y]", f: Callable[[X], C], g: Callable[[C], D], h: Callable[[D], Y], /
    ) -> None: ...
    @overload
    def __init__(
        self: "Pipe[Any, Any]", *stages: Callable[..., Any], **named: Callable[..., Any]
    ) -> None: ...
    def __init__(self, *stages: Callable[..., Any], **named: Callable[..., Any]) -> None:
        pairs: list[tuple[str, Callable[..., Any]]] = []
        for k, stage in enumerate(stages):
            _check_callable(stage, f"stage {k + 1}")
            flat = isinstance(stage, Pipe)
            pairs += (
                zip(stage.names, stage.stages, strict=True) if flat else [(name_of(stage), stage)]
            )
        for name, stage in named.items():
            _check_callable(stage, f"stage {name!r}")
            pairs.append((name, stage))
        self._set(tuple(n for n, _ in pairs), tuple(s for _, s in pairs))

    def _set(self, names: tuple[str, ...], stages: tuple[Callable[..., Any], ...]) -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "stages", stages)

    @classmethod
    def _make(cls, names: tuple[str, ...], stages: tuple[Any, ...]) -> "Pipe[Any, Any]":
        pipe = object.__new__(cls)
        pipe._set(names, stages)
        return pipe

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Hashable]:
        """Return the stages as children (plain functions static) and the names as structure."""
        keys = map(jax.tree_util.GetAttrKey, self.names)
        return list(zip(keys, map(hold, self.stages), strict=True)), self.names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], held: tuple[Any, ...]) -> "Pipe[Any, Any]":
        """Rebuild the pipe from its names and stages."""
        return cls._make(names, tuple(map(release, held)))

    def __call__(self, x: A) -> B:
        """Return the last stage's answer to the last but one's, and so on down to `x`."""
        value: Any = x
        for k in range(len(self.stages)):
            value = self.run_stage(k, value)
        return value

    def run_stage(self, k: int, value: Any, call: Callable[..., Any] | None = None) -> Any:
        """Run stage `k` on a value in its named scope, with a note on what it raises.

        Args:
            k: which stage, from 0.
            value: its input.
            call: called in the stage's place (a loop passes context through it).
        """
        try:
            with jax.named_scope(self.names[k]):
                return (call or self.stages[k])(value)
        except Exception as error:
            error.add_note(
                f"in stage {k + 1} of {len(self)}, {self.names[k]!r}, of the pipe {self!r}, "
                f"on {describe(value)}"
            )
            raise

    @overload
    def __rshift__(self, other: "Pipe[B, C]") -> "Pipe[A, C]": ...
    @overload
    def __rshift__(self, other: Callable[[B], C]) -> "Pipe[A, C]": ...
    def __rshift__(self, other: Any) -> "Pipe[Any, Any]":
        return Pipe(self, other) if callable(other) else NotImplemented

    @overload
    def __rrshift__(self, other: Callable[[C], A]) -> "Pipe[C, B]": ...
    @overload
    def __rrshift__(self, other: A) -> B: ...
    def __rrshift__(self, other: Any) -> Any:
        return Pipe(other, self) if callable(other) else self(other)

    def __len__(self) -> int:
        return len(self.stages)

    def __bool__(self) -> bool:
        return True  # an empty pipe is a good pipe: `pipe or default` must not drop it

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.stages)

    @overload
    def __getitem__(self, key: slice) -> "Pipe[Any, Any]": ...
    @overload
    def __getitem__(self, key: int | str) -> Callable[[Any], Any]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, slice):
            return self._make(self.names[key], self.stages[key])
        if not isinstance(key, str):
            return self.stages[key]
        if (count := self.names.count(key)) != 1:
            found = "no stage" if count == 0 else f"{count} stages"
            raise KeyError(f"{found} named {key!r} in the pipe {self!r}; use an index")
        return self.stages[self.names.index(key)]

    def __repr__(self) -> str:
        return " >> ".join(self.names) or "Pipe()"


def _check_callable(stage: Any, which: str) -> None:
    if not callable(stage):
        raise TypeError(
            f"Pipe: {which} is {stage!r}, which is not callable; a stage is a function of one value"
        )


def compose(*functions: Callable[..., Any]) -> Pipe[Any, Any]:
    """Return the composition, last first, as in mathematics: `compose(f, g)(x) == f(g(x))`.

    >>> compose(str, abs)(-3)
    '3'
    """
    return Pipe(*reversed(functions))


@jax.tree_util.register_pytree_node_class
class juxt(Structural):  # noqa: N801  (the field's name, used like a function)
    """Apply several functions to one value, side by side: `juxt(f, g)(x) == (f(x), g(x))`.

    >>> juxt(min, max)([3, 1, 2])
    (1, 3)
    """

    def __init__(self, *functions: Callable[..., Any]):
        for k, function in enumerate(functions):
            _check_callable(function, f"juxt's function {k + 1}")
        self.functions = functions

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """Return the functions as children, plain ones static."""
        return tuple(map(hold, self.functions)), None

    @classmethod
    def tree_unflatten(cls, _: None, held: tuple[Any, ...]) -> "juxt":
        """Rebuild from the held functions."""
        new = object.__new__(cls)
        new.functions = tuple(map(release, held))
        return new

    def __call__(self, x: Any) -> tuple[Any, ...]:
        """Return every function's answer to `x`."""
        return tuple(function(x) for function in self.functions)

    def __repr__(self) -> str:
        return f"juxt({', '.join(map(name_of, self.functions))})"
