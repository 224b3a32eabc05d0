"""Memories that can be differentiated: one rule for all that is made from a mean and central sums.

The kernel's loops have no derivative of their own. Its sums have a simple one, since sum w e = 0:
d mean = sum w dx / W, d M2 = 2 sum w e dx, d C = sum w (ex dy + ey dx). The rule is linear in the
tangents and built of ordinary operations, so it can be transposed; the deviations e have a rule
too, so it can be differentiated again.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..numbers.units import inverse_unit
from ..sums.blocks import counted, difference, in_units, largest_within
from .central_sums import central_sums, two_words
from .memories import weight_in
from .reproducible import reproducible_sums


@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def memory(
    values: tuple[Array, ...],
    weights: Array | None,
    axes: tuple[int, ...],
    order: int,
    accuracy: str,
):
    """Gather sums of one or two float arrays over axes.

    Returns:
        (W, [(pivot, offset), ...], powers, units), as in `central_sums.Sums`, W a float; all with
        reduced axes kept as 1.
    """
    if accuracy == "reproducible":
        sums = reproducible_sums(values, axes, order, weights)
    else:
        sums = central_sums(values, axes, order, weights, accuracy)
    dtype = sums.offsets[0].dtype
    words = [two_words(p, o) for p, o in zip(sums.pivots, sums.offsets, strict=True)]
    parts = (weight_in(sums.weight, dtype), words, sums.powers, sums.units)
    return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, axes), parts)


@memory.defjvp
def _memory_rule(axes, order, accuracy, primals, tangents):
    values, weights = primals
    moves, weight_move = tangents
    out = total, words, powers, units = memory(values, weights, axes, order, accuracy)
    keep = _keep(weights)
    add = partial(jnp.sum, axis=axes, keepdims=True)
    moves = [_select(keep, _float(m, x, total.dtype)) for m, x in zip(moves, values, strict=True)]
    pulls = [
        m if keep is None or weights.dtype == np.bool_ else _select(keep, weights * m)
        for m in moves
    ]
    spreads = [
        deviations(x, weights, p, o, u, axes)
        for x, (p, o), u in zip(values, words, units, strict=True)
    ]
    whole = jnp.where(total == 0, 1, total)
    d_total = jnp.zeros_like(total)
    d_means = [add(p) / whole for p in pulls]
    d_powers = [add(f) for f in _products(spreads, pulls, units)] if order > 1 else []
    if (
        keep is not None and weights.dtype != np.bool_
    ):  # d W = sum dw, d mean += sum e dw / W, d M += sum e e dw
        d_weight = _select(keep, weight_move.astype(total.dtype))
        d_total = jnp.broadcast_to(add(d_weight), total.shape)
        d_means = [
            d + u * add(e * d_weight) / whole
            for d, e, u in zip(d_means, spreads, units, strict=True)
        ]
        pairs = _pairs(len(values))
        d_powers = [
            d + add(spreads[i] * spreads[j] * d_weight)
            for d, (i, j) in zip(d_powers, pairs, strict=False)
        ]
    d_words = [(jnp.zeros_like(p), d) for (p, _), d in zip(words, d_means, strict=True)]
    return out, (d_total, d_words, d_powers, [jnp.zeros_like(u) for u in units])


def _float(move: Array, x: Array, dtype: Any) -> Array:
    # integers do not move: their tangents are of no dtype to calculate with
    return jnp.zeros(x.shape, dtype) if move.dtype == jax.dtypes.float0 else move.astype(dtype)


def _pairs(variables: int) -> list[tuple[int, int]]:
    return [(0, 0)] if variables == 1 else [(0, 0), (1, 1), (0, 1)]


def _products(spreads, pulls, units):
    # the summands of d Mij = sum w (ei dxj + ej dxi), each sum in its variables' units
    scaled = [p / u for p, u in zip(pulls, units, strict=True)]
    for i, j in _pairs(len(spreads)):
        yield (
            2 * spreads[i] * scaled[i]
            if i == j
            else spreads[i] * scaled[j] + spreads[j] * scaled[i]
        )


def _keep(weights: Array | None) -> Array | None:
    return None if weights is None else counted(weights)


def _select(keep: Array | None, x: Array) -> Array:
    # before any arithmetic, so that a nan under a mask reaches nothing
    return x if keep is None else jnp.where(keep, x, 0)


@partial(jax.custom_jvp, nondiff_argnums=(5,))
def deviations(x: Array, weights, pivot: Array, offset: Array, unit: Array, axes) -> Array:
    """Subtract the mean, given in two words, in units of ``unit``; 0 where the weight is."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        found = in_units(x.astype(pivot.dtype), pivot, inverse_unit(unit)) - offset / unit
    else:
        found = (shift(x, pivot) - offset) / unit
    return _select(_keep(weights), found)


def shift(x: Array, pivot: Array) -> Array:
    """Subtract the first word of a mean; from integers exactly, then rounded."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(pivot.dtype) - pivot
    # integers are shifted before they are rounded: a float need not hold them
    top = largest_within(x.dtype, pivot.dtype)
    whole = jnp.clip(pivot, np.iinfo(x.dtype).min, top).astype(x.dtype)
    return difference(x, whole) - (pivot - whole.astype(pivot.dtype))


@deviations.defjvp
def _deviations_rule(axes, primals, tangents):
    # d e = dx - d mean: the mean is a function of x, whatever words carry it
    x, weights, pivot, offset, unit = primals
    spread = deviations(*primals, axes)
    keep, dtype = _keep(weights), offset.dtype
    add = partial(jnp.sum, axis=axes, keepdims=True)
    weight = jnp.ones_like(spread) if keep is None else _select(keep, weights.astype(dtype))
    total = add(weight)
    total = jnp.where(total == 0, 1, total)
    move = _select(keep, _float(tangents[0], x, dtype)) / unit
    d_mean = add(weight * move) / total
    if keep is not None and weights.dtype != np.bool_:
        d_mean = d_mean + add(spread * _select(keep, tangents[1].astype(dtype))) / total
    return spread, _select(keep, move - d_mean)
