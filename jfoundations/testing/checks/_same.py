"""Whether two pytrees are the same: to the bit, exactly, or to a bound that is said out loud."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ..._core.types import PyTree
from ..._core.values import is_key


def assert_same(
    a: PyTree,
    b: PyTree,
    *,
    ulp: float = 0,
    rtol: float = 0.0,
    atol: float = 0.0,
    bits: bool = False,
    what: str = "",
) -> None:
    """Assert that two pytrees have one structure, the same shapes and dtypes, and equal leaves.

    nan equals nan. PRNG keys are compared too. Weak types are not.

    Args:
        a: a pytree.
        b: another.
        ulp: how many units in the last place (of the larger) floats may differ by.
        rtol: how far they may differ relative to the larger.
        atol: how far they may differ absolutely.
        bits: compare bits: 0.0 and -0.0 differ.
        what: begins the message.

    Raises:
        AssertionError: they differ; it names the leaf and shows both.

    >>> assert_same({"x": jnp.array([1.0, jnp.nan])}, {"x": jnp.array([1.0, jnp.nan])})
    """
    __tracebackhide__ = True
    apart = difference(a, b, ulp=ulp, rtol=rtol, atol=atol, bits=bits)
    if apart is not None:
        both = (v if isinstance(v, str) else repr(v) for v in (apart.left, apart.right))
        lines = [f"{what}: " * bool(what) + f"{apart.where} differs:", *both, apart.distance]
        raise AssertionError("\n  ".join(lines).rstrip())


class Difference(NamedTuple):
    """Where two pytrees differ, what stands there in each, and how far apart that is."""

    where: str
    left: Any
    right: Any
    distance: str = ""


def difference(
    a: PyTree,
    b: PyTree,
    *,
    ulp: float = 0,
    rtol: float = 0.0,
    atol: float = 0.0,
    bits: bool = False,
) -> Difference | None:
    """Return where two pytrees differ first, or None; bounds as in `assert_same`."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(a)
    others, other_structure = jax.tree.flatten(b)
    if structure != other_structure:
        return Difference("the structure", str(structure), str(other_structure))
    for (path, x), y in zip(leaves, others, strict=True):
        where = jax.tree_util.keystr(path) or "the value"
        x, y = _concrete(x), _concrete(y)
        if (x.dtype, x.shape) != (y.dtype, y.shape):
            return Difference(where, f"{x.dtype}{list(x.shape)}", f"{y.dtype}{list(y.shape)}")
        if bits and not ulp and not rtol and not atol:
            equal = x.tobytes() == y.tobytes()
        else:
            equal = bool(np.all(_close(x, y, ulp, rtol, atol)))
        if not equal:
            return Difference(where, x, y, _distance(x, y))
    return None


def _concrete(leaf: PyTree) -> np.ndarray:
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _close(x: np.ndarray, y: np.ndarray, ulp: float, rtol: float, atol: float) -> Any:
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x == y
    wide_x, wide_y = _wide(x), _wide(y)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(wide_x), np.abs(wide_y))
        bound = ulp * _spacing(size, x.dtype) + rtol * size + atol
        # relative to infinity everything is near
        close = np.isfinite(size) & (np.abs(wide_x - wide_y) <= bound)
    return (wide_x == wide_y) | close | (np.isnan(wide_x) & np.isnan(wide_y))


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex128 if jnp.issubdtype(x.dtype, jnp.complexfloating) else np.float64)


def _spacing(size: np.ndarray, dtype: DTypeLike | None) -> np.ndarray:
    info = jnp.finfo(dtype)
    _, exponent = np.frexp(np.maximum(size, float(info.smallest_normal)))
    return np.ldexp(float(info.eps), exponent - 1)


def _distance(x: np.ndarray, y: np.ndarray) -> str:
    if not jnp.issubdtype(x.dtype, jnp.inexact) or not x.size:
        return ""
    wide_x, wide_y = _wide(x), _wide(y)
    with np.errstate(all="ignore"):
        apart = np.abs(wide_x - wide_y) / _spacing(np.maximum(np.abs(wide_x), np.abs(wide_y)), x)
    return f"at most {np.nanmax(np.where(np.isnan(apart), 0, apart)):.3g} ulp apart"
