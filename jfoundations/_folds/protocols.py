"""What the functions of a fold look like: an editor shows these where one is asked for.

A memory is any pytree of arrays, an element what one place of a block holds.
"""

from typing import Protocol, TypeVar

from jax import Array

from .._core.types import Bool, PyTree

R_co = TypeVar("R_co", covariant=True)


class Init(Protocol):
    """Makes the memory of no elements."""

    def __call__(self, like: PyTree, /) -> PyTree:
        """Return the empty memory, given an element or its `jax.ShapeDtypeStruct`."""
        ...


class Step(Protocol):
    """Takes one element into a memory."""

    def __call__(self, memory: PyTree, element: PyTree, /) -> PyTree:
        """Return the memory after one element more."""
        ...


class Merge(Protocol):
    """Joins the memories of two halves of the data."""

    def __call__(self, left: PyTree, right: PyTree, /) -> PyTree:
        """Return the memory of both."""
        ...


class Extract(Protocol[R_co]):
    """Asks a memory."""

    def __call__(self, memory: PyTree, /) -> R_co:
        """Return the answer."""
        ...


class Block(Protocol):
    """Folds a whole block."""

    def __call__(self, elements: PyTree, /) -> PyTree:
        """Return the memory of elements along the leading axis."""
        ...


class BlockWhere(Protocol):
    """Folds those elements of a block that are kept."""

    def __call__(self, elements: PyTree, kept: Array, /) -> PyTree:
        """Return the memory of the elements whose place in a bool array holds."""
        ...


class Finished(Protocol):
    """Tells whether a fold wants no more."""

    def __call__(self, memory: PyTree, /) -> Bool:
        """Return a bool scalar: whether further elements will change nothing."""
        ...


class Predicate(Protocol):
    """Chooses elements."""

    def __call__(self, element: PyTree, /) -> Bool:
        """Return a bool scalar: whether an element is taken."""
        ...
