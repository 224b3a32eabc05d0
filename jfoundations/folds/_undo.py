"""The memory of moments without a part that was merged into it.

>>> import jfoundations as jf
>>> var, (old, new) = jf.folds.var(), jnp.array([[1.0, 9.0], [2.0, 4.0]])
>>> both = var.merge(var.block(old), var.block(new))
>>> float(var.extract(var.unmerge(both, var.block(old))))
1.0
"""

import jax
import jax.numpy as jnp

from .._kernels.numbers.units import binary_unit
from ._memory import Memory, merge
from ._words import Words, choose, is_no_part


def unmerge(whole: Memory, part: Memory) -> Memory:
    """Take the memory of a part out of that of the whole, into which it was merged.

    With w the weight of the whole over that of the rest and u the unit roundoff, a mean is off by
    4 u w times the range of the elements at most, and a sum of squares by 16 u w times that of the
    whole; sums of third and fourth powers by 32 u w² times those, of absolute values, of the whole.

    Where all is taken out, what is left is the memory of no elements. Where the part has seen more
    than the whole, or both an infinity, it is nan.
    """
    rest = merge(whole, part, -1)
    none = ~rest.weight.count.positive()
    wrong = is_no_part(whole.weight.count, part.weight.count)

    def left(x: jax.Array) -> jax.Array:
        return jnp.where(none, 0, jnp.where(wrong, jnp.nan, x))

    def nonnegative(power: Words) -> Words:
        return choose(power.value < 0, Words.of(jnp.zeros_like(power.high)), power)

    offsets, powers = jax.tree.map(left, (rest.offsets, rest.powers))
    pivots = tuple(jnp.where(none, 0, p) for p in rest.pivots)
    units = tuple(jnp.where(none, binary_unit(jnp.zeros_like(u)), u) for u in rest.units)
    squares = (0, 1) if len(units) == 2 else (0, 2)
    powers = tuple(nonnegative(p) if k in squares else p for k, p in enumerate(powers))
    return Memory(rest.weight, pivots, offsets, units, powers)
