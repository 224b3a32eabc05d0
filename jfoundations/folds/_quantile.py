"""Quantiles as folds: to 2**-8 of their value in one pass, exact in two.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> blocks = [jnp.array([4.0, 1.0]), jnp.array([18.0, 2.0])]
>>> near = jf.fold(jf.folds.sketch(), blocks)
>>> float(jf.fold(jf.folds.median(within=near), blocks))
3.0
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.numbers.counts import Count
from .._kernels.numbers.sortable_bits import decode
from .._kernels.sample.arguments import accumulator
from ..stats._order import probabilities
from ._elements import Nan, checked, one, zero_rows
from ._sketch import (
    Places,
    Sketch,
    bin_of,
    bins_of,
    carrier,
    counted,
    dropped_bits,
    find_all,
    keys_of,
    lowest_key,
)


def sketch(*, nan: Nan = "propagate") -> Fold[Sketch]:
    """Return the fold of a `Sketch`: counts that answer any quantile later, to 2**-8 of its value.

    It holds 2**17 counts of 8 bytes for each number of a float32 element (2**20 in float64, 2**16
    of 16 bits); 32-bit integers are counted as floats.

    Args:
        nan: "propagate": a nan makes all quantiles nan; "omit" leaves it out.

    >>> import jfoundations as jf
    >>> int(jf.fold(sketch(), jnp.array([1.0, 2.0, 4.0])).count)
    3
    """
    nan = checked("sketch", None, nan).nan
    init, step, block = (partial(f, nan) for f in (_init, _step, _block))
    return Fold(init, step, _merge, block=block, block_where=block, name="sketch")


def quantile(q: Any, *, within: Sketch | None = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of quantiles at given `q`, elementwise; `sketch` leaves q open.

    They are linear between order statistics. Alone it takes one pass, and each order statistic is
    off by at most 2**-8 of its value; where the two have opposite signs that bounds the distance
    from the interval between them. With the sketch of a first pass over the same data the second is
    exact: `stats.quantile` to the bit.

    Args:
        q: probabilities, a scalar or of shape (m,).
        within: the answer of `sketch()` over the same data. Data that differ in number where it
            matters give nan.
        nan: as in `sketch`; with `within`, what that said.

    Returns:
        A fold whose answer has q's shape and then an element's; nan over nothing.

    Raises:
        TypeError: q holds no real numbers; within is no Sketch.
        ValueError: q is outside [0, 1] or has two or more dimensions; within is of 64-bit numbers,
            of which a second pass cannot count all bits.

    >>> import jfoundations as jf
    >>> found = float(jf.fold(quantile(0.5), jnp.array([1.0, 2.0, 18.0])))
    >>> abs(found - 2.0) <= 2.0 * 2**-8
    True
    """
    return _quantile("quantile", q, within, nan)


def median(*, within: Sketch | None = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the median, elementwise: `quantile(0.5)`.

    Args:
        within: as in `quantile`; the median is then exact.
        nan: as in `quantile`.

    >>> import jfoundations as jf
    >>> abs(float(jf.fold(median(), jnp.array([1.0, 2.0, 18.0]))) - 2.0) <= 2.0 * 2**-8
    True
    """
    return _quantile("median", 0.5, within, nan)


def iqr(*, within: Sketch | None = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the interquartile range, elementwise: quantile ¾ - quantile ¼.

    Args:
        within: as in `quantile`; the range is then exact.
        nan: as in `quantile`.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> float(jf.fold(iqr(within=jf.fold(jf.folds.sketch(), x)), x))
    5.75
    """
    return _quantile("iqr", (0.25, 0.75), within, nan).map(_apart, name="iqr")


def _apart(ends: jax.Array) -> jax.Array:
    return ends[1] - ends[0]


def _quantile(who: str, q: Any, within: Any, nan: Nan) -> Fold[jax.Array]:
    q = probabilities(f"folds.{who}", q).astype(jnp.result_type(float))
    if within is None:
        return sketch(nan=nan).map(partial(_ask, q), name=who)
    if not isinstance(within, Sketch):
        raise TypeError(
            f"folds.{who}: within is {type(within).__name__}; give the answer of "
            "fold(folds.sketch(), data)"
        )
    if dropped_bits(within.dtype) > 16:
        raise ValueError(
            f"folds.{who}: within is of {np.dtype(within.dtype)}, of which a second pass cannot "
            "count the remaining bits; fold float32, or do without within"
        )
    return _exact(who, q, within)


@jax.jit
def _ask(q: jax.Array, found: Sketch) -> jax.Array:
    return found.quantile(q)


def _block(nan: Nan, xs: PyTree, kept: jax.Array | None = None) -> Sketch:
    if not hasattr(xs, "dtype") or jnp.iscomplexobj(xs):
        what = "complex" if hasattr(xs, "dtype") else "trees"
        raise TypeError(
            f"this fold's elements are {what}; real arrays, which have an order, are needed; pick "
            "them out with .of(lambda element: ...)"
        )
    xs = elements(xs)
    bins, index = bins_of(xs.dtype) + 1, bin_of(xs)
    index = index if kept is None else jnp.where(_rows(kept, xs), index, bins)
    return Sketch(counted(index, bins), np.dtype(xs.dtype), nan)


def _rows(kept: jax.Array, xs: jax.Array) -> jax.Array:
    return kept.reshape(-1, *(1,) * (xs.ndim - 1))


def _init(nan: Nan, like: PyTree) -> Sketch:
    return _block(nan, zero_rows(like))


def _step(nan: Nan, memory: Sketch, x: Any) -> Sketch:
    # a block of one would write all bins anew
    x = elements(x)
    index = bin_of(x).reshape(-1, 1)
    rows = jax.tree.map(lambda v: v.reshape(len(index), -1), memory.bins)
    old = jax.tree.map(lambda v: jnp.take_along_axis(v, index, axis=1)[:, 0], rows)
    new = old + jax.tree.map(lambda n: jnp.broadcast_to(n, old.low.shape), Count.of(1))
    at = (jnp.arange(len(index)), index[:, 0])
    rows = jax.tree.map(lambda v, n: v.at[at].set(n), rows, new)
    bins = jax.tree.map(lambda v: v.reshape(memory.bins.low.shape), rows)
    return Sketch(bins, memory.dtype, nan)


def _merge(a: Sketch, b: Sketch) -> Sketch:
    return Sketch(a.bins + b.bins, a.dtype, a.nan)


@pytree
class _Asked:
    """What the second pass is to find: quantiles, where they are, and how many lie there."""

    places: Places
    sizes: Count


def _exact(who: str, q: jax.Array, within: Sketch) -> Fold[jax.Array]:
    dtype = np.dtype(within.dtype)
    places = _places(within, jnp.atleast_1d(q).astype(accumulator(carrier(dtype))))
    at = places.bins[..., None]
    bins = jax.tree.map(lambda v: jnp.broadcast_to(v, (*at.shape[:2], *v.shape)), within.bins)
    sizes = jax.tree.map(lambda v: jnp.take_along_axis(v, at, axis=-1)[..., 0], bins)
    asked = _Asked(places, sizes)
    init, step, block = (
        partial(f, asked.places.bins) for f in (_init_inner, _step_inner, _block_inner)
    )
    extract = partial(_found, asked, str(dtype), q.ndim)
    return Fold(init, step, _add, extract, block, block_where=block, name=who)


@jax.jit
def _places(within: Sketch, q: jax.Array) -> Places:
    return within.places(q)


def _block_inner(places: jax.Array, xs: PyTree, kept: jax.Array | None = None) -> Count:
    """Count the remaining bits of the elements in each bin asked for: (2, m, ..., 2**bits)."""
    xs = elements(xs)
    keys, bins, drop = keys_of(xs), bin_of(xs), dropped_bits(xs.dtype)
    inner = (keys & np.array((1 << drop) - 1, keys.dtype)).astype(jnp.int32)
    flat = places.reshape(-1, *places.shape[2:])
    bins = bins if kept is None else jnp.where(_rows(kept, xs), bins, -1)

    def count(place: jax.Array) -> Count:
        return counted(jnp.where(bins == place[None], inner, 1 << drop), 1 << drop)

    found = jax.vmap(count)(flat)
    return jax.tree.map(lambda v: v.reshape(*places.shape, 1 << drop), found)


def _init_inner(places: jax.Array, like: PyTree) -> Count:
    return _block_inner(places, zero_rows(like))


def _step_inner(places: jax.Array, memory: Count, x: Any) -> Count:
    return memory + _block_inner(places, one(x))


def _add(a: Count, b: Count) -> Count:
    return a + b


@functools.partial(jax.jit, static_argnames=("dtype", "ndim"))
def _found(asked: _Asked, dtype: str, ndim: int, memory: Count) -> jax.Array:
    places = asked.places
    inner = find_all(memory, places.ranks)
    seen = memory.sum(memory.low.ndim - 1)
    same = jnp.all((seen.high == asked.sizes.high) & (seen.low == asked.sizes.low), axis=0)
    first = lowest_key(places.bins, dtype)
    values = decode(first | inner.astype(first.dtype), carrier(dtype))
    value = jnp.where(same, places.answer(values), jnp.nan)
    return value if ndim else value[0]
