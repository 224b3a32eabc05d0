"""Counts of elements in bins that are given beforehand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.numbers.counts import Count
from .._kernels.sample.arguments import accumulator
from ..stats._histogram import edges_of, ends_of, number_of
from ..stats._histogram import histogram as histogram_of
from ._elements import Kind, Taken, checked, one, rows_of, zero_rows
from ._words import Words, without


@pytree
class _Bins:
    """What each bin holds, of shape (..., bins), and the edges."""

    found: Count | Words
    edges: jax.Array


def histogram(
    bins: Any, *, range: tuple[Any, Any] | None = None, weights: Kind = None
) -> Fold[tuple[jax.Array | Count, jax.Array]]:
    """Return the fold of how many elements fall into each bin, elementwise, and of the edges.

    Bin i holds edges[i] ≤ x < edges[i + 1], and the last bin its right edge too. What lies outside
    is not counted, and neither is nan. One pass cannot find the edges, so they are given.

    Args:
        bins: the edges, of shape (bins + 1,); or how many bins of equal width, with a range.
        range: the outer edges.
        weights: as in `mean`: what each element adds.

    Returns:
        A fold whose answer is the counts, of an element's shape and then (bins,): exact integers in
        int64 under x64, else a `stats.Count`; of weights floats; and the edges.

    Raises:
        TypeError: bins is a number without a range.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> counts, edges = jf.fold(histogram([0.0, 2.0, 20.0]), jnp.array([1.0, 2.0, 4.0, 18.0]))
    >>> counts.tolist()
    [1, 3]
    """
    if np.ndim(bins) == 0 and range is None:
        raise TypeError(
            f"folds.histogram: bins is {bins!r} and there is no range; edges must be known before "
            "the data are. Give range=(low, high), or bins as an array of edges"
        )
    if np.ndim(bins):
        bins = edges_of("folds.histogram", bins, jnp.result_type(float))
    count = 1 if np.ndim(bins) else number_of("folds.histogram", bins)
    range = ends_of("folds.histogram", range, jnp.result_type(float), count)
    taken = checked("histogram", weights, "propagate")
    init, step, block = (partial(f, taken, bins, range) for f in (_init, _step, _block))
    functions = (init, step, _merge, _answer, block)
    return Fold(*functions, block_where=block, unmerge=_unmerge, name="histogram")


def _block(taken: Taken, bins: Any, range: Any, xs: PyTree, kept: jax.Array | None = None) -> _Bins:
    (x,), weights = rows_of(taken, xs, kept)
    # half precision may not tell the edges apart
    x = x.astype(accumulator(x.dtype)) if jnp.issubdtype(x.dtype, jnp.inexact) else x
    given = None if taken.weights is None else taken.weights(weights)
    where = weights if taken.weights is None else None
    found, edges = histogram_of(x, bins, range=range, axis=0, weights=given, where=where)
    counted = found.dtype == np.int32
    return _Bins(Count.from_array(found) if counted else Words.of(found), edges)


def _init(taken: Taken, bins: Any, range: Any, like: PyTree) -> _Bins:
    return _block(taken, bins, range, zero_rows(like))


def _step(taken: Taken, bins: Any, range: Any, memory: _Bins, x: Any) -> _Bins:
    return _merge(memory, _block(taken, bins, range, one(x)))


def _merge(a: _Bins, b: _Bins) -> _Bins:
    return _Bins(a.found + b.found, a.edges)  # type: ignore[operator]


def _unmerge(whole: _Bins, part: _Bins) -> _Bins:
    return _Bins(without(whole.found, part.found), whole.edges)


def _answer(memory: _Bins) -> tuple[jax.Array | Count, jax.Array]:
    found = memory.found
    return found.answer() if isinstance(found, Count) else found.value, memory.edges
