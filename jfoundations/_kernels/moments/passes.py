"""The passes over large arrays: in blocks about pivots, then about the mean that those gave.

What a pass finds are central sums; `central_sums` decides which pass is needed.
"""

from math import isqrt
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from ..._core.rounding import divide, protect
from ..numbers.counts import Count
from ..numbers.units import inverse_unit
from ..sums.blocks import (
    accumulator,
    block_pivots,
    counted,
    difference,
    finite,
    first_valid,
    in_units,
    segment_sums,
    signed,
)
from ..sums.layout import Plan, after
from ..sums.tree_sums import tree_sum
from .certificate import LOST_BITS, product_over
from .certificate import units as units_of
from .memories import weight_in


class Sums(NamedTuple):
    """Central sums about `pivots + offsets`, in `units`; every leaf has the kept shape.

    Attributes:
        weight: a `Count`, or the sum of weights.
        pivots: first words of the means, in the data's own type.
        offsets: second words of the means, in the units until the kernel takes them out.
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


class Data(NamedTuple):
    """One or two variables (outer, n, inner), how much each element counts, how they are cut."""

    values: list[Array]
    weight: Array | None
    plan: Plan

    @property
    def products(self) -> list[tuple[int, int]]:
        """Which two variables each sum of products multiplies."""
        return [(0, 0)] if len(self.values) == 1 else [(0, 0), (1, 1), (0, 1)]


def first_pass(data: Data, failed: Sums | None = None) -> Sums:
    """Sum blocks about their own pivots, then join them; in better units than those that failed."""
    return merge_blocks(data, read_blocks(data, failed))


class Blocks(NamedTuple):
    """What one pass finds, (outer, blocks, inner): its sums are about the pivots, in the units."""

    pivots: list[Array]
    counts: list[Array]
    sums: list[Array]
    units: list[Array] | None


def read_blocks(data: Data, failed: Sums | None = None) -> Blocks:
    """Sum blocks about their own pivots, in better units than those that failed."""
    units, shifts = None, None
    if failed is not None:
        found = map(units_of, failed.shifted, failed.offsets)
        units, inverses = map(list, zip(*found, strict=True))
        shifts = [(i[:, None], jnp.zeros_like(i)[:, None]) for i in inverses]
    pivots, sums, never = [], [], None
    for segment, local in zip(data.plan.segments, block_pivots_of(data), strict=True):
        if sums:
            never = sums[-1][-len(data.products)][:, -1:] < 0
        pivots.append([after(p, never) for p in local])
        sums.append(segment_sums(data.values, pivots[-1], data.weight, shifts, segment))
    counts, sums = _parted(data, _joined(sums))
    return Blocks(_joined(pivots), counts, sums, units)


def block_pivots_of(data: Data) -> list[list[Array]]:
    """Return for each segment, for each variable, a value of each block: (outer, blocks, inner)."""
    first = [first_valid(x, data.weight) for x in data.values]
    pairs = list(zip(data.values, first, strict=True))
    return [[block_pivots(x, data.weight, f, s) for x, f in pairs] for s in data.plan.segments]


def _joined(segments: list[list[Array]]) -> list[Array]:
    return [jnp.concatenate(p, axis=1) for p in zip(*segments, strict=True)]


def _parted(data: Data, sums: list[Array]) -> tuple[list[Array], list[Array]]:
    terms = len(data.values) + len(data.products)
    return sums[:-terms], sums[-terms:]


def merge_blocks(data: Data, blocks: Blocks) -> Sums:
    """Join what was found of blocks; of the data only the layout is needed."""
    pivots, counts, sums, units = blocks
    k, dtype = len(data.values), accumulator(data.values[0].dtype)
    weight = total_weight(data, counts)
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
    starts = [o[:, None] for o in origins]
    if units is None:
        steps = list(map(difference, pivots, starts))
    else:
        inverses = [inverse_unit(u)[:, None] for u in units]
        steps = list(map(in_units, pivots, starts, inverses))
    steps = [s + m for s, m in zip(steps, means, strict=True)]
    offsets = _over(tree_sum([w * s for s in steps]), total)
    inside = [
        q - product_over(firsts[i], firsts[j], some)
        for q, (i, j) in zip(products, data.products, strict=True)
    ]
    apart = [s - o[:, None] for s, o in zip(steps, offsets, strict=True)]
    between = [w * protect(apart[i] * apart[j]) for i, j in data.products]
    # a step's rounding enters M2 by the root of its certificate, a deviation's in full
    # (an overflowed square stays one, whatever else overflowed)
    shifted = [
        jnp.where(q == jnp.inf, q, q + w * s * s * 2.0**-LOST_BITS)
        for q, s in zip(products, steps, strict=False)
    ]
    both = [m + protect(b) for m, b in zip(inside, between, strict=True)]
    # the offsets were rounded: what that left over is taken off again
    found = tree_sum([w * a for a in apart] + shifted + both)
    rest, shifted, powers = found[:k], found[k : 2 * k], found[2 * k :]
    powers = _less_drift(data, powers, rest, total)
    units = [jnp.ones_like(o) for o in offsets] if units is None else list(units)
    return Sums(weight, origins, offsets, powers, units, shifted)


def _one_block(data: Data, weight, total: Array, pivots, sums, units) -> Sums:
    k, sums = len(data.values), [s[:, 0] for s in sums]
    offsets = _over(sums[:k], total)
    units = [jnp.ones_like(o) for o in offsets] if units is None else list(units)
    powers = _less_drift(data, sums[k:], sums, total)
    return Sums(weight, pivots, offsets, powers, units, sums[k : 2 * k])


def _less_drift(data: Data, powers, rest, total: Array) -> list[Array]:
    # M = Q - S S / W, symmetric in the variables to the bit
    return [
        m - product_over(rest[i], rest[j], total)
        for m, (i, j) in zip(powers, data.products, strict=True)
    ]


def _over(sums: list[Array], total: Array) -> list[Array]:
    return [jnp.where(total == 0, 0, divide(s, jnp.where(total == 0, 1, total))) for s in sums]


def second_pass(data: Data, first: Sums) -> Sums:
    """Sum about the first pass's means, and correct for what those were off by."""
    k, total = len(data.values), weight_in(first.weight, first.offsets[0].dtype)
    units, inverses = zip(*map(units_of, first.shifted, first.offsets), strict=True)
    # an overflowed sum: begin at the pivot
    offsets = [finite(o) * i for o, i in zip(first.offsets, inverses, strict=True)]
    units = [a * b for a, b in zip(units, first.units, strict=True)]
    inverses = [a / b for a, b in zip(inverses, first.units, strict=True)]
    shifts = [(i[:, None], o[:, None]) for o, i in zip(offsets, inverses, strict=True)]
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
    offsets = [o + d for o, d in zip(offsets, drift, strict=True)]
    return Sums(first.weight, first.pivots, offsets, powers, list(units), sums[k : 2 * k])


def far_unit(dtype: DTypeLike) -> float:
    """Return the unit in which sums are in range, whatever they are of."""
    return 2.0 ** (jnp.finfo(dtype).maxexp * 25 // 32)


def far_means(data: Data, first: Sums) -> list[Array]:
    """Return offsets from the pivots, in far units, of means whose sums left the range."""
    total = weight_in(first.weight, first.offsets[0].dtype)
    unit, sums = far_unit(total.dtype), []
    for x, pivot in zip(data.values, first.pivots, strict=True):
        e = x / unit - (pivot / unit)[:, None]
        if data.weight is not None:
            w = signed(data.weight).astype(e.dtype)
            e = jnp.where(counted(data.weight), e * w, 0)
        sums.append(two_levels(e))
    return _over(sums, total)


def two_levels(v: Array) -> Array:
    """Add along axis 1: √n numbers, √n times, so that few additions follow one another."""
    side = isqrt(v.shape[1] - 1) + 1
    v = jnp.pad(v, ((0, 0), (0, side * side - v.shape[1]), (0, 0)))
    return jnp.sum(jnp.sum(v.reshape(v.shape[0], side, side, v.shape[2]), axis=2), axis=1)


def _block_weights(data: Data, counts: list[Array], dtype: DTypeLike) -> Array:
    if data.weight is None:
        sizes = [s.size for s in data.plan.segments for _ in range(s.blocks)]
        return jnp.asarray(np.array(sizes)[None, :, None], dtype)
    return counts[0].astype(dtype)


def total_weight(data: Data, counts: list[Array]) -> Count | Array:
    """Return how many elements there are, or the sum of their weights."""
    outer, n, inner = data.values[0].shape
    if data.weight is None:
        return Count.of(n, (outer, inner))
    if data.weight.dtype == np.bool_:
        return Count.from_array(counts[0]).sum(1)
    return tree_sum(counts)[0]
