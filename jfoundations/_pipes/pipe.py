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

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import jax

from .._core.checks import nearest
from .._core.types import Function, PyTree
from .._core.values import (
    Structural,
    describe,
    hold_function,
    identity,
    name_of,
    node,
    partial,
    release,
)
from .stages import check_callable, shown_as, turned

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
T = TypeVar("T")
X = TypeVar("X")
Y = TypeVar("Y")

Fn = Callable[[X], Y]


@node
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Pipe(Structural, Generic[A, B]):
    """Named pure functions, one after another: `Pipe(f, g)(x) == g(f(x))`.

    Positional stages take their function's name, keyword stages the keyword; positional ones come
    first. `Pipe()` returns its argument. Each stage runs in a `jax.named_scope` of its name. An
    exception out of a stage carries a note saying which stage, of which pipe, on which input.

    | operator | meaning |
    |---|---|
    | `p >> q`, `p >> f`, `f >> p` | one flat pipe, from left to right; begin with `Pipe()` |
    | `x >> p` | `p(x)`, also of a NumPy array |
    | `len(p)`, iteration, `p[1]`, `p["scale"]`, `p[:2]` | its stages, in order; a slice is a pipe |
    | `p.replace(scale=f)` | the pipe with another function in a stage's place |
    | `f in p`, `"scale" in p` | whether it has a stage, by function or name |
    | `p == q`, `hash(p)` | equal names, functions and array leaves, to the bit |

    Nothing changes in place: `p >>= q` binds the name `p` to a new pipe.

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
    def __init__(self: Pipe[X, X]) -> None: ...
    @overload
    def __init__(self: Pipe[Any, Any], **named: Function) -> None: ...
    @overload
    def __init__(self: Pipe[X, Y], f: Fn[X, Y], /) -> None: ...
    @overload
    def __init__(self: Pipe[X, Any], f: Fn[X, Any], /, **named: Function) -> None: ...
    @overload
    def __init__(self: Pipe[X, Y], f: Fn[X, C], g: Fn[C, Y], /) -> None: ...
    @overload
    def __init__(self: Pipe[X, Any], f: Fn[X, C], g: Fn[C, Any], /, **named: Function) -> None: ...
    @overload
    def __init__(self: Pipe[X, Y], f: Fn[X, C], g: Fn[C, D], h: Fn[D, Y], /) -> None: ...
    @overload
    def __init__(
        self: Pipe[X, Any], f: Fn[X, C], g: Fn[C, D], h: Fn[D, Any], /, **named: Function
    ) -> None: ...
    @overload
    def __init__(
        self: Pipe[X, Y], f: Fn[X, C], g: Fn[C, D], h: Fn[D, E], i: Fn[E, Y], /
    ) -> None: ...
    @overload
    def __init__(
        self: Pipe[X, Any],
        f: Fn[X, C],
        g: Fn[C, D],
        h: Fn[D, E],
        i: Fn[E, Any],
        /,
        **named: Function,
    ) -> None: ...
    @overload
    def __init__(
        self: Pipe[X, Any],
        f: Fn[X, Any],
        g: Function,
        h: Function,
        i: Function,
        j: Function,
        /,
        *stages: Function,
        **named: Function,
    ) -> None: ...
    def __init__(self, *stages: Function, **named: Function) -> None:
        pairs: list[tuple[str, Callable[..., Any]]] = []
        for k, stage in enumerate(stages):
            check_callable(stage, f"stage {k + 1}")
            flat = isinstance(stage, Pipe)
            pairs += (
                zip(stage.names, stage.stages, strict=True) if flat else [(name_of(stage), stage)]
            )
        for name, stage in named.items():
            check_callable(stage, f"stage {name!r}")
            pairs.append((name, stage))
        self._set(tuple(n for n, _ in pairs), tuple(s for _, s in pairs))

    def _set(self, names: tuple[str, ...], stages: tuple[Function, ...]) -> None:
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "stages", stages)

    @classmethod
    def _make(cls, names: tuple[str, ...], stages: tuple[Function, ...]) -> Pipe[Any, Any]:
        pipe = object.__new__(cls)
        pipe._set(names, stages)
        return pipe

    def _flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Hashable]:
        keys = map(jax.tree_util.GetAttrKey, self.names)
        return list(zip(keys, map(hold_function, self.stages), strict=True)), self.names

    @classmethod
    def _unflatten(cls, names: tuple[str, ...], held: tuple[PyTree, ...]) -> Pipe[Any, Any]:
        return cls._make(names, tuple(map(release, held)))

    def __call__(self, x: A) -> B:
        """Return the last stage's answer to the last but one's, and so on down to `x`."""
        value: Any = x
        for k in range(len(self.stages)):
            value = self.run_stage(k, value)
        return value

    def run_stage(self, k: int, value: PyTree, call: Function | None = None) -> Any:
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

    @property
    def inverse(self) -> Pipe[B, A]:
        """The inverses of the stages, last first: `pipe.inverse(pipe(x))` is `x`.

        A stage is reversible if it has an `inverse` itself, as `Reversible`s and pipes do. Its name
        gains the ending `_inverse`, or loses it, so that `pipe.inverse.inverse == pipe`.

        Raises:
            TypeError: a stage is not reversible.

        >>> import jfoundations as jf
        >>> p = Pipe(double=jf.Reversible(lambda x: 2 * x, lambda y: y / 2))
        >>> p.inverse, p.inverse(p(3.0))
        (double_inverse, 3.0)
        """
        pairs = list(zip(self.names, self.stages, strict=True))[::-1]
        return self._make(
            tuple(turned(name) for name, _ in pairs),
            tuple(self._inverse_of(name, stage) for name, stage in pairs),
        )

    def _inverse_of(self, name: str, stage: Any) -> Any:
        if stage is identity:
            return identity
        try:
            return stage.inverse
        except AttributeError:
            raise TypeError(
                f"{self!r} has no inverse: its stage {name!r} is not reversible; say what undoes "
                f"it: give Reversible({name_of(stage)}, inverse) in its place"
            ) from None
        except TypeError as error:
            error.add_note(f"in the stage {name!r} of the pipe {self!r}")
            raise

    def over(self, consumer: T) -> T:
        """Put the stages in front of what consumes elements: a Fold, or a step `(state, x)`.

        The consumer then sees what comes out of the pipe, element by element, from the first stage
        to the last. A plain stage maps, as `map_` of it would; `filter_`, `take` and `take_while`
        let elements through or not. `p.over(q.over(f))` is `(p >> q).over(f)`.

        Args:
            consumer: a Fold; or a step `(state, x) -> state` for `as_scan_body` or `lax.scan`,
                before which only what needs no memory may stand: `map_` and `filter_`.

        Returns:
            A Fold, or a step: `watch(pipe.over(fold))` looks through the pipe at a loop's states.

        Raises:
            TypeError: the consumer is neither, or a step given to a stage that remembers.

        >>> import jax.numpy as jnp
        >>> import jfoundations as jf
        >>> first = Pipe(jf.map_(jnp.abs), jf.filter_(lambda x: x > 1), jf.take(2))
        >>> float(jf.fold(first.over(jf.folds.mean()), jnp.array([-2.0, 1.0, 4.0, 8.0])))
        3.0
        """
        if not callable(getattr(consumer, "of", consumer)):
            raise TypeError(
                f"{self!r} over {consumer!r}: this is no Fold and no step (state, x) -> state; to "
                "look at a loop's states give watch(pipe.over(fold))"
            )
        for name, stage in zip(self.names[::-1], self.stages[::-1], strict=True):
            if isinstance(stage, Pipe):
                consumer = stage.over(consumer)
            else:
                put = getattr(stage, "in_front_of", None) or partial(map_before, stage)
                consumer = put(consumer, name)
        return consumer

    @overload
    def __rshift__(self, other: Pipe[B, C]) -> Pipe[A, C]: ...
    @overload
    def __rshift__(self, other: Callable[[B], C]) -> Pipe[A, C]: ...
    def __rshift__(self, other: object) -> Pipe[Any, Any]:
        return Pipe(self, other) if callable(other) else NotImplemented

    @overload
    def __rrshift__(self, other: Callable[[C], A]) -> Pipe[C, B]: ...
    @overload
    def __rrshift__(self, other: A) -> B: ...
    def __rrshift__(self, other: Any) -> Any:
        both: list[Any] = [other, self]
        return Pipe(*both) if callable(other) else self(other)

    def __len__(self) -> int:
        return len(self.stages)

    def __bool__(self) -> bool:
        return True  # an empty pipe is a good pipe: `pipe or default` must not drop it

    def __contains__(self, key: object) -> bool:
        # No array reaches `==`, whose answer would be an array.
        return key in self.names if isinstance(key, str) else callable(key) and key in self.stages

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.stages)

    @overload
    def __getitem__(self, key: slice) -> Pipe[Any, Any]: ...
    @overload
    def __getitem__(self, key: int | str) -> Callable[[Any], Any]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        if isinstance(key, slice):
            return self._make(self.names[key], self.stages[key])
        if not isinstance(key, str):
            return self.stages[key]
        return self.stages[self._place(key)]

    def _place(self, name: str) -> int:
        if (count := self.names.count(name)) != 1:
            found, cure = f"{count} stages", "; use an index"
            if not count:
                found, cure = "no stage", nearest(name, self.names) or cure
            raise KeyError(f"{found} named {name!r} in the pipe {self!r}{cure}")
        return self.names.index(name)

    def replace(self, **named: Function) -> Pipe[Any, Any]:
        """Return the pipe with other functions at the places of stages, by name.

        A pipe given stays one stage; `identity` leaves a stage out. The same function again makes
        an equal pipe, which does not retrace.

        Args:
            **named: the functions, by the names of stages, which stay.

        Raises:
            KeyError: no stage has that name, or several have.
            TypeError: a value is not callable.

        >>> p = Pipe(double=lambda x: 2 * x, inc=lambda x: x + 1)
        >>> p.replace(inc=lambda x: x - 1)(3), p.replace(double=p["double"]) == p
        (5, True)
        """
        stages = list(self.stages)
        for name, stage in named.items():
            check_callable(stage, f"stage {name!r}", "Pipe.replace")
            stages[self._place(name)] = stage
        return self._make(self.names, tuple(stages))

    def __repr__(self) -> str:
        shown = map(shown_as, self.names, self.stages)
        return " >> ".join(shown) or "Pipe()"


def map_before(function: Function, consumer: Any, name: str) -> Any:
    """Let a Fold, or a step `(state, x) -> state`, see a function of each element."""
    staged = Pipe._make((name,), (function,))  # so that it runs in its scope, and errors name it
    if hasattr(consumer, "of"):
        return consumer.of(staged)
    return partial(step_of, consumer, staged)


def step_of(step: Function, g: Function, memory: PyTree, x: PyTree) -> Any:
    """Take one element, mapped."""
    return step(memory, g(x))
