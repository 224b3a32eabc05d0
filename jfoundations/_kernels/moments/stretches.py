"""The memory of a stretch of neighbours, and of every stretch from the first to each of them.

A memory says all that a moving window or a fading weight needs: the weight, means in two words (a
data value and an offset), and central moments over the weight, which fading does not change. All
but the data values are wide numbers (`wide`), so that every stretch is in units of its own.

Source: Chan, Golub and LeVeque (1983) for the merge; Blelloch (1990), "Prefix sums and their
applications", for the scan within rows and then over rows.
"""

from dataclasses import replace
from functools import partial, reduce
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from ..._core.pytrees import pytree
from ..._core.types import PyTree
from ..numbers.units import exponent_of, inverse_unit, power_of_two
from ..numbers.wide import Wide, choose, size_unit, total
from ..sample.arguments import REAL, Data, Nan, Numbers, accumulator, check, join
from ..sample.weights import Probability, Reliability, Weights
from ..sums.blocks import difference, widen
from .moments import coefficient

FADED = np.int32(4096)  # 2**-4096: of no account beside any weight, and still a weight


def check_along(
    who: str,
    named: dict[str, Any],
    axis: Any,
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: str,
) -> tuple[Data, int]:
    """Return checked data, which are real, and the one axis they are gone through along."""
    if axis is None or isinstance(axis, tuple):
        raise TypeError(f"{who}: axis is {axis!r}; one int is needed")
    data, (place,) = check(who, named, axis, weights, where, nan, real=REAL)
    return data, place


def strength(data: Data, nan: Nan) -> Array:
    """Return how much each element counts: floats in the dtype of the memory, 1 without weights."""
    dtype = accumulator(reduce(jnp.promote_types, (v.dtype for v in data.values)))
    joined = join(data, nan)
    return jnp.ones(data.values[0].shape, dtype) if joined is None else joined.astype(dtype)


@pytree
class Variable:
    """The mean of one variable: pivot + offset, a data value and a number; and what is no number.

    Attributes:
        pivot: the last data value that counts; floats, or integers as they were given.
        offset: mean − pivot.
        special: the sum of what was infinite or nan, else 0; neither pivot nor offset knows of it.
    """

    pivot: Array
    offset: Wide
    special: Array


@pytree
class Stretch:
    """What is known of the elements of a stretch.

    Attributes:
        weight: the sum W of their weights.
        pairs: the sum of wᵢwⱼ over i ≠ j, over W²; None where no denominator needs it.
        count: how many weights are not 0; None where no denominator needs it.
        variables: one or two.
        powers: central moments over W: none; that of both variables (of x alone its variance); or
            those of x, of y and of both.
        fade: what the stretch's length leaves of earlier weights; None if they do not fade.
    """

    weight: Wide
    pairs: Wide | None
    count: Array | None
    variables: tuple[Variable, ...]
    powers: tuple[Wide, ...]
    fade: Wide | None


def elements(
    values: tuple[Array, ...],
    weights: Array,
    kind: Any = None,
    powers: int = 0,
    fade: Any = None,
) -> Stretch:
    """Return the memories of single elements.

    Args:
        values: arrays of one shape.
        weights: floats of that shape, in the dtype of the memory; 0 for what does not count.
        kind: the kind of the weights, which decides what is divided by.
        powers: how many central moments are wanted: 0, 1 or 3.
        fade: None, or what a step leaves of earlier weights, a scalar in [0, 1).
    """
    shape, dtype = weights.shape, weights.dtype
    zero = Wide.zero(shape, dtype)
    weight = choose(weights == 0, zero, Wide.of(weights))
    if fade is not None:
        fade = Wide.of(jnp.broadcast_to(jnp.asarray(fade, dtype), shape))
        # time that passes without an element takes nothing's weight away for good
        gap = (weights == 0) & (fade.mantissa == 0)
        fade = choose(gap, Wide(jnp.ones_like(weights), jnp.full_like(fade.exponent, -FADED)), fade)
    return Stretch(
        weight,
        zero if isinstance(kind, Reliability) else None,
        (weights != 0).astype(np.int32) if isinstance(kind, Probability) else None,
        tuple(_variable(widen(x), weights) for x in values),
        (zero,) * powers,
        fade,
    )


def _variable(x: Array, weights: Array) -> Variable:
    zero = Wide.zero(x.shape, weights.dtype)
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return Variable(x, zero, zero.mantissa)
    x = jnp.where(weights != 0, x.astype(weights.dtype), 0)
    finite = jnp.isfinite(x)
    return Variable(jnp.where(finite, x, 0), zero, lax.stop_gradient(jnp.where(finite, 0, x)))


def merge(a: Stretch, b: Stretch) -> Stretch:
    """Join a stretch and the one after it; an empty one changes no bit of the other."""
    before = a.weight if b.fade is None else (a.weight * b.fade).tidy()
    weight = total(before, b.weight)
    old, new = before / weight, b.weight / weight  # their shares of the weight
    both = old * new
    # is it empty? What has faded to nothing is not: a slower decay would show it
    none, first, second = (v.mantissa == 0 for v in (a.weight, before, b.weight))
    gaps = [
        choose(none | second, Wide.zero(first.shape, old.mantissa.dtype), _gap(v, w))
        for v, w in zip(a.variables, b.variables, strict=True)
    ]

    def moments(v: Wide, w: Wide, product: Wide) -> Wide:
        # V = (Wa/W) Va + (Wb/W) Vb + (Wa/W) (Wb/W) D²
        return total(old * v, new * w, both * product)

    pairs = None
    if a.pairs is not None and b.pairs is not None:
        pairs = total(old * old * a.pairs, new * new * b.pairs, both, both)
    which = ((0, 0), (-1, -1), (0, -1))[3 - len(a.powers) :]
    products = [gaps[i] * gaps[j] for i, j in which]
    return Stretch(
        weight,
        pairs,
        None if a.count is None or b.count is None else a.count + b.count,
        tuple(
            Variable(
                jnp.where(second, v.pivot, w.pivot),
                choose(second, v.offset, total(w.offset, -(gap * old))),
                jnp.where(first, 0, v.special) + w.special,
            )
            for v, w, gap in zip(a.variables, b.variables, gaps, strict=True)
        ),
        tuple(map(moments, a.powers, b.powers, products)),
        None if a.fade is None or b.fade is None else (a.fade * b.fade).tidy(),
    )


def _gap(a: Variable, b: Variable) -> Wide:
    """Return the mean of b less that of a."""
    if jnp.issubdtype(a.pivot.dtype, jnp.inexact):
        unit = size_unit(jnp.maximum(jnp.abs(a.pivot), jnp.abs(b.pivot)))
        inverse = inverse_unit(unit)
        between = Wide(b.pivot * inverse - a.pivot * inverse, exponent_of(unit))
    else:
        between = Wide.of(difference(b.pivot, a.pivot).astype(a.special.dtype))
    return total(between, b.offset, -a.offset)


def prefixes(memory: Stretch) -> Stretch:
    """Return the memories of the stretches from the first element to each, along axis 0.

    About √n rows are gone through side by side, then joined one after another, each at once, in a
    program that does not grow with n.
    """
    n = memory.weight.mantissa.shape[0]
    size = isqrt(n - 1) + 1
    rows = -(-n // size)

    def cut(leaf: Array) -> Array:
        return leaf.reshape(rows, size, *leaf.shape[1:]).swapaxes(0, 1)

    def turn(leaf: Array) -> Array:
        return jnp.swapaxes(leaf, 0, 1)

    @partial(jax.checkpoint, prevent_cse=False)
    def take(carry: Stretch, part: Stretch) -> tuple[Stretch, Stretch]:
        both = merge(carry, part)
        return both, both

    @partial(jax.checkpoint, prevent_cse=False)
    def join(carry: Stretch, row: Stretch) -> tuple[Stretch, Stretch]:
        both = merge(carry, row)
        return jax.tree.map(lambda leaf: leaf[-1:], both), both

    parts = jax.tree.map(cut, padded(memory, rows * size))
    within = jax.tree.map(turn, lax.scan(take, _nothing(parts), parts)[1])
    first = jax.tree.map(lambda leaf: leaf[None], _nothing(memory))
    whole = lax.scan(join, first, within)[1]
    return jax.tree.map(lambda leaf: leaf.reshape(rows * size, *leaf.shape[2:])[:n], whole)


def padded(memory: Stretch, n: int) -> Stretch:
    """Return n memories along axis 0, those that were missing of nothing."""

    def pad(leaf: Array, nothing: Array) -> Array:
        more = jnp.broadcast_to(nothing, (n - leaf.shape[0], *nothing.shape))
        return jnp.concatenate([leaf, more])

    return jax.tree.map(pad, memory, _nothing(memory))


def _nothing(memory: Stretch) -> Stretch:
    """Return memories of no elements, in the shape of an element along axis 0."""

    def empty(leaf: PyTree) -> Any:
        if isinstance(leaf, Wide):
            return Wide.zero(leaf.mantissa.shape[1:], leaf.mantissa.dtype)
        return jnp.zeros(leaf.shape[1:], leaf.dtype)

    none = jax.tree.map(empty, memory, is_leaf=lambda leaf: isinstance(leaf, Wide))
    if memory.fade is None:
        return none
    return replace(none, fade=Wide.of(jnp.ones_like(none.fade.mantissa)))  # its length is 0


def mean(memory: Stretch) -> Array:
    """Return the mean; nan of no elements."""
    (v,) = memory.variables
    dtype, weight = v.special.dtype, memory.weight.mantissa
    value = total(Wide.of(v.pivot.astype(dtype)), v.offset).value + v.special
    return jnp.where((weight == 0) | jnp.isnan(weight), jnp.nan, value)


def moment(memory: Stretch, kind: Any, correction: ArrayLike) -> Array:
    """Return the last central moment, over what a kind of weights leaves to divide by."""
    weight = memory.weight
    free = _free(memory, kind, Wide.of(jnp.asarray(correction, weight.mantissa.dtype)))
    known = (free.mantissa > 0) & (weight.mantissa != 0) & finite(memory)
    return jnp.where(known, (memory.powers[-1] / free).value, jnp.nan)


def correlation(memory: Stretch) -> Array:
    """Return Pearson's correlation; nan of a constant."""
    xx, yy, xy = memory.powers
    dtype = xx.mantissa.dtype
    # in units of the deviations, near enough: whole powers of two, so a square's is an even one
    x, y = (v.exponent >> 1 for v in (xx, yy))
    mxx, myy, cxy = (
        v.mantissa * power_of_two(v.exponent - unit, dtype)
        for v, unit in ((xx, 2 * x), (yy, 2 * y), (xy, x + y))
    )
    return jnp.where(finite(memory), coefficient(mxx, myy, cxy), jnp.nan)


def finite(memory: Stretch) -> Array:
    """Tell where all elements were finite, and no weight was negative."""
    special = sum(jnp.abs(v.special) for v in memory.variables)
    return (special == 0) & ~jnp.isnan(memory.weight.mantissa)


def _free(memory: Stretch, kind: Any, correction: Wide) -> Wide:
    """Return what a kind leaves of the weight to divide by, over the weight."""
    weight = memory.weight
    one = Wide.of(jnp.ones((), weight.mantissa.dtype))
    if memory.pairs is not None:  # W − c·Σw²/W; 1 − c + c·p cancels nothing where c is 1
        rest = total(one, -correction)
        nothing = Wide.zero((), weight.mantissa.dtype)
        rest = choose(rest.mantissa == 0, nothing, rest)
        return total(rest, correction * memory.pairs)
    if memory.count is not None:
        count = Wide.of(memory.count.astype(weight.mantissa.dtype))
        return total(count, -correction) / count
    return total(weight, -correction) / weight
