"""Data where they are: blocks of `.npy`, Parquet and Zarr files, and of data sets with an index.

A loader holds names. A file is opened where its block is asked for, in a worker too, and the
library that reads it is imported then.
"""

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .._core.types import PyTree
from .._core.values import describe

KINDS = (".npy", ".parquet", ".zarr")
Stamp = tuple[str, int, int]  # a file's name without its folder, its bytes, how many blocks it has


@dataclass(frozen=True)
class Files:
    """The loader of blocks that are files, or rows of files.

    Attributes:
        paths: of the files, absolute: a worker may stand in another folder.
        sizes: of the files in bytes, when the source was made.
        rows: for each block the number of its file, its first row there and the one after its last;
            None: a block is a file.
        columns: the names of those to read; None: all.
    """

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: tuple[tuple[int, int, int], ...] | None
    columns: tuple[str, ...] | None

    @classmethod
    def of(cls, paths: Sequence[Any], size: int | None, columns: Sequence[str] | None) -> "Files":
        """Return the loader of files, in blocks of at most `size` rows; see `Source.of`."""
        names = tuple(os.path.abspath(path) for path in paths)
        for name in names:
            if os.path.isdir(name) and _kind(name) not in KINDS:
                raise ValueError(
                    f"Source.of: {name} is a folder; give a list of its files, as in "
                    'sorted(folder.glob("*.npy"))'
                )
            if _kind(name) not in KINDS:
                raise ValueError(
                    f"Source.of: {name} is none of the files that it reads, {', '.join(KINDS)}; "
                    "give Source(n_chunks, load) and a function that loads it"
                )
        if isinstance(columns, str):
            raise TypeError(f"Source.of: columns is {columns!r}; give a list of names")
        chosen = None if columns is None else tuple(columns)
        rows: Any = None
        if size is not None:
            lengths = [_length(name, chosen) for name in names]
            rows = tuple(
                (k, first, min(first + size, length))
                for k, length in enumerate(lengths)
                for first in range(0, max(length, 1), size)
            )
        return cls(names, tuple(map(_bytes, names)), rows, chosen)

    def __len__(self) -> int:
        return len(self.paths if self.rows is None else self.rows)

    def name_of(self, i: int) -> str:
        """Return the path of the file of a block."""
        return self.paths[i if self.rows is None else self.rows[i][0]]

    def stamps(self) -> list[Stamp]:
        """Return what a checkpoint knows the files by."""
        of_blocks = range(len(self.paths)) if self.rows is None else [k for k, *_ in self.rows]
        counts = np.bincount(of_blocks).tolist()
        names = (Path(path).name for path in self.paths)
        return list(zip(names, self.sizes, counts, strict=True))

    def __call__(self, i: int) -> Any:
        """Return the block of a number, or raise: its file is gone, or is not what it was."""
        k, *ends = (i,) if self.rows is None else self.rows[i]
        path = self.paths[k]
        if not (ends and os.path.isdir(path)):  # for each block all files of a Zarr are too many
            size = _bytes(path)
            if size != self.sizes[k]:
                raise RuntimeError(
                    f"{path} has {size} bytes, and had {self.sizes[k]} when the source was made; "
                    "make the source anew, once no one writes to it any more"
                )
        rows = slice(*ends) if ends else slice(None)
        if _kind(path) == ".parquet":
            return _of_parquet(path, self.columns, rows)
        # copied: a page of a file that is cut short meanwhile would end the process
        return jax.tree.map(lambda array: np.array(array[rows]), _arrays(path, self.columns))


def _kind(path: str) -> str:
    inside = any(folder.suffix == ".zarr" for folder in Path(path).parents)
    return ".zarr" if inside else Path(path).suffix


def _bytes(path: str) -> int:
    """Return the size of a file, or of all in a folder."""
    if not os.path.isdir(path):
        return os.stat(path).st_size
    inside = (os.path.join(top, name) for top, _, names in os.walk(path) for name in names)
    return sum(map(os.path.getsize, inside))


def _length(path: str, columns: Sequence[str] | None) -> int:
    if _kind(path) == ".parquet":
        return _library("pyarrow.parquet").ParquetFile(path).metadata.num_rows
    lengths = {array.shape[:1] for array in jax.tree.leaves(_arrays(path, columns))}
    if len(lengths) != 1 or () in lengths:
        found = sorted(n for length in lengths for n in length)
        raise ValueError(
            f"Source.of: the arrays of {path} have lengths {found or 'none'}; to be cut in blocks "
            "they must share one leading axis; leave size out, or name those to read by columns="
        )
    return lengths.pop()[0]


def _arrays(path: str, columns: Sequence[str] | None) -> Any:
    """Return the arrays of a file; their numbers are not read yet."""
    if _kind(path) == ".npy":
        return np.load(path, mmap_mode="r")
    found = _library("zarr").open(path, mode="r")
    if hasattr(found, "shape"):
        return found
    known = sorted(found.array_keys())
    for name in columns or ():
        if not hasattr(found.get(name), "shape"):
            raise KeyError(f"{path} has no array {name!r}; it has {', '.join(known)}")
    return {name: found[name] for name in columns or known}


def _of_parquet(path: str, columns: Sequence[str] | None, rows: slice) -> dict[str, np.ndarray]:
    with _library("pyarrow.parquet").ParquetFile(path) as file:
        known = file.schema_arrow.names
        for name in columns or ():
            if name not in known:
                raise KeyError(f"{path} has no column {name!r}; it has {', '.join(known)}")
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        ends = np.cumsum([0, *sizes]).tolist()
        first, last, _ = rows.indices(ends[-1])
        groups = [g for g in range(len(sizes)) if ends[g] < last and first < ends[g + 1]]
        table = file.read_row_groups(groups, columns=columns and list(columns))
    table = table.slice(first - ends[groups[0]] if groups else 0, last - first)
    found = {name: _numbers(table.column(name)) for name in table.column_names}
    for name, numbers in found.items():
        if numbers.dtype.kind not in "biuf":
            raise TypeError(
                f"{path}: column {name!r} is {table.column(name).type}, which is no number; name "
                "those to read, Source.of(…, columns=[…])"
            )
    return found


def _numbers(column: Any) -> np.ndarray:
    """Return a column as an array; lists that are all of one length are an axis."""
    types, compute = _library("pyarrow.types"), _library("pyarrow.compute")
    fixed = types.is_fixed_size_list(column.type)
    if not (fixed or types.is_list(column.type) or types.is_large_list(column.type)):
        return column.to_numpy(zero_copy_only=False)
    lengths = compute.unique(compute.list_value_length(column)).to_pylist()
    if len(lengths) > 1 or None in lengths:
        raise ValueError(f"a column has lists of lengths {sorted(lengths, key=str)}; one is needed")
    width = column.type.list_size if fixed else (lengths or [0])[0]
    numbers = _numbers(compute.list_flatten(column))
    return numbers.reshape(len(column), width, *numbers.shape[1:])


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise ModuleNotFoundError(
            f"Source.of: {package} reads these files, and is not here; pip install {package}"
        ) from error


@dataclass(frozen=True, eq=False)
class Slices:
    """The loader of blocks of a data set that has a length and an index.

    Attributes:
        data: with `len(data)`, and `data[i:j]` or `data[i]`.
        size: rows of a block; None: a block is `data[i]`.
    """

    data: Any
    size: int | None

    def __repr__(self) -> str:
        return f"Slices({describe(self.data)}, size={self.size})"

    def __len__(self) -> int:
        return len(self.data) if self.size is None else max(1, -(-len(self.data) // self.size))

    def __call__(self, i: int) -> Any:
        """Return the block of a number."""
        if self.size is None:
            return _as_arrays(self.data[i])
        rows = range(len(self.data))[i * self.size : (i + 1) * self.size]
        try:
            block = self.data[rows.start : rows.stop]
        except TypeError:  # it knows no slices
            block = [self.data[k] for k in rows]
        return _as_arrays(block)


def _as_arrays(block: PyTree) -> Any:
    """Return a block as a tree of arrays: its columns, or its elements stacked."""
    names = block.keys() if hasattr(block, "keys") else getattr(block, "column_names", None)
    if names is not None:  # the second is an Arrow table, whose numbers are its columns'
        columns = {name: block[name] for name in names}
        return {name: x if hasattr(x, "dtype") else np.asarray(x) for name, x in columns.items()}
    if hasattr(block, "dtype") or isinstance(block, tuple) or len(block) == 0:
        return block
    elements = [block[k] for k in range(len(block))]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *elements)
