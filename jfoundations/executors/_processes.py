"""The processes of one JAX program that runs on several machines."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from .._core.shown import see
from .._running.executor import Executor, Local
from .._running.progress import Chunks, Progress

R = TypeVar("R")


@dataclass(frozen=True)
class Processes(Executor):
    """Fold in the processes that `jax.distributed.initialize` has joined, each a run of chunks.

    All processes call `fold` with the same fold and source, and all get the answer. A checkpoint
    is a file a process, with its number at the end of the name; progress counts what is done here.
    Where one process fails all raise. When a process is lost the others say so, and keep what they
    have done; JAX ends them some time later.

    Args:
        inner: what folds in each process; by default `Local()`.
        shares: how much each process does, in proportion; by default all the same.

    Raises:
        TypeError, ValueError: while it runs, when shares are not one number ≥ 0 a process, or
            others than those of the checkpoint.
        RuntimeError: while it runs, when another process failed or was lost.

    >>> import jfoundations as jf
    >>> source = jf.Source.of(np.arange(5.0), 2)
    >>> float(jf.fold(jf.folds.mean(), source, Processes()))
    2.0
    """

    inner: Executor = field(default_factory=Local)
    shares: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Executor):
            raise TypeError(
                f"Processes: inner is {self.inner!r}; give an executor, as Local() or Devices(…)"
            )
        shares = () if self.shares is None else self.shares
        if not isinstance(shares, tuple | list) or not all(
            isinstance(s, int | float) and 0 <= s < np.inf for s in shares
        ):
            raise TypeError(
                f"Processes: shares are {shares!r}; give a tuple of numbers ≥ 0, one a process"
            )

    def checkpoint_path(self, path: str | os.PathLike[str]) -> Path:
        """Return the name of this process's checkpoint."""
        name = f"{Path(path).name}.{jax.process_index()}-of-{jax.process_count()}"
        return Path(path).with_name(name)

    def together(self, function: Callable[[], R]) -> R:
        """Return what a function returns here; where it raises in one process, raise in all."""
        values: list[R] = []
        _everywhere(lambda: values.append(function()))
        return values[0]

    def run(self, chunks: Chunks, progress: Progress) -> None:
        """Fold this process's chunks, and take in what the others came to."""
        mine = self.together(lambda: self._mine(chunks, progress))
        for p, (element, memories) in enumerate(_everywhere(lambda: self._run(mine, progress))):
            if p != jax.process_index():
                progress.add_of_process(p, element, memories)

    def _mine(self, chunks: Chunks, progress: Progress) -> Chunks:
        _, ids = chunks.for_workers(self)
        mine = range(*self._bounds(chunks.total or 0))
        todo = [i for i in ids if i in mine]
        if len(progress.done.memories) != len(mine) - len(todo):
            raise ValueError(
                "Processes: the checkpoint has chunks that are now another process's; give the "
                "shares that it was made with, another path, or delete the files to begin anew"
            )
        return chunks.only(todo)

    def _run(self, mine: Chunks, progress: Progress) -> Any:
        self.inner.run(mine, progress)
        progress.save()  # before the others are waited for
        return progress.element, jax.device_get(progress.done.memories.saved())

    def _bounds(self, total: int) -> tuple[int, int]:
        count, p = jax.process_count(), jax.process_index()
        shares = (1.0,) * count if self.shares is None else self.shares
        if len(shares) != count or min(shares) < 0 or not sum(shares) > 0:
            raise ValueError(
                f"Processes: shares are {shares}; one number ≥ 0 for each of the {count} processes "
                "is needed, not all 0"
            )
        edges = np.rint(np.cumsum([0.0, *shares]) / sum(shares) * total).astype(int)
        return int(edges[p]), int(edges[p + 1])


def _everywhere(function: Callable[[], R]) -> list[R]:
    """Call a function in all processes, and return in all what it returned in each."""
    value: Any = None
    failure: Exception | None = None
    try:
        value = function()
    except Exception as error:  # the others wait for an answer, good or bad
        failure = error
    told = None if failure is None else f"{type(failure).__name__}: {failure}"
    answers = [(told, value)] if jax.process_count() == 1 else _exchanged(told, value)
    if failure is not None:
        raise failure
    for p, (told, _) in enumerate(answers):
        if told is not None:
            raise RuntimeError(f"fold: process {p} of {jax.process_count()} failed: {told}")
    return [value for _, value in answers]


def _exchanged(told: str | None, value: object) -> list[Any]:
    blob = np.frombuffer(pickle.dumps((told, value)), np.uint8)
    try:
        lengths = _gather(np.frombuffer(np.int64(blob.size).tobytes(), np.uint8))
        sizes = lengths.reshape(-1, 8).view(np.int64)[:, 0].tolist()
        blobs = _gather(np.pad(blob, (0, max(sizes) - blob.size)))
    except Exception as error:
        raise RuntimeError(
            "fold: another process was lost before it gave what it had done"
            + (f", and here there was {told}" if told else "")
            + "; run all again: with checkpoint= each goes on from what it has kept"
            + see("array_to_cluster")
        ) from error
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(blobs, sizes, strict=True)]


def _gather(data: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(data))
