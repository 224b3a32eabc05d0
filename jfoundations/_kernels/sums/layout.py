"""Reductions in a few rows of many numbers, level by level, until one is left.

Whatever is reduced together is read together, in an order that is the same in every program.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

# Rows added in one loop. The compiler unrolls so many, whatever is summed of them, but not twice as
# many; fewer would leave more sums to be written down.
ROWS = 16
SMALL = 2**13  # so many numbers lie in the cache, and a call costs more than they do


def sum_together(terms: Sequence[Array], axis: int, joins: Sequence[Any] = ()) -> list[Array]:
    """Reduce arrays along an axis in one loop over memory, in its order, the same in every program.

    Args:
        terms: arrays of one shape.
        axis: which axis.
        joins: for each term an operation and what changes nothing under it; by default they are
            added.
    """
    joins = joins or [(lax.add, np.zeros((), t.dtype)) for t in terms]

    def together(a: Any, b: Any) -> tuple[Any, ...]:
        return tuple(f(p, q) for (f, _), p, q in zip(joins, a, b, strict=True))

    return list(lax.reduce(tuple(terms), tuple(zero for _, zero in joins), together, (axis,)))


def sum_levels(terms: Sequence[Array], joins: Sequence[Any] = ()) -> list[Array]:
    """Reduce arrays (outer, n, inner) along the middle axis, a few rows of many numbers a loop."""
    outer, n, inner = terms[0].shape
    while n > 1:
        rows = _split(n)
        n, odd = divmod(n, rows)
        lines = [t[:, : n * rows].reshape(outer, rows, n * inner) for t in terms]
        sums = [s.reshape(outer, n, inner) for s in sum_together(lines, 1, joins)]
        if odd:
            rest = [t[:, n * rows :] for t in terms]
            sums = [jnp.concatenate(pair, axis=1) for pair in zip(sums, rest, strict=True)]
        terms, n = sums, n + odd
    return [t[:, 0] for t in terms]


def _split(n: int) -> int:
    # a divisor leaves no odd rows; another loop would cost more than to add so few
    divisors = (r for r in range(ROWS, ROWS // 2, -1) if n % r == 0)
    return n if n <= 8 * ROWS else next(divisors, ROWS)
