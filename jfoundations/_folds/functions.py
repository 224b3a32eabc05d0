"""What the functions of a fold look like: an editor shows these where one is asked for.

A memory is any pytree of arrays, an element what one place of a block holds.
"""

from typing import Any, Protocol


class Init(Protocol):
    """Makes the memory of no elements."""

    def __call__(self, like: Any, /) -> Any:
        """Return the empty memory, given an element or its `jax.ShapeDtypeStruct`."""
        ...


class Step(Protocol):
    """Takes one element into a memory."""

    def __call__(self, memory: Any, element: Any, /) -> Any:
        """Return the memory after one element more."""
        ...


class Merge(Protocol):
    """Joins the memories of two halves of the data."""

    def __call__(self, left: Any, right: Any, /) -> Any:
        """Return the memory of both."""
        ...


class Block(Protocol):
    """Folds a whole block."""

    def __call__(self, elements: Any, /) -> Any:
        """Return the memory of elements along the leading axis."""
        ...


class BlockWhere(Protocol):
    """Folds those elements of a block that are kept."""

    def __call__(self, elements: Any, kept: Any, /) -> Any:
        """Return the memory of the elements whose place in a bool array holds."""
        ...


class Finished(Protocol):
    """Tells whether a fold wants no more."""

    def __call__(self, memory: Any, /) -> Any:
        """Return a bool scalar: whether further elements will change nothing."""
        ...
