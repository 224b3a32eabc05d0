"""What executors with workers share: how chunks are handed out, and errors of chunks that are lost.

The workers are not those of `concurrent.futures`. A `ProcessPoolExecutor` ends with the first
process that dies, and does not say of which chunk; it does not know when a worker began with a
chunk; and it waits for its workers, so neither Ctrl-C nor a time limit would end a loader that
hangs. Dask tells which task a worker died of, and takes what came in one round trip.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

from .._running.progress import Progress
from .._running.worker import FoldedChunk


class Workers(Protocol):
    """Who folds chunks elsewhere."""

    @property
    def busy(self) -> int:
        """How many chunks are on their way."""
        ...

    def submit(self, i: int) -> None:
        """Have a chunk folded."""
        ...

    def completed(self) -> Iterator[tuple[int, FoldedChunk]]:
        """Wait for some that are on their way, and yield them; raise what they raise."""
        ...


def hand_out(numbers: Iterable[int], workers: Workers, ahead: int, progress: Progress) -> None:
    """Have chunks folded by workers, so many at a time, and take them in as they come."""
    todo = iter(numbers)
    while True:
        for i in islice(todo, ahead - workers.busy):
            workers.submit(i)
        if not workers.busy:
            return
        for i, folded in workers.completed():
            progress.add(i, folded)


def too_slow(what: str, progress: Progress) -> TimeoutError:
    """Return the error for a chunk that takes too long."""
    return TimeoutError(
        f"fold: {what}: its loader may hang; try source.load of it alone{_how_to_keep(progress)}"
    )


def deadly(what: str, progress: Progress) -> RuntimeError:
    """Return the error for a chunk that its workers die of."""
    return RuntimeError(
        f"fold: {what}: it may need more memory than there is, or its loader may crash; "
        f"try source.load of it alone{_how_to_keep(progress)}"
    )


def _how_to_keep(progress: Progress) -> str:
    return "" if progress.file else "; with checkpoint= what is done would be kept"


def check_seconds(timeout: object, who: str) -> None:
    """Raise unless a time limit is a positive number of seconds, or None."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"{who}: timeout is {timeout!r}; give seconds, or None for no limit")
    if not timeout > 0:
        raise ValueError(f"{who}: timeout is {timeout!r}; give seconds > 0, or None for no limit")
