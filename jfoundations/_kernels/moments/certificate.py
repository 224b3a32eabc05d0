"""What a sum of squares about a pivot says of the digits it has left.

With q the sum of squares about the pivot and M2 about the mean, q / M2 is what the shift may have
cost: the relative error is at most (3h + 8) u q / M2, h the height of the summation tree and u the
unit roundoff. By Samuelson's inequality q / M2 is at most n when the pivot is a value of the data,
and at most 2 when it is their median, which is within a standard deviation of the mean.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.rounding import divide, protect
from ..numbers.units import binary_unit, inverse_unit

LOST_BITS = 4  # a certificate above 2**LOST_BITS asks for a second read


def judge(total: Array, first: Array, powers: list[Array], order: int) -> Array:
    """Return 2 if sums left the range of their type, else 1 if digits may be lost, else 0.

    Args:
        total: the sum of weights.
        first: the sum of deviations.
        powers: the sums of their squares (and third and fourth powers); none for means.
        order: the highest power.
    """
    if order < 2:
        return jnp.isinf(first).astype(np.int32) * 2
    q = powers[0]
    none = (q == 0) & (first == 0)  # of a constant
    well = none | (q != q)  # nan stays nan, however often it is read
    usable = _in_range(q) if order < 4 else _in_range(q) & _in_range(powers[2])
    kept = q <= 2**LOST_BITS * (q - first * over(first, total))
    code = jnp.where(usable, (~kept).astype(np.int32), np.int32(2))
    return jnp.where(well, np.int32(0), code)


def step_of(total: Array, powers: list[Array], order: int) -> Array:
    """Return by what to multiply data of which sums of squares left the range of their type."""
    info = jnp.finfo(total.dtype)
    down, up = 2.0 ** -(info.maxexp * 25 // 32), 2.0 ** (info.maxexp * 5 // 8)
    if order < 2:
        return jnp.full_like(total, down)
    q = powers[0]
    step = jnp.where(q > 1, jnp.asarray(down, q.dtype), jnp.asarray(up, q.dtype))
    if order < 4:
        return step
    near = inverse_unit(binary_unit(lax.sqrt(over(q, total))))
    return jnp.where(_in_range(q), near, step)


def _in_range(q: Array) -> Array:
    """Tell that a sum neither overflowed nor fell to where its summands are flushed to 0."""
    info = jnp.finfo(q.dtype)
    return (q < float(info.max) * 2.0**-8) & (q > float(info.tiny) * 2.0**56)


def over(a: Array, b: Array) -> Array:
    """Divide; by 0 it is 0."""
    none = b == 0
    return jnp.where(none, jnp.zeros_like(a), divide(a, jnp.where(none, jnp.ones_like(b), b)))


def product_over(a: Array, b: Array, total: Array) -> Array:
    """Return a·b / total, 0 where the total is 0; the same bits for b·a."""
    return over(protect(a * b), total)


def doubtful(shifted: list[Array], squares: list[Array], offsets: list[Array]) -> Array:
    """Tell whether any variance may have lost more than `LOST_BITS` bits to its shift."""
    return _any(map(_lossy, shifted, squares, offsets))


def _lossy(q: Array, m2: Array, offset: Array) -> Array:
    constant = (q == 0) & (offset == 0)
    return ~((q <= 2**LOST_BITS * m2) | constant | jnp.isnan(q))


def out_of_range(shifted: list[Array], offsets: list[Array]) -> Array:
    """Tell whether any variable's squares overflowed or lost digits to underflow."""
    return _any(
        ~(_in_range(q) | ((q == 0) & (o == 0)) | jnp.isnan(q))
        for q, o in zip(shifted, offsets, strict=True)
    )


def _any(flags) -> Array:  # type: ignore[no-untyped-def]
    return jnp.any(jnp.stack(list(flags)))
