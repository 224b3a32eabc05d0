"""What moves along an axis: windows, and weights that fade.

`windows` doubles: the stretches of 2m neighbours are those of m, merged with themselves m places
on. `fading` scans: about √n rows side by side, then from row to row, and through the rows again.

Source: the binary method of powers (Knuth, The Art of Computer Programming 2, 4.6.3); Blelloch
(1990), "Prefix sums and their applications", for scans within rows and over rows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.compat import vary_as
from ..._core.types import PyTree
from ..sample.arguments import REAL, Data, Nan, Numbers, accumulator, answer, check, join
from ..sample.weights import Weights
from ..sums.blocks import widen
from .formulas import alike
from .moments import Moments
from .stretches import Stretch, elements, in_range, merge, moments


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


def along(
    data: Data, nan: Nan, axis: int, power: int
) -> tuple[list[Array], Array | None, Sequence[Any]]:
    """Return the variables with an axis in front, how much each element counts, and units.

    Variables have one dtype and are in range, in units, of up to a power; the counts are floats, or
    None where each is 1.
    """
    weights = join(data, nan)
    values = [jnp.moveaxis(widen(v), axis, 0) for v in alike(data.values)]
    if weights is not None:
        weights = jnp.moveaxis(weights, axis, 0).astype(accumulator(values[0].dtype))
    values, units = zip(*(in_range(v, weights, power) for v in values), strict=True)
    return list(values), weights, units


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
        return _written_down(both) if merges % 2 == 0 else both

    for digit in bin(window)[3:]:
        whole, size = taken(whole, whole, size), 2 * size
        if digit == "1":
            whole, size = taken(whole, memory, size), size + 1
    return whole


def of_windows(
    formula: Callable[[Moments], Array],
    data: Data,
    *,
    order: int,
    power: int,
    window: int,
    axis: int,
    nan: Nan,
) -> Array:
    """Return a formula of the moments of every full window along an axis.

    Args:
        formula: of moments.
        data: checked arguments, as of `check_along`.
        order: the highest power of deviations, 0 or 2.
        power: of which power the data are brought into range.
        window: how many neighbours an answer is of.
        axis: along which axis.
        nan: "propagate" or "omit".
    """
    values, weights, units = along(data, nan, axis, power)
    cross = len(values) == 2

    def of(part: tuple[list[Array], Array | None]) -> Array:
        values, weights = part
        weights = None if weights is None else jnp.concatenate([weights] * len(values))
        parts = elements(jnp.concatenate(values), weights, data.weights, order > 0, cross)
        return formula(moments(windows(parts, window, merge), units))

    value = chunked((values, weights), window, of)
    return answer(jnp.moveaxis(value, 0, axis), data, (), False)


def _written_down(memory: PyTree) -> PyTree:
    """Return arrays as they are, but as ones that compilers compute once.

    XLA computes a cheap expression anew for each of its users: through k levels of doubling 2**k
    times. It does so for no division, even one by 1, if it does not know it to be 1: variances of
    windows of 50 of 10**6 numbers take 4 ms so, 60 ms without. Done after every second merge.
    """
    first = next(v for v in jax.tree.leaves(memory) if np.ndim(v))
    one = jnp.ones((), first.dtype)
    ones = lax.clamp(one, first, one)
    return jax.tree.map(
        lambda v: lax.div(v, ones[: len(v)].astype(v.dtype)) if np.ndim(v) else v, memory
    )


def chunked(arrays: PyTree, window: int, of: Callable[[PyTree], Any], chunk: int = 2**13) -> Any:
    """Return what a function finds in arrays, piece by piece, each piece short enough for a cache.

    Args:
        arrays: of n elements along axis 0.
        window: how many neighbours an answer is of.
        of: a function of arrays, whose answers are arrays or trees of them; the first
            n − window + 1 count.
        chunk: of about how many elements a piece is.
    """
    n = len(jax.tree.leaves(arrays)[0])
    answers = n - window + 1
    size = max(chunk, window)
    if n <= 2 * size:
        return jax.tree.map(lambda v: v[:answers], of(arrays))
    pieces = -(-answers // size)

    def pad(v: Array) -> Array:
        more = pieces * size + window - 1 - n
        return jnp.concatenate([v, jnp.zeros((more, *v.shape[1:]), v.dtype)])

    def piece(start: Array) -> Any:
        cut = partial(lax.dynamic_slice_in_dim, start_index=start, slice_size=size + window - 1)
        return jax.tree.map(lambda v: v[:size], of(jax.tree.map(cut, arrays)))

    arrays = jax.tree.map(pad, arrays)
    found = lax.map(piece, lax.iota(np.int32, pieces) * size)
    return jax.tree.map(lambda v: v.reshape(pieces * size, *v.shape[2:])[:answers], found)


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
    none = vary_as(nothing(jax.tree.map(lambda v: v[0], parts)), (parts, fade))
    ends, _ = lax.scan(go, none, parts)
    _, starts = lax.scan(join, jax.tree.map(lambda v: jnp.zeros_like(v[0]), ends), ends)
    _, found = lax.scan(show, starts, parts)
    return jnp.swapaxes(found, 0, 1).reshape(rows * size, *rest)[:n]
