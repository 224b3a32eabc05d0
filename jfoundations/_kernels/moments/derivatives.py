"""Memories that can be differentiated: one rule for all that is made from a mean and central sums.

The kernel's loops have no derivative of their own. Its sums have a simple one, since sum w e = 0:
d mean = sum w dx / W, d M2 = 2 sum w e dx, d C = sum w (ex dy + ey dx). The rule is linear in the
tangents and built of ordinary operations, so it can be transposed; the deviations e have a rule
too, so it can be differentiated again.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.types import PyTree
from ..numbers.units import inverse_unit
from ..sample.arguments import Axes
from ..sums.blocks import accumulator, counted, difference, in_units, largest_within, two_words
from ..sums.one_read import ends, in_three, one_read
from .central_sums import Sums, central_sums
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
        (W, [(pivot, offset), ...], powers, units), as in `central_sums.Sums`, without the reduced
        axes.
    """
    if accuracy == "reproducible":
        sums = reproducible_sums(values, axes, order, weights)
    else:
        sums = central_sums(values, axes, order, weights, accuracy)
    return _memory_of(sums)


def _memory_of(sums: Sums):
    words = [two_words(p, o) for p, o in zip(sums.pivots, sums.offsets, strict=True)]
    return sums.weight, words, sums.powers, sums.units


@memory.defjvp
def _memory_rule(axes: Axes, order: int, accuracy: str, primals: PyTree, tangents: PyTree):
    values, weights = primals
    moves, weight_move = tangents
    out = total, words, powers, units = memory(values, weights, axes, order, accuracy)
    keep = _keep(weights)
    floats = None if weights is None or weights.dtype == np.bool_ else weights
    add = partial(jnp.sum, axis=axes)
    moves = [_select(keep, _float(m, x, total.dtype)) for m, x in zip(moves, values, strict=True)]
    spreads = []
    if order > 1 or floats is not None:
        spreads = [
            deviations(x, weights, *(jnp.expand_dims(v, axes) for v in (p, o, u)), axes)
            for x, (p, o), u in zip(values, words, units, strict=True)
        ]
    pulls = [_select(keep, floats * m) for m in moves] if floats is not None else moves
    whole = jnp.where(total == 0, 1, total)
    d_total, d_means = jnp.zeros_like(total), [add(p) / whole for p in pulls]
    pulls = [p / jnp.expand_dims(u, axes) for p, u in zip(pulls, units, strict=True)]
    d_powers = []
    if order > 1:
        d_powers = [
            add(
                2 * spreads[i] * pulls[i]
                if i == j
                else spreads[i] * pulls[j] + spreads[j] * pulls[i]
            )
            for i, j in _pairs(len(values))
        ]
    d_weight = None
    if floats is not None:  # d W = sum dw, d mean += sum e dw / W, d M += sum e e dw
        d_weight = _select(keep, weight_move.astype(total.dtype))
        d_total = jnp.broadcast_to(add(d_weight), total.shape)
        d_means = [
            d + u * add(e * d_weight) / whole
            for d, e, u in zip(d_means, spreads, units, strict=True)
        ]
        d_powers = [
            d + add(spreads[i] * spreads[j] * d_weight)
            for d, (i, j) in zip(d_powers, _pairs(len(values)), strict=False)
        ]
    if order > 2:  # d Mk = k sum w e**(k-1) dx - k M(k-1) d mean + sum e**k dw
        (e,), (pull,), d_mean = spreads, pulls, d_means[0] / units[0]
        for k in (3, 4):
            lower = e * e if k == 3 else e * e * e
            d_power = k * (add(lower * pull) - powers[k - 3] * d_mean)
            more = 0 if d_weight is None else add(lower * e * d_weight)
            d_powers.append(d_power + more)
    d_words = [(jnp.zeros_like(p), d) for (p, _), d in zip(words, d_means, strict=True)]
    return out, (d_total, d_words, d_powers, [jnp.zeros_like(u) for u in units])


def _float(move: Array, x: Array, dtype: DTypeLike) -> Array:
    # integers do not move: their tangents are of no dtype to calculate with
    return jnp.zeros(x.shape, dtype) if move.dtype == jax.dtypes.float0 else move.astype(dtype)


def _pairs(variables: int) -> list[tuple[int, int]]:
    return [(0, 0)] if variables == 1 else [(0, 0), (1, 1), (0, 1)]


def _keep(weights: Array | None) -> Array | None:
    return None if weights is None else counted(weights)


def _select(keep: Array | None, x: Array) -> Array:
    # before any arithmetic, so that a nan under a mask reaches nothing
    return x if keep is None else jnp.where(keep, x, 0)


@partial(jax.custom_jvp, nondiff_argnums=(5,))
def deviations(x: Array, weights, pivot: Array, offset: Array, unit: Array, axes: Axes) -> Array:
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
def _deviations_rule(axes: Axes, primals: PyTree, tangents: PyTree):
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


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def summary(x: Array, weights: Array | None, axes: tuple[int, ...]):
    """Return what `memory` does of one variable up to fourth powers, and both ends, in one read.

    Returns:
        The memory; and the least and the greatest of what counts, in x's dtype, without the
        reduced axes.
    """
    sums = central_sums((x,), axes, 4, weights, ends=True)
    return _memory_of(sums), tuple(v.astype(x.dtype) for v in sums.ends)


@summary.defjvp
def _summary_rule(axes: Axes, primals: PyTree, tangents: PyTree):
    def apart(x: Array, weights: Array | None):
        keep = _keep(weights)
        return memory((x,), weights, axes, 4, "default"), extremes(x, keep, axes)

    return summary(*primals, axes), jax.jvp(apart, primals, tangents)[1]


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def extremes(x: Array, keep: Array | None, axes: Axes) -> tuple[Array, Array]:
    """Return the least and the greatest of what is kept, without the reduced axes."""
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    data = [in_three(v, axes) for v in (x, keep) if v is not None]
    low, high = one_read(ends, data, [], (lax.min, lax.max))
    return low.reshape(kept), high.reshape(kept)


@extremes.defjvp
def _extremes_rule(axes: Axes, primals: PyTree, tangents: PyTree):
    # the elements equal to an end share its derivative equally
    (x, keep), tangent = primals, tangents[0]
    found = extremes(x, keep, axes)
    if tangent.dtype == jax.dtypes.float0:
        return found, tuple(np.zeros(v.shape, jax.dtypes.float0) for v in found)
    dtype = accumulator(x.dtype)

    def share(value: Array) -> Array:
        equal = x == jnp.expand_dims(value, axes)
        equal = equal if keep is None else equal & keep
        ties = jnp.sum(equal, axis=axes, dtype=dtype)
        total = jnp.sum(jnp.where(equal, tangent, 0).astype(dtype), axis=axes)
        return (total / jnp.maximum(ties, 1)).astype(x.dtype)

    return found, tuple(map(share, found))
