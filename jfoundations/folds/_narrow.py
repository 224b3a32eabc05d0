"""Further passes for quantiles: each looks 2**16 times nearer at where they are.

A quantile lies in an interval of keys, which the pass before has found; this one cuts it into
2**16 equal slices and counts. With slices of one key it is exact.
"""

from __future__ import annotations

from functools import partial as partial_of
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.inputs import elements
from .._core.pytrees import pytree, static
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.numbers.counts import Count
from .._kernels.numbers.sortable_bits import decode, encode
from .._kernels.order.counting import by_columns
from .._kernels.order.quantiles import between
from .._kernels.order.ranks import find
from .._kernels.sample.arguments import accumulator
from ._elements import one, zero_rows
from ._sketch import Sketch, at, carrier, edges, places, shifted
from ._words import without

SLICES = 16  # so many bits


@pytree
class Narrow:
    """In which interval of keys two order statistics are: what `folds.narrow` answers.

    Attributes:
        first: the first key, of shape (2, m, ...).
        last: the last key.
        ranks: the ranks of the order statistics among the elements there.
        sizes: how many elements there are.
        part: the share of the upper one, of shape (m, ...).
        good: whether there is an answer at all.
        around: what is subtracted from the elements.
        dtype: the elements' dtype.
        scalar: whether q is a scalar.
    """

    first: jax.Array
    last: jax.Array
    ranks: Count
    sizes: Count
    part: jax.Array
    good: jax.Array
    around: jax.Array
    dtype: Any = static()
    scalar: bool = static()

    @property
    def value(self) -> jax.Array:
        """The quantiles: exact where an interval is one key, else from the key in its middle."""
        return _value(self)

    def shift(self) -> jax.Array:
        """Return how many bits of a key, less the first, a slice leaves open."""
        width = self.last - self.first
        bits = 8 * width.dtype.itemsize - lax.clz(width).astype(np.int32)
        return jnp.maximum(bits - SLICES, 0).astype(width.dtype)


@jax.jit
def _value(found: Narrow) -> jax.Array:
    dtype = carrier(found.dtype)
    middle = found.first + ((found.last - found.first) >> np.array(1, found.first.dtype))
    low, high = decode(middle, dtype) + found.around.astype(dtype)[None, None]
    value = jnp.where(found.good, between(low, high, found.part), jnp.nan)
    return value[0] if found.scalar else value


def narrowed(who: str, q: jax.Array, within: Any) -> Fold[Narrow]:
    """Return the fold of a `Narrow`.

    Args:
        who: the name of a fold, for messages.
        q: probabilities.
        within: what the pass before has found.
    """
    if isinstance(within, Sketch):
        if not within.bins.whole:
            raise ValueError(
                f"folds.{who}: within is a sketch of fractional weights; further passes know no "
                "weights, fold a sketch without, or ask for more accuracy"
            )
        q = q.astype(accumulator(carrier(within.dtype)))
        within = _between_edges(within, jnp.atleast_1d(q), q.ndim == 0)
    if not isinstance(within, Narrow):
        raise TypeError(
            f"folds.{who}: within is {type(within).__name__}; give the answer of "
            "fold(folds.sketch(), data) or of fold(folds.narrow(q, within=...), data)"
        )
    init, step, block = (partial(f, within) for f in (_init, _step, _block))
    extract = partial(_nearer, within)
    return Fold(init, step, _add, extract, block, block_where=block, unmerge=without, name=who)


@partial_of(jax.jit, static_argnums=2)
def _between_edges(found: Sketch, q: jax.Array, scalar: bool) -> Narrow:
    place = places(found, q)
    low, high, _ = (at(v, place.bins) for v in edges(found))
    first, last = encode(low), encode(high)
    # of an end that is not in the bin the key is the next one inside
    nearest = np.array(1, first.dtype)
    infinite = jnp.isinf(low) & (low == high)
    first = jnp.where((low < 0) & ~infinite, first + nearest, first)
    last = jnp.where((high > 0) & ~infinite, last - nearest, last)
    parts = place.ranks, place.sizes, place.part, place.good
    return Narrow(first, last, *parts, found.around, found.dtype, scalar)


def _block(within: Narrow, xs: PyTree, kept: jax.Array | None = None) -> Count:
    """Count the slices that the elements are in: of the shape (2, m, ..., 2**16 + 1)."""
    x = elements(xs)
    x = x.astype(np.uint8) if x.dtype == np.bool_ else x
    keys = encode(shifted(x, within.around))[:, None, None]  # (n, 1, 1, ...)
    first, last, shift = within.first[None], within.last[None], within.shift()[None]
    there = (keys >= first) & (keys <= last)
    if kept is not None:
        there &= kept.reshape(-1, *(1,) * (there.ndim - 1))
    index = jnp.where(there, (keys - first) >> shift, 1 << SLICES).astype(np.int32)
    found = by_columns(index.reshape(len(x), within.first.size), (1 << SLICES) + 1)
    return jax.tree.map(lambda v: v.reshape(*within.first.shape, -1), found)


def _init(within: Narrow, like: PyTree) -> Count:
    return _block(within, zero_rows(like))


def _step(within: Narrow, memory: Count, x: Any) -> Count:
    return memory + _block(within, one(x))


def _add(a: Count, b: Count) -> Count:
    return a + b


@jax.jit
def _nearer(within: Narrow, memory: Count) -> Narrow:
    slices = jax.tree.map(lambda v: v.reshape(-1, v.shape[-1])[:, :-1], memory)
    ranks = jax.tree.map(lambda v: v.reshape(1, -1), within.ranks)
    place, rest = find(slices, ranks)
    sizes = jax.tree.map(lambda v: jnp.take_along_axis(v, place.T, axis=1).T, slices)
    shape = within.first.shape
    seen = jax.tree.map(lambda v: v.reshape(shape), slices.sum(1))
    place, rest, sizes = jax.tree.map(lambda v: v.reshape(shape), (place, rest, sizes))
    same = (seen.high == within.sizes.high) & (seen.low == within.sizes.low)
    good = within.good & jnp.all(same, axis=0)
    shift = within.shift()
    first = within.first + (place.astype(shift.dtype) << shift)
    last = jnp.minimum(first + ((jnp.ones_like(shift) << shift) - 1), within.last)
    parts = rest, sizes, within.part, good, within.around
    return Narrow(first, last, *parts, within.dtype, within.scalar)
