"""What a sum of squares about a pivot says of the digits it has left.

With q the sum of squares about the pivot and M2 about the mean, q / M2 is what the shift may have
cost: the relative error is at most (3h + 8) u q / M2, h the height of the summation tree and u the
unit roundoff. By Samuelson's inequality q / M2 is at most n when the pivot is a value of the data.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._core.rounding import divide, protect

LOST_BITS = 4  # a certificate above 2**LOST_BITS asks for a second pass


def doubtful(shifted: list[Array], squares: list[Array], offsets: list[Array]) -> Array:
    """Tell whether any variance may have lost more than `LOST_BITS` bits to its shift."""
    return _any(map(_lossy, shifted, squares, offsets))


def _lossy(q: Array, m2: Array, offset: Array) -> Array:
    constant = (q == 0) & (offset == 0)
    # nan stays nan, however often it is read
    return ~((q <= 2**LOST_BITS * m2) | constant | jnp.isnan(q))


def doubt(shifted: list[Array], squares: list[Array], offsets: list[Array]) -> Array:
    """Return 2 if squares left the range of their type, else 1 if digits may be lost, else 0."""
    codes = [
        jnp.where(_usable(q, o), _lossy(q, m, o).astype(np.int32), np.int32(2))
        for q, m, o in zip(shifted, squares, offsets, strict=True)
    ]
    return jnp.max(functools.reduce(jnp.maximum, codes))


def out_of_range(shifted: list[Array], offsets: list[Array]) -> Array:
    """Tell whether any variable's squares overflowed or lost digits to underflow."""
    return _any(~_usable(q, o) for q, o in zip(shifted, offsets, strict=True))


def _any(flags) -> Array:  # type: ignore[no-untyped-def]
    return jnp.any(jnp.stack(list(flags)))


def _usable(q: Array, offset: Array) -> Array:
    # Squares neither overflowed nor fell below the smallest normal number; a constant has none.
    info = jnp.finfo(q.dtype)
    in_range = (q < float(info.max) * 2.0**-8) & (q > float(info.tiny) * 2.0**56)
    return in_range | ((q == 0) & (offset == 0)) | jnp.isnan(q)


def height(plan: Any) -> int:
    """Return the height of a plan's summation: additions in a row within a block.

    Blocks, and all of what is summed in two words, are joined in two words: one rounding.
    """
    if plan.corrected:
        return 1
    return 1 + max((s.height for s in plan.segments), default=0)


def units(shifted: Array, offset: Array) -> tuple[Array, Array]:
    """Return a power of two, and its inverse, in whose units the squares are in range."""
    info = jnp.finfo(shifted.dtype)
    powers = np.array([0, info.maxexp * 25 // 32, -info.maxexp * 5 // 8])
    which = jnp.where(_usable(shifted, offset), 0, jnp.where(shifted > 1, 1, 2))
    unit, inverse = (
        jnp.take(jnp.asarray(np.exp2(p), shifted.dtype), which) for p in (powers, -powers)
    )
    return jax.lax.stop_gradient(unit), jax.lax.stop_gradient(inverse)


def product_over(a: Array, b: Array, total: Array) -> Array:
    """Return a·b / total, 0 where the total is 0; the same bits for b·a.

    Args:
        a: sums over some elements.
        b: others over the same.
        total: the sum of their weights.
    """
    found = divide(protect(a * b), jnp.where(total == 0, 1, total))
    return jnp.where(total == 0, 0, found)
