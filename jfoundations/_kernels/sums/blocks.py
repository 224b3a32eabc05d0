"""What is summed over a block of rows: weights, deviations from a pivot, squares and products.

Each block has a pivot of its own, one of its values; `layout` does the adding.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.rounding import protect
from ..._core.types import PyTree
from ..numbers.select import select
from .layout import Segment, block_sums


def accumulator(dtype: DTypeLike):
    """The float in which sums of this dtype are kept."""
    if not jnp.issubdtype(dtype, jnp.floating):
        return jnp.result_type(float)
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)


def widen(x: Array) -> Array:
    """Return numbers of fewer than 32 bits in 32: floats as float32, integers as int32."""
    if x.dtype.itemsize >= 4:
        return x
    return x.astype(jnp.float32 if jnp.issubdtype(x.dtype, jnp.floating) else jnp.int32)


def difference(x: Array, pivot: Array) -> Array:
    """Subtract, then round: integers exactly, also where the difference overflows their type."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x - pivot
    unsigned = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    a, b = x.astype(unsigned), pivot.astype(unsigned)
    dtype = accumulator(x.dtype)
    return jnp.where(x >= pivot, (a - b).astype(dtype), -(b - a).astype(dtype))


def largest_within(integer: Any, dtype: DTypeLike) -> Any:
    """Return the largest float that an integer type holds: rounding its largest gives one more."""
    top = np.asarray(np.iinfo(integer).max + 1, dtype)
    return np.nextafter(top, np.asarray(0, dtype))


def in_units(x: Array, pivot: Array, inverse: Array) -> Array:
    """Return the difference in units of a power of two, of which the inverse is given.

    Floats are made smaller first: their difference may be larger than any number.
    """
    if jnp.issubdtype(x.dtype, jnp.floating):
        smaller, larger = jnp.minimum(inverse, 1), jnp.maximum(inverse, 1)
        return protect((x * smaller - pivot * smaller) * larger)
    return protect(difference(x, pivot) * inverse)


def finite(pivot: Array) -> Array:
    """Return 0 for what is not finite."""
    if not jnp.issubdtype(pivot.dtype, jnp.floating):
        return pivot
    return lax.select(lax.is_finite(pivot), pivot, lax.full_like(pivot, 0))


def _median3(a: Array, b: Array, c: Array) -> Array:
    return jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c))


def first_valid(x: Array, weight: Array | None) -> Array:
    """Return each column's first value that counts, 0 if that is not finite: (outer, inner)."""
    if weight is None:
        return finite(x[:, 0])
    outer, n, inner = x.shape
    size = min(n, 1024)

    def look(state: PyTree):
        start, found, pivot = state
        seen, values = (lax.dynamic_slice_in_dim(v, start, size, 1) for v in (weight, x))
        seen = counted(seen)
        row = jnp.argmax(seen, axis=1)[:, None]
        here = jnp.take_along_axis(values, row, 1)[:, 0]
        has = jnp.any(seen, axis=1)
        return start + size, found | has, jnp.where(~found & has, here, pivot)

    none = jnp.zeros((outer, inner), bool)
    state = look((jnp.int32(0), none, jnp.zeros((outer, inner), x.dtype)))
    if size < n:
        state = lax.while_loop(lambda s: (s[0] < n) & ~jnp.all(s[1]), look, state)
    return finite(state[2])


def heaviest(x: Array, weight: Array | None) -> Array:
    """Return each column's first value of the largest weight, 0 if not finite: (outer, inner)."""
    if weight is None:
        return finite(x[:, 0])
    row = jnp.argmax(weight, axis=1)[:, None]
    return finite(jnp.take_along_axis(x, row, 1)[:, 0])


def block_pivots(x: Array, weight: Array | None, fallback: Array, segment: Segment) -> Array:
    """Return a value of each block, near its mean, to measure deviations from."""

    # The median of a block's first, middle and last value: itself a value, so constants and exact
    # shifts stay exact; near the mean where data are sorted; and one outlier does not spoil it.
    def probe(i: int) -> Array:
        # a slice with steps as long as a block would be simpler, but no sharded array can be so cut
        def cut(v: Array) -> Array:
            rows = lax.slice_in_dim(v, segment.start, segment.stop, axis=1)
            return rows.reshape(v.shape[0], segment.blocks, segment.size, v.shape[2])[:, :, i]

        if weight is None:
            return cut(x)
        return jnp.where(counted(cut(weight)), cut(x), fallback[:, None])

    last = segment.size - 1
    return finite(probe(0) if last < 2 else _median3(probe(0), probe(last // 2), probe(last)))


def _deviate(values: Sequence[Array], pivots, shifts) -> list[Array]:
    # deviations from the pivot, or from (pivot + offset) in units of a power of two in the second
    # pass
    if shifts is None:
        return [difference(x, k) for x, k in zip(values, pivots, strict=True)]
    return [
        in_units(x, k, inverse) - offset
        for x, k, (inverse, offset) in zip(values, pivots, shifts, strict=True)
    ]


def counted(weight: Array) -> Array:
    """Tell which elements count: a bool says so, a number is not 0."""
    return weight if weight.dtype == np.bool_ else weight != 0


def signed(weight: Array) -> Array:
    """Return weights as numbers to add: bools as integers, a negative weight as nan."""
    if weight.dtype == np.bool_:
        return weight.astype(jnp.int32)
    return select(weight < 0, np.nan, weight)


def _terms(
    values: Sequence[Array], pivots: Any, weight: Any, shifts: Any, zero: Array
) -> list[Array]:
    """Give what one pass adds up: the weight, deviations, squares, products."""
    # Weights are read as they are, line by line: a sanitised copy would cost more than the sums.
    e = _deviate(values, pivots, shifts)
    if weight is not None:
        e = [jnp.where(counted(weight), d, 0) for d in e]
    w = e
    if weight is not None and weight.dtype != np.bool_:
        w = [signed(weight) * d for d in e]
    products = [a * b + zero for a, b in zip(w, e, strict=True)]
    if len(e) == 2:
        products += [w[0] * e[1] + zero]
    return ([] if weight is None else [signed(weight)]) + w + products


def segment_sums(values: Sequence[Array], pivots, weight, shifts, segment: Segment) -> list[Array]:
    """Sum weights, deviations, squares and products over each block of a segment.

    Args:
        values: one or two arrays (outer, n, inner).
        pivots: for each, (outer, blocks or 1, inner).
        weight: None, bool or float, (outer, n, inner).
        shifts: None, or for each variable the inverse of its unit and its mean in that unit,
            (outer, 1, inner).
        segment: which rows.

    Returns:
        The count or weight (if given), first powers, squares, the product of a pair: shape
        (outer, blocks, inner).
    """
    k = len(values)
    data = list(values) if weight is None else [*values, weight]
    moves = [] if shifts is None else [v for pair in shifts for v in pair]

    # Each product is added to a zero that no compiler knows to be one, so it is rounded by itself,
    # whatever it is added to then: var(x) is cov(x, x) in every program. (`protect` costs more.)
    zero = jnp.minimum(jnp.abs(pivots[0].astype(accumulator(values[0].dtype))), 0)

    def make(rows: list[Array], sides: list[Array]) -> list[Array]:
        own, more = sides[:k], sides[k : k + len(moves)]
        moved = list(zip(more[::2], more[1::2], strict=True)) if moves else None
        counts = None if weight is None else rows[k]
        return _terms(rows[:k], own, counts, moved, sides[-1])

    return block_sums(make, data, [*pivots, *moves, zero], segment)
