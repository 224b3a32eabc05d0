"""From arrays to memories: every mean, variance and covariance starts here.

Small arrays are summed once, in two words (`accurate`). Large ones are read once, in blocks about
pivots, with a certificate: q / M2 bounds the digits that the shifts may have cost. Where it says
more than four bits, or a square left the range of its type, a second pass about the mean, in units
of a power of two, takes its place (`passes`). One variable and pairs take the same path, so the
variance of x is the covariance of x with itself, bit for bit.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..numbers.counts import Count
from ..numbers.two_words import one_word
from ..numbers.units import inverse_unit
from ..sums.blocks import accumulator, difference, finite, heaviest, largest_within, widen
from ..sums.layout import SMALL, choose, in_three
from .accurate import exact_sums, mean_of
from .certificate import doubt
from .passes import (
    Data,
    Sums,
    block_pivots_of,
    far_means,
    far_unit,
    first_pass,
    merge_blocks,
    read_blocks,
    second_pass,
    total_weight,
)

AGAIN = 2**18  # so many numbers are read again at a time, if some rows are in doubt


def central_sums(values, axes, order: int = 2, weights=None, accuracy: str = "default") -> Sums:
    """Gather the sums of one or two variables over axes; the core of all others.

    Args:
        values: real arrays of one shape and dtype; half precision is summed in float32, integers
            are shifted before they are rounded.
        axes: the axes to reduce, non-negative.
        order: 0 for means alone, as exact as they can be; 1 for means about values of the data; 2.
        weights: None, a bool array (which elements count), or floats in units of the largest, of
            which negative ones give nan; of the values' shape.
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
    rounded = jnp.minimum(pivot.astype(offset.dtype), largest_within(pivot.dtype, offset.dtype))
    return rounded, offset + difference(pivot, rounded.astype(pivot.dtype))


def canonical(values, axes, weights, accuracy) -> tuple[Data, list[int]]:
    """Bring data to three axes; return them, and which axes are kept."""
    shape, axes = values[0].shape, tuple(sorted(axes))
    arrays = [in_three(widen(v), axes) for v in values]
    if weights is not None:
        weights = in_three(jnp.broadcast_to(weights, shape), axes)
    kept = [i for i in range(len(shape)) if i not in axes]
    outer, n, inner = arrays[0].shape
    return Data(arrays, weights, choose((outer, n, inner), accuracy)), kept


def _empty(data: Data, order: int) -> Sums:
    outer, _, inner = data.values[0].shape
    dtype = accumulator(data.values[0].dtype)
    zero, k = jnp.zeros((outer, inner), dtype), len(data.values)
    count = (
        Count.of(0, zero.shape) if data.weight is None or data.weight.dtype == np.bool_ else zero
    )
    powers = [zero] * (2 * k - 1 if order == 2 else 0)
    return Sums(count, [zero] * k, [zero] * k, powers, [zero + 1] * k, powers[:k])


def _best(data: Data, order: int) -> Sums:
    """Sum in two words what is small; else take one pass where its certificate allows, or two."""
    if data.plan.corrected:
        return _in_two_words(data, order)
    # the mean reads what the variance reads, so that both together read it once
    blocks = read_blocks(data)
    first = merge_blocks(data, blocks)
    if order < 2:
        floats = jnp.issubdtype(data.values[0].dtype, jnp.floating)
        squares = blocks.sums[-len(data.products) :][: len(data.values)]
        return _mean_of(data, first, squares) if floats else first._replace(powers=[], shifted=[])
    # What a branch reads is written down: of one block its sums, of many what is made of them.
    # Pivots are found anew, since to read one number of a short row is to read the row.
    single = blocks.sums[0].shape[1] == 1
    held = blocks._replace(pivots=[]) if single else first
    finish = merge_blocks if single else lambda _, sums: sums
    known = _Known(data, _flat(data[:2]), _flat(held), lambda d, h: finish(d, _shaped(h, held)))
    # lax.cond: nobody pays for a second read of memory that the data do not need
    return _placed(first._replace(**lax.cond(_doubt(first) > 0, known.again, known.kept)))


class _Known(NamedTuple):
    """The data, also without axes of length 1; what the first pass found; how to read that."""

    data: Data
    flat: Any
    held: Any
    finish: Callable[[Data, Any], Sums]

    def kept(self) -> dict[str, Any]:
        """Return what the first pass says."""
        return _moving(self.finish(self.data, self.held))

    def again(self) -> dict[str, Any]:
        """Read the rows in doubt again, with neighbours: so few at a time as the cache holds."""
        outer, n, inner = self.data.values[0].shape
        rows = max(1, AGAIN // (n * inner))
        if rows >= outer:
            return _careful(self.data, self.finish(self.data, self.held))

        def look(i: Array, found: Any) -> Any:
            start = jnp.minimum(i * rows, outer - rows)

            def put(v: Array, new: Array) -> Array:
                return lax.dynamic_update_slice_in_dim(v, new, start, 0)

            return jax.tree.map(put, found, _flat(self._rows(start, rows)))

        kept = self.kept()
        return _shaped(lax.fori_loop(0, -(-outer // rows), look, _flat(kept)), kept)

    def _rows(self, start: Array, rows: int) -> dict[str, Any]:
        def cut(v: Array) -> Array:
            return lax.dynamic_slice_in_dim(v, start, rows)

        def read() -> Any:
            # by index: of a sharded array a cut would gather all
            take = partial(jnp.take, indices=start + jnp.arange(rows), axis=0, mode="clip")
            return _shaped(jax.tree.map(take, self.flat), self.data[:2])

        def again() -> dict[str, Any]:
            # a copy, since loops over one are of vectors
            values, weight = lax.optimization_barrier(read())
            return _careful(Data(values, weight, self.data.plan), first)

        values, weight = jax.eval_shape(read)
        first = self.finish(Data(values, weight, self.data.plan), jax.tree.map(cut, self.held))
        return lax.cond(_doubt(first) > 0, again, lambda: _moving(first))


def _mean_of(data: Data, first: Sums, squares: list[Array]) -> Sums:
    """Return the means, found in units if sums left the range of their type."""
    # nan stays nan, however often it is read
    flags = [[~jnp.isfinite(o) for o in first.offsets], [q == jnp.inf for q in squares]]
    lost = jnp.logical_and(*(reduce(jnp.logical_or, map(jnp.any, f)) for f in flags))
    offsets = lax.cond(lost, lambda: far_means(data, first), lambda: first.offsets)
    units = [jnp.where(lost, far_unit(u.dtype), u) for u in first.units]
    return _placed(first._replace(offsets=offsets, units=units, powers=[], shifted=[]))


def _placed(sums: Sums) -> Sums:
    """Take offsets out of their units; a mean that is too far from its pivot is its own."""
    pivots, offsets = [], []
    for pivot, offset, unit in zip(sums.pivots, sums.offsets, sums.units, strict=True):
        out = offset * unit
        if jnp.issubdtype(pivot.dtype, jnp.floating):
            inverse = inverse_unit(unit)
            start, far = pivot * inverse, ~jnp.isfinite(out) & jnp.isfinite(offset)
            mean = start + offset
            pivot = jnp.where(far, mean * unit, pivot)
            out = jnp.where(far, ((start - mean) + offset) * unit, out)
        pivots.append(pivot)
        offsets.append(out)
    return sums._replace(pivots=pivots, offsets=offsets)


def _flat(tree: Any) -> Any:
    # axes of length 1 would have the compiler lay out, and so copy, what a loop reads
    def keep(v: Any) -> list[int]:
        return [n for a, n in enumerate(v.shape) if a == 0 or n > 1]

    return jax.tree.map(lambda v: v.reshape(keep(v)), tree)


def _shaped(tree: Any, like: Any) -> Any:
    return jax.tree.map(lambda v, u: v.reshape(len(v), *u.shape[1:]), tree, like)


def _careful(data: Data, first: Sums) -> dict[str, Any]:
    """Make the same pass in other units if squares left the range, and a second if digits did."""
    if not first.pivots:
        (pivots,) = block_pivots_of(data)
        first = first._replace(pivots=[p[:, 0] for p in pivots])
    # so a power of two in the data changes no bit
    first = _either(_doubt(first) == 2, lambda: first_pass(data, first), first)
    return _moving(_either(_doubt(first) > 0, lambda: second_pass(data, first), first))


def _either(which: Array, new: Callable[[], Sums], old: Sums) -> Sums:
    return old._replace(**lax.cond(which, lambda: _moving(new()), lambda: _moving(old)))


def _moving(sums: Sums) -> dict[str, Any]:
    return {name: getattr(sums, name) for name in ("offsets", "powers", "units", "shifted")}


def _doubt(sums: Sums) -> Array:
    return doubt(sums.shifted, sums.powers[: len(sums.units)], sums.offsets)


def _in_two_words(data: Data, order: int) -> Sums:
    about = None
    if data.values[0].shape[1] > SMALL:  # the shift may cost a factor n: sum about the mean
        first = first_pass(data)
        starts = [heaviest(x, data.weight) for x in data.values]
        about = [
            finite(difference(p, s) + o)  # (units of 1)
            for p, s, o in zip(first.pivots, starts, first.offsets, strict=True)
        ]
    found = exact_sums(data.values, data.weight, about, order > 1)
    weight = total_weight(data, [] if found.weight is None else [found.weight[:, None]])
    pivots = found.pivots
    offsets = [one_word(m) * u for m, u in zip(found.means, found.units, strict=True)]
    if order == 0:
        words = zip(pivots, found.means, found.units, strict=True)
        pivots, offsets = map(list, zip(*(mean_of(*w) for w in words), strict=True))
    return Sums(weight, pivots, offsets, found.powers, found.units, found.shifted)
