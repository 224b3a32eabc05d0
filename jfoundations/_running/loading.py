"""Blocks loaded in a thread of their own, one ahead of the block that is being folded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import jax

from .._core.settings import settings, under
from .._core.types import PyTree

PATIENCE = 0.1  # seconds to wait for a loader at the end


def loaded_ahead(calls: Iterable[tuple[int, Callable[[], PyTree]]]) -> Iterator[tuple[int, PyTree]]:
    """Yield numbers and what their calls return, made in a thread while the one before is used.

    Args:
        calls: a number and a function of no arguments, for each block.
    """
    asked: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    # a daemon: neither Ctrl-C nor the end of the process has to wait for a loader
    thread = Thread(
        target=_serve,
        args=(settings_of_thread(), asked, answers),
        name="jfoundations-load",
        daemon=True,
    )
    thread.start()
    pending: deque[int] = deque()
    try:
        for i, call in calls:
            asked.put(call)
            pending.append(i)
            if len(pending) == 2:
                yield pending.popleft(), _value(*answers.get())
        for i in pending:
            yield i, _value(*answers.get())
    finally:
        while not asked.empty():
            with suppress(Empty):
                asked.get_nowait()
        asked.put(None)
        thread.join(PATIENCE)


def settings_of_thread() -> dict[str, Any]:
    """Return JAX's settings and default device here, which another thread does not see."""
    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    return settings() | {"default_device": device}


def _serve(
    held: Mapping[str, object],
    asked: SimpleQueue[Callable[[], PyTree] | None],
    answers: SimpleQueue[tuple[PyTree, BaseException | None]],
) -> None:
    while (call := asked.get()) is not None:
        try:
            with under(held):
                answers.put((call(), None))
        except BaseException as error:  # it is for the one who waits
            answers.put((None, error))
        del call


def _value(value: PyTree, error: BaseException | None) -> Any:
    if error is not None:
        raise error
    return value
