"""Quantiles of rows that hold each element some number of times, whole or fractional.

Element i fills an interval as long as its count; end to end, in ascending order, the intervals are
a step function Q on [0, W]. The quantile q is the mean of Q over the window [h, h + 1] with
h = q·(W − 1). For whole counts that is NumPy's linear interpolation in the repeated sample, and it
is continuous in every weight.

Source: Hyndman and Fan (1996), "Sample quantiles in statistical packages", type 7; Akinshin (2023),
"Weighted quantile estimators".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from ..._core.rounding import protect
from ..moments.total import total as sum_of
from ..numbers.sortable_bits import encode, last_key
from ..numbers.two_words import Pair, add, each, exact_words, multiply, one_word
from ..numbers.units import binary_unit, inverse_unit, unit_of
from ..sample.arguments import accumulator
from ..sums.tree_sums import running_sum
from .occurrences import Tally, hide, is_whole, padded
from .select import neighbours, total


def quantiles(x: jax.Array, tallied: Tally, q: jax.Array) -> jax.Array:
    """Return quantiles of rows.

    Args:
        x: of shape (rows, n).
        tallied: how often each element is there.
        q: floats of shape (m,).

    Returns:
        Floats of shape (rows, m): nan over nothing, where a nan or a bad weight counts, and for q
        outside [0, 1].
    """
    q = q.astype(accumulator(x.dtype))
    inside = (q >= 0) & (q <= 1)
    safe = jnp.where(inside, q, 0)
    x, counts = padded(x, tallied.counts)
    value = by_kind(_of_whole, _of_fractions, x, counts, safe)
    good = inside[None] & ~jnp.broadcast_to(tallied.bad, x.shape[:1])[:, None]
    return jnp.where(good, value, jnp.nan)


def by_kind(of_whole: Any, of_fractions: Any, x: jax.Array, counts: Any, *rest: Any) -> jax.Array:
    """Call the first function for whole counts, the second for fractional ones, or too many.

    Sums of fractions are not exact, so whole numbers given as floats are worth a look at the data.
    """
    if counts is None or counts.dtype == np.bool_:
        return of_whole(x, counts, *rest)

    def as_integers(x: jax.Array, counts: jax.Array, *rest: Any) -> jax.Array:
        return of_whole(x, counts.astype(jnp.int32), *rest)

    return lax.cond(is_whole(counts), as_integers, of_fractions, x, counts, *rest)


def _of_whole(x: jax.Array, counts: Any, q: jax.Array) -> jax.Array:
    size = total(x, counts)[:, None]
    rank, part = position(q[None], jnp.maximum(size - 1, 0))
    near, part = settled(part, rank.astype(part.dtype) + part)
    rank = rank + near.astype(rank.dtype)
    low, high, spoilt = neighbours(x, counts, rank)
    value = between(low.astype(part.dtype), high.astype(part.dtype), part)
    return jnp.where((size > 0) & ~spoilt[:, None], value, jnp.nan)


def position(q: jax.Array, last: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the whole and the fractional part of q·last, in effect without rounding.

    A float32 product is off by whole ranks from 2²⁴ elements on, and by a visible part of one long
    before. Here q is split into 12 and 12 bits, last into 7, 12 and 12: their products are exact.
    """
    if q.dtype == np.float64:
        product = protect(q * last.astype(q.dtype))  # rounded as NumPy's
        whole = jnp.floor(product)
        return whole.astype(jnp.int32), product - whole
    bits = lax.bitcast_convert_type(q, jnp.uint32) & np.uint32(0xFFFFF000)
    head = lax.bitcast_convert_type(bits, jnp.float32)
    pieces = (last & 0xFFF, last & 0xFFF000, last & 0x7F000000)
    products = [a * p.astype(q.dtype) for a in (head, q - head) for p in pieces]
    wholes = [jnp.floor(p) for p in products]
    rest = sum(p - w for p, w in zip(products, wholes, strict=True))
    carry = jnp.floor(rest)
    whole = carry.astype(jnp.int32)
    for part in wholes:
        whole = whole + part.astype(jnp.int32)
    return whole, rest - carry


def settled(part: jax.Array, rank: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return whether a rank is the next whole one, and its fractional part, 0 of a whole one.

    A rank is whole where it misses a whole number by what rounding q moves it alone: 0.8·10 is
    8.0000001 in float32, and the element after the eighth may be infinite. Of long rows no more
    than 1/64 is taken for rounding: halves and quarters stay what they are.
    """
    lost = jnp.minimum(rank * (jnp.finfo(part.dtype).eps / 2), 1 / 64)
    near = 1 - part <= lost
    whole = jnp.where(near | (part <= lost), 0, part)
    return near, part + lax.stop_gradient(whole - part)  # the slope in q stays


def between(low: jax.Array, high: jax.Array, part: jax.Array) -> jax.Array:
    """Return low + part·(high − low): their rounded mean at ½, and either end exactly.

    Infinite ends keep their meaning: −inf and 1 give −inf, inf and inf give inf. The distance is
    taken in units of the ends, since it may be larger than any number.
    """
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    a, b = jnp.where(finite, low, 0), jnp.where(finite, high, 0)
    unit = binary_unit(jnp.maximum(jnp.abs(a), jnp.abs(b)))
    left, right = a * inverse_unit(unit), b * inverse_unit(unit)
    nearer = part < 0.5
    step = protect((right - left) * jnp.where(nearer, part, 1 - part)) * unit
    value = jnp.where(nearer, a + step, b - step)
    # the last term is 0 there; it keeps the derivative in q
    middle = (left + right) * 0.5 * unit + (right - left) * (part - 0.5) * unit
    value = jnp.where(part == 0.5, middle, value)
    ends = jnp.where((part == 0) | (low == high), low, low + high)
    return jnp.where(finite, value, ends)


def _of_fractions(x: jax.Array, counts: jax.Array, q: jax.Array) -> jax.Array:
    order = in_order(x, counts, q.dtype)
    none = jnp.zeros_like(order.one)
    last = add(order.size, (-order.one, none))
    last = each(lambda word: jnp.where(last[0] > 0, word, 0), last)
    width = jnp.minimum(order.size[0], order.one)

    def window(q: jax.Array) -> jax.Array:
        return order.mean(multiply((jnp.broadcast_to(q, none.shape), none), last), width)

    return jax.vmap(window, out_axes=1)(q)


class InOrder(NamedTuple):
    """Rows in ascending order, with fractional counts; what counts 0 is last.

    Counts are in units of a power of two, and their running sums in two words: neither their scale
    nor how many there are costs digits.

    Attributes:
        value: the elements as floats, of shape (rows, n).
        often: how often each is there.
        through: the running sums of the counts.
        one: a count of one, of shape (rows, 1).
        good: whether anything counts, and no nan does, of shape (rows,).
    """

    value: jax.Array
    often: jax.Array
    through: Pair
    one: jax.Array
    good: jax.Array

    @property
    def size(self) -> Pair:
        """The sum of all counts, of shape (rows, 1)."""
        return each(lambda word: word[:, -1:], self.through)

    def mean(self, start: Pair, width: jax.Array) -> jax.Array:
        """Return the mean of the elements over a window of their counts, of shape (rows,)."""
        end = one_word(add(self.through, each(jnp.negative, start)))
        begin = jnp.concatenate([-one_word(start), end[:, :-1]], axis=1)
        share = jnp.maximum(jnp.minimum(end, width) - jnp.maximum(begin, 0), 0)
        share = jnp.where(self.often > 0, share / jnp.where(width > 0, width, 1), 0)
        # the element that the window begins in: all of a window too narrow for two words
        place = lax.broadcasted_iota(jnp.int32, end.shape, 1)
        last = jnp.max(jnp.where(self.often > 0, place, 0), axis=1, keepdims=True)
        at = jnp.min(jnp.where((end > 0) & (place < last), place, last), axis=1, keepdims=True)
        about = jnp.take_along_axis(self.value, at, axis=1)
        found = average(self.value, share, about, jnp.ones(at.shape[:1], share.dtype))
        return jnp.where(self.good, found, jnp.nan)


def in_order(x: jax.Array, counts: jax.Array, dtype: DTypeLike) -> InOrder:
    """Return rows sorted, the counts' sums in floats of a dtype."""
    x = hide(x, counts)
    keys = jnp.where(counts > 0, encode(x), last_key(encode(x).dtype))
    places = lax.broadcasted_iota(jnp.int32, x.shape, 1)
    _, counts, places = lax.sort((keys, counts, places), num_keys=1)
    x = jnp.take_along_axis(x, places, axis=1)
    words = exact_words(counts, dtype)
    inverse = inverse_unit(unit_of(one_word(words), None, (1,)))
    words = each(lambda word: word * inverse, words)
    through = running_sum(words)
    good = (through[0][:, -1] > 0) & ~jnp.any(jnp.isnan(x), axis=1)
    return InOrder(x.astype(dtype), one_word(words), through, inverse, good)


def average(x: jax.Array, share: jax.Array, about: jax.Array, size: jax.Array) -> jax.Array:
    """Return Σ share·x / size of rows, taken about a value: a constant's is the constant.

    Args:
        x: of shape (rows, n).
        share: ≥ 0, of shape (rows, n); where it is 0, x does not matter.
        about: a typical value, of shape (rows, 1).
        size: Σ share, of shape (rows,).
    """
    used, finite = share > 0, jnp.isfinite(x)
    about = lax.stop_gradient(jnp.where(jnp.isfinite(about), about, 0))
    # in units: a difference of two numbers, and the sum of many, may be larger than any number
    unit = unit_of(x, used, (1,))
    rest = jnp.where(used & finite, x * inverse_unit(unit) - about * inverse_unit(unit), 0)
    mean = sum_of(rest, share, (1,), "default") / jnp.where(size > 0, size, 1)[:, None]
    ends = jnp.sum(jnp.where(used & ~finite, x, 0), axis=1)
    return jnp.where(jnp.any(used & ~finite, axis=1), ends, (about + mean * unit)[:, 0])
