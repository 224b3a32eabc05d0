"""A cluster of Dask's, for those who have outgrown one machine."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from .._core.checks import check_count
from .._core.values import identity
from .._running.progress import Ledger, Piece, check_seconds, lost
from .._running.source import Chunks, called
from .._running.worker import pack_work, run_chunk

ENOUGH = 3  # chunks that kill their workers, before the rest is not tried any more


@dataclass(frozen=True)
class Dask:
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

    client: Any
    ahead: int = 3
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.client, "submit") or not hasattr(self.client, "nthreads"):
            raise TypeError(f"Dask: client is {self.client!r}; give a distributed.Client")
        check_count(self.ahead, "ahead", "Dask", least=1)
        check_seconds(self.timeout, "Dask")

    def run(self, chunks: Chunks, ledger: Ledger) -> None:
        """Fold all chunks."""
        from distributed import as_completed  # type: ignore[import-not-found]

        load, ids = chunks.numbered("Dask")
        work = pack_work(ledger.a_fold, load, chunks.total, "Dask")
        # not scattered: what is scattered is gone with the workers that held it
        shared = self.client.submit(identity, work, pure=False)
        todo = iter(ids)
        number: dict[Any, int] = {}

        def submit(some: Iterable[int]) -> list[Any]:
            new = {
                self.client.submit(_within, self.timeout, shared, i, pure=False): i for i in some
            }
            number.update(new)
            return list(new)

        suspects: list[int] = []
        ahead = self.ahead * max(1, sum(self.client.nthreads().values()))
        done = as_completed(submit(islice(todo, ahead)))
        try:
            for batch in done.batches():
                numbers = map(number.pop, batch)
                for i, piece in zip(numbers, self._pieces(batch), strict=True):
                    if piece is None:
                        suspects.append(i)
                    else:
                        ledger.add(i, piece)
                done.update(submit(islice(todo, len(batch))))
            deadly = []
            for i in suspects:  # Dask blames all that waited at the worker that died
                if (piece := _result(*submit([i]))) is not None:
                    ledger.add(i, piece)
                    continue
                deadly.append(called(i, chunks.total))
                if len(deadly) == ENOUGH:
                    break
            if deadly:
                raise lost(f"workers died of {', '.join(deadly)}", ledger)
        finally:
            self.client.cancel(list(number))

    def _pieces(self, batch: list[Any]) -> Iterable[Any]:
        try:
            return self.client.gather(batch)  # in one go: each costs a round trip
        except Exception:  # whose it is shows one by one, and the others are taken in
            return map(_result, batch)


def _within(timeout: float | None, work: bytes, i: int) -> Piece:
    """Load and fold a chunk, in a worker, or say that it takes too long."""
    if timeout is None:
        return run_chunk(work, i)
    answers: SimpleQueue[tuple[Any, Any]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((run_chunk(work, i), None))
        except BaseException as error:  # it is for the one who waits
            answers.put((None, error))

    Thread(target=run, name="jfoundations-chunk", daemon=True).start()
    try:
        piece, error = answers.get(timeout=timeout)
    except Empty:
        raise TimeoutError(
            f"fold: chunk {i} took longer than Dask(timeout={timeout}): its loader may hang; try "
            "source.load of it alone, and restart the worker"
        ) from None
    if error is not None:
        raise error
    return piece


def _result(future: Any) -> Any:
    """Return what a task came to, or None if its workers died."""
    from distributed import KilledWorker  # type: ignore[import-not-found]

    try:
        return future.result()
    except KilledWorker:
        return None
