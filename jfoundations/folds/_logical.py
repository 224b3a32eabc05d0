"""Whether any element is true, or all are."""

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import elements
from .._core.types import Function, PyTree
from .._core.values import partial
from .._folds.fold import Fold


def any() -> Fold[jax.Array]:
    """Return the fold that tells whether any element is true, elementwise; False over nothing.

    Numbers are true where they are not 0, nan too. An element may be a pytree of arrays.

    >>> import jfoundations as jf
    >>> jf.fold(any(), jnp.array([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [False, True]
    """
    return _reduction(_or, jnp.any, False, "any")


def all() -> Fold[jax.Array]:
    """Return the fold that tells whether all elements are true, elementwise; True over nothing.

    Numbers are true where they are not 0, nan too. An element may be a pytree of arrays.

    >>> import jfoundations as jf
    >>> finite = all().of(jnp.isfinite)
    >>> bool(jf.fold(finite, [jnp.array([1.0, 2.0]), jnp.array([jnp.nan])]))
    False
    """
    return _reduction(_and, jnp.all, True, "all")


def _or(a: jax.Array, b: jax.Array) -> jax.Array:
    return a | b


def _and(a: jax.Array, b: jax.Array) -> jax.Array:
    return a & b


def _reduction(join: Function, reduce: Function, neutral: bool, name: str) -> Fold[jax.Array]:
    block = partial(_block, reduce is jnp.any, neutral)
    step, merge = partial(_step, join), partial(_merge, join)
    return Fold(partial(_init, neutral), step, merge, block=block, block_where=block, name=name)


def _init(neutral: bool, like: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, neutral), like)


def _step(join: Function, memory: PyTree, x: PyTree) -> PyTree:
    return jax.tree.map(lambda m, leaf: join(m, leaf.astype(np.bool_)), memory, elements(x))


def _merge(join: Function, a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(join, a, b)


def _block(some: bool, neutral: bool, xs: PyTree, kept: jax.Array | None = None) -> PyTree:
    def of(x: jax.Array) -> jax.Array:
        true = x.astype(np.bool_)
        if kept is not None:
            true = jnp.where(kept.reshape(-1, *(1,) * (x.ndim - 1)), true, neutral)
        return (jnp.any if some else jnp.all)(true, axis=0)

    return jax.tree.map(of, elements(xs))
