"""Weights that carry their kind: what a weight means decides what a variance is divided by.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> x, w = jnp.array([1.0, 5.0]), jnp.array([3, 1])
>>> float(stats.var(x, weights=stats.Frequency(w), correction=1))
4.0
>>> float(stats.var(jnp.array([1.0, 1.0, 1.0, 5.0]), correction=1))
4.0
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._core.pytrees import pytree
from ..numbers.units import inverse_unit


@pytree
class Frequency:
    """How often each element was seen: weight k is repetition. Denominator W − correction.

    Attributes:
        values: non-negative numbers that broadcast against the data; negative ones give nan.
    """

    values: Any

    def free(self, total: jax.Array, squares: Any, count: Any, correction: ArrayLike) -> jax.Array:
        """Return what is left to divide by: W − c."""
        return total - correction


@pytree
class Reliability:
    """How much each element is to be trusted, on any scale. Denominator W − c·Σw²/W.

    Attributes:
        values: non-negative numbers that broadcast against the data; negative ones give nan.
    """

    values: Any

    def free(self, total: jax.Array, squares: Any, count: Any, correction: ArrayLike) -> jax.Array:
        """Return what is left to divide by: W − c·Σw²/W."""
        whole = jnp.where(total == 0, 1, total)
        return total - correction * squares / whole


@pytree
class Probability:
    """Inverse inclusion probabilities of a sample. Denominator W·(n − c)/n, n the count of w > 0.

    Attributes:
        values: non-negative numbers that broadcast against the data; negative ones give nan.
    """

    values: Any

    def free(self, total: jax.Array, squares: Any, count: Any, correction: ArrayLike) -> jax.Array:
        """Return what is left to divide by: W·(n − c)/n."""
        n = jnp.where(count == 0, 1, count)
        return total * (n - correction) / n


Weights = Frequency | Reliability | Probability


def free_in_units(
    kind: Weights | None,
    unit: jax.Array | None,
    total: jax.Array,
    squares: Any,
    count: Any,
    c: ArrayLike,
) -> jax.Array:
    """Return what a kind leaves to divide by, in the units that the sums of weights are in."""
    kind, c = Frequency(None) if kind is None else kind, jnp.asarray(c, total.dtype)
    # of frequencies the correction is a number of observations; the others have any scale
    c = c * inverse_unit(unit) if unit is not None and isinstance(kind, Frequency) else c
    return kind.free(total, squares, count, c)


def size_in_units(
    kind: Weights | None, unit: jax.Array | None, total: jax.Array, squares: Any, count: Any
) -> jax.Array:
    """Return how many observations the weights stand for: W; Kish's W²/Σw²; the count of w > 0."""
    if isinstance(kind, Probability):
        return count
    if isinstance(kind, Reliability):
        return total * total / jnp.where(squares > 0, squares, 1)
    return total if unit is None else total * unit
