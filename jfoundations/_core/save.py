"""A pytree in one file: written whole or not at all, checked when it is read.

>>> import os, tempfile
>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> result = jf.iterate(lambda x: x / 2, jnp.ones(3), jf.callbacks.best(jnp.sum), max_steps=4)
>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "run.jf")
...     save(path, result)
...     same = load(path, like=result)
>>> same.state.tolist(), int(same.steps)
([0.0625, 0.0625, 0.0625], 4)

The format: a magic line, the length and checksum of a header, the header (JSON: version, and of
each leaf the path, dtype, shape, place and checksum), then the leaves' bytes in C order and little
endian. No pickle: what is read can hold numbers only.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .checks import keystr
from .files import check_path, replace
from .inputs import MASKED
from .shown import see
from .types import PyTree
from .values import is_key

T = TypeVar("T")
Saved: TypeAlias = dict[str, Any]  # what the header says of a leaf
MAGIC, VERSION = b"jfoundations pytree\n", 1
_SCALARS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}
_NAMES = {kind: f"Python {kind.__name__}" for kind in _SCALARS}


def save(path: str | os.PathLike[str], tree: PyTree) -> None:
    """Write a pytree of arrays, numbers and keys to one file.

    The file appears whole under its name, or, if anything fails, not at all: what was there before
    stays. It keeps its mode; through a symbolic link its target is written. What a killed process
    left half written is swept by the next `save` in that folder. Sharded arrays are gathered;
    static fields are not written, since `load` takes them from its `like`.

    Args:
        path: where; the folder must exist.
        tree: a pytree whose leaves are arrays of any JAX or NumPy dtype, PRNG keys, or Python
            numbers.

    Raises:
        TypeError: a leaf is none of these, is masked, or is being traced; the path is none.
        OSError: the file cannot be written, or is a folder, a device or a pipe.
    """
    check_path(path, "save")
    leaves, blobs, place = [], [], 0
    for route, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = keystr(route, "tree")
        data, dtype, shape = _data(leaf, name)
        blob = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        raw = blob.reshape(-1).view(np.uint8).data if blob.size else b""
        leaves.append(
            {
                "path": name,
                "dtype": dtype,
                "impl": _implementation(leaf),
                "shape": shape,
                "start": place,
                "bytes": blob.nbytes,
                "crc": zlib.crc32(raw),
            }
        )
        blobs.append(raw)
        place += blob.nbytes
    header = json.dumps({"version": VERSION, "leaves": leaves}).encode()
    front = MAGIC + np.array([len(header), zlib.crc32(header)], "<u8").tobytes()
    replace(Path(path), [front, header, *blobs])


def load(path: str | os.PathLike[str], *, like: T) -> T:
    """Read what `save` wrote, into the structure of `like`.

    Args:
        path: the file.
        like: a tree of the structure, shapes and dtypes that were saved: the thing itself, or
            `jax.eval_shape` of what makes it. Its static fields are kept; of its leaves only
            shapes, dtypes, shardings and whether they are NumPy's or JAX's are looked at.

    Returns:
        A tree like `like`, with the bits that were saved.

    Raises:
        ValueError: the file is not one of `save`'s, is cut off or damaged, comes from a newer
            version, or holds another structure; the message says which, and at which leaf.
        FileNotFoundError: there is no such file.
    """
    check_path(path, "load")
    path = Path(path)
    routes, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [keystr(route, "tree") for route, _ in routes]
    with _opened(path) as (file, leaves):
        found = [leaf["path"] for leaf in leaves]
        if names != found:
            raise ValueError(
                f"load: {path} holds another structure than like; {_difference(found, names)}"
            )
        values = []
        for leaf, (_, wanted) in zip(leaves, routes, strict=True):
            _check_kind(path, leaf, wanted)
            values.append(_value(path, leaf, _bytes(path, file, leaf), wanted))
    return jax.tree.unflatten(structure, values)


def first_leaf(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of the first leaf of a file, checked, whatever else the file holds."""
    path = Path(path)
    with _opened(path) as (file, leaves):
        return _bytes(path, file, leaves[0]) if leaves else b""


def _bytes(path: Path, file: BinaryIO, leaf: Saved) -> bytes:
    """Return the bytes of the leaf that comes next."""
    raw = file.read(leaf["bytes"])
    if zlib.crc32(raw) != leaf["crc"]:
        raise ValueError(f"load: {path} is damaged at {leaf['path']}; restore it from a copy")
    return raw


def _implementation(leaf: PyTree) -> str | None:
    return str(jax.random.key_impl(leaf)) if is_key(leaf) else None


def _data(leaf: PyTree, name: str) -> tuple[np.ndarray, str, tuple[int, ...]]:
    if isinstance(leaf, Tracer):
        raise TypeError(
            f"save: {name} is being traced by jit, vmap or grad; return it and save it there"
        )
    if _implementation(leaf):
        return np.asarray(jax.random.key_data(leaf)), leaf.dtype.name, leaf.shape
    if type(leaf) in _SCALARS:
        try:
            return np.asarray(leaf, _SCALARS[type(leaf)]), _NAMES[type(leaf)], ()
        except OverflowError:
            raise TypeError(f"save: {name} is {leaf}, which 64 bits do not hold") from None
    if isinstance(leaf, np.ma.MaskedArray):
        raise TypeError(f"save: {name} is {MASKED}")
    data = np.asarray(leaf) if isinstance(leaf, jax.Array | np.ndarray | np.generic) else None
    if data is None or not _is_known(data.dtype):
        kind = type(leaf).__name__ if data is None else f"an array of {data.dtype}"
        raise TypeError(
            f"save: {name} is {kind}, which is not written; keep to arrays of numbers, PRNG keys "
            "and Python numbers, and let other things be static fields"
        )
    return data, data.dtype.name, data.shape


def _is_known(dtype: np.dtype) -> bool:
    """Tell whether JAX has a dtype, be it with x64 alone; not so platforms' long doubles."""
    try:
        jax.typeof(np.empty(0, dtype.newbyteorder("=")))
    except (TypeError, ValueError):
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    """Yield a file, at its first leaf, and what its header says; no more than that is read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(
            f"load: {path} was not written by jfoundations.save: it is no regular file; copy what "
            "comes from a pipe or a device into one first"
        )
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        front = file.read(len(MAGIC) + 16)
        if front[: len(MAGIC)] != MAGIC[: len(front)] or not front:
            raise ValueError(f"load: {path} was not written by jfoundations.save")
        length, checksum = np.frombuffer(front[len(MAGIC) :].ljust(16, b"\xff"), "<u8").tolist()
        left = size - len(MAGIC) - 16 - length
        if left < 0:
            raise ValueError(f"load: {path} is cut off after {size} bytes; restore it from a copy")
        header = file.read(length)
        if zlib.crc32(header) != checksum:
            raise ValueError(f"load: the header of {path} is damaged; restore it from a copy")
        leaves = _leaves(path, header)
        left -= sum(leaf["bytes"] for leaf in leaves)
        if left < 0:
            raise ValueError(f"load: {path} is cut off after {size} bytes; restore it from a copy")
        if left > 0:
            raise ValueError(f"load: {path} has {left} bytes too many; restore it from a copy")
        yield file, leaves


def _leaves(path: Path, header: bytes) -> list[Saved]:
    """Return what a header says of the leaves, each of which begins where the last one ends."""
    try:
        told = json.loads(header)
        version = told["version"]
        if type(version) is not int or version < 1:
            raise ValueError(f"its format is {version!r}")
        if version > VERSION:
            raise ValueError(
                f"it has format {version}, newer than the {VERSION} that this version reads; "
                "upgrade jfoundations"
            )
        place = 0
        for leaf in told["leaves"]:
            if leaf["start"] != place or not _is_sound(leaf):
                raise ValueError(f"it says {leaf!r} of a leaf")
            place += leaf["bytes"]
    except KeyError as error:
        raise ValueError(f"load: {path} was not written by save: it lacks {error}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"load: {path} cannot be read: {error}") from None
    return told["leaves"]


def _is_sound(leaf: Saved) -> bool:
    numbers = [leaf["start"], leaf["bytes"], leaf["crc"], *leaf["shape"]]
    return (
        all(type(n) is int and n >= 0 for n in numbers)
        and isinstance(leaf["path"], str)
        and isinstance(leaf["dtype"], str)
        and (leaf["impl"] is None or (isinstance(leaf["impl"], str) and leaf["impl"] != ""))
    )


def _difference(found: list[str], names: list[str]) -> str:
    for mine, its in zip(found, names, strict=False):
        if mine != its:
            return f"where like has {its}, the file has {mine}"
    if len(found) > len(names):
        return f"the file also has {found[len(names)]}"
    return f"the file lacks {names[len(found)]}"


def _check_kind(path: Path, leaf: Saved, wanted: PyTree) -> None:
    """Raise unless a leaf in the file is what is wanted, and JAX can hold it."""
    dtype, shape, name = leaf["dtype"], tuple(leaf["shape"]), leaf["path"]
    kind, size = _kind(wanted)
    if (kind, size) != (dtype, shape) or (leaf["impl"] is None) == dtype.startswith("key<"):
        wide = {"complex64": "complex128"}.get(kind, kind.replace("32", "64"))
        wider = kind != dtype == wide
        raise ValueError(
            f"load: {name} of {path} is {dtype}{list(shape)}, but like has {kind}{list(size)}"
            + ("; enable x64 to read it" if wider else "")
        )
    if leaf["impl"] or dtype in _NAMES.values() or isinstance(wanted, np.ndarray | np.generic):
        return
    if jax.typeof(np.empty(0, dtype)).dtype.name != dtype:
        raise ValueError(
            f"load: {name} of {path} is {dtype}{list(shape)}, which JAX does not hold while x64 is "
            'off; call jax.config.update("jax_enable_x64", True), or give like a NumPy array there'
            + see("limits")
        )


def _value(path: Path, leaf: Saved, raw: bytes, wanted: PyTree) -> Any:
    try:
        if leaf["impl"]:
            return _keys(leaf, raw)
        data = _numbers(leaf, raw)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"load: {path} is damaged at {leaf['path']} ({error}); restore it from a copy"
        ) from None
    for scalar, called in _NAMES.items():
        if leaf["dtype"] == called:
            return scalar(data[()])
    if isinstance(wanted, np.ndarray | np.generic):
        return data.copy() if isinstance(wanted, np.ndarray) else data[()]
    if not data.shape and getattr(wanted, "weak_type", False):
        return jnp.asarray(data.item())  # a Python number again, as far as promotion goes
    sharding = getattr(wanted, "sharding", None)
    return jnp.asarray(data) if sharding is None else jax.device_put(data, sharding)


def _numbers(leaf: Saved, raw: bytes) -> np.ndarray:
    scalars = {_NAMES[kind]: dtype for kind, dtype in _SCALARS.items()}
    dtype = np.dtype(scalars.get(leaf["dtype"], leaf["dtype"]))
    if len(raw) != dtype.itemsize * prod(leaf["shape"]):
        raise ValueError(f"it has {len(raw)} bytes")
    if dtype == np.bool_ and raw.strip(b"\0\1"):
        raise ValueError("a bool is neither 0 nor 1")
    data = np.frombuffer(raw, dtype).reshape(leaf["shape"])
    return data if sys.byteorder == "little" else data.byteswap()


def _keys(leaf: Saved, raw: bytes) -> jax.Array:
    one = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=leaf["impl"])))
    words = np.frombuffer(raw, "<u4").reshape(*leaf["shape"], *one.shape)
    keys = jax.random.wrap_key_data(jnp.asarray(words), impl=leaf["impl"])
    if keys.dtype.name != leaf["dtype"]:
        raise ValueError(f"its keys are {keys.dtype.name}")
    return keys


def _kind(wanted: PyTree) -> tuple[str, tuple[int, ...]]:
    if type(wanted) in _NAMES or not hasattr(wanted, "dtype"):
        return _NAMES.get(type(wanted), type(wanted).__name__), ()
    return wanted.dtype.name, tuple(wanted.shape)
