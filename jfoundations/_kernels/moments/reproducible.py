"""Means and central sums from exact sums: the same bits in any order, on any number of devices.

With the exact integers W = Σw, S = Σwx and Q = Σwxy, the mean is S / W and the central sum is
(W Q − Sx Sy) / W. What cancels, cancels exactly; only the quotients are rounded.

>>> import jax.numpy as jnp
>>> x = jnp.array([1e8, 1.0, -1e8, 2.0], jnp.float32)
>>> float(limb_sum(x, (0,)).value())
3.0
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.rounding import divide, protect
from ..._core.types import PyTree
from ..numbers.binary_words import Format, Word, product, words
from ..numbers.two_words import two_product
from ..sums.blocks import accumulator
from ..sums.limbs import Limbs, carry, gather, leading, length, magnitude, plain
from .central_sums import Sums, canonical, central_sums


class Quotient(NamedTuple):
    """A ratio of exact sums: two floats, of about 1, times a power of two; and what was nan."""

    high: Array
    low: Array
    exponent: Array


def limb_sum(x: Array, axes: tuple[int, ...], weights: Array | None = None) -> Limbs:
    """Return Σx or Σwx over axes as `Limbs`, which are merged and rounded exactly."""
    data, kept = canonical((x,), axes, _valid(weights))
    total = _sum(data.values, data.weight)
    return jax.tree.map(lambda v: v.reshape(*v.shape[:-2], *(x.shape[i] for i in kept)), total)


def reproducible_sums(
    values: Sequence[Array], axes: tuple[int, ...], order: int, weights: Array | None
) -> Sums:
    """Gather what `central_sums.central_sums` does, each number rounded from exact sums.

    The central sums are exact up to one rounding; so are the means, in two words.
    """
    shape = values[0].shape
    if 0 in shape:
        return central_sums(values, axes, order, weights)
    data, kept = canonical(values, axes, _valid(weights))
    dtype = accumulator(data.values[0].dtype)
    whole = _weight(data.weight, data.values[0].shape, dtype)
    firsts = [_sum([v], data.weight) for v in data.values]
    pivots, offsets = zip(*(_mean(s, whole) for s in firsts), strict=True)
    powers, units = [], [jnp.ones_like(o) for o in offsets]
    if order > 1:
        central = []
        for i, j in data.products:
            q = _sum([data.values[i], data.values[j]], data.weight)
            central.append(_central(whole, q, firsts[i], firsts[j]))
        exponents = [_unit(c) for c in central[: len(values)]]
        units = [_power(e, dtype) for e in exponents]
        powers = [
            _scaled(c, exponents[i] + exponents[j])
            for c, (i, j) in zip(central, data.products, strict=True)
        ]
    sums = Sums(whole.value(), list(pivots), list(offsets), powers, units, powers[: len(values)])
    return jax.tree.map(lambda leaf: leaf.reshape([shape[i] for i in kept]), sums)


def _valid(weights: Array | None) -> Array | None:
    if weights is None or weights.dtype == np.bool_:
        return weights
    return jnp.where(weights < 0, jnp.nan, weights)


def _sum(factors: list[Array], weight: Array | None) -> Limbs:
    # of products; a weight that is no bool is one more factor, but says too what counts at all
    if weight is None or weight.dtype == np.bool_:
        return gather(_terms, (factors, weight), len(factors))
    return gather(lambda data: _terms((data, data[-1] != 0)), [*factors, weight], len(factors) + 1)


def _terms(data: tuple[list[Array], Array | None]) -> tuple[list[Word], Array]:
    # the words of each product, and what of it is no number
    factors, keep = data
    dtype = accumulator(factors[0].dtype)
    form = Format(jnp.dtype(dtype))
    terms, special = words(factors[0], dtype), factors[0].astype(dtype)
    finite = jnp.isfinite(special)
    for factor in factors[1:]:
        terms = [w for a in terms for b in words(factor, dtype) for w in product(a, b, form)]
        number = factor.astype(dtype)
        finite, special = finite & jnp.isfinite(number), special * number
    odd = ~finite if keep is None else keep & ~finite
    return [t.keep(keep) for t in terms], jnp.where(odd, special, 0)


def _weight(weight: Array | None, shape: Any, dtype: DTypeLike) -> Limbs:
    if weight is None:
        return Limbs.whole(shape[1], (shape[0], shape[2]), dtype)
    if weight.dtype == np.bool_:
        return gather(partial(_ones, dtype), weight, 0)
    return _sum([weight], None)


def _ones(dtype: DTypeLike, keep: Array) -> tuple[list[Word], Array]:
    size = keep.astype(Format(jnp.dtype(dtype)).unsigned)
    word = Word(size, jnp.zeros(keep.shape, jnp.int32), jnp.zeros_like(keep))
    return [word], jnp.zeros(keep.shape, dtype)


def _mean(total: Limbs, whole: Limbs) -> tuple[Array, Array]:
    ratio = _over(total, whole)
    special = total.special + whole.special
    high, low = _scaled(ratio, 0), _scaled(ratio._replace(high=ratio.low), 0)
    return jnp.where(special == 0, high, 0), jnp.where(special == 0, low, plain(special))


def _over(a: Limbs, b: Limbs) -> Quotient:
    """Divide two exact sums, to about twice the digits of a float; by 0, it is 0."""
    form = a.form
    negative, ah, al, _, _, pa = leading(a)
    _, bh, bl, _, _, pb = leading(b)
    some = (ah > 0) & (bh > 0)
    ah, al, bh, bl = (jnp.where(some, v, o) for v, o in ((ah, 0), (al, 0), (bh, 1), (bl, 0)))
    q = divide(ah, bh)
    p, e = two_product(q, bh)
    rest = ((ah - p) - e) + (al - protect(q * bl))
    more = divide(rest, bh)
    high = q + more
    low = more - (high - q)
    high, low = (jnp.where(negative, -v, v) for v in (high, low))
    exponent = pa - pb + (a.degree - b.degree) * form.least
    return Quotient(high, low, jnp.where(some, exponent, 0))


def _central(whole: Limbs, q: Limbs, sx: Limbs, sy: Limbs) -> Quotient:
    # M = (W Q - Sx Sy) / W
    a, b = _times(whole, q), _times(sx, sy)
    raw = Limbs(a.limbs - b.limbs, a.special + b.special, a.degree).settle()
    special = whole.special + q.special + sx.special + sy.special
    ratio = _over(raw, whole)
    # inf - inf: an infinite value has no central moment
    return ratio._replace(high=jnp.where(special == 0, ratio.high, jnp.nan))


def _times(a: Limbs, b: Limbs) -> Limbs:
    """Multiply exactly: digits of half a limb, as in long multiplication."""
    form, degree = a.form, a.degree + b.degree
    (na, la), (nb, lb) = magnitude(a), magnitude(b)
    da, db = _digits(la, form), _digits(lb, form)
    size = max(2 * length(form, degree), da.shape[0] + db.shape[0])
    room = jnp.concatenate([db, jnp.zeros((size - db.shape[0], *db.shape[1:]), db.dtype)])

    def step(state: PyTree, digit: Array) -> Any:
        total, shifted = state
        return (total + digit[None] * shifted, jnp.roll(shifted, 1, axis=0)), None

    (total, _), _ = lax.scan(step, (room * 0 + da[:1] * 0, room + da[:1] * 0), da)
    # two digits are a limb: the high one carries first, so that nothing overflows
    half, mask = form.limb // 2, 2 ** (form.limb // 2) - 1
    low, high = total[0::2], total[1::2]
    limbs = low + ((high & mask) << half)
    over = high >> half
    limbs = jnp.concatenate([limbs[:1], limbs[1:] + over[:-1]])
    limbs = carry(limbs, form)[: length(form, degree)]  # above the grid there is nothing
    limbs = jnp.where((na ^ nb)[None], -limbs, limbs)
    return Limbs(limbs, a.special + b.special, degree).settle()


def _digits(limbs: Array, form: Format) -> Array:
    half = form.limb // 2
    pairs = jnp.stack([limbs & (2**half - 1), limbs >> half], axis=1)
    return pairs.reshape(-1, *limbs.shape[1:])


def _unit(square: Quotient) -> Array:
    # the exponent of about the root, such that its square can still be divided and multiplied
    most = jnp.finfo(square.high.dtype).maxexp - 8
    return jnp.clip(square.exponent // 2, -most, most)


def _power(exponent: Array, dtype: DTypeLike) -> Array:
    form = Format(jnp.dtype(dtype))
    field = (exponent + jnp.finfo(form.dtype).maxexp - 1).astype(form.unsigned)
    return lax.bitcast_convert_type(field << (form.digits - 1), form.dtype)


def _scaled(ratio: Quotient, unit: Any) -> Array:
    # by three powers of two, each in range
    most = jnp.finfo(ratio.high.dtype).maxexp - 2
    rest, value = ratio.exponent - unit, ratio.high
    for _ in range(3):
        some = jnp.clip(rest, -most, most)
        value, rest = value * _power(some, value.dtype), rest - some
    return value
