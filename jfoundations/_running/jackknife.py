"""A fold's answers with each chunk left out in turn, from one pass over the data.

The chunks before each one are merged from the left, and those after it from the right: three merges
a chunk. Nothing is taken out of a sum, so no digit is lost to the chunk that is left out, not even
where it is nan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import check_like
from .._core.compat import vary_as
from .._core.programs import compiled
from .._core.pytrees import FlatTree, flattened, unflattened
from .._core.sharding import automatic
from .._core.shown import see
from .._core.types import PyTree
from .._core.values import is_key
from .._folds.fold import Fold
from .._folds.given import check_fold
from .executor import Executor
from .merge_tree import MergeTree, Node, strong
from .progress import Progress, Report
from .run import answer_of, checked, completed
from .source import cut, is_whole

R = TypeVar("R")


def jackknife(
    a_fold: Fold[R],
    chunks: ArrayLike | Iterable[PyTree],
    executor: Executor | None = None,
    *,
    progress: Report | None = None,
) -> tuple[R, R]:
    """Return a fold's answer of all chunks, and its answers with each of them left out.

    One pass over the data and three merges a chunk, whatever the fold. The memories of all chunks
    are kept, twice; where they are too large for that, fold all, then each chunk again, and take
    its memory out by `a_fold.unmerge`.

    Args:
        a_fold: the fold, with a `merge`.
        chunks: as `fold` takes data: a list or a generator of blocks, or a `Source`; an array is
            cut into 64.
        executor: as `fold` takes it.
        progress: likewise.

    Returns:
        The answer that `fold` gives of the chunks, to the bit; and the answers without chunk
        0, 1, …, along a leading axis. Without the only one it is the answer over nothing.

    Raises:
        TypeError, ValueError: as `fold` does; or the fold has no `merge`.

    Which chunk spoiled the mean?

    >>> import jax.numpy as jnp
    >>> from jfoundations import folds
    >>> files = [jnp.array([1.0, 3.0]), jnp.array([2.0, 700.0]), jnp.array([1.0, 2.0, 3.0])]
    >>> mean, without = jackknife(folds.mean(), files)
    >>> int(jnp.argmax(jnp.abs(without - mean))), without.tolist()
    (1, [141.60000610351562, 2.0, 176.5])

    Source: Tukey (1958), "Bias and confidence in not quite large samples", gave the name.
    """
    check_fold(a_fold, "jackknife")
    if a_fold.merge is None:
        raise TypeError(
            f"jackknife: {a_fold.name} depends on the order of its elements (its merge is None), "
            "so none of them can be left out; write a merge" + see("array_to_cluster")
        )
    data = cut(chunks) if is_whole(chunks, "jackknife's chunks") else chunks
    data, executor = checked("jackknife", a_fold, data, executor, progress)
    state = completed(executor, lambda: Progress(a_fold, data, None, progress, memories=Apart))
    whole, memories = answer_of(a_fold, state), state.done.memories.saved().values()
    known = Known(*jax.tree.flatten(state.element), len(memories))
    return whole, compiled(_left_out, a_fold)(jax.tree.map(_stacked, *memories), known)


@dataclass(frozen=True, eq=False)
class Apart(MergeTree):
    """A tree of memories that keeps those of single chunks too.

    Attributes:
        chunks: them, by number; of all trees that come of one another it is the same.
    """

    chunks: dict[int, FlatTree] = field(default_factory=dict)

    def add(self, height: int, place: int, memory: PyTree) -> MergeTree:
        """Return the tree with one chunk more."""
        self.chunks[place] = flattened(memory)
        return super().add(height, place, memory)

    def saved(self) -> dict[Node, Any]:
        """Return the memories of the chunks, in their order."""
        return {(0, i): unflattened(memory) for i, memory in sorted(self.chunks.items())}


@jax.tree_util.register_static
@dataclass(frozen=True)
class Known:
    """What a program is made for: leaves and structure of an element, and how many chunks."""

    leaves: Sequence[jax.ShapeDtypeStruct]
    structure: Any
    chunks: int

    def __hash__(self) -> int:
        return hash((tuple(self.leaves), self.structure, self.chunks))


def _stacked(*leaves: Any) -> Any:
    keys = is_key(leaves[0])  # which are nothing to NumPy
    if keys or any(isinstance(leaf, Tracer) for leaf in leaves):
        return jnp.stack(leaves)
    return np.stack(list(map(np.asarray, leaves)))  # JAX would compile as many arguments


@automatic
def _left_out(a_fold: Fold[Any], memories: PyTree, known: Known) -> Any:
    def merge(a: PyTree, b: PyTree) -> Any:
        both = jax.tree.map(strong, a_fold.merge(a, b))  # type: ignore[misc]
        check_like(both, empty, f"the merge of the fold {a_fold.name}", "memory")
        return both

    def from_right(after: PyTree, memory: PyTree) -> Any:
        return merge(memory, after), after

    def from_left(before: PyTree, chunk: PyTree) -> Any:
        memory, after = chunk
        return merge(before, memory), a_fold.extract(merge(before, after))

    like = jax.tree.unflatten(known.structure, known.leaves)
    empty = vary_as(jax.tree.map(strong, a_fold.init(like)), memories)
    _, after = lax.scan(from_right, empty, memories, known.chunks, reverse=True)
    return lax.scan(from_left, empty, (memories, after), known.chunks)[1]
