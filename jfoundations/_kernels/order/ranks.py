"""Ranks among elements that lie in bins, exact to 2**64.

>>> import jax.numpy as jnp
>>> bins = Count.from_array(jnp.array([[3, 0, 2]]))
>>> place, rest = find(bins, Count.from_array(jnp.array([[2], [3]])))
>>> place.tolist(), rest.tolist()
([[0], [2]], [[2], [0]])
"""

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.rounding import protect
from ..numbers.counts import Count
from .quantiles import halves, settled


def find(bins: Count, ranks: Count) -> tuple[jax.Array, Count]:
    """Return the bins that ranks lie in, and the ranks within them.

    Args:
        bins: of shape (rows, bins).
        ranks: of shape (m, rows).
    """
    through = _cumulative(bins)
    low, high = ranks.low[..., None], ranks.high[..., None]
    passed = (through.high[None] < high) | (
        (through.high[None] == high) & (through.low[None] <= low)
    )
    place = jnp.sum(passed, axis=-1, dtype=np.uint32)

    def before(word: jax.Array) -> jax.Array:
        word = jnp.pad(word, ((0, 0), (1, 0)))
        return jnp.take_along_axis(word, place.T, axis=1, mode="clip").T

    rest = minus(ranks, jax.tree.map(before, through))
    return jnp.minimum(place.astype(np.int32), bins.low.shape[1] - 1), rest


def linear(q: jax.Array, size: Count) -> tuple[Count, Count, jax.Array]:
    """Return the whole part of q·(n - 1), the next whole number, and the share of that one.

    Args:
        q: of shape (m,).
        size: n, of shape (rows,).

    Returns:
        Each of shape (m, rows).
    """
    last = minus(size, Count.from_array(size.positive()))
    if q.dtype == np.float64:
        products = protect(q[:, None] * last.astype(q.dtype)[None])[None]
    else:  # of 12 and of at most 12 bits: exact
        masks = np.array([0xFFF, 0xFFF000, 0xFF000000], np.uint32)[:, None]
        low, high = ((word[None] & masks).astype(q.dtype) for word in (last.low, last.high))
        pieces = jnp.concatenate([low, high * 2.0**32])
        products = halves(q[:, None])[:, None] * pieces[None, :, None]
        products = products.reshape(-1, *products.shape[2:])
    wholes = jnp.floor(products)
    part = jnp.sum(products - wholes, axis=0)
    wholes = jnp.concatenate([wholes, jnp.floor(part)[None]])
    high = jnp.floor(wholes * 2.0**-32)
    rank = Count(high.astype(np.uint32), (wholes - high * 2.0**32).astype(np.uint32)).sum(0)
    near, part = settled(part - wholes[-1], rank.astype(q.dtype))
    rank = rank + Count.from_array(near)
    return rank, rank + Count.from_array(part > 0), part


def minus(a: Count, b: Count) -> Count:
    """Return a difference that is not negative."""
    low = a.low - b.low
    return Count(a.high - b.high - (a.low < b.low).astype(np.uint32), low)


def _cumulative(bins: Count) -> Count:
    # in digits of 11 bits, of which even 2**18 sums do not overflow 32; then the carries
    shifts, eleven = np.array([0, 11, 22], np.uint32)[:, None, None], np.uint32(0x7FF)
    digits = jnp.concatenate([(bins.low[None] >> shifts) & eleven, bins.high[None]])
    first, second, third, high = jnp.cumsum(digits, axis=2, dtype=np.uint32)
    second = second + (first >> 11)
    third = third + (second >> 11)
    low = (first & eleven) | (second & eleven) << 11 | third << 22
    return Count(high + (third >> 10), low)
