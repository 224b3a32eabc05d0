"""The memory of a stretch of neighbours, which windows and weights that fade are made of.

A memory says how much its elements weigh, their means (a data value and an offset from it) and
variances. Two stretches, one after the other, merge to one, which has seen its own elements and no
other. Differences are taken of data values, so that constants and exact shifts leave no rounding.

Source: Chan, Golub and LeVeque (1983).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from ..._core.pytrees import pytree
from ..._core.rounding import divide, protect
from ..numbers.units import inverse_unit, unit_of
from ..sample.arguments import accumulator
from ..sample.weights import Probability, Reliability, Weights
from ..sums.blocks import difference
from .moments import Moments, times


def in_range(x: Array, weights: Array | None, power: int) -> tuple[Array, Any]:
    """Return data of which powers and differences are in range, and their unit, a power of two.

    Integers are left as they are, in no unit. The first power is so of any data in quarters: no two
    data values are further apart than the largest number. For others the largest size along axis 0
    is brought near the top of the range, so that powers of what is far smaller stay in it too:
    squares of float32 down to 2**-110 of the largest.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x, None
    if power == 1:
        return x * 0.25, 4.0
    info = jnp.finfo(x.dtype)
    top = info.maxexp // power - 12
    unit = unit_of(x, None if weights is None else weights != 0, (0,))
    unit = jnp.maximum(unit, 2.0 ** (info.minexp + top))  # that of what is returned is a number too
    return protect(x * inverse_unit(unit)) * 2.0**top, unit * 2.0**-top


@pytree
class Stretch:
    """What is known of the elements of stretches; arrays, stretches along axis 0.

    Attributes:
        weight: the sum W of their weights; a plain number, their count, where each weighs 1.
        pivot: the last data value that counts; floats, or integers as given.
        offset: mean − pivot. Where no power is asked for, what is infinite or nan is in here.
        power: the variance, over W; nan where something is no number. None if not asked for.
        cross: the covariance, where pairs are asked for: as many as there are of one variable.
        pairs: the sum of wᵢwⱼ over i ≠ j, over W²; None where no denominator needs it.
        squares: the sum of wᵢ², over W²; None where no size needs it.
        count: how many weights are not 0, a float; None where no denominator needs it.
    """

    weight: Any
    pivot: Array
    offset: Array
    power: Any = None
    cross: Any = None
    pairs: Any = None
    squares: Any = None
    count: Array | None = None


def elements(
    x: Array,
    weights: Array | None,
    kind: Weights | None = None,
    power: bool = False,
    cross: bool = False,
) -> Stretch:
    """Return the memories of single elements.

    Args:
        x: data in range, one variable or two, as `along` returns them.
        weights: floats of that shape, 0 for what does not count; None where each weighs 1.
        kind: the kind of the weights, which decides what is divided by.
        power: whether the variance is wanted.
        cross: whether there are two variables, of which the covariance is wanted.
    """
    dtype = accumulator(x.dtype)
    zero = jnp.zeros(x.shape, dtype)
    if weights is not None:
        x = jnp.where(weights == 0, jnp.zeros_like(x), x)
    offset = known = lax.stop_gradient(x.astype(dtype)) * 0  # nan of what is no number
    if jnp.issubdtype(x.dtype, jnp.inexact):
        finite = jnp.isfinite(x)
        offset = zero if power or cross else lax.stop_gradient(jnp.where(finite, zero, x))
        x = jnp.where(finite, x, zero)
    both = jnp.add(*jnp.split(known, 2)) if cross else None
    made = Stretch(1.0, x, offset, known if power else None, both)
    if weights is None:
        return made
    return replace(
        made,
        weight=weights,
        pairs=zero if isinstance(kind, Reliability) else None,
        squares=zero + 1 if isinstance(kind, Reliability) else None,
        count=(weights != 0).astype(zero.dtype) if isinstance(kind, Probability) else None,
    )


def merge(a: Stretch, b: Stretch, fade: Array | None = None) -> Stretch:
    """Join a stretch and the one after it; an empty one changes no bit of the other.

    Args:
        a: the earlier one.
        b: the later one.
        fade: what the later one's length leaves of earlier weights, a scalar; None for all.
    """
    before, empty, no_more = a.weight, None, None
    if isinstance(before, Array):
        empty, no_more = before == 0, b.weight == 0
        if fade is not None:
            before = _faded(before, fade, no_more)
            a = _forgotten(a, before == 0)
    weight = before + b.weight
    far, near = a.offset - difference(b.pivot, a.pivot), b.offset  # both from the new pivot
    gap, pivot = near - far, b.pivot
    if no_more is None or empty is None:
        old, new = (jnp.full_like(near, w / weight) for w in (before, b.weight))
        offset = old * far + new * near
        even = before == b.weight
    else:
        whole = jnp.where(weight == 0, jnp.ones_like(weight), weight)
        old, new = _share(before, whole), _share(b.weight, whole)
        pivot = jnp.where(no_more, a.pivot, pivot)
        offset = jnp.where(empty, near, old * far + new * near)
        offset = jnp.where(no_more, a.offset, offset)
        gap = jnp.where(empty | no_more, jnp.zeros_like(gap), gap)
        even = False
    return Stretch(
        weight,
        pivot,
        offset,
        None if a.power is None else _joined(a.power, b.power, gap * gap, old, new, even),
        _cross(a.cross, b.cross, gap, old, new, even),
        None if a.pairs is None else _squared(a.pairs, b.pairs, old, new) + 2 * old * new,
        None if a.squares is None else _squared(a.squares, b.squares, old, new),
        None if a.count is None or b.count is None else a.count + b.count,
    )


@jax.custom_jvp
def _share(part: Array, whole: Array) -> Array:
    """Divide; the slope squares nothing: the whole may be the smallest number."""
    return part / whole


@_share.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    share = _share(*primals)
    return share, (tangents[0] - share * tangents[1]) / primals[1]


def _faded(weight: Array, fade: Array, no_more: Array) -> Array:
    """Return what is left of a weight: never nothing of something, but by a fade of 0.

    And not by that where no element has come: time alone takes no weight away for good.
    """
    tiny = jnp.full_like(weight, jnp.finfo(weight.dtype).tiny)
    rest = jnp.where(weight <= tiny, jnp.zeros_like(weight), weight * fade)
    left = (weight > 0) & (no_more | (fade > 0))
    return jnp.where(left & (rest < tiny), tiny, rest)


def _forgotten(a: Stretch, gone: Array) -> Stretch:
    """Return a memory without what is no number where its weight has faded to 0."""

    def forget(v: Array) -> Array:
        return jnp.where(gone & ~jnp.isfinite(v), jnp.zeros_like(v), v)

    return replace(a, offset=forget(a.offset), power=None if a.power is None else forget(a.power))


def _squared(a: Array, b: Array, old: Array, new: Array) -> Array:
    return old * old * a + new * new * b


def _cross(a: Any, b: Any, gap: Array, old: Array, new: Array, even: bool) -> Array | None:
    if a is None:
        return None
    n = len(a)
    return _joined(a, b, gap[:n] * gap[-n:], old[:n], new[:n], even)


def _joined(a: Array, b: Array, square: Array, old: Array, new: Array, even: bool) -> Array:
    # V = (Wa/W) Va + (Wb/W) Vb + (Wa/W) (Wb/W) D²
    return old * (a + (new * square if even else protect(new * square))) + new * b


def moments(memory: Stretch, units: Sequence[Any]) -> Moments:
    """Return what formulas are made of, of data in units; of all but means over the weight.

    Sums are kept over the weight, so that it is 1 there; 0 of nothing and of negative weights.
    """
    powers = [] if memory.power is None else [memory.power]
    if memory.cross is not None:
        n = len(memory.cross)
        both = [None] * 2 if memory.power is None else [memory.power[:n], memory.power[-n:]]
        powers = [*both, memory.cross]
        memory = jax.tree.map(lambda v: v[:n] if np.ndim(v) else v, memory)
    offset, weight = memory.offset, memory.weight
    some = lax.full_like(offset, 1)
    if isinstance(weight, Array):
        some = (weight > 0).astype(offset.dtype)
    mean = times(memory.pivot.astype(offset.dtype) + offset, units[0]), jnp.zeros_like(offset)
    free, size = partial(_free, memory), partial(_size, memory)
    return Moments(some, [mean], powers, units, free, size)


def _free(memory: Stretch, correction: ArrayLike) -> Array:
    """Return what a kind leaves of the weight to divide by, over the weight."""
    if memory.pairs is not None:  # W − c·Σw²/W; 1 − c + c·p cancels nothing where c is 1
        return 1 - correction + correction * memory.pairs
    if memory.count is not None:
        count = jnp.maximum(memory.count, 1)
        return (count - correction) / count
    weight = memory.weight
    whole = jnp.where(weight > 0, weight, 1) if isinstance(weight, Array) else weight
    return jnp.broadcast_to((weight - correction) / whole, memory.offset.shape)


def _size(memory: Stretch) -> Array:
    """Return how many elements the weights stand for: W, Kish's W²/Σw², or the count."""
    if memory.squares is not None:
        return divide(jnp.ones_like(memory.squares), memory.squares)
    number = memory.weight if memory.count is None else memory.count
    return jnp.broadcast_to(jnp.asarray(number, memory.offset.dtype), memory.offset.shape)
