"""Rows in ascending order with fractional counts, and means over windows of their counts."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from ..numbers.sortable_bits import encode, last_key
from ..numbers.two_words import Pair, add, each, exact_words, one_word
from ..numbers.units import inverse_unit, unit_of
from ..sums.tree_sums import running_sum
from .occurrences import hide
from .sorting import argsort


class InOrder(NamedTuple):
    """Rows in ascending order, with fractional counts; what counts 0 is last.

    Counts are in units of a power of two, and their running sums in two words: neither their scale
    nor how many there are costs digits.

    Attributes:
        value: the elements as floats, of shape (rows, n).
        often: how often each is there.
        through: the running sums of the counts.
        one: a count of one, of shape (rows, 1).
        good: whether anything counts, and no nan does, of shape (rows,).
    """

    value: Array
    often: Array
    through: Pair
    one: Array
    good: Array

    @property
    def size(self) -> Pair:
        """The sum of all counts, of shape (rows, 1)."""
        return each(lambda word: word[:, -1:], self.through)

    def at(self, end: Array) -> Array:
        """Return the place of the first element with end > 0, of shape (rows, 1)."""
        place = lax.broadcasted_iota(jnp.int32, end.shape, 1)
        last = jnp.max(jnp.where(self.often > 0, place, 0), axis=1, keepdims=True)
        return jnp.min(jnp.where((end > 0) & (place < last), place, last), axis=1, keepdims=True)

    def mean(self, start: Pair, width: Array) -> Array:
        """Return the mean of the elements over a window of their counts, of shape (rows,)."""
        end = one_word(add(self.through, each(jnp.negative, start)))
        begin = jnp.concatenate([-one_word(start), end[:, :-1]], axis=1)
        share = jnp.maximum(jnp.minimum(end, width) - jnp.maximum(begin, 0), 0)
        share = jnp.where(self.often > 0, share / jnp.where(width > 0, width, 1), 0)
        # about the element that the window begins in: all of a window too narrow for two words
        about = jnp.take_along_axis(self.value, self.at(end), axis=1)
        used = share > 0
        most = jnp.where(used, jnp.abs(self.value), 0)

        def sum_of(off: Callable[[Array], Array]) -> Array:
            return jnp.sum(share * jnp.where(used, off(self.value), 0), axis=1, keepdims=True)

        found = mean_about(about, jnp.max(most, axis=1, keepdims=True), 1, sum_of)
        return jnp.where(self.good, found[:, 0], jnp.nan)

    def inverse(self, level: Pair) -> Array:
        """Return the first element through which counts reach a level, of shape (rows,)."""
        above = one_word(add(self.through, each(jnp.negative, level)))
        # what rounding q alone moves is no step
        lost = level[0] * (jnp.finfo(above.dtype).eps / 2)
        reached = jnp.where((above + lost >= 0) & (self.often > 0), 1, -1)
        found = jnp.take_along_axis(self.value, self.at(reached), axis=1)
        return jnp.where(self.good, found[:, 0], jnp.nan)


def in_order(x: Array, counts: Array, dtype: DTypeLike) -> InOrder:
    """Return rows sorted, the counts' sums in floats of a dtype."""
    x = hide(x, counts)
    keys = encode(x)
    _, places = argsort(jnp.where(counts > 0, keys, last_key(keys.dtype)))
    x, counts = (jnp.take_along_axis(v, places, axis=1) for v in (x, counts))
    words = exact_words(counts, dtype)
    inverse = inverse_unit(unit_of(one_word(words), None, (1,)))
    words = each(lambda word: word * inverse, words)
    through = running_sum(words)
    good = (through[0][:, -1] > 0) & ~jnp.any(jnp.isnan(x), axis=1)
    return InOrder(x.astype(dtype), one_word(words), through, inverse, good)


def mean_about(
    about: Array,
    most: Array,
    size: Array | int,
    sum_of: Callable[[Callable[[Array], Array]], Array],
) -> Array:
    """Return a mean, given sums of deviations from any value: a constant's is the constant.

    Args:
        about: a typical value, of shape (rows, 1).
        most: the largest size of what is added up, of shape (rows, 1).
        size: how many are added up, of shape (rows, 1).
        sum_of: takes a function that gives deviations, in a unit, and returns their sums.
    """
    up, down = roomy(most)

    @jax.jit  # in a program once, called twice
    def again(about: Array) -> Array:
        about = lax.stop_gradient(jnp.where(jnp.isfinite(about), about, 0))
        start = about * up  # in that unit to the end: by itself a step may be no number
        return (start + sum_of(lambda x: x * up - start) / size) * down

    return again(again(about))  # the second time what is added up is small


def roomy(size: Array) -> tuple[Array, Array]:
    """Return a power of two and its inverse, by which numbers up to a size get room.

    Times that power they can be added up and subtracted, and small differences keep their digits.
    """
    half = size.dtype.type(2.0 ** (jnp.finfo(size.dtype).maxexp // 2 - 4))
    small = size < 1
    return jnp.where(small, half, 1 / half), jnp.where(small, 1 / half, half)
