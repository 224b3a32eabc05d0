"""Rank correlation: Pearson's coefficient of midranks.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> float(stats.rank_corr(x, x**3))
1.0
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._core.rounding import protect
from .._core.types import PyTree
from .._kernels.moments.moments import coefficient
from .._kernels.moments.total import total as sum_of
from .._kernels.numbers.sortable_bits import encode, last_key
from .._kernels.numbers.two_words import Pair, add, each, exact_words, one_word
from .._kernels.numbers.units import binary_unit, inverse_unit, unit_of
from .._kernels.order.occurrences import hide, padded, rows, tally, unrow
from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
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
def _rank_corr(data: PyTree, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    counts, bad = tally(data, axes, nan)
    pairs = [rows(v, axes) for v in data.values]
    (x, counts), (y, _) = (padded(v, counts) for v in pairs)
    dtype = accumulator(jnp.result_type(*(v.dtype for v in pairs)))
    often = jnp.ones(x.shape, bool) if counts is None else counts
    often = exact_words(often, dtype)
    inverse = inverse_unit(unit_of(one_word(often), None, (1,)))
    often = each(lambda word: word * inverse, often)
    a, b = centred_ranks(x, often), centred_ranks(y, often)
    products = jnp.stack([protect(u * v) for u, v in ((a, a), (b, b), (a, b))])
    weights = jnp.broadcast_to(one_word(often), products.shape)
    value = coefficient(*sum_of(products, weights, (2,), "default")[..., 0])
    spoilt = jnp.broadcast_to(bad, value.shape)
    for v in (x, y):
        if jnp.issubdtype(v.dtype, jnp.inexact):
            spoilt = spoilt | jnp.any(jnp.isnan(hide(v, counts)), axis=1)
    value = unrow(jnp.where(spoilt, jnp.nan, value), data, axes)
    return answer(value, data, axes, keepdims)


def centred_ranks(x: jax.Array, counts: Pair) -> jax.Array:
    """Return (what counts below) − (what counts above) of each element, by a power of two.

    That is twice the midrank less W + 1, so its mean is 0 with no subtraction, and the values are
    integers while W < 2²⁴; the power of two keeps their squares' sums in range.
    """
    keys, places = encode(x), lax.broadcasted_iota(jnp.int32, x.shape, 1)
    # −0.0 and 0.0 tie, though their keys differ
    keys = jnp.where(x == jnp.zeros((), x.dtype), encode(jnp.zeros((), x.dtype)), keys)
    keys = jnp.where(one_word(counts) > 0, keys, last_key(keys.dtype))
    keys, high, low, order = lax.sort((keys, *counts, places), num_keys=1)
    through = running_sum((high, low))
    size = each(lambda word: word[:, -1:], through)
    step = keys[:, 1:] != keys[:, :-1]
    edge = jnp.ones((x.shape[0], 1), bool)
    first, last = jnp.concatenate([edge, step], axis=1), jnp.concatenate([step, edge], axis=1)
    begin = lax.cummax(jnp.where(first, places, 0), axis=1)
    end = lax.cummin(jnp.where(last, places, x.shape[1] - 1), axis=1, reverse=True)
    before = each(lambda word: jnp.pad(word, ((0, 0), (1, 0)))[:, :-1], through)
    before = each(lambda word: jnp.take_along_axis(word, begin, axis=1), before)
    after = each(lambda word: jnp.take_along_axis(word, end, axis=1), through)
    ranks = one_word(add(add(before, after), each(jnp.negative, size)))
    ranks = ranks * inverse_unit(binary_unit(one_word(size)))
    return jax.vmap(lambda row, at: jnp.zeros_like(row).at[at].set(row))(ranks, order)
