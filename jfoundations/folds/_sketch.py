"""Every quantile of a stream to a share of its value, from counts of bins in a few KiB a number.

The bins are those of `_kernels.order.log_bins`: which there are depends on the largest magnitudes
alone. So a sketch is a function of the elements, in whatever order and parts they came.

>>> from jfoundations import fold, folds
>>> found = fold(folds.sketch(), np.array([1.0, 2.0, 4.0, 18.0], np.float32))
>>> int(found.count), found.maximum.tolist(), abs(float(found.quantile(0.9)) - 13.8) <= 0.138
(4, 18.0, True)
"""

from __future__ import annotations

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from .._core.pytrees import pytree, static
from .._kernels.numbers.counts import Count
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.order.counting import present
from .._kernels.order.log_bins import Ladder
from .._kernels.order.quantiles import between, position
from .._kernels.order.ranks import find, linear
from .._kernels.sample.arguments import accumulator
from .._kernels.sums.one_read import bounds
from ._amounts import Amounts, counted
from ._words import Words


@pytree
class Sketch:
    """How many elements there are in each bin: what `folds.sketch` answers.

    Two sketches of the same elements are equal to the bit, however these were cut, ordered and
    merged, and so are those of whole weights; sums of fractional weights are rounded. What a larger
    magnitude has joined nothing parts again, and what was the second least nobody knows: elements
    cannot be taken out of a sketch.

    Attributes:
        bins: of the shape (..., slots + 3), an element's shape first: −∞, the bins in ascending
            order, ∞, and nan.
        tops: the largest fine bin of positive and of negative elements, of shape (..., 2).
        ends: the least and the largest element, of shape (..., 2); nan is neither.
        at_ends: how many elements are equal to these.
        around: what was subtracted from the elements.
        ladder: which bins there are.
        dtype: the elements' dtype.
    """

    bins: Amounts
    tops: jax.Array
    ends: jax.Array
    at_ends: Amounts
    around: jax.Array
    ladder: Ladder = static()
    dtype: Any = static()

    @property
    def count(self) -> jax.Array | Count:
        """How many elements there are but nan: int64 under x64, else a `Count`; weights add up."""
        size = _size(self.bins.wide())
        return size.answer() if isinstance(size, Count) else size.value

    @property
    def minimum(self) -> jax.Array:
        """The least element but nan, exactly; of nothing the dtype's largest."""
        return self.ends[..., 0]

    @property
    def maximum(self) -> jax.Array:
        """The largest element but nan, exactly; of nothing the dtype's least."""
        return self.ends[..., 1]

    @property
    def at_minimum(self) -> jax.Array | Count:
        """How many elements are equal to the least, as `count` has it."""
        return _answer(self.at_ends, 0)

    @property
    def at_maximum(self) -> jax.Array | Count:
        """How many elements are equal to the largest, as `count` has it."""
        return _answer(self.at_ends, 1)

    def quantile(self, q: Any) -> jax.Array:
        """Return quantiles, linear between two order statistics that are each nearly known.

        Args:
            q: probabilities, a scalar or of shape (m,).

        Returns:
            Floats of q's shape and then an element's; nan of nothing, where a nan counts, and for
            q outside [0, 1].
        """
        q = jnp.asarray(q, accumulator(self.dtype))
        value = _quantile(self, jnp.atleast_1d(q))
        return value.reshape(*q.shape, *value.shape[1:])

    def limits(self, q: Any) -> tuple[jax.Array, jax.Array]:
        """Return between which numbers quantiles of the elements, as floats, lie for certain.

        Args:
            q: probabilities, a scalar or of shape (m,).

        Returns:
            The lower and the upper ones, as `quantile` returns them. What rounded x - around is not
            in them.
        """
        q = jnp.asarray(q, accumulator(self.dtype))
        low, high = _limits(self, jnp.atleast_1d(q))
        return tuple(v.reshape(*q.shape, *v.shape[1:]) for v in (low, high))  # type: ignore


@pytree
class Places:
    """Where the two order statistics are whose mean a quantile is.

    Attributes:
        bins: which of the bins but that of nan, of shape (2, m, ...).
        ranks: the ranks within the bins.
        sizes: how many elements the bins hold.
        end: -1 of those equal to the least element, 1 of those equal to the largest, else 0.
        part: the share of the upper one, of shape (m, ...).
        good: whether there is an answer at all.
    """

    bins: jax.Array
    ranks: Count
    sizes: Count
    end: jax.Array
    part: jax.Array
    good: jax.Array

    def answer(self, values: jax.Array) -> jax.Array:
        """Return the quantiles, given the numbers of shape (2, m, ...)."""
        dtype = accumulator(values.dtype)
        low, high = values.astype(dtype)
        return jnp.where(self.good, between(low, high, self.part.astype(dtype)), jnp.nan)


def carrier(dtype: DTypeLike) -> Any:
    """Return the float dtype whose exponent and mantissa are looked at."""
    return np.dtype(accumulator(dtype))


def shifted(x: jax.Array, around: jax.Array) -> jax.Array:
    """Return the floats that are counted, of elements of shape (n, ...)."""
    x = x.astype(carrier(x.dtype))
    return x - around.astype(x.dtype)[None]


def sketched(
    x: jax.Array,
    times: jax.Array | None,
    bad: jax.Array | None,
    around: jax.Array,
    ladder: Ladder,
) -> Sketch:
    """Return the sketch of elements of shape (n, ...).

    Args:
        x: the elements.
        times: how often each is there, of x's shape: None, bools, uint32 or float32 ≥ 0.
        bad: which count as nan whatever they are, or None.
        around: what is subtracted from them; it broadcasts to an element.
        ladder: which bins there are to be.
    """
    shape, dtype = x.shape[1:], np.dtype(x.dtype)
    around = jnp.broadcast_to(around, shape)
    x, y = (v.reshape(len(x), prod(shape)) for v in (x, shifted(x, around)))
    times = None if times is None else jnp.broadcast_to(times, (len(x), *shape)).reshape(x.shape)
    known = x == x
    if bad is not None:
        known &= ~jnp.broadcast_to(bad, (len(x), *shape)).reshape(x.shape)
    there = known if times is None else known & present(times)
    finite = there & jnp.isfinite(y)
    # the largest fine bin is that of the largest number, which a CPU finds sooner
    y_known = jnp.where(finite, y, 0)
    most = [f(y_known, axis=0, initial=0) for f in (jnp.max, jnp.min)]
    tops = ladder.fine(jnp.stack(most, axis=-1))
    index = 1 + ladder.slot(ladder.fine(y), y < 0, tops[None])
    last = ladder.slots + 1
    index = jnp.where(jnp.isfinite(y), index, jnp.where(y < 0, 0, last))
    index = jnp.where(there, index, last + 1)  # what counts 0 times may lie beyond all bins
    bins = counted(index, last + 2, times)
    most, least = bounds(x.dtype)
    low = jnp.min(jnp.where(there, x, most), axis=0, initial=most)
    high = jnp.max(jnp.where(there, x, least), axis=0, initial=least)
    ends = jnp.stack([low, high], axis=-1)
    ends = jnp.where(ends == 0, jnp.zeros_like(ends), ends)  # of 0 and -0 either may be the least
    at_ends = _equal_to(x, ends, there, times)
    parts = (bins, tops, ends, at_ends)
    bins, tops, ends, at_ends = jax.tree.map(lambda v: v.reshape(*shape, v.shape[-1]), parts)
    return Sketch(bins, tops, ends, at_ends, around, ladder, dtype)


@jax.jit
def merged(a: Sketch, b: Sketch) -> Sketch:
    """Return the sketch of the elements of both."""
    tops = jnp.maximum(a.tops, b.tops)
    bins = _moved(a, tops) + _moved(b, tops)
    low = jnp.minimum(a.ends[..., 0], b.ends[..., 0])
    ends = jnp.stack([low, jnp.maximum(a.ends[..., 1], b.ends[..., 1])], axis=-1)

    def kept(one: Sketch) -> Amounts:
        equal = one.ends == ends
        return jax.tree.map(lambda v: jnp.where(equal, v, jnp.zeros_like(v)), one.at_ends)

    return Sketch(bins, tops, ends, kept(a) + kept(b), a.around, a.ladder, a.dtype)


def _equal_to(x: jax.Array, ends: jax.Array, there: jax.Array, times: Any) -> Amounts:
    """Return how many elements are equal to each of two numbers a column."""
    first, second = (there & (x == ends[None, :, k]) for k in (0, 1))
    if times is None or times.dtype == np.bool_:
        equal = [jnp.sum(v, axis=0, dtype=np.int32) for v in (first, second)]
        return Amounts.of(Count.from_array(jnp.stack(equal, axis=-1)))
    found = counted(jnp.where(first, 1, 0) + jnp.where(second, 2, 0), 4, times)
    alone, both = (jax.tree.map(lambda v, k=k: v[:, k], found) for k in (slice(1, 3), slice(3, 4)))
    return alone + jax.tree.map(lambda v: jnp.broadcast_to(v, (len(v), 2)), both)


@jax.jit
def _moved(a: Sketch, tops: jax.Array) -> Amounts:
    """Return the bins as they are with these largest fine bins."""
    fine, _, negative = a.ladder.held(a.tops)
    place = 1 + a.ladder.slot(fine, negative, tops[..., None, :])
    ends = (0, a.ladder.slots + 1, a.ladder.slots + 2)
    first, *others = (jnp.full((*place.shape[:-1], 1), end, np.int32) for end in ends)
    return a.bins.moved(jnp.concatenate([first, place, *others], axis=-1))


def _size(bins: Count | Words) -> Count | Words:
    known = jax.tree.map(lambda v: v[..., :-1], bins)
    if isinstance(known, Count):
        return known.sum(known.ndim - 1)
    return Words(jnp.sum(known.high, axis=-1), jnp.sum(known.low, axis=-1))


def _answer(amounts: Amounts, place: int) -> jax.Array | Count:
    wide = jax.tree.map(lambda v: v[..., place], amounts.wide())
    return wide.answer() if isinstance(wide, Count) else wide.value


def _rows(tree: Any) -> Any:
    return jax.tree.map(lambda v: v.reshape(-1, v.shape[-1]), tree)


def _as_counts(weights: Words, unit: jax.Array) -> Count:
    """Return weights as whole numbers, of which the total is at most about 2**30."""
    return Count.from_array(jnp.round(weights.value * unit * 2.0**29).astype(np.int32))


def places(found: Sketch, q: jax.Array) -> Places:
    """Return where quantiles are, for q of shape (m,)."""
    shape = (len(q), *found.tops.shape[:-1])
    bins, at_ends = _rows((found.bins, found.at_ends))
    lost = jnp.any(bins.full(), axis=-1)
    nans = (bins.main[:, -1] > 0) | (bins.rest[:, -1] != 0)
    bins, at_ends = bins.wide(), at_ends.wide()
    bins = jax.tree.map(lambda v: v[:, :-1], bins)
    inside = (q >= 0) & (q <= 1)
    q = jnp.where(inside, q, 0)
    if isinstance(bins, Words):
        unit = inverse_unit(binary_unit(jnp.sum(bins.value, axis=-1, keepdims=True)))
        bins, at_ends = (_as_counts(v, unit) for v in (bins, at_ends))
        size = bins.sum(1)
        total = size.low.astype(np.int32)[None]
        whole, more = position(q[:, None], total)
        rank = whole - (whole >> 24) - jnp.where(more > 0, 1, 2)  # q and the weights are rounded
        rank = Count.from_array(jnp.maximum(jnp.where(q[:, None] == 1, total - 1, rank), 0))
        low, high, part = rank, rank, jnp.zeros(rank.shape, q.dtype)
    else:
        size = bins.sum(1)
        low, high, part = linear(q, size)
    ends = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), low, high)
    place, ranks = find(bins, ends)
    sizes = jax.tree.map(lambda v: jnp.take_along_axis(v, place.T, axis=1).T, bins)
    lower, upper = (jax.tree.map(lambda v, k=k: v[None, :, k], at_ends) for k in (0, 1))
    size = size[None]
    end = jnp.where(ends + upper >= size, 1, jnp.where(ends < lower, -1, 0))
    parts = (place, ranks, sizes, end)
    place, ranks, sizes, end = jax.tree.map(lambda v: v.reshape(2, *shape), parts)
    good = inside[:, None] & size.positive() & ~(nans | lost)[None]
    return Places(place, ranks, sizes, end, part.reshape(shape), good.reshape(shape))


@jax.jit
def edges(found: Sketch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the bins' ends, lower and upper, and their levels, of the shape (..., slots + 2).

    They are floats around `found.around`; those of infinities are infinite.
    """
    dtype, ladder = carrier(found.dtype), found.ladder
    low, high = ladder.edges(found.tops, dtype)
    level = ladder.held(found.tops)[1]
    infinite = jnp.full((*low.shape[:-1], 1), np.inf, dtype)
    low, high = (jnp.concatenate([-infinite, v, infinite], axis=-1) for v in (low, high))
    widths = [(0, 0)] * (level.ndim - 1) + [(1, 1)]
    return low, high, jnp.pad(level, widths)


def at(bins: jax.Array, place: jax.Array) -> jax.Array:
    """Return what there is of bins (..., bins) at places of shape (2, m, ...)."""
    wide = jnp.broadcast_to(bins, (*place.shape[:2], *bins.shape))
    return jnp.take_along_axis(wide, place[..., None], axis=-1)[..., 0]


@jax.jit
def _quantile(found: Sketch, q: jax.Array) -> jax.Array:
    place = places(found, q)
    low, high, level = (at(v, place.bins) for v in edges(found))
    dtype = low.dtype
    half, size = (v.astype(dtype) for v in (place.ranks, place.sizes))
    part = (half + 0.5) / jnp.maximum(size, 1)
    span = jnp.where(jnp.isfinite(low) & jnp.isfinite(high), high, low) - low
    value = jnp.where(jnp.isfinite(low), low, 0) + jnp.where(jnp.isfinite(span), span, 0) * part
    # all that the bin may hold is to be within the accuracy of the answer
    share = np.asarray(found.ladder.accuracy, dtype) * (1 << level).astype(dtype)
    down, up = 1 - share, 1 + share
    value = jnp.where(low >= 0, jnp.clip(value, high * down, low * up), value)
    value = jnp.where(high <= 0, jnp.clip(value, high * up, low * down), value)
    value = jnp.where((low < 0) & (high > 0), 0, value)
    if not jnp.issubdtype(found.dtype, jnp.inexact):
        near, far = (f(jnp.abs(low), jnp.abs(high)) for f in (jnp.minimum, jnp.maximum))
        whole = jnp.ceil(near)
        value = jnp.where(jnp.ceil(far) - 1 == whole, jnp.copysign(whole, value), value)
    value = jnp.where(jnp.isinf(low), low, value + found.around.astype(dtype)[None, None])
    return place.answer(_between_ends(found, place, value))


@jax.jit
def _limits(found: Sketch, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    place = places(found, q)
    around = found.around[None, None]
    ends = (at(v, place.bins) + around.astype(v.dtype) for v in edges(found)[:2])
    low, high = (place.answer(_between_ends(found, place, v)) for v in ends)
    return low, high


def _between_ends(found: Sketch, place: Places, value: jax.Array) -> jax.Array:
    low, high = (found.ends[None, None, ..., k].astype(value.dtype) for k in (0, 1))
    value = jnp.clip(value, low, high)
    return jnp.where(place.end < 0, low, jnp.where(place.end > 0, high, value))
