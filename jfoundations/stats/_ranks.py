"""Rank correlation: Pearson's coefficient of midranks.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.rank_corr(x, x**3))
1.0
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from .._core.rounding import protect
from .._kernels.moments.moments import coefficient
from .._kernels.numbers.sortable_bits import encode, last_key
from .._kernels.numbers.two_words import Pair, each, exact_words, one_word
from .._kernels.numbers.units import binary_unit, inverse_unit, unit_of
from .._kernels.order.counting import present
from .._kernels.order.occurrences import hide, padded, rows, tally, total, unrow
from .._kernels.order.sorting import argsort
from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
    Data,
    Nan,
    accumulator,
    answer,
    check,
    compiled,
)
from .._kernels.sample.weights import Weights
from .._kernels.sums.tree_sums import running_sum


def rank_corr(
    x: ArrayLike,
    y: ArrayLike,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Weights | ArrayLike | None = None,
    where: ArrayLike | None = None,
    nan: Nan = "propagate",
) -> jax.Array:
    """Return Spearman's rank correlation of pairs, ties given their average rank.

    Any strictly increasing function of x or of y leaves every bit alone. The coefficient is
    piecewise constant, so all its derivatives are 0.

    Args:
        x: real array.
        y: an array of the same shape.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: how often each pair was seen, of any kind (see `Frequency`); a bare array holds
            frequencies: weight k is repetition, 0 deletion. The scale does not matter.
        where: bools that broadcast against x; pairs at False do not exist.
        nan: "propagate" gives nan where a pair holds one, "omit" drops such pairs.

    Returns:
        An array in the inputs' floating dtype, in −1 … 1; nan where x or y is constant or empty.

    Raises:
        TypeError: x or y holds no numbers that can be ordered.
        ValueError: the shapes differ, or an axis is out of range or repeated.

    Source: Spearman (1904), "The proof and measurement of association between two things".

    >>> round(float(rank_corr([1.0, 2.0, 4.0, 18.0], [1.0, 3.0, 2.0, 9.0])), 4)
    0.8
    """
    data, axes = check("rank_corr", {"x": x, "y": y}, axis, weights, where, nan, real=ORDERED)
    return _rank_corr(data, axes, bool(keepdims), nan)


@compiled()
def _rank_corr(data: Data, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    counts, bad = tally(data, axes, nan)
    pairs = [rows(v, axes) for v in data.values]
    pairs = [padded(v, counts) for v in pairs]
    counts = pairs[0][1]
    x, y = (hide(v, counts) for v, _ in pairs)
    dtype = accumulator(jnp.result_type(x.dtype, y.dtype))
    both = [_keys(v, counts) for v in (x, y)]
    key = np.promote_types(*(v.dtype for v in both))
    ranks = centred_ranks(jnp.stack([v.astype(key) for v in both]), counts, dtype)
    a, b = (jnp.where(v == v, r, jnp.nan) for v, r in zip((x, y), ranks, strict=True))
    often = None if counts is None else _often(counts, dtype)[0]

    def sum_of(product: jax.Array) -> jax.Array:
        product = protect(product)
        return jnp.sum(product if often is None else product * often, axis=1)

    value = coefficient(sum_of(a * a), sum_of(b * b), sum_of(a * b))
    value = value if bad is None else jnp.where(bad, jnp.nan, value)
    return answer(unrow(value, data, axes), data, axes, keepdims)


def _keys(x: jax.Array, counts: jax.Array | None) -> jax.Array:
    # −0.0 and 0.0 tie, though their keys differ
    keys = encode(jnp.where(x == jnp.zeros((), x.dtype), jnp.zeros((), x.dtype), x))
    return keys if counts is None else jnp.where(present(counts), keys, last_key(keys.dtype))


def _often(counts: jax.Array, dtype: DTypeLike) -> Pair:
    """Return counts in two words, in units of the largest."""
    often = exact_words(counts, dtype)
    inverse = inverse_unit(unit_of(one_word(often), None, (1,)))
    return each(lambda word: word * inverse, often)


def centred_ranks(keys: jax.Array, counts: jax.Array | None, dtype: DTypeLike) -> jax.Array:
    """Return (what counts below) − (what counts above) of each element, by a power of two.

    That is twice the midrank less W + 1, so its mean is 0 with no subtraction, and the values are
    integers while W < 2²⁴; the power of two keeps their squares' sums in range.

    Args:
        keys: of shape (2, rows, n), the last key of what does not count.
        counts: of shape (rows, n), or None.
        dtype: that of the answer, of shape (2, rows, n).
    """
    shape, keys = keys.shape, keys.reshape(-1, keys.shape[-1])
    n = keys.shape[1]
    keys, order = argsort(keys)
    places = lax.broadcasted_iota(jnp.int32, keys.shape, 1)
    first = jnp.pad(keys[:, 1:] != keys[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    begin = lax.cummax(jnp.where(first, places, 0), axis=1)  # of each run of ties
    if counts is None or counts.dtype == np.bool_:
        size = n if counts is None else jnp.tile(total(counts, counts), (2, 1))
        before, often = places, (places < size).astype(jnp.int32)
    else:
        words = each(lambda word: jnp.tile(word, (2, 1)), _often(counts, dtype))
        words = each(lambda word: jnp.take_along_axis(word, order, axis=1), words)
        through, often = one_word(running_sum(words)), one_word(words)
        before = jnp.pad(through, ((0, 0), (1, 0)))[:, :-1]
        size = through[:, -1:]

    def row(order: Any, begin: Any, before: Any, often: Any, size: Any) -> jax.Array:
        run = jnp.zeros_like(often).at[begin].add(often)
        below = before[begin]
        ranks = (below + (below + run[begin] - size)).astype(dtype)
        return jnp.zeros_like(ranks).at[order].set(ranks, unique_indices=True)

    size = jnp.broadcast_to(jnp.asarray(size, often.dtype), (keys.shape[0], 1))
    ranks = jax.vmap(row)(order, begin, before, often, size)
    return (ranks * inverse_unit(binary_unit(size.astype(dtype)))).reshape(shape)
