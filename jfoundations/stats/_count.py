"""Counts in two 32-bit words: exact to 2⁶⁴, where float32 stops at 2²⁴ and int32 wraps at 2³¹.

>>> import jax.numpy as jnp
>>> from jfoundations.stats import Count
>>> total = Count.of(2**31) + Count.of(2**31) + Count.of(5)
>>> int(total), float(total.astype(jnp.float32))
(4294967301, 4294967296.0)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._tree import pytree


@pytree
class Count:
    """Non-negative integers as `high * 2**32 + low`, both uint32; `+` carries."""

    high: jax.Array
    low: jax.Array

    @classmethod
    def of(cls, n: int, shape: tuple[int, ...] = ()) -> "Count":
        """Return a Python int below 2⁶⁴ as an array of counts."""
        high, low = divmod(n, 2**32)
        return cls(jnp.full(shape, high, np.uint32), jnp.full(shape, low, np.uint32))

    @classmethod
    def from_array(cls, n: jax.Array) -> "Count":
        """Return a non-negative int32 array as counts."""
        low = n.astype(np.uint32)
        return cls(jnp.zeros_like(low), low)

    def __add__(self, other: "Count") -> "Count":
        low = self.low + other.low
        carry = (low < self.low).astype(np.uint32)
        return Count(self.high + other.high + carry, low)

    def sum(self, axis: int) -> "Count":
        """Add up along an axis, exactly."""
        zero = np.uint32(0)

        def add(a: Any, b: Any) -> Any:
            total = Count(*a) + Count(*b)
            return total.high, total.low

        return Count(*lax.reduce((self.high, self.low), (zero, zero), add, (axis,)))

    def astype(self, dtype: Any) -> jax.Array:
        """Return the counts rounded to a floating dtype."""
        return self.high.astype(dtype) * 2.0**32 + self.low.astype(dtype)

    def positive(self) -> jax.Array:
        """Tell whether anything was counted."""
        return (self.high | self.low) != 0

    def answer(self) -> jax.Array:
        """Return integer arrays: int64 under x64, else uint32, which is exact below 2³²."""
        if jnp.result_type(int) == np.int64:
            return (self.high.astype(np.int64) << 32) | self.low.astype(np.int64)
        return self.low

    def __int__(self) -> int:
        return (int(self.high) << 32) | int(self.low)
