"""A chunk folded by itself, in any thread or process; folds and loaders on their way there.

Pickle finds functions by name, and misses some that JAX has wrapped; memory-mapped arrays it would
copy whole. Both are mended here. Lambdas and closures travel where cloudpickle is installed.
"""

import io
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.inputs import as_block
from .._core.programs import compiled
from .._core.pytrees import FlatTree
from .._core.settings import under
from .._core.shown import see
from .._core.types import PyTree
from .._folds.combined import unasked
from .._folds.fold import Fold
from .lengths import block_memory, filled
from .source import (
    Loader,
    chunk_name,
    element_of,
    fold_block,
    load_chunk,
    rows_in,
)


@cache
def _packer() -> type[pickle.Pickler]:
    """Return a pickler that knows functions of JAX and memory-mapped arrays."""
    try:  # not before it is needed: importing this library imports nothing else
        from cloudpickle import Pickler as base
    except ModuleNotFoundError:
        base = pickle.Pickler

    class Packer(base):  # type: ignore[misc, valid-type]
        def reducer_override(self, obj: object) -> Any:  # the name that pickle calls
            if isinstance(obj, np.ndarray) and (place := _place(obj)):
                return _reopen, place
            if callable(obj) and (name := _public_name(obj)):
                if name[0] != "__main__" or base is pickle.Pickler:  # workers may have another
                    return _named, name
            above = getattr(super(), "reducer_override", None)
            return NotImplemented if above is None else above(obj)

    return Packer


def _public_name(function: object) -> tuple[str, str] | None:
    """Return module and name of a function that pickle would not find, or None."""
    if isinstance(function, type) or not (name := getattr(function, "__name__", None)):
        return None
    home = getattr(function, "__module__", None) or ""
    if getattr(sys.modules.get(home), name, None) is function:
        return (home, name) if type(function).__name__ != "function" else None
    for module in (jnp, lax, jax.nn, jnp.linalg, jax):
        if getattr(module, name, None) is function:
            return module.__name__, name
    return None


def _named(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)


def _place(array: np.ndarray) -> tuple[Any, ...] | None:
    """Return where in its file an array lies that is memory-mapped, or a view of one that is."""
    whole = array
    while isinstance(whole, np.ndarray) and not isinstance(whole, np.memmap):
        whole = whole.base
    mapped, name = getattr(whole, "_mmap", None), getattr(whole, "filename", None)
    if not isinstance(whole, np.memmap) or mapped is None or name is None or not array.size:
        return None
    if whole.mode == "c" or array.dtype.hasobject:
        return None  # what was written to a copy is in no file
    import mmap

    begin = whole.offset - whole.offset % mmap.ALLOCATIONGRANULARITY  # of the mapping, in the file
    first, end = np.lib.array_utils.byte_bounds(array)
    shift = first - np.frombuffer(mapped, np.uint8).ctypes.data
    if not 0 <= shift <= len(mapped) - (end - first):
        return None
    inside = array.__array_interface__["data"][0] - first
    return str(name), begin + shift, end - first, array.shape, array.dtype, inside, array.strides


def _reopen(
    name: str,
    place: int,
    size: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    inside: int,
    strides: tuple[int, ...],
) -> np.ndarray:
    whole = np.memmap(name, np.uint8, "r", place, (size,))
    return np.ndarray(shape, dtype, whole, inside, strides)


def pack(value: object, who: str, what: str) -> bytes:
    """Return the bytes of a value that goes to another process, or say why it cannot."""
    buffer = io.BytesIO()
    try:
        _packer()(buffer, protocol=5).dump(value)
    except Exception as error:
        raise TypeError(
            f"{who}: {what} cannot be sent to another process ({error}); use functions of a module "
            "with jfoundations.partial for what they close over, or install cloudpickle"
            + see("array_to_cluster")
        ) from error
    return buffer.getvalue()


@dataclass(frozen=True)
class FoldedChunk:
    """A chunk that was folded by itself.

    Attributes:
        memory: what the fold remembers of it.
        element: shapes and dtypes of an element.
        rows: how many elements there were.
    """

    memory: Any
    element: Any
    rows: int


@dataclass(frozen=True, eq=False)
class ChunkFunction:
    """A function of a chunk's number, which loads and folds the chunk in any thread or process.

    Attributes:
        a_fold: the fold.
        load: the loader.
        total: how many chunks there are, or None.
        settings: of JAX, which hold while it works.
        who: the executor that asked for it, as messages call it.
    """

    a_fold: Fold[Any]
    load: Loader
    total: int | None
    settings: dict[str, Any]
    who: str

    def __call__(self, i: int) -> FoldedChunk:
        """Load and fold a chunk."""
        with under(self.settings):  # each time: a worker may serve several folds by turns
            name = chunk_name(i, self.total, self.load)
            block = as_block(load_chunk(self.load, i, self.total), f"fold's {name}")
            memory = jax.device_get(fold_block(self._memory, block, name))
            return FoldedChunk(memory, element_of(block), rows_in(block))

    def _memory(self, block: PyTree) -> FlatTree:
        if self.a_fold.block_where is None:  # of a fold without a merge, which is refused later
            return self._program(block)
        return self._program(*filled(block))

    @cached_property
    def _program(self) -> Callable[..., FlatTree]:
        return compiled(block_memory, unasked(self.a_fold))

    @cached_property
    def packed(self) -> bytes:
        """What another process must know, for `run_chunk` there."""
        parts = (
            pack(self.a_fold, self.who, f"the fold {self.a_fold.name}"),
            pack(self.load, self.who, "the loader"),
        )
        held = {name: value for name, value in self.settings.items() if name != "default_device"}
        return pickle.dumps((held, *parts, self.total, self.who))

    def __reduce__(self) -> Any:
        return _unpacked, (self.packed,)


@lru_cache(maxsize=8)
def _unpacked(packed: bytes) -> ChunkFunction:
    held, a_fold, load, total, who = pickle.loads(packed)
    with under(held):
        return ChunkFunction(pickle.loads(a_fold), pickle.loads(load), total, held, who)


def run_chunk(packed: bytes, i: int) -> FoldedChunk:
    """Load and fold a chunk, in a worker that was sent a packed `ChunkFunction`."""
    return _unpacked(packed)(i)
