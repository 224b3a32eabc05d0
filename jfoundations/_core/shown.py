"""What reprs say of values, the numbers that were set in them; and how messages end.

>>> import jfoundations as jf
>>> jf.folds.quantile([0.1, 0.9], accuracy=0.02)
Fold(quantile, accuracy=0.02, q=[0.1, 0.9])
>>> jf.callbacks.early_stopping(abs, 3, mode="max")
Callback(early_stopping: after_step, mode='max', patience=3)
"""

import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from .values import DYNAMIC, Short, Structural, is_pytree, partial

FEW = 4  # numbers of an array that are shown, not described


def settings_of(*values: object, zeros: bool = False) -> str:
    """Return the numbers set in partials and in values made of them: `, patience=3`.

    A number has the name of the parameter it is given for, of its field, or of its key in a dict.
    Of a few numbers all are shown, of more the dtype and shape; zeros only if asked for. Where two
    differ that have one name, neither is shown.
    """
    found: dict[str, str] = {}
    for value in values:
        for name, said in _settings("", value, zeros):
            found[name] = said if found.get(name, said) == said else "…"
    return "".join(f", {name}={said}" for name, said in found.items())


def _settings(name: str, value: Any, zeros: bool) -> Iterator[tuple[str, str]]:
    """Yield the settings in a value, which itself has a name, each with what is said of it."""
    if name == "sign" and value == -1:  # what becomes of `mode`
        yield "mode", "'max'"
    elif isinstance(value, (*DYNAMIC, int)) and not isinstance(value, bool) and name != "sign":
        said = number(value, zeros)
        if said and name.isidentifier():
            yield name, said
    elif is_dataclass(value) and not isinstance(value, type) and not is_pytree(value):
        for field in fields(value):  # of a rule, that is no value of its own
            held = getattr(value, field.name)
            if field.repr and held != field.default:
                yield field.name, held.__name__ if isinstance(held, type) else repr(held)
    else:
        for inner, held in _parts(value):
            yield from _settings(inner, held, zeros)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a value is made of, with its names."""
    if type(value) is partial:
        try:
            names = list(inspect.signature(value.func).parameters)
        except (TypeError, ValueError):  # some built-in functions have none
            names = []
        yield from zip(names, value.args, strict=False)
        yield from value.keywords.items()
    elif isinstance(value, Structural):
        for name, held in vars(value).items():
            if name[0] != "_":
                yield name, held
    elif type(value) is dict:
        yield from ((str(key), held) for key, held in value.items())
    elif type(value) is tuple:
        yield from (("", held) for held in value)


def number(value: Any, zeros: bool) -> str:
    """Return a few numbers as they are, of more the dtype and shape."""
    try:
        if 1 < np.size(value) <= FEW:
            return "[" + ", ".join(f"{x:.6g}" for x in np.ravel(value).tolist()) + "]"
        one = value.item() if hasattr(value, "item") else value
        if isinstance(one, bool):
            return ""
        return f"{one:.6g}" if one or zeros else ""
    except Exception:  # traced, deleted, many, a key: a repr must not raise
        return repr(Short(value))


def see(page: str) -> str:
    """Return the end of a message about a choice: the page of the guide that tells of it."""
    return f"; see jfoundations.guide.{page}"
