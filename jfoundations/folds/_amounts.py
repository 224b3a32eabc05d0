"""Counts, or sums of weights, in five bytes each: what a sketch keeps of a bin.

>>> import jax.numpy as jnp
>>> many = Amounts.of(Count.of(3 * 2**33, (1,)))
>>> (many + many).wide().tolist(), many.rest.dtype
([51539607552], dtype('uint8'))
"""

import jax
import jax.numpy as jnp
import numpy as np

from .._core.pytrees import pytree
from .._kernels.numbers.counts import Count
from .._kernels.numbers.two_words import two_sum
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.order.counting import by_columns
from ._words import Words

FULL, HALF = 0xFF, 0xFFFF


@pytree
class Amounts:
    """Numbers in two words of 32 and 8 bits.

    Attributes:
        main: uint32, the lower word of counts; or float32, rounded sums of weights.
        rest: uint8, the upper word of counts, which stays at its largest where it would be more;
            or int8, what the rounding lost, in 256ths of the last digit.
    """

    main: jax.Array
    rest: jax.Array

    @staticmethod
    def of(wide: Count | Words) -> "Amounts":
        """Return numbers cut to five bytes."""
        if isinstance(wide, Count):
            return Amounts(wide.low, jnp.minimum(wide.high, FULL).astype(np.uint8))
        main, rest = two_sum(wide.high, wide.low)
        lost = jnp.round(rest * inverse_unit(binary_unit(main)) * 2.0**31)
        return Amounts(main, jnp.clip(lost, -127, 127).astype(np.int8))

    @property
    def whole(self) -> bool:
        """Whether they are counts."""
        return self.main.dtype == np.uint32

    def wide(self) -> Count | Words:
        """Return them in full words, to be computed with."""
        if self.whole:
            return Count(self.rest.astype(np.uint32), self.main)
        return Words(self.main, self.lost())

    def lost(self) -> jax.Array:
        """Return what rounding took of sums of weights."""
        return self.rest.astype(np.float32) * 2.0**-31 * binary_unit(self.main)

    def full(self) -> jax.Array:
        """Return whether a number is too large to be known."""
        return self.rest == FULL if self.whole else jnp.isinf(self.main)

    def __add__(self, other: "Amounts") -> "Amounts":
        """Return the sums of both, number by number."""
        return Amounts.of(self.wide() + other.wide())  # type: ignore[operator]

    def moved(self, place: jax.Array) -> "Amounts":
        """Return the bins, of shape (..., bins), added up at other places; those stay in a row."""
        shape = place.shape
        bins = shape[-1]
        rows = jnp.arange(place.size // bins, dtype=np.int32)[:, None] * bins
        at = (place.reshape(-1, bins) + rows).reshape(-1)
        if self.whole:  # 16 bits each: sums of them do not overflow
            digits = self.main & HALF, self.main >> 16, self.rest.astype(np.uint32)
        else:
            digits = self.main, self.lost()
        columns = jnp.stack([d.reshape(-1) for d in digits], axis=1)
        added = jnp.zeros_like(columns).at[at].add(columns)
        first, *others = (v.reshape(shape) for v in jnp.unstack(added, axis=1))
        if not self.whole:
            return Amounts.of(Words(first, others[0]))
        second, third = others
        total = Count(third + (second >> 16), second << 16) + Count(jnp.zeros_like(first), first)
        return Amounts.of(total)


def counted(index: jax.Array, bins: int, times: jax.Array | None) -> Amounts:
    """Return how often each index is there, or how much the weights of it are together.

    Args:
        index: of shape (n, columns), from 0 to bins - 1.
        bins: how many.
        times: of index's shape: None, bools, uint32, or float32 ≥ 0; of these each is rounded to
            2**-30 of the largest one of its column, and the sums of those are exact.

    Returns:
        Of shape (columns, bins).
    """
    if times is None or not jnp.issubdtype(times.dtype, np.floating):
        return Amounts.of(by_columns(index, bins, times))
    unit = binary_unit(jnp.max(times, axis=0, keepdims=True, initial=0))
    whole = jnp.minimum(jnp.round(times * inverse_unit(unit) * 2.0**30), 2.0**32 - 256)
    found = by_columns(index, bins, whole.astype(np.uint32))
    parts = [found.high, found.low >> 16, found.low & np.uint32(HALF)]
    first, second, third = (p.astype(np.float32) for p in parts)
    total = Words.of(first * 4.0).more(second * 2.0**-14).more(third * 2.0**-30)
    return Amounts.of(total.times(unit.T))
