"""Keys in ascending order, and where they were."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def argsort(keys: Array) -> tuple[Array, Array]:
    """Return rows of unsigned keys in ascending order, and their places; equal ones by place.

    On XLA:CPU (jax 0.10.2) 1e6 keys with a payload are sorted in 217 ms, by a comparison that is
    called; numbers alone, of 32 or of 64 bits, in 60. So key and place are one number there.
    """
    if keys.dtype.itemsize == 8:
        return by_pairs(keys)
    return lax.platform_dependent(keys, cpu=by_numbers, default=by_pairs)


def by_pairs(keys: Array) -> tuple[Array, Array]:
    """Return what `argsort` does, by sorting pairs."""
    places = lax.broadcasted_iota(jnp.int32, keys.shape, 1)
    keys, places = lax.sort((keys, places), dimension=1, num_keys=1)
    return keys, places


def by_numbers(keys: Array) -> tuple[Array, Array]:
    """Return what `argsort` does, by sorting numbers of 64 bits: the key, then its place."""
    places = lax.broadcasted_iota(jnp.uint32, keys.shape, 1)
    pairs = jnp.stack([places, keys.astype(np.uint32)], axis=2)
    with jax.enable_x64(True):  # the only way to a type of 64 bits; no number of it leaves
        numbers = lax.bitcast_convert_type(pairs, np.uint64)
        numbers = lax.sort(numbers, dimension=1, is_stable=False)
        pairs = lax.bitcast_convert_type(numbers, np.uint32)
    return pairs[:, :, 1].astype(keys.dtype), pairs[:, :, 0].astype(np.int32)
