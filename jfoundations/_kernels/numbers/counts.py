"""Counts in two 32-bit words: exact to 2⁶⁴, where float32 stops at 2²⁴ and int32 wraps at 2³¹.

>>> import jax.numpy as jnp
>>> from jfoundations.stats import Count
>>> total = Count.of(2**31) + Count.of(2**31) + Count.of(5)
>>> int(total), float(total.astype(jnp.float32))
(4294967301, 4294967296.0)

Where JAX has int64 the answer of a count is an array of these. Where x64 is off it is a `Count`, at
any size, since a type cannot depend on values inside jit:

>>> import jfoundations as jf
>>> n = jf.fold(jf.folds.count(), jnp.zeros(5))
>>> int(n), n == 5, n + 2**40, n / 2
(5, Array(True, dtype=bool), 1099511627781, Array(2.5, dtype=float32))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import DTypeLike

from ..._core.pytrees import pytree


def _floating(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a method that works on rounded counts."""

    def method(self: Count, other: object) -> Any:
        return op(*_floats(self, other)) if _is_number(other) else NotImplemented

    return method


def _comparing(op: Any, of: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a comparison, exact with counts and ints, of rounded counts with other numbers."""

    def method(self: Count, other: object) -> Any:
        if isinstance(other := _whole(other), Count):
            return of(*_ordered(self, other))
        return op(*_floats(self, other)) if _is_number(other) else NotImplemented

    return method


def _refused(self: Any, other: object) -> Any:
    raise TypeError(
        "Count: // and % of a count in two words are not defined, and of rounded floats they would "
        "be wrong; take int(count) on the host, or enable x64"
    )


def _is_number(value: Any) -> bool:
    kinds = (int, float, complex, np.ndarray, np.generic, jax.Array, Count)
    return isinstance(value, kinds)


@pytree
class Count:
    """Non-negative integers below 2⁶⁴ as `high * 2**32 + low`, both uint32: a pytree.

    Exact are `int(n)`, `np.asarray(n)` (uint64), `n.tolist()`, printing, comparisons with counts
    and integers, and `+` of counts and non-negative Python ints. All other arithmetic, and jnp's
    functions, take and give floats: `n - m` is the exact difference, rounded once, `n / m` the
    quotient of the rounded ones. `//` and `%` would be wrong of rounded numbers and are refused.
    """

    high: jax.Array
    low: jax.Array

    __array_ufunc__: ClassVar[Any] = None  # else NumPy would take `array + count` apart
    __hash__: ClassVar[Any] = None

    @classmethod
    def of(cls, n: int, shape: tuple[int, ...] = ()) -> Count:
        """Return a Python int below 2⁶⁴ as an array of counts."""
        high, low = divmod(n, 2**32)
        return cls(jnp.full(shape, high, np.uint32), jnp.full(shape, low, np.uint32))

    @classmethod
    def from_array(cls, n: jax.Array) -> Count:
        """Return a non-negative int32 array as counts."""
        low = n.astype(np.uint32)
        return cls(jnp.zeros_like(low), low)

    def __add__(self, other: object) -> Any:
        if not isinstance(other := _whole(other), Count):
            return _floating(operator.add)(self, other)
        low = self.low + other.low
        carry = (low < self.low).astype(np.uint32)
        return Count(self.high + other.high + carry, low)

    __radd__: ClassVar[Any] = __add__

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Count:
        """Add up along axes, by default all, exactly."""
        zero = np.uint32(0)
        given = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(a % self.ndim for a in given)

        def add(a: Any, b: Any) -> Any:
            total = Count(*a) + Count(*b)
            return total.high, total.low

        return Count(*lax.reduce((self.high, self.low), (zero, zero), add, axes))

    def astype(self, dtype: DTypeLike) -> jax.Array:
        """Return the counts rounded to a floating dtype."""
        return self.high.astype(dtype) * 2.0**32 + self.low.astype(dtype)

    def positive(self) -> jax.Array:
        """Tell whether anything was counted."""
        return (self.high | self.low) != 0

    def answer(self) -> jax.Array | Count:
        """Return an int64 array where there are any, else the count itself."""
        if jnp.result_type(int) == np.int64:
            return (self.high.astype(np.int64) << 32) | self.low.astype(np.int64)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array of counts."""
        return self.low.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of `np.asarray(n)`."""
        return np.dtype(np.uint64)

    @property
    def ndim(self) -> int:
        """How many dimensions that has."""
        return self.low.ndim

    @property
    def size(self) -> int:
        """How many counts there are."""
        return self.low.size

    def __len__(self) -> int:
        return len(self.low)

    def __iter__(self) -> Iterator[Count]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, key: Any) -> Count:
        return Count(self.high[key], self.low[key])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Any:
        exact = np.asarray(np.asarray(self.high, np.uint64) << 32 | np.asarray(self.low))
        return exact if dtype is None else exact.astype(dtype)

    def __jax_array__(self) -> jax.Array:
        return self.astype(jnp.result_type(float))

    def __int__(self) -> int:
        return (int(self.high) << 32) | int(self.low)

    __index__: ClassVar[Any] = __int__

    def __float__(self) -> float:
        return float(int(self))

    def __bool__(self) -> bool:
        return bool(self.positive())

    def item(self) -> int:
        """Return the one count as an int."""
        return np.asarray(self).item()

    def tolist(self) -> Any:
        """Return the counts as ints, in lists of the array's shape."""
        return np.asarray(self).tolist()

    def __repr__(self) -> str:
        if isinstance(self.low, np.ndarray | jax.Array) and not isinstance(self.low, Tracer):
            return np.array2string(np.asarray(self), separator=", ")
        return f"Count(high={self.high}, low={self.low})"

    def __format__(self, form: str) -> str:
        return format(int(self), form) if form else str(self)

    def __sub__(self, other: object) -> Any:
        return _difference(self, other)

    def __rsub__(self, other: object) -> Any:
        found = _difference(self, other)
        return found if found is NotImplemented else -found

    def __pos__(self) -> Count:
        return self

    __abs__: ClassVar[Any] = __pos__

    def __neg__(self) -> jax.Array:
        return -self.__jax_array__()

    __mul__: ClassVar[Any] = _floating(operator.mul)
    __rmul__: ClassVar[Any] = _floating(lambda a, b: b * a)
    __truediv__: ClassVar[Any] = _floating(operator.truediv)
    __rtruediv__: ClassVar[Any] = _floating(lambda a, b: b / a)
    __pow__: ClassVar[Any] = _floating(operator.pow)
    __rpow__: ClassVar[Any] = _floating(lambda a, b: b**a)
    __floordiv__: ClassVar[Any] = _refused
    __rfloordiv__: ClassVar[Any] = _refused
    __mod__: ClassVar[Any] = _refused
    __rmod__: ClassVar[Any] = _refused

    __eq__: ClassVar[Any] = _comparing(operator.eq, lambda less, equal: equal)
    __ne__: ClassVar[Any] = _comparing(operator.ne, lambda less, equal: ~equal)
    __lt__: ClassVar[Any] = _comparing(operator.lt, lambda less, equal: less)
    __le__: ClassVar[Any] = _comparing(operator.le, lambda less, equal: less | equal)
    __gt__: ClassVar[Any] = _comparing(operator.gt, lambda less, equal: ~(less | equal))
    __ge__: ClassVar[Any] = _comparing(operator.ge, lambda less, equal: ~less)


def _difference(count: Count, other: object) -> Any:
    if not isinstance(other := _whole(other), Count):
        return _floating(operator.sub)(count, other)
    less, _ = _ordered(count, other)
    low = jnp.where(less, other.low - count.low, count.low - other.low)
    high = jnp.where(less, other.high - count.high, count.high - other.high)
    borrow = jnp.where(less, other.low < count.low, count.low < other.low)
    size = Count(high - borrow.astype(np.uint32), low).__jax_array__()
    return jnp.where(less, -size, size)


def _ordered(a: Count, b: Count) -> tuple[jax.Array, jax.Array]:
    """Return where a is less than b, and where equal."""
    less = (a.high < b.high) | ((a.high == b.high) & (a.low < b.low))
    return less, (a.high == b.high) & (a.low == b.low)


def _is_scalar_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _whole(value: Any) -> Any:
    """Return an int that a count can be as one, and anything else as it is."""
    return Count.of(int(value)) if _is_scalar_int(value) and 0 <= value < 2**64 else value


def _floats(count: Count, other: Any) -> tuple[jax.Array, jax.Array]:
    other = jnp.asarray(float(other) if _is_scalar_int(other) else other)
    inexact = jnp.issubdtype(other.dtype, np.inexact)
    dtype = other.dtype if inexact else jnp.result_type(float)
    return count.astype(dtype), other.astype(dtype)
