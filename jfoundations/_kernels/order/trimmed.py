"""The trimmed mean of rows: what is cut is found by rank, what is kept is averaged unsorted."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from ..numbers.two_words import add, multiply, one_word
from ..sample.arguments import accumulator
from .fractions import in_order, mean_about
from .occurrences import Tally, hide, padded, total
from .quantiles import by_kind, position
from .select import select


def trimmed(x: Array, tallied: Tally, proportion: Array) -> Array:
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
    return jnp.where(inside if tallied.bad is None else inside & ~tallied.bad, value, jnp.nan)


def _of_whole(x: Array, counts: Any, proportion: Array) -> Array:
    size = total(x, counts)
    cut, part = position(proportion.reshape(1, 1), size)
    cut = cut + _near(part, cut).astype(cut.dtype)
    rest = size - cut
    ends = jnp.concatenate([cut, rest - 1, jnp.full_like(cut, size - 1)], axis=1)
    ends = ends if counts is None else jnp.maximum(ends, 0)
    found, dtype = select(x, counts, ends), accumulator(x.dtype)
    low, high, last = (found[:, k : k + 1].astype(dtype) for k in range(3))
    x = hide(x, counts).astype(dtype)

    def seen(which: Array) -> Array:
        often = which if counts is None else jnp.where(which, counts, counts.dtype.type(0))
        return jnp.sum(often, axis=1, keepdims=True, dtype=jnp.int32)

    # of what is as large as an end, only some is kept
    some_low = (jnp.minimum(seen(x <= low), rest) - cut).astype(dtype)
    some_high = (rest - seen(x < high)).astype(dtype)
    some_high = jnp.where(low < high, some_high, 0)
    inner = (low < x) & (x < high)

    def sum_of(off: Callable[[Array], Array]) -> Array:
        inside = jnp.where(inner, off(x), 0)
        inside = inside if counts is None else inside * counts.astype(dtype)
        ends = some_low * off(low) + jnp.where(some_high > 0, some_high * off(high), 0)
        return jnp.sum(inside, axis=1, keepdims=True) + ends

    most = jnp.maximum(jnp.abs(low), jnp.abs(high))
    mean = mean_about(low, most, (rest - cut).astype(dtype), sum_of)
    good = last == last if counts is None else (last == last) & (size > 0)
    return jnp.where(good, mean, jnp.nan)[:, 0]


def _of_fractions(x: Array, counts: Array, proportion: Array) -> Array:
    order = in_order(x, counts, proportion.dtype)
    none = jnp.zeros_like(order.one)
    cut = one_word(multiply((jnp.broadcast_to(proportion, none.shape), none), order.size))
    # in whole counts, unless there are so many that all floats are whole
    whole = jnp.floor(cut / order.one)
    whole = whole + _near(cut / order.one - whole, whole).astype(whole.dtype)
    cut = jnp.where(jnp.isfinite(whole), whole * order.one, cut)
    return order.mean((cut, none), one_word(add(order.size, (-2 * cut, none))))


def _near(part: Array, whole: Array) -> Array:
    """Tell whether a product is below the next whole number by rounding alone.

    0.35·20 is 6.9999999 in float32.
    """
    lost = 4 * jnp.finfo(part.dtype).eps * (whole + 1).astype(part.dtype)
    return 1 - part <= jnp.minimum(lost, 0.5)
