"""A cluster of Dask's, for those who have outgrown one machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from .._core.checks import check_count
from .._core.values import identity
from .._running.executor import Executor
from .._running.progress import Chunks, Progress
from .._running.worker import FoldedChunk, run_chunk
from ._workers import check_seconds, deadly, hand_out

if TYPE_CHECKING:
    from distributed import Client, Future  # type: ignore[import-not-found]

ENOUGH = 3  # chunks that kill their workers, before the rest is not tried any more


@dataclass(frozen=True)
class Dask(Executor):
    """Fold on the workers of a Dask cluster, a task a chunk; needs `jfoundations[dask]`.

    The fold and the loader are sent to the cluster once, and fetched by its workers from each
    other. Workers must reach the data by the path that the loader opens, and have this library.
    What dies with a worker is done again by another, as often as the scheduler allows
    (`distributed.scheduler.allowed-failures`), and then once more by itself, when all else is done.

    Args:
        client: a `distributed.Client`.
        ahead: tasks on their way for each thread of the cluster.
        timeout: seconds that a worker may take for a chunk, from when it begins with it; None for
            ever. What hangs is left behind in its worker: such a worker is to be restarted.

    Raises:
        TypeError: client is none; while it runs, what cannot be pickled.
        RuntimeError: while it runs, when workers die of a chunk. It names the first three such
            chunks; what is done stays in the checkpoint.
        TimeoutError: while it runs, when a chunk takes longer than `timeout`. It names the chunk.
    """

    client: Client
    ahead: int = 3
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.client, "submit") or not hasattr(self.client, "nthreads"):
            raise TypeError(f"Dask: client is {self.client!r}; give a distributed.Client")
        check_count(self.ahead, "ahead", "Dask", least=1)
        check_seconds(self.timeout, "Dask")

    def run(self, chunks: Chunks, progress: Progress) -> None:
        """Fold all chunks."""
        function, numbers = chunks.for_workers(self)
        threads: Any = self.client.nthreads()
        ahead = self.ahead * max(1, sum(threads.values()))
        tasks = _Tasks(self.client, function.packed, self.timeout)
        try:
            hand_out(numbers, tasks, ahead, progress)
            fatal = []
            for i in tasks.suspects:  # Dask blames all that waited at the worker that died
                if (folded := _result(tasks.of(i))) is not None:
                    progress.add(i, folded)
                    continue
                fatal.append(progress.name_of(i))
                if len(fatal) == ENOUGH:
                    break
            if fatal:
                raise deadly(f"workers died of {', '.join(fatal)}", progress)
        finally:
            self.client.cancel(list(tasks.number))


class _Tasks:
    """Tasks on their way to a cluster, a chunk each.

    Attributes:
        number: the chunk of each task that was not taken in.
        suspects: chunks that were at a worker that died.
    """

    def __init__(self, client: Client, packed: bytes, timeout: float | None):
        from distributed import as_completed  # type: ignore[import-not-found]

        self.client, self.timeout = client, timeout
        # not scattered: what is scattered is gone with the workers that held it
        self.packed: Any = client.submit(identity, packed, pure=False)
        self.ready: Any = as_completed(loop=client.loop)
        self.number: dict[Any, int] = {}
        self.suspects: list[int] = []

    @property
    def busy(self) -> int:
        return len(self.number)

    def of(self, i: int) -> Any:
        """Return a new task that folds a chunk."""
        task = self.client.submit(_within, self.timeout, self.packed, i, pure=False)
        self.number[task] = i
        return task

    def submit(self, i: int) -> None:
        self.ready.add(self.of(i))

    def completed(self) -> Iterator[tuple[int, FoldedChunk]]:
        batch = self.ready.next_batch()
        numbers = map(self.number.pop, batch)
        for i, folded in zip(numbers, _gathered(self.client, batch), strict=True):
            if folded is None:
                self.suspects.append(i)
            else:
                yield i, folded


def _gathered(client: Client, batch: list[Future]) -> Iterable[FoldedChunk | None]:
    try:
        folded: Any = client.gather(batch)  # in one go: each costs a round trip
        return folded
    except Exception:  # whose it is shows one by one, and the others are taken in
        return map(_result, batch)


def _within(timeout: float | None, packed: bytes, i: int) -> FoldedChunk:
    """Load and fold a chunk, in a worker, or say that it takes too long."""
    if timeout is None:
        return run_chunk(packed, i)
    answers: SimpleQueue[tuple[Any, Any]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((run_chunk(packed, i), None))
        except BaseException as error:  # it is for the one who waits
            answers.put((None, error))

    Thread(target=run, name="jfoundations-chunk", daemon=True).start()
    try:
        folded, error = answers.get(timeout=timeout)
    except Empty:
        raise TimeoutError(
            f"fold: chunk {i} took longer than Dask(timeout={timeout}): its loader may hang; try "
            "source.load of it alone, and restart the worker"
        ) from None
    if error is not None:
        raise error
    return folded


def _result(future: Future) -> Any:
    """Return what a task came to, or None if its workers died."""
    from distributed import KilledWorker  # type: ignore[import-not-found]

    try:
        return future.result()
    except KilledWorker:
        return None
