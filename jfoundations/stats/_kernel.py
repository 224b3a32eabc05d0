"""From arrays to memories: every mean, variance and covariance starts here.

Small arrays are summed once, in two words (`_exact`). Large ones are read once, in blocks about
pivots, with a certificate: q / M2 bounds the digits that the shifts may have cost. Where it says
more than four bits, or a square left the range of its type, a second pass about the mean, in units
of a power of two, takes its place. One variable and pairs take the same path, so the variance of x
is the covariance of x with itself, bit for bit.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._rounding import divide, protect
from ._blocks import (
    accumulator,
    block_pivots,
    difference,
    first_valid,
    heaviest,
    segment_sums,
    widen,
)
from ._certificate import LOST_BITS, doubtful, out_of_range
from ._certificate import units as units_of
from ._count import Count
from ._exact import exact_sums, mean_of
from ._lines import Plan, after, choose, in_three
from ._moments import weight_in
from ._two_words import one_word, tree_sum


class Sums(NamedTuple):
    """Central sums about `pivots + offsets`, in `units`; every leaf has the kept shape.

    Attributes:
        weight: a `Count`, or the sum of weights.
        pivots: first words of the means, in the data's own type.
        offsets: second words of the means.
        powers: M2, or Mxx, Myy, Cxy; empty for means only.
        units: exact powers of two, one a variable: the true M2 is ``powers[0] * units[0]**2``.
        shifted: sums of squares about the pivots that gave ``powers``; shifted / M2 is the
            certificate.
    """

    weight: Count | Array
    pivots: list[Array]
    offsets: list[Array]
    powers: list[Array]
    units: list[Array]
    shifted: list[Array]


class _Data(NamedTuple):
    values: list[Array]
    weight: Array | None
    plan: Plan

    @property
    def products(self) -> list[tuple[int, int]]:
        """Which two variables each sum of products multiplies."""
        return [(0, 0)] if len(self.values) == 1 else [(0, 0), (1, 1), (0, 1)]


def central_sums(values, axes, order: int = 2, weights=None, accuracy: str = "default") -> Sums:
    """Gather the sums of one or two variables over axes; the core of all others.

    Args:
        values: real arrays of one shape and dtype; half precision is summed in float32, integers
            are shifted before they are rounded.
        axes: the axes to reduce, non-negative.
        order: 0 for means alone, as exact as they can be; 1 for means about values of the data; 2.
        weights: None, a bool array (which elements count), or floats, of which negative ones give
            nan; of the values' shape.
        accuracy: "high" sums arrays of any size in two words.
    """
    shape = values[0].shape
    data, kept = canonical(values, axes, weights, accuracy)
    outer, n, inner = data.values[0].shape
    sums = _empty(data, order) if n * outer * inner == 0 else _best(data, order)
    return _map(lambda leaf: leaf.reshape([shape[i] for i in kept]), sums)


def _map(f, sums: Sums) -> Sums:
    weight = (
        Count(f(sums.weight.high), f(sums.weight.low))
        if isinstance(sums.weight, Count)
        else f(sums.weight)
    )
    return Sums(weight, *([f(leaf) for leaf in field] for field in sums[1:]))


def two_words(pivot: Array, offset: Array) -> tuple[Array, Array]:
    """Give a mean as two floats."""
    # an integer pivot may need more digits than a float has: what is left over joins the offset
    if jnp.issubdtype(pivot.dtype, jnp.floating):
        return pivot, offset
    rounded = pivot.astype(offset.dtype)
    return rounded, offset + difference(pivot, rounded.astype(pivot.dtype))


def canonical(values, axes, weights, accuracy) -> tuple[_Data, list[int]]:
    """Bring data to three axes; return them, and which axes are kept."""
    shape, axes = values[0].shape, tuple(sorted(axes))
    arrays = [in_three(widen(v), axes) for v in values]
    if weights is not None:
        weights = in_three(jnp.broadcast_to(weights, shape), axes)
    kept = [i for i in range(len(shape)) if i not in axes]
    outer, n, inner = arrays[0].shape
    return _Data(arrays, weights, choose((outer, n, inner), accuracy)), kept


def _empty(data: _Data, order: int) -> Sums:
    outer, _, inner = data.values[0].shape
    dtype = accumulator(data.values[0].dtype)
    zero, k = jnp.zeros((outer, inner), dtype), len(data.values)
    count = (
        Count.of(0, zero.shape) if data.weight is None or data.weight.dtype == np.bool_ else zero
    )
    powers = [zero] * (2 * k - 1 if order == 2 else 0)
    return Sums(count, [zero] * k, [zero] * k, powers, [zero + 1] * k, powers[:k])


def _best(data: _Data, order: int) -> Sums:
    """Sum in two words what is small; else take one pass where its certificate allows, or two."""
    if data.plan.corrected:
        return _in_two_words(data, order)
    # the mean reads what the variance reads, so that both together read it once
    first = _first_pass(data)
    if order < 2:
        return first._replace(powers=[], shifted=[])
    squares = first.powers[: len(first.units)]
    odd = out_of_range(first.shifted, first.offsets)
    again = odd | doubtful(first.shifted, squares, first.offsets)
    # lax.cond: nobody pays for a second read of memory that the data do not need
    careful = lambda s: _careful(data, first._replace(**s), odd)  # noqa: E731
    moving = {name: getattr(first, name) for name in ("offsets", "powers", "units", "shifted")}
    return first._replace(**lax.cond(again, careful, lambda s: s, moving))


def _careful(data: _Data, first: Sums, odd: Array) -> dict[str, Any]:
    """Make the same pass in other units if squares left the range, and a second if digits did."""
    # so a power of two in the data changes no bit
    first = lax.cond(odd, lambda s: _first_pass(data, s), lambda s: s, first)
    again = doubtful(first.shifted, first.powers[: len(first.units)], first.offsets)
    found = lax.cond(again, lambda s: _second_pass(data, s), lambda s: s, first)
    return {k: v for k, v in found._asdict().items() if k not in ("weight", "pivots")}


def _in_two_words(data: _Data, order: int) -> Sums:
    about = None
    if data.values[0].shape[1] > 2**13:  # the shift may cost a factor n: sum about the mean
        first = _first_pass(data)
        starts = [heaviest(x, data.weight) for x in data.values]
        about = [
            _finite(difference(p, s) + o)
            for p, s, o in zip(first.pivots, starts, first.offsets, strict=True)
        ]
    # the squares too, which are dropped if nobody asks: mean and variance share their sums
    found = exact_sums(data.values, data.weight, about)
    weight = _total_weight(data, [] if found.weight is None else [found.weight[:, None]])
    pivots = found.pivots
    offsets = [one_word(m) * u for m, u in zip(found.means, found.units, strict=True)]
    if order == 0:
        words = zip(pivots, found.means, found.units, strict=True)
        pivots, offsets = map(list, zip(*(mean_of(*w) for w in words), strict=True))
    sums = Sums(weight, pivots, offsets, found.powers, found.units, found.shifted)
    return sums if order > 1 else sums._replace(powers=[], shifted=[])


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isfinite(x), x, 0)


def _first_pass(data: _Data, failed: Sums | None = None) -> Sums:
    """Sum blocks about their own pivots, then join them; in better units than those that failed."""
    units, shifts = None, None
    if failed is not None:
        units, inverses = zip(*map(units_of, failed.shifted, failed.offsets), strict=True)
        shifts = [(i[:, None], jnp.zeros_like(i)[:, None]) for i in inverses]
    fallback = [first_valid(x, data.weight) for x in data.values]
    pivots, sums, never = [], [], None
    for segment in data.plan.segments:
        if sums:
            never = sums[-1][-len(data.products)][:, -1:] < 0
        local = [
            after(block_pivots(x, data.weight, f, segment), never)
            for x, f in zip(data.values, fallback, strict=True)
        ]
        pivots.append(local)
        sums.append(segment_sums(data.values, local, data.weight, shifts, segment))
    counts, sums = _parted(data, _joined(sums))
    return _merge_blocks(data, _joined(pivots), counts, sums, units)


def _joined(segments: list[list[Array]]) -> list[Array]:
    return [jnp.concatenate(p, axis=1) for p in zip(*segments, strict=True)]


def _parted(data: _Data, sums: list[Array]) -> tuple[list[Array], list[Array]]:
    terms = len(data.values) + len(data.products)
    return sums[:-terms], sums[-terms:]


def _merge_blocks(data: _Data, pivots, counts, sums, units) -> Sums:
    k, dtype = len(data.values), accumulator(data.values[0].dtype)
    weight = _total_weight(data, counts)
    total = weight_in(weight, dtype)
    if sums[0].shape[1] == 1:
        return _one_block(data, weight, total, [p[:, 0] for p in pivots], sums, units)
    w = _block_weights(data, counts, dtype)
    some = jnp.where(w == 0, 1, w)
    origins = [p[:, 0] for p in pivots]
    # A nan square comes with a nan sum, so this changes nothing; but it keeps the squares alive
    # where only the mean is wanted, so that the compiler finds the variance's loop to be the same.
    firsts, products = sums[:k], sums[k:]
    firsts = [jnp.where(q == q, s, jnp.nan) for s, q in zip(firsts, products, strict=False)]
    means = [jnp.where(w == 0, 0, divide(s, some)) for s in firsts]
    # blocks' means, counted from the origin
    steps = [difference(p, o[:, None]) for p, o in zip(pivots, origins, strict=True)]
    if units is not None:
        steps = [s / u[:, None] for s, u in zip(steps, units, strict=True)]
    steps = [s + m for s, m in zip(steps, means, strict=True)]
    offsets = _over(tree_sum([w * s for s in steps]), total)
    inside = [
        q - divide(protect(firsts[i] * firsts[j]), some)
        for q, (i, j) in zip(products, data.products, strict=True)
    ]
    apart = [s - o[:, None] for s, o in zip(steps, offsets, strict=True)]
    between = [w * protect(apart[i] * apart[j]) for i, j in data.products]
    # a step's rounding enters M2 by the root of its certificate, a deviation's in full
    shifted = [q + w * s * s * 2.0**-LOST_BITS for q, s in zip(products, steps, strict=False)]
    both = [m + protect(b) for m, b in zip(inside, between, strict=True)]
    # the offsets were rounded: what that left over is taken off again
    found = tree_sum([w * a for a in apart] + shifted + both)
    rest, shifted, powers = found[:k], found[k : 2 * k], found[2 * k :]
    powers = _less_drift(data, powers, rest, total)
    units = [jnp.ones_like(o) for o in offsets] if units is None else list(units)
    offsets = [o * u for o, u in zip(offsets, units, strict=True)]
    return Sums(weight, origins, offsets, powers, units, shifted)


def _one_block(data: _Data, weight, total: Array, pivots, sums, units) -> Sums:
    k, sums = len(pivots), [s[:, 0] for s in sums]
    offsets = _over(sums[:k], total)
    units = [jnp.ones_like(o) for o in offsets] if units is None else list(units)
    powers = _less_drift(data, sums[k:], sums, total)
    offsets = [o * u for o, u in zip(offsets, units, strict=True)]
    return Sums(weight, pivots, offsets, powers, units, sums[k : 2 * k])


def _less_drift(data: _Data, powers, rest, total: Array) -> list[Array]:
    # M = Q - S S / W, symmetric in the variables to the bit
    drift = _over([protect(rest[i] * rest[j]) for i, j in data.products], total)
    return [m - d for m, d in zip(powers, drift, strict=True)]


def _over(sums: list[Array], total: Array) -> list[Array]:
    return [jnp.where(total == 0, 0, divide(s, jnp.where(total == 0, 1, total))) for s in sums]


def _second_pass(data: _Data, first: Sums) -> Sums:
    """Sum about the first pass's means, and correct for what those were off by."""
    k, total = len(data.values), weight_in(first.weight, first.offsets[0].dtype)
    units, inverses = zip(*map(units_of, first.shifted, first.offsets), strict=True)
    units = [a * b for a, b in zip(units, first.units, strict=True)]
    inverses = [a / b for a, b in zip(inverses, first.units, strict=True)]
    offsets = [_finite(o) for o in first.offsets]  # an overflowed sum: begin at the pivot
    shifts = [(i[:, None], (o * i)[:, None]) for o, i in zip(offsets, inverses, strict=True)]
    pivots = [p[:, None] for p in first.pivots]
    parts, never = [], None
    for segment in data.plan.segments:
        if parts:
            never = parts[-1][-len(data.products)][:, -1:] < 0
        local = [after(p, never) for p in pivots]
        parts.append(segment_sums(data.values, local, data.weight, shifts, segment))
    sums = tree_sum(_parted(data, _joined(parts))[1])
    drift = _over(sums[:k], total)
    powers = _less_drift(data, sums[k:], sums, total)
    offsets = [o + protect(d * u) for o, d, u in zip(offsets, drift, units, strict=True)]
    return Sums(first.weight, first.pivots, offsets, powers, list(units), sums[k : 2 * k])


def _block_weights(data: _Data, counts: list[Array], dtype) -> Array:
    if data.weight is None:
        sizes = [s.size for s in data.plan.segments for _ in range(s.blocks)]
        return jnp.asarray(np.array(sizes)[None, :, None], dtype)
    return counts[0].astype(dtype)


def _total_weight(data: _Data, counts: list[Array]) -> Count | Array:
    outer, n, inner = data.values[0].shape
    if data.weight is None:
        return Count.of(n, (outer, inner))
    if data.weight.dtype == np.bool_:
        return Count.from_array(counts[0]).sum(1)
    return tree_sum(counts)[0]
