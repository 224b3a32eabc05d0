"""Folds and loaders on their way to other processes, and a chunk folded there.

Pickle finds functions by name, and misses some that JAX has wrapped; memory-mapped arrays it would
copy whole. Both are mended here. Lambdas and closures travel where cloudpickle is installed.
"""

import io
import pickle
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.settings import settings, under
from .._folds.fold import Fold
from .progress import Piece, fold_chunk, program_of
from .source import called, load_chunk


@cache
def _packer() -> type[pickle.Pickler]:
    """Return a pickler that knows functions of JAX and memory-mapped arrays."""
    try:  # not before it is needed: importing this library imports nothing else
        from cloudpickle import Pickler as base
    except ModuleNotFoundError:
        base = pickle.Pickler

    class Packer(base):  # type: ignore[misc, valid-type]
        def reducer_override(self, obj: Any) -> Any:  # the name that pickle calls
            if isinstance(obj, np.ndarray) and (place := _place(obj)):
                return _reopen, place
            if callable(obj) and (name := _public_name(obj)):
                if name[0] != "__main__" or base is pickle.Pickler:  # workers may have another
                    return _named, name
            above = getattr(super(), "reducer_override", None)
            return NotImplemented if above is None else above(obj)

    return Packer


def _public_name(function: Any) -> tuple[str, str] | None:
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


def _reopen(name: str, place: int, size: int, *how: Any) -> np.ndarray:
    shape, dtype, inside, strides = how
    whole = np.memmap(name, np.uint8, "r", place, (size,))
    return np.ndarray(shape, dtype, whole, inside, strides)


def pack(value: Any, who: str, what: str) -> bytes:
    """Return the bytes of a value that goes to another process, or say why it cannot."""
    buffer = io.BytesIO()
    try:
        _packer()(buffer, protocol=5).dump(value)
    except Exception as error:
        raise TypeError(
            f"{who}: {what} cannot be sent to another process ({error}); use functions of a module "
            "with jfoundations.partial for what they close over, or install cloudpickle"
        ) from error
    return buffer.getvalue()


def pack_work(a_fold: Fold[Any], load: Callable[[int], Any], total: int | None, who: str) -> bytes:
    """Return what a worker must know."""
    parts = pack(a_fold, who, f"the fold {a_fold.name}"), pack(load, who, "the loader")
    return pickle.dumps((settings(), *parts, total))


@lru_cache(maxsize=8)
def _unpack_work(work: bytes) -> tuple[Any, ...]:
    held, a_fold, load, total = pickle.loads(work)
    with under(held):
        return held, program_of(pickle.loads(a_fold)), pickle.loads(load), total


def run_chunk(work: bytes, i: int) -> Piece:
    """Load and fold a chunk, in a worker."""
    held, run, load, total = _unpack_work(work)
    with under(held):  # each time: a worker may serve several folds by turns
        piece = fold_chunk(run, load_chunk(load, i, total), called(i, total))
        return Piece(jax.device_get(piece.memory), piece.element, piece.rows)
