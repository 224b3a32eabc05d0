"""Bins whose widths are a share of the numbers in them, and coarser far below the largest.

A number's *fine bin* is counted from its exponent and mantissa alone, so it is the same everywhere.
A *ladder* keeps as many of them as there is room for: from the largest magnitude down some octaves
whole, as many again two to a bin, then four to a bin, and so on; what lies below shares the bin of
0. Which bins those are depends on the largest magnitudes alone, and a larger one only ever joins
bins: so the counts are those of the multiset, in whatever order it came.

>>> import jax.numpy as jnp
>>> ladder = Ladder.of(0.01)
>>> ladder.octave, ladder.slots
(38, 803)
>>> edges = ladder.value(ladder.fine(jnp.array([1.0, 3.0], jnp.float32)), jnp.float32)
>>> bool(((edges <= jnp.array([1.0, 3.0])) & (edges > jnp.array([0.98, 2.94]))).all())
True

Sources: Masson, Rim and Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees"; Epicoco et al. (2020), "UDDSketch", for joining bins in pairs.
"""

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..numbers.sortable_bits import UNSIGNED

LEVELS = 6  # of the last a bin is 32 fine ones wide
OCTAVES = 4.2  # that a level holds if there are both signs, else twice as many; the first half more
DIGITS = 16  # bits of the mantissa that are looked at


@dataclass(frozen=True)
class Ladder:
    """How many bins there are, for an accuracy.

    Attributes:
        accuracy: each fine bin has a middle within this share of all that it holds.
        octave: fine bins in an octave.
        span: fine bins in a level but the first, where there are both signs.
    """

    accuracy: float
    octave: int = field(repr=False)
    span: int = field(repr=False)

    @classmethod
    def of(cls, accuracy: float) -> "Ladder":
        """Return the ladder of an accuracy from 1e-4 to 0.2."""
        octave = math.ceil(0.375 / accuracy)
        while _worst(octave) > accuracy:
            octave += 1
        unit = 1 << (LEVELS - 1)
        return cls(accuracy, octave, unit * round(OCTAVES * octave / unit + 0.5))

    @property
    def head(self) -> int:
        """Fine bins in the first level, where there are both signs."""
        return 3 * self.span // 2

    @property
    def sizes(self) -> list[int]:
        """Bins of each level, where there are both signs."""
        return [self.head + 1, *((self.span >> level) + 1 for level in range(1, LEVELS))]

    @property
    def side(self) -> int:
        """Bins of one sign, if there are both."""
        return sum(self.sizes)

    @property
    def slots(self) -> int:
        """Bins in all: those of both signs and that of 0."""
        return 2 * self.side + 1

    def fine(self, x: Array) -> Array:
        """Return the fine bin of each finite float's magnitude; -1 of 0 and subnormal numbers."""
        bits = lax.bitcast_convert_type(x, UNSIGNED[x.dtype.itemsize])
        nmant = jnp.finfo(x.dtype).nmant
        head = (bits << 1) >> np.array(nmant - DIGITS + 1, bits.dtype)
        head = head.astype(np.int32)
        power, rest = head >> DIGITS, head & ((1 << DIGITS) - 1)
        found = power * self.octave + _within(jnp, rest, self.octave)
        return jnp.where(power == 0, -1, found)

    def value(self, fine: Array, dtype: DTypeLike) -> Array:
        """Return the least number of each fine bin; of those below all the smallest normal one."""
        info = jnp.finfo(dtype)
        fine = jnp.clip(fine, self.octave, ((1 << info.nexp) - 1) * self.octave)
        octave = np.int32(self.octave)
        power, within = lax.div(fine, octave), lax.rem(fine, octave)
        head = (power << DIGITS) | jnp.asarray(_edges(self.octave))[within]
        unsigned = UNSIGNED[info.bits // 8]
        bits = head.astype(unsigned) << np.array(info.nmant - DIGITS, unsigned)
        return lax.bitcast_convert_type(bits, dtype)

    def end(self, over: Array, level: Any, more: Array) -> Array:
        """Return the fine bin where a level ends above; of the last and one, where all end.

        Args:
            over: the largest fine bin and one.
            level: from 0 to LEVELS.
            more: 1 if a level has room for twice as many, as there is one sign, else 0.
        """
        spans = [0, self.head, *[self.span] * (LEVELS - 1)]
        reach = np.cumsum(spans, dtype=np.int32)
        reach = reach[level] if isinstance(level, int) else jnp.asarray(reach)[level]
        return (over - (reach << more)) & -(1 << level)

    def above(self) -> Any:
        """Return how many slots there are above each level, if there are both signs."""
        return np.cumsum([0, *self.sizes[:-1]], dtype=np.int32)

    def slot(self, fine: Array, negative: Array, tops: Array) -> Array:
        """Return the slot of numbers, in ascending order.

        Args:
            fine: their fine bins.
            negative: whether they are below 0.
            tops: the largest fine bins of positive and of negative numbers, -1 of none, along a new
                last axis, the others of lengths that broadcast.
        """
        more, zero = self.middle(tops)
        over = jnp.where(negative, tops[..., 1], tops[..., 0]) + 1
        below = ~fine  # end + below is end - 1 - fine
        place = over + below
        for level, above in enumerate(self.above()):
            if level:
                end = self.end(over, level, more)
                here = (above << more) + ((end + below) >> level)
                place = jnp.where(fine < end, here, place)
        place = jnp.where(negative, place, self.slots - 1 - place)
        return jnp.where((fine < 0) | (fine < self.end(over, LEVELS, more)), zero, place)

    def held(self, tops: Array) -> tuple[Array, Array, Array]:
        """Return of each slot, along a new last axis, what it holds.

        Returns:
            The least of its fine bins, -1 of the slot of 0; of how many it is made, as a power of
            two; and whether its numbers are negative.
        """
        more, zero = (v[..., None] for v in self.middle(tops))
        slot = lax.iota(np.int32, self.slots).reshape((1,) * (tops.ndim - 1) + (-1,))
        negative = slot < zero
        place = jnp.where(negative, slot, self.slots - 1 - slot)
        above = jnp.asarray(self.above())
        begins = above.reshape((1,) * place.ndim + (-1,)) << more[..., None]
        level = jnp.sum(place[..., None] >= begins, axis=-1, dtype=np.int32) - 1
        over = jnp.where(negative, tops[..., 1:], tops[..., :1]) + 1
        end = self.end(over, level, more)
        low = end - ((place - (above[level] << more) + 1) << level)
        return jnp.where(slot == zero, -1, low), level, negative

    def edges(self, tops: Array, dtype: DTypeLike) -> tuple[Array, Array]:
        """Return the ends of each slot, along a new last axis, the lower and the upper.

        Those of the slot of 0 are what lies around it: its numbers are between them.
        """
        low, level, negative = self.held(tops)
        around = self.end(tops + 1, LEVELS, self.middle(tops)[0][..., None])
        fine = [
            jnp.where(low < 0, around[..., 1:], jnp.where(negative, low + (1 << level), low)),
            jnp.where(low < 0, around[..., :1], jnp.where(negative, low, low + (1 << level))),
        ]
        value = self.value(jnp.stack(fine), dtype)
        signs = jnp.stack([negative | (low < 0), negative & (low >= 0)])
        lower, upper = jnp.where(signs, -value, value)
        return lower, upper

    def middle(self, tops: Array) -> tuple[Array, Array]:
        """Return 1 if there are no numbers of both signs, else 0; and the slot of 0."""
        none = tops < 0
        alone = jnp.where(none[..., 1], 0, self.slots - 1)
        more = none[..., 0] | none[..., 1]
        return more.astype(np.int32), jnp.where(more, alone, self.side)


def _within(xp: Any, rest: Any, octave: int) -> Any:
    # (4t - t²)/3 is nearly log2(1 + t); no product is added to anything, so that none is fused
    part = rest.astype(np.float32) * np.float32(2.0**-DIGITS)
    return xp.floor((np.float32(4) - part) * part * np.float32(octave / 3)).astype(np.int32)


@functools.lru_cache(maxsize=64)
def _edges(octave: int) -> np.ndarray[Any, Any]:
    """Return the first 16 bits of the mantissa of each fine bin of an octave."""
    rest = np.arange(1 << DIGITS, dtype=np.int32)
    return np.searchsorted(_within(np, rest, octave), np.arange(octave)).astype(np.int32)


def _worst(octave: int) -> float:
    edges = 1 + np.append(_edges(octave), 1 << DIGITS) * 2.0**-DIGITS
    return float(np.max((edges[1:] - edges[:-1]) / (edges[1:] + edges[:-1])))
