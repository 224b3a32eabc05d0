"""How often each element is there: weights, `where` and nan, for statistics that count and rank.

Repetition must be exact here, so whole weights stay integers. Fractional ones become effective
counts by what their kind means: frequencies are counts as they are, reliabilities add up to Kish's
effective number (Σw)²/Σw², and inverse probabilities to the number of elements seen.

Source: Kish (1965), "Survey Sampling", for the effective number; Akinshin (2023), "Weighted
quantile estimators", for its use.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._core.rounding import divide
from ..sample.arguments import Axes, Data, Nan, accumulator, join
from ..sample.weights import Frequency, Probability, Reliability
from ..sums.blocks import widen
from .counting import present


class Tally(NamedTuple):
    """How often the elements of each row are there.

    Attributes:
        counts: None, bools, integers of 32 bits or more or floats, ≥ 0, of shape (rows, n).
        bad: whether a weight that is not hidden is negative or nan, of shape (rows,), or None.
    """

    counts: Any
    bad: Any


def tally(data: Data, axes: Axes, nan: Nan) -> Tally:
    """Return the elements' counts, in rows (see `rows`)."""
    if data.weights is None:
        return Tally(rows(join(data, nan), axes), None)
    values = jnp.asarray(data.weights.values)
    if isinstance(data.weights, Frequency) and jnp.issubdtype(values.dtype, jnp.integer):
        return _whole(data, widen(values), axes, nan)
    data = data._replace(weights=type(data.weights)(values))
    counts = rows(join(data, nan), axes)
    if counts.dtype == np.bool_:
        return Tally(counts, None)
    bad = jnp.any(jnp.isnan(counts), axis=1)
    counts = jnp.where(jnp.isnan(counts), 0, jax.lax.stop_gradient(counts))
    return Tally(_effective(data.weights, counts), bad)


def _whole(data: Data, values: jax.Array, axes: Axes, nan: Nan) -> Tally:
    keep = join(data._replace(weights=None), nan)
    counts = jnp.broadcast_to(values, data.values[0].shape)
    counts = rows(counts if keep is None else jnp.where(keep, counts, 0), axes)
    return Tally(jnp.maximum(counts, 0), jnp.any(counts < 0, axis=1))


def _effective(kind: Any, counts: jax.Array) -> jax.Array:
    if not isinstance(kind, Reliability | Probability):
        return counts
    # by the largest first: equal weights become exactly 1, and nothing overflows
    largest = jnp.max(counts, axis=1, keepdims=True, initial=0)
    counts = divide(counts, jnp.where(largest > 0, largest, 1))
    whole = jnp.sum(counts, axis=1, keepdims=True)
    if isinstance(kind, Reliability):
        scale = whole / _positive(jnp.sum(counts * counts, axis=1, keepdims=True))
    else:
        seen = jnp.sum(counts > 0, axis=1, keepdims=True, dtype=jnp.int32)
        scale = seen.astype(counts.dtype) / _positive(whole)
    return counts * scale


def _positive(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 1)


def hide(x: jax.Array, counts: Any) -> jax.Array:
    """Return x with 0 where nothing counts, so that nan there reaches no derivative."""
    return x if counts is None else jnp.where(present(counts), x, jnp.zeros((), x.dtype))


def total(x: jax.Array, counts: jax.Array | None) -> Any:
    """Return how many elements each row has: an int, or int32 of shape (rows, 1)."""
    if counts is None:
        return x.shape[1]
    return jnp.sum(counts, axis=1, keepdims=True, dtype=jnp.int32)


def rows(x: Array | None, axes: Axes) -> Any:
    """Return x with the reduced axes flattened into the last of two: (rows, n); None stays."""
    if x is None:
        return None
    kept = [a for a in range(x.ndim) if a not in axes]
    count = int(np.prod([x.shape[a] for a in kept], dtype=int))
    length = int(np.prod([x.shape[a] for a in axes], dtype=int))
    return jnp.transpose(x, kept + list(axes)).reshape(count, length)


def unrow(value: jax.Array, data: Data, axes: Axes) -> jax.Array:
    """Return (rows, …) with the rows' axes put back in front."""
    shape = data.values[0].shape
    return value.reshape(*(s for a, s in enumerate(shape) if a not in axes), *value.shape[1:])


def padded(x: jax.Array, counts: Any) -> tuple[jax.Array, Any]:
    """Return rows of at least one element: an empty row gets one that does not count."""
    if x.shape[1]:
        return x, counts
    return jnp.zeros((x.shape[0], 1), x.dtype), jnp.zeros((x.shape[0], 1), bool)


def is_whole(counts: jax.Array) -> jax.Array:
    """Tell whether counts are all whole, and few enough to be summed as 32-bit integers."""
    few = jnp.sum(counts.astype(accumulator(counts.dtype)), axis=1) < 2.0**30
    if jnp.issubdtype(counts.dtype, jnp.integer):
        return jnp.all(few)
    return jnp.all(counts == jnp.floor(counts)) & jnp.all(few)
