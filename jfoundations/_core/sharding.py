"""Arrays with explicit sharding, as the meshes of `jax.make_mesh` give them.

There each operation must say how its answer lies over the devices. Statistics cut their data into
blocks and join them, and leave to the compiler how: it is told so here, for all of them.
"""

import functools
from typing import Any

import jax
from jax import lax
from jax.core import ShapedArray
from jax.sharding import NamedSharding, PartitionSpec

from .types import Function, PyTree


def automatic(
    function: Function, *, reduced: tuple[int, ...] = (), lies_as: int | None = None
) -> Function:
    """Return a function within which the compiler chooses how arrays lie over the devices.

    The axes of the data that the answer still has lie as they did; else it is on each device.

    Args:
        function: of trees of arrays.
        reduced: the axes of the data that it reduces.
        lies_as: the place of an argument: each leaf of the answer lies as the same leaf of that.
    """

    @functools.wraps(function)
    def run(*arrays: PyTree) -> Any:
        types = jax.tree.map(jax.typeof, arrays)
        lying = [t for t in jax.tree.leaves(types) if explicit_axes(t)]
        if not lying:
            return function(*arrays)
        answer, structure = jax.tree.flatten(jax.eval_shape(function, *jax.tree.map(_bare, types)))
        if lies_as is None:
            data = max(lying, key=lambda t: sum(s is not None for s in t.sharding.spec))
            specs = [_kept(data, reduced, a.shape) for a in answer]
        else:
            specs = [t.sharding.spec for t in jax.tree.leaves(types[lies_as])]
        mesh = lying[0].sharding.mesh
        out = jax.tree.unflatten(structure, [NamedSharding(mesh, spec) for spec in specs])
        return jax.sharding.auto_axes(call, axes=explicit_axes(lying[0]), out_sharding=out)(*arrays)

    def call(*arrays: PyTree) -> Any:
        # a program that reads none of the arrays would not know of their devices
        return lax.optimization_barrier((function(*arrays), lax.stop_gradient(arrays)))[0]

    return run


def _bare(aval: ShapedArray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def explicit_axes(aval: object) -> tuple[Any, ...]:
    """Return the mesh axes over which a value lies explicitly, by its type."""
    return getattr(getattr(getattr(aval, "sharding", None), "mesh", None), "explicit_axes", ())


def _kept(data: ShapedArray, reduced: tuple[int, ...], shape: tuple[int, ...]) -> PartitionSpec:
    axes = list(zip(data.shape, data.sharding.spec, strict=True))
    if len(shape) != len(axes):
        axes = [axis for k, axis in enumerate(axes) if k not in reduced]
    more = len(shape) - len(axes)
    axes = [(None, None)] * more + axes[max(-more, 0) :]
    sizes = zip(shape, axes, strict=True)
    return PartitionSpec(*(spec if size == n else None for n, (size, spec) in sizes))
