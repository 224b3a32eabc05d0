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

from ._fold import Fold
from ._ledger import Piece, fold_chunk
from ._source import called, load_chunk
from ._tree import Flat, flat

SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")


@cache
def _packer() -> type[pickle.Pickler]:
    """Return a pickler that knows functions of JAX and memory-mapped arrays."""
    try:  # not before it is needed: importing this library imports nothing else
        from cloudpickle import Pickler as base
    except ModuleNotFoundError:
        base = pickle.Pickler

    class Packer(base):  # type: ignore[misc, valid-type]
        def reducer_override(self, obj: Any) -> Any:  # the name that pickle calls
            if isinstance(obj, np.memmap) and (place := _place(obj)):
                return _reopen, place
            if callable(obj) and (name := _public_name(obj)):
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


def _place(array: np.memmap) -> tuple[Any, ...] | None:
    """Return where in its file a memory-mapped array lies, or None."""
    mapped, name = getattr(array, "_mmap", None), array.filename
    if mapped is None or name is None or not array.flags.c_contiguous or not array.size:
        return None
    import mmap

    begin = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # of the mapping, in the file
    shift = array.__array_interface__["data"][0] - np.frombuffer(mapped, np.uint8).ctypes.data
    if not 0 <= shift <= len(mapped) - array.nbytes:
        return None
    return str(name), array.dtype, begin + shift, array.shape


def _reopen(name: str, dtype: Any, offset: int, shape: tuple[int, ...]) -> np.memmap:
    return np.memmap(name, dtype, "r", offset, shape)


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
    settings = {name: getattr(jax.config, name) for name in SETTINGS}
    parts = pack(a_fold, who, f"the fold {a_fold.name}"), pack(load, who, "the loader")
    return pickle.dumps((settings, *parts, total))


@lru_cache(maxsize=8)
def _unpack_work(work: bytes) -> tuple[Flat, Callable[[int], Any], int | None]:
    settings, a_fold, load, total = pickle.loads(work)
    for name, value in settings.items():
        jax.config.update(name, value)
    return flat(pickle.loads(a_fold)), pickle.loads(load), total


def run_chunk(work: bytes, i: int) -> Piece:
    """Load and fold a chunk, in a worker."""
    a_fold, load, total = _unpack_work(work)
    piece = fold_chunk(a_fold, load_chunk(load, i, total), called(i, total))
    return Piece(jax.device_get(piece.memory), piece.element, piece.rows)
