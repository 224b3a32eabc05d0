"""Counts of elements in bins.

>>> from jfoundations import stats
>>> [found.tolist() for found in stats.histogram([1.0, 2.0, 4.0, 18.0], bins=2)]
[[3, 1], [1.0, 9.5, 18.0]]
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

from .._core.rounding import divide, protect
from .._core.types import PyTree
from .._kernels.numbers import two_words
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.order.counting import add, in_blocks
from .._kernels.order.fractions import roomy
from .._kernels.order.occurrences import rows, unrow
from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
    Data,
    Nan,
    accumulator,
    check,
    compiled,
    join,
    numbers,
)
from .._kernels.sample.weights import Weights
from .._kernels.sums.one_read import bounds


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
            value v gives v − ½ … v + ½, no element 0 … 1. Of integers whose edges are one in x's
            floating dtype, counts are those of the edges before they are rounded.
        axis: the axis or axes to count over; all by default. All share the edges.
        keepdims: keep reduced axes with length 1.
        weights: what each element adds, of any kind, rounded once a bin; 0 is deletion. nan or
            negative weights make their bin nan.
        where: bools that broadcast against x; elements at False do not exist.
        nan: with "propagate", a nan gives nan edges where the range is not given, as would an
            infinity; "omit" takes the range of the others.

    Returns:
        The counts, of the kept axes' shape and then (bins,): int32, or floats if weighted; and the
        edges, of shape (bins + 1,), in x's floating dtype: nan where traced ones fall.

    Raises:
        TypeError: x holds no numbers that can be ordered, or bins is neither int nor numbers.
        ValueError: bins < 1, edges that are not one-dimensional, at least two and rising, or two of
            which are one in x's floating dtype, a range that is not finite and rising, or not so in
            that dtype, or is subnormal, or shapes and axes that do not fit.

    >>> histogram([0.1, 0.2, 0.9], bins=[0.0, 0.5, 1.0])[0].tolist()
    [2, 1]
    """
    data, axes = check("histogram", {"x": x}, axis, weights, where, nan, real=ORDERED)
    if isinstance(bins, str):
        raise TypeError(f"histogram: bins is {bins!r}; give a number of bins or their edges")
    if np.ndim(bins) == 0 and not isinstance(bins, Tracer):
        count = number_of("histogram", bins)
        ends = ends_of("histogram", range, _known(data.values[0].dtype), count)
        return _histogram(data, ends, None, axes, bool(keepdims), nan, bins=count)
    edges = edges_of("histogram", bins, _known(data.values[0].dtype))
    count = edges.shape[0] - 1
    return _histogram(data, None, edges, axes, bool(keepdims), nan, bins=count)


def number_of(who: str, bins: Any) -> int:
    """Return a number of bins, or say why it is none."""
    try:
        count = operator.index(bins)
    except TypeError:
        raise TypeError(f"{who}: bins is {bins!r}; give an int, or an array of edges") from None
    if count < 1:
        raise ValueError(f"{who}: bins is {count}; at least 1 is needed")
    return count


def edges_of(who: str, bins: Any, dtype: DTypeLike) -> jax.Array:
    """Return edges, or say why they cannot be those of data of a dtype."""
    edges = numbers(who, "bins", bins)
    if edges.ndim != 1 or edges.shape[0] < 2:
        raise ValueError(
            f"{who}: bins has shape {edges.shape}; an int (static), or a one-dimensional "
            "array of at least two edges is needed"
        )
    if isinstance(edges, Tracer):
        return edges
    given = np.asarray(edges)
    if not np.all(given[1:] >= given[:-1]):
        raise ValueError(f"{who}: the edges in bins must not fall")
    held = given.astype(dtype)
    lost = (given[1:] > given[:-1]) & (held[1:] == held[:-1])
    if lost.any():
        k = int(np.argmax(lost))
        raise ValueError(
            f"{who}: the edges {given[k]} and {given[k + 1]} are both {held[k]} in "
            f"{np.dtype(dtype)}; subtract it from the data and from the edges"
        )
    return edges


def _known(dtype: DTypeLike) -> Any:
    return dtype if jnp.issubdtype(dtype, jnp.inexact) else accumulator(dtype)


def ends_of(
    who: str, given: Any, dtype: DTypeLike, bins: int = 1
) -> tuple[jax.Array, jax.Array] | None:
    """Return a range's ends as floats, or say why they cannot be those of data of a dtype."""
    if given is None:
        return None
    first, last = given
    if np.ndim(first) or np.ndim(last):
        raise ValueError(f"{who}: range must be a pair of scalars")
    if isinstance(first, Tracer) or isinstance(last, Tracer):
        return numbers(who, "range", first), numbers(who, "range", last)
    try:
        first, last = float(first), float(last)
    except (TypeError, ValueError):
        raise TypeError(f"{who}: range is {given}; a pair of real numbers is needed") from None
    said = f"{who}: range is ({first}, {last}); "
    if not -np.inf < first <= last < np.inf:
        raise ValueError(said + "finite and rising is needed")
    info = jnp.finfo(accumulator(dtype))
    with np.errstate(over="ignore"):
        held = np.array([first, last]).astype(dtype)
    low, high = held.astype(float)
    if not np.isfinite([low, high]).all():
        raise ValueError(said + f"{np.dtype(dtype)}, the data's type, holds no number so large")
    if any(0 < abs(end) < float(info.smallest_normal) for end in (first, last)):
        raise ValueError(
            said + "numbers this near to 0 are taken for 0 when they are compared; multiply the "
            "data and the range by a power of two"
        )
    if first < last and low == high:
        raise ValueError(
            said + f"both ends are {low} in {np.dtype(dtype)}; subtract it from the data and from "
            "the range"
        )
    ulp = float(jnp.finfo(dtype).eps) * 2.0 ** np.floor(np.log2(max(abs(low), abs(high), 1e-300)))
    if first < last and high / bins - low / bins < ulp:
        raise ValueError(
            said + f"{bins} bins of it are narrower than {np.dtype(dtype)} tells numbers apart; "
            "subtract it from the data and from the range, or give fewer bins"
        )
    low, high = jnp.asarray(held.astype(info.dtype))
    return low, high


@compiled("bins")
def _histogram(
    data: Data, ends: Any, edges: Any, axes: Axes, keepdims: bool, nan: Nan, bins: Any
) -> Any:
    (x,) = data.values
    counts, dtype = join(data, nan), accumulator(x.dtype)
    if data.weights is not None and counts is not None and counts.dtype == np.bool_:
        counts = counts.astype(dtype)
    known = _known(x.dtype)
    even = edges is None
    if even:
        first, last = _outer(x, counts, dtype) if ends is None else ends
        edges = _even(first.astype(dtype), last.astype(dtype), bins)
    else:  # traced ones may fall
        edges = jnp.where(jnp.all(edges[1:] >= edges[:-1]), edges.astype(dtype), jnp.nan)
    edges = edges.astype(known).astype(dtype)
    given = edges.astype(known)
    if even and ends is None and jnp.issubdtype(x.dtype, jnp.integer):
        x, edges = _from_least(x, counts, edges)
    found = _count_rows(rows(x, axes), rows(counts, axes), edges, even)
    found = unrow(found, data, axes)
    return jnp.expand_dims(found, axes) if keepdims else found, given


def _from_least(x: jax.Array, counts: Any, edges: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return integers and even edges, both less the least integer if no float tells edges apart."""
    least, most = _ends(x, counts)
    span = most - least  # negative where it does not fit
    one = (jnp.min(jnp.diff(edges)) <= 0) & (least <= most) & (span >= 0)
    end = _above(span, edges.dtype)
    apart = _even(jnp.zeros_like(end), end, edges.shape[0] - 1)
    return x - jnp.where(one, least, 0), jnp.where(one, apart, edges)


def _count_rows(x: jax.Array, counts: Any, edges: jax.Array, even: bool) -> jax.Array:
    bins = edges.shape[0] - 1
    near = _resolved(edges) if even else False

    def place(x: jax.Array) -> jax.Array:
        x, exact = below(x, edges.dtype)
        inside = (x >= edges[0]) & ((x < edges[-1]) | ((x == edges[-1]) & exact))
        found = lax.cond(near, _guess, _search, x, edges) if even else _search(x, edges)
        return jnp.where(inside, jnp.minimum(found, bins - 1), bins)

    def count(found: jax.Array, x: jax.Array, counts: Any) -> jax.Array:
        return add(found, place(x), counts)

    def weigh(found: two_words.Pair, x: jax.Array, counts: Any) -> two_words.Pair:
        return two_words.add(found, binned(place(x), counts, bins))

    def row(x: jax.Array, counts: Any) -> jax.Array:
        if counts is None or counts.dtype == np.bool_:
            return in_blocks(count, jnp.zeros(bins, jnp.int32), x, counts)
        none = jnp.zeros(bins, counts.dtype)
        return two_words.one_word(in_blocks(weigh, (none, none), x, counts))

    if x.shape[0] == 1:
        return row(x[0], None if counts is None else counts[0])[None]
    return jax.vmap(row)(x, counts)


def below(x: jax.Array, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
    """Return numbers rounded down to floats of a dtype, and whether each is one of these.

    An integer is at or above a float where it, so rounded, is: no float need hold it.
    """
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(dtype), jnp.ones(x.shape, bool)
    bits, digits = jnp.iinfo(x.dtype).bits, jnp.finfo(dtype).nmant + 1
    if bits <= digits:
        return x.astype(dtype), jnp.ones(x.shape, bool)
    used = bits - lax.clz(jnp.where(x < 0, ~x, x)).astype(jnp.int32)
    spare = jnp.maximum(used - digits, 0).astype(x.dtype)
    rounded = (x >> spare) << spare
    return rounded.astype(dtype), rounded == x


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def binned(index: jax.Array, weights: jax.Array, bins: int) -> two_words.Pair:
    """Return the sums of weights ≥ 0 in bins, in two words; indices past the end add nothing.

    Weights are cut, in units of the largest in their bin, into digits that integers add up exactly.
    """
    dtype = weights.dtype
    integer, digit, digits = (np.int32, 12, 5) if dtype == np.float32 else (np.int64, 44, 3)
    none = jnp.zeros(bins, dtype)
    top = none.at[index].max(weights, mode="drop")
    unit = binary_unit(top)
    rest = weights * inverse_unit(unit).at[index].get(mode="fill", fill_value=0)
    total, scale = (none, none), 2.0 ** (8 - digit)  # no weight is 2**8 units
    for _ in range(digits):
        part = jnp.floor(rest / scale)
        rest = rest - part * scale
        found = jnp.zeros(bins, integer).at[index].add(part.astype(integer), mode="drop")
        high, low = two_words.exact_words(found, dtype)
        total, scale = two_words.add(total, (high * scale, low * scale)), scale * 2.0**-digit
    high, low = total[0] * unit, total[1] * unit
    good = jnp.isfinite(top)
    return jnp.where(good, high, top), jnp.where(good, low, 0)


@binned.defjvp
def _binned_rule(bins: int, primals: PyTree, tangents: PyTree) -> Any:
    none = jnp.zeros(bins, primals[1].dtype)
    found = binned(*primals, bins)
    return found, (none.at[primals[0]].add(tangents[1], mode="drop"), none)


def _outer(x: jax.Array, counts: Any, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
    """Return the least and the greatest element that counts as floats; 0 and 1 of none."""
    least, most = _ends(x, counts)
    (least, _), most = below(least, dtype), _above(most, dtype)
    if counts is None:
        return (least, most) if x.size else (jnp.zeros((), dtype), jnp.ones((), dtype))
    some = jnp.any(counts.astype(bool))
    return jnp.where(some, least, 0), jnp.where(some, most, 1)


def _above(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    value, exact = below(x, dtype)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        return value
    return jnp.where(exact, value, jnp.nextafter(value, jnp.array(np.inf, dtype)))


def _ends(x: jax.Array, counts: Any) -> tuple[jax.Array, jax.Array]:
    """Return the least and the greatest element that counts; of none a greater and a smaller."""
    least, most = bounds(x.dtype)
    if counts is None:
        return jnp.min(x, initial=least), jnp.max(x, initial=most)
    keep = counts.astype(bool)
    return jnp.min(x, where=keep, initial=least), jnp.max(x, where=keep, initial=most)


def _even(first: jax.Array, last: jax.Array, bins: int) -> jax.Array:
    good = jnp.isfinite(first) & jnp.isfinite(last) & (first <= last)
    half = jnp.where(first == last, 0.5, 0).astype(first.dtype)
    first, last = jnp.where(good, first - half, jnp.nan), jnp.where(good, last + half, jnp.nan)
    # in a unit that gives them room, since last − first may be larger than any number
    up, down = roomy(jnp.maximum(jnp.abs(first), jnp.abs(last)))
    low, high = first * up, last * up
    # jnp.linspace may fall where bins are narrower than an ulp; this is NumPy's, and rises
    steps = jnp.arange(1, bins, dtype=first.dtype)
    width = divide(high - low, jnp.asarray(bins, first.dtype))
    inner = jnp.clip(low + protect(width * steps), low, high) * down
    return jnp.concatenate([first[None], jnp.clip(inner, first, last), last[None]])


def _resolved(edges: jax.Array) -> jax.Array:
    """Tell whether even bins are so much wider than an ulp that a guess misses by one at most."""
    bins = edges.shape[0] - 1
    edges = edges * roomy(jnp.max(jnp.abs(edges[::bins])))[0]
    ulp = jnp.finfo(edges.dtype).eps * jnp.max(jnp.abs(edges[::bins]))
    return (jnp.min(edges[1:] - edges[:-1]) >= 8 * ulp) & (bins < 1 << 16)


def _guess(x: jax.Array, edges: jax.Array) -> jax.Array:
    """Return each element's bin by dividing, put right by the edges themselves."""
    bins = edges.shape[0] - 1
    up, _ = roomy(jnp.max(jnp.abs(edges[::bins])))
    first, last = edges[0] * up, edges[-1] * up
    scale = bins / (last - first)
    guess = jnp.clip(jnp.floor((x * up - first) * scale), 0, bins - 1).astype(jnp.uint32)
    guess = guess - (x < edges[guess]).astype(jnp.uint32)
    return guess + (x >= edges[guess + 1]).astype(jnp.uint32)


def _search(x: jax.Array, edges: jax.Array) -> jax.Array:
    return jnp.searchsorted(edges, x, side="right").astype(jnp.uint32) - 1
