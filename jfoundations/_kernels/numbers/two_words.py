"""Numbers in two words: a float, and what its rounding lost.

Sums and products of pairs are exact to about twice the digits of their dtype, without float64.
Every addition is Knuth's or Dekker's, and no intermediate product can be contracted into a fused
multiply-add that would change it, so the bits are the same in every program.

>>> import jax.numpy as jnp
>>> high, low = two_sum(jnp.float32(1e8), jnp.float32(1.0))
>>> float(high), float(low)
(100000000.0, 1.0)

Sources: Knuth (1969), The Art of Computer Programming 2, 4.2.2; Dekker (1971), "A floating-point
technique for extending the available precision".
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.rounding import divide, protect

Pair = tuple[Array, Array]


def two_sum(a: Array, b: Array) -> Pair:
    """Add: the rounded sum, and exactly what was lost."""
    s = a + b
    v = s - a
    return s, (a - (s - v)) + (b - v)


def two_product(a: Array, b: Array) -> Pair:
    """Multiply: the rounded product, and exactly what was lost."""
    # halves are cut by bits, so that every partial product is exact, contracted or not
    p = protect(a * b)
    (ah, al), (bh, bl) = _halves(a), _halves(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _halves(a: Array) -> Pair:
    info = jnp.finfo(a.dtype)
    integer = jnp.dtype(f"int{info.bits}")
    low = jnp.asarray(-(1 << (info.nmant // 2 + 1)), integer)
    high = lax.bitcast_convert_type(lax.bitcast_convert_type(a, integer) & low, a.dtype)
    return high, a - high


def add(a: Pair, b: Pair) -> Pair:
    """Add two pairs."""
    s, lost = two_sum(a[0], b[0])
    return s, lost + (a[1] + b[1])


def multiply(a: Pair, b: Pair) -> Pair:
    """Multiply two pairs; the same bits whichever comes first."""
    p, lost = two_product(a[0], b[0])
    return p, lost + (protect(a[0] * b[1]) + protect(a[1] * b[0]))


def over(a: Pair, b: Pair) -> Pair:
    """Divide a pair by another; 0 where that is 0."""
    # by the inverse, and what that leaves over: a quotient that is used twice is a loop of its own
    none = b[0] == 0
    inverse = divide(jnp.ones_like(b[0]), jnp.where(none, 1, b[0]))
    q = protect(a[0] * inverse)
    p, lost = two_product(q, b[0])
    rest = ((a[0] - p) - lost) + (a[1] - protect(q * b[1]))
    return jnp.where(none, 0, q), jnp.where(none, 0, protect(rest * inverse))


def one_word(a: Pair) -> Array:
    """Round a pair to one word; the lost part of what is not finite is none."""
    return a[0] + jnp.where(jnp.isfinite(a[1]), a[1], 0)


def exact_words(x: Array, dtype: DTypeLike) -> Pair:
    """Return numbers in two words: integers exactly, up to twice the digits of the dtype."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(dtype), jnp.zeros(x.shape, dtype)
    bits = jnp.iinfo(x.dtype).bits
    low = x & np.array((1 << max(0, bits - jnp.finfo(dtype).nmant - 1)) - 1, x.dtype)
    return two_sum((x - low).astype(dtype), low.astype(dtype))


def each(function: Callable[[Array], Array], x: Pair) -> Pair:
    """Do the same with both words, which may be negated, moved or scaled by a power of two."""
    return function(x[0]), function(x[1])
