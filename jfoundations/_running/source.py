"""Numbered blocks of data, how they are checked, and loading them ahead of the computing."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._core.checks import check_count, tracing
from .._core.inputs import as_given
from .._core.settings import settings, under

PATIENCE = 0.1  # seconds that are waited for a loader at the end
CUT = 64  # an array that an executor is to split becomes so many chunks, whatever the executor


@dataclass(frozen=True)
class Source:
    """Numbered blocks of data: `load(i)` returns block i of `n_chunks`, a pytree of arrays.

    A block is loaded in a thread of its own while the one before is folded, and may be read where
    it lies: a loader that fills one buffer again and again must return copies. No one waits for a
    loader when the fold is interrupted: it ends by itself, or with the process. Executors that have
    workers send the loader to them, so it should hold a path and not the data. Blocks may differ in
    length; one of no rows adds nothing.

    Args:
        n_chunks: how many blocks.
        load: `int -> block`; its leaves share the leading axis.

    Raises:
        TypeError, ValueError: n_chunks is no positive int, or load not callable.

    >>> import jfoundations as jf
    >>> source = Source(3, lambda i: np.full(2, i))
    >>> int(jf.fold(jf.folds.maximum(), source))
    2
    """

    n_chunks: int
    load: Callable[[int], Any]

    def __post_init__(self) -> None:
        check_count(self.n_chunks, "n_chunks", "Source", least=1)
        if not callable(self.load):
            raise TypeError(f"Source: load is {self.load!r}, which is not callable")

    @classmethod
    def of(cls, data: Any, size: int) -> "Source":
        """Cut arrays into blocks of `size` rows; the last has what is left.

        Args:
            data: an array or a tree of arrays with one leading axis; of a memory-mapped file,
                `np.load(path, mmap_mode="r")`, or a view into it, workers are sent the path alone.
            size: rows of a block, a positive int.

        Raises:
            TypeError, ValueError: there is no leading axis, leaves differ in it, or size is no
                positive int.

        >>> Source.of(np.arange(5.0), 2).load(2)
        array([4.])
        """
        size = check_count(size, "size", "Source.of", least=1)
        check_block(data, "Source.of's data")
        return cls(max(1, -(-rows_in(data) // size)), Rows(data, size))

    def __iter__(self) -> Iterator[Any]:
        return (load_chunk(self.load, i, self.n_chunks) for i in range(self.n_chunks))


@dataclass(frozen=True, eq=False)
class Rows:
    """The loader of blocks that are rows of arrays."""

    data: Any
    size: int

    def __call__(self, i: int) -> Any:
        """Return the block of a number."""
        rows = slice(i * self.size, (i + 1) * self.size)
        return jax.tree.map(lambda leaf: _taken(leaf, rows), self.data)


def _taken(leaf: Any, rows: slice) -> Any:
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return leaf[rows]
    keys = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # which are nothing to NumPy
    if not keys and all(device.platform == "cpu" for device in leaf.devices()):
        return np.asarray(leaf)[rows]  # where it lies; JAX would copy
    return jax.device_put(leaf[rows], min(leaf.devices(), key=lambda device: device.id))


def cut(data: Any) -> Source:
    """Return the chunks of an array that was given whole."""
    return Source.of(data, max(1, -(-rows_in(data) // CUT)))


def rows_in(block: Any) -> int:
    """Return the length of the leading axis."""
    return jax.tree.leaves(block)[0].shape[0]


def element_of(block: Any) -> Any:
    """Return shapes and dtypes of an element of a block, as JAX will have them."""
    like = lambda a: jax.ShapeDtypeStruct(a.shape[1:], jax.typeof(a).dtype)  # noqa: E731
    return jax.tree.map(like, block)


_NO_ARRAY = "{kind}, which is no array of numbers; {cure}"


def as_block(block: Any, who: str) -> Any:
    """Return a block as JAX takes it without loss, or raise; see `check_block`."""
    check_block(block, who)
    return jax.tree.map(lambda leaf: as_given(leaf, who, "a leaf"), block)


def check_block(block: Any, who: str) -> None:
    """Raise unless a block's leaves are arrays with one leading axis; no number is read."""
    lengths = set()
    for leaf in jax.tree.leaves(block):
        shape = getattr(leaf, "shape", ())
        if not isinstance(leaf, jax.Array):
            as_given(leaf[:0] if shape else leaf, who, "a leaf", _NO_ARRAY)
        if not shape:
            raise TypeError(
                f"{who}: a leaf has no leading axis to run over; a list is an iterable of blocks, "
                "so for one block of numbers give jnp.array(numbers)"
            )
        lengths.add(shape[0])
    if len(lengths) != 1:
        found = f"lengths {sorted(lengths)}" if lengths else "no arrays"
        raise ValueError(f"{who}: its leaves have {found}; they must share one leading axis")


@dataclass(frozen=True)
class Chunks:
    """The blocks that an executor has to fold, by number.

    Attributes:
        blocks: a `Source`, whose blocks can be loaded anywhere and in any order, or an iterable
            that gives one after the other, here.
        ids: the numbers to do, rising; None means all that an iterable gives.
        skips: tells of an iterable's block whether it is done already and passes by; None when
            no more is wanted.
    """

    blocks: Any
    ids: range | list[int] | None
    skips: Callable[[int, Any], bool | None]

    @property
    def total(self) -> int | None:
        """How many there are, done ones included; None when no one knows."""
        return self.blocks.n_chunks if isinstance(self.blocks, Source) else None

    def numbered(self, who: str) -> tuple[Callable[[int], Any], Iterable[int]]:
        """Return the loader and the numbers to do, or say that blocks of a stream have none."""
        if self.ids is None:
            kind = type(self.blocks).__name__
            raise TypeError(
                f"fold: {who} has its workers load their own blocks, and a {kind} can only "
                "be read here, one after another; give Source(n_chunks, load)"
            )
        return self.blocks.load, self.ids

    def only(self, ids: list[int]) -> "Chunks":
        """Return those of some numbers."""
        return Chunks(self.blocks, ids, self.skips)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield number and block, one block ahead of what is asked for."""
        if self.ids is not None:
            load = load_chunk
            calls = ((i, (load, self.blocks.load, i, self.total)) for i in self.ids)
        else:
            calls = _calls(iter(self.blocks))
        # views of what is there need no waiting for, and a trace belongs to its thread
        at_once = self.ids is not None and isinstance(self.blocks.load, Rows) or tracing()
        for i, block in (_called if at_once else _ahead)(calls):
            if block is _END:
                return
            if self.ids is None and (done := self.skips(i, block)) is not False:
                if done is None:
                    return
                continue
            yield i, block


_END = object()


def _calls(blocks: Iterator[Any]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    i = 0
    while True:
        yield i, (load_chunk, lambda _: next(blocks, _END), i, None)
        i += 1


def load_chunk(load: Callable[[int], Any], i: int, total: int | None) -> Any:
    """Load a block; what its loader raises says which it was."""
    try:
        return load(i)
    except StopIteration as error:  # on its way it would end a loop in silence
        raise RuntimeError(
            f"fold: the loader raised StopIteration while it loaded {called(i, total)}: a next() "
            "in it came to an end; give next() a default"
        ) from error
    except BaseException as error:
        error.add_note(f"fold: this came out of loading {called(i, total)}")
        raise


def called(i: int, total: int | None) -> str:
    """Return what messages call a chunk."""
    return f"chunk {i}" if total is None else f"chunk {i} of {total}"


def _called(calls: Iterable[tuple[int, tuple[Any, ...]]]) -> Iterator[tuple[int, Any]]:
    for i, (function, *arguments) in calls:
        yield i, function(*arguments)


def _ahead(calls: Iterable[tuple[int, tuple[Any, ...]]]) -> Iterator[tuple[int, Any]]:
    """Yield what calls return; each is made, in another thread, while the one before is used."""
    device: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    here = settings() | {"default_device": device}
    asked: SimpleQueue[Any] = SimpleQueue()
    answers: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    # a daemon: neither Ctrl-C nor the end of the process has to wait for a loader
    thread = Thread(
        target=_answer, args=(here, asked, answers), name="jfoundations-load", daemon=True
    )
    thread.start()
    pending: deque[int] = deque()
    try:
        for i, call in calls:
            asked.put(call)
            pending.append(i)
            if len(pending) == 2:
                yield pending.popleft(), _got(answers)
        for i in pending:
            yield i, _got(answers)
    finally:
        while not asked.empty():
            with suppress(Empty):
                asked.get_nowait()
        asked.put(None)
        thread.join(PATIENCE)


def _answer(held: dict[str, Any], asked: Any, answers: Any) -> None:
    while (call := asked.get()) is not None:
        try:
            answers.put((True, _call_under(held, *call)))
        except BaseException as error:  # it is for the one who waits
            answers.put((False, error))
        del call


def _got(answers: Any) -> Any:
    good, value = answers.get()
    if not good:
        raise value
    return value


def _call_under(held: dict[str, Any], function: Callable[..., Any], *arguments: Any) -> Any:
    with under(held):
        return function(*arguments)
