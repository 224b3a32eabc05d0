"""Central sums in two words: for arrays that lie in the cache, and for accuracy="high".

One pass: deviations from a value of the data, their products and all sums keep what rounding
loses, about twice the digits of the dtype. By Samuelson's inequality the shift costs at most a
factor n of that, so what is left needs no second pass and hardly depends on the order: where= is
deletion and an integer weight is repetition to the last bit. Units are powers of two near the
largest value, so no square leaves its range.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.rounding import divide, protect
from ..numbers.two_words import Pair, add, multiply, one_word, over, two_product, two_sum
from ..numbers.units import binary_unit, inverse_unit
from ..sums.blocks import accumulator, counted, heaviest, signed
from ..sums.layout import SMALL, sum_levels, sum_together
from ..sums.tree_sums import tree_sum_pairs


class Exact(NamedTuple):
    """Sums about `pivots`; one array a variable or a product, each of shape (outer, inner).

    Attributes:
        weight: the sum of weights, or of bools as int32; None where there are none.
        pivots: values of the data.
        means: what the mean is beyond the pivot, in units of `units`.
        powers: central sums: squares, then the product of a pair; in those units.
        units: powers of two.
        shifted: sums of squares about the pivots, in those units.
    """

    weight: Array | None
    pivots: list[Array]
    means: list[Pair]
    powers: list[Array]
    units: list[Array]
    shifted: list[Array]


def exact_sums(
    values: list[Array], weight: Array | None, about=None, squares: bool = True
) -> Exact:
    """Sum in two words.

    Args:
        values: one or two arrays (outer, n, inner), n > 0, in a float to accumulate in or integers.
        weight: None, bools, or floats of that shape.
        about: for long arrays, offsets from the first pivots to near the means, (outer, inner).
        squares: whether `powers` and `shifted` are wanted; else they are empty.
    """
    pivots = [heaviest(x, weight) for x in values]
    units = largest_units(values, weight)
    parts = [_deviations(x, p, u) for x, p, u in zip(values, pivots, units, strict=True)]
    starts = [] if about is None else [divide(a, u) for a, u in zip(about, units, strict=True)]
    for i, start in enumerate(starts):
        parts[i] = add(parts[i], (-start[:, None], jnp.zeros_like(start)[:, None]))
    if weight is not None:
        keep = counted(weight)
        parts = [(jnp.where(keep, h, 0), jnp.where(keep, e, 0)) for h, e in parts]
    k = len(values)
    pairs = ([(0, 0)] if k == 1 else [(0, 0), (1, 1), (0, 1)]) if squares else []
    terms = parts + [multiply(parts[i], parts[j]) for i, j in pairs]
    weighted = weight is not None and weight.dtype != np.bool_
    if weight is not None:
        w = signed(weight).astype(parts[0][0].dtype)
        terms = [_weigh(t, w) for t in terms] if weighted else terms
        terms = [(w, jnp.zeros_like(w)), *terms]
    # squares of two variables by themselves: a covariance does without
    apart = slice(len(terms) - 3, -1) if k + len(pairs) == 5 else slice(0)
    beside = tree_sum_pairs(terms[apart])
    del terms[apart]
    sums = tree_sum_pairs(terms)
    sums[-1:-1] = beside
    if weight is None:
        n = jnp.full(sums[0][0].shape, values[0].shape[1], sums[0][0].dtype)
        whole, total = (n, jnp.zeros_like(n)), None
    else:
        whole = sums.pop(0)
        # a count may need more digits than one word has
        high, low = (word.astype(jnp.int32) for word in whole)
        total = one_word(whole) if weighted else high + low
    first, products = sums[:k], sums[k:]
    means = [over(s, whole) for s in first]
    # M = Q - S S / W, the same bits whichever variable comes first
    drifts = [over(multiply(first[i], first[j]), whole) for i, j in pairs]
    powers = [one_word(add(q, _negative(d))) for q, d in zip(products, drifts, strict=True)]
    shifted = [one_word(q) for q in products[:k]]
    for i, start in enumerate(starts):
        means[i] = add(means[i], (start, jnp.zeros_like(start)))
    return Exact(total, pivots, means, powers, units, shifted)


def largest_units(values: list[Array], weight: Array | None) -> list[Array]:
    """Return, a variable, the power of two at the largest size that counts, of those in range."""
    dtype = accumulator(values[0].dtype)
    outer, _, inner = values[0].shape
    if not jnp.issubdtype(values[0].dtype, jnp.floating):
        return [jnp.ones((outer, inner), dtype) for _ in values]
    seen = [jnp.where(jnp.isfinite(x), x, 0) for x in values]
    if weight is not None:
        seen = [jnp.where(counted(weight), x, 0) for x in seen]
    ends = [(lax.max, np.asarray(-np.inf, dtype)), (lax.min, np.asarray(np.inf, dtype))]
    terms, joins = [x for x in seen for _ in ends], ends * len(seen)
    # of a row of its own the compiler makes vectors by itself
    one = inner == 1 and values[0].size <= SMALL
    found = sum_together(terms, 1, joins) if one else sum_levels(terms, joins)
    pairs = zip(found[::2], found[1::2], strict=True)
    return [binary_unit(jnp.maximum(jnp.abs(high), jnp.abs(low))) for high, low in pairs]


def _deviations(x: Array, pivot: Array, unit: Array) -> Pair:
    # x - pivot in units, in two words
    if jnp.issubdtype(x.dtype, jnp.floating):
        inverse = inverse_unit(unit)
        d, lost = two_sum(x * inverse[:, None], -(pivot * inverse)[:, None])
        return d, lost
    # Integers: the distance in halves of their bits, each of which a float holds.
    half = 4 * x.dtype.itemsize
    unsigned = jnp.dtype(f"uint{2 * half}")
    a, b = x.astype(unsigned), pivot[:, None].astype(unsigned)
    above = x >= pivot[:, None]
    distance = jnp.where(above, a - b, b - a)
    low = distance & jnp.asarray((1 << half) - 1, unsigned)
    d, lost = two_sum(
        (distance >> jnp.asarray(half, unsigned)).astype(unit.dtype) * 2.0**half,
        low.astype(unit.dtype),
    )
    return jnp.where(above, d, -d), jnp.where(above, lost, -lost)


def mean_of(pivot: Array, mean: Pair, unit: Array) -> Pair:
    """Return the mean itself in two words, also where the pivot is far from it."""
    # in units, where what is lost does not underflow
    whole = _deviations(pivot[:, None], jnp.zeros_like(pivot), unit)
    high, low = add((whole[0][:, 0], whole[1][:, 0]), mean)
    low = jnp.where(jnp.isfinite(low), low, 0)
    total = high + low
    return total * unit, jnp.where(jnp.isfinite(total), low - (total - high), 0) * unit


def _weigh(term: Pair, weight: Array) -> Pair:
    p, lost = two_product(term[0], weight)
    return p, lost + protect(term[1] * weight)


def _negative(a: Pair) -> Pair:
    return -a[0], -a[1]
