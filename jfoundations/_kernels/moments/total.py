"""The sum: block sums about pivots, joined in two words, or limbs; one rule for its derivative.

A block's sum is its size times a value of the data, exactly, and the sum of deviations from it: so
neither a large offset nor many elements cost digits.

>>> import jax.numpy as jnp
>>> float(total(jnp.array([1e8, 1.0, -1e8], jnp.float32), None, (0,), "default")[0])
1.0
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..numbers.two_words import Pair, one_word, two_product
from ..sums.blocks import accumulator, block_pivots, counted, first_valid, segment_sums, signed
from ..sums.layout import after
from ..sums.tree_sums import tree_sum_pairs
from .central_sums import canonical, two_words
from .passes import Data, two_levels
from .reproducible import limb_sum


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def total(
    x: Array, weights: Array | None, axes: tuple[int, ...], accuracy: str, unit: Array | None = None
) -> Array:
    """Return Σx or Σwx over axes, which are kept as 1; unit is what the weights are in."""
    one: Any = 1 if unit is None else unit
    if accuracy == "reproducible":
        return jnp.expand_dims(limb_sum(x, axes, weights).value(), axes) * one
    data, kept = canonical((x,), axes, weights, accuracy)
    (values,), weight = data.values, data.weight
    dtype = accumulator(values.dtype)
    if values.shape[1] == 0:
        pairs = [(jnp.zeros((values.shape[0], 1, values.shape[2]), dtype),) * 2]
    elif data.plan.corrected:
        pairs = [_words(values, weight, dtype)]
    else:
        pairs, never = [], None
        for segment in data.plan.segments:
            found, never = _block_sums(values, weight, segment, never)
            pairs += found
    high, low = (jnp.concatenate(word, axis=1) for word in zip(*pairs, strict=True))
    value = one_word(tree_sum_pairs([(high, low)])[0])
    back = lambda v: jnp.expand_dims(v.reshape([x.shape[i] for i in kept]), axes)  # noqa: E731
    if not jnp.issubdtype(values.dtype, jnp.floating) or not values.size:
        return back(value) * one
    more = 2.0 ** (values.shape[1].bit_length() + 1)
    near, far = lambda: back(value) * one, lambda: back(_part(data, more)) * (more * one)
    return lax.cond(jnp.all(jnp.isfinite(value)), near, far)


def _part(data: Data, more: float) -> Array:
    # in units of more than all can add up to: what leaves the range on the way may come back
    high, low = _words(data.values[0] / more, data.weight, data.values[0].dtype)
    if data.plan.corrected:
        return one_word(tree_sum_pairs([(high, low)])[0])
    return two_levels(high + low)


def _words(x: Array, weight: Array | None, dtype: Any) -> Pair:
    high, low = two_words(x, jnp.zeros(x.shape, dtype))
    if weight is None:
        return high, low
    keep = counted(weight)
    high, low = jnp.where(keep, high, 0), jnp.where(keep, low, 0)
    if weight.dtype == np.bool_:
        return high, low
    p, lost = two_product(signed(weight), high)
    return p, lost + weight * low


def _block_sums(
    x: Array, weight: Array | None, segment: Any, never: Array | None
) -> tuple[list[Pair], Array]:
    # Σwx = W K + Σw(x − K) for each block
    pivot = after(block_pivots(x, weight, first_valid(x, weight), segment), never)
    *counts, sums, squares = segment_sums([x], [pivot], weight, None, segment)
    high, low = two_words(pivot, jnp.zeros_like(sums))
    size = counts[0].astype(sums.dtype) if counts else jnp.full_like(sums, segment.size)
    p, lost = two_product(size, high)
    return [(p, lost + size * low), (sums, jnp.zeros_like(sums))], squares[:, -1:] < 0


@total.defjvp
def _total_rule(axes, accuracy, primals, tangents):
    # d Σwx = Σ w dx + Σ x dw, elements of weight 0 left out before any arithmetic
    x, weights, unit = primals
    out = total(x, weights, axes, accuracy, unit)

    def add(v: Array) -> Array:
        found = jnp.sum(v, axis=axes, keepdims=True)
        return found if unit is None else found * unit

    slope, moves = jnp.zeros_like(out), tangents[0].dtype != jax.dtypes.float0
    if weights is None or weights.dtype == np.bool_:
        select = (lambda v: v) if weights is None else (lambda v: jnp.where(weights, v, 0))
        return out, slope + add(select(tangents[0].astype(out.dtype))) if moves else slope

    def keep(v: Any) -> Any:
        return jnp.where(weights != 0, v.astype(out.dtype), 0)

    if moves:
        slope = slope + add(weights * keep(tangents[0]))
    return out, slope + add(keep(x) * keep(tangents[1]))
