"""Frozen pytree dataclasses, and trees that JAX sees as one node.

`pytree` is how a class becomes a value. What a field is to JAX stands beside it:

>>> import jax
>>> from jfoundations._core.values import Structural
>>> @pytree
... class Scaled(Structural):
...     by: float  # a child, as are all trees of arrays
...     rule: object = function()  # a callable
...     name: str = static(default="scaled")  # part of the structure
>>> twice = Scaled(2.0, abs)
>>> jax.tree.leaves(twice), jax.tree.map(lambda x: x + 1, twice).rule, twice == Scaled(2.0, abs)
([2.0], <built-in function abs>, True)
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, TypeVar, dataclass_transform

import jax

from .types import Function, PyTree
from .values import Static, hold_function, node, release

T = TypeVar("T")


def static(**settings: Any) -> Any:
    """Return a dataclass field that belongs to the structure, as `jax.tree.static` does."""
    return field(metadata={"static": True}, **settings)


def function(**settings: Any) -> Any:
    """Return a dataclass field for a function, None, or a tuple of functions.

    A plain function belongs to the structure, one that is a pytree brings its leaves.
    """
    return field(metadata={"function": True}, **settings)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static, function))
def pytree(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree; see `static` and `function` for its fields.

    Equality is identity: `==` on arrays would not be a bool. A class that inherits from
    `Structural` compares structure and leaves. Fields are set without `__init__` when JAX rebuilds
    a value, since it may put anything into a leaf's place. A subclass without fields of its own is
    registered by `node`.
    """
    made: Any = dataclass(frozen=True, eq=False)(cls)
    fixed = tuple(f.name for f in fields(made) if f.metadata.get("static", False))
    names = tuple(f.name for f in fields(made) if f.name not in fixed)
    functions = {f.name for f in fields(made) if f.metadata.get("function", False)}
    keys = tuple(map(jax.tree_util.GetAttrKey, names))

    def flatten(value: object) -> tuple[Any, Any]:
        children = tuple(getattr(value, n) for n in names)
        if functions:
            pairs = zip(names, children, strict=True)
            children = tuple(_each(hold_function, c) if n in functions else c for n, c in pairs)
        return children, tuple(getattr(value, n) for n in fixed)

    def flatten_with_keys(value: object) -> tuple[Any, Any]:
        children, aux = flatten(value)
        return tuple(zip(keys, children, strict=True)), aux

    def unflatten(cls: type, aux: Iterable[object], children: Iterable[object]) -> Any:
        value = object.__new__(cls)
        for name, child in zip(fixed + names, (*aux, *children), strict=True):
            child = _each(release, child) if name in functions else child
            object.__setattr__(value, name, child)
        return value

    made._flatten, made._flatten_with_keys = flatten, flatten_with_keys
    made._unflatten = classmethod(unflatten)
    # Not `register_dataclass`: the tree structures of two classes so registered are equal whenever
    # their fields are equally many (jaxlib 0.10.2), so a compiled function now and then takes the
    # program that was made for the other class.
    return node(made)


def _each(how: Function, value: object) -> Any:
    return tuple(map(how, value)) if type(value) is tuple else how(value)


@node
class FlatTree:
    """A tree as one node: a call of a compiled function takes a tree apart node by node in Python.

    Attributes:
        leaves: of the tree.
        structure: of the tree, the same object for equal ones, which are so compared at once.
    """

    def __init__(self, leaves: Sequence[PyTree], structure: Static):
        self.leaves: Any = leaves
        self.structure: Static = structure

    def _flatten(self) -> tuple[Any, Static]:
        """Return leaves and structure."""
        return self.leaves, self.structure

    @classmethod
    def _unflatten(cls, structure: Static, leaves: Sequence[PyTree]) -> "FlatTree":
        """Rebuild."""
        return cls(leaves, structure)

    def __reduce__(self) -> Any:
        return flattened, (unflattened(self),)  # structures of classes cannot be pickled


def flattened(tree: PyTree) -> FlatTree:
    """Return a tree as one node; one that is so already is returned as it is."""
    if isinstance(tree, FlatTree):
        return tree
    leaves, structure = jax.tree.flatten(tree)
    return FlatTree(leaves, _shared(structure, str(structure)))


@lru_cache(maxsize=256)
def _shared(structure: Hashable, said: str) -> Static:  # said tells classes apart that JAX does not
    return Static(structure)


def unflattened(tree: PyTree) -> Any:
    """Undo `flattened`."""
    if not isinstance(tree, FlatTree):
        return tree
    return jax.tree.unflatten(tree.structure.value, tree.leaves)
