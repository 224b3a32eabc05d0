"""R-hat of a stream of draws: of whole chains, or of their halves as near as a stream can cut them.

Where the middle of a stream will be is not known in advance. So moments are kept of blocks of equal
length; where there is room for no more blocks, each two become one of twice the length.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.moments.chains import potential_scale
from .._kernels.numbers.units import inverse_unit
from .._kernels.sums.blocks import in_units
from ._lags import check_draws, reach
from ._memory import Memory, gather, merge, of_element

BLOCKS = 32


@pytree
class Blocks:
    """Moments of blocks of a stream.

    Attributes:
        moments: of each block, along a leading axis.
        place: which block is being filled.
        inside: how many elements it has.
        length: how many elements a full block has.
    """

    moments: Memory
    place: jax.Array
    inside: jax.Array
    length: jax.Array


def rhat(*, split: bool = True) -> Fold[jax.Array]:
    """Return the fold of R-hat; an element is a draw of all chains.

    Split, it compares the halves of all chains, so that a common drift is seen too. Moments are
    kept of 16 … 32 blocks whose length is a power of two; the halves are those of the even number
    of full blocks. It is thus `diagnostics.rhat(x, kind="split")` of the first m draws, where m is
    all of up to 32 if they are even, and later all but the last eighth or less. What is kept
    depends on where the stream began, so there is no merge, and no executor may split it. Not
    split, it is `diagnostics.rhat(x, kind="identity")` of all draws, and memories merge. Ranks, as
    `kind="rank"` has them, need all draws at once.

    Chains of few draws may agree by chance, so stop on `ess` as well. An element may be a pytree of
    arrays.

    Args:
        split: whether chains are halved.

    Returns:
        Of elements (chains, ...) an array of shape (...); nan of a single chain, of fewer than 4
        draws and of constant draws, as `diagnostics.rhat`.

    Raises:
        TypeError: split is no bool; or, when it is run, the elements are complex.
        ValueError: when it is run, an element has no axis of chains.

    >>> import jfoundations as jf
    >>> x = jax.random.normal(jax.random.key(0), (1000, 4))  # 1000 draws of 4 chains
    >>> bool(jf.fold(rhat(), x) < 1.01), bool(jf.fold(rhat(), x.at[:500].add(3.0)) < 1.5)
    (True, False)
    """
    if not isinstance(split, bool):
        raise TypeError(f"folds.rhat: split is {split!r}; True or False is needed")
    if split:
        made = Fold(_none, _fill, None, _of_halves, name="rhat")
    else:
        made = Fold(_no_moments, _one_more, merge, _of_whole, block=_gathered, name="rhat")
    return leafwise(made)


def _no_moments(like: PyTree) -> Memory:
    check_draws(like, True)
    return gather((jnp.zeros((0, *like.shape), like.dtype),), None, None, 2)


def _gathered(xs: PyTree) -> Memory:
    return gather((elements(xs),), None, None, 2)


def _one_more(memory: Memory, x: PyTree) -> Memory:
    return merge(memory, of_element((elements(x),), None, None, 2))


def _none(like: PyTree) -> Blocks:
    empty = _no_moments(like)
    moments = jax.tree.map(lambda a: jnp.broadcast_to(a, (BLOCKS, *a.shape)), empty)
    zero = jnp.zeros((), np.int32)
    return Blocks(moments, zero, zero, zero + 1)


def _fill(memory: Blocks, x: PyTree) -> Blocks:
    memory = lax.cond(memory.place == BLOCKS, _halved, lambda memory: memory, memory)
    k = memory.place
    block = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, k, keepdims=False), memory.moments)
    block = _one_more(block, x)
    moments = jax.tree.map(
        lambda a, new: lax.dynamic_update_index_in_dim(a, new, k, 0), memory.moments, block
    )
    full = memory.inside + 1 == memory.length
    inside = jnp.where(full, 0, memory.inside + 1)
    return Blocks(moments, k + full.astype(np.int32), inside, memory.length)


def _halved(memory: Blocks) -> Blocks:
    """Return blocks of twice the length, half as many."""
    early, late = (jax.tree.map(lambda a, k=k: a[k::2], memory.moments) for k in (0, 1))
    like = jax.ShapeDtypeStruct(early.offsets[0].high.shape[1:], early.dtype)
    empty = _no_moments(like)
    moments = jax.tree.map(
        lambda a, e: jnp.concatenate([a, jnp.broadcast_to(e, a.shape)]), merge(early, late), empty
    )
    return Blocks(moments, memory.place // 2, memory.inside, memory.length * 2)


def _of_whole(memory: Memory) -> jax.Array:
    one = jax.tree.map(lambda a: a[None], memory)
    return _of_parts(one, jnp.ones((1, 1), bool), jnp.max(memory.total, initial=0))


def _of_halves(memory: Blocks) -> jax.Array:
    half = memory.place // 2
    place = jnp.arange(BLOCKS, dtype=np.int32)
    first = place < half
    parts = jnp.stack([first, (place < 2 * half) & ~first])
    draws = half.astype(memory.moments.dtype) * memory.length.astype(memory.moments.dtype)
    return jnp.where(half < 2, jnp.nan, _of_parts(memory.moments, parts, draws))


def _of_parts(moments: Memory, parts: jax.Array, draws: jax.Array) -> jax.Array:
    """Return R-hat of parts of all chains, each made of blocks of one length.

    Args:
        moments: of the blocks, (blocks, chains, ...).
        parts: bools, which blocks a part is made of, (parts, blocks).
        draws: of a part.
    """
    (pivot,), (offset,), (own,) = moments.pivots, moments.offsets, moments.units
    seen = parts.any(0).reshape(-1, *(1,) * (pivot.ndim - 1))
    origin = pivot[:1, :1]
    pivot = jnp.where(seen, pivot, origin)
    away = jnp.maximum(reach(pivot, origin), reach(offset.value, jnp.zeros_like(pivot)))
    unit = jnp.max(jnp.maximum(own, away), axis=(0, 1), keepdims=True)
    inverse, ratio = inverse_unit(unit), own / unit
    means = in_units(pivot, origin, inverse) + offset.value * inverse
    squares = moments.powers[0].value * ratio * ratio
    taken = parts.reshape(*parts.shape, *(1,) * (pivot.ndim - 1))  # (parts, blocks, 1, ...)
    blocks = jnp.sum(taken, axis=1).astype(means.dtype)
    length = draws / blocks
    middle = jnp.sum(jnp.where(taken, means[None], 0), axis=1) / blocks  # (parts, chains, ...)
    apart = means[None] - middle[:, None]
    within = jnp.where(taken, squares[None] + length[:, None] * apart * apart, 0)
    variances = jnp.sum(within, axis=1) / (draws - 1)
    middle, variances = (v.reshape(-1, *v.shape[2:]) for v in (middle, variances))
    found = potential_scale(middle, variances, draws)
    some = (draws * len(parts) >= 4) & (pivot.shape[1] > 1)
    return jnp.where(some, found, jnp.nan)
