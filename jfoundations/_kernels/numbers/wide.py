"""Floats with an exponent of their own, an int32: no weight, square or share leaves their range.

Every number is in a unit of a power of two of its own, so what is computed from them is the same
to the bit at every scale, and weights that fade for ever stay weights.

>>> import jax.numpy as jnp
>>> x = Wide.of(jnp.float32(3e38))
>>> float((x * x * x / (x * x)).value) == float(jnp.float32(3e38))
True
"""

from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..._core.pytrees import pytree
from ..._core.rounding import divide, protect
from .units import binary_unit, exponent_of, inverse_unit, power_of_two

LOWEST = np.int32(-(2**26))  # the exponent of a zero that is nothing but zero
FAR = np.int32(64)  # how far a zero's exponent may lie above that of what it is added to


@pytree
class Wide:
    """mantissa · 2**exponent; the mantissa is 0, no number, or of a size near 1.

    A zero has an exponent too, that of the numbers whose difference it is: its derivative is in
    that unit.
    """

    mantissa: Array
    exponent: Array

    @staticmethod
    def of(x: Array) -> "Wide":
        """Return floats as they are, but wide."""
        unit = size_unit(jnp.abs(x))
        return Wide(x * inverse_unit(unit), exponent_of(unit))

    @staticmethod
    def zero(shape: Any, dtype: Any) -> "Wide":
        """Return zeros that change nothing they are added to."""
        return Wide(jnp.zeros(shape, dtype), jnp.full(shape, LOWEST))

    @property
    def value(self) -> Array:
        """The number as a float: infinite, or 0, where it has left its type's range."""
        return self.over(np.int32(0))

    def over(self, exponent: ArrayLike) -> Array:
        """The number as a float, in units of 2**exponent."""
        dtype = self.mantissa.dtype
        most = 4 * jnp.finfo(dtype).maxexp
        exponent = jnp.clip(self.exponent - exponent, -most, most)
        # by two factors: the mantissa's derivative may be as large as one alone is small
        half = exponent >> 1
        one = self.mantissa * power_of_two(half, dtype)
        return one * power_of_two(exponent - half, dtype)

    def __neg__(self) -> "Wide":
        return Wide(-self.mantissa, self.exponent)

    def __mul__(self, other: "Wide") -> "Wide":
        return Wide(protect(self.mantissa * other.mantissa), self.exponent + other.exponent)

    def __truediv__(self, other: "Wide") -> "Wide":
        """Divide; by 0 as by a power of two."""
        divisor = jnp.where(other.mantissa == 0, 1, other.mantissa)
        return Wide(divide(self.mantissa, divisor), self.exponent - other.exponent)

    def tidy(self) -> "Wide":
        """Bring the mantissa near 1, and the exponent into a range in which products stay."""
        unit = binary_unit(jnp.where(self.mantissa == 0, 1, jnp.abs(self.mantissa)))
        exponent = jnp.clip(self.exponent + exponent_of(unit), LOWEST, -LOWEST)
        return Wide(self.mantissa * inverse_unit(unit), exponent)


def total(*terms: Wide) -> Wide:
    """Add, from the left; tidy."""
    top = reduce(jnp.maximum, (t.exponent for t in terms))
    each = [jnp.where(t.mantissa == 0, LOWEST, t.exponent) for t in terms]
    seen = reduce(jnp.maximum, each)
    # a zero's derivative stays in range
    unit = jnp.where(seen == LOWEST, top, jnp.maximum(seen, top - FAR))
    return Wide(reduce(jnp.add, (t.over(unit) for t in terms)), unit).tidy()


def size_unit(size: Array) -> Array:
    """Return the unit of a size; for 0 a small one, half way to the end of the range.

    From there a derivative reaches numbers near 1 and small ones by factors in the range.
    """
    return jnp.where(size == 0, 2.0 ** (jnp.finfo(size.dtype).minexp // 2), binary_unit(size))


def choose(condition: Array, yes: Any, no: Any) -> Any:
    """Return one of two wide numbers."""
    mantissa = jnp.where(condition, yes.mantissa, no.mantissa)
    return Wide(mantissa, jnp.where(condition, yes.exponent, no.exponent))
