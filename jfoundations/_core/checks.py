"""Checks made while tracing, and their messages.

The messages speak of what the user wrote: which function, which leaf, what it was and became.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import ShapedArray, Tracer
from jax.typing import ArrayLike, DTypeLike

from .inputs import as_array, as_given
from .types import KeyPath, PyTree, Stop
from .values import describe, is_key

T = TypeVar("T")
_KINDS = (np.bool_, np.integer, np.floating, np.complexfloating)


def tracing() -> bool:
    """Tell whether a `jit`, `scan` or the like is being traced here."""
    return isinstance(jnp.zeros(()), Tracer)


def nearest(word: object, words: Iterable[str], least: float = 0.6) -> str:
    """Return '; did you mean X?' for the nearest of the words, or nothing."""
    close = difflib.get_close_matches(str(word), list(words), n=1, cutoff=least)
    return f"; did you mean {close[0]}?" if close else ""


_OTHERS = {"average": "mean", "percentile": "quantile"}  # as they are called elsewhere


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the public name most like one that there is not, or nothing: `var` of `variance`."""
    if name.startswith("_"):
        return ""  # Python and its tools ask for such names, and are content with none
    known, name = list(known), _OTHERS.get(name, name).removeprefix("nan")
    begins = [k for k in known if len(k) > 2 and name.startswith(k)]
    close = [max(begins, key=len)] if begins else difflib.get_close_matches(name, known, n=1)
    return close[0] if close else ""


def no_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a name that a module does not have, with the nearest that it has."""
    close = nearest_name(name, known)
    said = f"; did you mean {close}?" if close else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{said}")


def suggest_nearest(module: dict[str, Any]) -> None:
    """Let a module, given its globals, say the nearest name where it does not have one.

    Not by a `__getattr__` that is written there, for which type checkers would take any name.
    """

    def missing(name: str) -> NoReturn:
        raise no_attribute(module["__name__"], name, module["__all__"])

    module["__getattr__"] = missing


def as_arrays(tree: T, who: str) -> T:
    """Return the tree with every leaf a JAX type, or say which leaf is not.

    Python scalars become weakly typed, as everywhere in JAX.
    """
    if tree is None:
        raise TypeError(
            f"{who}: the state is None, which holds nothing; give what the step is to start from, "
            "or () if it needs nothing"
        )

    no_array = (
        "{value!r} ({value.__class__.__name__}), which is no array; keep functions, strings and "
        "other objects out of the state: in a closure, or as a static field of a registered "
        "dataclass"
    )

    def convert(path: KeyPath, leaf: PyTree) -> Array:
        return as_array(leaf, who, f"the leaf {keystr(path)}", no_array)

    return jax.tree.map_with_path(convert, tree)


def check_key(key: ArrayLike | None, who: str, *, many: bool = False) -> None:
    """Raise unless a key is None or a PRNG key, typed or of old; `many` lets arrays of them by."""
    if key is None:
        return
    shape, typed = np.shape(key), is_key(key)
    if not typed and (getattr(key, "dtype", None) != np.uint32 or not shape):
        given = describe(key) if hasattr(key, "dtype") else repr(key)
        raise TypeError(f"{who}: key is {given}; give a PRNG key, as jax.random.key(0) makes one")
    if not many and len(shape) != (0 if typed else 1):
        raise ValueError(f"{who}: key has shape {shape}; one PRNG key is needed, as keys[0]")


def keystr(path: KeyPath, root: str = "state") -> str:
    """Return a leaf's path as the user would write it, from the root's name on."""
    return root + jax.tree_util.keystr(path)


def check_like(new: PyTree, old: PyTree, who: str, root: str = "state") -> None:
    """Raise unless `new` has the structure, shapes and dtypes of `old`, called `root`.

    A weakly typed leaf (from a Python scalar) may still be promoted: the loop settles that.
    """
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise TypeError(_structure_message(new, old, who, root))
    leaves = jax.tree_util.tree_leaves_with_path(old)
    for (path, before), after in zip(leaves, jax.tree.leaves(new), strict=True):
        if isinstance(after, np.ndarray | np.generic):  # which JAX narrows without a look
            as_given(after, who, keystr(path, root))
        try:
            b, a = jax.typeof(before), jax.typeof(after)
        except TypeError:
            raise TypeError(
                f"{who}: {keystr(path, root)} became {after!r} ({type(after).__name__}), which is "
                "no array; return arrays in the same places"
            ) from None
        if a.shape != b.shape or not (a.dtype == b.dtype or _promotes(b, a)):
            raise TypeError(
                f"{who}: {keystr(path, root)} was {describe(before)} and became {describe(after)}; "
                f"{_cure(a, b)}"
            )


def _promotes(old: ShapedArray, new: ShapedArray) -> bool:
    # Not `promote_types`: it knows no weak types, and strict promotion refuses the question.
    return old.weak_type and _kind(old.dtype) <= _kind(new.dtype)


def _kind(dtype: DTypeLike) -> float:
    return next((k for k, kind in enumerate(_KINDS) if jnp.issubdtype(dtype, kind)), np.nan)


def _cure(after: ShapedArray, before: ShapedArray) -> str:
    if after.shape != before.shape:
        return "every step must keep the shapes it is given"
    return f"cast it back with .astype({str(before.dtype)!r}), or start from the wider dtype"


def _structure_message(new: PyTree, old: PyTree, who: str, root: str) -> str:
    before = {keystr(path, root) for path, _ in jax.tree_util.tree_leaves_with_path(old)}
    after = {keystr(path, root) for path, _ in jax.tree_util.tree_leaves_with_path(new)}
    parts = [f"{who}: the structure of the {root} changed"]
    if lost := sorted(before - after):
        parts.append(f"it lost {', '.join(lost)}")
    if gained := sorted(after - before):
        parts.append(f"it gained {', '.join(gained)}")
    if not lost and not gained:
        parts.append(f"from {jax.tree.structure(old)} to {jax.tree.structure(new)}")
    return "; ".join(parts) + "; return the same containers with the same keys, None included"


def check_stop(
    stop: object, who: str, never: str = "return (state, False) if it never stops"
) -> Stop:
    """Return a stop as Python False or a bool scalar, or say what is wrong with it.

    Args:
        stop: what a user's function says.
        who: which function that is.
        never: what to return where no bool was.
    """
    if stop is False or (isinstance(stop, np.bool_) and not stop):
        return False
    try:
        aval = jax.typeof(stop)
    except TypeError:
        raise TypeError(
            f"{who}: stop is {stop!r} ({type(stop).__name__}), a bool is needed; {never}"
        ) from None
    if aval.shape != ():
        raise TypeError(
            f"{who}: stop has shape {aval.shape}, a scalar is needed; "
            "reduce it with jnp.any or jnp.all"
        )
    if aval.dtype != np.bool_:
        raise TypeError(
            f"{who}: stop has dtype {aval.dtype}, a bool is needed; compare it with something"
        )
    return jnp.asarray(stop)


def check_count(value: object, name: str, who: str, least: int = 0) -> int:
    """Return a Python int of at least `least`, or say what is wrong with it."""
    if isinstance(value, Tracer):
        stop = ", or stop where you want with stop_when(lambda state, step: step + 1 >= n)"
        raise TypeError(
            f"{who}: {name} is traced, a Python int is needed; mark it static under jit"
            f"{stop if name == 'max_steps' else ''}"
        )
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{who}: {name} is {value!r}, a Python int is needed")
    if not least <= value < 2**31:
        raise ValueError(f"{who}: {name} is {value}; it must lie in {least} ... 2**31 - 1")
    return int(value)


def count_leaf(value: ArrayLike, name: str, who: str, least: int) -> Any:
    """Return a count as an int32, a leaf of its callback; arrays (perhaps traced) as they are.

    Raises:
        TypeError, ValueError: it is no integer of at least `least`, as far as that is known.
    """
    if isinstance(value, np.ndarray | np.generic) and not value.ndim:
        value = value.item()
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return np.int32(check_count(value, name, who, least))
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{who}: {name} is {describe(value)}, integers are needed")
    if isinstance(value, np.ndarray | jax.Array) and not isinstance(value, Tracer) and value.size:
        known = np.asarray(value)  # under jit too, where JAX's own minimum would be traced
        for bound in (known.min(), known.max()):
            check_count(int(bound), name, who, least)
    return value


def decay_of(value: ArrayLike, dtype: DTypeLike) -> jax.Array:
    """Return what a step leaves of earlier weights: the decay, nan where it is not in [0, 1)."""
    decay = jnp.asarray(value, dtype)
    return jnp.where((decay >= 0) & (decay < 1), decay, jnp.nan)


def check_function(value: object, name: str, who: str, form: str) -> None:
    """Raise unless an argument is callable; `form` is a function one might have meant."""
    if not callable(value):
        raise TypeError(f"{who}: {name} is {value!r}, which is not callable; give {form}")
