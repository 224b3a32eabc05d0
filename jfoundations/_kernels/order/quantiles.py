"""Quantiles of rows that hold each element some number of times, whole or fractional.

Of whole counts they are NumPy's, of the repeated sample. Of fractional counts, element i fills an
interval as long as its count; end to end, in ascending order, the intervals are a step function Q
on [0, W]. The linear quantile q is the mean of Q over the window [h, h + 1] with h = q·(W − 1):
for whole counts the same number, and continuous in every count.

Source: Hyndman and Fan (1996), "Sample quantiles in statistical packages"; Akinshin (2023),
"Weighted quantile estimators".
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.rounding import protect
from ..numbers.two_words import add, each, multiply
from ..sample.arguments import accumulator
from .fractions import in_order, roomy
from .occurrences import Tally, is_whole, padded, total
from .select import select


class Method(NamedTuple):
    """A definition of quantiles: the rank h = q·(n + more) + slope·q + shift, counted from 0.

    Attributes:
        more: a whole number.
        slope: a number.
        shift: a number.
        part: how much the element after ⌊h⌋ weighs, given ⌊h⌋ and h − ⌊h⌋: by default the latter.
    """

    more: int = 0
    slope: float = 0.0
    shift: float = 0.0
    part: Callable[[Any, Any], Any] | None = None


METHODS = {
    "linear": Method(-1),
    "inverted_cdf": Method(shift=-1, part=lambda k, part: part > 0),
    "averaged_inverted_cdf": Method(shift=-1, part=lambda k, part: 0.5 + 0.5 * _one(part > 0)),
    "closest_observation": Method(shift=-1.5, part=lambda k, part: (part > 0) | (k % 2 == 0)),
    "interpolated_inverted_cdf": Method(shift=-1),
    "hazen": Method(shift=-0.5),
    "weibull": Method(1, shift=-1),
    "median_unbiased": Method(slope=1 / 3, shift=-2 / 3),
    "normal_unbiased": Method(slope=1 / 4, shift=-5 / 8),
    "lower": Method(-1, part=lambda k, part: 0 * part),
    "higher": Method(-1, part=lambda k, part: part > 0),
    "midpoint": Method(-1, part=lambda k, part: 0.5 * _one(part > 0)),
    "nearest": Method(-1, part=lambda k, part: (part > 0.5) | ((part == 0.5) & (k % 2 == 1))),
}
WEIGHTED = ("linear", "inverted_cdf")

MethodName: TypeAlias = Literal[
    "linear",
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
]


def _one(true: Any) -> Any:
    return true.astype(np.float32)


def quantiles(
    x: Array, tallied: Tally, q: Array | np.ndarray[Any, Any], method: str = "linear"
) -> Array:
    """Return quantiles of rows.

    Args:
        x: of shape (rows, n).
        tallied: how often each element is there.
        q: floats of shape (m,); of NumPy's, multiples of ¼, ranks are known while tracing.
        method: a name of `METHODS`; of fractional counts one of `WEIGHTED`.

    Returns:
        Floats of shape (rows, m): nan over nothing, where a nan or a bad weight counts, and for q
        outside [0, 1].
    """
    x, counts = padded(x, tallied.counts)
    dtype, good = accumulator(x.dtype), True
    if counts is not None or not isinstance(q, np.ndarray):
        q = jnp.asarray(q, dtype)
        inside = (q >= 0) & (q <= 1)
        q, good = jnp.where(inside, q, 0), inside[None]
    if tallied.bad is not None:
        good = good & ~tallied.bad[:, None]
    value = by_kind(_of_whole, _of_fractions, x, counts, q, method)
    return value if good is True else jnp.where(good, value, jnp.nan)


def by_kind(
    of_whole: Any, of_fractions: Any, x: Array, counts: Any, given: Any, *options: Any
) -> Array:
    """Call the first function for whole counts, the second for fractional ones, or too many.

    Sums of fractions are not exact, so whole numbers given as floats are worth a look at the data.
    """
    if counts is None or counts.dtype == np.bool_:
        return of_whole(x, counts, given, *options)

    def as_integers(x: Array, counts: Array, given: Array) -> Array:
        return of_whole(x, counts.astype(jnp.int32), given, *options)

    def as_they_are(x: Array, counts: Array, given: Array) -> Array:
        return of_fractions(x, counts, given, *options)

    return lax.cond(is_whole(counts), as_integers, as_they_are, x, counts, given)


def _of_whole(x: Array, counts: Any, q: Any, method: str) -> Array:
    size, dtype = total(x, counts), accumulator(x.dtype)
    rank, part = rank_of(q[None], size, METHODS[method])
    xp = np if isinstance(rank, np.ndarray) else jnp
    m, last = rank.shape[1], xp.broadcast_to(xp.maximum(size - 1, 0), (rank.shape[0], 1))
    found = select(x, counts, xp.concatenate([rank, xp.minimum(rank + 1, last), last], axis=1))
    low, high, end = found[:, :m].astype(dtype), found[:, m:-1].astype(dtype), found[:, -1:]
    good = end == end if counts is None else (end == end) & (size > 0)
    return jnp.where(good, between(low, high, jnp.asarray(part, dtype)), jnp.nan)


def rank_of(q: Any, size: Any, method: Method) -> tuple[Any, Any]:
    """Return ⌊h⌋, from 0 to size − 1, and how much the element after that weighs."""
    if isinstance(q, np.ndarray):
        xp, h = np, q * (size + method.more) + (method.slope * q + method.shift)
        rank = np.floor(h).astype(np.int32)
        part = h - rank
    else:
        last = size + method.more
        last = max(last, 0) if isinstance(last, int) else jnp.maximum(last, 0)
        xp, (rank, part) = jnp, position(q, last)
        if method.shift:
            part = part + (method.slope * q + method.shift)
            carry = jnp.floor(part)
            rank, part = rank + carry.astype(rank.dtype), part - carry
        near, part = settled(part, rank.astype(part.dtype) + part)
        rank = rank + near.astype(rank.dtype)
    if method.part is not None:
        part = method.part(rank, part).astype(part.dtype)
        rank, part = rank + (part == 1).astype(rank.dtype), xp.where(part == 1, 0, part)
    if method.shift:
        part = xp.where((rank < 0) | (rank >= size - 1), 0, part)
        rank = xp.clip(rank, 0, xp.maximum(size - 1, 0))
    return rank, part


def position(q: Array, last: Array | int) -> tuple[Array, Array]:
    """Return the whole and the fractional part of q·last, in effect without rounding.

    A float32 product is off by whole ranks from 2²⁴ elements on, and by a visible part of one long
    before. Here q is split into 12 and 12 bits, last into 7, 12 and 12: their products are exact.
    """
    if q.dtype == np.float64:
        product = protect(q * jnp.asarray(last, q.dtype))  # rounded as NumPy's
        whole = jnp.floor(product)
        return whole.astype(jnp.int32), product - whole
    pieces = [last & mask for mask in (0xFFF, 0xFFF000, 0x7F000000)]
    if isinstance(last, int):
        pieces = np.array(pieces, np.float32).reshape(3, *(1,) * q.ndim)
    else:
        pieces = jnp.stack(pieces).astype(q.dtype)
    products = halves(q)[:, None] * pieces[None]
    wholes = jnp.floor(products)
    rest = jnp.sum(products - wholes, axis=(0, 1))
    carry = jnp.floor(rest)
    whole = jnp.sum(wholes.astype(jnp.int32), axis=(0, 1), dtype=jnp.int32)
    return whole + carry.astype(jnp.int32), rest - carry


def halves(q: Array) -> Array:
    """Return two float32 numbers of 12 bits each, along a new first axis, whose sum is q."""
    head = lax.bitcast_convert_type(q, jnp.uint32) & np.uint32(0xFFFFF000)
    head = lax.bitcast_convert_type(head, jnp.float32)
    return jnp.stack([head, q - head])


def settled(part: Array, rank: Array) -> tuple[Array, Array]:
    """Return whether a rank is the next whole one, and its fractional part, 0 of a whole one.

    A rank is whole where it misses a whole number by what rounding q moves it alone: 0.8·10 is
    8.0000001 in float32, and the element after the eighth may be infinite. Of long rows no more
    than 1/64 is taken for rounding: halves and quarters stay what they are.
    """
    lost = jnp.minimum(rank * (jnp.finfo(part.dtype).eps / 2), 1 / 64)
    near = 1 - part <= lost
    whole = jnp.where(near | (part <= lost), 0, part)
    return near, part + lax.stop_gradient(whole - part)  # the slope in q stays


@jax.custom_jvp
def between(low: Array, high: Array, part: Array) -> Array:
    """Return low + part·(high − low): their rounded mean at ½, and the lower end exactly.

    Infinite ends keep their meaning: −inf and 1 give −inf, inf and inf give inf. The distance may
    be larger than any number, and is taken in a unit that gives it room.
    """
    up, down = roomy(jnp.maximum(jnp.abs(low), jnp.abs(high)))
    a, b = low * up, high * up
    step = protect((b - a) * jnp.minimum(part, 1 - part))
    value = jnp.where(part < 0.5, a + step, b - step)  # in that unit a step is a number
    value = jnp.where(part == 0.5, (a + b) * 0.5, value) * down
    value = jnp.where(jnp.isfinite(b - a), value, low + high)
    return jnp.where(part == 0, low, value)


@between.defjvp
def _slopes(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (low, high, part), (d_low, d_high, d_part) = primals, tangents
    step = high - low
    step = jnp.where(jnp.isfinite(step), step, 0)
    return between(low, high, part), d_low * (1 - part) + d_high * part + d_part * step


def _of_fractions(x: Array, counts: Array, q: Array, method: str) -> Array:
    order = in_order(x, counts, q.dtype)
    none = jnp.zeros_like(order.one)
    last = add(order.size, (-order.one, none))
    last = each(lambda word: jnp.where(last[0] > 0, word, 0), last)
    width = jnp.minimum(order.size[0], order.one)

    def window(q: Array) -> Array:
        start = jnp.broadcast_to(q, none.shape), none
        if method == "inverted_cdf":
            return order.inverse(multiply(start, order.size))
        return order.mean(multiply(start, last), width)

    return jax.vmap(window, out_axes=1)(q)
