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

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._rounding import divide, protect
from ._lines import SMALL

Pair = tuple[Array, Array]
ROWS = 4  # numbers added in one loop: more are not unrolled, and then no vectors are made
SERIAL = 256  # so few are added in one go: another loop would cost more


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


def exact_words(x: Array, dtype) -> Pair:
    """Return numbers in two words: integers exactly, up to twice the digits of the dtype."""
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(dtype), jnp.zeros(x.shape, dtype)
    bits = jnp.iinfo(x.dtype).bits
    low = x & np.array((1 << max(0, bits - jnp.finfo(dtype).nmant - 1)) - 1, x.dtype)
    return two_sum((x - low).astype(dtype), low.astype(dtype))


def each(function: Callable[[Array], Array], x: Pair) -> Pair:
    """Do the same with both words, which may be negated, moved or scaled by a power of two."""
    return function(x[0]), function(x[1])


def running_sum(x: Pair) -> Pair:
    """Return the sums of all up to each, of pairs of shape (rows, n), n > 0, along axis 1."""
    # Side by side along chunks, then along the chunks' sums: a program whose length n has no part
    # in, and about √n operations one after another.
    rows, n = x[0].shape
    side = math.isqrt(n - 1) + 1
    x = each(lambda v: jnp.pad(v, ((0, 0), (0, side * side - n))), x)
    through = _scan(each(lambda v: jnp.moveaxis(v.reshape(rows, side, side), 2, 0), x))
    ends = _scan(each(lambda v: v[-1].T, through))
    before = each(lambda v: jnp.concatenate([jnp.zeros_like(v[:1]), v[:-1]]).T[None], ends)
    total = add(through, before)
    return each(lambda v: jnp.moveaxis(v, 0, 2).reshape(rows, side * side)[:, :n], total)


def _scan(x: Pair) -> Pair:
    def step(total: Pair, word: Pair) -> tuple[Pair, Pair]:
        total = add(total, word)
        return total, total

    # begins with the first element, which may vary over a mesh as the others do
    first, others = each(lambda v: v[0], x), each(lambda v: v[1:], x)
    rest = lax.scan(step, first, others)[1]
    high, low = (jnp.concatenate([a[None], b]) for a, b in zip(first, rest, strict=True))
    return high, low


def tree_sum_pairs(pairs: list[Pair]) -> list[Pair]:
    """Add pairs of shape (outer, n, inner) along axis 1, all of them in one loop a level."""
    if not pairs or pairs[0][0].size > SMALL:
        return _tree([word for pair in pairs for word in pair])
    # Side by side, to be added by few operations: at each call XLA:CPU makes room for each one of
    # those that a loop adds by, whatever n is, and that takes as long as a hundred additions.
    ((high, low),) = _tree([jnp.stack(words) for words in zip(*pairs, strict=True)])
    return [(high[i], low[i]) for i in range(len(pairs))]


def _tree(words: list[Array]) -> list[Pair]:
    if words and words[0].shape[-2] == 0:
        words = [jnp.zeros_like(w, shape=(*w.shape[:-2], 1, w.shape[-1])) for w in words]
    while words and words[0].shape[-2] > 1:
        words = _level(words)
    return _paired([w[..., 0, :] for w in words])


def _level(words: list[Array]) -> list[Array]:
    # a loop over few rows of many numbers becomes one of vectors, see `_blocks`
    *outer, n, inner = words[0].shape
    rows = n if n <= SERIAL else ROWS
    lines = n // rows
    body = tuple(w[..., : rows * lines, :].reshape(*outer, rows, lines * inner) for w in words)
    zeros = tuple(np.zeros((), w.dtype) for w in words)
    sums = lax.reduce(body, zeros, _add_each, (len(outer),))
    sums = [s.reshape(*outer, lines, inner) for s in sums]
    if rows * lines == n:
        return sums
    odd = [w[..., rows * lines :, :] for w in words]
    return [jnp.concatenate(pair, axis=-2) for pair in zip(sums, odd, strict=True)]


def _add_each(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    added = (add(*p) for p in zip(_paired(a), _paired(b), strict=True))
    return tuple(word for pair in added for word in pair)


def _paired(words: Sequence[Array]) -> list[Pair]:
    return list(zip(words[::2], words[1::2], strict=True))


def tree_sum(terms: list[Array]) -> list[Array]:
    """Add arrays (outer, n, inner) along axis 1 in two words, then round: (outer, inner)."""
    # protected: a product that is contracted with the first addition would not be rounded
    return [one_word(p) for p in tree_sum_pairs([(protect(t), jnp.zeros_like(t)) for t in terms])]
