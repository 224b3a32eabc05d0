"""Statistics of groups: mean, variance and covariance of the elements that share a segment id.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> stats.segment_mean(x, jnp.array([0, 0, 1, 1]), num_segments=3)
Array([ 1.5, 11. ,  nan], dtype=float32)
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.rounding import divide, protect
from .._kernels.numbers.units import binary_unit, in_both_units, inverse_unit
from .._kernels.sample.arguments import (
    REAL,
    Data,
    Nan,
    Numbers,
    accumulator,
    answer,
    check,
    compiled,
    join,
    scalar,
)
from .._kernels.sample.group_ids import places
from .._kernels.sample.weights import Weights, free_in_units
from .._kernels.sums.blocks import difference, widen

BLOCK = 4096  # elements added up one after another: bounds the rounding


def segment_mean(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return each segment's mean along axis 0.

    Args:
        x: array of shape (n, ...); bool and int become the default float.
        segment_ids: ints of shape (n,), of any type; ids outside 0 … num_segments − 1 belong to no
            segment.
        num_segments: a Python int: how many segments the answer has.
        weights: as in `mean`.
        where: as in `mean`.
        nan: "propagate" or "omit".

    Returns:
        An array of shape (num_segments, ...) in x's floating dtype; nan for an empty segment.

    Raises:
        TypeError: x holds no numbers, the ids no ints, num_segments is no int (or is traced).
        ValueError: the ids' length differs from x's, or num_segments is not positive.

    >>> segment_mean(jnp.array([1.0, 3.0, 8.0]), jnp.array([0, 0, 1]), num_segments=2)
    Array([2., 8.], dtype=float32)
    """
    data, ids, n = _checked(
        "segment_mean", {"x": x}, segment_ids, num_segments, weights, where, nan
    )
    return _segment_mean(data, ids, num_segments=n, nan=nan)


def segment_var(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: float = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return each segment's variance along axis 0: `segment_cov(x, x)` to the bit.

    Args:
        x: array of shape (n, ...); bool and int become the default float.
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: as in `var`.
        weights: as in `var`.
        where: as in `var`.
        nan: "propagate" or "omit".

    Returns:
        A real array of shape (num_segments, ...); nan where n ≤ correction or n = 0.

    Raises:
        TypeError, ValueError: as `segment_mean`.

    Source: the corrected two-pass algorithm about each segment's first element; Chan, Golub and
    LeVeque (1983).

    >>> segment_var(jnp.array([1.0, 3.0, 8.0]), jnp.array([0, 0, 1]), num_segments=2)
    Array([1., 0.], dtype=float32)
    """
    correction = scalar("segment_var", "correction", correction)
    data, ids, n = _checked("segment_var", {"x": x}, segment_ids, num_segments, weights, where, nan)
    return _segment_cov(data, ids, correction, num_segments=n, nan=nan)


def segment_cov(
    x: Numbers,
    y: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    correction: float = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return each segment's covariance of pairs along axis 0.

    Args:
        x: array of shape (n, ...).
        y: an array of the same shape.
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        correction: as in `cov`.
        weights: as in `cov`.
        where: as in `cov`, listwise.
        nan: "propagate" or "omit", listwise.

    Returns:
        An array of shape (num_segments, ...); nan where n ≤ correction or n = 0.

    Raises:
        TypeError, ValueError: as `segment_mean`; the shapes of x and y differ.

    >>> x = jnp.array([1.0, 3.0, 8.0])
    >>> segment_cov(x, 2 * x, jnp.array([0, 0, 1]), num_segments=2)
    Array([2., 0.], dtype=float32)
    """
    named = {"x": x, "y": y}
    correction = scalar("segment_cov", "correction", correction)
    data, ids, n = _checked("segment_cov", named, segment_ids, num_segments, weights, where, nan)
    return _segment_cov(data, ids, correction, num_segments=n, nan=nan)


def _checked(
    who: str,
    named: Any,
    ids: Numbers,
    num_segments: Any,
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: str,
) -> tuple[Data, jax.Array, int]:
    axis = 0 if np.ndim(named["x"]) else None
    data, _ = check(who, named, axis, weights, where, nan, real=REAL)
    num_segments = check_count(num_segments, "num_segments", who, least=1)
    ids = places(who, "segment_ids", ids, num_segments)
    shape = data.values[0].shape
    if not shape or shape[:1] != ids.shape:
        raise ValueError(
            f"{who}: segment_ids have shape {ids.shape}, x has shape {shape}; "
            "one id for each element along axis 0 is needed"
        )
    return data, ids, num_segments


@compiled("num_segments")
def _segment_mean(data: Data, ids: Array, num_segments: int, nan: Nan) -> jax.Array:
    groups = _Groups(data, ids, num_segments, nan)
    _, pivot, offset, unit = groups.centred(data.values[0])
    mean = pivot.astype(offset.dtype)
    # in units, in which the offset does not leave the range
    mean = (mean * inverse_unit(unit) + offset) * unit
    return answer(groups.signed(jnp.where(groups.total > 0, mean, jnp.nan)), data, (), False)


@compiled("num_segments")
def _segment_cov(
    data: Data, ids: Array, correction: ArrayLike, num_segments: int, nan: Nan
) -> jax.Array:
    groups = _Groups(data, ids, num_segments, nan)
    (a, *_, u), (b, *_, v) = (groups.centred(x) for x in (data.values[0], data.values[-1]))
    product = groups.add(groups.weigh(protect(a * b)))
    # what rounding left of the deviations' sums, which would be 0: the corrected second pass
    left = protect(groups.add(groups.weigh(a)) * groups.add(groups.weigh(b)))
    product = product - divide(left, jnp.where(groups.total > 0, groups.total, 1))
    sums = groups.total, groups.squares, groups.count
    free = free_in_units(data.weights, groups.unit, *sums, correction)
    value = in_both_units(divide(product, jnp.where(free > 0, free, 1)), u, v)
    value = jnp.where((free > 0) & (groups.total > 0), value, jnp.nan)
    return answer(groups.signed(value), data, (), False)


class _Groups:
    """The segments of one call: whom each element belongs to, and how much it counts."""

    def __init__(self, data: Data, ids: jax.Array, num_segments: int, nan: Nan):
        shape = data.values[0].shape
        self.n, self.segments, self.ids = shape[0], num_segments, ids
        dtype = functools.reduce(jnp.promote_types, (v.dtype for v in data.values))
        self.dtype = dtype = accumulator(dtype)
        joined = join(data, nan)
        self.weights = jnp.ones(shape, dtype) if joined is None else joined.astype(dtype)
        self.keep = self.weights != 0  # nan, a negative weight, is kept: it must show
        self.count = self.add(self.keep.astype(np.int32)).astype(dtype)
        if data.weights is None:
            self.unit = jnp.ones((), dtype)
            self.total = self.squares = self.count
            return
        # weights on any scale: those of each segment in a unit of their own
        self.unit = binary_unit(self.most(self.weights))
        self.weights = self.weights * self.spread(inverse_unit(self.unit))
        self.total = self.add(self.weights)
        self.squares = self.add(self.weights * self.weights)

    def add(self, values: jax.Array) -> jax.Array:
        """Return the sums of the segments: blocks one after another, then the blocks' sums."""
        blocks = max(1, min(self.n // BLOCK, 2**22 // self.segments))
        size = -(-self.n // blocks) if self.n else 1
        block = lax.iota(np.int32, self.n) // size
        width = self.segments + 1
        out = jnp.zeros((blocks * width, *values.shape[1:]), values.dtype)
        out = out.at[block * width + self.ids].add(values, mode="drop")
        out = out.reshape(blocks, width, *values.shape[1:])[:, : self.segments]
        return jnp.sum(out, axis=0, dtype=out.dtype)

    def most(self, values: jax.Array) -> jax.Array:
        """Return the largest of each segment's values ≥ 0; 0 where it has none."""
        none = jnp.zeros((self.segments, *values.shape[1:]), values.dtype)
        return none.at[self.ids].max(lax.stop_gradient(values), mode="drop")

    def weigh(self, values: jax.Array) -> jax.Array:
        """Return values times weights, 0 where the weight is 0."""
        return protect(jnp.where(self.keep, values, 0) * self.weights)

    def spread(self, values: jax.Array) -> jax.Array:
        """Return each element's segment's value."""
        return jnp.take(values, jnp.minimum(self.ids, self.segments - 1), axis=0)

    def centred(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Return deviations from the segments' means, those means as pivot and offset, and units.

        Deviations and offsets are in the units: powers of two, a segment's own.
        """
        x = widen(x)
        place = lax.broadcasted_iota(np.int32, x.shape, 0)
        first = jnp.full((self.segments, *x.shape[1:]), self.n, np.int32)
        first = first.at[self.ids].min(jnp.where(self.keep, place, self.n), mode="drop")
        first = jnp.minimum(first, max(self.n - 1, 0))
        pivot = jnp.take_along_axis(x, first, axis=0) if self.n else jnp.zeros(first.shape, x.dtype)
        if jnp.issubdtype(x.dtype, jnp.inexact):
            x = jnp.where(self.keep, x, 0).astype(self.dtype)
            pivot = lax.stop_gradient(jnp.where(jnp.isfinite(pivot), pivot, 0)).astype(self.dtype)
            unit = binary_unit(self.most(jnp.where(jnp.isfinite(x), jnp.abs(x), 0)))
            inverse = self.spread(inverse_unit(unit))
            shifted = x * inverse - self.spread(pivot) * inverse
        else:
            unit = jnp.ones(pivot.shape, self.dtype)
            shifted = difference(x, self.spread(pivot)).astype(self.dtype)
        shifted = jnp.where(self.keep, shifted, 0)
        total = jnp.where(self.total > 0, self.total, 1)
        offset = divide(self.add(self.weigh(shifted)), total)
        rest = jnp.where(self.keep, shifted - self.spread(offset), 0)
        left = divide(self.add(self.weigh(rest)), total)
        return rest, pivot, jnp.where(jnp.isfinite(offset), offset + left, offset), unit

    def signed(self, value: jax.Array) -> jax.Array:
        """Return nan where a weight was negative."""
        return jnp.where(jnp.isnan(self.total), jnp.nan, value)
