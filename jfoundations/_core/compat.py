"""What of JAX is not yet stable, under names of our own.

>>> import jax.numpy as jnp
>>> varying(jnp.zeros(())), on_a_mesh()
(frozenset(), False)
"""

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import jax
from jax import Array, lax
from jax.core import ShapedArray
from jax.typing import ArrayLike

from .types import PyTree

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr

T = TypeVar("T")


def varying(x: Array | jax.ShapeDtypeStruct) -> frozenset[Any]:
    """Return the mesh axes over which a value may differ, as `shard_map(check_vma=True)` knows.

    Args:
        x: an array, a tracer, or a type that a trace returned.
    """
    aval = x if isinstance(x, jax.ShapeDtypeStruct | ShapedArray) else jax.typeof(x)
    kind = getattr(aval, "mat", None) or getattr(aval, "manual_axis_type", None)  # from jax 0.10 on
    return frozenset(kind.varying if kind is not None else getattr(aval, "vma", None) or ())


def vary(x: Array, axes: frozenset[Hashable]) -> Any:
    """Return a value that may differ over some more mesh axes, as a type only."""
    missing = tuple(sorted(axes - varying(x), key=str))
    return lax.pcast(x, missing, to="varying") if missing else x


def vary_as(tree: Any, others: Any) -> Any:
    """Return a tree that may differ over all mesh axes that any leaf of others may differ over.

    What a loop starts from must have the type of what it becomes.
    """
    axes = frozenset().union(*map(varying, jax.tree.leaves(others)))
    return jax.tree.map(lambda leaf: vary(leaf, axes), tree) if axes else tree


def _refused(cotangent: Array, x: Array, *, cure: str) -> Any:
    raise ValueError(cure)


@functools.cache
def _one_way() -> Any:
    # imported here: jax itself does not
    from jax.extend.core import Primitive
    from jax.interpreters import ad, batching, mlir

    one_way = Primitive("one_way")
    one_way.def_impl(lambda x, *, cure: x)
    one_way.def_abstract_eval(lambda x, *, cure: x)
    ad.deflinear2(one_way, _refused)
    batching.defvectorized(one_way)
    mlir.register_lowering(one_way, lambda context, x, *, cure: [x])
    return one_way


def one_way(tree: T, cure: str) -> T:
    """Return a tree as it is, out of which no gradient is taken in reverse mode.

    It puts nothing into a compiled program, and forward mode and `vmap` go through it.

    Args:
        tree: of arrays.
        cure: what the ValueError says.
    """

    def guard(leaf: PyTree) -> Any:
        inexact = jax.numpy.issubdtype(jax.typeof(leaf).dtype, jax.numpy.inexact)
        return _one_way().bind(leaf, cure=cure) if inexact else leaf

    return jax.tree.map(guard, tree)


def on_a_mesh() -> bool:
    """Tell whether a `shard_map` is being traced here."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def cond(predicate: ArrayLike, yes: Callable[..., T], no: Callable[..., T], *operands: PyTree) -> T:
    """Call one of two functions as `lax.cond` does, though they differ over other mesh axes.

    Other control flow promotes no types either; here both answers are declared to differ over the
    axes over which either does.
    """
    if not on_a_mesh():
        return lax.cond(predicate, yes, no, *operands)
    found = [jax.eval_shape(branch, *operands) for branch in (yes, no)]
    axes = [varying(a) | varying(b) for a, b in zip(*map(jax.tree.leaves, found), strict=True)]

    def declared(branch: Callable[..., T]) -> Callable[..., T]:
        def call(*operands: PyTree) -> T:
            leaves, structure = jax.tree.flatten(branch(*operands))
            return jax.tree.unflatten(structure, map(vary, leaves, axes))

        return call

    return lax.cond(predicate, declared(yes), declared(no), *operands)


def call_jaxpr(
    jaxpr: "ClosedJaxpr", *leaves: ArrayLike, consts: Sequence[ArrayLike] | None = None
) -> list[Any]:
    """Run what `jax.make_jaxpr` returned, on the leaves of its arguments.

    Args:
        jaxpr: the program.
        *leaves: of its arguments.
        consts: in place of the arrays that the traced function closed over.
    """
    # imported here: jax itself does not
    from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

    closed = jaxpr if consts is None else ClosedJaxpr(jaxpr.jaxpr, list(consts))
    return list(jaxpr_as_fun(closed)(*leaves))


def depends_on(jaxpr: "ClosedJaxpr", k: int) -> list[Any]:
    """Return the variables, inputs and what was closed over, of which an output is computed."""
    from jax.interpreters.partial_eval import dce_jaxpr

    program = jaxpr.jaxpr
    wanted = [i == k for i in range(len(program.outvars))]
    rest, used = dce_jaxpr(program, wanted)
    read = [v for equation in rest.eqns for v in equation.invars] + list(rest.outvars)
    closed_over = [c for c in program.constvars if any(v is c for v in read)]
    return [v for v, is_used in zip(program.invars, used, strict=True) if is_used] + closed_over
