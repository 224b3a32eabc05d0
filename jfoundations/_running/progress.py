"""What a run of a fold has done: it takes chunks in, from anywhere, and keeps the checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from .._core.checks import tracing
from .._core.programs import compiled
from .._core.pytrees import Flat, flat, unflat
from .._core.sharding import automatic
from .._core.values import describe
from .._folds.blocks import go_on as one_by_one
from .._folds.blocks import like_of_block
from .._folds.fold import Fold
from .checkpoint import RUN, Checkpoint
from .merge_tree import Partials
from .source import Chunks, Source, as_block, called, element_of, load_chunk, rows_in


@dataclass(frozen=True)
class Piece:
    """A chunk that was folded.

    Attributes:
        memory: what the fold remembers of it, flat.
        element: shapes and dtypes of an element.
        rows: how many there were.
    """

    memory: Any
    element: Any
    rows: int


def fold_chunk(run: Callable[[Any], Flat], block: Any, who: str) -> Piece:
    """Check and fold one block, as every executor does, by the program of its fold."""
    block = as_block(block, f"fold's {who}")
    return _folded(run, block, element_of(block), who)


def _folded(run: Callable[[Any], Flat], block: Any, element: Any, who: str) -> Piece:
    try:
        memory = run(block)
    except Exception as error:
        error.add_note(f"fold: this came out of folding {who}")
        raise
    return Piece(memory, element, rows_in(block))


def program_of(a_fold: Fold[Any]) -> Callable[[Any], Flat]:
    """Return what folds a block to a memory; one program, whoever runs it."""
    return compiled(run_block, a_fold)


@automatic
def run_block(a_fold: Fold[Any], xs: Any) -> Flat:
    """Return the memory of a block."""
    return flat(a_fold.block(jax.tree.map(jax.numpy.asarray, xs)))


class Ledger:
    """The chunks done, the memories they came to, and the checkpoint of both.

    Args:
        a_fold: the fold.
        blocks: the source, or an iterable of blocks.
        checkpoint: makes it, given how many chunks there are; None for none.
        progress: called with how many chunks are done and of how many, or None.
    """

    def __init__(
        self,
        a_fold: Fold[Any],
        blocks: Any,
        checkpoint: Callable[[int | None], Checkpoint] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ):
        self.a_fold: Fold[Any] = a_fold
        self.blocks: Any = blocks
        self.progress: Callable[[int, int | None], None] | None = progress
        self.total: int | None = blocks.n_chunks if isinstance(blocks, Source) else None
        self.partials: Partials = Partials(a_fold)
        # a fold of order starts, and goes on
        self.run: Callable[..., Any] = program_of(a_fold)
        self.start: Callable[..., Any] = compiled(start, a_fold)
        self.go_on: Callable[..., Any] = compiled(go_on, a_fold)
        self.element: Any = None
        self.memory: Any = None  # of an order-dependent fold
        self.finished: bool = False  # such a fold may want no more
        self.done: int = 0
        self.rows: int = 0
        self.samples: dict[int, int] = {}  # rows of the first and last chunk, to know the cut by
        self.passed: int = 0  # rows of blocks that went by since they were done before
        self.file: Checkpoint | None = checkpoint and checkpoint(self.total)
        self.about: dict[str, Any] | None = None if self.file is None else self.file.read()
        if self.file and self.about is None:
            self.save()  # what cannot be written is to be known before the work
        elif self.about and isinstance(blocks, Source):
            for k, _ in self.about["samples"]:
                self._resume(k, load_chunk(blocks.load, k, self.total))

    def chunks(self) -> Chunks:
        """Return what is to do."""
        if self.total is None:
            return Chunks(self.blocks, None, self._skips)
        ids = range(0 if self.finished else self.total)
        if self.about:
            ids = [i for i in ids if not self._has(i)]
        return Chunks(self.blocks, ids, self._skips)

    def _has(self, i: int) -> bool:
        return i < self.done if self.a_fold.merge is None else i in self.partials

    def _skips(self, i: int, block: Any) -> bool | None:
        if self.about is None:
            return False
        if i in dict(self.about["samples"]):
            self._resume(i, block)
        if not self._has(i):
            if self.passed != self.about["rows"]:
                raise self._cut_otherwise(f"{self.about['rows']} rows in what is done", self.passed)
            self.about = None
            return False
        self.passed += rows_in(block)
        return None if self.finished else True

    def _resume(self, i: int, block: Any) -> None:
        """Take in what the checkpoint holds, given a chunk that it has seen."""
        assert self.file is not None and self.about is not None
        block = as_block(block, f"fold's {called(i, self.total)}")
        rows = dict(self.about["samples"])[i]
        if rows_in(block) != rows:
            raise self._cut_otherwise(f"{rows} rows in {called(i, self.total)}", rows_in(block))
        if self.samples:
            return  # it has all been taken in, with the first
        self.element, self.samples = element_of(block), dict(self.about["samples"])
        memory_of = self.start if self.a_fold.merge is None else self.run
        # traced once, for the folding too; and only where the elements are found to be the same
        like = lambda: unflat(jax.eval_shape(memory_of, block))  # noqa: E731
        nodes = self.file.memories(self.about, self.element, like)
        self.done, self.rows = self.about["done"], self.about["rows"]
        for (height, place), memory in nodes.items():
            if height == RUN:
                self.memory = memory
                self.finished = self._asks_for_no_more()
            else:
                self.partials.nodes[height, place] = flat(memory)

    def _cut_otherwise(self, said: str, found: int) -> ValueError:
        assert self.file is not None
        return ValueError(
            f"fold: the checkpoint {self.file.path} has {said}, and now there are {found}: the "
            "data is cut otherwise; cut it as before, give another path, or delete it to begin anew"
        )

    def take(self, i: int, block: Any) -> Any:
        """Fold a block here, take it in, and return its memory."""
        block = self.check(i, block)
        if self.a_fold.merge is not None:
            piece = _folded(self.run, block, element_of(block), called(i, self.total))
            self.add(i, piece)
            return piece.memory
        self.memory = self.go_on(self.memory if i else self.start(block), block)
        self._count(i, rows_in(block))
        self.finished = self._asks_for_no_more()
        return self.memory

    def _asks_for_no_more(self) -> bool:
        finished = self.a_fold.finished
        return finished is not None and not tracing() and bool(finished(self.memory))

    def check(self, i: int, block: Any) -> Any:
        """Return a block as JAX takes it, or raise: it is none, or unlike those before."""
        who = called(i, self.total)
        block = as_block(block, f"fold's {who}")
        self._check_alike(who, element_of(block))
        return block

    def add(self, i: int, piece: Piece) -> None:
        """Take in a chunk that was folded, here or elsewhere."""
        self._check_alike(called(i, self.total), piece.element)
        self.partials.add(0, i, piece.memory)
        self._count(i, piece.rows)

    def adopt(self, who: str, element: Any, nodes: dict[tuple[int, int], Any]) -> None:
        """Take in the memories that another process came to, and has in a checkpoint of its own."""
        self.file = None
        if element is not None:
            self._check_alike(who, element)
        for (height, place), memory in nodes.items():
            self.partials.add(height, place, memory)

    def _check_alike(self, who: str, element: Any) -> None:
        if self.element is None:
            self.element = element
        elif element != self.element:
            raise TypeError(
                f"fold: {who} has elements {describe(element)}, and others had "
                f"{describe(self.element)}; all must be alike"
            )

    def _count(self, i: int, rows: int) -> None:
        self.done, self.rows = self.done + 1, self.rows + rows
        self.samples[i] = rows
        self.samples = {k: self.samples[k] for k in (min(self.samples), max(self.samples))}
        if self.file and self.file.due():
            self.save()
        if self.progress:
            self.progress(self.done, self.total)

    def nodes(self) -> dict[tuple[int, int], Any]:
        """Return the memories, by height and place in the tree."""
        if self.a_fold.merge is None:
            return {} if self.memory is None else {(RUN, self.done): self.memory}
        return {node: unflat(memory) for node, memory in sorted(self.partials.nodes.items())}

    def save(self) -> None:
        """Write the checkpoint, if there is one to write."""
        if self.file and (self.about is None or self.done):
            said = {"rows": self.rows, "done": self.done, "element": str(self.element)}
            self.file.write(self.nodes(), **said, samples=list(self.samples.items()))

    def answer(self) -> Any:
        """Return the memory of all chunks."""
        before = self.about["rows"] if self.about else self.passed  # rows that were to pass by
        if self.total is None and not self.finished and self.passed != before:
            raise self._cut_otherwise(f"{before} rows in what is done", self.passed)
        done = self.done if self.a_fold.merge is None else len(self.partials)
        if done == 0:
            raise ValueError("fold: there is no block, so no one knows what an element looks like")
        if self.total not in (None, done) and not self.finished:
            raise RuntimeError(f"fold: the executor gave {done} of {self.total} chunks")
        return self.memory if self.a_fold.merge is None else self.partials.joined()


@automatic
def start(a_fold: Fold[Any], xs: Any) -> Any:
    """Return the empty memory."""
    return jax.tree.map(jax.numpy.asarray, a_fold.init(like_of_block(xs)))


@automatic
def go_on(a_fold: Fold[Any], memory: Any, xs: Any) -> Any:
    """Return the memory after the elements of a block, one by one."""
    return one_by_one(a_fold.step, a_fold.finished, memory, jax.tree.map(jax.numpy.asarray, xs))


def late(what: str, ledger: Ledger) -> TimeoutError:
    """Return the error for a chunk that takes too long."""
    return TimeoutError(
        f"fold: {what}: its loader may hang; try source.load of it alone{_kept(ledger)}"
    )


def _kept(ledger: Ledger) -> str:
    return "" if ledger.file else "; with checkpoint= what is done would be kept"


def lost(what: str, ledger: Ledger) -> RuntimeError:
    """Return the error for a chunk that its workers die of."""
    return RuntimeError(
        f"fold: {what}: it may need more memory than there is, or its loader may crash; "
        f"try source.load of it alone{_kept(ledger)}"
    )


def check_seconds(timeout: Any, who: str) -> None:
    """Raise unless a time limit is a positive number of seconds, or None."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"{who}: timeout is {timeout!r}; give seconds, or None for no limit")
    if not timeout > 0:
        raise ValueError(f"{who}: timeout is {timeout!r}; give seconds > 0, or None for no limit")
