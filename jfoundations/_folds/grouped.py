"""A fold for each of several groups, in one pass.

A block is sorted by group and cut into rows, each of one group. All rows take their elements step
by step, side by side, or as blocks where a memory is large, as of a sketch; the rows of a group are
then merged two by two. So a program holds the step and the merge of the fold, once each.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> group, x = jnp.array([0, 2, 0, 2, 9]), jnp.array([1.0, 5.0, 3.0, 9.0, 100.0])
>>> jf.fold(jf.folds.grouped(jf.folds.mean(), 3), (group, x)).tolist()
[2.0, nan, 7.0]
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_count, tracing
from .._core.compat import vary_as
from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.types import PyTree
from .._core.values import describe, identity, partial
from .._kernels.sample.arguments import Numbers
from .._kernels.sample.group_ids import placed, segments_of
from .fold import Fold, like_of, like_of_block
from .given import Given, check_fold, check_given, length, which_count
from .rows import ROOM, element, is_by_rows, numbers_of, steps

LONGEST, SHORTEST = 256, 4  # elements in a row
LARGE = 512  # numbers of a memory, for each of an element


def grouped(a_fold: Fold[Any], num_groups: int) -> Fold[Any]:
    """Return the fold of elements `(group, x)` that keeps a memory of its own for each group.

    The answer is that of the fold with a leading axis of groups; a group without elements has the
    fold's answer over nothing. As in `jax.ops.segment_sum`, groups out of range are left out,
    negative ones too. It can be split and merged if the fold can.

    Args:
        a_fold: the fold of the elements x of one group.
        num_groups: how many groups there are, a Python int ≥ 1.

    Raises:
        TypeError: a_fold is no Fold, num_groups no int; or, when it is run, the elements are no
            pairs of an integer and an x.

    >>> import jfoundations as jf
    >>> both = jf.combine(n=jf.folds.count(), top=jf.folds.maximum())
    >>> table = {"class": jnp.array([1, 0, 1]), "score": jnp.array([2.5, 7.0, 4.5])}
    >>> found = jf.fold(grouped(both, 2).of(lambda row: (row["class"], row["score"])), table)
    >>> found["n"].tolist(), found["top"].tolist()
    ([1, 2], [7.0, 4.5])
    """
    check_fold(a_fold, "folds.grouped")
    n = check_count(num_groups, "num_groups", "folds.grouped", least=1)
    # without its answer and name, so that grouped var and std are one memory
    functions = (a_fold.init, a_fold.step, a_fold.merge, identity, a_fold.block)
    bare = Fold(*functions, block_where=a_fold.block_where, name="")
    merge, unmerge = (f and partial(_merge, f) for f in (a_fold.merge, a_fold.undo))
    block = None if merge is None else partial(_block, n, bare)
    return Fold(
        partial(_init, n, a_fold.init),
        partial(_step, n, a_fold.step),
        merge,
        partial(_extract, a_fold.extract),
        block,
        block_where=block,
        unmerge=unmerge,
        name=f"grouped {a_fold.name}",
    )


def segment(
    a_fold: Fold[Any],
    x: PyTree,
    segment_ids: Numbers,
    num_segments: int,
    *,
    weights: Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> Any:
    """Return a fold's answer for every group of an array's elements: those with one id.

    See also `stats.segment_var` and its like, for moments; `folds.grouped`, for streams.

    Each is what folding the group's elements alone, in their order, gives: to the bit where the
    fold is exact. It is `grouped` of one block.

    Args:
        a_fold: any fold that can be merged.
        x: an array of n elements along its leading axis, or a dict or tuple of such arrays: what
            `fold` takes as one block.
        segment_ids: ints of shape (n,), of any type and in any order; ids outside
            0 … num_segments − 1 belong to no group.
        num_segments: a Python int ≥ 1: how many groups the answer has.
        weights: one for each element, of shape (n,); the fold is then given pairs `(x, weight)`.
            Weight 0 is deletion.
        where: bools of shape (n,); elements at False do not exist.
        nan: "propagate": what the fold makes of it; "omit" leaves out the elements in which one is.

    Returns:
        The fold's answer with a leading axis of groups; of an empty group that over nothing.

    Raises:
        TypeError: the fold is none, or has no merge; the ids are no ints, num_segments is no int
            (or is traced); x holds no arrays.
        ValueError: lengths differ, or num_segments is not positive.

    >>> import jfoundations as jf
    >>> x = {"score": jnp.array([2.5, 7.0, 4.5])}
    >>> segment(jf.folds.maximum(), x, jnp.array([1, 0, 1]), 2)["score"].tolist()
    [7.0, 4.5]
    """
    given = check_given("segment", a_fold, x, weights, where, nan)
    place, n = segments_of("segment", segment_ids, num_segments, (length(given.xs),))
    if tracing():
        return _segment(a_fold, given, place, n=n, nan=nan)
    return compiled(_segment, a_fold, n=n, nan=nan)(given, place)


def _segment(a_fold: Fold[Any], given: Given, place: jax.Array, *, n: int, nan: str) -> Any:
    @automatic
    def answer(given: Given, place: jax.Array) -> Any:
        xs, kept = which_count(given, nan)
        return jax.vmap(a_fold.extract)(_block(n, a_fold, (place, xs), kept))

    return answer(given, place)


def _pair(element: PyTree, ndim: int) -> tuple[Any, Any]:
    """Return the group and the x of an element, or of a block of them."""
    if not isinstance(element, tuple) or len(element) != 2:
        raise TypeError(
            f"this fold's elements are pairs (group, x), not {describe(element)}; give it a tuple "
            "of two, or make one with .of(lambda element: (group, x))"
        )
    group, x = element
    found = group if isinstance(group, jax.ShapeDtypeStruct) else jnp.asarray(group)
    whole = jnp.issubdtype(found.dtype, jnp.integer) or found.dtype == np.bool_
    if not whole or found.ndim != ndim:
        raise TypeError(
            f"a group is {found.dtype}{list(found.shape[ndim:])}; an integer or a bool is needed, "
            "one for each element"
        )
    return found, x


def _lanes(memory: PyTree, n: int) -> Any:
    """Return so many memories, all the same."""
    return jax.tree.map(lambda m: jnp.broadcast_to(m, (n, *jnp.shape(m))), memory)


def _init(n: int, init: Any, like: PyTree) -> Any:
    return _lanes(jax.tree.map(jnp.asarray, init(like_of(_pair(like, 0)[1]))), n)


def _step(n: int, step: Any, memory: PyTree, element: PyTree) -> Any:
    group, x = _pair(element, 0)
    place = placed(group, n)
    new = step(jax.tree.map(lambda m: m[jnp.minimum(place, n - 1)], memory), x)
    return jax.tree.map(lambda m, v: m.at[place].set(v, mode="drop"), memory, new)


def _merge(merge: Any, a: Any, b: Any) -> Any:
    return jax.vmap(merge)(a, b)


def _extract(extract: Any, memory: PyTree) -> Any:
    return jax.vmap(extract)(memory)


def _block(n: int, f: Fold[Any], xs: PyTree, kept: jax.Array | None = None) -> Any:
    group, x = jax.tree.map(jnp.asarray, _pair(xs, 1))
    size, start = len(group), jax.tree.map(jnp.asarray, f.init(like_of_block(x)))
    start = vary_as(start, (group, x))
    width = min(max(min(size // n, isqrt(size) // 4), SHORTEST), LONGEST)
    most = size // width + n  # rows: all but the last of each group are full
    bytes_of = sum(m.size * m.dtype.itemsize for m in jax.tree.leaves(start))
    place = placed(group, n)
    place = place if kept is None else jnp.where(kept, place, n)  # left out: of no group
    if size == 0 or bytes_of * most > max(ROOM, 4 * n * bytes_of):
        memory = _lanes(start, n)
        return lax.scan(lambda m, e: (_step(n, f.step, m, e), None), memory, (place, x))[0]
    order = _order(place, n)
    count = jnp.zeros(n, np.int32).at[place].add(1, mode="drop")
    first = jnp.cumsum(count, dtype=np.int32) - count
    rows = lax.div(count + (width - 1), np.int32(width))
    last = jnp.cumsum(rows, dtype=np.int32)
    row = jnp.arange(most, dtype=np.int32)
    group = jnp.searchsorted(last, row, side="right").astype(np.int32)  # n for rows not needed
    held = jnp.minimum(group, n - 1)
    within = row - (last - rows)[held]
    large = numbers_of(start) > LARGE * numbers_of(element(x, 0)) and not is_by_rows(f.block_where)

    def folded(begin: Any, length: Any) -> Any:
        def taken(k: Any) -> Any:
            return element(x, order[jnp.minimum(k, size - 1)])

        if large and f.block_where is not None:  # each step would write all of the memory anew
            place = jnp.arange(width, dtype=np.int32)
            return f.block_where(jax.vmap(taken)(begin + place), place < length)
        return steps(f.step, taken, start, begin, length, width)

    length = jnp.where(group < n, count[held] - within * width, 0)
    memory = jax.vmap(folded)(first[held] + within * width, length)

    def join(memory: PyTree, stride: Any) -> tuple[Any, None]:
        other = jnp.minimum(row + stride, most - 1)
        near = (row + stride < most) & (group[other] == group) & (within & (2 * stride - 1) == 0)
        both = jax.vmap(f.merge)(memory, jax.tree.map(lambda m: m[other], memory))  # type: ignore
        return _where(near, both, memory), None

    def join_if_any(memory: PyTree, stride: Any) -> tuple[Any, None]:
        return lax.cond(stride < jnp.max(rows), join, lambda m, _: (m, None), memory, stride)

    strides = 2 ** np.arange((most - 1).bit_length(), dtype=np.int32)
    memory = lax.scan(join_if_any if large else join, memory, jnp.asarray(strides))[0]
    found = jax.tree.map(lambda m: m[jnp.minimum(last - rows, most - 1)], memory)
    return _where(rows > 0, found, _lanes(start, n))


def _order(place: jax.Array, n: int) -> jax.Array:
    """Return the order that sorts places 0 ... n and keeps equal ones in theirs."""
    size = len(place)
    if (n + 1) * size > 2**32:
        return jnp.argsort(place, stable=True).astype(np.int32)
    # XLA:CPU sorts single words five times faster than it argsorts
    index = jnp.arange(size, dtype=np.uint32)
    keys = jnp.sort(place.astype(np.uint32) * np.uint32(size) + index)
    return lax.rem(keys, np.uint32(size)).astype(np.int32)


def _where(lanes: Any, yes: Any, no: Any) -> Any:
    def pick(y: PyTree, n: Any) -> Any:
        return jnp.where(lanes.reshape(-1, *(1,) * (y.ndim - 1)), y, n)

    return jax.tree.map(pick, yes, no)
