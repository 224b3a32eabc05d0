"""Processes of this machine, with the standard library alone."""

import contextlib
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from .._ledger import Ledger, lost
from .._source import Chunks, called
from .._travel import pack_work, run_chunk
from .._tree import check_count


@dataclass(frozen=True)
class Pool:
    """Fold in several processes of this machine, on its CPU.

    Processes are spawned, so a script must keep its work under `if __name__ == "__main__":`. The
    fold and the loader are sent to each once, by pickle; give a loader that opens a path. A worker
    that dies is replaced, and its chunk given to another.

    Args:
        workers: how many processes; by default one a CPU.
        retries: how often a chunk is tried again after its worker died.

    Raises:
        TypeError, ValueError: workers or retries is no such int; while it runs, TypeError for what
            cannot be pickled.
        RuntimeError: while it runs, when workers die of one chunk again and again. It names the
            chunk; what is done stays in the checkpoint.

    >>> import jfoundations as jf
    >>> jf.executors.Pool(workers=2)
    Pool(workers=2, retries=2)
    """

    workers: int = os.cpu_count() or 1
    retries: int = 2

    def __post_init__(self) -> None:
        check_count(self.workers, "workers", "Pool", least=1)
        check_count(self.retries, "retries", "Pool")

    def run(self, chunks: Chunks, ledger: Ledger) -> None:
        """Fold all chunks."""
        load, ids = chunks.numbered("Pool")
        todo = deque((i, 0) for i in ids)
        work = pack_work(ledger.a_fold, load, chunks.total, "Pool")
        with _Team(work, min(self.workers, len(todo))) as team:
            while todo or team.busy:
                while todo and (worker := team.idle()):
                    worker.give(*todo.popleft())
                for worker in team.ready():
                    i, tried = worker.chunk
                    if (answer := worker.answer()) is not None:
                        ledger.add(i, _good(answer))
                    elif tried == self.retries:
                        raise _lost(worker, called(i, chunks.total), tried + 1, ledger)
                    else:
                        todo.appendleft((i, tried + 1))
                        team.replace(worker)


def _good(answer: bytes) -> Any:
    good, value = pickle.loads(answer)
    if not good:
        raise value
    return value


def _lost(worker: "_Worker", chunk: str, times: int, ledger: Ledger) -> RuntimeError:
    worker.process.join()
    code = worker.process.exitcode or 0
    why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    error = lost(f"the worker of {chunk} died {times} times ({why})", ledger)
    if code == 1:
        error.add_note(
            'Pool: a script must keep its work under `if __name__ == "__main__":`, for its workers '
            "import it too"
        )
    return error


class _Worker:
    """A process, the pipe to it and the chunk that it works on."""

    def __init__(self, work: bytes):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.chunk: Any = None
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        with _on_cpu():
            self.process.start()
        theirs.close()

    def give(self, i: int, tried: int) -> None:
        self.chunk = i, tried
        with contextlib.suppress(OSError):  # it died idle: its end of the pipe says so when asked
            self.pipe.send(i)

    def answer(self) -> bytes | None:
        """Return what it came to, or None if it died."""
        try:
            answer = self.pipe.recv_bytes()
        except (EOFError, OSError):
            return None
        self.chunk = None
        return answer


class _Team:
    """The workers of one run; all are gone when it ends, however it ends."""

    def __init__(self, work: bytes, size: int):
        self.work = work
        self.workers = [_Worker(work) for _ in range(size)]

    def __enter__(self) -> "_Team":
        return self

    def __exit__(self, *_: Any) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.pipe.close()

    @property
    def busy(self) -> bool:
        return any(worker.chunk for worker in self.workers)

    def idle(self) -> _Worker | None:
        return next((worker for worker in self.workers if worker.chunk is None), None)

    def ready(self) -> Iterator[_Worker]:
        pipes = {worker.pipe: worker for worker in self.workers if worker.chunk}
        return (pipes[pipe] for pipe in wait(list(pipes)))  # type: ignore[index]

    def replace(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.pipe.close()
        self.workers[self.workers.index(worker)] = _Worker(self.work)


@contextlib.contextmanager
def _on_cpu() -> Iterator[None]:
    # a spawned process has this one's environment; two of them cannot share an accelerator
    before = os.environ.get("JAX_PLATFORMS")
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAX_PLATFORMS"]
        else:
            os.environ["JAX_PLATFORMS"] = before


def _serve(pipe: Connection, work: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who gave the work
    while True:
        try:
            i = pipe.recv()
        except EOFError:
            return
        try:
            answer = pickle.dumps((True, run_chunk(work, i)))
        except Exception as error:
            answer = _as_bytes(error)
        pipe.send_bytes(answer)


def _as_bytes(error: Exception) -> bytes:
    try:
        data = pickle.dumps((False, error))
        pickle.loads(data)  # some exceptions go in and do not come out
        return data
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", []):
            told.add_note(note)
        return pickle.dumps((False, told))
