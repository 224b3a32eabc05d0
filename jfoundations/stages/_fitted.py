"""What a given stage becomes: its numbers, which are leaves, and two functions of a module."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import as_array
from .._core.pytrees import function, pytree, static
from .._core.sharding import automatic
from .._core.types import Function, PyTree
from .._core.values import Structural, describe
from .._kernels.sample.arguments import accumulator


@pytree
class Fitted(Structural):
    """A stage that has been learned.

    Attributes:
        numbers: what was learned: the first is a tree of numbers like the elements'.
        forward: `(numbers, x) -> y`.
        backward: `(numbers, y) -> x`, or None.
        name: what the stage is called.
    """

    numbers: tuple[Any, ...]
    forward: Function = function()
    backward: Function | None = function()
    name: str = static()

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, x: PyTree) -> Any:
        """Return what the stage makes of an element, or of a block of them."""
        x = jax.tree.map(lambda leaf: as_array(leaf, self.name, "x"), x)
        return automatic(self.forward)(self.numbers, x)

    @property
    def inverse(self) -> "Fitted":
        """The stage turned around.

        Raises:
            TypeError: nothing undoes it.
        """
        if self.backward is None:
            raise TypeError(f"{self.name} has no inverse: elements that differ become one")
        return Fitted(self.numbers, self.backward, self.forward, self.name)

    def __repr__(self) -> str:
        return self.name


def leafwise(function: Function, x: PyTree, *numbers: PyTree) -> Any:
    """Return `function(x, *numbers)` of each leaf, in the precision of sums, then in x's.

    Raises:
        TypeError: x is no tree of arrays such as the numbers were learned from.
        ValueError: the shape of a leaf does not end in the numbers'.
    """
    check_like(x, numbers[0])

    def of_leaf(leaf: jax.Array, *each: jax.Array) -> jax.Array:
        leaf = floating(leaf)
        wide = widest(leaf, *each)
        if jnp.issubdtype(wide, jnp.complexfloating) and not jnp.iscomplexobj(leaf):
            raise TypeError(
                "this stage was fitted to complex numbers, and x is real; make it complex"
            )
        spread = (jnp.broadcast_to(n, leaf.shape).astype(wide) for n in each)
        return function(leaf.astype(wide), *spread).astype(leaf.dtype)

    return jax.tree.map(of_leaf, x, *numbers)


def check_like(x: PyTree, like: PyTree) -> None:
    """Raise unless x is an element, or a block of them, such as was learned from."""
    if jax.tree.structure(x) != jax.tree.structure(like):
        raise TypeError(
            f"this stage was fitted to elements {describe(like)}, and this one is {describe(x)}; "
            "give a tree of the same structure"
        )
    pairs = zip(jax.tree.leaves(x), jax.tree.leaves(like), strict=True)
    shapes = [(np.shape(leaf), np.shape(known)) for leaf, known in pairs]
    fronts = {shape[: len(shape) - len(known)] for shape, known in shapes}
    if len(fronts) > 1 or any(shape[len(shape) - len(k) :] != k for shape, k in shapes):
        raise ValueError(
            f"this stage was fitted to elements {describe(like)}, and x is {describe(x)}; give an "
            "element of these shapes, or a block whose leaves have the same axes in front of them"
        )


def check_nan(who: str, nan: object) -> None:
    """Raise unless it is known what becomes of nan."""
    if nan not in ("propagate", "omit"):
        raise ValueError(f"stages.{who}: nan is {nan!r}; it must be 'propagate' or 'omit'")


def widest(*arrays: jax.Array) -> Any:
    """Return the dtype that sums of all these are kept in."""
    # of NumPy's promotion, since JAX's strict one refuses the question
    return functools.reduce(np.promote_types, (accumulator(a.dtype) for a in arrays))


def floating(leaf: jax.Array) -> jax.Array:
    """Return numbers as floats: bools and ints in the default one, others as they are."""
    return leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf.astype(jnp.result_type(float))


def joined(x: PyTree, like: PyTree) -> jax.Array:
    """Return the numbers of an element, leaf after leaf, as a vector in the precision of sums."""
    check_like(x, like)
    leaves = [floating(leaf) for leaf in jax.tree.leaves(x)]
    sizes = [np.size(known) for known in jax.tree.leaves(like)]
    front = leaves[0].shape[: leaves[0].ndim - np.ndim(jax.tree.leaves(like)[0])]
    rows = [
        a.reshape(*front, n).astype(widest(*leaves)) for a, n in zip(leaves, sizes, strict=True)
    ]
    return jnp.concatenate(rows, axis=-1)


def parted(vector: jax.Array, like: PyTree, x: PyTree) -> Any:
    """Undo `joined`: a tree of the shapes of `like`, and of the floats that x's leaves are."""
    known, structure = jax.tree.flatten(like)
    ends = np.cumsum([np.size(leaf) for leaf in known])[:-1].tolist()
    leaves = [
        part.reshape(*part.shape[:-1], *leaf.shape).astype(floating(one).dtype)
        for part, leaf, one in zip(
            jnp.split(vector, ends, axis=-1), known, jax.tree.leaves(x), strict=True
        )
    ]
    return jax.tree.unflatten(structure, leaves)
