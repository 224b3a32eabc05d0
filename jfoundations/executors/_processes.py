"""The processes of one JAX program that runs on several machines."""

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._ledger import Ledger
from .._reduce import Executor
from .._source import Chunks
from ._local import Local


@dataclass(frozen=True)
class Processes:
    """Fold in the processes that `jax.distributed.initialize` has joined, each a run of chunks.

    All processes call `fold` with the same fold and source, and all get the answer. A checkpoint
    is a file a process, with its number at the end of the name. When a process is lost the others
    say so, and keep what they have done; JAX ends them some time later.

    Args:
        inner: what folds in each process; by default `Local()`.
        shares: how much each process does, in proportion; by default all the same.

    Raises:
        TypeError, ValueError: while it runs, when shares are not one number ≥ 0 a process.
        RuntimeError: while it runs, when another process failed or was lost.

    >>> import jfoundations as jf
    >>> source = jf.Source.of(np.arange(5.0), 2)
    >>> float(jf.fold(jf.folds.mean(), source, Processes()))
    2.0
    """

    inner: Executor = field(default_factory=Local)
    shares: tuple[float, ...] | None = None

    def own_path(self, path: str | os.PathLike[str]) -> Path:
        """Return the name of this process's checkpoint."""
        name = f"{Path(path).name}.{jax.process_index()}-of-{jax.process_count()}"
        return Path(path).with_name(name)

    def run(self, chunks: Chunks, ledger: Ledger) -> None:
        """Fold this process's chunks, and take in what the others came to."""
        _, ids = chunks.numbered("Processes")
        total = chunks.total or 0
        mine = range(*self._bounds(total))
        failure: Exception | None = None
        try:
            self.inner.run(chunks.only([i for i in ids if i in mine]), ledger)
            ledger.save()
        except Exception as error:  # the others wait for an answer, good or bad
            failure = error
        for p, (told, nodes) in enumerate(_exchanged(failure, ledger)):
            if p == jax.process_index():
                continue
            if told is not None and failure is None:
                raise RuntimeError(f"fold: process {p} of {jax.process_count()} failed: {told}")
            ledger.adopt(nodes)
        if failure is not None:
            raise failure

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


def _exchanged(failure: Exception | None, ledger: Ledger) -> list[Any]:
    """Return what each process came to: what failed, or None, and its memories."""
    told = None if failure is None else f"{type(failure).__name__}: {failure}"
    nodes = {} if told else jax.device_get(ledger.nodes())
    if jax.process_count() == 1:
        return [(told, nodes)]
    blob = np.frombuffer(pickle.dumps((told, nodes)), np.uint8)
    try:
        lengths = _gather(np.frombuffer(np.int64(blob.size).tobytes(), np.uint8))
        sizes = lengths.reshape(-1, 8).view(np.int64)[:, 0].tolist()
        blobs = _gather(np.pad(blob, (0, max(sizes) - blob.size)))
    except Exception as error:
        raise RuntimeError(
            "fold: another process was lost before it gave what it had done; run all again"
            + (", what is done here is kept" if ledger.file else "; checkpoint= would keep it")
        ) from error
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(blobs, sizes, strict=True)]


def _gather(data: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(data))
