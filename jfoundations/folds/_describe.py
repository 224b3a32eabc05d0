"""The range of the elements, and all that is to be known of them at a glance."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold, combine
from .._folds.leafwise import leafwise
from .._kernels.numbers.counts import Count
from .._kernels.sample.arguments import scalar
from .._kernels.sample.weights import Frequency
from .._kernels.sums.blocks import counted
from .._kernels.sums.one_read import bounds
from ..stats._describe import Description
from ..stats._minmax import minmax as minmax_of
from ._elements import Kind, Nan, Taken, checked, one, rows_of, zero_rows
from ._moments import by_name, only, powers
from ._words import choose


@pytree
class _Range:
    """The least and the greatest element, and whether there was any."""

    low: jax.Array
    high: jax.Array
    some: jax.Array


def minmax(*, weights: Kind = None, nan: Nan = "propagate") -> Fold[tuple[jax.Array, jax.Array]]:
    """Return the fold of the least and the greatest element, elementwise, as `stats.minmax`.

    Over nothing: nan; for ints and bools, which have none, the dtype's largest and smallest value.

    Args:
        weights: as in `mean`; weight 0 is deletion, other weights change nothing.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> [int(v) for v in jf.fold(minmax(), jnp.array([3, 1, 2]))]
    [1, 3]
    """
    return leafwise(_extremes(checked("minmax", weights, nan)), weighted=weights is not None)


def _extremes(taken: Taken) -> Fold[tuple[jax.Array, jax.Array]]:
    init, step, block = (partial(f, taken) for f in (_init, _step, _block))
    return Fold(init, step, _merge, _ends, block, block_where=block, name="minmax")


def describe(
    *, correction: float = 0, weights: Kind = None, nan: Nan = "propagate"
) -> Fold[Description]:
    """Return the fold of count, extremes, mean, variance, skewness and kurtosis, elementwise.

    The answer is a `stats.Description`; of pytrees of arrays it is a pytree with one at each leaf.
    Its count is that of `count`, exact; of `Frequency` weights it is their sum, a float.

    Args:
        correction: as in `var`.
        weights: as in `var`.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> jf.fold(describe(), jnp.array([1.0, 3.0, 8.0])).mean
    Array(4., dtype=float32)
    >>> table = {"age": jnp.array([31.0, 33.0]), "size": jnp.array([1, 5])}
    >>> {name: float(found.var) for name, found in jf.fold(describe(), table).items()}
    {'age': 1.0, 'size': 4.0}
    """
    ends = _extremes(checked("minmax", weights, nan))
    both = combine(powers=powers(weights, nan), ends=ends)
    correction = float(scalar("folds.describe", "correction", correction))
    found = both.map(partial(_description, weights, correction), name="describe")
    return leafwise(found, weighted=weights is not None)


def _block(taken: Taken, xs: PyTree, kept: jax.Array | None = None) -> _Range:
    (x,), weights = rows_of(taken, xs, kept)
    if taken.weights is None:
        x = jnp.asarray(xs)  # bools stay bools
    count = None if weights is None else taken.weights and taken.weights(weights)
    where = weights if count is None else None
    low, high = minmax_of(x, axis=0, weights=count, where=where)
    some = (
        jnp.full(low.shape, x.shape[0] > 0)
        if weights is None
        else jnp.any(counted(weights), axis=0)
    )
    return _Range(low, high, some)


def _init(taken: Taken, like: PyTree) -> _Range:
    return _block(taken, zero_rows(like))


def _step(taken: Taken, memory: _Range, x: Any) -> _Range:
    (value,), weights = rows_of(taken, one(x))
    value = jnp.asarray(x if taken.weights is None else value[0])  # bools stay bools
    if weights is None:
        return _merge(memory, _Range(value, value, jnp.full(value.shape, True)))
    some = counted(weights[0])
    low, high = (jnp.where(some, value, end) for end in bounds(value.dtype))
    if jnp.issubdtype(value.dtype, jnp.inexact):  # a negative weight is nan
        low, high = (
            jnp.where(jnp.isnan(weights[0].astype(value.dtype)), jnp.nan, v) for v in (low, high)
        )
    return _merge(memory, _Range(low, high, some))


def _merge(a: _Range, b: _Range) -> _Range:
    both = _Range(jnp.minimum(a.low, b.low), jnp.maximum(a.high, b.high), a.some | b.some)
    return choose(~b.some, a, choose(~a.some, b, both))


def _ends(memory: _Range) -> tuple[jax.Array, jax.Array]:
    return memory.low, memory.high


def _description(kind: Any, correction: ArrayLike, found: dict[str, Any]) -> Description:
    memory = found["powers"]
    part, (low, high) = only(memory, "describe"), found["ends"]
    seen = part.weight.total if part.weight.seen is None else part.weight.seen
    exact = isinstance(seen, Count) and kind is not Frequency
    count = seen.answer() if exact else part.total  # type: ignore[union-attr]
    return Description(
        count,
        low,
        high,
        part.mean,
        *(by_name(name, kind, correction, memory) for name in ("var", "skew", "kurtosis")),
    )
