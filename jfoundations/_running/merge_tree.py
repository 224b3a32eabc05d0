"""The memories of chunks, merged in one tree whose shape is known from the chunks' numbers alone.

A node of height h and place k has seen the chunks k·16^h … (k+1)·16^h - 1. Sixteen neighbours
become one, from left to right, as soon as all are there: so chunks may come in any order, from
anywhere, and few memories are kept; every sum is the same sum, and so are its bits.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from .._core.checks import check_like
from .._core.programs import compiled
from .._core.pytrees import Flat, flat, unflat
from .._core.sharding import automatic
from .._folds.fold import Fold

Node = tuple[int, int]  # height, place
LEVEL = 4
WIDE = 1 << LEVEL  # a call costs more than the merging it does, so one call merges several


class Partials:
    """The memories of the aligned subtrees that are complete."""

    def __init__(self, a_fold: Fold[Any]):
        self.a_fold: Fold[Any] = a_fold
        self.merge: Callable[..., Flat] = compiled(_merged, a_fold)
        self.nodes: dict[Node, Flat] = {}

    def add(self, height: int, place: int, memory: Any) -> None:
        """Take in the memory of a subtree, and merge what is complete by it."""
        self.nodes[height, place] = flat(memory)
        while row := self._complete(height, place):
            memory = self._together(list(map(self.nodes.pop, row)))
            height, place = height + 1, place >> LEVEL
            self.nodes[height, place] = memory

    def _complete(self, height: int, place: int) -> list[Node]:
        """Return the node and its siblings if all are there, else none."""
        row = _siblings(height, place)
        last_first = reversed(row)  # what comes in order lacks the last
        return row if all(node in self.nodes for node in last_first) else []

    def __contains__(self, chunk: int) -> bool:
        return any(chunk >> LEVEL * height == place for height, place in self.nodes)

    def __len__(self) -> int:
        return sum(WIDE**height for height, _ in self.nodes)

    def joined(self) -> Any:
        """Return the memory of all chunks, whose last may leave subtrees incomplete."""
        loose: list[Any] = []
        for height in range(1 + max(height for height, _ in self.nodes)):
            places = sorted(place for h, place in self.nodes if h == height)
            loose = [self.nodes[height, place] for place in places] + loose
            loose = [self._together(loose)] if loose else []
        return unflat(loose[0])

    def _together(self, memories: list[Flat]) -> Flat:
        count = len(memories)
        if count == 1:
            return memories[0]
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(memories)):
            # only a loop of a known length has a gradient in reverse mode
            return _merged(self.a_fold, memories, count)
        return self.merge(memories + memories[:1] * (WIDE - count), count)


def _siblings(height: int, place: int) -> list[Node]:
    first = place >> LEVEL << LEVEL
    return [(height, first + k) for k in range(WIDE)]


@automatic
def _merged(a_fold: Fold[Any], flat_memories: list[Flat], count: Any) -> Flat:
    memories, merge = list(map(unflat, flat_memories)), a_fold.merge
    assert merge is not None
    stacked = jax.tree.map(lambda *leaves: jnp.stack(list(map(_strong, leaves))), *memories)
    first = jax.tree.map(lambda a: a[0], stacked)

    def one_more(i: Any, memory: Any) -> Any:
        both = merge(memory, jax.tree.map(lambda a: a[i], stacked))
        check_like(both, memory, f"the merge of the fold {a_fold.name}", "memory")
        return jax.tree.map(_strong, both)

    return flat(lax.fori_loop(1, count, one_more, first))


def _strong(leaf: Any) -> jax.Array:
    return jnp.asarray(leaf, jnp.result_type(leaf))  # Python numbers have weak types
