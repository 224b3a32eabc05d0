"""The elements at given ranks of every window of a row, exactly.

A row is cut into pieces that overlap, some windows long. Within a piece the elements are ranked,
and the ranks gone through bit by bit, the highest first: at each bit those with 0 are moved before
those with 1, and counts of the zeros before each place say how many a window has, and where they
went. So a window's elements stay side by side, and there are as many steps as a rank has bits.

>>> import jax.numpy as jnp
>>> at_ranks(jnp.array([[3.0, 1.0, 2.0, 5.0]]), None, 3, np.array([[1]]))[0, :, 0].tolist()
[2.0, 2.0]

Source: Claude, Navarro and Ordóñez (2015), "The wavelet matrix: An efficient wavelet tree for large
alphabets".
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.compat import vary_as
from ..numbers.sortable_bits import decode, encode, last_key

PIECE = 4  # windows in a piece, about: longer ones have more bits, shorter ones more elements


def at_ranks(x: Array, hidden: Array | None, window: int, ranks: Any) -> Array:
    """Return the elements at ranks of the windows of rows.

    Args:
        x: of shape (rows, n), n ≥ window.
        hidden: bools of that shape, which elements are in no window; None: none is. Those that are
            nan come last.
        window: how many neighbours a window has.
        ranks: int32 that broadcast to (rows, n − window + 1, m), below the number of a window's
            elements that are not hidden.

    Returns:
        Elements, of shape (rows, n − window + 1, m); derivatives flow to one of those equal to it.
    """
    (rows, n), m = x.shape, np.shape(ranks)[-1]
    answers = n - window + 1
    bits = max(PIECE * window - 1, 31).bit_length()
    size = 1 << bits
    each = size - window + 1  # windows that begin in a piece
    pieces = -(-answers // each)

    starts = lax.iota(np.int32, pieces) * each
    at = jnp.minimum(starts[:, None] + lax.iota(np.int32, size)[None], n - 1)  # (pieces, size)
    keys = encode(lax.stop_gradient(x))
    if hidden is not None:
        keys = jnp.where(hidden, last_key(keys.dtype), keys)
        if not jnp.issubdtype(x.dtype, jnp.inexact):  # the last key may be an element's too
            x = jnp.where(hidden, decode(last_key(keys.dtype), x.dtype), x)
    keys = keys[:, at].reshape(rows * pieces, size)
    ranks = jnp.broadcast_to(ranks, (rows, answers, m)).astype(np.int32)
    ranks = jnp.pad(ranks, ((0, 0), (0, pieces * each - answers), (0, 0)))
    ranks = ranks.reshape(rows * pieces, each, m)
    found = _places(keys, bits, window, ranks)  # (rows · pieces, each, m)
    found = found.reshape(rows, pieces, each, m) + starts[None, :, None, None]
    found = jnp.minimum(found.reshape(rows, pieces * each, m)[:, :answers], n - 1)
    return jax.vmap(lambda row, at: row[at])(x, found)


def _places(keys: Array, bits: int, window: int, ranks: Array) -> Array:
    """Return where in their pieces the elements lie that are asked for."""
    pieces, size = keys.shape
    base = lax.iota(np.int32, pieces)[:, None]
    rank = _ranked(keys, bits).reshape(-1)
    index = lax.iota(np.int32, size)[None]
    start = jnp.broadcast_to(lax.iota(np.int32, ranks.shape[1])[None, :, None], ranks.shape)

    def split(held: Any, k: Array) -> tuple[Any, None]:
        order, low, high, rest = held
        bit = lax.shift_right_logical(_take(rank, base * size + order), bits - 1 - k) & 1
        through = jnp.cumsum(1 - bit, axis=1, dtype=np.int32)
        zeros = through[:, -1:]
        before = jnp.pad(through, ((0, 0), (1, 0)))  # (pieces, size + 1)
        flat, there = before.reshape(-1), (base * (size + 1))[:, :, None]
        left, right = _take(flat, there + low), _take(flat, there + high)
        ones = rest >= right - left
        rest = jnp.where(ones, rest - (right - left), rest)
        low = jnp.where(ones, zeros[:, :, None] + low - left, left)
        high = jnp.where(ones, zeros[:, :, None] + high - right, right)
        before = before[:, :-1]
        to = base * size + jnp.where(bit == 1, zeros + index - before, before)
        moved = jnp.zeros(pieces * size, np.int32).at[to.reshape(-1)]
        order = moved.set(order.reshape(-1), mode="promise_in_bounds", unique_indices=True)
        return (order.reshape(pieces, size), low, high, rest), None

    order = jnp.broadcast_to(index, (pieces, size))
    held = vary_as((order, start, start + window, ranks), keys)
    (order, low, _, rest), _ = lax.scan(split, held, lax.iota(np.int32, bits))
    return _take(order.reshape(-1), (base * size)[:, :, None] + low + rest)


def _ranked(keys: Array, bits: int) -> Array:
    """Return the rank of each key in its piece; equal ones share the last of theirs."""
    pieces, size = keys.shape
    ascending = jnp.sort(keys, axis=1, stable=False).reshape(-1)
    base = lax.iota(np.int32, pieces)[:, None] * size

    def halve(rank: Array, k: Array) -> tuple[Array, None]:
        middle = rank + lax.shift_right_logical(np.int32(size), k + 1)
        return jnp.where(_take(ascending, base + middle) <= keys, middle, rank), None

    first = vary_as(jnp.zeros(keys.shape, np.int32), keys)
    return lax.scan(halve, first, lax.iota(np.int32, bits))[0]


def _take(flat: Array, at: Array) -> Array:
    return flat.at[at].get(mode="promise_in_bounds")
