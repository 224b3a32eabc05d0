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

import json
import os
import secrets
import sys
import zlib
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._tree import keystr

T = TypeVar("T")
MAGIC, VERSION = b"jfoundations pytree\n", 1
_SCALARS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}
_NAMES = {kind: f"Python {kind.__name__}" for kind in _SCALARS}


def save(path: str | os.PathLike[str], tree: Any) -> None:
    """Write a pytree of arrays, numbers and keys to one file.

    The file appears whole under its name, or, if anything fails, not at all: what was there before
    stays. Sharded arrays are gathered; static fields are not written, since `load` takes them from
    its `like`.

    Args:
        path: where; the folder must exist.
        tree: a pytree whose leaves are arrays of any JAX or NumPy dtype, PRNG keys, or Python
            numbers.

    Raises:
        TypeError: a leaf is none of these, or is being traced.
        OSError: the file cannot be written.
    """
    leaves, blobs, place = [], [], 0
    for route, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = keystr(route, "tree")
        data, dtype, shape = _data(leaf, name)
        blob = np.ascontiguousarray(data if sys.byteorder == "little" else data.byteswap())
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
    _replace(Path(path), [front, header, *blobs])


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
    path = Path(path)
    content = path.read_bytes()
    leaves, body = _header(path, content)
    routes, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [keystr(route, "tree") for route, _ in routes]
    found = [leaf["path"] for leaf in leaves]
    if names != found:
        raise ValueError(
            f"load: {path} holds another structure than like; {_difference(found, names)}"
        )
    values = []
    for leaf, (_, wanted) in zip(leaves, routes, strict=True):
        values.append(_value(path, leaf, _checked(path, leaf, body), wanted))
    return jax.tree.unflatten(structure, values)


def first_leaf(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of the first leaf of a file, checked, whatever else the file holds."""
    leaves, body = _header(Path(path), Path(path).read_bytes())
    return bytes(_checked(Path(path), leaves[0], body)) if leaves else b""


def _checked(path: Path, leaf: dict[str, Any], body: memoryview) -> memoryview:
    raw = body[leaf["start"] : leaf["start"] + leaf["bytes"]]
    if zlib.crc32(raw) != leaf["crc"]:
        raise ValueError(f"load: {path} is damaged at {leaf['path']}; restore it from a copy")
    return raw


def _implementation(leaf: Any) -> str | None:
    if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return None
    return str(jax.random.key_impl(leaf))


def _data(leaf: Any, name: str) -> tuple[np.ndarray, str, tuple[int, ...]]:
    if isinstance(leaf, Tracer):
        raise TypeError(f"save: {name} is being traced; return it from jit and save it there")
    if _implementation(leaf):
        return np.asarray(jax.random.key_data(leaf)), leaf.dtype.name, leaf.shape
    if type(leaf) in _SCALARS:
        try:
            return np.asarray(leaf, _SCALARS[type(leaf)]), _NAMES[type(leaf)], ()
        except OverflowError:
            raise TypeError(f"save: {name} is {leaf}, which 64 bits do not hold") from None
    data = np.asarray(leaf) if isinstance(leaf, jax.Array | np.ndarray | np.generic) else None
    if data is None or data.dtype.kind in "OSUMm" or data.dtype.names:
        kind = type(leaf).__name__ if data is None else f"an array of {data.dtype}"
        raise TypeError(
            f"save: {name} is {kind}, which is not written; keep to arrays of numbers, PRNG keys "
            "and Python numbers, and let other things be static fields"
        )
    return data, data.dtype.name, data.shape


def _replace(path: Path, parts: list[Any]) -> None:
    # A file beside it that takes its name when all is on the disk: readers see the old or the new.
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _header(path: Path, content: bytes) -> tuple[list[dict[str, Any]], memoryview]:
    if content[: len(MAGIC)] != MAGIC[: len(content)] or not content:
        raise ValueError(f"load: {path} was not written by jfoundations.save")
    cut = ValueError(f"load: {path} is cut off after {len(content)} bytes; restore it from a copy")
    front = len(MAGIC) + 16
    if len(content) < front:
        raise cut
    length, checksum = np.frombuffer(content[len(MAGIC) : front], "<u8").tolist()
    header = content[front : front + length]
    if len(header) < length:
        raise cut
    if zlib.crc32(header) != checksum:
        raise ValueError(f"load: the header of {path} is damaged; restore it from a copy")
    told = json.loads(header)
    if told["version"] > VERSION:
        raise ValueError(
            f"load: {path} has format {told['version']}, newer than the {VERSION} that this "
            "version reads; upgrade jfoundations"
        )
    body = memoryview(content)[front + length :]
    size = sum(leaf["bytes"] for leaf in told["leaves"])
    if len(body) < size:
        raise cut
    if len(body) > size:
        raise ValueError(
            f"load: {path} has {len(body) - size} bytes too many; restore it from a copy"
        )
    return told["leaves"], body


def _difference(found: list[str], names: list[str]) -> str:
    for mine, its in zip(found, names, strict=False):
        if mine != its:
            return f"where like has {its}, the file has {mine}"
    if len(found) > len(names):
        return f"the file also has {found[len(names)]}"
    return f"the file lacks {names[len(found)]}"


def _value(path: Path, leaf: dict[str, Any], raw: Any, wanted: Any) -> Any:
    dtype, shape, name = leaf["dtype"], tuple(leaf["shape"]), leaf["path"]
    kind, size = _kind(wanted)
    if (kind, size) != (dtype, shape):
        wider = kind.replace("32", "64") == dtype
        raise ValueError(
            f"load: {name} of {path} is {dtype}{list(shape)}, but like has {kind}{list(size)}"
            + ("; enable x64 to read it" if wider else "")
        )
    if leaf["impl"]:
        words = np.frombuffer(raw, "<u4").reshape(*shape, -1)
        return jax.random.wrap_key_data(jnp.asarray(words), impl=leaf["impl"])
    for scalar, called in _NAMES.items():
        if dtype == called:
            return scalar(np.frombuffer(raw, _SCALARS[scalar])[0])
    data = np.frombuffer(raw, jnp.dtype(dtype)).reshape(shape)
    if sys.byteorder != "little":
        data = data.byteswap()
    if isinstance(wanted, np.ndarray | np.generic):
        return data.copy() if isinstance(wanted, np.ndarray) else data[()]
    if not shape and getattr(wanted, "weak_type", False):
        return jnp.asarray(data.item())  # a Python number again, as far as promotion goes
    sharding = getattr(wanted, "sharding", None)
    return jnp.asarray(data) if sharding is None else jax.device_put(data, sharding)


def _kind(wanted: Any) -> tuple[str, tuple[int, ...]]:
    if type(wanted) in _NAMES or not hasattr(wanted, "dtype"):
        return _NAMES.get(type(wanted), type(wanted).__name__), ()
    return wanted.dtype.name, tuple(wanted.shape)
