"""The sum, of deviations from a value of the data: many equal numbers cost no digits.

>>> import jax.numpy as jnp
>>> float(total(jnp.full(1000, 0.1), None, (0,), "default"))
100.0
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.types import PyTree
from ..numbers.select import select
from ..numbers.two_words import two_product
from ..sample.arguments import Axes
from ..sums.blocks import two_words
from .central_sums import central_sums
from .moments import times
from .reproducible import limb_sum


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def total(
    x: Array, weights: Array | None, axes: tuple[int, ...], accuracy: str, unit: Array | None = None
) -> Array:
    """Return Σx or Σwx over axes; unit is what the weights are in, without these axes."""
    if accuracy == "reproducible":
        return times(limb_sum(x, axes, weights).value(), unit)
    sums = central_sums((x,), axes, 0, weights, accuracy)
    high, low = two_words(sums.pivots[0], sums.offsets[0])
    # in units where W K may leave its range, and the sum yet be in it
    top = jnp.finfo(high.dtype).maxexp // 2
    scale = select(abs(high) > 2.0**top, 2.0**-top, lax.full_like(high, 1))
    p, lost = two_product(sums.weight, high * scale)
    lost = select(lax.is_finite(p), lost, 0)
    rest = sums.weight * (low * scale)
    if sums.shifted:  # what was summed: the mean of it would be rounded, and whole numbers with it
        (first,) = sums.shifted
        whole = first * scale
        if not jnp.issubdtype(x.dtype, jnp.floating):  # the first word of the pivot is rounded
            _, less = two_words(sums.pivots[0], lax.full_like(low, 0))
            whole = whole + sums.weight * (less * scale)
        fits = lax.is_finite(first)
        fits = lax.broadcast(jnp.all(fits), first.shape) if first.ndim else fits
        rest = lax.select(fits, whole, rest)
    value = p + (lost + rest)
    return times(value, unit) / scale


@total.defjvp
def _total_rule(axes: Axes, accuracy: str, primals: PyTree, tangents: PyTree):
    # d Σwx = Σ w dx + Σ x dw, elements of weight 0 left out before any arithmetic
    x, weights, unit = primals
    out = total(x, weights, axes, accuracy, unit)

    def add(v: Array) -> Array:
        found = jnp.sum(v, axis=axes)
        return found if unit is None else found * unit

    slope, moves = jnp.zeros_like(out), tangents[0].dtype != jax.dtypes.float0
    if weights is None or weights.dtype == np.bool_:
        select = (lambda v: v) if weights is None else (lambda v: jnp.where(weights, v, 0))
        return out, slope + add(select(tangents[0].astype(out.dtype))) if moves else slope

    def keep(v: Array) -> Array:
        return jnp.where(weights != 0, v.astype(out.dtype), 0)

    if moves:
        slope = slope + add(weights * keep(tangents[0]))
    return out, slope + add(keep(x) * keep(tangents[1]))
