"""What a fold does with a block of elements: one by one, mapped, some left out.

A scan takes them all. Where a fold says when it is finished, a loop takes as many as it wants:

>>> import jax.numpy as jnp
>>> def count(memory, x):
...     return memory + 1
>>> int(fold_elements(count, lambda memory: memory >= 3, jnp.int32(0), jnp.zeros(1000)))
3
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_like
from .._core.compat import vary_as
from .._core.inputs import elements
from .._core.types import Bool, Function, PyTree
from .protocols import Finished, Init, Predicate, Step


def like_of(element: PyTree) -> Any:
    """Return shapes and dtypes of an element, or of what already is."""
    return jax.tree.map(_like, element)


def _like(leaf: PyTree) -> jax.ShapeDtypeStruct:
    aval = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jax.typeof(leaf)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def like_of_block(block: PyTree) -> Any:
    """Return shapes and dtypes of one element of a block."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), block)


def fold_elements(
    step: Step,
    finished: Finished | None,
    memory: PyTree,
    xs: PyTree,
    count: jax.Array | None = None,
) -> Any:
    """Return the memory after a block more, of which no element is read once it is finished.

    Args:
        step: a fold's `step`.
        finished: its `finished`, or None: then all elements are taken.
        memory: arrays.
        xs: the block, of arrays.
        count: how many of its elements there are, an int32 scalar; None: all.
    """

    def checked(m: PyTree, x: PyTree) -> Any:
        new = step(m, x)
        check_like(new, m, "the step of a fold", "memory")
        return new

    memory = vary_as(memory, xs)
    if finished is None and count is None:
        return lax.scan(lambda m, x: (checked(m, x), None), memory, xs)[0]
    n = jax.tree.leaves(xs)[0].shape[0]
    if n == 0:
        return memory

    def going(carry: PyTree) -> Any:
        more = carry[0] < (n if count is None else count)
        return more if finished is None else more & ~finished(carry[1])

    def take(carry: PyTree) -> Any:
        k, m = carry
        x = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, k, keepdims=False), xs)
        return k + 1, checked(m, x)

    return lax.while_loop(going, take, (np.int32(0), memory))[1]


def one_by_one(init: Init, step: Step, finished: Finished | None, xs: PyTree) -> Any:
    """Return the memory of a block: a fold's `block` unless it has its own."""
    start = jax.tree.map(jnp.asarray, init(like_of_block(xs)))
    return fold_elements(step, finished, start, elements(xs))


def map_and_filter(
    plan: tuple[bool, ...], functions: Sequence[Function], x: PyTree
) -> tuple[Any, Any]:
    """Return an element after its maps, and whether the predicates between them held.

    Args:
        plan: for each function whether it is a predicate.
        functions: maps and predicates, of which the first sees the element as it came.
        x: the element.

    Returns:
        What the fold takes; and a bool scalar, or True if there are no predicates.

    Raises:
        TypeError: a predicate returns no scalar.
    """
    kept: Any = True
    for asks, function in zip(plan, functions, strict=True):
        if not asks:
            x = function(x if kept is True else unless_left_out(kept, x))
            continue
        holds = function(x)
        if not jax.tree_util.all_leaves([holds]):
            raise TypeError(f"where: its predicate returned {holds!r}, a bool scalar is needed")
        holds = jnp.asarray(holds)
        if holds.ndim:
            raise TypeError(
                f"where: its predicate returned shape {holds.shape}, a bool scalar is needed; "
                "reduce it with jnp.all"
            )
        kept = holds.astype(bool) if kept is True else kept & holds.astype(bool)
    return x, kept


def init_after(
    init: Init, plan: tuple[bool, ...], functions: Sequence[Function], like: PyTree
) -> Any:
    """Make the memory of mapped elements."""
    maps = [f for asks, f in zip(plan, functions, strict=True) if not asks]

    def after(x: PyTree) -> Any:
        return map_and_filter((False,) * len(maps), maps, x)[0]

    return init(like_of(jax.eval_shape(after, like_of(like))) if maps else like)


def step_after(
    step: Step, plan: tuple[bool, ...], functions: Sequence[Function], memory: PyTree, x: PyTree
) -> Any:
    """Take one element, mapped, if it is not left out."""
    x, kept = map_and_filter(plan, functions, x)
    return step(memory, x) if kept is True else step_where(step, lambda _: kept, memory, x)


def step_where(step: Step, p: Predicate, memory: PyTree, x: PyTree) -> Any:
    """Take one element, if a predicate holds for it."""
    kept = p(x)
    new = step(*unless_left_out(kept, (memory, x)))
    return jax.tree.map(functools.partial(jnp.where, kept), new, memory)


def unless_left_out(kept: Bool, tree: PyTree) -> Any:
    """Return a tree; where it is not kept, one without gradients, and finite."""
    return jax.tree.map(functools.partial(_unless_left_out, kept), tree)


def _unless_left_out(kept: Bool, leaf: PyTree) -> Any:
    # what is computed of it is thrown away, but 0 times nan would be the gradient of the rest
    if not jnp.issubdtype(jnp.result_type(leaf), np.inexact):
        return leaf
    return jnp.where(kept, leaf, lax.stop_gradient(jnp.where(jnp.isfinite(leaf), leaf, 1)))
