"""The trimmed mean of rows: what is cut is found by rank, what is kept is averaged unsorted."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..numbers.two_words import add, multiply, one_word
from ..sample.arguments import accumulator
from .occurrences import Tally, hide, padded
from .quantiles import average, by_kind, in_order, position
from .select import neighbours, total


def trimmed(x: jax.Array, tallied: Tally, proportion: jax.Array) -> jax.Array:
    """Return means without the lowest and the highest ⌊proportion·W⌋ of each row.

    Args:
        x: of shape (rows, n).
        tallied: how often each element is there.
        proportion: a float scalar.

    Returns:
        Floats of shape (rows,); nan over nothing, where a nan or a bad weight counts, and for a
        proportion outside [0, ½).
    """
    proportion = proportion.astype(accumulator(x.dtype))
    inside = (proportion >= 0) & (proportion < 0.5)
    x, counts = padded(x, tallied.counts)
    value = by_kind(_of_whole, _of_fractions, x, counts, jnp.where(inside, proportion, 0))
    return jnp.where(inside & ~jnp.broadcast_to(tallied.bad, value.shape), value, jnp.nan)


def _of_whole(x: jax.Array, counts: Any, proportion: jax.Array) -> jax.Array:
    size = total(x, counts)
    cut, part = position(proportion[None], size)
    cut = cut + _near(part, cut).astype(cut.dtype)
    ranks = jnp.maximum(jnp.stack([cut, size - cut - 1], axis=1), 0)
    found = neighbours(x, counts, ranks)
    dtype = accumulator(x.dtype)
    x, ends = hide(x, counts), found.low.astype(dtype)
    often, kept_low, kept_high = _kept(x, counts, found.low, cut, size - cut)
    share = jnp.concatenate([often, kept_low, kept_high], axis=1).astype(dtype)
    value = jnp.concatenate([x.astype(dtype), ends], axis=1)
    mean = average(value, share, ends[:, :1], (size - 2 * cut).astype(dtype))
    return jnp.where((size > 0) & ~found.spoilt, mean, jnp.nan)


def _kept(x: Array, counts: Any, ends: Any, first: Any, last: Any) -> tuple[Any, Any, Any]:
    """Return how often at ranks first … last − 1 there is each inner element, and each end."""
    counts = jnp.ones(x.shape, jnp.int32) if counts is None else counts.astype(jnp.int32)
    low, high, first, last = ends[:, :1], ends[:, 1:], first[:, None], last[:, None]

    def tied(value: jax.Array) -> jax.Array:
        below = jnp.sum(jnp.where(x < value, counts, 0), axis=1, keepdims=True, dtype=counts.dtype)
        equal = jnp.sum(jnp.where(x == value, counts, 0), axis=1, keepdims=True, dtype=counts.dtype)
        return jnp.minimum(below + equal, last) - jnp.maximum(below, first)

    inner = jnp.where((x > low) & (x < high), counts, 0)
    return inner, tied(low), jnp.where(high > low, tied(high), 0)


def _of_fractions(x: jax.Array, counts: jax.Array, proportion: jax.Array) -> jax.Array:
    order = in_order(x, counts, proportion.dtype)
    none = jnp.zeros_like(order.one)
    cut = one_word(multiply((jnp.broadcast_to(proportion, none.shape), none), order.size))
    # in whole counts, unless there are so many that all floats are whole
    whole = jnp.floor(cut / order.one)
    whole = whole + _near(cut / order.one - whole, whole).astype(whole.dtype)
    cut = jnp.where(jnp.isfinite(whole), whole * order.one, cut)
    return order.mean((cut, none), one_word(add(order.size, (-2 * cut, none))))


def _near(part: jax.Array, whole: jax.Array) -> jax.Array:
    """Tell whether a product is below the next whole number by rounding alone.

    0.35·20 is 6.9999999 in float32.
    """
    lost = 4 * jnp.finfo(part.dtype).eps * (whole + 1).astype(part.dtype)
    return 1 - part <= jnp.minimum(lost, 0.5)
