"""Running folds over data: an array, blocks from anywhere, or a numbered source.

Blocks are folded one by one and their memories merged in a tree keyed by the block's number, so
that the bits depend on how the data is cut, and on nothing else.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> data = jnp.arange(10.0)
>>> source = jf.Source.of(data, 5)
>>> float(jf.fold(jf.folds.mean(), source)), float(jf.fold(jf.folds.mean(), data))
(4.5, 4.5)
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import jax

from .._core.checks import check_count, tracing
from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.values import identity, maker_of
from .._folds.fold import Fold
from .source import Chunks, as_block, check_block, cut

if TYPE_CHECKING:
    from .progress import Ledger

R = TypeVar("R")
AHEAD = 3  # chunks on their way, so that the next is there when one ends


class Executor(Protocol):
    """Where chunks are folded.

    One that takes them in order, in one place, says so by `keeps_order = True`; to others an
    order-dependent fold is not given.
    """

    def run(self, chunks: Chunks, ledger: "Ledger") -> None:
        """Fold all chunks, in any order, and give each to the ledger.

        Iterating over `chunks` gives numbers and blocks, for `ledger.take(number, block)`; what is
        folded elsewhere goes to `ledger.add(number, piece)`.
        """
        ...


def in_place(chunks: Chunks, ledger: "Ledger") -> None:
    """Fold chunks in this process, one after another, loading one ahead."""
    pending: deque[Any] = deque()
    waits = not tracing()
    for i, block in chunks:
        pending.append(ledger.take(i, block))
        if len(pending) == AHEAD and waits:
            jax.block_until_ready(pending.popleft())  # else blocks would pile up in the queue
        if ledger.finished:
            return


def fold(
    a_fold: Fold[R],
    data: Any,
    executor: Executor | None = None,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_id: str | None = None,
    checkpoint_every: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> R:
    """Run a fold over data and return its answer.

    Args:
        a_fold: the fold.
        data: an array, or a dict or tuple of arrays, whose leading axis runs over the elements; or
            an iterable of such blocks (a list, a generator, a `Source`), which is read one block
            ahead in a thread of its own. An array is one block; with any of the arguments below it
            is cut into 64.
        executor: where blocks are folded, one of `jfoundations.executors`; by default in this
            process. The bits are the same everywhere.
        checkpoint: a path to a file that is kept up to date with what is done. Where it exists the
            fold goes on from there, and ends with the same bits. It stays when all is done. It
            knows the data by how it is cut, not by its values, and the fold by all that it computes
            with: the code of its functions, what they close over, the globals that they name
            (modules by their names), the fields of objects, and JAX's settings.
        checkpoint_id: a name that stands for the fold in the checkpoint, where what it computes
            with cannot be seen into. It must be another whenever the fold is.
        checkpoint_every: after how many chunks the checkpoint is written: 1 for it to hold at once
            what `progress` is told of. By default it is written as often as that takes a hundredth
            of the time, so that a run that is killed loses at most the chunks of the last hundred
            times that a writing takes, and the one that was under way.
        progress: called after each chunk with how many are done and how many there are, None when
            no one knows.

    Raises:
        TypeError: the fold is none, or with a checkpoint cannot be seen into; data or a block holds
            no arrays; a block differs in structure, shape or dtype from the others; an
            order-dependent fold is given to an executor that splits; a stream is given to one whose
            workers load their own blocks; another argument is none such.
        ValueError: there is no block at all, or the leading axes differ; the checkpoint is damaged,
            or of another fold, other elements or another cut.
        OSError: the checkpoint cannot be written.

    What a loader raises comes out as it is, with a note saying which chunk it was.

    >>> import jax.numpy as jnp
    >>> from jfoundations import folds
    >>> float(fold(folds.mean(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    6.25
    """
    if not isinstance(a_fold, Fold):
        raise TypeError(_no_fold(a_fold))
    kept = (checkpoint, checkpoint_id, checkpoint_every)
    _check_words(*kept, progress)
    if isinstance(data, dict | tuple) or hasattr(data, "dtype"):
        check_block(data, "fold's data")
        if executor is None and checkpoint is None and progress is None:
            data = as_block(data, "fold's data")
            return _answer(a_fold, data) if tracing() else compiled(_answer, a_fold)(data)
        data = cut(data)
    if executor is not None and (isinstance(executor, type) or not hasattr(executor, "run")):
        raise TypeError(
            f"fold: executor is {executor!r}; give one of jfoundations.executors, as in "
            "executors.Pool(workers=4)"
        )
    if not isinstance(data, Iterable):
        raise TypeError(
            f"fold: data is {type(data).__name__}; give an array, or an iterable of blocks"
        )
    return compiled(_extracted, a_fold)(_memory(a_fold, data, executor, kept, progress))


def _no_fold(value: Any) -> str:
    if name := maker_of(value, "jfoundations.folds"):
        return f"fold: folds.{name} makes a fold; call it: folds.{name}()"
    name = getattr(value, "__name__", None) or repr(value)
    return (
        f"fold: {name} is no Fold; make one with Fold(init, step, merge) "
        "or take one from jfoundations.folds"
    )


def _memory(a_fold: Fold[Any], data: Any, executor: Any, kept: Any, progress: Any) -> Any:
    if (
        executor is not None
        and a_fold.merge is None
        and not getattr(executor, "keeps_order", False)
    ):
        raise TypeError(
            f"fold: {a_fold.name} depends on the order of its elements (its merge is None), so "
            f"{type(executor).__name__} cannot split it; leave out the executor, or write a merge"
        )
    if kept[0] is not None and tracing():
        raise TypeError(
            "fold: checkpoint= is a file, which a traced function cannot write; call fold outside "
            "jit, or leave it out"
        )
    opened = getattr(executor, "together", _alone)  # processes wait for each other
    from .checkpoint import Checkpoint  # not before: it is a third of what importing all this costs
    from .progress import Ledger

    path, *words = kept
    path = getattr(executor, "own_path", identity)(path) if path is not None else None
    make = None if path is None else lambda total: Checkpoint(path, a_fold, total, *words)
    ledger = opened(lambda: Ledger(a_fold, data, make, progress))
    run = executor.run if executor else in_place
    try:
        run(ledger.chunks(), ledger)
    except BaseException as error:
        _keep(ledger, error)
        raise
    ledger.save()
    return ledger.answer()


def _check_words(checkpoint: Any, own_id: Any, every: Any, progress: Any) -> None:
    if checkpoint is not None and not isinstance(checkpoint, str | os.PathLike):
        raise TypeError(f"fold: checkpoint is {checkpoint!r}; give the path of a file to keep")
    if own_id is not None and not (isinstance(own_id, str) and own_id):
        raise TypeError(f"fold: checkpoint_id is {own_id!r}; give a name, a str that is not empty")
    if every is not None:
        check_count(every, "checkpoint_every", "fold", least=1)
    if checkpoint is None and (own_id, every) != (None, None):
        word = "checkpoint_every" if own_id is None else "checkpoint_id"
        raise TypeError(f"fold: {word} is given and checkpoint, the path of the file, is not")
    if progress is not None and not callable(progress):
        raise TypeError(
            f"fold: progress is {progress!r}, which is not callable; give a function of how many "
            "chunks are done and how many there are, as in progress=print"
        )


def _alone(function: Callable[[], Any]) -> Any:
    return function()


def _keep(ledger: "Ledger", error: BaseException) -> None:
    if ledger.file is None:
        return
    try:
        ledger.save()
    except Exception:
        return  # that may be the error itself, and hides no other
    error.add_note(f"fold: what was done is kept in {ledger.file.path}; run it again to go on")


@automatic
def _answer(a_fold: Fold[Any], xs: Any) -> Any:
    return a_fold.extract(a_fold.block(jax.tree.map(jax.numpy.asarray, xs)))


@automatic
def _extracted(a_fold: Fold[Any], memory: Any) -> Any:
    return a_fold.extract(memory)
