"""What folds of one or two variables remember, and how two memories become one.

A memory keeps a weight, the mean as a data value and what is left to it, and sums of powers of
deviations, in units of a power of two near the deviations themselves, so that nothing under- or
overflows. All but the pivots and the units are kept in two words.

Sources: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"; Pébay
(2008), "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
statistical moments", for orders three and four.
"""

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from .._core.pytrees import pytree
from .._core.rounding import protect
from .._core.types import Function
from .._kernels.moments.derivatives import memory as sums_of
from .._kernels.moments.moments import Moments, times
from .._kernels.numbers.counts import Count
from .._kernels.numbers.two_words import two_sum
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.sample.weights import Frequency, Probability, Reliability
from .._kernels.sums.blocks import accumulator, counted, two_words, widen
from ._elements import weights_in_units
from ._words import Words, choose, without

Kind = type[Frequency] | type[Reliability] | type[Probability] | None


@pytree
class Weight:
    """How much was seen.

    Attributes:
        total: the sum of the weights; a `Count` where each is one.
        heavy: the weights' mean by weight, Σw²/W, for `Reliability`, else None. The sum of their
            squares would leave the range of its type where they are very large or small.
        seen: how many are not 0, where they are weights, else None.
    """

    total: Count | Words
    heavy: Words | None = None
    seen: Count | None = None

    def value(self, dtype: DTypeLike) -> jax.Array:
        """Return the total, rounded."""
        return self.total.astype(dtype) if isinstance(self.total, Count) else self.total.value

    @property
    def count(self) -> Count:
        """How many elements were seen, those of weight 0 left out."""
        return self.total if isinstance(self.total, Count) else self.seen  # type: ignore

    def joined(self, other: "Weight", mine: jax.Array, its: jax.Array, sign: int) -> "Weight":
        """Return the weight of both, of which the shares are given."""
        join: Function = operator.add if sign > 0 else without
        heavy = None
        if self.heavy is not None and other.heavy is not None:
            heavy = Words.of(protect(self.heavy.value * mine)).more(other.heavy.value * its)
        seen = None if self.seen is None else join(self.seen, other.seen)
        return Weight(join(self.total, other.total), heavy, seen)

    def __int__(self) -> int:
        return int(self.total)

    def size(self, kind: Kind, dtype: DTypeLike) -> jax.Array:
        """Return how many observations the weights stand for."""
        total = self.value(dtype)
        if kind is Probability and self.seen is not None:
            return self.seen.astype(dtype)
        if self.heavy is None:
            return total
        heavy = self.heavy.value
        return total / jnp.where(heavy > 0, heavy, 1)

    def free(self, kind: Kind, correction: ArrayLike, dtype: DTypeLike) -> jax.Array:
        """Return what a sum of squares is divided by, as the kind of weights has it."""
        total = self.value(dtype)
        seen = None if self.seen is None else self.seen.astype(dtype)
        free = (Frequency if kind is None else kind)(None).free
        if self.heavy is None:
            return free(total, None, seen, correction)
        scale = binary_unit(total)
        total, heavy = (v * inverse_unit(scale) for v in (total, self.heavy.value))
        return free(total, heavy * total, seen, correction) * scale


@pytree
class Memory:
    """The sums of one variable, or of two.

    Attributes:
        weight: how much was seen.
        pivots: for each variable a data value.
        offsets: for each the mean less the pivot.
        units: for each a power of two; none for means alone.
        powers: in these units, M2 (and M3, M4) of one variable, or Mxx, Myy, Mxy of two.
    """

    weight: Weight
    pivots: tuple[jax.Array, ...]
    offsets: tuple[Words, ...]
    units: tuple[jax.Array, ...] = ()
    powers: tuple[Words, ...] = ()

    @property
    def dtype(self) -> Any:
        """The float that sums are kept in."""
        return self.offsets[0].high.dtype

    @property
    def total(self) -> jax.Array:
        """The sum of the weights, in one word."""
        return self.weight.value(self.dtype)

    @property
    def mean(self) -> jax.Array:
        """The mean of the first variable; nan of nothing."""
        return self.moments(None).mean

    def moments(self, kind: Kind) -> Moments:
        """Return what formulas are made of."""
        words = [(p, o.value) for p, o in zip(self.pivots, self.offsets, strict=True)]
        powers = [p.value for p in self.powers]
        free = partial(self.weight.free, kind, dtype=self.dtype)
        size = partial(self.weight.size, kind, self.dtype)
        return Moments(self.total, words, powers, self.units, free, size)

    def over(self, power: int, kind: Kind, correction: ArrayLike) -> jax.Array:
        """Return a sum of squares or products over what the weights leave, in units."""
        return self.moments(kind).over(power, correction)


def gather(
    values: tuple[jax.Array, ...], weights: jax.Array | None, kind: Kind, order: int
) -> Memory:
    """Return the memory of a block of rows.

    Args:
        values: one or two arrays, all of the shape (n, ...).
        weights: None, bools (which elements there are) or floats ≥ 0, of that shape.
        kind: the class of the weights, or None.
        order: 0 (means alone), 2 or 4.
    """
    weights, heft = weights_in_units(weights)
    total, words, powers, units = sums_of(values, weights, (0,), order, "default")
    pivots, rest = zip(*(_about_finite(*pair) for pair in words), strict=True)
    weight = _weight(total, values[0], weights, kind, heft)
    offsets = tuple(map(Words.of, rest))
    if order == 0:
        return Memory(weight, pivots, offsets)
    near = tuple(_near(p, total, u) for p, u in zip(powers, units, strict=False))
    ratios = [u / n for u, n in zip(units, near, strict=True)]
    scaled = [
        Words.of(times(p, *factors, heft))
        for p, factors in zip(powers, _factors(ratios, len(powers)), strict=True)
    ]
    return Memory(weight, pivots, offsets, near, tuple(scaled))


def of_element(
    values: tuple[jax.Array, ...], weight: jax.Array | None, kind: Kind, order: int
) -> Memory:
    """Return the memory of one element.

    Args:
        values: one or two arrays, real and of one shape and dtype.
        weight: how much it counts: None, a bool or a float ≥ 0, of that shape.
        kind: the class of the weights, or None.
        order: 0, 2 or 4.
    """
    keep = None if weight is None else counted(weight)
    dtype = accumulator(values[0].dtype)
    pairs = []
    for x in values:
        pivot, offset = two_words(widen(x), lax.full_like(x, 0, dtype))
        pivot = pivot if keep is None else jnp.where(keep, pivot, 0)
        pairs.append(_about_finite(pivot.astype(dtype), offset))
    pivots, offsets = zip(*pairs, strict=True)
    zero = lax.full_like(pivots[0], 0)
    count = Count.of(1, zero.shape) if keep is None else Count.from_array(keep.astype(np.int32))
    if kind is None or weight is None:
        known = Weight(count)
    else:
        heavy = Words.of(weight.astype(dtype))
        known = Weight(heavy, heavy if issubclass(kind, Reliability) else None, count)
    offsets = tuple(map(Words.of, offsets))
    if order == 0:
        return Memory(known, pivots, offsets)
    least = binary_unit(zero)
    powers = 3 if len(values) == 2 else order - 1
    return Memory(known, pivots, offsets, (least,) * len(values), (Words.of(zero),) * powers)


def _about_finite(pivot: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
    # an infinite mean is one about 0, else two of them would be inf - inf apart
    finite = jnp.isfinite(pivot)
    return jnp.where(finite, pivot, 0), jnp.where(finite, offset, pivot + offset)


def _pairs(variables: Any) -> list[tuple[int, int]]:
    return [(0, 0)] if len(variables) == 1 else [(0, 0), (1, 1), (0, 1)]


def _factors(units: Sequence[jax.Array], powers: int) -> list[tuple[jax.Array, ...]]:
    """Return by which units each sum of powers or products is to be multiplied."""
    if len(units) == 2:
        x, y = units
        return [(x, x), (y, y), (x, y)]
    return [(units[0],) * k for k in range(2, 2 + powers)]


def _near(m2: jax.Array, total: jax.Array, unit: jax.Array) -> jax.Array:
    """Return the power of two near a standard deviation; the least where that is 0."""
    mean_square = m2 / jnp.where(total > 0, total, 1)
    deviation = jnp.sqrt(lax.stop_gradient(mean_square))
    return binary_unit(jnp.minimum(deviation * unit, jnp.finfo(unit.dtype).max))


def _weight(
    total: jax.Array, x: jax.Array, weights: jax.Array | None, kind: Kind, heft: jax.Array | None
) -> Weight:
    if weights is None:
        count = Count.of(x.shape[0], x.shape[1:])
    else:
        count = Count.from_array(jnp.sum(counted(weights), axis=0, dtype=np.int32))
    if kind is None or weights is None:
        return Weight(count)
    heavy = None
    if issubclass(kind, Reliability):
        w = jnp.broadcast_to(weights, x.shape).astype(total.dtype)
        heavy = jnp.sum(protect(w * w), axis=0) / jnp.where(total > 0, total, 1)
        heavy = Words.of(times(heavy, heft))
    return Weight(Words.of(times(total, heft)), heavy, count)


def merge(a: Memory, b: Memory, sign: int = 1) -> Memory:
    """Join the memories of two halves of the data; an empty side changes no bit of the other.

    With the sign -1 all that b has seen counts the other way: so it is taken out of a again.
    """
    wa, wb = (m.weight.value(m.dtype) for m in (a, b))
    whole = wa + wb
    if sign < 0:
        wb, whole = -wb, Weight(without(a.weight.total, b.weight.total)).value(a.dtype)
    whole = lax.select(whole == 0, lax.full_like(whole, 1), whole)
    # the heavier keeps its pivot, so that no mean is further from it than a number can be
    mine = wa >= wb
    p, q = wa / whole, wb / whole
    empty = (wa == 0) | (wb == 0)
    gaps = [
        jnp.where(empty, 0, _quarter(x, ox, y, oy))
        for x, ox, y, oy in zip(a.pivots, a.offsets, b.pivots, b.offsets, strict=True)
    ]
    share = lax.select(mine, q, -p)
    sides = zip(a.pivots, b.pivots, a.offsets, b.offsets, gaps, strict=True)
    means = [
        _moved(
            jnp.where(mine, x, y), choose(mine, oa, ob), protect(gap * share), oa, _signed(ob, sign)
        )
        for x, y, oa, ob, gap in sides
    ]
    pivots, offsets = zip(*means, strict=True)
    weight = a.weight.joined(b.weight, p, q, sign)
    if not a.powers:
        return Memory(weight, pivots, offsets)
    sizes = [binary_unit(lax.stop_gradient(gap)) * 4 for gap in gaps]
    units = tuple(map(_largest, a.units, b.units, sizes))
    d = [gap / (unit / 4) for gap, unit in zip(gaps, units, strict=True)]
    lever = wa * q
    mine, its = _rescaled(a, units), [_signed(y, sign) for y in _rescaled(b, units)]
    powers = [
        (x + y).more(d[i] * d[j] * lever)
        for x, y, (i, j) in zip(mine, its, _pairs(d), strict=False)
    ]
    if len(a.powers) == 3 and len(gaps) == 1:
        powers += _third_and_fourth(mine, its, d[0], lever, p, q)
    return Memory(weight, pivots, offsets, units, tuple(powers))


def _signed(words: Words, sign: int) -> Words:
    return words if sign > 0 else -words


def _quarter(x: jax.Array, ox: Words, y: jax.Array, oy: Words) -> jax.Array:
    """Return a quarter of the distance of two means: the whole may be larger than any number."""
    between, lost = two_sum(y / 4, -x / 4)
    rest = (oy.high / 4 - ox.high / 4) + (oy.low / 4 - ox.low / 4)
    return between + (lax.stop_gradient(lost) + rest)


def _moved(
    pivot: jax.Array, offset: Words, quarter: jax.Array, a: Words, b: Words
) -> tuple[jax.Array, Words]:
    """Return the mean of both, of which a quarter of the step from the heavier's is given."""
    # inf - inf is nan, but the mean of two infinite means of one sign is infinite
    known = lax.is_finite(a.high) & lax.is_finite(b.high)
    moved = offset.more(quarter * 4)
    # a mean that is further from its pivot than the largest number is a pivot of its own
    rest = offset.high / 4 + quarter
    mean = pivot / 4 + rest
    far = known & ~lax.is_finite(moved.high)
    left = Words(((pivot / 4 - mean) + rest) * 4, jnp.zeros_like(mean))
    moved = choose(known, moved, Words.of(a.high + b.high))
    return jnp.where(far, mean * 4, pivot), choose(far, left, moved)


def _largest(a: jax.Array, b: jax.Array, gap: jax.Array) -> jax.Array:
    return lax.max(lax.max(a, b), gap)


def _rescaled(memory: Memory, units: tuple[jax.Array, ...]) -> list[Words]:
    ratios = [old / new for old, new in zip(memory.units, units, strict=True)]
    scaled = []
    for power, several in zip(memory.powers, _factors(ratios, len(memory.powers)), strict=True):
        for factor in several:
            power = power.times(factor)
        scaled.append(power)
    return scaled


def _third_and_fourth(
    a: list[Words], b: list[Words], d: jax.Array, lever: jax.Array, p: jax.Array, q: jax.Array
) -> list[Words]:
    (a2, b2), (a3, b3) = ((a[k].value, b[k].value) for k in (0, 1))
    # each product is rounded by itself, so that every program gives the same bits
    squared = protect(d * d)
    # M3 = M3a + M3b + D**3 Wa Wb (Wa - Wb) / W**2 + 3 D (Wa M2b - Wb M2a) / W
    apart = protect(squared * lever * (p - q))
    m3 = (a[1] + b[1]).more(d * (apart + protect(3 * (protect(p * b2) - protect(q * a2)))))
    # M4 = M4a + M4b + D**4 Wa Wb (Wa**2 - Wa Wb + Wb**2) / W**3
    #    + 6 D**2 (Wa**2 M2b + Wb**2 M2a) / W**2 + 4 D (Wa M3b - Wb M3a) / W
    pp, pq, qq = protect(p * p), protect(p * q), protect(q * q)
    spread = protect(6 * (protect(pp * b2) + protect(qq * a2)))
    far = protect(squared * (spread + protect(squared * lever * (pp - pq + qq))))
    return [m3, (a[2] + b[2]).more(far + protect(4 * d * (protect(p * b3) - protect(q * a3))))]
