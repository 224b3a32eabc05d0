"""Words: floats and integers as integers times powers of two, each exactly, and their products.

>>> import jax.numpy as jnp
>>> (word,) = words(jnp.array([-0.75], jnp.float32), jnp.float32)
>>> [v.item() for v in word]  # -0.75 is -12582912 units of 2**-24, which is 2**125 of the smallest
[12582912, 125, True]
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike


class Format(NamedTuple):
    """How a float is stored, and how many bits of it a limb holds."""

    dtype: Any

    @property
    def bits(self) -> int:
        """Bits of the float, and of the integers that do its arithmetic: 32 or 64."""
        return jnp.finfo(self.dtype).bits

    @property
    def digits(self) -> int:
        """Bits of the significand: 24 or 53."""
        return jnp.finfo(self.dtype).nmant + 1

    @property
    def limb(self) -> int:
        """Bits of a limb; what the integer has above them counts carries."""
        return self.bits * 5 // 8

    @property
    def least(self) -> int:
        """The exponent of the smallest number above 0: the grid of one factor begins there."""
        return jnp.finfo(self.dtype).minexp - jnp.finfo(self.dtype).nmant

    @property
    def signed(self) -> Any:
        """The integer of as many bits."""
        return jnp.dtype(f"int{self.bits}")

    @property
    def unsigned(self) -> Any:
        """The unsigned integer of as many bits."""
        return jnp.dtype(f"uint{self.bits}")


class Word(NamedTuple):
    """Integers below 2**digits, each times a power of two on the grid, each with a sign."""

    size: Array
    position: Array
    negative: Array

    def keep(self, keep: Array | None) -> "Word":
        """Drop the elements that do not count."""
        return self if keep is None else self._replace(size=jnp.where(keep, self.size, 0))


def words(x: Array, dtype: DTypeLike) -> list[Word]:
    """Cut numbers into words, exactly: floats of this dtype into one, integers into one or two."""
    form = Format(jnp.dtype(dtype))
    if jnp.issubdtype(x.dtype, jnp.floating):
        pattern = lax.bitcast_convert_type(x.astype(dtype), form.unsigned)
        low = form.digits - 1
        field = (pattern >> low) & (2 ** (form.bits - 1 - low) - 1)
        size = (pattern & (2**low - 1)) | ((field > 0).astype(form.unsigned) << low)
        position = jnp.maximum(field, 1).astype(jnp.int32) - 1
        finite = field != 2 ** (form.bits - 1 - low) - 1  # inf and nan are no words
        return [Word(jnp.where(finite, size, 0), position, (pattern >> (form.bits - 1)) != 0)]
    if x.dtype == np.bool_:
        x = x.astype(jnp.int32)
    origin = jnp.full(x.shape, -form.least, jnp.int32)
    width, negative = 8 * x.dtype.itemsize, x < 0
    own = x.astype(jnp.dtype(f"uint{width}"))
    size = jnp.where(negative, -own, own).astype(form.unsigned)
    if width <= form.digits:
        return [Word(size, origin, negative)]
    half = width // 2
    high, low = size >> half, size & (2**half - 1)
    return [Word(high, origin + half, negative), Word(low, origin, negative)]


def product(a: Word, b: Word, form: Format) -> list[Word]:
    """Multiply exactly: the high and the low half of each product."""
    half = (form.digits + 1) // 2
    (ah, al), (bh, bl) = ((w.size >> half, w.size & (2**half - 1)) for w in (a, b))
    mid = ah * bl + al * bh
    low = al * bl + ((mid & (2**half - 1)) << half)
    high = ah * bh + (mid >> half) + (low >> (2 * half))
    place, negative = a.position + b.position, a.negative ^ b.negative
    return [
        Word(high, place + 2 * half, negative),
        Word(low & (2 ** (2 * half) - 1), place, negative),
    ]
