"""Compiled programs of functions that users bring, kept no longer than those functions live.

A `jax.jit` of a module keeps whatever it compiled, and so all that a closure among its arguments
closed over. Here a program belongs to the functions in it: equal values share one, and it goes when
one of its functions does, as it does with `jax.jit(f)` of a function `f` of one's own.

>>> import jax.numpy as jnp
>>> def scaled(function, x):
...     return 2 * function(x)
>>> float(compiled(scaled, Static(jnp.sin))(0.0))
0.0
"""

import threading
import types
import weakref
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import jax
from jax import Array

from .types import Function, PyTree
from .values import Static, hashable, release

MOST = 4096  # programs kept, as many as jax.jit keeps calls

_programs: dict[Any, "_Program"] = {}
_ARRAY = object()  # stands for an array in a key, which tells its place from that of a None
_call = threading.local()  # what the program that is called now is of


def compiled(function: Function, /, *values: PyTree, **options: Hashable) -> Function:
    """Return `function` of some values, compiled: a function of its other arguments.

    Arrays in the values are arguments of the program. Functions in them are part of it, as far as
    they are held by `Static`; so is what else there is in their structure.

    Args:
        function: of a module: it lives for ever.
        *values: its first arguments: pytrees.
        **options: hashable, the same in every call.
    """
    values = tuple(Static(v) if callable(v) and _is_leaf(v) else v for v in values)
    leaves, structure = jax.tree.flatten(values, is_leaf=_is_static)
    arrays = [leaf for leaf in leaves if not _is_static(leaf)]
    mortal: list[Any] = []
    stands_for = tuple(_key(leaf.value, mortal) if _is_static(leaf) else _ARRAY for leaf in leaves)
    key = (function, structure, stands_for, tuple(options.items()))
    try:
        program = _programs.get(key)
    except ValueError as error:
        _raise_interrupt(error)
        raise
    if program is None:
        program = _programs.setdefault(key, _Program(function, options, key, mortal))
        if (more := len(_programs) - MOST) > 0:
            for oldest in list(_programs)[:more]:  # a copy: other threads make programs too
                _programs.pop(oldest, None)

    def call(*args: PyTree, **words: PyTree) -> Any:
        outer, _call.of = getattr(_call, "of", None), (structure, leaves)
        try:
            return program.run(arrays, *args, **words)
        except ValueError as error:
            _raise_interrupt(error)
            raise
        finally:
            _call.of = outer

    return call


def _raise_interrupt(error: ValueError) -> None:
    """Raise a Ctrl-C of which JAX made this error: it came while two structures were compared."""
    cause: BaseException | None = error
    while isinstance(cause, ValueError):
        cause = cause.__cause__
    if isinstance(cause, KeyboardInterrupt | SystemExit):
        raise cause from None


class _Program:
    """What is compiled. It holds no function of a user's: a call brings them along."""

    def __init__(
        self,
        function: Function,
        options: Mapping[str, Hashable],
        key: Hashable,
        mortal: list[object],
    ):
        def run(arrays: list[Array], *args: PyTree, **words: PyTree) -> Any:
            structure, leaves = _call.of
            rest = iter(arrays)
            whole = [leaf if _is_static(leaf) else next(rest) for leaf in leaves]
            values = map(release, jax.tree.unflatten(structure, whole))
            return function(*values, *args, **words, **options)

        run.__name__ = run.__qualname__ = function.__name__
        self.run: Any = jax.jit(run)
        # a name of its own: a value may die when the interpreter ends, and modules have no names
        forget = _programs.pop
        self.watch: list[Any] = [
            weakref.ref(value, lambda _: forget(key, None)) for value in mortal
        ]


def _is_static(value: object) -> bool:
    return type(value) is Static


def _is_leaf(value: object) -> bool:
    return jax.tree_util.all_leaves((value,))


def _key(value: Any, mortal: list[object]) -> Any:
    """Return what stands for a value in a key; what compares by identity is not held, but named.

    What has an `__eq__` of its own is held, as by `jax.jit`, until `MOST` other programs came.

    Args:
        value: a function, or what else is static.
        mortal: grows by what the key is good for only while it lives.
    """
    kind = type(value)
    if value is None:
        return None
    if isinstance(value, types.MethodType):  # made anew each time that it is asked for
        return kind, _key(value.__func__, mortal), _Same(value.__self__, mortal)
    if kind in (float, complex):  # 0.0 == -0.0, whose programs differ
        return kind, repr(value)
    if kind.__eq__ is tuple.__eq__:
        return kind, tuple(_key(v, mortal) for v in value)
    if kind.__eq__ is object.__eq__ or not hashable(value):
        return _Same(value, mortal)
    made = getattr(kind.__eq__, "__code__", None)
    if is_dataclass(value) and made and made.co_filename == "<string>":  # the one it came with
        # all fields: those that do not compare may still be computed with
        return kind, tuple(_key(getattr(value, f.name), mortal) for f in fields(value))
    return kind, value


class _Same:
    """Equal to another of the same living object, which it does not keep alive."""

    def __init__(self, value: object, mortal: list[object]):
        try:
            self.get: Callable[[], Any] = weakref.ref(value)
            mortal.append(value)
        except TypeError:  # it takes no weak reference, so it is kept
            self.get = lambda: value
        self.number: int = id(value)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, _Same) and (mine := self.get()) is other.get() and mine is not None

    def __hash__(self) -> int:
        return self.number
