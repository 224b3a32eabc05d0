"""A fold of the newest buckets of time, which parts of a stream come to in any order.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> seconds, x = jnp.array([0, 3, 61, 65]), jnp.array([9.0, 1.0, 2.0, 4.0])
>>> float(jf.fold(jf.folds.buckets(jf.folds.minimum(), 60, 1), (seconds, x)))
2.0
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.shown import see
from .._core.types import PyTree
from .._core.values import describe, partial
from .._kernels.sample.arguments import accumulator, numbers, scalar
from .._kernels.sums.one_read import bounds
from .fold import Fold
from .given import check_fold, length
from .grouped import grouped
from .protocols import Extract, Init, Merge, Step
from .rows import element


@pytree
class Buckets:
    """Memories of the newest buckets of time.

    Attributes:
        newest: the number of the newest one, an integer or a float that is whole.
        some: whether there has been any element, a bool.
        memories: of that bucket and of those before it, along the leading axis.
    """

    newest: Array
    some: Array
    memories: PyTree


def buckets(a_fold: Fold[Any], width: ArrayLike, count: int) -> Fold[Any]:
    """Return the fold of elements `(time, x)` over the newest `count` buckets of time.

    A bucket holds the times from k·width to before (k + 1)·width. The window is the newest bucket
    that anything was seen of, and those before it: it moves on by whole buckets, and knows the
    same whatever the order in which parts of the data come. So it can be split and merged, and
    where a_fold does not care for order neither does it. It holds `count` memories.

    Args:
        a_fold: the fold of the elements x in the window; it has a merge.
        width: how much time a bucket spans, a number > 0 in the unit of the times.
        count: how many buckets the window holds, a Python int ≥ 1.

    Times are integers, whose buckets are exact, or floats; those that are nan or infinite are in
    no bucket.

    Raises:
        TypeError: a_fold is no Fold, or has no merge; width is no number, count no int; or, when
            it is run, the elements are no pairs of a real number and an x, or the width of whole
            times is not whole.
        ValueError: width is not > 0, or count below 1.

    >>> import jfoundations as jf
    >>> late_and_early = [(jnp.array([130, 59]), jnp.ones(2)), (jnp.array([60, 0]), jnp.ones(2))]
    >>> int(jf.fold(buckets(jf.folds.count(), 60, 2), late_and_early))
    2
    """
    check_fold(a_fold, "folds.buckets")
    if a_fold.merge is None:
        raise TypeError(
            f"folds.buckets: {a_fold.name} cannot be merged (its merge is None), and buckets are; "
            "write a merge, or take folds.window, of so many elements" + see("array_to_cluster")
        )
    width = numbers("folds.buckets", "width", scalar("folds.buckets", "width", width))
    if not isinstance(width, Tracer) and not np.asarray(width) > 0:
        raise ValueError(f"folds.buckets: width is {width}; it must be > 0")
    count = check_count(count, "count", "folds.buckets", least=1)
    groups = grouped(a_fold, count + 1)  # the last one stays empty, for buckets that are new
    block = partial(_of_block, groups, width)
    return Fold(
        partial(_no_bucket, groups.init, width),
        partial(_in_bucket, groups.step, width),
        partial(_joined, groups.merge),
        partial(_of_window, a_fold.merge, a_fold.extract),
        block,
        block_where=block,
        name=f"buckets of {a_fold.name}",
    )


def _numbers_of(element: PyTree, width: Array, kept: Array | None) -> tuple[Array, Any, Array]:
    """Return the numbers of the buckets, the x, and which elements are in one."""
    if not isinstance(element, tuple) or len(element) != 2:
        raise TypeError(
            f"this fold's elements are pairs (time, x), not {describe(element)}; give it a tuple "
            "of two, or make one with .of(lambda element: (time, x))"
        )
    time, x = elements(element)
    number = _number(time, width)
    known = jnp.ones(time.shape, np.bool_) if kept is None else kept
    if jnp.issubdtype(number.dtype, jnp.inexact):
        known &= jnp.isfinite(number)
    return number, x, known


def _number(time: Array, width: Array) -> Array:
    """Return the number of a time's bucket: an integer of 32 bits or more, or a float."""
    if jnp.issubdtype(time.dtype, jnp.floating):
        dtype = accumulator(time.dtype)
        return jnp.floor(time.astype(dtype) / width.astype(dtype))
    if not jnp.issubdtype(time.dtype, jnp.integer):
        raise TypeError(f"a time is {time.dtype}; an integer or a float is needed")
    if not jnp.issubdtype(width.dtype, jnp.integer):
        raise TypeError(
            f"folds.buckets: width is {width.dtype} and times are {time.dtype}; give a whole width"
        )
    time = time.astype(np.int32) if time.dtype.itemsize < 4 else time
    most = min(jnp.iinfo(time.dtype).max, jnp.iinfo(width.dtype).max)
    return jnp.floor_divide(time, jnp.minimum(width, most).astype(time.dtype))


def _before(newest: Array, number: Array, most: int) -> Array:
    """Return how many buckets a number lies before the newest, at most so many; an int32."""
    if jnp.issubdtype(number.dtype, jnp.inexact):
        return jnp.minimum(newest - number, most).astype(np.int32)
    kind = f"uint{8 * number.dtype.itemsize}"  # without a sign no difference is beyond the type
    return jnp.minimum(newest.astype(kind) - number.astype(kind), most).astype(np.int32)


def _no_bucket(init: Init, width: Array, like: PyTree) -> Buckets:
    number, x, _ = jax.eval_shape(lambda pair: _numbers_of(pair, width, None), like)
    newest = jnp.asarray(bounds(number.dtype)[1])
    place = jax.ShapeDtypeStruct((), np.int32)
    return Buckets(newest, jnp.zeros((), np.bool_), init((place, x)))


def _moved(memory: Buckets, newest: Array) -> Any:
    """Return the memories of a bucket that is as new or newer, and of those before it."""
    last = length(memory.memories) - 1
    shift = jnp.where(memory.some, _before(newest, memory.newest, last), last)
    place = lax.iota(np.int32, last + 1)
    from_empty = (place < shift) | (place == last)
    return element(memory.memories, jnp.where(from_empty, last, place - shift))


def _in_bucket(step: Step, width: Array, memory: Buckets, pair: PyTree) -> Buckets:
    number, x, known = _numbers_of(pair, width, None)
    newest = jnp.where(known, jnp.maximum(memory.newest, number), memory.newest)
    return Buckets(
        newest,
        memory.some | known,
        step(_moved(memory, newest), (_place(newest, number, known, memory.memories), x)),
    )


def _place(newest: Array, number: Array, known: Array, memories: PyTree) -> Array:
    """Return how far before the newest a bucket is; −1, of no group, of one out of the window."""
    last = length(memories) - 1
    before = _before(newest, number, last)
    return jnp.where(known & (before < last), before, -1)


def _of_block(groups: Fold[Any], width: Array, xs: PyTree, kept: Array | None = None) -> Buckets:
    number, x, known = _numbers_of(xs, width, kept)
    least = bounds(number.dtype)[1]
    newest = jnp.max(jnp.where(known, number, least), initial=least)
    like = jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape[1:], v.dtype), x)
    memories = jax.eval_shape(groups.init, (jax.ShapeDtypeStruct((), np.int32), like))
    place = _place(newest, number, known, memories)
    return Buckets(newest, jnp.any(known), groups.block((place, x)))


def _joined(merge: Merge, a: Buckets, b: Buckets) -> Buckets:
    newest = jnp.maximum(a.newest, b.newest)
    return Buckets(newest, a.some | b.some, merge(_moved(a, newest), _moved(b, newest)))


def _of_window(merge: Merge, extract: Extract[Any], memory: Buckets) -> Any:
    oldest_first = element(memory.memories, np.s_[-2::-1])
    first, rest = element(oldest_first, 0), element(oldest_first, np.s_[1:])
    return extract(lax.scan(lambda m, later: (merge(m, later), None), first, rest)[0])
