"""Walk along an array in blocks that stay in the cache, and count into bins on the way."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.compat import vary_as
from ..._core.types import PyTree
from ..numbers.counts import Count

# XLA:CPU writes a scatter's indices out before it uses them: at 1e7 elements, 80 MB of fresh pages
# made a counting pass five times slower than the same pass in blocks. Measured flat from 2**15 on.
BLOCK = 1 << 17


# An array is cut across as many lanes, so that each of so many devices has some of each block.
LANES = 768

Step = Callable[[Any, Array, Any], Any]


def in_blocks(
    step: Step, start: PyTree, x: Array, counts: Array | None = None, block: int = BLOCK
) -> Any:
    """Return `step(start, x, counts)`, on a CPU folded over blocks of x and counts.

    The elements come in an order of their own, and the last block may hold some that were taken
    before, at count 0.

    Args:
        step: adds what elements and their counts (None, bools or numbers) say to a tree of sums.
        start: the tree, of zeros.
        x: of shape (..., n).
        counts: of x's shape, or None.
        block: how many elements at most are a block.
    """
    if x.size <= block:
        return step(start, x, counts)
    by_blocks = functools.partial(_in_blocks, step, block)
    return lax.platform_dependent(start, x, counts, cpu=by_blocks, default=step)


def _in_blocks(step: Step, block: int, start: PyTree, x: Array, counts: Array | None) -> Any:
    *outer, n = x.shape
    lanes = math.gcd(n, LANES)
    length, wide = n // lanes, math.prod(outer) * lanes
    most = min(length, max(1, block // wide))
    width = next((w for w in range(most, most // 2, -1) if length % w == 0), most)
    # no slice cuts the axis that may be sharded: each device would be sent the whole array
    rows = jax.tree.map(lambda a: a.reshape(*outer, lanes, length), (x, counts))
    axis, uneven = len(outer) + 1, length % width != 0

    def body(i: Array, carry: PyTree) -> Any:
        at = jnp.minimum(i * width, length - width) if uneven else i * width
        cut = jax.tree.map(lambda a: lax.dynamic_slice_in_dim(a, at, width, axis), rows)
        x, counts = jax.tree.map(lambda a: a.reshape(*outer, -1), cut)
        if uneven:
            places = lax.broadcasted_iota(jnp.uint32, (*outer, lanes, width), axis)
            new = (places >= i * width - at).reshape(*outer, -1)
            counts = new if counts is None else jnp.where(new, counts, counts.dtype.type(0))
        return step(carry, x, counts)

    start = vary_as(start, x)
    return lax.fori_loop(np.uint32(0), np.uint32(-(-length // width)), body, start)


def present(counts: Array) -> Array:
    """Return which elements count at all, as bools."""
    return counts if counts.dtype == jnp.bool_ else counts > 0


def add(bins: Array, index: Array, counts: Array | None) -> Array:
    """Add 1, or each element's count, to its bin; indices past the end and False add nothing.

    Args:
        bins: of shape (bins,).
        index: unsigned integers of shape (n,).
        counts: of shape (n,), or None.
    """
    # False adds 0: sent past the end, a mask without pattern costs a mispredicted branch each
    added = 1 if counts is None else counts.astype(bins.dtype)
    return bins.at[index].add(added, mode="drop")


def by_columns(index: Array, bins: int, times: Array | None = None) -> Count:
    """Count indices of shape (n, columns) into bins of their column, exactly: (columns, bins).

    Args:
        index: from 0 to bins - 1.
        bins: how many.
        times: of index's shape: None, bools, or how often each is there, as uint32.
    """
    if index.size == 0:
        return Count.of(0, (index.shape[1], bins))
    count = functools.partial(_by_columns, bins)
    return lax.platform_dependent(index, times, cpu=functools.partial(_apart, count), default=count)


def _apart(count: Callable[..., Count], index: Array, times: Array | None) -> Count:
    # XLA:CPU would compute each index where it is added, one by one, seven times slower: a branch,
    # which is always taken, has it write them down as vectors
    nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(count, index, times))
    return lax.cond((index[0, 0] | 1) != 0, count, lambda *given: nothing, index, times)


@functools.partial(jax.jit, static_argnums=0)
def _by_columns(bins: int, index: Array, times: Array | None) -> Count:
    n, columns = index.shape
    place = (index + lax.iota(np.int32, columns)[None] * bins).reshape(-1)
    # no compiler can tell that it holds zeros: what follows from those alone takes minutes to fold
    start = lax.optimization_barrier(jnp.zeros(columns * bins, np.uint32))

    def counted(times: Array | None) -> Array:
        times = None if times is None else times.reshape(-1)
        return in_blocks(add, start, place, times).reshape(columns, bins)

    if times is None or times.dtype == np.bool_:
        return Count.from_array(counted(times))
    digit = 32 - n.bit_length()  # so many bits of each do not overflow when added up

    def more(k: Array, total: Count) -> Count:
        shift = k * np.uint32(digit)
        found = counted((times >> shift) & np.uint32((1 << digit) - 1))
        return total + Count((found >> 1) >> (31 - shift), found << shift)

    digits, nothing = np.uint32(-(-32 // digit)), Count.of(0, (columns, bins))
    return lax.fori_loop(np.uint32(0), digits, more, vary_as(nothing, (index, times)))
