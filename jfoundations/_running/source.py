"""Numbered blocks of data, and how a block is checked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import jax
import numpy as np
from jax.core import Tracer

from .._core.checks import check_count
from .._core.inputs import as_block as as_block
from .._core.inputs import check_block as check_block
from .._core.types import PyTree

CUT = 64  # an array that an executor is to split becomes so many chunks, whatever the executor


R = TypeVar("R")


class Loader(Protocol):
    """What loads the blocks of a `Source`."""

    def __call__(self, i: int, /) -> Any:
        """Return block i: a pytree of arrays that share the leading axis."""
        ...


@dataclass(frozen=True)
class Source:
    """Numbered blocks of data: `load(i)` returns block i of `n_chunks`, a pytree of arrays.

    A block is loaded in a thread of its own while the one before is folded, and may be read where
    it lies: a loader that fills one buffer again and again must return copies. No one waits for a
    loader when the fold is interrupted: it ends by itself, or with the process. Executors that have
    workers send the loader to them, so it should hold a path and not the data. Blocks may differ in
    length, and few programs are compiled for all of them; one of no rows adds nothing.

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
    load: Loader

    def __post_init__(self) -> None:
        check_count(self.n_chunks, "n_chunks", "Source", least=1)
        if not callable(self.load):
            raise TypeError(f"Source: load is {self.load!r}, which is not callable")

    @classmethod
    def of(cls, data: PyTree, size: int) -> "Source":
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


def _taken(leaf: PyTree, rows: slice) -> Any:
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return leaf[rows]
    keys = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # which are nothing to NumPy
    if not keys and all(device.platform == "cpu" for device in leaf.devices()):
        return np.asarray(leaf)[rows]  # where it lies; JAX would copy
    return jax.device_put(leaf[rows], min(leaf.devices(), key=lambda device: device.id))


def cut(data: PyTree) -> Source:
    """Return the chunks of an array that was given whole."""
    return Source.of(data, max(1, -(-rows_in(data) // CUT)))


def rows_in(block: PyTree) -> int:
    """Return the length of the leading axis."""
    return jax.tree.leaves(block)[0].shape[0]


def element_of(block: PyTree) -> Any:
    """Return shapes and dtypes of an element of a block, as JAX will have them."""
    like = lambda a: jax.ShapeDtypeStruct(a.shape[1:], jax.typeof(a).dtype)  # noqa: E731
    return jax.tree.map(like, block)


def load_chunk(load: Loader, i: int, total: int | None) -> Any:
    """Load a block; what its loader raises says which it was."""
    try:
        return load(i)
    except StopIteration as error:  # on its way it would end a loop in silence
        raise RuntimeError(
            f"fold: the loader raised StopIteration while it loaded {chunk_name(i, total)}: a "
            "next() in it came to an end; give next() a default"
        ) from error
    except BaseException as error:
        error.add_note(f"fold: this came out of loading {chunk_name(i, total)}")
        raise


def fold_block(program: Callable[[PyTree], R], block: PyTree, name: str) -> R:
    """Return what a program makes of a block; what it raises says which chunk it was."""
    try:
        return program(block)
    except Exception as error:
        error.add_note(f"fold: this came out of folding {name}")
        raise


def chunk_name(i: int, total: int | None) -> str:
    """Return what messages call a chunk."""
    return f"chunk {i}" if total is None else f"chunk {i} of {total}"
