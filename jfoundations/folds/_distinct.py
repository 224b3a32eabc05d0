"""How many different elements there are, nearly, in a few KiB.

Each element is hashed; a register for each of 2**p leading bits keeps the longest run of zeros that
came after them. Equal elements change nothing, and memories merge by the maximum.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> x = jnp.arange(10_000) % 1000
>>> abs(float(jf.fold(jf.folds.distinct(), x)) - 1000) < 60
True

Sources: Flajolet et al. (2007), "HyperLogLog: the analysis of a near-optimal cardinality estimation
algorithm"; Ertl (2017), "New cardinality estimation algorithms for HyperLogLog sketches", for the
estimate, which needs no corrections where there are few elements.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.inputs import elements
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.numbers.hashing import hashed, words_of
from ._elements import one

SEED = np.zeros(1, np.uint32)


def distinct(*, accuracy: float = 0.02) -> Fold[jax.Array]:
    """Return the fold of how many different elements there are, nearly.

    An element is a number, an array or a pytree of arrays, and counts as one value: all of it must
    be equal. 0 and −0 are equal, and so are all nan. The answer's standard error is at most
    `accuracy` of it, over all draws of values; of the same values it is always the same, in
    whatever order, parts and repetitions they come. Up to 2**32 are told apart well.

    It holds 2**p bytes, with 1.04 / 2**(p / 2) ≤ accuracy: 4096 at 0.02.

    Args:
        accuracy: a Python float from 0.003 to 0.3.

    Raises:
        TypeError: accuracy is no number.
        ValueError: it is out of its range.

    >>> import jfoundations as jf
    >>> rows = jnp.array([[1, 2], [2, 1], [1, 2], [1, 2]])
    >>> round(float(jf.fold(distinct(), rows)))
    2
    """
    if isinstance(accuracy, bool) or not isinstance(accuracy, float | int):
        raise TypeError(f"folds.distinct: accuracy is {accuracy!r}; a Python float is needed")
    if not 0.003 <= accuracy <= 0.3:
        raise ValueError(f"folds.distinct: accuracy is {accuracy!r}; it must lie in [0.003, 0.3]")
    bits = math.ceil(2 * math.log2(1.04 / accuracy))
    init, step, block = (partial(f, bits) for f in (_init, _step, _block))
    return Fold(init, step, _merge, _extract, block, block_where=block, name="distinct")


def _init(bits: int, like: PyTree) -> jax.Array:
    return jnp.zeros(1 << bits, np.uint8)


def _merge(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.maximum(a, b)


def _block(bits: int, xs: PyTree, kept: jax.Array | None = None) -> jax.Array:
    first, second = hashed(words_of(elements(xs)), SEED)
    place = (first >> (32 - bits)).astype(np.int32)
    rest = first << bits  # its zeros go on in the second word
    run = jnp.where(rest > 0, lax.clz(rest), 32 - bits + lax.clz(second)).astype(np.int32) + 1
    run = run if kept is None else jnp.where(kept, run, 0)
    longest = jnp.zeros(1 << bits, np.int32).at[place].max(run)
    return longest.astype(np.uint8)


def _step(bits: int, memory: jax.Array, x: Any) -> jax.Array:
    return _merge(memory, _block(bits, one(x)))


def _extract(memory: jax.Array) -> jax.Array:
    dtype = jnp.result_type(float)
    count = len(memory)
    empty = jnp.mean(memory == 0, dtype=dtype)
    shares = jnp.where(memory > 0, jnp.exp2(-memory.astype(dtype)), 0)

    def more(k: Any, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        power, weight, total = carry  # x**(2**k), 2**(k - 1), and the sum so far
        power = power * power
        return power, weight * 2, total + power * weight

    start = empty, jnp.ones_like(empty), empty
    sigma = lax.fori_loop(0, 30, more, start)[2]
    estimate = count * count / (2 * math.log(2)) / (jnp.sum(shares) + count * sigma)
    return jnp.where(empty == 1, 0, estimate)
