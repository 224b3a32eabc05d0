"""The memory of a fold whose order matters: each chunk goes on from the memory of those before."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax.core import Tracer

from .._core.checks import tracing
from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.types import PyTree
from .._folds.blocks import fold_elements, like_of_block
from .._folds.fold import Fold
from .lengths import filled

IN_ORDER = -1  # the height, in a checkpoint, of such a memory; its place counts the chunks


@dataclass(frozen=True, eq=False)
class InOrder:
    """The memory of the first chunks; a chunk more makes another.

    Attributes:
        start: the program that makes the empty memory, given a block.
        step: the program of a memory and a block, which takes its elements one by one.
        a_fold: the fold.
        after: the memory.
        count: of the chunks.
        finished: whether it wants no more.
    """

    start: Callable[[Any], Any]
    step: Callable[..., Any]
    a_fold: Fold[Any]
    after: Any = None
    count: int = 0
    finished: bool = False

    @classmethod
    def of(cls, a_fold: Fold[Any]) -> "InOrder":
        """Return the memory of no chunks."""
        return cls(compiled(_start, a_fold), compiled(_after_block, a_fold), a_fold)

    def fold(self, i: int, block: PyTree) -> tuple["InOrder", Any]:
        """Return the memory with a block folded as chunk i, as it is here and as arrays."""
        if i != self.count:
            raise RuntimeError(
                f"fold: the executor says that it keeps the order, and gave chunk {i} where "
                f"chunk {self.count} is next"
            )
        some, count = filled(block)
        memory = self.after if i else self.start(some)
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((self.a_fold, memory))):
            some, count = block, None  # only a loop of a known length has a gradient
        made = self._with(self.step(memory, some, count), i + 1)
        return made, made.after

    def _with(self, memory: PyTree, count: int) -> "InOrder":
        ends = self.a_fold.finished
        finished = ends is not None and not tracing() and bool(ends(memory))
        return replace(self, after=memory, count=count, finished=finished)

    def add(self, height: int, place: int, memory: PyTree) -> "InOrder":
        """Refuse the memory of a chunk that was folded without those before it."""
        raise RuntimeError(
            "fold: the executor says that it keeps the order, and folded a chunk by itself; it is "
            "to call progress.fold(i, block), one block after another"
        )

    def like(self, block: PyTree) -> Any:
        """Return the shapes and dtypes of a memory, given a block."""
        return jax.eval_shape(self.start, block)

    def saved(self) -> dict[tuple[int, int], Any]:
        """Return the memory for a checkpoint."""
        return {(IN_ORDER, self.count): self.after} if self.count else {}

    def restored(self, saved: dict[tuple[int, int], PyTree]) -> "InOrder":
        """Return what a checkpoint has the memory of."""
        [((_, count), memory)] = saved.items()
        return self._with(memory, count)

    def __contains__(self, chunk: int) -> bool:
        return chunk < self.count

    def __len__(self) -> int:
        return self.count

    def memory(self) -> Any:
        """Return the memory of all chunks."""
        return self.after


@automatic
def _start(a_fold: Fold[Any], xs: PyTree) -> Any:
    return jax.tree.map(jax.numpy.asarray, a_fold.init(like_of_block(xs)))


@automatic
def _after_block(
    a_fold: Fold[Any], memory: PyTree, xs: PyTree, count: jax.Array | None = None
) -> Any:
    xs = jax.tree.map(jax.numpy.asarray, xs)
    return fold_elements(a_fold.step, a_fold.finished, memory, xs, count)
