"""The memory of a stretch of neighbours: what windows and weights that fade are made of.

A memory says how much its elements weigh, their means (a data value and an offset from it) and
their central moments over the weight. Two stretches, one after the other, merge to one; whatever is
made so has seen its own elements and no other.

`windows` doubles: the stretches of 2m neighbours are those of m, merged with themselves m places
on. `fading` scans: about √n rows side by side, then from row to row.

Source: Chan, Golub and LeVeque (1983) for the merge, Pébay (2008) for its third and fourth moments;
Blelloch (1990), "Prefix sums and their applications", for scans within rows and over rows.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from ..._core.pytrees import pytree
from ..._core.rounding import divide, protect
from ..._core.types import PyTree
from ..numbers.units import inverse_unit, unit_of
from ..sample.arguments import REAL, Data, Nan, Numbers, accumulator, check, join
from ..sample.weights import Probability, Reliability, Weights
from ..sums.blocks import difference, widen
from .formulas import alike, coefficient


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


def along(data: Data, nan: Nan, axis: int) -> tuple[Array, Array | None]:
    """Return the data with an axis in front, and how much each element counts.

    Two variables follow each other in one array, in one dtype: stretches that reach from one into
    the other come to nothing. Counts are floats of that shape, or None where each is 1.
    """
    weights = join(data, nan)
    x = jnp.concatenate([jnp.moveaxis(widen(v), axis, 0) for v in alike(data.values)])
    if weights is not None:
        weights = jnp.moveaxis(weights, axis, 0).astype(accumulator(x.dtype))
        weights = jnp.concatenate([weights] * len(data.values))
    return x, weights


def in_range(x: Array, weights: Array | None, power: int, variables: int = 1) -> tuple[Array, Any]:
    """Return data of which powers and differences are in range, and the unit they are in.

    Integers are left as they are. The first power is so of any data in quarters: no two data values
    are further apart than the largest number. For others the largest size of a variable is brought
    near the top of the range, so that powers of what is far smaller stay in it too: squares of
    float32 down to 2**-110 of the largest.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x, 1.0
    if power == 1:
        return x * 0.25, 4.0
    top = 2.0 ** (jnp.finfo(x.dtype).maxexp // power - 12)
    parts = (variables, -1, *x.shape[1:])
    keep = None if weights is None else weights.reshape(parts) != 0
    unit = unit_of(x.reshape(parts), keep, (1,))
    return (x.reshape(parts) * inverse_unit(unit) * top).reshape(x.shape), unit[0] / top


@pytree
class Stretch:
    """What is known of the elements of stretches; arrays, stretches along axis 0.

    Attributes:
        weight: the sum W of their weights; a plain number, their count, where each weighs 1.
        pivot: the last data value that counts; floats, or integers as given.
        offset: mean − pivot. Where no power is asked for, what is infinite or nan is in here.
        powers: central moments over W, of orders 2, 3 and 4; nan where something is no number.
        cross: the covariance, where pairs are asked for: as many as there are of one variable.
        pairs: the sum of wᵢwⱼ over i ≠ j, over W²; None where no denominator needs it.
        squares: the sum of wᵢ², over W²; None where no size needs it.
        count: how many weights are not 0, a float; None where no denominator needs it.
    """

    weight: Any
    pivot: Array
    offset: Array
    powers: tuple[Array, ...] = ()
    cross: Array | None = None
    pairs: Array | None = None
    squares: Array | None = None
    count: Array | None = None


def elements(
    x: Array,
    weights: Array | None,
    kind: Weights | None = None,
    powers: int = 0,
    cross: bool = False,
    sized: bool = False,
) -> Stretch:
    """Return the memories of single elements.

    Args:
        x: data in range, one variable or two, as `along` returns them.
        weights: floats of that shape, 0 for what does not count; None where each weighs 1.
        kind: the kind of the weights, which decides what is divided by.
        powers: how many powers of deviations are wanted.
        cross: whether there are two variables, of which the covariance is wanted.
        sized: whether it is asked how many elements the weights stand for.
    """
    dtype = accumulator(x.dtype)
    zero = jnp.zeros(x.shape, dtype)
    if weights is not None:
        x = jnp.where(weights == 0, jnp.zeros_like(x), x)
    offset = known = lax.stop_gradient(x.astype(dtype)) * 0  # nan of what is no number
    if jnp.issubdtype(x.dtype, jnp.inexact):
        finite = jnp.isfinite(x)
        offset = zero if powers or cross else lax.stop_gradient(jnp.where(finite, zero, x))
        x = jnp.where(finite, x, zero)
    both = jnp.add(*jnp.split(known, 2)) if cross else None
    made = Stretch(1.0, x, offset, (known,) * powers, both)
    if weights is None:
        return made
    return replace(
        made,
        weight=weights,
        pairs=zero if isinstance(kind, Reliability) else None,
        squares=zero + 1 if sized and isinstance(kind, Reliability) else None,
        count=(weights != 0).astype(zero.dtype) if isinstance(kind, Probability) else None,
    )


def merge(a: Stretch, b: Stretch, fade: Array | None = None) -> Stretch:
    """Join a stretch and the one after it; an empty one changes no bit of the other.

    Args:
        a: the earlier one.
        b: the later one.
        fade: what the later one's length leaves of earlier weights, a scalar; None for all.
    """
    before, no_more = a.weight, None
    if isinstance(before, Array):
        empty, no_more = before == 0, b.weight == 0
        if fade is not None:
            before = _faded(before, fade, no_more)
            a = _forgotten(a, before == 0)
    weight = before + b.weight
    far, near = a.offset - difference(b.pivot, a.pivot), b.offset  # both from the new pivot
    gap, pivot = near - far, b.pivot
    if no_more is None:
        old, new = (jnp.full_like(near, w / weight) for w in (before, b.weight))
        offset = old * far + new * near
    else:
        whole = jnp.where(weight == 0, jnp.ones_like(weight), weight)
        old, new = _share(before, whole), _share(b.weight, whole)
        pivot = jnp.where(no_more, a.pivot, pivot)
        offset = jnp.where(empty, near, old * far + new * near)
        offset = jnp.where(no_more, a.offset, offset)
        gap = jnp.where(empty | no_more, jnp.zeros_like(gap), gap)
    return Stretch(
        weight,
        pivot,
        offset,
        _powers(a.powers, b.powers, gap, old, new),
        _cross(a.cross, b.cross, gap, old, new),
        None if a.pairs is None else _squared(a.pairs, b.pairs, old, new) + 2 * old * new,
        None if a.squares is None else _squared(a.squares, b.squares, old, new),
        None if a.count is None else a.count + b.count,
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

    return replace(a, offset=forget(a.offset), powers=tuple(map(forget, a.powers)))


def _squared(a: Array, b: Array, old: Array, new: Array) -> Array:
    return old * old * a + new * new * b


def _cross(a: Any, b: Any, gap: Array, old: Array, new: Array) -> Array | None:
    if a is None:
        return None
    n = len(a)
    return _joined(a, b, gap[:n] * gap[-n:], old[:n], new[:n])


def _joined(a: Array, b: Array, square: Array, old: Array, new: Array) -> Array:
    # V = (Wa/W) Va + (Wb/W) Vb + (Wa/W) (Wb/W) D²
    return old * (a + protect(new * square)) + new * b


def _powers(a: Any, b: Any, gap: Array, old: Array, new: Array) -> tuple[Array, ...]:
    """Return central moments over the weight, the means being a gap apart."""
    if not a:
        return ()
    square = gap * gap
    found = [_joined(a[0], b[0], square, old, new)]
    if len(a) > 1:
        both = old * new
        third = both * gap * (3 * (b[0] - a[0]) + (old - new) * square)
        found.append(old * a[1] + new * b[1] + third)
    if len(a) > 2:
        inner = 6 * (old * b[0] + new * a[0]) + (1 - 3 * both) * square
        fourth = both * (4 * gap * (b[1] - a[1]) + square * inner)
        found.append(old * a[2] + new * b[2] + fourth)
    return tuple(found)


def windows(memory: PyTree, window: int, merge: Callable[[Any, Any], Any]) -> PyTree:
    """Merge every `window` neighbours along axis 0, of anything that merges with what follows it.

    The binary digits of the window say when to double and when to take in one more: at most
    2 log₂(window) merges of whole arrays, in a program as long as these.
    """
    memory = _written_down(memory)
    whole, size, merges = memory, 1, 0

    def taken(part: PyTree, one: PyTree, size: int) -> PyTree:
        nonlocal merges
        merges += 1
        # what has fewer than size neighbours after it goes
        head = jax.tree.map(lambda v, w: v[: len(w) - size] if np.ndim(v) else v, part, one)
        tail = jax.tree.map(lambda v, w: w[size : size + len(v)] if np.ndim(v) else w, head, one)
        both = merge(head, tail)
        return _written_down(both) if merges % 3 == 0 else both

    for digit in bin(window)[3:]:
        whole, size = taken(whole, whole, size), 2 * size
        if digit == "1":
            whole, size = taken(whole, memory, size), size + 1
    return whole


def _written_down(memory: PyTree) -> PyTree:
    """Return arrays as they are, but as ones that compilers compute once.

    XLA computes a cheap expression anew for each of its users: through k levels of doubling 2**k
    times. It does so for no division, even one by 1, if it does not know it to be 1: variances of
    windows of 50 of 10**6 numbers take 4 ms so, 60 ms without; each third level is best.
    """
    first = next(v for v in jax.tree.leaves(memory) if np.ndim(v))
    one = jnp.ones((), first.dtype)
    ones = lax.clamp(one, first, one)
    return jax.tree.map(
        lambda v: lax.div(v, ones[: len(v)].astype(v.dtype)) if np.ndim(v) else v, memory
    )


def fading(
    x: Array,
    weights: Array | None,
    fade: Array,
    extract: Callable[[Stretch], Array],
    **wanted: Any,
) -> Array:
    """Return what is extracted of the elements from the first to each, weights fading, on axis 0.

    About √n rows are gone through side by side, to their ends; these are joined one after another;
    then the rows are gone through again, each from what was before it. The program does not grow
    with n, and no memory is held but those at hand. What is `wanted` is told to `elements`.
    """
    n, *rest = x.shape
    size = isqrt(n - 1) + 1
    rows = -(-n // size)
    if weights is None:
        weights = jnp.ones(x.shape, accumulator(x.dtype))

    def cut(v: Array) -> Array:  # (size, rows, ...)
        v = jnp.concatenate([v, jnp.zeros((rows * size - n, *rest), v.dtype)])
        return jnp.swapaxes(v.reshape(rows, size, *rest), 0, 1)

    def of(element: tuple[Array, Array]) -> Stretch:
        return elements(*element, **wanted)

    def nothing(like: tuple[Array, Array]) -> Stretch:
        shapes = jax.eval_shape(of, like)
        return jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), shapes)

    @jax.jit  # one function of the program, which is called twice
    @partial(jax.checkpoint, prevent_cse=False)
    def take(before: Stretch, element: tuple[Array, Array], fade: Array) -> Stretch:
        return merge(before, of(element), fade)

    def go(before: Stretch, element: tuple[Array, Array]) -> tuple[Stretch, None]:
        return take(before, element, fade), None

    def join(before: Stretch, row: Stretch) -> tuple[Stretch, Stretch]:
        return merge(before, row, whole), before

    def show(before: Stretch, element: tuple[Array, Array]) -> tuple[Stretch, Array]:
        now = take(before, element, fade)
        return now, extract(now)

    parts = cut(x), cut(weights)
    whole = fade**size
    ends, _ = lax.scan(go, nothing(jax.tree.map(lambda v: v[0], parts)), parts)
    _, starts = lax.scan(join, jax.tree.map(lambda v: jnp.zeros_like(v[0]), ends), ends)
    _, found = lax.scan(show, starts, parts)
    return jnp.swapaxes(found, 0, 1).reshape(rows * size, *rest)[:n]


def mean(memory: Stretch) -> Array:
    """Return the mean; nan of no elements."""
    return _of_some(memory, memory.pivot.astype(memory.offset.dtype) + memory.offset)


def _of_some(memory: Stretch, value: Array) -> Array:
    """Return nan of no elements, and of negative weights."""
    weight = memory.weight
    if not isinstance(weight, Array):
        return value
    return jnp.where(weight > 0, value, jnp.full_like(value, jnp.nan))


def moment(memory: Stretch, correction: ArrayLike) -> Array:
    """Return a second moment, over what a kind of weights leaves to divide by."""
    free = _free(memory, jnp.asarray(correction, memory.offset.dtype))
    value = divide(memory.powers[0], jnp.where(free > 0, free, 1))
    return _of_some(memory, jnp.where(free > 0, value, jnp.nan))


def covariance(memory: Stretch, correction: ArrayLike) -> Array:
    """Return the covariance, over what a kind of weights leaves to divide by."""
    return moment(replace(first(memory), powers=(memory.cross,)), correction)


def correlation(memory: Stretch) -> Array:
    """Return Pearson's correlation; nan of a constant."""
    n = len(memory.cross)
    (power,) = memory.powers
    return _of_some(first(memory), coefficient(power[:n], power[-n:], memory.cross))


def first(memory: Stretch) -> Stretch:
    """Return what is known of the first variable of a pair."""
    n = len(memory.cross)
    return jax.tree.map(lambda v: v[:n] if np.ndim(v) else v, memory)


def _free(memory: Stretch, correction: Array) -> Array:
    """Return what a kind leaves of the weight to divide by, over the weight."""
    if memory.pairs is not None:  # W − c·Σw²/W; 1 − c + c·p cancels nothing where c is 1
        return 1 - correction + correction * memory.pairs
    if memory.count is not None:
        count = jnp.maximum(memory.count, 1)
        return (count - correction) / count
    weight = memory.weight
    whole = jnp.where(weight > 0, weight, 1) if isinstance(weight, Array) else weight
    return (weight - correction) / whole


def size(memory: Stretch) -> Array:
    """Return how many elements the weights stand for: W, Kish's W²/Σw², or the count."""
    if memory.squares is not None:
        return divide(jnp.ones_like(memory.squares), memory.squares)
    return jnp.asarray(memory.weight if memory.count is None else memory.count, memory.offset.dtype)
