"""What comes from outside: NumPy's arrays, numbers and lists, taken as they are or refused.

While x64 is off, JAX keeps an int64 array in 32 bits, and what does not fit wraps without a word.
Here it fits or is refused, in whatever byte order it comes.

>>> import numpy as np
>>> as_array(np.array([1, 2, 6], ">i2"), "mean", "x").tolist()
[1, 2, 6]
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .shown import see
from .types import PyTree

MASKED = (
    "a masked array, whose mask JAX does not know; give its values, x.data, and say which count by "
    "where=~x.mask, or fill it first: x.filled(np.nan)"
)
NO_NUMBERS = "{kind}, which holds no numbers; {cure}"


class _NoNumbers(Exception):
    """What was given holds no numbers: what it is, and what to give instead."""


def as_array(value: object, who: str, name: str, no_numbers: str = NO_NUMBERS) -> jax.Array:
    """Return what was given as a JAX array of the same values, up to the rounding of floats.

    Args:
        value: an array, a number, or a list of them.
        who: the function's name, for messages.
        name: what it calls the value.
        no_numbers: what is said of a value that holds none.

    Raises:
        TypeError: it is masked, ragged, or holds no numbers.
        OverflowError: it holds a number beyond the range of the dtype that JAX has for it.
    """
    if isinstance(value, jax.Array):
        return value
    return jnp.asarray(as_given(value, who, name, no_numbers))


def elements(xs: PyTree) -> Any:
    """Return the elements that a fold is given, a tree, as JAX arrays; see `as_array`."""
    return jax.tree.map(lambda leaf: as_array(leaf, "this fold", "an element"), xs)


_NO_ARRAY = "{kind}, which is no array of numbers; {cure}"


def as_block(block: PyTree, who: str) -> Any:
    """Return a block as JAX takes it without loss, or raise; see `check_block`."""
    check_block(block, who)
    return jax.tree.map(lambda leaf: as_given(leaf, who, "a leaf"), block)


def check_block(block: PyTree, who: str) -> None:
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


def as_given(value: object, who: str, name: str, no_numbers: str = NO_NUMBERS) -> Any:
    """Return what was given as a NumPy array, or whatever else JAX takes without loss.

    Python numbers stay what they are, weakly typed. Args and errors are those of `as_array`.
    """
    try:
        return _given(value, who, name)
    except _NoNumbers as error:
        kind, cure = error.args
        said = no_numbers.format(kind=kind, cure=cure, value=value)
        raise TypeError(f"{who}: {name} is {said}") from None


def _given(value: object, who: str, name: str) -> Any:
    if isinstance(value, jax.Array) or hasattr(value, "__jax_array__"):
        return value
    if isinstance(value, list | tuple):
        leaves = jax.tree.leaves(value)
        if any(hasattr(leaf, "dtype") for leaf in leaves):  # NumPy would not know JAX's dtypes
            value = jax.tree.map(lambda leaf: _given(leaf, who, name), value)
            try:
                return jnp.asarray(value)
            except (TypeError, ValueError):
                raise _ragged_or_none(value, who, name) from None
    elif isinstance(value, str | bytes):  # NumPy would take some for the name of a dtype
        raise _NoNumbers(type(value).__name__, _cure(value))
    elif isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{who}: {name} is {MASKED}")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise _ragged_or_none(value, who, name) from None
    array = _fitted(array, value, who, name)
    return value if type(value) in (bool, int, float, complex) else array


def _fitted(array: np.ndarray, value: object, who: str, name: str) -> np.ndarray:
    """Return an array in the machine's byte order and the dtype that JAX has for it."""
    ints = array.dtype.kind in "Of" and _only_ints(value)
    if ints:
        most = max(_leaves(value), key=abs)
        bits = jnp.iinfo(jnp.result_type(int)).bits
        raise _beyond(most, f"{bits} bits", who, name, f"{float(most):g}")
    dtype = array.dtype.newbyteorder("=")
    try:
        known = jax.typeof(np.empty(0, dtype)).dtype
    except (TypeError, ValueError):
        raise _none(value) from None
    with np.errstate(over="ignore", invalid="ignore"):
        narrow = array.astype(known, copy=False)
    if known.itemsize < dtype.itemsize and array.size:
        _check_range(array, narrow, who, name)
    return narrow


def _only_ints(value: object) -> bool:
    return bool(_leaves(value)) and all(isinstance(leaf, int) for leaf in _leaves(value))


def _leaves(value: object) -> list[Any]:
    """Return what lists, and lists in them, hold."""
    return jax.tree.leaves(value, is_leaf=lambda v: not isinstance(v, list | tuple))


def _check_range(array: np.ndarray, narrow: np.ndarray, who: str, name: str) -> None:
    if narrow.dtype.kind in "iu":
        ends, info = (array.min(), array.max()), np.iinfo(narrow.dtype)
        beyond = [end for end in ends if not info.min <= end <= info.max]
    else:
        parts: list[Any] = [(array, narrow)]
        if narrow.dtype.kind == "c":
            parts = [(np.real(array), np.real(narrow)), (np.imag(array), np.imag(narrow))]
        lost = [a[np.isinf(n) & np.isfinite(a)] for a, n in parts if np.isinf(n).any()]
        beyond = [number for part in lost for number in part[:1]]
    if beyond:
        raise _beyond(beyond[0], narrow.dtype.name, who, name, f"np.{narrow.dtype.name}")


def _beyond(number: object, known: str, who: str, name: str, other: str) -> OverflowError:
    cures = [] if jax.config.jax_enable_x64 else ['jax.config.update("jax_enable_x64", True)']  # type: ignore[attr-defined]
    if isinstance(number, int | np.integer):
        cures += [
            "subtract an offset on the host",
            "give floats, as by .astype(np.float32), where rounding is fine",
        ]
    else:
        cures += ["give it in units of a power of two", "write np.inf where it stands for infinity"]
    return OverflowError(
        f"{who}: {name} holds {number}, which does not fit {known}"
        + (", the most that JAX has while x64 is off" if len(cures) > 2 else "")
        + f"; {', or '.join(cures)}"
        + see("limits")
    )


def _ragged_or_none(value: object, who: str, name: str) -> Exception:
    shapes = {np.shape(_sized(v)): 0 for v in value} if isinstance(value, list | tuple) else {}
    if len(shapes) < 2 or _odd(value):
        return _none(value)
    one, other, *_ = shapes
    return TypeError(
        f"{who}: {name} is a ragged {type(value).__name__}, whose parts differ in shape: {one} and "
        f"{other}; pad them to one shape and say which count by where=, or give one part after "
        "another"
    )


def _none(value: object) -> _NoNumbers:
    kind, odd = getattr(value, "dtype", None) or type(value).__name__, _odd(value)
    said = f"in it is {odd[0]!r}, a {type(odd[0]).__name__}; " if odd else ""
    return _NoNumbers(kind, said + _cure(value))


def _odd(value: object) -> list[Any]:
    """Return what a list holds that is neither a number nor an array of them."""
    leaves = _leaves(value) if isinstance(value, list | tuple) else []
    return [v for v in leaves if np.asarray(v).dtype.kind not in "biufcV"]


def _sized(part: object) -> Any:
    return np.empty(len(part)) if isinstance(part, list | tuple) else part


def _cure(value: object) -> str:
    if isinstance(value, str | bytes | os.PathLike):
        return "of files give jf.Source.of(paths)"
    dtype = getattr(value, "dtype", np.dtype("V"))
    if dtype.names:
        return 'give one field, as in x["name"], or a dict of them'
    return {
        "M": "give the time since an origin, as in (x - x[0]) / np.timedelta64(1, 's')",
        "m": "give it in a unit, as in x / np.timedelta64(1, 's')",
        "O": "give a real or complex array; of objects that are numbers, x.astype(np.float64)",
        "f": "JAX has no such dtype; give x.astype(np.float64)",
        "c": "JAX has no such dtype; give x.astype(np.complex128)",
    }.get(dtype.kind, "give a real or complex array")
