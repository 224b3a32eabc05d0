"""From arrays to memories: every mean, variance and covariance starts here.

First pass: blocks about pivots, one read of memory, with a certificate: q / M2 bounds the digits
that the shift may have cost. Where it says more than four bits, or a square left the range of its
type, a second pass about the mean, in units of a power of two, takes its place. One variable and
pairs take the same path, so the variance of x is the covariance of x with itself, bit for bit.
"""

from math import prod
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._blocks import (
    Plan,
    accumulator,
    block_pivots,
    choose,
    difference,
    first_valid,
    segment_sums,
    tree_sum,
    widen,
)
from ._certificate import LOST_BITS, doubtful, out_of_range
from ._certificate import units as units_of
from ._count import Count
from ._moments import Moments, weight_in
from ._rounding import divide, protect


class Sums(NamedTuple):
    """Central sums about `pivots + offsets`, in `units`; every leaf has the kept shape.

    Attributes:
        weight: a `Count`, or the sum of weights.
        pivots: first words of the means, in the data's own type.
        offsets: second words of the means.
        powers: M2 (and M3, M4), or Mxx, Myy, Cxy; empty for means only.
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
    def valid(self) -> Array | None:
        if self.weight is None or self.weight.dtype == np.bool_:
            return self.weight
        return self.weight != 0

    @property
    def products(self) -> list[tuple[int, int]]:
        """Which two variables each sum of products multiplies."""
        return [(0, 0)] if len(self.values) == 1 else [(0, 0), (1, 1), (0, 1)]


def moments(
    x: Array, axes: tuple[int, ...], order: int = 2, weights=None, accuracy: str = "default"
) -> Moments:
    """Gather one variable's memory over axes.

    Args:
        x: real array of any dtype; half precision is summed in float32, integers are shifted before
            they are rounded.
        axes: the axes to reduce, non-negative.
        order: the highest power kept: 1, 2 or 4.
        weights: None, a bool array (which elements count), or non-negative floats; broadcast
            against x.
        accuracy: "high" always makes the second pass.

    Returns:
        A `Moments` of the kept shape.
    """
    sums = central_sums((x,), axes, order, weights, accuracy)
    (unit,), powers = sums.units, sums.powers
    scaled = [m * unit * unit for m in powers[:1]]
    if order == 4:
        scaled += [powers[1] * unit * unit * unit, powers[2] * unit * unit * unit * unit]
    return Moments(sums.weight, *two_words(sums.pivots[0], sums.offsets[0]), *scaled)


def central_sums(values, axes, order: int = 2, weights=None, accuracy: str = "default") -> Sums:
    """Gather the sums of one or two variables over axes; the core of all others.

    Order 0 gives means only, as exact as they can be; order 1 means about values of the data.
    """
    shape = values[0].shape
    data, kept = _canonical(values, axes, weights, accuracy)
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


def _canonical(values, axes, weights, accuracy) -> tuple[_Data, list[int]]:
    # to (outer, n, inner): free where the reduced axes lie side by side, a transposition where they
    # do not
    shape, ndim = values[0].shape, values[0].ndim
    axes = sorted(axes)
    kept = [i for i in range(ndim) if i not in axes]
    adjacent = not axes or axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if axes and adjacent else len(kept)
    order = kept[:first] + axes + kept[first:]
    flat = (
        prod(shape[i] for i in kept[:first]),
        prod(shape[i] for i in axes),
        prod(shape[i] for i in kept[first:]),
    )

    def arrange(v: Array) -> Array:
        return lax.reshape(v if adjacent else lax.transpose(v, order), flat)

    if weights is not None:
        weights = arrange(jnp.broadcast_to(weights, shape))
    return _Data([arrange(widen(v)) for v in values], weights, choose(flat, accuracy)), kept


def _empty(data: _Data, order: int) -> Sums:
    outer, _, inner = data.values[0].shape
    dtype = accumulator(data.values[0].dtype)
    zero, k = jnp.zeros((outer, inner), dtype), len(data.values)
    count = (
        Count.of(0, zero.shape) if data.weight is None or data.weight.dtype == np.bool_ else zero
    )
    powers = [zero] * {0: 0, 1: 0, 2: 2 * k - 1, 4: 3}[order]
    return Sums(count, [zero] * k, [zero] * k, powers, [zero + 1] * k, powers[:k])


def _best(data: _Data, order: int) -> Sums:
    """Take one pass where its certificate allows, else two."""
    if order <= 1:
        first = _about_first(data, 1) if data.plan.corrected else _first_pass(data, 1)
        return _about_mean_itself(data, first) if order == 0 and data.plan.corrected else first
    if data.plan.corrected:
        return _second_pass(data, _about_first(data), order)
    first = _first_pass(data, 2)
    # lax.cond: nobody pays for a second read of memory that the data do not need. Squares out of
    # range: the same pass in other units, so that a power of two in the data changes no bit.
    odd = out_of_range(first.shifted, first.offsets)
    first = lax.cond(odd, lambda s: _first_pass(data, 2, s), lambda s: s, first)
    if order == 4:
        return _second_pass(data, first, order)
    squares = first.powers[: len(first.units)]
    again = doubtful(first.shifted, squares, first.offsets)
    return lax.cond(again, lambda s: _second_pass(data, s, order), lambda s: s, first)


def _about_first(data: _Data, order: int = 2) -> Sums:
    """Sum about the first valid value, the same whether the masked ones are there or not."""
    origins = [first_valid(x, data.valid) for x in data.values]
    return _one_block(data, origins, *_totals(data, origins, None, order), order)


def _about_mean_itself(data: _Data, first: Sums) -> Sums:
    # a first value far out: its distance to the mean, in one word, lacks the mean's last digits.
    # Not for sums of squares, whose pivots are data, so that translations stay exact.
    if not jnp.issubdtype(data.values[0].dtype, jnp.floating):
        return first
    means = [p + o for p, o in zip(first.pivots, first.offsets, strict=True)]
    means = [jnp.where(jnp.isfinite(m), m, p) for m, p in zip(means, first.pivots, strict=True)]
    return _one_block(data, means, *_totals(data, means, None, 1), 1)


def _totals(data: _Data, origins, shifts, order: int) -> tuple[list[Array], list[Array]]:
    pivots = [o[:, None] for o in origins]
    parts = [
        segment_sums(data.values, pivots, data.weight, shifts, order, s, data.plan)
        for s in data.plan.segments
    ]
    sums = tree_sum([jnp.concatenate(p, axis=1) for p in zip(*parts, strict=True)])
    terms = _terms(len(data.values), order)
    return sums[:-terms], sums[-terms:]


def _first_pass(data: _Data, order: int, failed: Sums | None = None) -> Sums:
    """Sum blocks about their own pivots, then join them; in better units than those that failed."""
    units, shifts = None, None
    if failed is not None:
        units, inverses = zip(*map(units_of, failed.shifted, failed.offsets), strict=True)
        shifts = [(i[:, None], jnp.zeros_like(i)[:, None]) for i in inverses]
    fallback = [first_valid(x, data.valid) for x in data.values]
    pivots, sums = [], []
    for segment in data.plan.segments:
        local = [
            block_pivots(x, data.valid, f, segment)
            for x, f in zip(data.values, fallback, strict=True)
        ]
        pivots.append(local)
        sums.append(
            segment_sums(data.values, local, data.weight, shifts, order, segment, data.plan)
        )
    join = lambda parts: [jnp.concatenate(p, axis=1) for p in zip(*parts, strict=True)]  # noqa: E731
    return _join(data, join(pivots), join(sums), order, units)


def _join(data: _Data, pivots, sums, order: int, units) -> Sums:
    k, dtype = len(data.values), accumulator(data.values[0].dtype)
    counts, sums = sums[: -_terms(k, order)], sums[-_terms(k, order) :]
    w = _block_weights(data, counts, dtype)
    if w.shape[1] == 1:
        pivots, counts, sums = ([v[:, 0] for v in field] for field in (pivots, counts, sums))
        return _one_block(data, pivots, counts, sums, order, units)
    origins = [p[:, 0] for p in pivots]
    means = [jnp.where(w == 0, 0, divide(s, jnp.where(w == 0, 1, w))) for s in sums[:k]]
    # blocks' means, counted from the origin
    steps = [difference(p, o[:, None]) for p, o in zip(pivots, origins, strict=True)]
    if units is not None:
        steps = [s / u[:, None] for s, u in zip(steps, units, strict=True)]
    steps = [s + m for s, m in zip(steps, means, strict=True)]
    weight = _total_weight(data, counts)
    total = weight_in(weight, dtype)
    offsets = _over(tree_sum([w * s for s in steps]), total)
    units = [jnp.ones_like(o) for o in offsets] if units is None else list(units)
    if order == 1:
        return Sums(weight, origins, offsets, [], units, [])
    some = jnp.where(w == 0, 1, w)
    inside = [
        q - divide(protect(sums[i] * sums[j]), some)
        for q, (i, j) in zip(sums[k:], data.products, strict=True)
    ]
    apart = [s - o[:, None] for s, o in zip(steps, offsets, strict=True)]
    between = [w * protect(apart[i] * apart[j]) for i, j in data.products]
    # a step's rounding enters M2 by the root of its certificate, a deviation's in full
    shifted = [q + w * s * s * 2.0**-LOST_BITS for q, s in zip(sums[k:], steps, strict=False)]
    powers = tree_sum([m + protect(b) for m, b in zip(inside, between, strict=True)])
    # the offsets were rounded: what that left over is taken off again
    rest = tree_sum([w * a for a in apart])
    powers = _less_drift(powers, rest, total, data.products)
    offsets = [o * u for o, u in zip(offsets, units, strict=True)]
    return Sums(weight, origins, offsets, powers, units, tree_sum(shifted))


def _less_drift(powers, rest, total, products) -> list[Array]:
    # M = Q - S S / W, symmetric in the variables to the bit
    drift = _over([protect(rest[i] * rest[j]) for i, j in products], total)
    return [m - d for m, d in zip(powers, drift, strict=True)]


def _one_block(data: _Data, pivots, counts, sums, order: int, units=None) -> Sums:
    k, weight = len(pivots), _total_weight(data, [c[:, None] for c in counts])
    total = weight_in(weight, sums[0].dtype)
    offsets = _over(sums[:k], total)
    units = [jnp.ones_like(o) for o in offsets] if units is None else list(units)
    powers = (
        _less_drift(sums[k : k + len(data.products)], sums, total, data.products)
        if order > 1
        else []
    )
    offsets = [o * u for o, u in zip(offsets, units, strict=True)]
    return Sums(weight, pivots, offsets, powers, units, sums[k : 2 * k])


def _terms(variables: int, order: int) -> int:
    return (
        {1: variables, 2: 3 * variables - (variables == 1), 4: 4}[order]
        if variables == 1 or order == 1
        else 5
    )


def _over(sums: list[Array], total: Array) -> list[Array]:
    return [jnp.where(total == 0, 0, divide(s, jnp.where(total == 0, 1, total))) for s in sums]


def _second_pass(data: _Data, first: Sums, order: int) -> Sums:
    """Sum about the first pass's means, and correct for what those were off by."""
    k, total = len(data.values), weight_in(first.weight, first.offsets[0].dtype)
    units, inverses = zip(*map(units_of, first.shifted, first.offsets), strict=True)
    units = [a * b for a, b in zip(units, first.units, strict=True)]
    inverses = [a / b for a, b in zip(inverses, first.units, strict=True)]
    offsets = [
        jnp.where(jnp.isfinite(o), o, 0) for o in first.offsets
    ]  # an overflowed sum: begin at the pivot
    shifts = [(i[:, None], (o * i)[:, None]) for o, i in zip(offsets, inverses, strict=True)]
    _, sums = _totals(data, first.pivots, shifts, order)
    drift = _over(sums[:k], total)
    raw = sums[k:] if order == 2 else sums[k : k + 1]
    powers = _less_drift(raw[: len(data.products)], sums, total, data.products)
    if order == 4:
        powers += _about_mean(total, drift[0], *sums[k:])
    offsets = [o + protect(d * u) for o, d, u in zip(offsets, drift, units, strict=True)]
    return Sums(first.weight, first.pivots, offsets, powers, list(units), raw[:k])


def _about_mean(total, t, s2, s3, s4) -> list[Array]:
    # sums of powers about a point t away from the mean, moved to the mean
    m3 = s3 - 3 * t * s2 + 2 * total * t * t * t
    m4 = s4 - 4 * t * s3 + 6 * t * t * s2 - 3 * total * (t * t) * (t * t)
    return [m3, m4]


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
