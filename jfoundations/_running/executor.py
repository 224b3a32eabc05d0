"""The base class of executors, which fold the chunks of a run, and the plainest of them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from .progress import Chunks, Progress

R = TypeVar("R")


class Executor(ABC):
    """Where the chunks of a fold are folded: the base class of all executors.

    A subclass writes `run`. It folds each chunk once, and gives it to `progress`, which checks it,
    merges it where it belongs, whatever the order in which chunks come, and keeps the checkpoint:

    * `for i, block in chunks:` loads blocks here, one ahead, and `progress.fold(i, block)` folds
      one here.
    * `function, numbers = chunks.for_workers(self)` is for folding elsewhere: `function(i)` loads
      and folds chunk i, in any thread, and in any process, since it can be pickled. What it returns
      goes to `progress.add(i, …)`.

    Blocks of a list or a generator have no numbers to load them by: `for_workers` refuses them.

    A subclass may also set `keeps_order`: it then folds chunks by `progress.fold` in the order of
    their numbers, and is given folds without a merge too; and write `together` and
    `checkpoint_path`, for runs of several processes.

    `progress` belongs to the thread that called `run`. What `run` raises comes out of `fold`, once
    the checkpoint is written; `run` leaves no worker behind, however it ends.

    Here is one whose chunks are folded by threads, twice as many chunks on their way as there are
    threads:

    >>> from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
    >>> from itertools import islice
    >>> class Threads(Executor):
    ...     def __init__(self, workers):
    ...         self.workers = workers
    ...
    ...     def run(self, chunks, progress):
    ...         function, numbers = chunks.for_workers(self)
    ...         pool, todo, futures = ThreadPoolExecutor(self.workers), iter(numbers), {}
    ...         try:
    ...             while True:
    ...                 for i in islice(todo, 2 * self.workers - len(futures)):
    ...                     futures[pool.submit(function, i)] = i
    ...                 if not futures:
    ...                     return
    ...                 for done in wait(futures, return_when=FIRST_COMPLETED).done:
    ...                     progress.add(futures.pop(done), done.result())
    ...         finally:
    ...             pool.shutdown(wait=False, cancel_futures=True)
    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> float(jf.fold(jf.folds.mean(), jnp.arange(5.0), Threads(2)))
    2.0
    """

    keeps_order: ClassVar[bool] = False
    """Whether chunks are folded by `progress.fold`, one after another, in the order of their
    numbers. Only such an executor is given a fold without a merge."""

    @abstractmethod
    def run(self, chunks: Chunks, progress: Progress) -> None:
        """Fold all chunks, and give each to `progress`."""

    def together(self, function: Callable[[], R]) -> R:
        """Return what a function returns; by default it is called, and that is all.

        The checkpoint is opened so. An executor that folds in several processes as one raises in
        all of them where the function raises in one.
        """
        return function()

    def checkpoint_path(self, path: str | os.PathLike[str]) -> Path:
        """Return the name of the checkpoint that this process writes; by default the given one."""
        return Path(path)


@dataclass(frozen=True)
class Local(Executor):
    """Fold in this process, one block after another, loading one ahead: what `fold` does by itself.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> int(jf.fold(jf.folds.count(), [jnp.zeros(3), jnp.zeros(2)], jf.executors.Local()))
    5
    """

    keeps_order: ClassVar[bool] = True

    def run(self, chunks: Chunks, progress: Progress) -> None:
        """Fold all chunks."""
        for i, block in chunks:
            progress.fold(i, block)
