"""The product, whose parts may leave the range of their type.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> x = jnp.array([1e30, 1e30, 1e-30, 1e-30])
>>> float(jf.fold(product(), x)), float(jnp.prod(x))
(1.0, inf)
"""

from __future__ import annotations

from math import isqrt

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.compat import vary_as
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.numbers.two_words import two_product
from .._kernels.sample.arguments import accumulator
from ._elements import Nan, Taken, checked, one, rows_of, zero_rows

MOST = 2**30  # of an exponent


@pytree
class Scaled:
    """A number as (high + low)·2**exponent, with high in ½ … 1, or 0, infinite or nan."""

    high: jax.Array
    low: jax.Array
    exponent: jax.Array


def product(*, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the product of real numbers, elementwise; 1 over nothing.

    It is kept as a number in two words and a power of two, so nothing under- or overflows on the
    way (as long as the powers of two sum up to less than 2**30), and it is off by two roundings,
    of up to 2**20 elements. Integers become the default float; subnormal numbers are 0, as XLA
    has them.

    Args:
        nan: "propagate", or "omit" to leave nan out, elementwise.

    Raises:
        TypeError: when it is run, if the elements are complex.

    Source: Graillat (2009), "Accurate floating-point product and exponentiation".

    >>> import jfoundations as jf
    >>> float(jf.fold(product(), jnp.array([2.0, 3.0, 7.0])))
    42.0
    """
    taken = checked("product", None, nan)
    init, step, block = (partial(f, taken) for f in (_init, _step, _block))
    return leafwise(Fold(init, step, _times, _value, block, block_where=block, name="product"))


def _scaled(high: jax.Array, low: jax.Array, exponent: jax.Array) -> Scaled:
    """Bring the first word to ½ … 1."""
    _, by = jnp.frexp(lax.stop_gradient(high))
    by = jnp.where(jnp.isfinite(high), by, 0).astype(np.int32)
    low = jnp.where(jnp.isfinite(high), low, 0)
    high, low = (_moved(v, -by) for v in (high, low))
    return Scaled(high, low, jnp.clip(exponent + by, -MOST, MOST))


def _moved(x: jax.Array, exponent: jax.Array) -> jax.Array:
    """Multiply by a power of two, half of the way at a time: each half is a normal number."""
    most = jnp.finfo(x.dtype).maxexp
    exponent = jnp.clip(exponent, 3 - 2 * most, 2 * most - 3)
    half = exponent >> 1
    for by in (half, exponent - half):
        x = x * jnp.ldexp(jnp.ones_like(x), by)
    return x


def _times(a: Scaled, b: Scaled) -> Scaled:
    high, lost = two_product(a.high, b.high)
    low = lax.stop_gradient(lost) + (a.high * b.low + a.low * b.high)
    return _scaled(high, low, a.exponent + b.exponent)


def _terms(taken: Taken, xs: PyTree, kept: jax.Array | None = None) -> Scaled:
    (x,), there = rows_of(taken, xs, kept)
    if jnp.iscomplexobj(x):
        raise TypeError("folds.product: the elements are complex; give real ones: .of(jnp.real)")
    x = x.astype(accumulator(x.dtype))
    x = x if there is None else jnp.where(there, x, 1)
    return _scaled(x, jnp.zeros_like(x), jnp.zeros(x.shape, np.int32))


def _ones(like: jax.Array) -> Scaled:
    one = jnp.ones_like(like)
    return _scaled(one, jnp.zeros_like(one), jnp.zeros(one.shape, np.int32))


def _block(taken: Taken, xs: PyTree, kept: jax.Array | None = None) -> Scaled:
    terms = _terms(taken, xs, kept)
    n = len(terms.high)
    start = vary_as(_ones(jnp.zeros(terms.high.shape[1:], terms.high.dtype)), terms)
    if n == 0:
        return start
    # rows side by side, then their products one after another
    side = isqrt(n - 1) + 1

    def padded(v: jax.Array, neutral: jax.Array) -> jax.Array:
        more = jnp.broadcast_to(neutral, (side * side - n, *v.shape[1:]))
        return jnp.concatenate([v, more]).reshape(side, side, *v.shape[1:])

    rows = jax.tree.map(padded, terms, start)
    wide = jax.tree.map(lambda v: jnp.broadcast_to(v, (side, *v.shape)), start)
    sides, _ = lax.scan(lambda m, row: (_times(m, row), None), wide, rows)
    return lax.scan(lambda m, row: (_times(m, row), None), start, sides)[0]


def _init(taken: Taken, like: PyTree) -> Scaled:
    return _block(taken, zero_rows(like))


def _step(taken: Taken, memory: Scaled, x: PyTree) -> Scaled:
    return _times(memory, jax.tree.map(lambda v: v[0], _terms(taken, one(x))))


def _value(memory: Scaled) -> jax.Array:
    whole = jnp.where(memory.low == 0, memory.high, memory.high + memory.low)  # −0 keeps its sign
    return _moved(whole, memory.exponent)
