"""Functions as values: what lets a callable pass through `jit` without retracing.

JAX caches by identity, so a closure built anew is traced anew. Here a callable is a pytree: its
arrays are leaves, the rest is structure, and equal structure means one trace.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> def scale(factor, x):
...     return factor * x
>>> traces = []
>>> @jax.jit
... def run(function, x):
...     traces.append(1)
...     return function(x)
>>> [float(run(jf.partial(scale, jnp.float32(k)), 2.0)) for k in (1, 2, 3)], len(traces)
([2.0, 4.0, 6.0], 1)
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .types import Function, PyTree

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")


def is_key(x: Any) -> bool:
    """Tell whether something is an array of typed PRNG keys, which NumPy has no numbers for."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def node(cls: type[T]) -> type[T]:
    """Make a class a pytree node by its `_flatten` or `_flatten_with_keys`, and `_unflatten`.

    With these names, unlike JAX's own, they are in nobody's way in `dir` and in `help`.
    """
    made: Any = cls
    if hasattr(made, "_flatten_with_keys"):
        how = made._flatten_with_keys, made._unflatten, getattr(made, "_flatten", None)
        jax.tree_util.register_pytree_with_keys(made, *how)
    else:
        jax.tree_util.register_pytree_node(made, made._flatten, made._unflatten)
    return cls


@node
class Static:
    """A pytree without leaves around a value that is part of the structure (a function, say)."""

    def __init__(self, value: object):
        self.value: Any = value

    def _flatten(self) -> tuple[tuple[()], Static]:
        """Return no leaves, and itself as the structure."""
        return (), self

    @classmethod
    def _unflatten(cls, structure: Static, leaves: tuple[()]) -> Static:
        """Return the structure, which is the value."""
        return structure

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Static):
            return NotImplemented
        mine, its = self.value, other.value
        if mine is its:
            return True
        return type(mine) is type(its) and hashable(mine) and bool(mine == its)

    def __hash__(self) -> int:
        return hash(self.value) if hashable(self.value) else id(self.value)


def hashable(value: object) -> bool:
    """Tell whether a value has a hash; if not, it equals itself alone."""
    try:
        hash(value)
    except Exception:  # a `__hash__` of a user's may raise anything
        return False
    return True


def is_pytree(value: object) -> bool:
    """Tell whether a value is a registered pytree node, not a leaf."""
    return not jax.tree_util.all_leaves((value,))


def hold(function: object) -> Any:
    """Return a function (or None) as a pytree: itself if it is one, else static."""
    return function if is_pytree(function) else Static(function)


def hold_function(function: object) -> Any:
    """Return the same as `hold`, but what a library put in the place of a function as it is.

    Libraries of checkpoints name leaves, and the places of None and () too.
    """
    return hold(function) if callable(function) else function


def release(held: PyTree) -> Any:
    """Undo `hold`."""
    return held.value if type(held) is Static else held


def name_of(function: object) -> str:
    """Return the name by which reprs, scopes and messages speak of a function."""
    if isinstance(function, partial | functools.partial | jax.tree_util.Partial):
        return name_of(function.func)
    name = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else name


def maker_of(value: object, *modules: str) -> str:
    """Return the name of a public function of some of our modules, or nothing if it is none."""
    home, name = getattr(value, "__module__", None) or "", getattr(value, "__qualname__", "_")
    known = isinstance(value, types.FunctionType) and name.isidentifier() and name[0] != "_"
    return name if known and home.startswith(modules) else ""


def same(a: PyTree, b: PyTree) -> bool:
    """Tell whether two pytrees have equal structure and leaves of equal dtype, shape and bits."""
    if a is b:
        return True
    leaves, structure = jax.tree.flatten(a)
    others, other_structure = jax.tree.flatten(b)
    return structure == other_structure and all(map(_same_leaf, leaves, others))


def _same_leaf(a: PyTree, b: PyTree) -> bool:
    if a is b:
        return True
    if isinstance(a, Tracer) or isinstance(b, Tracer) or type(a) is not type(b):
        return False  # a traced value equals itself alone: its bits are not known yet
    if getattr(a, "dtype", None) != getattr(b, "dtype", None) or np.shape(a) != np.shape(b):
        return False
    if isinstance(a, jax.Array) and is_key(a):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


class Structural:
    """Equality and hash by tree structure and leaves, so that rebuilt equal values do not retrace.

    The hash speaks of the structure alone: arrays need no reading, tracers may be inside.
    """

    def __eq__(self, other: object) -> bool:
        return same(self, other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(jax.tree.structure(self))


def identity(x: A) -> A:
    """Return the argument.

    >>> identity(3)
    3
    """
    return x


def describe(value: PyTree) -> str:
    """Return the dtypes and shapes inside a value, for a message: `{'x': float32[3]}`."""
    short = jax.tree.map(Short, value)
    return repr(short) if jax.tree.leaves(value) else repr(value)


class Short:
    """A leaf whose repr is its dtype and shape."""

    def __init__(self, leaf: PyTree):
        self.leaf = leaf

    def __repr__(self) -> str:
        try:
            aval = jax.typeof(self.leaf)
        except TypeError:
            return type(self.leaf).__name__
        return f"{aval.dtype}[{','.join(map(str, aval.shape))}]"


DYNAMIC = (jax.Array, np.ndarray, np.generic, float, complex, jax.ShapeDtypeStruct)


def _held(leaf: PyTree) -> Any:
    return leaf if isinstance(leaf, DYNAMIC) else Static(leaf)


@node
@dataclass(frozen=True, init=False, eq=False, repr=False)
class partial(Structural, Generic[R]):  # noqa: N801  (the field's name, used like a function)
    """A `functools.partial` that is a pytree: array and float arguments are leaves.

    See also `lift`, which finds what a closure holds.

    Other arguments (ints, strs, bools, functions) are structure. A partial of a partial is flat.
    Equal partials are equal values: passing a rebuilt one through `jit` does not retrace.

    Args:
        func: a callable; a pytree (a Pipe, another partial) brings its leaves along.
        *args: the first positional arguments.
        **kwargs: keyword arguments.

    Raises:
        TypeError: `func` is not callable.

    >>> power = partial(pow, 2)
    >>> power(5), partial(partial(max, 1), 7)(3)
    (32, 7)
    """

    func: Callable[..., R]
    _arguments: tuple[Any, Any]  # of position and by keyword; what is no array is in a Static

    def __init__(self, func: Callable[..., R], /, *args: object, **kwargs: object):
        if not callable(func):
            raise TypeError(f"partial: {func!r} is not callable")
        if isinstance(func, partial | functools.partial | jax.tree_util.Partial):
            func, args, kwargs = func.func, (*func.args, *args), {**func.keywords, **kwargs}
        self._set(func, jax.tree.map(_held, (args, kwargs)))

    def _set(self, func: Function, arguments: tuple[PyTree, PyTree]) -> None:
        object.__setattr__(self, "func", func)
        object.__setattr__(self, "_arguments", arguments)

    def _released(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # what is held by a partial among the arguments is its own to release
        def whole(v: object) -> bool:
            return type(v) is Static or isinstance(v, Structural)

        return jax.tree.map(release, self._arguments, is_leaf=whole)

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments held."""
        return self._released()[0]

    @property
    def keywords(self) -> dict[str, Any]:
        """The keyword arguments held."""
        return self._released()[1]

    def __call__(self, *args: object, **kwargs: object) -> R:
        """Call the function with the arguments held, then these."""
        held, keywords = self._released()
        return self.func(*held, *args, **{**keywords, **kwargs})

    def _flatten(self) -> tuple[tuple[Any, Any], None]:
        """Return the function and the arguments as children; functions and settings are static."""
        return (hold_function(self.func), self._arguments), None

    @classmethod
    def _unflatten(cls, _: None, children: tuple[PyTree, PyTree]) -> partial[Any]:
        """Rebuild from the function and the arguments."""
        new = object.__new__(cls)
        new._set(release(children[0]), children[1])
        return new

    def __repr__(self) -> str:
        if isinstance(self.func, Code):
            return f"lift({name_of(self.func)})"
        words = [*map(_shown, self.args), *(f"{k}={_shown(v)}" for k, v in self.keywords.items())]
        return f"partial({', '.join([name_of(self.func), *words])})"


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


@dataclass(frozen=True)
class Code:
    """What `lift` makes of a function: its code without its closure; globals by identity."""

    code: types.CodeType
    globals: Static
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, closed: dict[str, PyTree], /, *args: object, **kwargs: object) -> Any:
        """Call the function with what it closed over put back."""
        return self.around(closed)(*args, **kwargs)

    def around(self, closed: dict[str, PyTree]) -> Function:
        """Return the function again, given what it closes over and its defaults."""
        cells = tuple(types.CellType(v) for v in closed["cells"])
        space = self.globals.value.value
        function = types.FunctionType(self.code, space, self.name, closed["defaults"], cells)
        function.__kwdefaults__ = closed["kwdefaults"]
        return function


@dataclass(frozen=True, eq=False)
class Identity:
    """A value compared by identity."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
