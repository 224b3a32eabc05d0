"""What a fold does with a block of elements: one by one, mapped, some left out.

A scan takes them all. Where a fold says when it is finished, a loop takes as many as it wants:

>>> import jax.numpy as jnp
>>> def count(memory, x):
...     return memory + 1
>>> int(fold_elements(count, lambda memory: memory >= 3, jnp.int32(0), jnp.zeros(1000)))
3
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.inputs import elements


def like_of(element: Any) -> Any:
    """Return shapes and dtypes of an element, or of what already is."""
    return jax.tree.map(_like, element)


def _like(leaf: Any) -> jax.ShapeDtypeStruct:
    aval = leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jax.typeof(leaf)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def like_of_block(block: Any) -> Any:
    """Return shapes and dtypes of one element of a block."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), block)


def fold_elements(step: Any, finished: Any, memory: Any, xs: Any) -> Any:
    """Return the memory after a block more, of which no element is read once it is finished.

    Args:
        step: a fold's `step`.
        finished: its `finished`, or None: then all elements are taken.
        memory: arrays.
        xs: the block, of arrays.
    """
    if finished is None:
        return lax.scan(lambda m, x: (step(m, x), None), memory, xs)[0]
    n = jax.tree.leaves(xs)[0].shape[0]
    if n == 0:
        return memory

    def going(carry: Any) -> Any:
        return (carry[0] < n) & ~finished(carry[1])

    def take(carry: Any) -> Any:
        k, m = carry
        x = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, k, keepdims=False), xs)
        return k + 1, step(m, x)

    return lax.while_loop(going, take, (np.int32(0), memory))[1]


def one_by_one(init: Any, step: Any, finished: Any, xs: Any) -> Any:
    """Return the memory of a block: a fold's `block` unless it has its own."""
    start = jax.tree.map(jnp.asarray, init(like_of_block(xs)))
    return fold_elements(step, finished, start, elements(xs))


def init_of(init: Any, g: Any, like: Any) -> Any:
    """Make the memory of mapped elements."""
    return init(like_of(jax.eval_shape(g, like_of(like))))


def step_of(step: Any, g: Any, memory: Any, x: Any) -> Any:
    """Take one element, mapped."""
    return step(memory, g(x))


def block_of(block: Any, g: Any, xs: Any) -> Any:
    """Return the memory of a block, mapped."""
    return block(jax.vmap(g)(elements(xs)))


def all_hold(predicates: Any, x: Any) -> Any:
    """Tell whether several predicates hold."""
    kept = [jnp.asarray(p(x)).astype(bool) for p in predicates]
    return functools.reduce(jnp.logical_and, kept)


def step_where(step: Any, p: Any, memory: Any, x: Any) -> Any:
    """Take one element, if a predicate holds for it."""
    kept = p(x)
    new = step(*unless_left_out(kept, (memory, x)))
    return jax.tree.map(functools.partial(jnp.where, kept), new, memory)


def unless_left_out(kept: Any, tree: Any) -> Any:
    """Return a tree; where it is not kept, one without gradients, and finite."""
    return jax.tree.map(functools.partial(_unless_left_out, kept), tree)


def _unless_left_out(kept: Any, leaf: Any) -> Any:
    # what is computed of it is thrown away, but 0 times nan would be the gradient of the rest
    if not jnp.issubdtype(jnp.result_type(leaf), np.inexact):
        return leaf
    return jnp.where(kept, leaf, lax.stop_gradient(jnp.where(jnp.isfinite(leaf), leaf, 1)))
