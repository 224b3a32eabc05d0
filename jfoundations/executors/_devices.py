"""The devices of a mesh, a chunk each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._core.programs import compiled
from .._core.shown import see
from .._core.types import Function, PyTree
from .._folds.combined import unasked
from .._folds.fold import Fold
from .._running.executor import Executor
from .._running.lengths import block_memory, filled, of_few
from .._running.progress import Chunks, Progress
from .._running.source import Rows, Source, element_of, rows_in
from .._running.worker import FoldedChunk


@dataclass(frozen=True)
class Devices(Executor):
    """Fold on the devices along one axis of a mesh, each a chunk of its own, with no collective.

    An array that is already sharded so is folded where it lies. Chunks need not be as many as
    devices, nor of one length.

    Args:
        mesh: of explicit or automatic axes, all of whose devices are this process's.
        axis: the name of one of them; over the others the work is repeated.

    Raises:
        TypeError, ValueError: mesh is none, has no such axis, or has devices of other processes.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> mesh = jax.make_mesh((jax.device_count(),), ("data",))
    >>> float(jf.fold(jf.folds.mean(), jnp.arange(5.0), Devices(mesh, "data")))
    2.0
    """

    mesh: Mesh
    axis: str

    def __post_init__(self) -> None:
        if not isinstance(self.mesh, Mesh):
            raise TypeError(f"Devices: mesh is {self.mesh!r}; make one with jax.make_mesh")
        if self.axis not in self.mesh.shape:
            raise ValueError(
                f"Devices: the mesh has no axis {self.axis!r}; it has {list(self.mesh.shape)}"
            )
        if self.mesh.is_multi_process:
            raise ValueError(
                "Devices: the mesh has devices of other processes; let each process fold on its "
                "own: Processes(Devices(mesh of jax.local_devices(), axis))"
                + see("array_to_cluster")
            )

    def run(self, chunks: Chunks, progress: Progress) -> None:
        """Fold all chunks."""
        if (rows := self._lying(chunks)) is not None:
            self._where_it_lies(rows, progress)
            return
        size = self.mesh.shape[self.axis]
        pending: deque[Any] = deque()
        for round_ in _rounds(chunks, progress, size):
            pending.append((round_, self._fold(progress.a_fold, round_)))
            if len(pending) == 2:  # one is fetched while the next is folded
                _add(progress, *pending.popleft())
        for one in pending:
            _add(progress, *one)

    def _fold(self, a_fold: Fold[Any], round_: list[_Chunk]) -> Any:
        size = self.mesh.shape[self.axis]
        blocks = [chunk.filled for chunk in round_]
        blocks += blocks[-1:] * (size - len(blocks))  # the devices left over repeat the last
        xs = jax.tree.map(self._spread, *blocks)
        return compiled(_on_mesh, unasked(a_fold), mesh=self.mesh, axis=self.axis)(xs)

    def _spread(self, *leaves: Array) -> jax.Array:
        sharding = NamedSharding(self.mesh, PartitionSpec(self.axis))
        shape = (len(leaves), *np.shape(leaves[0]))
        where = sharding.addressable_devices_indices_map(shape)
        parts = [
            jax.device_put(leaves[index[0].start or 0][None], device)  # type: ignore[index]
            for device, index in where.items()
        ]
        return jax.make_array_from_single_device_arrays(shape, sharding, parts)

    def _lying(self, chunks: Chunks) -> Rows | None:
        """Return what is sharded along the axis in whole chunks, or None."""
        blocks = chunks.progress.blocks
        load = blocks.load if isinstance(blocks, Source) else None
        if not isinstance(load, Rows) or chunks.ids != range(chunks.total or 0):
            return None
        per_device = (chunks.total or 0) / self.mesh.shape[self.axis]
        whole = rows_in(load.data) == load.size * (chunks.total or 0)
        if not whole or per_device % 1 or not all(map(self._is_mine, jax.tree.leaves(load.data))):
            return None
        return load

    def _is_mine(self, leaf: PyTree) -> bool:
        sharding = getattr(leaf, "sharding", None)
        if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
            return False
        first, *rest = [*sharding.spec, None]  # type: ignore[misc]
        same = sharding.mesh.devices.tolist() == self.mesh.devices.tolist()
        return same and first in (self.axis, (self.axis,)) and not any(rest)

    def _where_it_lies(self, rows: Rows, progress: Progress) -> None:
        size, mine = rows.size, NamedSharding(self.mesh, PartitionSpec(self.axis))
        data = jax.device_put(rows.data, mine)  # copies nothing; other kinds of axes become these
        fold = unasked(progress.a_fold)
        run = compiled(_of_shards, fold, mesh=self.mesh, axis=self.axis, size=size)
        memories = jax.device_get(run(data, None if size == of_few(size) else np.int32(size)))
        element = element_of(data)
        for i in range(rows_in(data) // size):
            memory = jax.tree.map(lambda a, i=i: a[i], memories)
            progress.add(i, FoldedChunk(memory, element, size))


class _Chunk(NamedTuple):
    """A chunk's number and its block, `filled`; shapes of an element, and how many there are."""

    i: int
    filled: tuple[PyTree, np.int32 | None]
    element: PyTree
    rows: int

    def goes_with(self, other: _Chunk) -> bool:
        """Tell whether one program folds both."""
        (block, count), (others, of_others) = self.filled, other.filled
        return rows_in(block) == rows_in(others) and (count is None) == (of_others is None)


def _rounds(chunks: Chunks, progress: Progress, size: int) -> Iterator[list[_Chunk]]:
    """Yield lists of as many neighbours as there are devices, which one program folds."""
    row: list[_Chunk] = []
    for i, block in chunks:
        block = progress.checked(i, block)
        chunk = _Chunk(i, filled(block), element_of(block), rows_in(block))
        if row and (len(row) == size or not chunk.goes_with(row[0])):
            yield row
            row = []
        row.append(chunk)
    if row:
        yield row


def _add(progress: Progress, round_: list[_Chunk], memories: PyTree) -> None:
    memories = jax.device_get(memories)
    for k, chunk in enumerate(round_):
        memory = jax.tree.map(lambda a, k=k: a[k], memories)
        progress.add(chunk.i, FoldedChunk(memory, chunk.element, chunk.rows))


def _mapped(function: Function, mesh: Mesh, axis: str, *shared: PyTree) -> Any:
    spec = PartitionSpec(axis)
    specs = (spec, *(PartitionSpec() for _ in shared))
    # a user's fold need not say how its constants vary over the mesh; there is no collective
    mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=spec, check_vma=False)
    return lambda xs: mapped(xs, *shared)


def _on_mesh(a_fold: Fold[Any], xs: PyTree, *, mesh: Mesh, axis: str) -> Any:
    def one(xs: PyTree) -> Any:
        memory = block_memory(a_fold, *jax.tree.map(lambda a: a[0], xs))
        return jax.tree.map(lambda a: a[None], memory)

    return _mapped(one, mesh, axis)(xs)


def _of_shards(
    a_fold: Fold[Any], xs: PyTree, count: Array | None, *, mesh: Mesh, axis: str, size: int
) -> Any:
    within = np.minimum(np.arange(of_few(size)), size - 1)

    def several(xs: PyTree, count: Array | None) -> Any:
        cut = jax.tree.map(lambda a: a.reshape(-1, size, *a.shape[1:]), xs)
        if count is not None:  # what `filled` does
            cut = jax.tree.map(lambda a: a[:, within], cut)
        return jax.lax.map(lambda block: block_memory(a_fold, block, count), cut)

    return _mapped(several, mesh, axis, count)(xs)
