"""Exact sums: every float is cut into limbs of one fixed grid, and limbs are added as integers.

Integer addition has no order, so a sum has the same bits however its elements are permuted, cut
into blocks or spread over devices; it is rounded once, when it is asked for. The grid spans all
that a float (or a product of two or three) can be: nothing is too large or too small for it.

>>> import jax.numpy as jnp
>>> huge, tiny = (Limbs.of(jnp.array(v, jnp.float32)) for v in ([1e30, 1.0], [-1e30, 1e-30]))
>>> float(huge.merge(tiny).value())
1.0

Over a mesh axis, inside `shard_map`, limbs are added by ``psum``, exactly (up to 1024 devices):
``jax.tree.map(lambda leaf: lax.psum(leaf, "i"), limbs).settle()``.

Source: the long accumulator of Kulisch and Miranker (1986), "The arithmetic of the digital
computer: a new approach"; reproducible where Demmel and Nguyen (2015), "Parallel reproducible
summation", round to bins.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.pytrees import pytree, static
from ..._core.types import PyTree
from ..numbers.binary_words import Format, Word, words
from .layout import sum_together

HEADROOM = 40  # bits for the count of what is added, and the sign
WINDOW = 3  # limbs that one pass sums: enough for most data
SPARE = 2  # limbs above a window, for its carries


def length(form: Format, degree: int) -> int:
    """Return how many limbs hold any sum of products of so many floats."""
    span = jnp.finfo(form.dtype).maxexp - form.least
    return -(-(degree * span + HEADROOM) // form.limb) + WINDOW + SPARE


@pytree
class Limbs:
    """Exact sums of floats, or of products of floats, of any shape.

    Attributes:
        limbs: integers (limbs, ...), the lowest first, each in 0 … 2**limb but the last, which
            carries the sign: one sum has one representation.
        special: the sum of what was infinite or nan, in the dtype of the answer; else 0.
        degree: how many floats were multiplied: the grid begins at ``degree * Format.least``.
    """

    limbs: Array
    special: Array
    degree: int = static(default=1)

    @property
    def form(self) -> Format:
        """How the floats are cut."""
        return Format(self.special.dtype)

    @staticmethod
    def of(x: Array) -> "Limbs":
        """Sum a block of floats (n, ...) along its leading axis; none gives the identity."""
        flat = x.reshape(1, x.shape[0], prod(x.shape[1:]))
        total = gather(_plain_words, flat, 1)
        return jax.tree.map(lambda v: v.reshape(*v.shape[:-2], *x.shape[1:]), total)

    @staticmethod
    def whole(n: int, shape: tuple[int, ...], dtype: DTypeLike) -> "Limbs":
        """Return a Python int below 2**40, of degree 0."""
        form = Format(jnp.dtype(dtype))
        digits = [(n >> (form.limb * k)) & (2**form.limb - 1) for k in range(length(form, 0))]
        column = np.array(digits, form.signed).reshape(-1, *(1,) * len(shape))
        return Limbs(jnp.broadcast_to(column, (len(digits), *shape)), jnp.zeros(shape, dtype), 0)

    def merge(self, other: "Limbs") -> "Limbs":
        """Add, exactly: associative and commutative to the bit, in the memory itself."""
        both = Limbs(self.limbs + other.limbs, self.special + other.special, self.degree)
        return both.settle()

    def settle(self) -> "Limbs":
        """Carry, after limbs were added: at most 1024 of them."""
        return Limbs(carry(self.limbs, self.form), self.special, self.degree)

    def value(self) -> Array:
        """Return the sum, correctly rounded (to nearest, ties to even)."""
        sign, _, _, top, rest, place = leading(self)
        form, low = self.form, self.form.digits - 1
        # the position above the smallest float; below the normal ones fewer digits are left
        place = place + (self.degree - 1) * form.least
        drop = form.bits - 1 - jnp.minimum(place, low)
        wide = jnp.clip(drop, 0, form.bits).astype(form.unsigned)
        half = np.asarray(2 ** (form.bits - 1), form.unsigned)
        kept, cut = _right(top, wide), _left(top, form.bits - wide)
        odd = (kept & 1) != 0
        up = (drop <= form.bits) & ((cut > half) | ((cut == half) & (odd | (rest != 0))))
        lift = jnp.clip(place - low, 0, 2 ** (form.bits - form.digits)).astype(form.unsigned)
        pattern = (lift << low) + jnp.where(drop <= form.bits, kept, 0) + up.astype(form.unsigned)
        infinity = lax.bitcast_convert_type(jnp.asarray(np.inf, form.dtype), form.unsigned)
        pattern = jnp.minimum(pattern, infinity) | (sign.astype(form.unsigned) << (form.bits - 1))
        pattern = jnp.where(top == 0, 0, pattern)
        rounded = lax.bitcast_convert_type(pattern, form.dtype)
        return jnp.where(self.special == 0, rounded, plain(self.special))


def plain(special: Array) -> Array:
    """Return a sum of what is no number with one nan: its sign depends on what gave it."""
    return jnp.where(jnp.isnan(special), jnp.nan, special)


def magnitude(total: Limbs) -> tuple[Array, Array]:
    """Return the sign and the limbs of the absolute value."""
    negative = total.limbs[-1] < 0
    return negative, carry(jnp.where(negative, -total.limbs, total.limbs), total.form)


def leading(total: Limbs) -> tuple[Array, ...]:
    """Return a sum's sign, its significand in two floats and in two integers, and its position.

    The first integer holds the leading bit at its top, unless the sum is 0; the last bits of the
    second say whether anything lies below. The floats are such that the sum is their sum times
    ``2**(position - digits + 1)``, and what they lack is at most ``2**(-2 * limb)`` of it.
    """
    form = total.form
    bits, limb, digits = form.bits, form.limb, form.digits
    negative, limbs = magnitude(total)
    index = jnp.arange(limbs.shape[0], dtype=np.int32).reshape(-1, *(1,) * (limbs.ndim - 1))
    first = jnp.max(jnp.where(limbs != 0, index, 0), axis=0)
    padded = jnp.concatenate([jnp.zeros_like(limbs[:2]), limbs]).astype(form.unsigned)
    high, mid, low = (jnp.take_along_axis(padded, (first + k)[None], axis=0)[0] for k in (2, 1, 0))
    below = jnp.any((limbs != 0) & (index < first[None] - 2), axis=0).astype(form.unsigned)
    top = (high << (bits - limb)) | (mid >> (2 * limb - bits))
    rest = (mid << (2 * bits - 2 * limb)) | (low << (2 * bits - 3 * limb)) | below
    zeros = jnp.minimum(lax.clz(high), bits - 1) - (bits - limb)
    zeros = jnp.maximum(zeros, 0)
    top = (top << zeros) | _right(rest, bits - zeros)
    rest = rest << zeros
    position = first * limb + limb - 1 - zeros.astype(jnp.int32)
    word = (top >> (bits - digits)).astype(form.dtype)
    tail = (top & (2 ** (bits - digits) - 1)).astype(form.dtype) * 2.0 ** (digits - bits)
    tail = tail + rest.astype(form.dtype) * 2.0 ** (digits - 2 * bits)
    return negative, word, tail, top, rest, position


def _left(a: Array, by: Array) -> Array:
    return lax.shift_left(a, by.astype(a.dtype))  # by as many bits as there are: 0


def _right(a: Array, by: Array) -> Array:
    return lax.shift_right_logical(a, by.astype(a.dtype))


def _plain_words(x: Array) -> tuple[list[Word], Array]:
    return words(x, x.dtype), jnp.where(jnp.isfinite(x), 0, x)


def gather(cut: Callable[[Any], tuple[list[Word], Array]], data: PyTree, degree: int) -> Limbs:
    """Sum what `cut` makes of data, words (outer, n, inner), over the middle axis and over words.

    A first pass finds between which limbs the data lie; each further one sums some limbs of them.

    Args:
        cut: a function of the data that returns words, and what is infinite or nan, else 0.
        data: a pytree of arrays.
        degree: how many floats a word is made of.
    """
    terms, special = cut(data)
    form = Format(special.dtype)
    outer, n, inner = special.shape
    zeros = jnp.zeros((length(form, degree), outer, inner), form.signed)
    if n * outer * inner == 0:
        return Limbs(zeros, jnp.zeros((outer, inner), special.dtype), degree)
    first, last, odd = _span(terms, special, form)

    def add(state: PyTree) -> Any:
        at, total = state
        # words are made in each pass: to write them down costs ten times as much
        again, at = lax.optimization_barrier((data, at))
        some = _window(cut(again)[0], at, form)
        there = lax.dynamic_slice_in_dim(total, at, WINDOW + SPARE, 0)
        return at + WINDOW, lax.dynamic_update_slice_in_dim(total, there + some, at, 0)

    # the sum varies over a mesh as the data do, from the start
    state = (first, zeros + (first * 0).astype(form.signed))
    _, total = lax.while_loop(lambda s: s[0] <= last, add, state)
    return Limbs(carry(total, form), odd, degree)


def _span(terms: list[Word], special: Array, form: Format) -> tuple[Array, Array, Array]:
    # the lowest and the highest limb that any element touches, and the sum of the special ones
    far = np.int32(2**30)
    low = jnp.full(special.shape, far)
    high = jnp.full(special.shape, -far)
    for word in terms:
        low = jnp.minimum(low, jnp.where(word.size != 0, word.position, far))
        high = jnp.maximum(high, jnp.where(word.size != 0, word.position, -far))
    low, high, odd = lax.reduce(
        (low, high, special),
        (far, -far, np.zeros((), special.dtype)),
        lambda a, b: (jnp.minimum(a[0], b[0]), jnp.maximum(a[1], b[1]), a[2] + b[2]),
        (1,),
    )
    reach = 2 * ((form.digits + 1) // 2) - 1  # of the low half of a product
    return jnp.min(low) // form.limb, (jnp.max(high) + reach) // form.limb, odd


def _window(terms: list[Word], at: Array, form: Format) -> Array:
    # the sums of some limbs, from the one given on, and of what they carry: (limbs, outer, inner)
    n, chunk = terms[0].size.shape[1], 2 ** (form.bits - 2 - form.limb) // len(terms)
    parts = []
    whole = n // chunk
    for start, blocks, rows in ((0, whole, chunk), (whole * chunk, 1, n % chunk)):
        if blocks * rows:
            cut = [_rows(word, start, blocks, rows) for word in terms]
            pieces = [_add_up(cut, (at + k) * form.limb, form) for k in range(WINDOW)]
            parts.append(jnp.stack(sum_together(pieces, 2)))
    sums = jnp.concatenate(parts, axis=2)
    sums = jnp.concatenate([sums, jnp.zeros_like(sums[:1])] + [jnp.zeros_like(sums[:1])])
    sums = _carry_once(sums, form)
    while sums.shape[2] > 1:
        size = min(sums.shape[2], 2 ** (form.bits - 3 - form.limb))
        chunks = -(-sums.shape[2] // size)
        pad = [(0, 0), (0, 0), (0, chunks * size - sums.shape[2]), (0, 0)]
        split = jnp.pad(sums, pad).reshape(*sums.shape[:2], chunks, size, sums.shape[3])
        sums = _carry_once(jnp.sum(split, axis=3, dtype=form.signed), form)
    return sums[:, :, 0]


def _rows(word: Word, start: int, blocks: int, rows: int) -> Word:
    def cut(v: Array) -> Array:
        v = lax.slice_in_dim(v, start, start + blocks * rows, axis=1)
        return v.reshape(v.shape[0], blocks, rows, v.shape[2])

    return Word(*map(cut, word))


def _add_up(terms: list[Word], base: Array, form: Format) -> Array:
    # the limb that begins at a position of the grid, summed over the words of a term
    total: Any = 0
    for word in terms:
        shift = word.position - base.astype(jnp.int32)
        moved = _right(_left(word.size, jnp.maximum(shift, 0)), jnp.maximum(-shift, 0))
        limb = (moved & (2**form.limb - 1)).astype(form.signed)
        total = total + jnp.where(word.negative, -limb, limb)
    return total


def _carry_once(limbs: Array, form: Format) -> Array:
    # each limb to its own bits and a little; the last keeps what it has
    low = jnp.concatenate([limbs[:-1] & (2**form.limb - 1), limbs[-1:]])
    high = jnp.concatenate([jnp.zeros_like(limbs[:1]), limbs[:-1] >> form.limb])
    return low + high


def carry(limbs: Array, form: Format) -> Array:
    """Carry from the lowest limb to the highest, which keeps the sign."""

    def step(over: Array, limb: Array) -> Any:
        limb = limb + over
        return limb >> form.limb, limb & (2**form.limb - 1)

    over, low = lax.scan(step, limbs[0] * 0, limbs[:-1])
    return jnp.concatenate([low, (limbs[-1] + over)[None]])
