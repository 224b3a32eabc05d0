"""How far a fold has come: what is to do, what is done, and the checkpoint of that."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import jax

from .._core.checks import tracing
from .._core.inputs import as_block
from .._core.types import PyTree
from .._core.values import describe
from .._folds.fold import Fold
from .checkpoint import Checkpoint
from .in_order import InOrder
from .loading import loaded_ahead, settings_of_thread
from .merge_tree import MergeTree, Node
from .source import (
    Rows,
    Source,
    chunk_name,
    element_of,
    fold_block,
    load_chunk,
    rows_in,
)
from .worker import ChunkFunction, FoldedChunk

AHEAD = 3  # chunks that are being computed, so that the next is there when one ends
_END = object()


class Report(Protocol):
    """What `fold` calls after each chunk."""

    def __call__(self, done: int, total: int | None, /) -> object:
        """Hear how many chunks are done, and how many there are, None when no one knows."""
        ...


@dataclass(frozen=True)
class Done:
    """What is done, in one value, so that an interrupt finds a chunk in all of it or in none.

    Attributes:
        memories: what the chunks came to.
        rows: how many there were in all.
        samples: the rows of the first chunk and of the last, to know the cut by.
    """

    memories: MergeTree | InOrder
    rows: int = 0
    samples: dict[int, int] = field(default_factory=dict)

    def and_chunk(self, i: int, rows: int, memories: MergeTree | InOrder) -> "Done":
        """Return what is done with a chunk more."""
        samples = {**self.samples, i: rows}
        samples = {k: samples[k] for k in (min(samples), max(samples))}
        return Done(memories, self.rows + rows, samples)


class Progress:
    """What is done of a fold, and the checkpoint of that.

    Args:
        a_fold: the fold.
        blocks: the source, or an iterable of blocks.
        file: the checkpoint, or None.
        report: called after each chunk, or None.
        memories: what keeps them, by default as the fold needs it.
    """

    def __init__(
        self,
        a_fold: Fold[Any],
        blocks: Iterable[PyTree],
        file: Checkpoint | None = None,
        report: Report | None = None,
        memories: type[MergeTree] | None = None,
    ):
        self.a_fold: Fold[Any] = a_fold
        self.blocks: Any = blocks
        self.total: int | None = count_of(blocks)
        self.file: Checkpoint | None = file
        self.report: Report | None = report
        kept = memories or (InOrder if a_fold.merge is None else MergeTree)
        self.done: Done = Done(kept.of(a_fold))
        self.element: Any = None  # what all have alike
        self.computing: deque[Any] = deque()
        self.earlier: dict[str, Any] | None = file and file.read()  # what the file says is done
        self.read: int = 0  # how many blocks of a stream were handed out
        self.passed: int = 0  # rows of a stream's blocks that are done already
        if file and self.earlier is None:
            self.save()  # what cannot be written is to be known before the work
        elif self.earlier and self.total is not None:
            for i, _ in self.earlier["samples"]:
                self._resume(i, load_chunk(self.blocks.load, i, self.total))

    def chunks(self) -> "Chunks":
        """Return what is to do."""
        if self.total is None:
            return Chunks(self, None)
        ids = range(0 if self.done.memories.finished else self.total)
        return Chunks(
            self, [i for i in ids if i not in self.done.memories] if self.earlier else ids
        )

    def name_of(self, i: int) -> str:
        """Return what messages call a chunk."""
        return chunk_name(i, self.total, getattr(self.blocks, "load", None))

    def passes(self, i: int, block: PyTree) -> bool:
        """Tell whether a block of a stream is done already."""
        if self.earlier is None:
            return False
        if i in dict(self.earlier["samples"]):
            self._resume(i, block)
        if i in self.done.memories:
            self.passed += rows_in(block)
            return True
        if self.passed != self.earlier["rows"]:
            raise self._cut_otherwise(f"{self.earlier['rows']} rows in what is done", self.passed)
        self.earlier = None
        return False

    def _resume(self, i: int, block: PyTree) -> None:
        """Take in what the checkpoint holds, given a chunk that it has seen."""
        assert self.file is not None and self.earlier is not None
        name, earlier = self.name_of(i), self.earlier
        block, samples = as_block(block, f"fold's {name}"), dict(earlier["samples"])
        if rows_in(block) != samples[i]:
            raise self._cut_otherwise(f"{samples[i]} rows in {name}", rows_in(block))
        if self.done.samples:
            return  # it has all been taken in, with the first
        self.element, empty = element_of(block), self.done.memories
        # traced once, for the folding too; and only where the elements are found to be the same
        saved = self.file.memories(earlier, self.element, lambda: empty.like(block))
        self.done = Done(empty.restored(saved), earlier["rows"], samples)

    def _cut_otherwise(self, said: str, found: int) -> ValueError:
        assert self.file is not None
        return ValueError(
            f"fold: the checkpoint {self.file.path} has {said}, and now there are {found}: the "
            "data is cut otherwise; cut it as before, give another path, or delete it to begin anew"
        )

    def fold(self, i: int, block: PyTree) -> None:
        """Fold a block here, as chunk i, and take it in."""
        block = self.checked(i, block)
        self._check_number(i)
        name = self.name_of(i)
        memories, memory = fold_block(partial(self.done.memories.fold, i), block, name)
        self._take_in(i, rows_in(block), memories)
        self.computing.append(memory)
        if len(self.computing) == AHEAD and not tracing():
            jax.block_until_ready(self.computing.popleft())  # else blocks would pile up

    def add(self, i: int, folded: FoldedChunk) -> None:
        """Take in chunk i, which was folded elsewhere."""
        self._check_alike(self.name_of(i), folded.element)
        self._check_number(i)
        self._take_in(i, folded.rows, self.done.memories.add(0, i, folded.memory))

    def checked(self, i: int, block: PyTree) -> Any:
        """Return a block as JAX takes it, or raise: it is none, or unlike those before."""
        name = self.name_of(i)
        block = as_block(block, f"fold's {name}")
        self._check_alike(name, element_of(block))
        return block

    def _check_alike(self, name: str, element: PyTree) -> None:
        if self.element is None:
            self.element = element
        elif element != self.element:
            raise TypeError(
                f"fold: {name} has elements {describe(element)}, and others had "
                f"{describe(self.element)}; all must be alike"
            )

    def _check_number(self, i: int) -> None:
        if not 0 <= i < (self.read if self.total is None else self.total):
            raise RuntimeError(
                f"fold: the executor gave a chunk the number {i}, which none has; it goes by the "
                "number that chunks gave with it"
            )
        if i in self.done.memories:
            raise RuntimeError(f"fold: the executor gave {self.name_of(i)} twice")

    def _take_in(self, i: int, rows: int, memories: MergeTree | InOrder) -> None:
        self.done = self.done.and_chunk(i, rows, memories)
        if self.file and self.file.due():
            self.save()
        if self.report:
            self.report(len(memories), self.total)

    def add_of_process(self, p: int, element: PyTree, memories: dict[Node, PyTree]) -> None:
        """Take in what another process came to, and has in a checkpoint of its own."""
        self.file = None
        if element is not None:
            self._check_alike(f"process {p}", element)
        tree = self.done.memories
        for (height, place), memory in memories.items():
            tree = tree.add(height, place, memory)
        self.done = Done(tree)

    def save(self) -> None:
        """Write the checkpoint, if there is one to write."""
        done = self.done
        if self.file and (self.earlier is None or len(done.memories)):
            self.file.write(
                done.memories.saved(),
                rows=done.rows,
                done=len(done.memories),
                element=str(self.element),
                samples=list(done.samples.items()),
            )

    def save_after(self, error: BaseException) -> None:
        """Write the checkpoint after an error, which is told of it."""
        if self.file is None:
            return
        try:
            self.save()
        except Exception:
            return  # that may be the error itself, and hides no other
        error.add_note(f"fold: what was done is kept in {self.file.path}; run it again to go on")

    def memory(self) -> Any:
        """Return the memory of all chunks."""
        memories = self.done.memories
        before = self.earlier["rows"] if self.earlier else self.passed  # rows that were to pass by
        if self.total is None and not memories.finished and self.passed != before:
            raise self._cut_otherwise(f"{before} rows in what is done", self.passed)
        if len(memories) == 0 and not (self.total or self.read):
            raise ValueError("fold: there is no block, so no one knows what an element looks like")
        if len(memories) == 0 and self.total is None:
            raise RuntimeError(f"fold: the executor gave none of {self.read} chunks")
        if self.total not in (None, len(memories)) and not memories.finished:
            raise RuntimeError(f"fold: the executor gave {len(memories)} of {self.total} chunks")
        return memories.memory()


@dataclass(frozen=True)
class Chunks:
    """The chunks that an executor has to fold.

    Attributes:
        progress: of the fold.
        ids: the numbers to do, rising; None means all that an iterable gives.
    """

    progress: Progress
    ids: Sequence[int] | None

    @property
    def total(self) -> int | None:
        """How many there are, done ones included; None when no one knows."""
        return self.progress.total

    def for_workers(self, executor: object) -> tuple[ChunkFunction, Sequence[int]]:
        """Return the function of a number that folds a chunk elsewhere, and the numbers to do.

        Args:
            executor: who asks.

        Raises:
            TypeError: the blocks are of a stream, and have no numbers.
        """
        blocks, who = self.progress.blocks, type(executor).__name__
        if self.ids is None:
            raise TypeError(
                f"fold: {who} has its workers load their own blocks, and a {type(blocks).__name__} "
                "can only be read here, one after another; give Source(n_chunks, load)"
            )
        held = settings_of_thread()
        return ChunkFunction(self.progress.a_fold, blocks.load, self.total, held, who), self.ids

    def only(self, ids: Sequence[int]) -> "Chunks":
        """Return those of some numbers."""
        return Chunks(self.progress, ids)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield number and block, one block ahead of what is asked for, while more is wanted."""
        progress, blocks = self.progress, self.progress.blocks
        if self.ids is None:
            calls = _calls_of(iter(blocks))
        else:
            calls = ((i, partial(load_chunk, blocks.load, i, self.total)) for i in self.ids)
        # views of what is there need no waiting for, and a trace belongs to its thread
        at_once = self.ids is not None and isinstance(blocks.load, Rows) or tracing()
        for i, block in ((i, call()) for i, call in calls) if at_once else loaded_ahead(calls):
            if block is _END:
                return
            progress.read = i + 1
            if self.ids is not None or not progress.passes(i, block):
                yield i, block
            if progress.done.memories.finished:
                return


def count_of(blocks: object) -> int | None:
    """Return how many blocks there are, or None when no one knows."""
    return blocks.n_chunks if isinstance(blocks, Source) else None


def _calls_of(blocks: Iterator[PyTree]) -> Iterator[tuple[int, Any]]:
    i = 0
    while True:
        yield i, partial(load_chunk, lambda _: next(blocks, _END), i, None)
        i += 1
