"""Products and quotients with the same bits in every program.

A compiler may contract a product and a sum into one fused multiply-add, or turn a division by a
constant into a multiplication; which of them depends on what surrounds the expression. Laws such
as var(x) == cov(x, x) need it to happen nowhere. On XLA:CPU (jax 0.10.2) `lax.reduce_precision` at
a dtype's own precision and `lax.optimization_barrier` are removed before code is made; a comparison
of a value with itself is not.

>>> import jax, jax.numpy as jnp
>>> x = jnp.float32(3.1415927)
>>> float(jax.jit(lambda x: protect(x * x) - protect(x * x))(x))
0.0
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def protect(product: jax.Array) -> jax.Array:
    """Round a product by itself. Costs an instruction or two: for short arrays only."""
    return lax.select(product == product, product, lax.full_like(product, np.nan))


def divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """Divide by a division: a divisor that hangs on the dividend is no constant."""
    a, b = jnp.broadcast_arrays(a, b)
    return a / lax.select(a == a, b, lax.full_like(b, np.nan))
