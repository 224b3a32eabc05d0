"""The first and the last element, and where the smallest and the largest stood.

The order of the elements decides, and yet memories merge: the parts of a stream are joined in
their order.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.numbers.counts import Count
from .._kernels.sums.one_read import bounds


@pytree
class Held:
    """An element, and whether there has been any."""

    value: PyTree
    found: jax.Array


def first() -> Fold[PyTree]:
    """Return the fold of the first element, a pytree of arrays; zeros over nothing.

    See also `last`; `jfoundations.first` is the first step where something holds.

    >>> import jfoundations as jf
    >>> int(jf.fold(first(), [jnp.array([3, 1]), jnp.array([2])]))
    3
    """
    return _held(False, "first")


def last() -> Fold[PyTree]:
    """Return the fold of the last element, a pytree of arrays; zeros over nothing.

    >>> import jfoundations as jf
    >>> int(jf.fold(last(), [jnp.array([3, 1]), jnp.array([2])]))
    2
    """
    return _held(True, "last")


def _held(late: bool, name: str) -> Fold[PyTree]:
    step, merge, block = (partial(f, late) for f in (_hold, _join, _pick))
    return Fold(_nothing, step, merge, _value, block, block_where=block, name=name)


def _nothing(like: PyTree) -> Held:
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like)
    return Held(zeros, jnp.zeros((), np.bool_))


def _hold(late: bool, memory: Held, x: PyTree) -> Held:
    return _join(late, memory, Held(elements(x), jnp.ones((), np.bool_)))


def _join(late: bool, a: Held, b: Held) -> Held:
    later = b.found if late else ~a.found
    value = jax.tree.map(lambda x, y: jnp.where(later, y, x), a.value, b.value)
    return Held(value, a.found | b.found)


def _pick(late: bool, xs: PyTree, kept: jax.Array | None = None) -> Held:
    xs = elements(xs)
    n = jax.tree.leaves(xs)[0].shape[0]
    if n == 0:
        return _nothing(jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), xs))
    place, found = np.int32(n - 1 if late else 0), jnp.ones((), np.bool_)
    if kept is not None:
        found = jnp.any(kept)
        place = jnp.argmax(kept[::-1] if late else kept).astype(np.int32)
        place = n - 1 - place if late else place

    def at(x: jax.Array) -> jax.Array:
        value = lax.dynamic_index_in_dim(x, place, keepdims=False)
        return jnp.where(found, value, jnp.zeros_like(value))

    return Held(jax.tree.map(at, xs), found)


def _value(memory: Held) -> PyTree:
    return memory.value


@pytree
class Place:
    """The best value so far, where it stood, and how many elements there were."""

    value: jax.Array
    place: Count
    seen: Count


def argmin() -> Fold[jax.Array | Count]:
    """Return the fold of the place of the smallest element, from 0, elementwise; 0 over nothing.

    Of equal ones it is the first, and nan is smaller than all, as `jnp.argmin` has it. Places are
    counted as by `count`, whose type the answer has: they do not saturate. Elements that `where`
    leaves out have no place. An element may be a pytree of arrays.

    >>> import jfoundations as jf
    >>> int(jf.fold(argmin(), [jnp.array([3, 1]), jnp.array([2, 1, 0])]))
    4
    """
    return _best(False, "argmin")


def argmax() -> Fold[jax.Array | Count]:
    """Return the fold of the place of the largest element, as `argmin` does of the smallest.

    >>> import jfoundations as jf
    >>> int(jf.fold(argmax(), [jnp.array([3, 1]), jnp.array([2, 3, 0])]))
    0
    """
    return _best(True, "argmax")


def _best(largest: bool, name: str) -> Fold[jax.Array | Count]:
    init, step, merge, block = (
        partial(f, largest) for f in (_no_place, _one_more, _better, _best_of)
    )
    return leafwise(Fold(init, step, merge, _answer, block, block_where=block, name=name))


def _no_place(largest: bool, like: PyTree) -> Place:
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        name = "argmax" if largest else "argmin"
        raise TypeError(f"folds.{name}: the elements are complex, which have no order; of(jnp.abs)")
    worst = bounds(like.dtype)[largest]
    return Place(jnp.full(like.shape, worst), Count.of(0, like.shape), Count.of(0))


def _one_more(largest: bool, memory: Place, x: PyTree) -> Place:
    x = elements(x)
    return _better(largest, memory, Place(x, Count.of(0, x.shape), Count.of(1)))


def _better(largest: bool, a: Place, b: Place) -> Place:
    x, y = a.value, b.value
    better = y > x if largest else y < x
    if jnp.issubdtype(x.dtype, jnp.inexact):
        better = (better | jnp.isnan(y)) & ~jnp.isnan(x)
    better = jnp.where(b.seen.positive(), better | ~a.seen.positive(), False)
    there = a.seen + b.place
    place = jax.tree.map(lambda p, q: jnp.where(better, q, p), a.place, there)
    return Place(jnp.where(better, y, x), place, a.seen + b.seen)


def _best_of(largest: bool, xs: PyTree, kept: jax.Array | None = None) -> Place:
    xs = elements(xs)
    nothing = _no_place(largest, jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype))
    if xs.shape[0] == 0:
        return nothing
    there = jnp.ones(xs.shape[0], np.bool_) if kept is None else kept
    rows = there.reshape(-1, *(1,) * (xs.ndim - 1))
    shown = jnp.where(rows, xs, nothing.value)
    value = jnp.max(shown, axis=0) if largest else jnp.min(shown, axis=0)
    equal = xs == value[None]
    if jnp.issubdtype(xs.dtype, jnp.inexact):
        equal |= jnp.isnan(xs)  # where there is one, it is the value
    row = jnp.argmax(equal & rows, axis=0)
    before = jnp.cumsum(there, dtype=np.int32) - 1
    place = jnp.maximum(before[row], 0)
    seen = Count.from_array(jnp.sum(there, dtype=np.int32))
    return Place(value, Count.from_array(place), seen)


def _answer(memory: Place) -> jax.Array | Count:
    return memory.place.answer()
