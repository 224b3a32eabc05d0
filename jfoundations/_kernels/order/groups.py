"""The elements at given ranks of groups, exactly: sorted, or on a CPU counted, with the same bits.

A CPU counts the keys of each group by 8 bits at a time, the highest first: the counts say which
bits the key at a rank has, and only keys that begin with these are counted next.

>>> import jax.numpy as jnp
>>> x, place = jnp.array([3.0, 1.0, 2.0]), jnp.array([0, 1, 0])
>>> at_ranks(x, place, 2, jnp.array([[0], [0]])).tolist()
[[2.0, 3.0], [1.0, 1.0]]
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.compat import vary_as
from ..numbers.sortable_bits import decode, encode, last_key

BINS = 1 << 8
FEW = 1 << 18  # bins, of all groups, that a cache holds


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def at_ranks(x: Array, place: Array, groups: int, ranks: Array) -> Array:
    """Return the elements at ranks of groups, and at the ranks after these, or the last ones.

    Args:
        x: of shape (n,), n > 0; nan comes last.
        place: int32 of that shape, the group of each; what is out of range is in none.
        groups: how many there are.
        ranks: int32 of shape (groups, m), below the number of a group's elements.

    Returns:
        Elements, of shape (groups, 2m), first those at ranks; derivatives flow to one of those
        equal to it.
    """
    if groups * BINS > max(FEW, len(x)):
        return by_sorting(x, place, groups, ranks)
    ways = {"cpu": by_counting, "default": by_sorting}
    ways = {name: partial(_called, way, groups) for name, way in ways.items()}
    return lax.platform_dependent(x, place, ranks, **ways)


@at_ranks.defjvp
def _slope(groups, primals, tangents):  # type: ignore[no-untyped-def]
    x, place, ranks = primals
    return jax.jvp(lambda x: by_sorting(x, place, groups, ranks), (x,), tangents[:1])


def _called(way, groups, x, place, ranks):  # type: ignore[no-untyped-def]
    return way(x, place, groups, ranks)


def by_sorting(x: Array, place: Array, groups: int, ranks: Array) -> Array:
    """Return what `at_ranks` does, by sorting."""
    place = jnp.where((place >= 0) & (place < groups), place, groups)
    keys = encode(lax.stop_gradient(x))
    _, _, order = lax.sort((place, keys, lax.iota(np.int32, len(x))), num_keys=2)
    count = jnp.zeros(groups, np.int32).at[place].add(1, mode="drop")
    first = jnp.cumsum(count, dtype=np.int32) - count
    after = jnp.minimum(ranks + 1, jnp.maximum(count - 1, 0)[:, None])
    both = jnp.concatenate([ranks, after], axis=1)
    return x[order[jnp.minimum(first[:, None] + both, len(x) - 1)]]


def by_counting(x: Array, place: Array, groups: int, ranks: Array) -> Array:
    """Return what `at_ranks` does, by counting."""
    keys = encode(x)
    width = keys.dtype.itemsize
    eight, own = np.array(8, keys.dtype), jnp.clip(place, 0, groups - 1)
    inside = (place >= 0) & (place < groups)

    def digit(found: Any, k: Array) -> tuple[Any, None]:
        # the leading bits of the key, its rank among those with these bits, how many these are
        shift = (8 * (width - 1 - k)).astype(keys.dtype)
        left = keys >> shift

        def one(prefix: Array, rest: Array, _: Array) -> tuple[Array, Array, Array]:  # (groups,)
            mine = inside & (left >> eight == prefix[own])
            slot = own * BINS + (left & np.array(BINS - 1, keys.dtype)).astype(np.int32)
            slot = jnp.where(mine, slot, groups * BINS)
            bins = jnp.zeros(groups * BINS + 1, np.int32).at[slot].add(1, mode="promise_in_bounds")
            through = jnp.cumsum(bins[:-1].reshape(groups, BINS), axis=1, dtype=np.int32)
            low = through <= rest[:, None]
            before = jnp.max(jnp.where(low, through, 0), axis=1)
            upto = jnp.min(jnp.where(low, len(x), through), axis=1)
            bits = jnp.sum(low, axis=1, dtype=np.int32).astype(keys.dtype)
            return (prefix << eight) | bits, rest - before, upto - before

        return jax.vmap(one, in_axes=1, out_axes=1)(*found), None

    counts = jnp.zeros(groups, np.int32).at[own].add(inside.astype(np.int32))

    def after(key: Array, rank: Array, rest: Array, same: Array) -> Array:  # (groups,)
        larger = inside & (keys > key[own])
        more = jnp.where(larger, keys, last_key(keys.dtype))
        least = jnp.full(groups, last_key(keys.dtype)).at[own].min(more)
        return jnp.where((rest + 1 < same) | (rank + 1 >= counts), key, least)

    start = jnp.zeros(ranks.shape, keys.dtype), ranks, jnp.zeros_like(ranks)
    found = lax.scan(digit, vary_as(start, (x, place, ranks)), lax.iota(np.int32, width))[0]
    key, rest, same = found
    both = [key, jax.vmap(after, in_axes=1, out_axes=1)(key, ranks, rest, same)]
    return decode(jnp.concatenate(both, axis=1), x.dtype)
