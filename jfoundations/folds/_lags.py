"""Sums of lagged products of a stream: autocovariance, and what chains of draws are worth by it.

A memory keeps Σ y_t y_{t+k} of deviations y from the first element for a fixed number of lags, and
the first and the latest elements, as many as there are lags: with these two memories merge, and
deviations from the mean are made in the end. For one stream of n elements and lag k, with mean d,

    Σ (y_t - d)(y_{t+k} - d) = Σ y_t y_{t+k} - n d² + d (the first k + the last k) - k d².
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_count
from .._core.compat import vary_as
from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.rounding import protect
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.moments.chains import effective_size
from .._kernels.moments.moments import root, times
from .._kernels.numbers.counts import Count
from .._kernels.numbers.two_words import Pair, add, each, multiply, one_word, over
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.sums.blocks import accumulator, finite, in_units, widen
from ._words import Words


@pytree
class Lags:
    """What is kept of a stream; all but the pivot are in units of a power of two.

    Attributes:
        count: how many elements there were.
        pivot: the first of them, in its own dtype.
        unit: the power of two.
        first: the first elements less the pivot, one fewer than lags, 0 where there are none.
        latest: the latest, the newest first.
        total: the sum of all, less the pivot.
        products: the sums of products at each lag.
    """

    count: Count
    pivot: jax.Array
    unit: jax.Array
    first: jax.Array
    latest: jax.Array
    total: Words
    products: Words


def autocov(lags: int) -> Fold[jax.Array]:
    """Return the fold of the autocovariance at lags 0 … lags − 1, elementwise.

    It is Σ(x_t − mean)(x_{t+k} − mean) / n, that of `diagnostics.autocov`, and 0 at lags of n or
    more; the answer has a leading axis of lags. The autocorrelation is its quotient by lag 0:
    `autocov(lags).map(lambda c: c / c[:1])`.

    The order of the elements matters, and memories merge in it. A memory has about four numbers a
    lag for each of an element; an element costs some operations a lag, a merge lags². An element
    may be a pytree of arrays.

    Args:
        lags: how many are kept, a Python int ≥ 1.

    Raises:
        TypeError: lags is no int; or, when it is run, the elements are complex.

    >>> import jfoundations as jf
    >>> jf.fold(autocov(3), jnp.array([1.0, 2.0, 4.0, 1.0]))
    Array([ 1.5, -0.5, -0.5], dtype=float32)
    """
    return _make("autocov", lags, 1, _autocov)


def ess(lags: int) -> Fold[jax.Array]:
    """Return the fold of the effective sample size; an element is a draw of all chains.

    It is `diagnostics.ess(x, kind="identity")` of the draws so far, by Geyer's monotone sequence,
    where that ends within the lags that are kept. Where it has not, which is so of few draws of
    slow chains, it is nan: `ess > 400` does not hold then. More lags, or every tenth draw, help.
    Ranks and halves of chains, as `kind="bulk"` has them, need all draws at once.

    Args:
        lags: how many are kept, a Python int ≥ 2; an even number, since they go in pairs.

    Returns:
        Of elements (chains, ...) an array of shape (...); nan of fewer than 4 draws.

    Raises:
        TypeError: lags is no int; or, when it is run, the elements are complex.
        ValueError: lags is less than 2; or, when it is run, an element has no axis of chains.

    >>> import jfoundations as jf
    >>> x = jax.random.normal(jax.random.key(0), (1000, 4, 2))  # 1000 draws of 4 chains
    >>> (jf.fold(ess(100), x) > 2000).tolist()
    [True, True]
    """
    return _make("ess", lags, 2, _ess)


def mcse(lags: int) -> Fold[jax.Array]:
    """Return the fold of the Monte Carlo standard error of the mean over all chains.

    It is sd / √ess, with `folds.ess`, whose nan it shares. `diagnostics.mcse` differs from it as
    the effective sample size of halved chains from that of whole ones.

    Args:
        lags: as in `ess`.

    Returns:
        Of elements (chains, ...) an array of shape (...); nan of fewer than 4 draws.

    Raises: TypeError, ValueError, as `ess`.

    >>> import jfoundations as jf
    >>> x = jax.random.normal(jax.random.key(0), (1000, 4))
    >>> bool(jnp.abs(jf.fold(mcse(100), x) - 1 / 4000**0.5) < 0.004)
    True
    """
    return _make("mcse", lags, 2, _mcse)


def _make(name: str, lags: int, least: int, extract: Any) -> Fold[jax.Array]:
    lags = check_count(lags, "lags", f"folds.{name}", least)
    init = partial(_init, lags, name != "autocov")
    return leafwise(Fold(init, _step, _merge, extract, name=name))


def check_draws(like: PyTree, chains: bool) -> None:
    """Raise unless an element is a real array, and, of chains, has an axis of them."""
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        raise TypeError("this fold's elements are complex; give real ones: .of(jnp.real)")
    if chains and not like.shape:
        raise ValueError(
            "this fold's elements have shape (); an element is one draw of all chains, "
            "(chains, ...): stack the chains, or give one chain an axis by .of(lambda x: x[None])"
        )


def _init(lags: int, chains: bool, like: PyTree) -> Lags:
    check_draws(like, chains)
    dtype, shape = accumulator(like.dtype), like.shape
    pivot = jnp.zeros_like(widen(jnp.zeros(shape, like.dtype)))
    zero = jnp.zeros(shape, dtype)
    kept = jnp.zeros((lags - 1, *shape), dtype)
    products = Words.of(jnp.zeros((lags, *shape), dtype))
    return Lags(Count.of(0), pivot, binary_unit(zero), kept, kept, Words.of(zero), products)


def reach(x: jax.Array, pivot: jax.Array) -> jax.Array:
    """Return the power of two near a distance, which may be larger than any number."""
    quarter = in_units(x, pivot, jnp.asarray(0.25, accumulator(x.dtype)))
    return binary_unit(jnp.abs(quarter)) * 4


def _within(count: Count, most: int) -> jax.Array:
    """Return a count, or as many as are kept, as an int32."""
    many = (count.high > 0) | (count.low > most)
    return jnp.where(many, np.uint32(most), count.low).astype(np.int32)


def _step(memory: Lags, x: PyTree) -> Lags:
    x = widen(elements(x))
    memory = _in_unit(memory, jnp.where(memory.count.positive(), memory.pivot, finite(x)), x)
    y = in_units(x, memory.pivot, inverse_unit(memory.unit))
    behind = jnp.concatenate([y[None], memory.latest])
    kept = len(memory.first)
    place = jnp.arange(kept, dtype=np.int32).reshape(-1, *(1,) * y.ndim)
    return Lags(
        memory.count + Count.of(1),
        memory.pivot,
        memory.unit,
        jnp.where(place == _within(memory.count, kept), y[None], memory.first),
        behind[:kept],
        memory.total.more(y),
        memory.products.more(y[None] * behind),
    )


def _in_unit(memory: Lags, pivot: jax.Array, x: jax.Array) -> Lags:
    """Return a memory in a unit that an element less the pivot has room in."""
    unit = jnp.maximum(memory.unit, reach(x, pivot))
    return _rescaled(memory, pivot, unit)


def _rescaled(memory: Lags, pivot: jax.Array, unit: jax.Array) -> Lags:
    ratio = memory.unit / unit
    each_lag = ratio[None]
    first, latest = memory.first * each_lag, memory.latest * each_lag
    products = memory.products.times(each_lag).times(each_lag)
    return Lags(memory.count, pivot, unit, first, latest, memory.total.times(ratio), products)


def _ends(memory: Lags) -> jax.Array:
    """Return the sums of the first k elements and the last k, for each lag k."""
    both = jnp.pad(memory.first + memory.latest, [(1, 0)] + [(0, 0)] * memory.pivot.ndim)
    return jnp.cumsum(both, axis=0)


def _places(memory: Lags) -> jax.Array:
    return jnp.arange(len(memory.first) + 1, dtype=np.int32).reshape(-1, *(1,) * memory.pivot.ndim)


def _moved(memory: Lags, pivot: jax.Array) -> Lags:
    """Return a memory about another pivot, in a unit that has room for the way there."""
    shift = in_units(memory.pivot, pivot, inverse_unit(memory.unit))
    lag, n = _places(memory), _within(memory.count, len(memory.first))
    # Σ (y + s)(y' + s) = Σ y y' + s (Σ y + Σ y') + (n - k) s²
    pairs = jnp.maximum(memory.count.astype(shift.dtype) - lag.astype(shift.dtype), 0)
    step, total = shift[None], memory.total.value[None]
    sides = (total - _ends(memory)) + total
    products = memory.products.more(step * sides).more(protect(step * step) * pairs)
    there = lag[: len(memory.first)] < n
    first, latest = (jnp.where(there, v + step, 0) for v in (memory.first, memory.latest))
    moved = memory.total.more(shift * memory.count.astype(shift.dtype))
    return Lags(memory.count, pivot, memory.unit, first, latest, moved, products)


def _merge(a: Lags, b: Lags) -> Lags:
    pivot = jnp.where(a.count.positive(), a.pivot, b.pivot)
    a, b = (_rescaled(m, jnp.where(m.count.positive(), m.pivot, pivot), m.unit) for m in (a, b))
    unit = jnp.maximum(jnp.maximum(a.unit, b.unit), reach(b.pivot, pivot))
    a, b = (_rescaled(m, m.pivot, unit) for m in (a, b))
    b = _moved(b, pivot)
    return Lags(
        a.count + b.count,
        pivot,
        unit,
        _behind(a.first, a.count, b.first),
        _behind(b.latest, b.count, a.latest),
        a.total + b.total,
        (a.products + b.products).more(_across(a.latest, b.first)),
    )


def _behind(x: jax.Array, count: Count, y: jax.Array) -> jax.Array:
    """Put y after the elements of x that there are, as far as there is room."""
    kept = len(x)
    padded = jnp.concatenate([jnp.zeros_like(y), y])
    return x + lax.dynamic_slice_in_dim(padded, kept - _within(count, kept), kept)


def _across(latest: jax.Array, first: jax.Array) -> jax.Array:
    """Return the products of elements before and after a cut, summed for each lag."""
    kept = len(first)
    padded = jnp.concatenate([jnp.zeros_like(first), jnp.zeros_like(first[:1]), first])

    def more(i: jax.Array, sums: jax.Array) -> jax.Array:
        # the element i places before the cut meets the first of those after it at lag i + 1
        return sums + latest[i][None] * lax.dynamic_slice_in_dim(padded, kept - i, kept + 1)

    zeros = jnp.zeros((kept + 1, *first.shape[1:]), first.dtype)
    return lax.fori_loop(0, kept, more, vary_as(zeros, (first, latest))) if kept else zeros


def _central(memory: Lags) -> tuple[jax.Array, jax.Array]:
    """Return the autocovariance, and the mean less the pivot, in units."""
    dtype = memory.total.high.dtype
    n = memory.count.astype(dtype)
    total, products = ((w.high, w.low) for w in (memory.total, memory.products))
    number: Pair = (jnp.broadcast_to(n, total[0].shape), jnp.zeros_like(total[0]))
    d = over(total, number)
    about = add(products, each(lambda word: -word[None], multiply(d, total)))
    lag, mean = _places(memory).astype(dtype), one_word(d)[None]
    value = one_word(about) + protect(mean * (_ends(memory) - protect(lag * mean)))
    # of no pair the sum is empty; of no element there is no mean
    value = jnp.where(lag < n, value, jnp.where(jnp.isnan(mean), jnp.nan, 0)) / n
    return value, mean[0]


def _autocov(memory: Lags) -> jax.Array:
    return times(_central(memory)[0], memory.unit[None], memory.unit[None])


def _of_chains(memory: Lags) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return autocovariances and means of the chains, in one unit, and that."""
    value, mean = _central(memory)
    own, pivot = memory.unit, memory.pivot
    unit = jnp.max(jnp.maximum(own, reach(pivot, pivot[:1])), axis=0, keepdims=True)
    ratio = own / unit
    means = in_units(pivot, pivot[:1], inverse_unit(unit)) + mean * ratio
    return value * ratio[None] * ratio[None], means, unit[0]


def _ess(memory: Lags) -> jax.Array:
    value, means, _ = _of_chains(memory)
    return _size(memory, value, means)


def _size(memory: Lags, value: jax.Array, means: jax.Array) -> jax.Array:
    n = _within(memory.count, 2**31 - 1)
    found = effective_size(jnp.mean(value, axis=1), means, jnp.maximum(n, 2))
    return jnp.where(n < 4, jnp.nan, found)


def _mcse(memory: Lags) -> jax.Array:
    value, means, unit = _of_chains(memory)
    away = means - jnp.mean(means, axis=0, keepdims=True)
    n = memory.count.astype(value.dtype)
    square = jnp.sum(n * (value[0] + away * away), axis=0) / (len(means) * n - 1)
    return root(square / _size(memory, value, means)) * unit
