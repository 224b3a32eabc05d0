"""Numbers in two words as values: what a fold's memory keeps (the arithmetic is `two_words`').

A fold may merge a million memories. In one word each merge rounds, and what it rounds away adds up;
in two words that stays far below the last digit of the answer.

>>> import jax.numpy as jnp
>>> one = Words.of(jnp.float32(1.0)).more(jnp.float32(2.0**-30))
>>> float(one.high), float(one.more(jnp.float32(-1.0)).value) == 2.0**-30
(1.0, True)

Sources: Dekker (1971), "A floating-point technique for extending the available precision"; Knuth,
"The Art of Computer Programming", volume 2, section 4.2.2, for the exact sum.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from .._core.pytrees import pytree
from .._core.rounding import protect
from .._kernels.numbers.counts import Count
from .._kernels.numbers.two_words import two_sum


@pytree
class Words:
    """A number as the sum of two: `high` is rounded, `low` gathers what that lost.

    Derivatives flow through `high` alone: what was rounded away is a constant to them.
    """

    high: jax.Array
    low: jax.Array

    @staticmethod
    def of(x: Any) -> "Words":
        """Return an array in two words."""
        return Words(x, jnp.zeros_like(x))

    @property
    def value(self) -> jax.Array:
        """The number in one word."""
        return self.high + jnp.where(jnp.isfinite(self.low), self.low, 0)

    def more(self, x: jax.Array) -> "Words":
        """Return the sum with a number: what rounding loses is gathered, and added in the end."""
        high, lost = two_sum(self.high, protect(x))  # it may be a product
        return Words(high, self.low + lax.stop_gradient(lost))

    def __add__(self, other: "Words") -> "Words":
        """Return the sum of both, as `more` does."""
        high, lost = two_sum(self.high, other.high)
        return Words(high, (self.low + other.low) + lax.stop_gradient(lost))

    def __neg__(self) -> "Words":
        return Words(-self.high, -self.low)

    def __int__(self) -> int:
        return int(self.high) + int(self.low)

    def times(self, unit: Any) -> "Words":
        """Multiply by a power of two, which is exact."""
        return Words(self.high * unit, self.low * unit)


def choose(condition: jax.Array, yes: Any, no: Any) -> Any:
    """Return one of two memories, leaf by leaf."""
    return jax.tree.map(lambda y, n: jnp.where(condition, y, n), yes, no)


def without(whole: Any, part: Any) -> Any:
    """Return what is left of a sum of words, or of a count, when a part is taken out.

    A count is exact. One that would be negative is 2**64 more, as its sum with the part must be.

    Raises:
        ValueError: the part counts more than the whole, and the numbers can be seen.
    """
    if isinstance(whole, Words):
        return whole + (-part)
    is_no_part(whole, part)
    whole, part = jax.tree.map(jnp.asarray, (whole, part))  # of NumPy's numbers it would warn
    borrow = (whole.low < part.low).astype(np.uint32)
    return Count(whole.high - part.high - borrow, whole.low - part.low)


def is_no_part(whole: Count, part: Count) -> jax.Array:
    """Tell where a part counts more than the whole; outside jit and vmap that is an error."""
    more = part > whole
    if not isinstance(more, Tracer) and more.any():
        first = np.argmax(more)
        its, mine = (np.asarray(count).ravel()[first] for count in (part, whole))
        raise ValueError(
            f"unmerge: what is to be taken out has seen {its} elements, and the whole {mine}: it "
            "was never merged into it; give the memory of all first, then that of a part of it"
        )
    return more
