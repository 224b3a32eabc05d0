"""Keys, pytrees, and meshes of devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ._arrays import arrays


def keys() -> SearchStrategy[jax.Array]:
    """Draw PRNG keys, the plainest `jax.random.key(0)`."""
    return st.integers(0, 2**32 - 1).map(jax.random.key)


def pytrees(
    leaves: SearchStrategy[Any] | None = None, *, max_leaves: int = 5
) -> SearchStrategy[Any]:
    """Draw nested dicts, tuples and lists, None among them.

    Args:
        leaves: draws the leaves; by default small float arrays.
        max_leaves: about how many leaves at most.
    """
    leaves = arrays(shape=((), (3,), (2, 2))) if leaves is None else leaves
    names = st.sampled_from(["a", "b", "c"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner),
            st.lists(inner, max_size=2),
            st.dictionaries(names, inner | st.none(), max_size=3),
        ),
        max_leaves=max_leaves,
    )


def meshes(
    axes: str | Sequence[str] = "data", *, largest: int | None = None
) -> SearchStrategy[jax.sharding.Mesh]:
    """Draw meshes of the CPU devices there are: one of them, two, four, …, in every shape.

    There is one, unless `jax.config.update("jax_num_cpu_devices", 8)` came before JAX's first use.

    Args:
        axes: the name of the mesh's axis, or several; they are automatic ones.
        largest: how many devices at most.

    >>> from hypothesis import find
    >>> dict(find(meshes(("rows", "columns")), lambda mesh: True).shape)
    {'rows': 1, 'columns': 1}
    """
    devices = jax.devices("cpu")[:largest]
    names = (axes,) if isinstance(axes, str) else tuple(axes)
    shapes = [(1,) * len(names)]
    for shape in shapes:  # grows as it goes: every axis of every shape is doubled
        doubled = [(*shape[:k], 2 * shape[k], *shape[k + 1 :]) for k in range(len(names))]
        shapes += [s for s in doubled if np.prod(s) <= len(devices) and s not in shapes]

    def mesh(shape: tuple[int, ...]) -> jax.sharding.Mesh:
        some = np.array(devices[: int(np.prod(shape))])
        return jax.sharding.Mesh(some.reshape(shape), names)

    return st.sampled_from(shapes).map(mesh)
