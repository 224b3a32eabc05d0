"""Whether any element is true, or all are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import elements
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold


def any() -> Fold[jax.Array]:
    """Return the fold that tells whether any element is true, elementwise; False over nothing.

    Numbers are true where they are not 0, nan too. An element may be a pytree of arrays.

    >>> import jfoundations as jf
    >>> jf.fold(any(), jnp.array([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [False, True]
    """
    return _reduction(False, "any")


def all() -> Fold[jax.Array]:
    """Return the fold that tells whether all elements are true, elementwise; True over nothing.

    Numbers are true where they are not 0, nan too. An element may be a pytree of arrays.

    >>> import jfoundations as jf
    >>> finite = all().of(jnp.isfinite)
    >>> bool(jf.fold(finite, [jnp.array([1.0, 2.0]), jnp.array([jnp.nan])]))
    False
    """
    return _reduction(True, "all")


def _reduction(every: bool, name: str) -> Fold[jax.Array]:
    init, step, merge, block = (partial(f, every) for f in (_init, _step, _merge, _block))
    return Fold(init, step, merge, block=block, block_where=block, name=name)


def _init(every: bool, like: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, every), like)


def _step(every: bool, memory: PyTree, x: PyTree) -> PyTree:
    return _merge(every, memory, jax.tree.map(lambda leaf: leaf.astype(np.bool_), elements(x)))


def _merge(every: bool, a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(lambda x, y: x & y if every else x | y, a, b)


def _block(every: bool, xs: PyTree, kept: jax.Array | None = None) -> PyTree:
    def of(x: jax.Array) -> jax.Array:
        true = x.astype(np.bool_)
        if kept is not None:
            true = jnp.where(kept.reshape(-1, *(1,) * (x.ndim - 1)), true, every)
        return jnp.all(true, axis=0) if every else jnp.any(true, axis=0)

    return jax.tree.map(of, elements(xs))
