"""A checksum of functions and what they hold: the same in every process, other for other code."""

import types
import zlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import jax
import numpy as np

_PLAIN = bool | int | float | complex | str | bytes | np.generic | type(None) | np.dtype


def fingerprint(value: Any) -> int:
    """Return the checksum of a function, or of a tree of functions, arrays and settings.

    A function is its code, its defaults and what it closes over; globals do not count.

    >>> def power(n):
    ...     return lambda x: x**n
    >>> [fingerprint(power(n)) == fingerprint(power(2)) for n in (2, 3)]
    [True, False]
    """
    return zlib.crc32("\n".join(_tokens(value, ())).encode())


def _tokens(value: Any, above: tuple[Any, ...]) -> Iterator[str]:
    yield type(value).__qualname__
    if any(value is other for other in above):
        return  # it holds itself
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, types.ModuleType | type):
        yield value.__name__
    elif isinstance(value, np.ndarray | jax.Array):
        data = np.ascontiguousarray(value)
        yield f"{data.dtype}{data.shape}{zlib.crc32(data.tobytes())}"
    else:
        for part in _parts(value):
            yield from _tokens(part, (*above, value))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, dict):
        return [part for key in sorted(value, key=repr) for part in (key, value[key])]
    if isinstance(value, types.CodeType):
        return [value.co_name, value.co_code, value.co_names, value.co_consts]
    if isinstance(value, types.FunctionType):
        cells = [_content(cell) for cell in value.__closure__ or ()]
        return [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if (inner := getattr(value, "__wrapped__", None) or getattr(value, "func", None)) is not None:
        return [inner, getattr(value, "args", ()), getattr(value, "keywords", {})]  # jit, partial
    if is_dataclass(value):
        return [getattr(value, field.name, None) for field in fields(value)]
    held = getattr(value, "__dict__", None)
    return [held] if held else [getattr(value, "__qualname__", None), getattr(value, "name", None)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # a name that has no value yet
