"""Quantiles of many sets, windows or groups, of what is known of their elements at ranks."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from ..sample.arguments import accumulator
from .quantiles import METHODS, between, rank_of


def of_sets(
    at_ranks: Callable[[Any, Any], Array], size: Any, spoilt: Array | None, q: Any, dtype: Any
) -> Array:
    """Return linear quantiles of sets, nan of empty ones.

    Args:
        at_ranks: `(ranks, next) -> elements` of the sets, of shape (..., 2m): those at ranks of
            shape (..., m), and those at the next ones, or the last; (..., m) where these are None.
        size: how many elements each set has: an int, or int32 of shape (..., 1).
        spoilt: whether there is a nan in a set, of that shape, or None.
        q: floats of shape (m,); of NumPy's, with sizes that are an int, ranks are known while
            tracing.
        dtype: the elements'.
    """
    dtype, good = accumulator(dtype), True if spoilt is None else ~spoilt
    ndim = max(np.ndim(size), 0 if spoilt is None else spoilt.ndim, 2)
    q = q.reshape(*(1,) * (ndim - 1), -1)
    if not isinstance(q, np.ndarray) or not isinstance(size, int):
        q = jnp.asarray(q, dtype)
        inside = (q >= 0) & (q <= 1)
        q, good = jnp.where(inside, q, 0), good & inside & (size > 0)
    rank, part = rank_of(q, size, METHODS["linear"])
    last = np.int32(max(size - 1, 0)) if isinstance(size, int) else jnp.maximum(size - 1, 0)
    if isinstance(part, np.ndarray) and not part.any():
        value = at_ranks(rank, None).astype(dtype)
    else:
        xp, m = np if isinstance(rank, np.ndarray) else jnp, rank.shape[-1]
        found = at_ranks(rank, xp.minimum(rank + 1, last)).astype(dtype)
        part = jnp.reshape(part, (*(1,) * (found.ndim - rank.ndim), *rank.shape)).astype(dtype)
        value = between(found[..., :m], found[..., m:], part)
    return value if good is True else jnp.where(good, value, jnp.nan)
