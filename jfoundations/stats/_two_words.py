"""Numbers in two words: a float, and what its rounding lost.

Sums and products of pairs are exact to about twice the digits of their dtype, without float64.
Every addition is Knuth's or Dekker's, and no intermediate product can be contracted into a fused
multiply-add that would change it, so the bits are the same in every program.

>>> import jax.numpy as jnp
>>> x = jnp.asarray([[[1e8], [1.0], [-1e8]]], jnp.float32)
>>> (both,) = tree_sum_pairs([(x, jnp.zeros_like(x))])
>>> float(one_word(both)[0, 0]), float(jnp.sum(x))
(1.0, 0.0)

Sources: Knuth (1969), The Art of Computer Programming 2, 4.2.2; Dekker (1971), "A floating-point
technique for extending the available precision".
"""

import jax.numpy as jnp
from jax import Array, lax

from .._rounding import divide, protect

Pair = tuple[Array, Array]
RADIX = 8  # numbers added in one loop: between loops to start and code to compile


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
    whole = jnp.where(b[0] == 0, 1, b[0])
    q = divide(a[0], whole)
    p, lost = two_product(q, whole)
    rest = ((a[0] - p) - lost) + (a[1] - protect(q * b[1]))
    none = b[0] == 0
    return jnp.where(none, 0, q), jnp.where(none, 0, divide(rest, whole))


def one_word(a: Pair) -> Array:
    """Round a pair to one word; the lost part of what is not finite is none."""
    return a[0] + jnp.where(jnp.isfinite(a[1]), a[1], 0)


def tree_sum_pairs(pairs: list[Pair]) -> list[Pair]:
    """Add pairs of shape (outer, n, inner) along axis 1: a tree of whole vectors."""
    return [_tree_sum(lax.optimization_barrier(lax.complex(*pair))) for pair in pairs]


def _tree_sum(words: Array) -> Pair:
    # Both words travel in one complex array, so each level is one loop that reads once; the barrier
    # keeps the compiler from computing a level again for each of its readers.
    if words.shape[1] == 0:
        words = jnp.zeros_like(words, shape=(words.shape[0], 1, words.shape[2]))
    while words.shape[1] > 1:
        words = lax.optimization_barrier(_level(words))
    return words[:, 0].real, words[:, 0].imag


def _level(words: Array) -> Array:
    n = words.shape[1]
    parts = min(RADIX, n)
    size = -(-n // parts)
    pad = ((0, 0, 0), (0, parts * size - n, 0), (0, 0, 0))
    words = lax.pad(words, jnp.zeros((), words.dtype), pad)
    cut = [lax.slice_in_dim(words, i * size, (i + 1) * size, axis=1) for i in range(parts)]
    pairs = [(c.real, c.imag) for c in cut]
    while len(pairs) > 1:
        odd = pairs[len(pairs) // 2 * 2 :]
        pairs = [add(a, b) for a, b in zip(pairs[::2], pairs[1::2], strict=False)] + odd
    return lax.complex(*pairs[0])


def tree_sum(terms: list[Array]) -> list[Array]:
    """Add arrays (outer, n, inner) along axis 1 in two words, then round: (outer, inner)."""
    return [one_word(p) for p in tree_sum_pairs([(t, jnp.zeros_like(t)) for t in terms])]
