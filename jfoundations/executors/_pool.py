"""Processes of this machine, with the standard library alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from .._core.checks import check_count
from .._core.shown import see
from .._running.executor import Executor
from .._running.progress import Chunks, Progress
from .._running.worker import FoldedChunk, run_chunk
from ._workers import check_seconds, deadly, hand_out, too_slow

STARTING = 60.0  # seconds that a worker may take to start
_BEGUN = b"0" * 20  # in the place of the length of an answer
_NO_PIPE = 173  # the exit code of a worker that can say nothing any more: one that no one else has
_GARBLED = "is broken; does the loader write to, or close, file descriptors that are not its own?"


@dataclass(frozen=True)
class Pool(Executor):
    """Fold in several processes of this machine, on its CPU.

    Processes are spawned, so a script must keep its work under `if __name__ == "__main__":`. The
    fold and the loader are sent to each once, by pickle; give a loader that opens a path. A worker
    that dies is replaced, and its chunk given to another.

    Args:
        workers: how many processes; by default one a CPU.
        retries: how often a chunk is tried again after its worker died.
        timeout: seconds that a worker may take for a chunk, from when it begins with it; None for
            ever. Before its first it has a minute more, to start.

    Raises:
        TypeError, ValueError: workers or retries is no such int; while it runs, TypeError for what
            cannot be pickled.
        RuntimeError: while it runs, when workers die of one chunk again and again. It names the
            chunk; what is done stays in the checkpoint.
        TimeoutError: while it runs, when a chunk takes longer than `timeout`, the same.

    >>> import jfoundations as jf
    >>> jf.executors.Pool(workers=2)
    Pool(workers=2, retries=2, timeout=None)
    """

    workers: int = os.cpu_count() or 1
    retries: int = 2
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_count(self.workers, "workers", "Pool", least=1)
        check_count(self.retries, "retries", "Pool")
        check_seconds(self.timeout, "Pool")

    def run(self, chunks: Chunks, progress: Progress) -> None:
        """Fold all chunks."""
        if multiprocessing.current_process().daemon:
            raise RuntimeError(
                "Pool: this process is a worker itself, and workers have no workers of their own; "
                "fold without an executor here" + see("array_to_cluster")
            )
        function, numbers = chunks.for_workers(self)
        size = min(self.workers, len(numbers))
        with _Team(self, function.packed, size, progress) as team:
            hand_out(numbers, team, size, progress)


def _good(answer: bytes, chunk: str) -> Any:
    try:
        good, value = pickle.loads(answer)
    except Exception as error:
        raise RuntimeError(f"Pool: what the worker of {chunk} sent {_GARBLED}") from error
    if not good:
        raise value
    return value


def _deadly(worker: _Worker, chunk: str, progress: Progress) -> RuntimeError:
    for _ in range(100):  # not by join: it trusts a pipe that the loader may have written to
        if worker.process.exitcode is None:
            time.sleep(0.01)
    if (code := worker.process.exitcode) is None or code == _NO_PIPE:
        why = "the pipe to it " + _GARBLED
    else:
        why = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    error = deadly(f"the worker of {chunk} died {worker.tried + 1} times ({why})", progress)
    if code == 1:
        error.add_note(
            'Pool: a script must keep its work under `if __name__ == "__main__":`, for its workers '
            "import it too"
        )
    return error


class _Worker:
    """A process, the pipe to it and the chunk that it works on."""

    def __init__(self, packed: bytes):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.chunk: int | None = None
        self.tried: int = 0  # how many workers died of the chunk before
        self.since: float = 0.0  # the work on the chunk has begun
        self.extra: float = STARTING
        how: Any = {"target": _serve, "args": (theirs, packed), "daemon": True}
        self.process = context.Process(name=_OnCPU("jfoundations-worker"), **how)
        self.process.start()
        theirs.close()

    def give(self, i: int, tried: int) -> None:
        self.chunk, self.tried, self.since = i, tried, time.monotonic()
        with contextlib.suppress(OSError):  # it died idle: its end of the pipe says so when asked
            self.pipe.send(i)

    def left(self, timeout: float) -> float:
        """Return how many seconds it has for its chunk yet."""
        return self.since + self.extra + timeout - time.monotonic()

    def answer(self) -> Any:
        """Return what it came to, _BEGUN when it has begun with it, or None if it died."""
        try:
            size = int(self.pipe.recv_bytes(len(_BEGUN)))  # what else is in the pipe is none
            answer = self.pipe.recv_bytes(size) if size else _BEGUN
        except (EOFError, OSError, ValueError):
            return None
        if answer is _BEGUN:
            self.since, self.extra = time.monotonic(), 0.0
        else:
            self.chunk = None
        return answer


class _Team:
    """The workers of one run; all are gone when it ends, however it ends."""

    def __init__(self, pool: Pool, packed: bytes, size: int, progress: Progress):
        self.pool, self.packed, self.progress = pool, packed, progress
        self.workers = [_Worker(packed) for _ in range(size)]

    def __enter__(self) -> _Team:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.pipe.close()

    @property
    def busy(self) -> int:
        return sum(worker.chunk is not None for worker in self.workers)

    def submit(self, i: int) -> None:
        idle = next(worker for worker in self.workers if worker.chunk is None)
        idle.give(i, 0)

    def completed(self) -> Iterator[tuple[int, FoldedChunk]]:
        name_of, limit = self.progress.name_of, self.pool.timeout
        for worker in self._ready(limit):
            i = worker.chunk
            assert i is not None
            if (answer := worker.answer()) is _BEGUN:
                continue
            if answer is not None:
                yield i, _good(answer, name_of(i))
            elif worker.tried == self.pool.retries:
                raise _deadly(worker, name_of(i), self.progress)
            else:
                self._replace(worker).give(i, worker.tried + 1)
        for worker in self.workers:
            if limit is not None and worker.chunk is not None and worker.left(limit) <= 0:
                what = f"{name_of(worker.chunk)} took longer than Pool(timeout={limit})"
                raise too_slow(what, self.progress)

    def _ready(self, timeout: float | None) -> list[_Worker]:
        """Return those that have something to say, when there are some, or one is late."""
        pipes = {worker.pipe: worker for worker in self.workers if worker.chunk is not None}
        if timeout is not None:
            timeout = max(0.0, min(worker.left(timeout) for worker in pipes.values()))
        return [pipes[pipe] for pipe in wait(list(pipes), timeout)]  # type: ignore[index]

    def _replace(self, worker: _Worker) -> _Worker:
        worker.process.kill()
        worker.pipe.close()
        new = _Worker(self.packed)
        self.workers[self.workers.index(worker)] = new
        return new


class _OnCPU(str):
    """A process's name that lets JAX have the CPU alone there: two cannot share an accelerator.

    The name is the first that a spawned process reads, before the script, which may use JAX at
    once. The environment of this process stays as it is: other threads may look at it.
    """

    def __reduce__(self) -> Any:
        return eval, (f"__import__('os').environ.update(JAX_PLATFORMS='cpu') or {str(self)!r}",)


def _serve(pipe: Connection, packed: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who gave the work
    try:
        while True:
            try:
                i = pipe.recv()
            except EOFError:
                return
            pipe.send_bytes(_BEGUN)
            answer = _answer(packed, i)
            pipe.send_bytes(b"%0*d" % (len(_BEGUN), len(answer)))
            pipe.send_bytes(answer)
    except OSError:
        os._exit(_NO_PIPE)


def _answer(packed: bytes, i: int) -> bytes:
    try:
        return pickle.dumps((True, run_chunk(packed, i)))
    except BaseException as error:  # whatever it is, it is for the one who gave the work
        return _as_bytes(error)


def _as_bytes(error: BaseException) -> bytes:
    try:
        data = pickle.dumps((False, error))
        pickle.loads(data)  # some exceptions go in and do not come out
        return data
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", []):
            told.add_note(note)
        return pickle.dumps((False, told))
