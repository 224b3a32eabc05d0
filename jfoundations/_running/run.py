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

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import jax
from jax.typing import ArrayLike

from .._core.checks import check_count, tracing
from .._core.inputs import as_block
from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.shown import see
from .._core.types import PyTree
from .._folds.fold import Fold
from .._folds.given import check_fold
from .executor import Executor, Local
from .source import cut, is_whole

if TYPE_CHECKING:
    from .progress import Progress, Report

R = TypeVar("R")


def fold(
    a_fold: Fold[R],
    data: ArrayLike | Iterable[PyTree],
    executor: Executor | None = None,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_id: str | None = None,
    checkpoint_every: int | None = None,
    progress: Report | None = None,
) -> R:
    """Run a fold over data and return its answer.

    See also `reduce`, along axes of an array, and `jackknife`, with each chunk left out.

    Args:
        a_fold: the fold.
        data: an array, or a dict or tuple of arrays, whose leading axis runs over the elements; or
            an iterable of such blocks (a list, a generator, a `Source`), which is read one block
            ahead in a thread of its own. An array is one block; with any of the arguments below it
            is cut into 64.
        executor: where blocks are folded, one of `jfoundations.executors` or one of your own, a
            subclass of `executors.Executor`; by default in this process. The bits are the same
            everywhere.
        checkpoint: a path to a file that is kept up to date with what is done. Where it exists the
            fold goes on from there, and ends with the same bits. It stays when all is done. It
            knows the data by how it is cut, not by its values, and files that `Source.of` was given
            by name and size; the fold by all that it computes with: the code of its functions, what
            they close over, the globals that they name (modules by their names), the fields of
            objects, and JAX's settings.
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
    check_fold(a_fold, "fold")
    _check_checkpoint(checkpoint, checkpoint_id, checkpoint_every)
    if is_whole(data, "fold's data"):
        if executor is checkpoint is progress is None:
            data = as_block(data, "fold's data")
            return _answer(a_fold, data) if tracing() else compiled(_answer, a_fold)(data)
        data = cut(data)
    data, executor = checked("fold", a_fold, data, executor, progress)
    if checkpoint is not None and tracing():
        raise TypeError(
            "fold: checkpoint= is a file, which a traced function cannot write; call fold outside "
            "jit, or leave it out"
        )
    from .checkpoint import Checkpoint  # not before: it is a third of what importing all this costs
    from .progress import Progress, count_of

    def opened() -> Progress:
        if checkpoint is None:
            return Progress(a_fold, data, None, progress)
        path, total = executor.checkpoint_path(checkpoint), count_of(data)
        files = getattr(getattr(data, "load", None), "stamps", list)()
        file = Checkpoint(path, a_fold, total, checkpoint_id, checkpoint_every, files)
        return Progress(a_fold, data, file, progress)

    return answer_of(a_fold, completed(executor, opened))


def checked(
    who: str, a_fold: Fold[Any], data: Any, executor: Executor | None, report: object
) -> tuple[Iterable[PyTree], Executor]:
    """Return blocks and executor of a run, or raise: they are none, or do not go together.

    Args:
        who: the function's name, for messages.
        a_fold: the fold.
        data: given as an iterable of blocks.
        executor: None is this process.
        report: given as `progress`.
    """
    if report is not None and not callable(report):
        raise TypeError(
            f"{who}: progress is {report!r}, which is not callable; give a function of how many "
            "chunks are done and how many there are, as in progress=print"
        )
    executor = Local() if executor is None else executor
    if not isinstance(executor, Executor):
        raise TypeError(
            f"{who}: executor is {executor!r}; give one of jfoundations.executors, as in "
            "executors.Pool(workers=4), or one of a class that extends executors.Executor"
            + see("how_to_choose")
        )
    if not isinstance(data, Iterable):
        raise TypeError(
            f"{who}: data is {type(data).__name__}; give an array, or an iterable of blocks; "
            "of files Source.of(paths)"
        )
    if a_fold.merge is None and not executor.keeps_order:
        raise TypeError(
            f"{who}: {a_fold.name} depends on the order of its elements (its merge is None), so "
            f"{type(executor).__name__} cannot split it; leave out the executor, or write a merge"
            + see("array_to_cluster")
        )
    return data, executor


def completed(executor: Executor, opened: Callable[[], Progress]) -> Progress:
    """Return a progress that an executor has brought to its end; what was done is kept anyway."""
    state = executor.together(opened)
    try:
        executor.run(state.chunks(), state)
    except BaseException as error:
        state.save_after(error)
        raise
    state.save()
    return state


def answer_of(a_fold: Fold[R], state: Progress) -> R:
    """Return the fold's answer of all chunks."""
    return compiled(_extracted, a_fold)(state.memory())


def _check_checkpoint(path: object, own_id: object, every: object) -> None:
    if path is not None and not isinstance(path, str | os.PathLike):
        raise TypeError(f"fold: checkpoint is {path!r}; give the path of a file to keep")
    if own_id is not None and not (isinstance(own_id, str) and own_id):
        raise TypeError(f"fold: checkpoint_id is {own_id!r}; give a name, a str that is not empty")
    if every is not None:
        check_count(every, "checkpoint_every", "fold", least=1)
    if path is None and (own_id, every) != (None, None):
        word = "checkpoint_every" if own_id is None else "checkpoint_id"
        raise TypeError(f"fold: {word} is given and checkpoint, the path of the file, is not")


@automatic
def _answer(a_fold: Fold[Any], xs: PyTree) -> Any:
    return a_fold.extract(a_fold.block(jax.tree.map(jax.numpy.asarray, xs)))


@automatic
def _extracted(a_fold: Fold[Any], memory: PyTree) -> Any:
    return a_fold.extract(memory)
