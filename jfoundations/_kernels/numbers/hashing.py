"""Random-looking words of values: equal values give equal words, on every device.

>>> import jax.numpy as jnp
>>> a, b = hashed(words_of(jnp.array([1.0, -0.0, 0.0, 1.0])), np.zeros(2, np.uint32))
>>> bool(a[0] == a[3]), bool(a[1] == a[2]), bool(a[0] == a[1]), bool(a[0] == b[0])
(True, True, False, False)

Source: the mixing of 32 bits by shifts and products is that of Wellons (2018), "Prospecting for
hash functions", whose bias is near the least that is known.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.types import PyTree
from .sortable_bits import UNSIGNED


def words_of(tree: PyTree) -> Array:
    """Return elements along the leading axis as rows of uint32 words.

    0 and −0 are equal, and so are all nan. Half precision is widened, short integers and bools too.

    Args:
        tree: arrays of real or complex numbers or bools.
    """
    return jnp.concatenate([_words(leaf) for leaf in jax.tree.leaves(tree)], axis=1)


def _words(x: Array) -> Array:
    x = x.reshape(len(x), int(np.prod(x.shape[1:])))
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jnp.concatenate([_words(x.real), _words(x.imag)], axis=1)
    if jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
        x = jnp.where(x == 0, jnp.zeros_like(x), jnp.where(x != x, jnp.full_like(x, np.nan), x))
    elif x.dtype.itemsize < 4:
        x = x.astype(np.int32)
    bits = lax.bitcast_convert_type(x, UNSIGNED[x.dtype.itemsize])
    if bits.dtype == np.uint32:
        return bits
    low = (bits & np.array(0xFFFFFFFF, bits.dtype)).astype(np.uint32)
    return jnp.concatenate([low, (bits >> 32).astype(np.uint32)], axis=1)


def hashed(words: Array, seed: Any) -> tuple[Array, Array]:
    """Return two words for each row of words, of shape (n, m).

    Args:
        words: uint32.
        seed: uint32 of any shape; each gives another function.
    """

    def of(start: int) -> Array:
        state = jnp.full(words.shape[:1], start, np.uint32)
        for word in (*jnp.ravel(seed), *words.T):
            state = _mixed(state ^ _mixed(word + np.uint32(start)))
        return state

    return of(0x243F6A88), of(0x85A308D3)


def _mixed(x: Array) -> Array:
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)
