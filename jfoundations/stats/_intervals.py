"""How far a statistic can be trusted: Fisher's interval of a correlation, and the bootstrap.

>>> import jax, jax.numpy as jnp
>>> from jfoundations import stats
>>> x = jnp.array([1.0, 2.0, 4.0, 18.0, 3.0, 7.0])
>>> found = stats.bootstrap(stats.mean, x, key=jax.random.key(0), level=0.9)
>>> bool(found.low < stats.mean(x) < found.high)
True
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

from .._core.checks import check_count
from .._core.programs import compiled
from .._core.pytrees import pytree
from .._core.sharding import automatic
from .._core.types import PyTree
from .._kernels.moments.formulas import Call, alike
from .._kernels.sample.arguments import REAL, Axes, Axis, Nan, Numbers, check, numbers, scalar
from .._kernels.sample.arguments import compiled as one_program
from .._kernels.sample.weights import Weights
from ._basic import std
from ._order import quantile
from ._pairs import corr


def pearson_interval(
    x: Numbers,
    y: Numbers,
    *,
    level: Any = 0.95,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> tuple[jax.Array, jax.Array]:
    """Return a confidence interval of Pearson's correlation by Fisher's z: `(low, high)`.

    Args:
        x: real array.
        y: an array of the same shape.
        level: the confidence, in (0, 1); a traced one outside gives nan.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: as in `corr`; n is W for frequencies, the count for probabilities, and Kish's
            W²/Σw² for reliabilities.
        where: as in `corr`.
        nan: "propagate" or "omit".

    Returns:
        Two arrays; (−1, 1) where n ≤ 3 (as SciPy), nan where the correlation is.

    Raises:
        TypeError, ValueError: as `corr`; the data are complex; a concrete level is outside (0, 1).

    Source: Fisher (1921), "On the 'probable error' of a coefficient of correlation".

    >>> low, high = pearson_interval(jnp.arange(10.0), jnp.arange(10.0) % 4)
    >>> round(float(low), 4), round(float(high), 4)
    (-0.5794, 0.6751)
    """
    named = {"x": x, "y": y}
    data, axes = check("pearson_interval", named, axis, weights, where, nan, real=REAL)
    level = _level("pearson_interval", level)
    r = corr(x, y, axis=axis, keepdims=keepdims, weights=weights, where=where, nan=nan)
    n = _effective_size(data, axes=axes, keepdims=bool(keepdims), nan=nan)
    return _fisher(r, n, level)


@one_program()
def _effective_size(data: PyTree, axes: Axes, keepdims: bool, nan: Nan) -> jax.Array:
    call = Call.of(data, nan, axes)
    total = call.memory(alike(data.values[:1]), 0)[0]
    size = call.size(total)
    return jnp.expand_dims(size, axes) if keepdims else size


@jax.jit
@automatic
def _fisher(r: jax.Array, n: jax.Array, level: ArrayLike) -> tuple[jax.Array, jax.Array]:
    dtype = n.dtype
    quantile = 2**0.5 * lax.erf_inv(_inside(level, dtype))  # of the normal distribution
    half = quantile / jnp.sqrt(jnp.where(n > 3, n - 3, 1))
    z = jnp.arctanh(r.astype(dtype))
    low, high = jnp.tanh(z - half), jnp.tanh(z + half)
    # of three pairs or fewer nothing is known, unless the correlation itself is not
    low = jnp.where(n > 3, low, jnp.where(jnp.isnan(r), jnp.nan, -1))
    high = jnp.where(n > 3, high, jnp.where(jnp.isnan(r), jnp.nan, 1))
    return low.astype(r.dtype), high.astype(r.dtype)


def _level(who: str, level: Any) -> Any:
    level = scalar(who, "level", level)
    if not isinstance(level, Tracer) and not 0 < float(level) < 1:
        raise ValueError(f"{who}: level is {level}; it must lie in (0, 1), say 0.95")
    return level


def _inside(level: ArrayLike, dtype: DTypeLike) -> jax.Array:
    """Return a level as a float, nan where it is not in (0, 1)."""
    level = jnp.asarray(level, dtype)
    return jnp.where((level > 0) & (level < 1), level, jnp.nan)


@pytree
class Bootstrap:
    """What `bootstrap` returns.

    Attributes:
        estimate: the statistic of the data.
        low: the interval's lower end.
        high: its upper end.
        standard_error: the deviation of the resampled statistics (correction 1).
        distribution: the resampled statistics, along a leading axis.
    """

    estimate: Any
    low: Any
    high: Any
    standard_error: Any
    distribution: Any


def bootstrap(
    statistic: Callable[..., Any],
    *samples: Any,
    key: jax.Array,
    resamples: int = 1000,
    level: Any = 0.95,
    method: Literal["percentile", "basic"] = "percentile",
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
) -> Bootstrap:
    """Bootstrap any statistic: resample the elements along axis 0, with replacement.

    Args:
        statistic: `(*samples) -> pytree of real arrays`; pure. With `where` or `weights` it is
            called with those keywords too, resampled along. Its ints and bools are taken as floats.
        *samples: arrays with one leading axis in common, resampled together.
        key: a PRNG key; equal keys give equal bits.
        resamples: how many samples are drawn, a Python int.
        level: the interval's confidence, in (0, 1); a traced one outside gives nan.
        method: "percentile" (quantiles of the distribution) or "basic" (mirrored at the estimate).
        weights: weights of the elements, which stay with their element when it is drawn. An
            element of weight 0 is never drawn, as if it were deleted.
        where: bools along axis 0; hidden elements are never drawn either.

    Returns:
        A `Bootstrap` of arrays of the statistic's shape.

    Raises:
        TypeError: the key is missing, a sample holds no numbers, the statistic is complex, or
            resamples is traced.
        ValueError: the leading axes differ; the level or the method is unknown.

    Source: Efron (1979), "Bootstrap methods: another look at the jackknife".

    >>> found = bootstrap(jnp.median, jnp.arange(9.0), key=jax.random.key(1), resamples=200)
    >>> float(found.estimate), found.distribution.shape
    (4.0, (200,))
    """
    arrays = tuple(numbers("bootstrap", f"sample {k + 1}", s) for k, s in enumerate(samples))
    lengths = {a.shape[:1] for a in arrays}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(
            f"bootstrap: the samples have shapes {[a.shape for a in arrays]}; "
            "one leading axis in common is needed"
        )
    resamples = check_count(resamples, "resamples", "bootstrap", least=2)
    level = _level("bootstrap", level)
    if method not in ("percentile", "basic"):
        raise ValueError(f"bootstrap: method is {method!r}; it must be 'percentile' or 'basic'")
    extra: dict[str, Any] = {}
    if weights is not None:
        kind = type(weights) if isinstance(weights, Weights) else None
        values = weights.values if isinstance(weights, Weights) else weights
        values = _one_each("weights", values, arrays[0].shape[0])
        extra["weights"] = kind(values) if kind else values
    if where is not None:
        extra["where"] = _one_each("where", where, arrays[0].shape[0])
    run = compiled(_bootstrap, statistic, resamples=resamples, method=method)
    return run(arrays, extra, key, level)


def _one_each(name: str, value: Any, n: int) -> jax.Array:
    value = numbers("bootstrap", name, value)
    if value.shape[:1] != (n,):
        raise ValueError(
            f"bootstrap: {name} has shape {value.shape}; one for each of the {n} elements along "
            "axis 0 is needed"
        )
    if name == "where" and value.dtype != np.bool_:
        raise TypeError(f"bootstrap: where has dtype {value.dtype}, a bool array is needed")
    return value


def _bootstrap(statistic: Any, *arguments: Any, **options: Any) -> Bootstrap:
    return automatic(functools.partial(_drawn, statistic, **options))(*arguments)


def _drawn(
    statistic: Any,
    arrays: PyTree,
    extra: PyTree,
    key: Array,
    level: Any,
    resamples: int,
    method: str,
) -> Bootstrap:
    n = arrays[0].shape[0]
    words = dict(extra)
    valid = jnp.ones(n, bool)
    for mask in jax.tree.leaves(words):
        valid = valid & jnp.any(mask.astype(bool).reshape(n, -1), axis=1)
    count = jnp.sum(valid, dtype=np.int32) if words else n
    # the valid elements' places, in order: deleting the others beforehand gives the same draws
    places = jnp.argsort(~valid, stable=True) if words else lax.iota(np.int32, n)

    def kept(value: jax.Array) -> jax.Array:
        index = lax.broadcasted_iota(np.int32, value.shape, 0)
        return jnp.where(index < count, value, jnp.zeros((), value.dtype))

    def once(key: jax.Array) -> Any:
        at = jnp.take(places, jax.random.randint(key, (n,), 0, jnp.maximum(count, 1)))
        take = functools.partial(jnp.take, indices=at, axis=0)
        drawn = {name: jax.tree.map(take, value) for name, value in words.items()}
        return _answers(statistic, *map(take, arrays), **jax.tree.map(kept, drawn))

    keys = jax.random.split(key, resamples)
    distribution = lax.map(once, keys, batch_size=min(resamples, 32))
    estimate = _answers(statistic, *arrays, **words)
    level = _inside(level, jnp.result_type(float))
    tails = jnp.stack([(1 - level) / 2, (1 + level) / 2])
    ends = jax.tree.map(lambda d: quantile(d, tails, axis=0), distribution)
    low, high = (jax.tree.map(lambda e, k=k: e[k], ends) for k in (0, 1))
    if method == "basic":

        def mirror(e: jax.Array, end: jax.Array) -> jax.Array:
            return e.astype(end.dtype) + (e.astype(end.dtype) - end)

        low, high = (jax.tree.map(mirror, estimate, end) for end in (high, low))
    error = jax.tree.map(lambda d: std(d, axis=0, correction=1), distribution)
    return Bootstrap(estimate, low, high, error, distribution)


def _answers(statistic: Any, *samples: Any, **words: Any) -> Any:
    found = jax.tree.map(jnp.asarray, statistic(*samples, **words))
    for value in jax.tree.leaves(found):
        if jnp.iscomplexobj(value):
            raise TypeError(
                f"bootstrap: the statistic returns {value.dtype}, which has no order and so no "
                "interval; return its real and its imaginary part, as (z.real, z.imag)"
            )
    return found
