"""Numbered blocks of data."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import jax
import numpy as np
from jax.core import Tracer

from .._core.checks import check_count
from .._core.inputs import check_block
from .._core.types import PyTree
from .._core.values import describe, is_key

_PATH = (str, os.PathLike)
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
            raise TypeError(
                f"Source: load is {reprlib.repr(self.load)}, which is not callable; give a "
                "function of the number of a block, or of files Source.of(paths)"
            )

    @classmethod
    def of(
        cls, data: Any, size: int | None = None, *, columns: Sequence[str] | None = None
    ) -> Source:
        """Cut data into blocks of `size` rows; the last has what is left.

        Args:
            data: an array or a tree of arrays with one leading axis; of a memory-mapped file,
                `np.load(path, mmap_mode="r")`, or a view into it, workers are sent the path alone.
                Or the path of a file, or a list of paths, which are sent in place of the data: of
                `.npy`, Parquet (a dict of columns; lists of one length are an axis) or Zarr (an
                array, or a group as a dict). Or what has `len(data)` and `data[i:j]`, a dict of
                columns or elements to be stacked: a data set of Hugging Face, grain, torch.
            size: rows of a block, a positive int; no block has rows of two files. Without it each
                file is a block, or each `data[i]`.
            columns: of Parquet files and Zarr groups, the names of those to read; None: all.

        Raises:
            TypeError, ValueError: there is no leading axis, leaves differ in it, or size is no
                positive int, or is missing where data is arrays; a file is of another kind.
            FileNotFoundError: there is no such file.
            ModuleNotFoundError: pyarrow or zarr is needed, and is not installed.

        A checkpoint knows files by name, without the folder, and by size: a file whose block is
        done must stay as it is, others may be mended. A file that changes while it is read is an
        error, which names it; what was done is kept.

        >>> Source.of(np.arange(5.0), 2).load(2)
        array([4.])
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for k in (1, 2, 3):
        ...     np.save(folder / f"{k}.npy", np.full(k, float(k)))
        >>> source = Source.of(sorted(folder.glob("*.npy")))
        >>> source.n_chunks, source.load(1).tolist()
        (3, [2.0, 2.0])
        """
        from .files import Files, Slices  # not before: they import what reads files

        if size is not None:
            size = check_count(size, "size", "Source.of", least=1)
        paths = [data] if isinstance(data, _PATH) else data
        if isinstance(paths, list | tuple) and paths and all(isinstance(p, _PATH) for p in paths):
            files = Files.of(paths, size, columns)
            return cls(len(files), files)
        if columns is not None:
            raise TypeError(
                "Source.of: columns are of files, and data is none; pick them out beforehand, or "
                "with .of(lambda element: …) of a fold"
            )
        if isinstance(paths, Iterator):
            raise TypeError(
                f"Source.of: data is {type(data).__name__}, which is read once; of paths give a "
                'list, as in sorted(folder.glob("*.npy"))'
            )
        if isinstance(paths, list | tuple) and not paths:
            raise ValueError("Source.of: data is an empty list, so there is no block")
        indexed = hasattr(data, "__len__") and hasattr(data, "__getitem__")
        if indexed and not _is_tree(data) and (size is None or not isinstance(data, list)):
            slices = Slices(data, size)
            return cls(len(slices), slices)
        if size is None:
            raise TypeError(
                f"Source.of: data is {describe(data)}, and size is missing; say how many rows a "
                "block has, as in Source.of(data, 1000)"
            )
        check_block(data, "Source.of's data")
        return cls(max(1, -(-rows_in(data) // size)), Rows(data, size))

    def __iter__(self) -> Iterator[Any]:
        return (load_chunk(self.load, i, self.n_chunks) for i in range(self.n_chunks))


@dataclass(frozen=True, eq=False)
class Rows:
    """The loader of blocks that are rows of arrays."""

    data: Any
    size: int

    def __repr__(self) -> str:
        return f"Rows({describe(self.data)}, size={self.size})"

    def __call__(self, i: int) -> Any:
        """Return the block of a number."""
        rows = slice(i * self.size, (i + 1) * self.size)
        return jax.tree.map(lambda leaf: _taken(leaf, rows), self.data)


def _taken(leaf: PyTree, rows: slice) -> Any:
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return leaf[rows]
    keys = is_key(leaf)  # which are nothing to NumPy
    if not keys and all(device.platform == "cpu" for device in leaf.devices()):
        return np.asarray(leaf)[rows]  # where it lies; JAX would copy
    return jax.device_put(leaf[rows], min(leaf.devices(), key=lambda device: device.id))


def cut(data: PyTree) -> Source:
    """Return the chunks of an array that was given whole."""
    return Source.of(data, max(1, -(-rows_in(data) // CUT)))


def is_whole(data: object, who: str) -> bool:
    """Tell whether data is an array, or a tree of arrays, and no iterable of blocks; check it."""
    if _is_tree(data):
        check_block(data, who)
    return _is_tree(data)


def _is_tree(data: object) -> bool:
    return isinstance(data, dict | tuple) or hasattr(data, "dtype")


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
        name = chunk_name(i, total, load)
        raise RuntimeError(
            f"fold: the loader raised StopIteration while it loaded {name}: a next() in it came to "
            "an end; give next() a default"
        ) from error
    except BaseException as error:
        error.add_note(f"fold: this came out of loading {chunk_name(i, total, load)}")
        raise


def fold_block(program: Callable[[PyTree], R], block: PyTree, name: str) -> R:
    """Return what a program makes of a block; what it raises says which chunk it was."""
    try:
        return program(block)
    except Exception as error:
        error.add_note(f"fold: this came out of folding {name}")
        raise


def chunk_name(i: int, total: int | None, load: object = None) -> str:
    """Return what messages call a chunk, and the file that its loader reads, if it reads one."""
    name = f"chunk {i}" if total is None else f"chunk {i} of {total}"
    file = getattr(load, "name_of", None)
    return name if file is None else f"{name} ({file(i)})"
