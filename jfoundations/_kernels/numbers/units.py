"""Units of a power of two, into which data of any scale are brought: nothing leaves the range.

Dividing by a power of two changes no bit of what stays in the range of its type, so whatever is
computed in units is the same at every scale. `binary_unit` is the one way to choose a unit.

>>> import jax.numpy as jnp
>>> x = jnp.array([3e38, -3e38])
>>> unit = unit_of(x, None, (0,))
>>> float(jnp.max(x * inverse_unit(unit)) - jnp.min(x * inverse_unit(unit))) > 0
True
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .select import select


def unit_of(x: Array, keep: Array | None, axes: tuple[int, ...]) -> Array:
    """Return the unit of real floats over axes, which are kept as 1: that of the largest size.

    Args:
        x: floats; what is not finite is not looked at.
        keep: bools of x's shape, which elements are looked at; None for all.
        axes: the axes that share a unit.
    """
    seen = jnp.isfinite(x) if keep is None else jnp.isfinite(x) & keep
    return binary_unit(jnp.max(jnp.where(seen, jnp.abs(x), 0), axis=axes, keepdims=True, initial=0))


def coarse_unit(x: Array, keep: Array | None, axes: tuple[int, ...]) -> Array:
    """Return one of three units over axes, which are kept as 1: 1 but at the ends of the range.

    In it sizes can be added up and subtracted, and what is small beside the largest keeps its
    digits, as a mean of what cancels needs.

    Args:
        x: as in `unit_of`.
        keep: as in `unit_of`.
        axes: as in `unit_of`.
    """
    info = jnp.finfo(x.dtype)
    size = unit_of(x, keep, axes)
    low = jnp.where(size < 2.0 ** (info.minexp // 2), 2.0 ** (info.minexp // 2 - 1), 1.0)
    return jnp.where(size >= 2.0 ** (info.maxexp - 28), 2.0**28, low).astype(x.dtype)


def binary_unit(x: Array) -> Array:
    """Return the power of two at or below a size, kept away from the ends of its type's range."""
    info = jnp.finfo(x.dtype)
    unsigned = np.dtype(f"uint{info.bits}")
    exponent = np.array(((1 << info.nexp) - 1) << info.nmant, unsigned)
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(x), unsigned) & exponent
    power = jax.lax.bitcast_convert_type(bits, x.dtype)
    least, most = 2.0 ** (info.minexp + 6), 2.0 ** (info.maxexp - 8)
    clamped = lax.clamp(np.asarray(least, x.dtype), power, np.asarray(most, x.dtype))
    return select(lax.is_finite(power), clamped, 1)


def inverse_unit(unit: Array) -> Array:
    """Return one over a power of two, away from the ends of its range, without dividing."""
    info = jnp.finfo(unit.dtype)
    unsigned = np.dtype(f"uint{info.bits}")
    twice_the_bias = np.array((2 * (info.maxexp - 1)) << info.nmant, unsigned)
    bits = jax.lax.bitcast_convert_type(unit, unsigned)
    return jax.lax.bitcast_convert_type(twice_the_bias - bits, unit.dtype)


def in_both_units(value: Array, u: Array, v: Array) -> Array:
    """Multiply by two powers of two: what leaves the range on the way does so in the end too."""
    small, large = jnp.minimum(u, v), jnp.maximum(u, v)
    up = jnp.abs(value) < 1
    return value * jnp.where(up, large, small) * jnp.where(up, small, large)
