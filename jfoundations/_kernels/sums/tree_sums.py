"""Sums of numbers in two words, by trees and by runs.

>>> import jax.numpy as jnp
>>> x = jnp.asarray([[[1e8], [1.0], [-1e8]]], jnp.float32)
>>> (both,) = tree_sum_pairs([(x, jnp.zeros_like(x))])
>>> float(sum(both)[0, 0]), float(jnp.sum(x))
(1.0, 0.0)
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..numbers.two_words import Pair, add, each
from .layout import SMALL

ROWS = 4  # numbers added in one loop: more are not unrolled, and then no vectors are made


SERIAL = 256  # so few are added in one go: another loop would cost more


def running_sum(x: Pair) -> Pair:
    """Return the sums of all up to each, of pairs of shape (rows, n), n > 0, along axis 1."""
    # Side by side along chunks, then along the chunks' sums: a program whose length n has no part
    # in, and about √n operations one after another.
    rows, n = x[0].shape
    side = math.isqrt(n - 1) + 1
    x = each(lambda v: jnp.pad(v, ((0, 0), (0, side * side - n))), x)
    through = _scan(each(lambda v: jnp.moveaxis(v.reshape(rows, side, side), 2, 0), x))
    ends = _scan(each(lambda v: v[-1].T, through))
    before = each(lambda v: jnp.concatenate([jnp.zeros_like(v[:1]), v[:-1]]).T[None], ends)
    total = add(through, before)
    return each(lambda v: jnp.moveaxis(v, 0, 2).reshape(rows, side * side)[:, :n], total)


def _scan(x: Pair) -> Pair:
    def step(total: Pair, word: Pair) -> tuple[Pair, Pair]:
        total = add(total, word)
        return total, total

    # begins with the first element, which may vary over a mesh as the others do
    first, others = each(lambda v: v[0], x), each(lambda v: v[1:], x)
    rest = lax.scan(step, first, others)[1]
    high, low = (jnp.concatenate([a[None], b]) for a, b in zip(first, rest, strict=True))
    return high, low


def tree_sum_pairs(pairs: list[Pair]) -> list[Pair]:
    """Add pairs of shape (outer, n, inner) along axis 1, all of them in one loop a level."""
    if not pairs or pairs[0][0].size > SMALL:
        return _tree([word for pair in pairs for word in pair])
    # Side by side, to be added by few operations: at each call XLA:CPU makes room for each one of
    # those that a loop adds by, whatever n is, and that takes as long as a hundred additions.
    ((high, low),) = _tree([jnp.stack(words) for words in zip(*pairs, strict=True)])
    return [(high[i], low[i]) for i in range(len(pairs))]


def _tree(words: list[Array]) -> list[Pair]:
    if words and words[0].shape[-2] == 0:
        words = [jnp.zeros_like(w, shape=(*w.shape[:-2], 1, w.shape[-1])) for w in words]
    while words and words[0].shape[-2] > 1:
        words = _level(words)
    return _paired([w[..., 0, :] for w in words])


def _level(words: list[Array]) -> list[Array]:
    # a loop over few rows of many numbers becomes one of vectors, see `blocks`
    *outer, n, inner = words[0].shape
    rows = n if n <= SERIAL else ROWS
    lines = n // rows
    body = tuple(w[..., : rows * lines, :].reshape(*outer, rows, lines * inner) for w in words)
    zeros = tuple(np.zeros((), w.dtype) for w in words)
    sums = lax.reduce(body, zeros, _add_each, (len(outer),))
    sums = [s.reshape(*outer, lines, inner) for s in sums]
    if rows * lines == n:
        return sums
    odd = [w[..., rows * lines :, :] for w in words]
    return [jnp.concatenate(pair, axis=-2) for pair in zip(sums, odd, strict=True)]


def _add_each(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
    added = (add(*p) for p in zip(_paired(a), _paired(b), strict=True))
    return tuple(word for pair in added for word in pair)


def _paired(words: Sequence[Array]) -> list[Pair]:
    return list(zip(words[::2], words[1::2], strict=True))
