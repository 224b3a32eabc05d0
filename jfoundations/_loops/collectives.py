"""Collectives: which a function holds, and branches of it that not all devices would take.

>>> import jax, jax.numpy as jnp
>>> mean = jax.make_jaxpr(lambda x: jax.lax.pmean(x, "i"), axis_env=[("i", 2)])(jnp.ones(3))
>>> list(collectives(mean))
[('i', 'psum')]
"""

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

import jax
from jax import Array

from .._core.compat import varying
from .._core.types import Function, PyTree

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr

STILL = {"axis_index", "pvary", "pcast"}  # these name an axis and ask no other device


def collectives(jaxpr: "ClosedJaxpr | Jaxpr") -> Iterator[tuple[Hashable, str]]:
    """Yield the mesh axes over which a jaxpr, or one inside it, asks other devices, and by what."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        name = equation.primitive.name
        for word in ("axes", "axis_name"):
            axes = equation.params.get(word, ())
            for axis in axes if isinstance(axes, tuple | list) else (axes,):
                if not isinstance(axis, int) and name not in STILL:  # an int is an array's axis
                    yield axis, name.removesuffix("_invariant")
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from collectives(inner)


def _is_jaxpr(value: object) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")


def check_gate(holds: Array, run: Function, *operands: PyTree, who: str) -> None:
    """Raise where some devices might take a branch, and wait in it for those that do not.

    Args:
        holds: the condition.
        run: the branch, which is traced once more where the condition differs over some axis.
        *operands: what it is called with.
        who: what the gate and the event are called.

    Raises:
        ValueError: the condition differs over a mesh axis over which the branch holds a collective.
    """
    if not (differ := varying(holds)):
        return
    found = dict(collectives(jax.make_jaxpr(run)(*operands)))
    if shared := differ & set(found):
        name, axis = named(shared)
        raise ValueError(
            f"{who}: it differs across the mesh axis {axis}, over which a callback behind it holds "
            f"a collective, {found[name]}: the devices where it holds would wait for ever for the "
            f"others; decide together, with agree(…, {axis}) in the predicate"
        )


def named(axes: frozenset[Hashable]) -> tuple[Hashable, str]:
    """Return the first of some mesh axes, and all as one writes them."""
    names = sorted(axes, key=str)
    return names[0], repr(names[0]) if len(names) == 1 else repr(tuple(names))
