"""How likely an F is to be below or above: the incomplete beta function, of any degrees of freedom.

`lax.betainc` divides gamma functions whose digits are lost to one another: at 10^5 degrees of
freedom float32 keeps one digit of p, at 10^9 none. Here the density of log F is integrated outwards
from F, and from its largest value either way; its constant factor drops out of the quotient. The
rule of both integrals is that of Takahasi and Mori for ∫₀^∞ g(s) ds, s = e^(y - e^(-y)).

>>> import jax.numpy as jnp
>>> [round(float(p), 4) for p in tails(jnp.array(4.0), jnp.array(1.0), jnp.array(1e9))]
[0.9545, 0.0455]

Source: Takahasi and Mori (1974), "Double exponential formulas for numerical integration".
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

STEP = 0.0625
PLACES = np.arange(-4.2, 5.0, STEP)
GROWTH = np.exp(PLACES - np.exp(-PLACES))
WEIGHTS = STEP * (1 + np.exp(-PLACES)) * GROWTH


def tails(f: Array, m: Array, n: Array) -> tuple[Array, Array]:
    """Return the probabilities that an F of m and n degrees of freedom is below, and above.

    For m and n of at least 1 the smaller one is right to 1e-5 + 8 u √min(m, n) of itself, of
    float64 to 1e-9 and that, u the unit roundoff: a rounding of F changes as much. It is nan where
    m or n is not positive.

    Args:
        f: at least 0.
        m: of f's shape and dtype.
        n: likewise.
    """
    turned = m > n  # 1 / F has n and m degrees of freedom
    f, m, n = jnp.where(turned, 1 / f, f), jnp.minimum(m, n), jnp.maximum(m, n)
    a, both = m / 2, (m + n) / 2
    # of the beta variable mF / (n + mF) that of F = 1, where log F has its largest density, and F's
    middle, ratio = a / both, f * (m / n)
    place = jnp.where(jnp.isinf(f), 1, ratio / (1 + ratio))
    up = f > 1
    one = jnp.ones_like(f)
    whole = _outwards(a, both, middle, one) + _outwards(a, both, middle, -one)
    density = jnp.exp(a * jnp.log(f) - both * jnp.log1p(middle * (f - 1)))
    small = density * _outwards(a, both, place, jnp.where(up, one, -one)) / whole
    small = jnp.where(jnp.isinf(f), 0, small)
    small = jnp.where(m > 0, small, jnp.nan)
    ends = jnp.where(up, 1 - small, small), jnp.where(up, small, 1 - small)
    return jnp.where(turned, ends[1], ends[0]), jnp.where(turned, ends[0], ends[1])


def _outwards(a: Array, both: Array, place: Array, sign: Array) -> Array:
    """Integrate the density of log F from where it is to one side, over the density there."""
    slope, curve = jnp.abs(both * place - a), both * place * (1 - place)
    # about as far as to where it has fallen by e
    scale = 2 / (slope + jnp.sqrt(slope * slope + 2 * curve))
    growth, weights = (
        np.asarray(v, a.dtype).reshape(-1, *(1,) * a.ndim) for v in (GROWTH, WEIGHTS)
    )
    move = (sign * scale)[None] * growth
    near = jnp.minimum(move, 80)  # further out 1 is nothing beside an exponential
    grown = jnp.log1p(place[None] * jnp.expm1(near)) + (move - near)
    fall = a[None] * move - both[None] * grown
    return scale * jnp.sum(weights * jnp.exp(fall), axis=0)
