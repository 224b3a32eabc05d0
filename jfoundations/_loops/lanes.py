"""Lanes: the runs of one batch, side by side. Each stops by itself, and nothing is copied for it.

`vmap` of a `lax.while_loop` whose predicate differs between lanes selects over the whole carry in
each step: a history of n entries then costs O(n) a step. Here the predicate is the OR over the
lanes, which no lane differs in, and the body freezes what belongs to a finished lane itself.

`chunks` maps its parts over lanes by `over_lanes`, where `find_lane_axes` says which arrays have
a leading axis of them:

>>> import jax, jax.numpy as jnp
>>> find_lane_axes((abs, jnp.zeros((4, 2)), max), True, None, "chunks")
LaneAxes(program=(), state=0, key=None)
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_batching import custom_vmap
from jax.sharding import AxisType, Mesh, NamedSharding

from .._core.checks import keystr
from .._core.types import Function, PyTree
from .._core.values import describe, hold, is_key
from .plan import StepAndCallbacks
from .result import LoopResult

T = TypeVar("T")


@custom_vmap
def any_lane(going: jax.Array) -> jax.Array:
    """Return whether any lane is going; one lane's own flag where there is no vmap."""
    return going


@any_lane.def_vmap
def _any_lane(axis_size: int, batched: list[bool], going: jax.Array) -> tuple[Any, bool]:
    return any_lane(jnp.any(going, axis=0)), False


@custom_vmap
def lane_is_live(going: jax.Array) -> jax.Array:
    """Return this lane's flag under vmap, else True: the body of a single loop is always live.

    The constant lets the compiler drop every select that freezes a finished lane.
    """
    return jnp.ones_like(going)


@lane_is_live.def_vmap
def _lane_is_live(axis_size: int, batched: list[bool], going: jax.Array) -> tuple[Any, bool]:
    return going, True


class LaneAxes(NamedTuple):
    """Where there are lanes: 0, else None; of the program for each leaf."""

    program: tuple[int | None, ...]
    state: int | None
    key: int | None


def find_lane_axes(
    parts: tuple[object, ...], lanes: bool | tuple[bool, ...], key: Array | None, who: str
) -> LaneAxes:
    """Return where the lanes are.

    Args:
        parts: the step, the state (or a result, which has lanes throughout) and the callbacks.
        lanes: True for those of the state alone, or a bool for each part.
        key: one for all, or an array of one a lane.
        who: how messages call the caller.

    Raises:
        TypeError: `lanes` is neither.
        ValueError: a leaf that should have lanes has none, or not as many as another.
    """
    if lanes is True:
        lanes = (False, True, *(False for _ in parts[2:]))
    if not isinstance(lanes, tuple) or {type(flag) for flag in lanes} - {bool}:
        raise TypeError(f"{who}: lanes is {lanes!r}; give True, or a tuple of bools")
    if len(lanes) != len(parts):
        raise ValueError(
            f"{who}: lanes has {len(lanes)} bools, but there are {len(parts)} parts: the step, the "
            f"state and {len(parts) - 2} callbacks"
        )
    step, state, *callbacks = parts
    flags = (lanes[0], *lanes[2:], lanes[1] or isinstance(state, LoopResult), one_a_lane(key))
    held = (*map(hold, (step, *callbacks)), state, key)
    names = ("step", *(f"callback {k + 1}" for k in range(len(callbacks))), "state", "key")
    _check_lengths(zip(names, held, flags, strict=True), who)
    axes = [0 if flag else None for flag in flags]
    sizes = [len(jax.tree.leaves(part)) for part in held[:-2]]
    program = (axis for axis, size in zip(axes, sizes, strict=False) for _ in range(size))
    return LaneAxes(tuple(program), axes[-2], axes[-1])


def one_a_lane(key: Array | None) -> bool:
    """Tell whether a key is an array of them."""
    if key is None:
        return False
    return key.ndim == (1 if is_key(key) else 2)


def _check_lengths(parts: Iterable[tuple[str, PyTree, bool]], who: str) -> None:
    found: dict[int, str] = {}
    for name, part, flag in parts:
        for path, leaf in jax.tree_util.tree_leaves_with_path(part) if flag else ():
            where = keystr(path, name)
            if not np.ndim(leaf):
                raise ValueError(
                    f"{who}: {where} is {describe(leaf)}; with lanes, each leaf needs a leading "
                    "axis of lanes"
                )
            found.setdefault(leaf.shape[0], where)
    if not found:
        raise ValueError(
            f"{who}: there are no lanes, since no part that is to have them has arrays"
        )
    if len(found) > 1:
        (n, one), (m, other) = list(found.items())[:2]
        raise ValueError(f"{who}: {one} has {n} lanes, but {other} has {m}")


def over_lanes(
    part: Function,
    axes: LaneAxes | None,
    program: StepAndCallbacks,
    state: PyTree,
    key: Array | None,
) -> Any:
    """Return `part(program, state, key)`, in each lane where there are lanes."""
    if axes is None:
        return part(program, state, key)
    leaves, structure = jax.tree.flatten(program)

    def lane(leaves: list[Array], state: PyTree, key: Array | None) -> Any:
        return part(jax.tree.unflatten(structure, leaves), state, key)

    return jax.vmap(lane, (list(axes.program), axes.state, axes.key))(leaves, state, key)


def explicit_mesh(tree: PyTree) -> Mesh | None:
    """Return the mesh with explicit axes that a tree's arrays are sharded over, if there is one."""
    for leaf in jax.tree.leaves(tree):
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and AxisType.Explicit in sharding.mesh.axis_types:
            assert isinstance(sharding.mesh, Mesh)
            return sharding.mesh
    return None


def automatic(mesh: Mesh) -> Mesh:
    """Return the mesh with automatic axes of the same names."""
    return Mesh(mesh.devices, mesh.axis_names)


def lay_over(mesh: Mesh, tree: T) -> T:
    """Return a tree whose sharded arrays are so over another mesh of the same devices and names."""

    def put(leaf: PyTree) -> Any:
        sharding = getattr(leaf, "sharding", None)
        if not isinstance(sharding, NamedSharding):
            return leaf
        return jax.device_put(leaf, NamedSharding(mesh, sharding.spec))

    return jax.tree.map(put, tree)
