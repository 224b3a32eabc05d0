"""Pivots: values of the data, near their middle, from which deviations are measured.

A pivot is a value of the data, so a constant's deviations are 0, and what is added to all of them
leaves deviations as they are; and it is found by few reads, wherever the data lie.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..numbers.select import select
from ..sums.blocks import finite
from ..sums.one_read import axis_of, one_read

FEW = 1024  # of fewer numbers three neighbours are looked at, not three far apart


def pivot_of(x: Array, keep: Array | None) -> Array:
    """Return a value of each row that counts; 0 if that is not finite.

    Args:
        x: data, (outer, n, inner) or (n,), n > 0.
        keep: bools of x's shape, which elements count; None for all. Of none the pivot is 0.
    """
    return finite(_of_all(x) if keep is None else _of_kept(x, keep))


def _of_all(x: Array) -> Array:
    axis = axis_of(x)
    n = x.shape[axis]
    step = 1 if n < FEW else n // 3
    first = (n - 1) // 2 - step if n > 2 else 0
    probes = [lax.index_in_dim(x, first + k * step, axis, False) for k in range(min(n, 3))]
    return _median(*probes) if n > 2 else probes[0]


def _of_kept(x: Array, keep: Array) -> Array:
    """Return the median of the first, the last and a middle one of those that count."""
    axis = axis_of(x)
    n = x.shape[axis]

    def look(keep: Array, places: Array) -> list[Array]:
        first = select(keep, places, n)
        return [first, select(places < n // 2, n, first), select(keep, places, -1)]

    places = lax.broadcasted_iota(np.int32, x.shape, axis)
    first, late, last = one_read(look, [keep, places], [], (lax.min, lax.min, lax.max))
    late = select(late < n, late, last)
    # of none the median is some value, and of no account
    return _median(*(_at(x, place, axis) for place in (first, late, last)))


def _at(x: Array, place: Array, axis: int) -> Array:
    if not axis:
        return lax.dynamic_index_in_dim(x, place, keepdims=False)
    place = lax.clamp(np.int32(0), place, np.int32(x.shape[axis] - 1))
    place = lax.expand_dims(place, (axis,))
    return jnp.take_along_axis(x, place, axis, mode="promise_in_bounds")[:, 0]


def _median(a: Array, b: Array, c: Array) -> Array:
    return lax.max(lax.min(a, b), lax.min(lax.max(a, b), c))
