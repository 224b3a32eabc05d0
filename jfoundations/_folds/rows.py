"""A block of which a predicate keeps some elements: moved together, and cut into rows.

Whole rows are blocks of their own, what is left is taken step by step, and the rows are merged in a
tree. Where a merge is next to nothing, as of `maximum`, each element is a row: XLA makes one loop
of it all.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> positive = jf.folds.mean().where(lambda x: x > 0)
>>> float(positive.extract(positive.block(jnp.array([3.0, -8.0, 1.0]))))
2.0
"""

import functools
from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .._core.compat import vary_as
from .._core.inputs import elements
from .._core.types import Function, PyTree
from .._core.values import partial
from .blocks import like_of_block, map_and_filter, step_where, unless_left_out
from .protocols import Block, BlockWhere, Init, Merge, Step

LONGEST, SHORTEST = 128, 4  # elements in a row
ROOM = 2**28  # bytes that the memories of a block's rows may take
LIGHT = 64  # operations on numbers that a merge may take for each number of an element
FAN = 16  # memories that are merged one after another: a tree's level is then compiled once


def block_after(
    block: Block,
    block_where: BlockWhere | None,
    plan: tuple[bool, ...],
    functions: Sequence[Function],
    xs: PyTree,
    kept: Array | None = None,
) -> Any:
    """Return the memory of a block, mapped, of those elements that are not left out.

    Args:
        block: a fold's.
        block_where: its, not None if there are predicates.
        plan: as in `map_and_filter`.
        functions: likewise.
        xs: arrays.
        kept: bools, which elements are not left out to begin with; None: all.
    """
    xs = elements(xs)
    for asks, function in zip(plan, functions, strict=True):
        if asks:
            holds = jax.vmap(lambda x, p=function: map_and_filter((True,), (p,), x)[1])(xs)
            kept = holds if kept is None else kept & holds
        else:
            xs = jax.vmap(function)(replaced(kept, xs))
    if kept is None:
        return block(xs)
    assert block_where is not None
    return block_where(xs, kept)


def kept_by_rows(
    init: Init, step: Step, merge: Merge, block: Block, xs: PyTree, kept: Array
) -> Any:
    """Return the memory of the elements kept: `block_where` of a fold that has none of its own.

    Args:
        init: a fold's.
        step: its.
        merge: its.
        block: its.
        xs: arrays.
        kept: bools, one an element.
    """
    empty = vary_as(jax.tree.map(jnp.asarray, init(like_of_block(xs))), (xs, kept))
    if len(kept) == 0 or not jax.tree.leaves(empty):
        return empty
    spare = _spare(kept, xs)
    if _is_light(merge, empty, spare):

        def alone(k: Array, x: PyTree) -> Any:
            return pick(k, step(empty, pick(k, x, spare)), empty)

        return merge_stacked(merge, jax.vmap(alone)(kept, xs), empty, 2)
    return _by_rows(step, merge, block, kept, xs, spare, empty)


def is_by_rows(block_where: object) -> bool:
    """Tell whether what is kept is cut into rows somewhere, for want of a function of its own."""
    if isinstance(block_where, tuple):
        return any(map(is_by_rows, block_where))
    if type(block_where) is not partial:
        return False
    return block_where.func is kept_by_rows or is_by_rows(block_where.args)


def _spare(kept: jax.Array, xs: PyTree) -> Any:
    """Return the first element that is kept; of none one without gradients."""
    some = jnp.argmax(kept)
    return unless_left_out(kept[some], element(xs, some))


def replaced(kept: Array | None, xs: PyTree) -> Any:
    """Return elements with the first that is kept in place of those that are not.

    What is computed of an element that is left out must have a finite derivative.
    """
    if kept is None or len(kept) == 0:
        return xs
    return jax.vmap(functools.partial(pick, no=_spare(kept, xs)))(kept, xs)


def _is_light(merge: Merge, empty: PyTree, x: PyTree) -> bool:
    """Tell whether a merge takes few operations, for so large an element."""
    operations = len(jax.make_jaxpr(merge)(empty, empty).eqns)
    return operations * numbers_of(empty) <= LIGHT * max(numbers_of(x), 1)


def numbers_of(tree: PyTree) -> int:
    """Return how many numbers a tree of arrays holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _by_rows(
    step: Step, merge: Merge, block: Block, kept: Array, xs: PyTree, spare: PyTree, empty: PyTree
) -> Any:
    size, width = len(kept), width_of(len(kept), empty)
    order, count = _order(kept)

    def taken(k: Array) -> Any:
        return pick(k < count, element(xs, order[k]), spare)

    def row(k: Array) -> Any:
        return pick(k < count // width, block(jax.vmap(taken)(k * width + within)), empty)

    within = jnp.arange(width, dtype=np.int32)
    rows = jax.vmap(row)(jnp.arange(size // width, dtype=np.int32))
    first = count - count % width
    rest = steps(step, taken, empty, first, count - first, width - 1)
    return merge(merge_stacked(merge, rows, empty, FAN), rest)


def _order(kept: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return where the elements that are kept lie, one after another, and how many there are."""
    size = len(kept)
    through = jnp.cumsum(kept, dtype=np.int32)
    place = jnp.where(kept, through - 1, size)
    order = jnp.zeros(size, np.int32).at[place].set(jnp.arange(size, dtype=np.int32), mode="drop")
    return order, through[-1]


def width_of(size: int, memory: PyTree) -> int:
    """Return how long rows are: up to 128 elements, more where a memory is large."""
    bytes_of = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(memory))
    roomy = -(-bytes_of * size // ROOM)
    return min(max(min(isqrt(size), LONGEST), SHORTEST, roomy), size)


def steps(
    step: Step,
    taken: Callable[[Array], PyTree],
    memory: PyTree,
    first: Array | int,
    count: Array | int,
    most: int,
) -> Any:
    """Return a memory after so many elements more, step by step.

    Args:
        step: a fold's.
        taken: `place -> element`.
        memory: arrays.
        first: the place of the first, an int32 scalar.
        count: of the elements.
        most: as many steps are made, whatever `count` is.
    """

    def one(memory: PyTree, k: Array) -> tuple[Any, None]:
        return step_where(step, lambda _: k < count, memory, taken(first + k)), None

    return lax.scan(one, memory, jnp.arange(most, dtype=np.int32))[0]


def merge_stacked(merge: Merge, memories: PyTree, empty: PyTree, fan: int) -> Any:
    """Merge memories stacked along the leading axis, so many at a time, on each level of a tree.

    Two by two its height is log2(n) and it has no loop; else each level is one, compiled once.
    """
    join = jax.vmap(merge)
    count = jax.tree.leaves(memories)[0].shape[0]
    while count > 1:
        fan = min(fan, count)
        dealt = jax.tree.map(functools.partial(_dealt, fan), memories, empty)
        first, others = element(dealt, 0), element(dealt, slice(1, None))
        if fan == 2:
            memories = join(first, element(others, 0))
        else:
            memories = lax.scan(lambda m, other: (join(m, other), None), first, others)[0]
        count = -(-count // fan)
    return element(memories, 0)


def _dealt(fan: int, memories: jax.Array, empty: jax.Array) -> jax.Array:
    """Return the first of each so many neighbours, then of their second ones, and so on."""
    missing = -len(memories) % fan
    if missing:
        none = jnp.broadcast_to(empty, (missing, *empty.shape)).astype(memories.dtype)
        memories = jnp.concatenate([memories, none])
    return memories.reshape(-1, fan, *empty.shape).swapaxes(0, 1)


def pick(kept: Array, yes: PyTree, no: PyTree) -> Any:
    """Return one tree or the other."""
    return jax.tree.map(functools.partial(jnp.where, kept), yes, no)


def element(xs: PyTree, k: ArrayLike | slice | tuple[slice, ...]) -> Any:
    """Return the element of a block at a place; beyond the last it is the last."""
    return jax.tree.map(lambda a: a[k], xs)
