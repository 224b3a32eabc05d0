"""Moments of groups: the elements that share a segment id, each column by itself.

All is flat: the element in row i and column k, with the id s, is of group s · columns + k.
Deviations are taken from a value of the group, its pivot, so that constants and exact shifts stay
exact, then from the mean; sums go over lanes of elements, then over lanes. What a formula does not
ask for is not summed.

Source: the two-pass algorithm; Chan, Golub and LeVeque (1983), "Algorithms for computing the sample
variance".
"""

import functools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.ops import segment_max, segment_min, segment_sum

from ..._core.pytrees import pytree, static
from ..._core.rounding import divide, protect
from ..numbers.two_words import exact_words
from ..numbers.units import binary_unit, inverse_unit
from ..sample.arguments import Data, Nan, accumulator, answer, join
from ..sample.weights import Probability, Reliability, free_in_units, size_in_units
from .moments import Moments

PARTS = 16  # at least: pivots are looked for in the first
LANES = 10  # powers of two of them in a part
FEW = 1024  # rows, of which all are looked at for pivots


class Layout(NamedTuple):
    """How rows of so many columns are dealt out: to parts, in each to lanes in turn, to segments.

    Rounding grows with how many numbers are added up one after another: those of a lane.
    """

    rows: int
    columns: int
    segments: int

    @property
    def groups(self) -> int:
        """How many there are."""
        return self.segments * self.columns

    @property
    def bits(self) -> tuple[int, int]:
        """The powers of two that are a part's length, and its lanes."""
        length = max(self.rows // PARTS, 1).bit_length() - 1
        # of at most a quarter as many sums as elements
        lanes = max(self.rows // (8 * PARTS * self.segments), 1).bit_length() - 1
        return length, min(lanes, LANES)

    @property
    def parts(self) -> int:
        """How many there are, 16 to 32 of not too few rows."""
        return -(-self.rows >> self.bits[0])

    @property
    def slots(self) -> int:
        """How many sums there are: of each group in each lane."""
        return (self.parts << self.bits[1]) * self.groups


@pytree
class Groups:
    """Whom each element belongs to, and how much it counts.

    Attributes:
        layout: of rows and columns.
        place: (n,), the sum of its group and lane; the one beyond all if it does not count.
        weights: (n,), in units of the group's largest; None where all count alike.
        heft: (groups,), these units, powers of two; None for 1.
        heavy: (parts, groups), the weights of the groups in each part.
        total: (groups,), those in all.
    """

    layout: Layout = static()
    place: Array
    weights: Array | None
    heft: Array | None
    heavy: Array
    total: Array

    @staticmethod
    def of(data: Data, ids: Array, segments: int, nan: Nan, dtype: np.dtype) -> "Groups":
        """Join weights, `where` and `nan`; find the groups."""
        shape, weights = data.values[0].shape, join(data, nan)
        layout = Layout(shape[0], prod(shape[1:]), segments)
        if len(shape) > 1:
            column = lax.broadcasted_iota(np.int32, (layout.rows, layout.columns), 1)
            ids = (ids[:, None] * layout.columns + column).reshape(-1)
        keep = ids < layout.groups
        if weights is not None:
            counts = weights.reshape(-1)  # nan, a negative weight, is kept: it must show
            keep &= counts if counts.dtype == np.bool_ else counts != 0
        place = jnp.where(keep, _base(layout) + ids, layout.slots)
        w = heft = None
        if weights is not None and weights.dtype != np.bool_:
            w = jnp.where(keep, weights.reshape(-1), 0).astype(dtype)
            # weights on any scale: those of each group in a unit of their own
            largest = segment_max(lax.stop_gradient(w), place - _base(layout), layout.groups)
            heft = binary_unit(jnp.maximum(largest, 0))
            w = w * _spread(inverse_unit(heft), place, layout)
        heavy = _parts(jnp.ones(len(ids), dtype) if w is None else w, place, layout)
        return Groups(layout, place, w, heft, heavy, jnp.sum(heavy, axis=0))

    def spread(self, values: Array) -> Array:
        """Return each element's group's value."""
        return _spread(values, self.place, self.layout)

    def add(self, values: Array) -> Array:
        """Return the groups' weighted sums: of lanes, of parts, of all."""
        weighed = values if self.weights is None else protect(values * self.weights)
        return jnp.sum(_parts(weighed, self.place, self.layout), axis=0)

    def average(self, values: Array) -> Array:
        """Return the groups' means, 0 where there is nothing."""
        return divide(self.add(values), jnp.where(self.total > 0, self.total, 1))


# Functions of their own, so that a program holds each once.


@functools.partial(jax.jit, static_argnums=0)
def _base(layout: Layout) -> Array:
    """Return where the sums of each element's lane begin."""
    row = lax.broadcasted_iota(np.int32, (layout.rows, layout.columns), 0).reshape(-1)
    length, lanes = layout.bits
    lane = row & np.int32((1 << lanes) - 1)
    return (((row >> length) << lanes) + lane) * layout.groups


@functools.partial(jax.jit, static_argnums=2)
def _parts(values: Array, place: Array, layout: Layout) -> Array:
    # one sum more, of what does not count: a processor need not guess who is left out
    sums = segment_sum(values, place, layout.slots + 1)
    half = layout.bits[1] // 2
    shape = layout.parts, 1 << half, 1 << (layout.bits[1] - half), layout.groups
    # barriers, as sums of sums would become one long one
    some = lax.optimization_barrier(jnp.sum(sums[:-1].reshape(shape), axis=1))
    return lax.optimization_barrier(jnp.sum(some, axis=1))


@functools.partial(jax.jit, static_argnums=2)
def _spread(values: Array, place: Array, layout: Layout) -> Array:
    return jnp.take(values, place - _base(layout), mode="clip")


class Powers(Sequence[Array]):
    """Sums of powers and products of deviations, in units; each is made when it is asked for."""

    def __init__(self, groups: Groups, deviations: Sequence[Array], order: int):
        self.groups, self.deviations, self.order = groups, deviations, order

    def __len__(self) -> int:
        if not self.order:
            return 0
        return 3 if self.order == 4 or len(self.deviations) == 2 else 1

    def __getitem__(self, k: Any) -> Any:
        if not 0 <= k < len(self):
            raise IndexError(f"powers of deviations: no {k} of {len(self)}")
        if len(self.deviations) == 2:
            a, b = (self.deviations[i] for i in ((0, 0), (1, 1), (0, 1))[k])
            product = a * b
        else:
            (a,) = self.deviations
            square = protect(a * a)
            product = (square, square * a, square * square)[k]
        return self.groups.add(protect(product))


def of_segments(
    formula: Callable[[Moments], Array] | None,
    data: Data,
    ids: Array,
    *,
    order: int,
    segments: int,
    nan: Nan,
) -> Array:
    """Return a formula of each segment's moments: (segments, ...).

    Args:
        formula: of moments; None for the sum.
        data: checked arguments, of the shape (n, ...).
        ids: int32 of shape (n,); what is of no segment has the id `segments`.
        order: the highest power of deviations.
        segments: how many there are.
        nan: "propagate" or "omit".
    """
    given = functools.reduce(jnp.promote_types, (v.dtype for v in data.values))
    dtype = accumulator(given)
    groups = Groups.of(data, ids, segments, nan, dtype)
    if given.itemsize < 4:
        given = dtype if jnp.issubdtype(given, jnp.inexact) else np.dtype(np.int32)
    values = [v.reshape(-1).astype(given) for v in data.values]
    if formula is None:
        value = groups.add(values[0].astype(dtype))
        value = value if groups.heft is None else value * groups.heft
    else:
        value = formula(_moments(data.weights, groups, values, order))
        if groups.weights is not None:
            value = jnp.where(jnp.isnan(groups.total), jnp.nan, value)  # a weight was negative
    return answer(value.reshape(segments, *data.values[0].shape[1:]), data, (), False)


def _moments(kind: Any, groups: Groups, values: Sequence[Array], order: int) -> Moments:
    """Return what formulas are made of."""
    kind = kind if groups.weights is not None else None

    def known() -> tuple[Any, Any, Any, Any, Any]:
        squares = count = None
        if isinstance(kind, Reliability):
            squares = groups.add(groups.weights)  # type: ignore[arg-type]
        if isinstance(kind, Probability):
            every = jnp.ones_like(groups.total, shape=groups.place.shape)
            count = jnp.sum(_parts(every, groups.place, groups.layout), axis=0)
        return kind, groups.heft, groups.total, squares, count

    rests, means, units = zip(*(_centred(x, groups, order) for x in values), strict=True)
    mean = means[0] * units[0], jnp.zeros_like(means[0])
    return Moments(
        groups.total,
        [mean],
        Powers(groups, rests, order),
        units,
        lambda correction: free_in_units(*known(), correction),
        lambda: size_in_units(*known()),
    )


@functools.partial(jax.jit, static_argnums=2)
def _centred(x: Array, groups: Groups, order: int) -> tuple[Array, Array, Array]:
    """Return deviations from the groups' means, these, both in units, and the units."""
    low, high, unit = _ends(lax.stop_gradient(x), lax.stop_gradient(groups), order)
    # a mean's rounding is that of its sum if the pivot is no larger than what is summed up
    pivot = low if order else jnp.maximum(jnp.minimum(high, 0), low)
    inverse, spread = inverse_unit(unit), groups.spread
    if jnp.issubdtype(x.dtype, jnp.inexact):
        if not order:  # all may be infinite
            pivot = jnp.minimum(pivot, jnp.finfo(x.dtype).max)
        start = pivot * inverse
        rest = x * spread(inverse) - spread(start)
    else:  # integers are shifted before they are rounded
        pairs = zip(exact_words(x, unit.dtype), exact_words(pivot, unit.dtype), strict=True)
        (a, start), (b, below) = pairs
        rest = ((a - spread(start)) + (b - spread(below))) * spread(inverse)
        start = start * inverse, below * inverse
    rest = jnp.where(groups.place < groups.layout.slots, rest, 0)
    offset = groups.average(rest)
    mean = start + offset if isinstance(start, Array) else start[0] + (start[1] + offset)
    if order:
        rest -= spread(offset)
    if order > 2:  # odd powers feel what rounding left of the deviations' sum
        rest -= spread(groups.average(rest))
    return rest, mean, unit


def _ends(x: Array, groups: Groups, order: int) -> tuple[Array, Array, Array]:
    """Return each group's least and largest value, and a unit near its largest size.

    Where squares stay in the range as they are, the ends are those of the first part of the data,
    if that stands for enough of each group, and the unit is 1.
    """
    layout, dtype = groups.layout, groups.total.dtype

    def ends(n: int) -> tuple[Array, Array, Array]:
        kept = x[:n], (groups.place - _base(layout))[:n], layout.groups
        low, high = segment_min(*kept), segment_max(*kept)
        return low, high, jnp.maximum(jnp.abs(low.astype(dtype)), jnp.abs(high.astype(dtype)))

    def whole() -> tuple[Array, Array, Array]:
        low, high, size = ends(x.size)
        return low, high, binary_unit(size)

    if order > 2 or layout.rows < FEW:
        return whole()
    low, high, size = ends((1 << layout.bits[0]) * layout.columns)
    enough = groups.heavy[0] * (4 * PARTS) >= groups.total
    if jnp.issubdtype(x.dtype, jnp.inexact):
        top = jnp.finfo(x.dtype).maxexp
        enough &= size > 2.0 ** -(top // 5)  # that of an empty group is infinite
        enough &= jnp.max(jnp.abs(x)) < 2.0 ** (top // 4)
    return lax.cond(jnp.all(enough), lambda: (low, high, jnp.ones_like(size)), whole)
