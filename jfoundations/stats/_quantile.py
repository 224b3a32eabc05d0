"""Quantiles of rows that hold each element some number of times, whole or fractional.

Element i fills an interval as long as its count; end to end, in ascending order, the intervals are
a step function Q on [0, W]. The quantile q is the mean of Q over the window [h, h + 1] with
h = q·(W − 1). For whole counts that is NumPy's linear interpolation in the repeated sample, and it
is continuous in every weight.

Source: Hyndman and Fan (1996), "Sample quantiles in statistical packages", type 7; Akinshin (2023),
"Weighted quantile estimators".
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._arguments import accumulator
from ._keys import encode, last_key
from ._select import first_above, neighbours, total
from ._sum import total as sum_of
from ._tally import Tally, hide, is_whole, padded


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
    """Call the first function for whole counts, the second for fractional ones.

    Sums of fractions are not exact, so whole numbers given as floats are worth a look at the data.
    """
    if counts is None or not jnp.issubdtype(counts.dtype, jnp.inexact):
        return of_whole(x, counts, *rest)

    def as_integers(x: jax.Array, counts: jax.Array, *rest: Any) -> jax.Array:
        return of_whole(x, counts.astype(jnp.int32), *rest)

    return lax.cond(is_whole(counts), as_integers, of_fractions, x, counts, *rest)


def _of_whole(x: jax.Array, counts: Any, q: jax.Array) -> jax.Array:
    size = total(x, counts)[:, None]
    rank, part = position(q[None], jnp.maximum(size - 1, 0))
    low, high, spoilt = neighbours(x, counts, rank)
    value = between(low.astype(part.dtype), high.astype(part.dtype), part)
    return jnp.where((size > 0) & ~spoilt[:, None], value, jnp.nan)


def position(q: jax.Array, last: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the whole and the fractional part of q·last, in effect without rounding.

    A float32 product is off by whole ranks from 2²⁴ elements on, and by a visible part of one long
    before. Here q is split into 12 and 12 bits, last into 7, 12 and 12: their products are exact.
    """
    if q.dtype == np.float64:
        product = q * last.astype(q.dtype)
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


def between(low: jax.Array, high: jax.Array, part: jax.Array) -> jax.Array:
    """Return low + part·(high − low): their rounded mean at ½, and either end exactly.

    Infinite ends keep their meaning: −inf and 1 give −inf, inf and inf give inf.
    """
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    a, b = jnp.where(finite, low, 0), jnp.where(finite, high, 0)
    value = jnp.where(
        part < 0.5, a + rounded_product(b - a, part), b - rounded_product(b - a, 1 - part)
    )
    # the last term is 0 there; it keeps the derivative in q
    left, right = rounded_product(a, 0.5), rounded_product(b, 0.5)
    middle = left + right + rounded_product(right - left, 2 * part - 1)
    value = jnp.where(part == 0.5, middle, value)
    ends = jnp.where((part == 0) | (low == high), low, low + high)
    return jnp.where(finite, value, ends)


def rounded_product(a: jax.Array, b: Any) -> jax.Array:
    """Return a·b rounded, not fused into the sum that follows: NumPy's bits."""
    info = jnp.finfo(a.dtype)
    return lax.reduce_precision(a * b, info.nexp, info.nmant)


def _of_fractions(x: jax.Array, counts: jax.Array, q: jax.Array) -> jax.Array:
    ordered, count, through = in_order(x, counts)
    before = jnp.concatenate([jnp.zeros_like(through[:, :1]), through[:, :-1]], axis=1)
    size = through[:, -1:]
    start = q[None] * jnp.maximum(size - 1, 0)
    spoilt = jnp.any(jnp.isnan(ordered), axis=1)
    value = ordered.astype(through.dtype)

    def window(start: jax.Array) -> jax.Array:
        # of [start, start + 1], measured from one after the whole number below it
        whole = jnp.floor(start)[:, None]
        part = start[:, None] - whole
        left = jnp.maximum(before - whole - 1, part - 1)
        right = jnp.minimum(through - whole - 1, part)
        share = jnp.where(count > 0, jnp.maximum(right - left, 0), 0)
        at = first_above(through, start[:, None])
        return average(value, share, jnp.take_along_axis(value, at, axis=1), width)

    width = jnp.minimum(size[:, 0], 1)
    found = jax.vmap(window, in_axes=1, out_axes=1)(start)
    return jnp.where((size > 0) & ~spoilt[:, None], found, jnp.nan)


def in_order(x: jax.Array, counts: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return rows sorted, with their counts and the counts' running sums; what counts 0 is last."""
    x = hide(x, counts)
    keys = jnp.where(counts > 0, encode(x), last_key(encode(x).dtype))
    places = lax.broadcasted_iota(jnp.int32, x.shape, 1)
    _, counts, places = lax.sort((keys, counts, places), num_keys=1)
    return jnp.take_along_axis(x, places, axis=1), counts, jnp.cumsum(counts, axis=1)


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
    rest = jnp.where(used & finite, x - about, 0)
    mean = sum_of(rest, share, (1,), "default")[:, 0] / jnp.where(size > 0, size, 1)
    ends = jnp.sum(jnp.where(used & ~finite, x, 0), axis=1)
    return jnp.where(jnp.any(used & ~finite, axis=1), ends, about[:, 0] + mean)
