"""A fold for each of several groups, in one pass.

A block is sorted by group and cut into rows of one length, each of one group: full rows are blocks
of their own, what is left of each group is taken step by step, all groups at once. The rows of a
group are then merged two by two.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> group, x = jnp.array([0, 2, 0, 2, 9]), jnp.array([1.0, 5.0, 3.0, 9.0, 100.0])
>>> jf.fold(jf.folds.grouped(jf.folds.mean(), 3), (group, x)).tolist()
[2.0, nan, 7.0]
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_count
from .._core.types import PyTree
from .._core.values import describe, identity, partial
from .._kernels.sample.group_ids import placed
from .fold import Fold, like_of, like_of_block
from .rows import ROOM, element, steps

LONGEST, SHORTEST = 64, 4  # elements in a row


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
    if not isinstance(a_fold, Fold):
        raise TypeError(f"folds.grouped: {a_fold!r} is no Fold")
    n = check_count(num_groups, "num_groups", "folds.grouped", least=1)
    # without its answer and name, so that grouped var and std are one memory
    bare = Fold(a_fold.init, a_fold.step, a_fold.merge, identity, a_fold.block, name="")
    merge = a_fold.merge and partial(_merge, a_fold.merge)
    block = None if merge is None else partial(_block, n, bare)
    return Fold(
        partial(_init, n, a_fold.init),
        partial(_step, n, a_fold.step),
        merge,
        partial(_extract, a_fold.extract),
        block,
        block_where=block,
        name=f"grouped {a_fold.name}",
    )


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


def _start(init: Any, like: PyTree, lanes: int) -> Any:
    """Return so many memories of nothing."""
    empty = jax.tree.map(jnp.asarray, init(like))
    return jax.tree.map(lambda m: jnp.broadcast_to(m, (lanes, *m.shape)), empty)


def _init(n: int, init: Any, like: PyTree) -> Any:
    return _start(init, like_of(_pair(like, 0)[1]), n)


def _step(n: int, step: Any, memory: PyTree, element: PyTree) -> Any:
    group, x = _pair(element, 0)
    place = placed(group, n)
    new = step(jax.tree.map(lambda m: m[jnp.minimum(place, n - 1)], memory), x)
    return jax.tree.map(lambda m, v: m.at[place].set(v, mode="drop"), memory, new)


def _merge(merge: Any, a: Any, b: Any) -> Any:
    return jax.vmap(merge)(a, b)


def _extract(extract: Any, memory: PyTree) -> Any:
    return jax.vmap(extract)(memory)


def _block(n: int, f: Fold[Any], xs: PyTree, kept: Any = None) -> Any:
    group, x = jax.tree.map(jnp.asarray, _pair(xs, 1))
    place = placed(group, n)
    place = place if kept is None else jnp.where(kept, place, n)
    size, like = len(place), like_of_block(x)
    width = min(max(size // n, SHORTEST), LONGEST)
    bytes_of = sum(m.size * m.dtype.itemsize for m in jax.tree.leaves(f.init(like)))
    if size == 0 or bytes_of * (size // width + n) > max(ROOM, 4 * n * bytes_of):
        start = _start(f.init, like, n)
        return lax.scan(lambda m, e: (_step(n, f.step, m, e), None), start, (place, x))[0]
    order = _order(place, n)
    count = jnp.zeros(n, np.int32).at[place].add(1, mode="drop")
    first = jnp.cumsum(count, dtype=np.int32) - count
    whole = count // width
    rest = _rest(f, x, order, first + whole * width, count - whole * width, width)
    if size < width:
        return rest
    rows = _rows(f, x, order, first, whole, width)
    return jax.vmap(f.merge)(rows, rest)  # type: ignore[arg-type]


def _order(place: jax.Array, n: int) -> jax.Array:
    """Return the order that sorts places 0 ... n and keeps equal ones in theirs."""
    size = len(place)
    if (n + 1) * size > 2**32:
        return jnp.argsort(place, stable=True).astype(np.int32)
    # XLA:CPU sorts single words five times faster than it argsorts
    index = jnp.arange(size, dtype=np.uint32)
    keys = jnp.sort(place.astype(np.uint32) * np.uint32(size) + index)
    return (keys % np.uint32(size)).astype(np.int32)


def _rest(f: Fold[Any], x: PyTree, order: Any, first: Any, count: Any, width: int) -> Any:
    """Return each group's memory of the elements after its last full row, step by step."""
    start = jax.tree.map(jnp.asarray, f.init(like_of_block(x)))
    most = min(width - 1, len(order))

    def taken(k: Any) -> Any:
        return element(x, order[k])

    return jax.vmap(lambda first, count: steps(f.step, taken, start, first, count, most))(
        first, count
    )


def _rows(f: Fold[Any], x: PyTree, order: Any, first: Any, whole: Any, width: int) -> Any:
    """Return each group's memory of its full rows, of which there may be none."""
    n, most = len(whole), len(order) // width
    last = jnp.cumsum(whole, dtype=np.int32)
    row = jnp.arange(most, dtype=np.int32)
    group = jnp.searchsorted(last, row, side="right").astype(np.int32)  # n for rows not needed
    held = jnp.minimum(group, n - 1)
    within = row - (last - whole)[held]
    begin = jnp.minimum(first[held] + within * width, len(order) - width)
    at = order[begin[:, None] + jnp.arange(width, dtype=np.int32)[None, :]]
    memory = jax.vmap(f.block)(jax.tree.map(lambda a: a[at], x))

    def join(memory: PyTree, stride: Any) -> tuple[Any, None]:
        other = jnp.minimum(row + stride, most - 1)
        near = (row + stride < most) & (group[other] == group) & (within % (2 * stride) == 0)
        both = jax.vmap(f.merge)(memory, jax.tree.map(lambda m: m[other], memory))  # type: ignore
        return _where(near, both, memory), None

    strides = 2 ** np.arange((most - 1).bit_length(), dtype=np.int32)
    memory = lax.scan(join, memory, jnp.asarray(strides))[0]
    found = jax.tree.map(lambda m: m[jnp.minimum(last - whole, most - 1)], memory)
    return _where(whole > 0, found, _start(f.init, like_of_block(x), n))


def _where(lanes: Any, yes: Any, no: Any) -> Any:
    def pick(y: PyTree, n: Any) -> Any:
        return jnp.where(lanes.reshape(-1, *(1,) * (y.ndim - 1)), y, n)

    return jax.tree.map(pick, yes, no)
