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

from .._tree import pytree


@pytree
class Count:
    """A non-negative integer as `high * 2**32 + low`, both uint32; `+` carries."""

    high: jax.Array
    low: jax.Array

    @classmethod
    def of(cls, n: int) -> "Count":
        """Return a Python int below 2⁶⁴ as a count."""
        high, low = divmod(n, 2**32)
        return cls(jnp.asarray(np.uint32(high)), jnp.asarray(np.uint32(low)))

    def __add__(self, other: "Count") -> "Count":
        low = self.low + other.low
        carry = (low < self.low).astype(np.uint32)
        return Count(self.high + other.high + carry, low)

    def astype(self, dtype: Any) -> jax.Array:
        """Return the count rounded to a floating dtype."""
        return self.high.astype(dtype) * 2.0**32 + self.low.astype(dtype)

    def positive(self) -> jax.Array:
        """Tell whether anything was counted."""
        return (self.high | self.low) != 0

    def answer(self) -> jax.Array:
        """Return the count as an integer array: int64 under x64, else uint32 (exact below 2³²)."""
        if jnp.result_type(int) == np.int64:
            return (self.high.astype(np.int64) << 32) | self.low.astype(np.int64)
        return self.low

    def __int__(self) -> int:
        return (int(self.high) << 32) | int(self.low)
