"""Many examples of one shape at once: their numbers, what rounding is relative to, what is exact.

A law of arrays is said once, of lanes: `f(-x)`, and `-f(x)`. Numbers are held wider than f's dtype;
what f is given is rounded to its dtype first, and a lane where that changed nothing is exact. To
each number belongs a size, what a rounding of it is relative to: of an input its magnitude, of an
answer `|f| + |f′|·size`, where the second is seen by moving the inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ..._core.types import Function, PyTree
from ._check import NotApplicable

LIMIT = 64  # units in the last place that rounding alone may add up to
# Units in the last place by which inputs are moved, to see how answers follow: far, so that what
# follows is more than a function's own rounding, and near, where it jumps.
FAR_STEP, NEAR_STEP = 512, 16
# Rows of signs, eight an array: of any two of eight neighbours half move together and half apart.
SIGNS = np.array([[1 - 2 * ((k & i).bit_count() % 2) for i in range(16)] for k in range(16)])


@dataclass(frozen=True, eq=False)
class Lanes:
    """Numbers of many examples, along the leading axis.

    Attributes:
        value: the numbers, in long double or integers as floats.
        size: what a rounding of each is relative to.
        exact: of each lane, whether nothing outside of f was rounded.
        dtype: what they are rounded to, if they are an answer or an input.
    """

    value: Any
    size: Any
    exact: Any
    dtype: Any

    @classmethod
    def of(cls, value: np.ndarray, dtype: DTypeLike | None = None) -> "Lanes":
        """Return numbers that are exact."""
        wide = widen(value)
        return cls(wide, np.abs(wide), np.ones(len(wide), bool), np.dtype(dtype or value.dtype))

    def __add__(self, other: "Lanes") -> "Lanes":
        a, b = aligned(self, other)
        exact = self.exact & other.exact
        return Lanes(a.value + b.value, a.size + b.size, exact, self.dtype)

    def __neg__(self) -> "Lanes":
        return Lanes(-self.value, self.size, self.exact, self.dtype)

    def __mul__(self, factor: "Lanes") -> "Lanes":
        a, b = aligned(self, factor)
        exact = self.exact & factor.exact
        return Lanes(a.value * b.value, a.size * np.abs(b.value), exact, self.dtype)

    def take(self, order: np.ndarray) -> "Lanes":
        """Return the elements of each lane in another order along its first axis."""
        if self.value.ndim < 2:
            raise NotApplicable("there is one element")
        at = order.reshape(order.shape + (1,) * (self.value.ndim - 2))
        return self._each(lambda a: np.take_along_axis(a, at, axis=1))

    def choose(self, mask: np.ndarray, other: "Lanes") -> "Lanes":
        """Return these numbers where a mask holds, and another's elsewhere."""
        value = np.where(mask, self.value, other.value)
        exact = self.exact & other.exact
        return Lanes(value, np.where(mask, self.size, other.size), exact, self.dtype)

    def _each(self, g: Callable[[Any], Any]) -> "Lanes":
        return Lanes(g(self.value), g(self.size), self.exact, self.dtype)

    def moved(self, rng: np.random.Generator, signs: np.ndarray, step: float) -> "Lanes":
        """Return numbers moved by a step, relative to their sizes, up or down."""
        inner = self.value.shape[1:]
        row = np.resize(signs, int(np.prod(inner))).reshape(inner)
        sign = row * (rng.integers(0, 2, self.value.shape) * 2 - 1)
        if jnp.issubdtype(self.dtype, jnp.inexact):
            sign = sign * (step * self.size)
        if jnp.issubdtype(self.dtype, jnp.complexfloating):
            sign = sign * rng.choice([1, 1j], sign.shape)
        return replace(self, value=self.value + sign)


def aligned(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """Return two with axes of length 1 put behind the one with fewer, for one number a lane."""
    most = max(a.value.ndim, b.value.ndim)
    return tuple(  # type: ignore[return-value]
        one._each(lambda v: v.reshape(v.shape + (1,) * (most - v.ndim))) for one in (a, b)
    )


def widen(value: np.ndarray) -> np.ndarray:
    """Return numbers as long doubles, complex ones as two."""
    return value.astype(np.clongdouble if np.iscomplexobj(value) else np.longdouble)


def narrow(wide: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers rounded to a dtype, once; beyond its range they are infinite or clipped."""
    with np.errstate(all="ignore"):
        if dtype.kind == "b":
            return wide != 0
        if jnp.issubdtype(dtype, jnp.integer):
            info = np.iinfo(dtype)
            return np.clip(np.nan_to_num(np.real(wide)), info.min, info.max).astype(dtype)
        if dtype.itemsize >= 4:
            return wide.astype(dtype)
        return wide.astype(np.float32).astype(dtype)  # NumPy knows no way from long double


class Batched:
    """A function of arrays as a function of `Lanes`: one program a shape and dtype.

    A function that cannot be traced is called lane by lane.

    Args:
        f: the function, of arrays to an array or a pytree of them.
        seed: of the directions in which inputs are moved.
    """

    def __init__(self, f: Function, seed: int = 0):
        self.f, self.seed = f, seed
        self.run: Function = jax.jit(jax.vmap(f))
        self.step = 0  # by how many units inputs are moved, for sizes
        self.slow = False

    def trace(self, *inputs: np.ndarray) -> None:
        """Find out whether the function can be traced; if not, take it lane by lane."""
        try:
            jax.eval_shape(self.run, *inputs)
        except Exception:  # whatever a function raises that looks at its numbers
            self.run, self.slow = self._one_by_one, True

    def _one_by_one(self, *inputs: np.ndarray) -> PyTree:
        answers = [self.f(*map(jnp.asarray, lane)) for lane in zip(*inputs, strict=True)]
        # in JAX's dtypes: what NumPy answers may be in a wider one than it was computed in
        return jax.tree.map(_stacked, *answers)

    def __call__(self, *inputs: Lanes) -> Lanes:
        """Return the answers, with their sizes if inputs are moved."""
        rounded, exact = [], np.ones(len(inputs[0].value), bool)
        for one in inputs:
            given = narrow(one.value, one.dtype)
            same = (widen(given) == one.value) | np.isnan(one.value)
            exact = exact & one.exact & same.reshape(len(same), -1).all(axis=1)
            rounded.append(given)
        value, dtype = self.values(rounded)
        size = np.abs(value)
        if self.step and jnp.issubdtype(dtype, jnp.inexact):
            step = min(self.step * unit(dtype), 0.125)
            most = np.zeros_like(size)
            for signs in SIGNS[: 8 * len(inputs)]:
                rng = np.random.default_rng(self.seed)
                parts = zip(inputs, (signs[:8], signs[8:]), strict=False)
                moved = [one.moved(rng, part, step) for one, part in parts]
                there, _ = self.values([narrow(one.value, one.dtype) for one in moved])
                with np.errstate(all="ignore"):
                    gone = np.abs(there - value) / step
                if not any(unit(one.dtype) for one in inputs):
                    # whole numbers move by 1, and that stands for a move by their size
                    gone = gone * step * _largest(inputs, value.ndim)
                # beside a pole answers may be no numbers: nothing is known of their rounding
                most = np.fmax(most, np.where(np.isfinite(gone), gone, np.inf))
            size = np.where(np.isfinite(value), size + most, np.abs(value))
        return Lanes(value, size, exact, dtype)

    def values(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.dtype]:
        """Return the answers, of a pytree all its leaves in a row, and the dtype."""
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self.run(*inputs))]
        dtype = coarsest([leaf.dtype for leaf in leaves])
        wide = [widen(as_float(leaf)) for leaf in leaves]
        if len(wide) == 1:
            return wide[0], dtype
        # an axis more, since several arrays together have no shape of x
        return np.concatenate([w.reshape(len(w), 1, -1) for w in wide], axis=-1), dtype


def _stacked(*leaves: Any) -> np.ndarray:
    arrays = list(map(jnp.asarray, leaves))
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("the shape of its answer depends on the numbers")
    return np.stack(arrays)


def _largest(inputs: Sequence[Lanes], axes: int) -> np.ndarray:
    most = np.max([np.abs(x.value).reshape(len(x.value), -1).max(axis=1) for x in inputs], axis=0)
    return most.reshape((-1,) + (1,) * (axes - 1))


def as_float(leaf: Any) -> np.ndarray:
    """Return numbers in a dtype that NumPy knows: what is narrower than 32 bits as float32."""
    found = np.asarray(leaf)
    small = found.dtype.itemsize < 4 and jnp.issubdtype(found.dtype, jnp.inexact)
    return found.astype(np.float32) if small else found


def sized(f: Batched, *inputs: Lanes) -> Lanes:
    """Return answers with their sizes."""
    f.step = FAR_STEP
    try:
        return f(*inputs)
    finally:
        f.step = 0


def coarsest(dtypes: Sequence[np.dtype]) -> np.dtype:
    """Return the dtype of those with the largest unit in the last place."""
    return max(dtypes, key=unit)


def unit(dtype: np.dtype) -> float:
    """Return the distance from 1 to the next number; 0 of integers."""
    return float(jnp.finfo(dtype).eps) if jnp.issubdtype(dtype, jnp.inexact) else 0.0


def limit(dtype: np.dtype) -> float:
    """Return how many units pass for rounding: fewer of narrow dtypes, where 64 are half a number.

    >>> limit(np.dtype("float32")), limit(np.dtype(jnp.bfloat16))
    (64, 2.0)
    """
    return min(LIMIT, max(2.0, 2.0**-6 / unit(dtype))) if unit(dtype) else LIMIT


def apart(left: Lanes, right: Lanes) -> tuple[Any, Any, Any]:
    """Return how far each lane is apart, whether it is so exactly, and whether it says anything.

    How far is in units in the last place of the larger size. A lane on whose two sides there is no
    finite number, or one near the ends of the range, says nothing; a nan beside one does.
    """
    a, b = aligned(left, right)
    shape = np.broadcast_shapes(a.value.shape, b.value.shape)
    x, y = (np.broadcast_to(one.value, shape) for one in (a, b))
    dtype = coarsest([left.dtype, right.dtype])
    rounded = (left.dtype, right.dtype)
    with np.errstate(all="ignore"):
        nan = np.isnan(x) & np.isnan(y)
        same = (_round(x, rounded[0]) == _round(y, rounded[1])) | nan
        size = np.maximum(np.broadcast_to(a.size, shape), np.broadcast_to(b.size, shape))
        gap = np.abs(x - y)
        units = np.where(same, 0, gap / (max(unit(dtype), np.finfo(float).tiny) * size))
        units = np.where(np.isnan(units), np.inf, units)
        silent = ~np.isfinite(x) & ~np.isfinite(y)
        silent |= np.isinf(size) & ~(np.isnan(x) ^ np.isnan(y))
        if unit(dtype):
            info = jnp.finfo(dtype)
            high, low = float(info.max) / 4, float(info.smallest_normal) / float(info.eps)
            large = np.fmax(np.abs(x), np.abs(y)) > high
            small = (np.fmax(np.abs(x), np.abs(y)) < low) & (gap > 0)
            silent |= (large | small) & ~(np.isnan(x) | np.isnan(y))
    flat = (len(x), -1)
    units = np.where(silent, 0, units).astype(float).reshape(flat).max(axis=1, initial=0)
    equal = (same | silent).reshape(flat).all(axis=1)
    return units, equal, ~silent.reshape(flat).all(axis=1)


def _round(wide: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return widen(narrow(wide, dtype)) if dtype.itemsize >= 4 else wide
