"""Medians and quantiles of a moving window, and of groups: exact, as `median` and `quantile` are.

Of other statistics of order, and of whatever else is a fold, `jfoundations.rolling` and
`jfoundations.segment` give windows and groups.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.rolling_median(jnp.array([3.0, 1.0, 2.0, 5.0]), 3)
Array([2., 2.], dtype=float32)
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._kernels.order import groups, windows
from .._kernels.order.sets import of_sets
from .._kernels.sample.arguments import (
    ORDERED,
    Data,
    Nan,
    Numbers,
    answer,
    check,
    compiled,
    join,
)
from .._kernels.sample.group_ids import segments_of
from ._order import probabilities
from ._rolling import check_windows

_HALF = np.array([0.5])  # whose ranks are known while tracing, where sizes are


def rolling_median(
    x: Numbers,
    window: int,
    *,
    axis: int = 0,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return the median of every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        axis: along which axis; samples run along the first by default.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        As of `rolling_quantile`.

    Raises: TypeError, ValueError, as `rolling_mean`.

    >>> rolling_median([3.0, 1.0, 2.0, 5.0], 2).tolist()
    [2.0, 1.5, 3.5]
    """
    data, window, axis = check_windows("rolling_median", {"x": x}, window, axis, None, where, nan)
    return _of_windows(data, None, window=window, axis=axis, nan=nan)[0]


def rolling_quantile(
    x: Numbers,
    q: ArrayLike,
    window: int,
    *,
    axis: int = 0,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return linear quantiles of every full window along an axis: `quantile` of each.

    Derivatives flow to the elements selected; of equal ones to one.

    Args:
        x: as in `rolling_mean`.
        q: probabilities, a scalar or of shape (m,).
        window: as in `rolling_mean`.
        axis: along which axis; samples run along the first by default.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        An array in x's floating dtype of q's shape, and then x's with n − window + 1 elements along
        the axis; nan where a window has no elements.

    Raises:
        TypeError, ValueError: as `rolling_mean`; q holds no real numbers, is outside [0, 1] or has
            two or more dimensions.

    >>> rolling_quantile([3.0, 1.0, 2.0, 5.0], [0.0, 0.25], 3).tolist()
    [[1.0, 1.0], [1.5, 1.5]]
    """
    who = "rolling_quantile"
    data, window, axis = check_windows(who, {"x": x}, window, axis, None, where, nan)
    q = probabilities(who, q)
    value = _of_windows(data, q.reshape(-1), window=window, axis=axis, nan=nan)
    return value.reshape(q.shape + value.shape[1:])


def segment_median(
    x: Numbers,
    segment_ids: Numbers,
    *,
    num_segments: int,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's median along axis 0.

    Args:
        x: real array of shape (n, ...); bool and int become the default float.
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        where: as in `median`.
        nan: as in `median`.

    Returns:
        As of `segment_quantile`.

    Raises: TypeError, ValueError, as `segment_mean`.

    >>> segment_median([1.0, 3.0, 8.0], [0, 0, 1], num_segments=2)
    Array([2., 8.], dtype=float32)
    """
    data, place, n = _segments("segment_median", x, segment_ids, num_segments, where, nan)
    return _of_segments(data, place, None, n=n, nan=nan)[0]


def segment_quantile(
    x: Numbers,
    q: ArrayLike,
    segment_ids: Numbers,
    *,
    num_segments: int,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Array:
    """Return each segment's linear quantiles along axis 0: `quantile` of its elements.

    Derivatives flow to the elements selected; of equal ones to one.

    Args:
        x: real array of shape (n, ...); bool and int become the default float.
        q: probabilities, a scalar or of shape (m,).
        segment_ids: as in `segment_mean`.
        num_segments: as in `segment_mean`.
        where: as in `quantile`.
        nan: as in `quantile`.

    Returns:
        An array in x's floating dtype, of q's shape and then (num_segments, ...); nan for an empty
        segment.

    Raises:
        TypeError, ValueError: as `segment_mean`; q holds no real numbers, is outside [0, 1] or has
            two or more dimensions.

    >>> segment_quantile([1.0, 3.0, 8.0], 0.25, [0, 0, 1], num_segments=2).tolist()
    [1.5, 8.0]
    """
    data, place, n = _segments("segment_quantile", x, segment_ids, num_segments, where, nan)
    q = probabilities("segment_quantile", q)
    value = _of_segments(data, place, q.reshape(-1), n=n, nan=nan)
    return value.reshape(q.shape + value.shape[1:])


def _segments(
    who: str, x: Any, ids: Any, num_segments: Any, where: Any, nan: Nan
) -> tuple[Data, Array, int]:
    data, _ = check(who, {"x": x}, None, None, where, nan, real=ORDERED)
    place, n = segments_of(who, ids, num_segments, data.values[0].shape)
    return data, place, n


def _hidden_and_nan(data: Data, nan: Nan) -> tuple[Array, Array | None, Array | None]:
    """Return x, which elements are hidden or nan, and which are nan and count."""
    (x,), kept = data.values, join(data, nan)
    spoils = jnp.isnan(x) if jnp.issubdtype(x.dtype, jnp.inexact) and nan != "omit" else None
    if spoils is not None:
        spoils = spoils if kept is None else spoils & kept
    hidden = None if kept is None else ~kept
    if spoils is not None:
        hidden = spoils if hidden is None else hidden | spoils
    return x, hidden, spoils


@compiled("window", "axis")
def _of_windows(data: Data, q: Any, window: int, axis: int, nan: Nan) -> Array:
    x, hidden, spoils = _hidden_and_nan(data, nan)
    q = _HALF if q is None else q

    def row_of(v: Array | None) -> Any:
        return None if v is None else jnp.moveaxis(v, axis, -1).reshape(-1, v.shape[axis])

    def count(v: Array) -> Array:  # (rows, answers, 1)
        through = jnp.pad(jnp.cumsum(row_of(v), axis=1, dtype=np.int32), ((0, 0), (1, 0)))
        return (through[:, window:] - through[:, :-window])[..., None]

    size = window if data.where is None and nan != "omit" else count(~hidden)  # type: ignore
    rows, rest = row_of(x), [s for a, s in enumerate(x.shape) if a != axis]
    spoilt = None if spoils is None else count(spoils) > 0

    def at_ranks(ranks: Any, after: Any) -> Array:
        if after is not None:
            both = np if isinstance(ranks, np.ndarray) else jnp
            ranks = both.concatenate([ranks, after], axis=-1)
        return windows.at_ranks(rows, row_of(hidden), window, ranks)

    value = of_sets(at_ranks, size, spoilt, q, x.dtype)  # (rows, answers, m)
    value = jnp.moveaxis(value, -1, 0).reshape(value.shape[-1], *rest, value.shape[1])
    return answer(jnp.moveaxis(value, -1, axis + 1), data, (), False)


@compiled("n")
def _of_segments(data: Data, place: Array, q: Any, n: int, nan: Nan) -> Array:
    x, hidden, spoils = _hidden_and_nan(data, nan)
    nothing = jnp.zeros(x.shape, bool)
    q = _HALF if q is None else q

    def alone(x: Array, hidden: Array, spoils: Array) -> Array:  # (n,) -> (groups, m)
        def count(v: Array) -> Array:
            return jnp.zeros(n, np.int32).at[place].add(v.astype(np.int32), mode="drop")[:, None]

        own = jnp.where(hidden, n, place)
        if x.size == 0:
            return jnp.full((n, q.size), jnp.nan, jnp.result_type(float))
        at_ranks = lambda ranks, after: groups.at_ranks(x, own, n, ranks)  # noqa: E731
        return of_sets(at_ranks, count(~hidden), count(spoils) > 0, q, x.dtype)

    given = (x, nothing if hidden is None else hidden, nothing if spoils is None else spoils)
    columns = [v.reshape(len(x), math.prod(x.shape[1:])) for v in given]
    value = jax.vmap(alone, in_axes=1, out_axes=1)(*columns)  # (groups, columns, m)
    return answer(jnp.moveaxis(value, -1, 0).reshape(q.size, n, *x.shape[1:]), data, (), False)
