"""Numbers in two words as values: what a fold's memory keeps (the arithmetic is `two_words`').

A fold may merge a million memories. In one word each merge rounds, and what it rounds away adds up;
in two words that stays far below the last digit of the answer.

>>> import jax.numpy as jnp
>>> tiny = Words.of(jnp.float32(2.0**-30))
>>> float(((Words.of(jnp.float32(1.0)) + tiny) - Words.of(jnp.float32(1.0))).value) == 2.0**-30
True

Sources: Dekker (1971), "A floating-point technique for extending the available precision"; Knuth,
"The Art of Computer Programming", volume 2, section 4.2.2, for the exact sum.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from .._core.pytrees import pytree
from .._core.rounding import protect
from .._kernels.numbers.counts import Count
from .._kernels.numbers.two_words import two_product, two_sum


@pytree
class Words:
    """A number as the exact sum of two: `high` is its rounded value, `low` what that leaves over.

    Derivatives flow through `high` alone: what was rounded away is a constant to them.
    """

    high: jax.Array
    low: jax.Array

    @staticmethod
    def of(x: Any) -> "Words":
        """Return an array in two words."""
        return Words(x, jnp.zeros_like(x))

    @staticmethod
    def of_count(count: Count, dtype: DTypeLike) -> "Words":
        """Return counts: exact to 48 bits in float32."""
        first = count.high.astype(dtype) * 2.0**32
        second = (count.low & np.uint32(0xFFFF0000)).astype(dtype)
        third = (count.low & np.uint32(0xFFFF)).astype(dtype)
        low = _ordered(second, third)
        both = _ordered(first, low.high)
        return _ordered(both.high, both.low + low.low)

    @staticmethod
    def between(a: jax.Array, b: jax.Array) -> "Words":
        """Return b - a exactly."""
        return _clean(*two_sum(b, -a))

    @property
    def value(self) -> jax.Array:
        """The number in one word."""
        return self.high + jnp.where(jnp.isfinite(self.low), self.low, 0)

    def more(self, x: jax.Array) -> "Words":
        """Return the sum with a number: what rounding loses is gathered, and added in the end."""
        high, lost = two_sum(self.high, protect(x))  # it may be a product
        return Words(high, self.low + lax.stop_gradient(lost))

    def plus(self, other: "Words") -> "Words":
        """Return the sum of both, as `more` does."""
        high, lost = two_sum(self.high, other.high)
        return Words(high, (self.low + other.low) + lax.stop_gradient(lost))

    def __int__(self) -> int:
        return int(self.high) + int(self.low)

    def __add__(self, other: "Words") -> "Words":
        total = _clean(*two_sum(self.high, other.high))
        return _tidy(total.high, total.low + (self.low + other.low))

    def __neg__(self) -> "Words":
        return Words(-self.high, -self.low)

    def __sub__(self, other: "Words") -> "Words":
        return self + -other

    def __mul__(self, other: "Words") -> "Words":
        product, lost = two_product(self.high, other.high)
        return _tidy(product, lost + (self.high * other.low + self.low * other.high))

    def __truediv__(self, other: "Words") -> "Words":
        first = self.high / other.high
        rest = self - Words.of(first) * other
        return _tidy(first, rest.high / other.high)

    def times(self, unit: Any) -> "Words":
        """Multiply by a power of two, which is exact."""
        return Words(self.high * unit, self.low * unit)


def choose(condition: jax.Array, yes: Any, no: Any) -> Any:
    """Return one of two memories, leaf by leaf."""
    return jax.tree.map(lambda y, n: jnp.where(condition, y, n), yes, no)


def _ordered(high: jax.Array, low: jax.Array) -> Words:
    # |low| ≤ |high|, or high is 0: the exact sum takes three operations
    total = high + low
    return Words(total, low - (total - high))


def _tidy(high: jax.Array, low: jax.Array) -> Words:
    total = _ordered(high, lax.stop_gradient(low))
    return _clean(total.high, total.low)


def _clean(high: jax.Array, low: jax.Array) -> Words:
    # an infinite sum leaves nan over
    low = lax.stop_gradient(low)
    return Words(high, jnp.where(jnp.isfinite(high), low, 0))
