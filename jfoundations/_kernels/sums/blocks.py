"""Deviations of data from a pivot, and what counts: element by element."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.rounding import protect
from ..numbers.select import select


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


def heaviest(x: Array, weight: Array | None) -> Array:
    """Return each column's first value of the largest weight, 0 if not finite: (outer, inner)."""
    if weight is None:
        return finite(x[:, 0])
    row = jnp.argmax(weight, axis=1)[:, None]
    return finite(jnp.take_along_axis(x, row, 1)[:, 0])


def counted(weight: Array) -> Array:
    """Tell which elements count: a bool says so, a number is not 0."""
    return weight if weight.dtype == np.bool_ else weight != 0


def signed(weight: Array) -> Array:
    """Return weights as numbers to add: bools as integers, a negative weight as nan."""
    if weight.dtype == np.bool_:
        return weight.astype(jnp.int32)
    return select(weight < 0, np.nan, weight)


def two_words(pivot: Array, offset: Array) -> tuple[Array, Array]:
    """Give a mean as two floats."""
    # an integer pivot may need more digits than a float has: what is left over joins the offset
    if jnp.issubdtype(pivot.dtype, jnp.floating):
        return pivot, offset
    rounded = jnp.minimum(pivot.astype(offset.dtype), largest_within(pivot.dtype, offset.dtype))
    return rounded, offset + difference(pivot, rounded.astype(pivot.dtype))
