"""Counts of elements in bins.

>>> from jfoundations import stats
>>> counts, edges = stats.histogram([1.0, 2.0, 4.0, 18.0], bins=2)
>>> counts.tolist(), edges.tolist()
([3, 1], [1.0, 9.5, 18.0])
"""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike

from ._arguments import Axis, Data, Nan, accumulator, check, compiled, join, numbers
from ._quantile import rounded_product
from ._tally import rows, unrow
from ._walk import add, in_blocks
from ._weights import Weights


def histogram(
    x: ArrayLike,
    bins: int | ArrayLike = 10,
    *,
    range: tuple[ArrayLike, ArrayLike] | None = None,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> tuple[jax.Array, jax.Array]:
    """Return how many elements fall into each bin, and the bins' edges.

    Bin i holds edges[i] ≤ x < edges[i + 1], and the last bin its right edge too. What lies outside
    is not counted, and neither is nan. The counts are those of `np.histogram` with these edges.

    Args:
        x: real array.
        bins: how many bins of equal width (static), or their edges, of shape (bins + 1,).
        range: the outer edges; by default the least and the greatest element that counts. A single
            value v gives v − ½ … v + ½, no element 0 … 1.
        axis: the axis or axes to count over; all by default. All share the edges.
        keepdims: keep reduced axes with length 1.
        weights: what each element adds, of any kind; 0 is deletion. nan or negative weights make
            their bin nan.
        where: bools that broadcast against x; elements at False do not exist.
        nan: with "propagate", a nan gives nan edges where the range is not given, as would an
            infinity; "omit" takes the range of the others.

    Returns:
        The counts, of the kept axes' shape and then (bins,): int32, or floats if weighted; and the
        edges, of shape (bins + 1,), in x's floating dtype.

    Raises:
        TypeError: x holds no numbers that can be ordered, or bins is neither int nor numbers.
        ValueError: bins < 1, edges that are not one-dimensional, at least two and rising, a range
            that is not finite and rising, or shapes and axes that do not fit.

    >>> histogram([0.1, 0.2, 0.9], bins=[0.0, 0.5, 1.0])[0].tolist()
    [2, 1]
    """
    data, axes = check("histogram", {"x": x}, axis, weights, where, nan, ordered=True)
    if isinstance(bins, str):
        raise TypeError(f"histogram: bins is {bins!r}; give a number of bins or their edges")
    if np.ndim(bins) == 0 and not isinstance(bins, Tracer):
        return _histogram(
            data, _ends(range), None, axes, bool(keepdims), nan, bins=_number_of(bins)
        )
    edges = _edges(bins)
    count = edges.shape[0] - 1
    return _histogram(data, None, edges, axes, bool(keepdims), nan, bins=count)


def _number_of(bins: Any) -> int:
    try:
        count = operator.index(bins)
    except TypeError:
        raise TypeError(f"histogram: bins is {bins!r}; give an int, or an array of edges") from None
    if count < 1:
        raise ValueError(f"histogram: bins is {count}; at least 1 is needed")
    return count


def _edges(bins: Any) -> jax.Array:
    edges = numbers("histogram", "bins", bins)
    if edges.ndim != 1 or edges.shape[0] < 2:
        raise ValueError(
            f"histogram: bins has shape {edges.shape}; an int (static), or a one-dimensional "
            "array of at least two edges is needed"
        )
    if not isinstance(edges, Tracer) and not np.all(np.diff(np.asarray(edges, float)) >= 0):
        raise ValueError("histogram: the edges in bins must not fall")
    return edges


def _ends(given: Any) -> tuple[jax.Array, jax.Array] | None:
    if given is None:
        return None
    first, last = (numbers("histogram", "range", end) for end in given)
    if first.shape or last.shape:
        raise ValueError("histogram: range must be a pair of scalars")
    if not isinstance(first, Tracer) and not isinstance(last, Tracer):
        if not -np.inf < float(first) <= float(last) < np.inf:
            raise ValueError(f"histogram: range is ({first}, {last}); finite and rising is needed")
    return first, last


@compiled("bins")
def _histogram(
    data: Data, ends: Any, edges: Any, axes: Any, keepdims: Any, nan: Any, bins: Any
) -> Any:
    (x,) = data.values
    counts, dtype = join(data, nan), accumulator(x.dtype)
    if data.weights is not None and counts is not None and counts.dtype == np.bool_:
        counts = counts.astype(dtype)
    known = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else dtype
    even = edges is None
    if even:
        first, last = _outer(x, counts, dtype) if ends is None else ends
        edges = _even(first.astype(dtype), last.astype(dtype), bins)
    edges = edges.astype(known).astype(dtype)
    x, counts = rows(x, axes), rows(counts, axes)
    if even:
        by = functools.partial(functools.partial, _count_rows)
        found = lax.cond(_resolved(edges), by(_guess), by(_search), x, counts, edges)
    else:
        found = _count_rows(_search, x, counts, edges)
    found = unrow(found, data, axes)
    return jnp.expand_dims(found, axes) if keepdims else found, edges.astype(known)


def _count_rows(find: Any, x: jax.Array, counts: Any, edges: jax.Array) -> jax.Array:
    bins = edges.shape[0] - 1
    dtype = jnp.int32 if counts is None or counts.dtype == np.bool_ else counts.dtype

    def step(found: jax.Array, x: jax.Array, counts: Any) -> jax.Array:
        x = x.astype(edges.dtype)
        inside = (x >= edges[0]) & (x <= edges[-1])
        index = jnp.minimum(find(x, edges), bins - 1)
        return add(found, jnp.where(inside, index, bins), counts)

    def row(x: jax.Array, counts: Any) -> jax.Array:
        return in_blocks(step, jnp.zeros(bins, dtype), x, counts)

    if x.shape[0] == 1:
        return row(x[0], None if counts is None else counts[0])[None]
    return jax.vmap(row)(x, counts)


def _outer(x: jax.Array, counts: Any, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Return the least and the greatest element that counts; 0 and 1 of none."""
    keep = jnp.ones(x.shape, bool) if counts is None else counts.astype(bool)
    x = x.astype(dtype)
    least = jnp.min(x, where=keep, initial=np.inf)
    most = jnp.max(x, where=keep, initial=-np.inf)
    some = jnp.any(keep)
    return jnp.where(some, least, 0), jnp.where(some, most, 1)


def _even(first: jax.Array, last: jax.Array, bins: int) -> jax.Array:
    good = jnp.isfinite(first) & jnp.isfinite(last) & (first <= last)
    half = jnp.where(first == last, 0.5, 0).astype(first.dtype)
    first, last = jnp.where(good, first - half, jnp.nan), jnp.where(good, last + half, jnp.nan)
    # jnp.linspace may fall where bins are narrower than an ulp; this is NumPy's, and rises
    steps = jnp.arange(bins + 1, dtype=first.dtype)
    edges = jnp.minimum(first + rounded_product((last - first) / bins, steps), last)
    return edges.at[-1].set(last)


def _resolved(edges: jax.Array) -> jax.Array:
    """Tell whether even bins are so much wider than an ulp that a guess misses by one at most."""
    ulp = jnp.finfo(edges.dtype).eps * jnp.maximum(jnp.abs(edges[0]), jnp.abs(edges[-1]))
    return (jnp.min(jnp.diff(edges)) >= 8 * ulp) & (edges.shape[0] < 1 << 16)


def _guess(x: jax.Array, edges: jax.Array) -> jax.Array:
    """Return each element's bin by dividing, put right by the edges themselves."""
    bins = edges.shape[0] - 1
    scale = bins / (edges[-1] - edges[0])
    guess = jnp.clip(jnp.floor((x - edges[0]) * scale), 0, bins - 1).astype(jnp.int32)
    guess = guess - (x < edges[guess]).astype(jnp.int32)
    return guess + (x >= edges[guess + 1]).astype(jnp.int32)


def _search(x: jax.Array, edges: jax.Array) -> jax.Array:
    return jnp.searchsorted(edges, x, side="right").astype(jnp.int32) - 1
