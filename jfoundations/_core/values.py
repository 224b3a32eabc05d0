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

import functools
import inspect
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


@jax.tree_util.register_pytree_node_class
class Static:
    """A pytree without leaves around a value that is part of the structure (a function, say)."""

    def __init__(self, value: object):
        self.value: Any = value

    def tree_flatten(self) -> tuple[tuple[()], "Static"]:
        """Return no leaves, and itself as the structure."""
        return (), self

    @classmethod
    def tree_unflatten(cls, structure: "Static", leaves: tuple[()]) -> "Static":
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


def release(held: PyTree) -> Any:
    """Undo `hold`."""
    return held.value if type(held) is Static else held


def name_of(function: object) -> str:
    """Return the name by which reprs, scopes and messages speak of a function."""
    if isinstance(function, partial | functools.partial | jax.tree_util.Partial):
        return name_of(function.func)
    name = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else name


def settings_of(*functions: object) -> str:
    """Return the numbers that partials hold, for a repr: `, patience=3`; zeros are left out.

    A number has the name of the parameter it is given for, or of its key in a dict.
    """
    found: dict[str, str] = {}
    for function in functions:
        _collect("", function, found)
    return "".join(f", {name}={said}" for name, said in found.items())


def _collect(name: str, value: object, found: dict[str, str]) -> None:
    if type(value) is partial:
        try:
            names = list(inspect.signature(value.func).parameters)
        except (TypeError, ValueError):  # some built-in functions have none
            names = []
        for inner, held in (*zip(names, value.args, strict=False), *value.keywords.items()):
            _collect(inner, held, found)
    elif isinstance(value, Structural):
        for stage in getattr(value, "stages", ()):  # of a Pipe
            _collect("", stage, found)
    elif type(value) is dict:
        for key, held in value.items():
            _collect(str(key), held, found)
    elif name.isidentifier() and isinstance(value, _DYNAMIC):
        leaf: Any = value
        try:
            number = leaf.item() if hasattr(leaf, "item") else leaf
            said = "" if isinstance(number, bool) or not number else f"{number:.6g}"
        except Exception:  # traced, deleted, several, a key: a repr must not raise
            said = repr(_Short(value))
        if said:
            found[name] = said


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
    if isinstance(a, jax.Array) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
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
    short = jax.tree.map(_Short, value)
    return repr(short) if jax.tree.leaves(value) else repr(value)


class _Short:
    """A leaf whose repr is its dtype and shape."""

    def __init__(self, leaf: PyTree):
        self.leaf = leaf

    def __repr__(self) -> str:
        try:
            aval = jax.typeof(self.leaf)
        except TypeError:
            return type(self.leaf).__name__
        return f"{aval.dtype}[{','.join(map(str, aval.shape))}]"


_DYNAMIC = (jax.Array, np.ndarray, np.generic, float, complex, jax.ShapeDtypeStruct)


def _held(leaf: PyTree) -> Any:
    return leaf if isinstance(leaf, _DYNAMIC) else Static(leaf)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, init=False, eq=False, repr=False)
class partial(Structural, Generic[R]):  # noqa: N801  (the field's name, used like a function)
    """A `functools.partial` that is a pytree: array and float arguments are leaves.

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

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        """Return the function and the arguments as children; functions and settings are static.

        @private
        """
        return (hold(self.func), self._arguments), None

    @classmethod
    def tree_unflatten(cls, _: None, children: tuple[PyTree, PyTree]) -> "partial[Any]":
        """Rebuild from the function and the arguments.

        @private
        """
        new = object.__new__(cls)
        new._set(release(children[0]), children[1])
        return new

    def __repr__(self) -> str:
        if isinstance(self.func, Code):
            return f"lift({name_of(self.func)})"
        words = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.keywords.items()]
        return f"partial({', '.join([name_of(self.func), *words])})"


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
