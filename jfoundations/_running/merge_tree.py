"""The memories of chunks, merged in one tree whose shape is known from the chunks' numbers alone.

A node of height h and place k has seen the chunks k·16^h … (k+1)·16^h - 1. Sixteen neighbours
become one, from left to right, as soon as all are there: so chunks may come in any order, from
anywhere, and few memories are kept; every sum is the same sum, and so are its bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from .._core.checks import check_like
from .._core.programs import compiled
from .._core.pytrees import FlatTree, flattened, unflattened
from .._core.sharding import automatic
from .._core.types import PyTree
from .._folds.combined import unasked
from .._folds.fold import Fold
from .lengths import block_memory, filled

Node = tuple[int, int]  # height, place
LEVEL = 4
WIDE = 1 << LEVEL  # a call costs more than the merging it does, so one call merges several


@dataclass(frozen=True, eq=False)
class MergeTree:
    """The memories of the aligned subtrees that are complete; a chunk more makes another tree.

    Attributes:
        a_fold: the fold.
        block: the program that folds a block to its memory.
        merge: the program that merges up to sixteen memories.
        nodes: the memories.
    """

    a_fold: Fold[Any]
    block: Callable[..., FlatTree]
    merge: Callable[..., FlatTree]
    nodes: dict[Node, FlatTree] = field(default_factory=dict)
    finished: ClassVar[bool] = False  # what merges wants all chunks

    @classmethod
    def of(cls, a_fold: Fold[Any]) -> "MergeTree":
        """Return the tree of no chunks."""
        # var and std have one memory, and so their programs are the same; merges tell their name
        merge = compiled(_merged, unasked(a_fold, a_fold.name))
        return cls(a_fold, compiled(block_memory, unasked(a_fold)), merge)

    def fold(self, i: int, block: PyTree) -> tuple["MergeTree", FlatTree]:
        """Return the tree with a block folded as chunk i, and the memory of that block alone."""
        memory = self.block(*filled(block))
        return self.add(0, i, memory), memory

    def add(self, height: int, place: int, memory: PyTree) -> "MergeTree":
        """Return the tree with one subtree more, given its memory; merge what is complete by it."""
        nodes = {**self.nodes, (height, place): flattened(memory)}
        while row := _complete(nodes, height, place):
            merged = self._together(list(map(nodes.pop, row)))
            height, place = height + 1, place >> LEVEL
            nodes[height, place] = merged
        return replace(self, nodes=nodes)

    def like(self, block: PyTree) -> Any:
        """Return the shapes and dtypes of a memory, given a block."""
        return unflattened(jax.eval_shape(self.block, *filled(block)))

    def saved(self) -> dict[Node, Any]:
        """Return the memories for a checkpoint."""
        return {node: unflattened(memory) for node, memory in sorted(self.nodes.items())}

    def restored(self, saved: dict[Node, PyTree]) -> "MergeTree":
        """Return the tree of which a checkpoint has the memories."""
        return replace(self, nodes={node: flattened(memory) for node, memory in saved.items()})

    def __contains__(self, chunk: int) -> bool:
        return any(chunk >> LEVEL * height == place for height, place in self.nodes)

    def __len__(self) -> int:
        return sum(WIDE**height for height, _ in self.nodes)

    def memory(self) -> Any:
        """Return the memory of all chunks, whose last may leave subtrees incomplete."""
        loose: list[FlatTree] = []
        for height in range(1 + max(height for height, _ in self.nodes)):
            places = sorted(place for h, place in self.nodes if h == height)
            loose = [self.nodes[height, place] for place in places] + loose
            loose = [self._together(loose)] if loose else []
        return unflattened(loose[0])

    def _together(self, memories: list[FlatTree]) -> FlatTree:
        count = len(memories)
        if count == 1:
            return memories[0]
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(memories)):
            # only a loop of a known length has a gradient in reverse mode
            return _merged(self.a_fold, memories, count)
        return self.merge(memories + memories[:1] * (WIDE - count), count)


def _complete(nodes: dict[Node, FlatTree], height: int, place: int) -> list[Node]:
    """Return a node and its siblings if all are there, else none."""
    first = place >> LEVEL << LEVEL
    row = [(height, first + k) for k in range(WIDE)]
    last_first = reversed(row)  # what comes in order lacks the last
    return row if all(node in nodes for node in last_first) else []


@automatic
def _merged(a_fold: Fold[Any], flat_memories: list[FlatTree], count: jax.Array) -> FlatTree:
    memories, merge = list(map(unflattened, flat_memories)), a_fold.merge
    assert merge is not None
    stacked = jax.tree.map(lambda *leaves: jnp.stack(list(map(strong, leaves))), *memories)
    first = jax.tree.map(lambda a: a[0], stacked)

    def one_more(i: jax.Array, memory: PyTree) -> Any:
        both = merge(memory, jax.tree.map(lambda a: a[i], stacked))
        check_like(both, memory, f"the merge of the fold {a_fold.name}", "memory")
        return jax.tree.map(strong, both)

    return flattened(lax.fori_loop(1, count, one_more, first))


def strong(leaf: PyTree) -> jax.Array:
    """Return a leaf as an array of its own dtype: Python numbers have weak ones."""
    return jnp.asarray(leaf, jnp.result_type(leaf))
