"""The smallest and largest element, and how many there were."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import elements
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.numbers.counts import Count
from ._words import without


def minimum() -> Fold[jax.Array]:
    """Return the fold of the smallest element; nan if any is, the dtype's largest over nothing.

    >>> import jfoundations as jf
    >>> int(jf.fold(minimum(), jnp.array([3, 1, 2])))
    1
    """
    return _extremum(_lower, _lowest, True, "minimum")


def maximum() -> Fold[jax.Array]:
    """Return the fold of the largest element; nan if any is, the dtype's smallest over nothing.

    >>> import jfoundations as jf
    >>> int(jf.fold(maximum(), jnp.array([3, 1, 2])))
    3
    """
    return _extremum(_higher, _highest, False, "maximum")


def count() -> Fold[jax.Array | Count]:
    """Return the fold that counts elements, exactly, in two words that do not saturate.

    The answer is an int64 under x64. Without, JAX has no such integers, and it is a `stats.Count`,
    whose `int()` and comparisons are exact to 2⁶⁴; its arithmetic, as in `sum() / count()`, gives
    floats.

    >>> import jfoundations as jf
    >>> int(jf.fold(count(), jnp.zeros((5, 3))))
    5
    """
    functions = (_no_count, _count_one, _add, Count.answer, _count_block)
    return Fold(*functions, block_where=_count_kept, unmerge=without, name="count")


def _extremum(pick: Any, reduce: Any, largest: bool, name: str) -> Fold[jax.Array]:
    init = partial(_bound, largest)
    each = partial(_each, pick)
    block = partial(_reduce, reduce, largest)
    return Fold(init, each, each, block=block, block_where=block, name=name)


# Functions of this module, since those of jnp cannot be pickled.
def _lower(a: Any, b: Any) -> jax.Array:
    return jnp.minimum(a, b)


def _higher(a: Any, b: Any) -> jax.Array:
    return jnp.maximum(a, b)


def _lowest(x: Any, initial: Any) -> jax.Array:
    return jnp.min(x, axis=0, initial=initial)


def _highest(x: Any, initial: Any) -> jax.Array:
    return jnp.max(x, axis=0, initial=initial)


def _each(pick: Any, a: Any, b: Any) -> Any:
    return jax.tree.map(pick, a, elements(b))


def _bound(largest: bool, like: PyTree) -> Any:
    return jax.tree.map(partial(_bound_of, largest), like)


def _bound_of(largest: bool, like: PyTree) -> jax.Array:
    """Return the dtype's greatest value, or its least: the identity of min, or of max."""
    dtype = like.dtype
    if jnp.issubdtype(dtype, jnp.inexact):
        return jnp.full(like.shape, np.inf if largest else -np.inf, dtype)
    if dtype == np.bool_:
        return jnp.full(like.shape, largest)
    info = jnp.iinfo(dtype)
    return jnp.full(like.shape, info.max if largest else info.min, dtype)


def _reduce(reduce: Any, largest: bool, xs: PyTree, kept: jax.Array | None = None) -> Any:
    def least(x: jax.Array) -> jax.Array:
        bound = _bound_of(largest, jax.ShapeDtypeStruct((), x.dtype))
        if kept is not None:
            x = jnp.where(kept.reshape(-1, *(1,) * (x.ndim - 1)), x, bound)
        return reduce(x, bound)

    return jax.tree.map(least, elements(xs))


def _no_count(like: PyTree) -> Count:
    return Count.of(0)


def _count_one(memory: Count, x: Any) -> Count:
    return memory + Count.of(1)


def _count_block(xs: PyTree) -> Count:
    return Count.of(jax.tree.leaves(xs)[0].shape[0])


def _count_kept(xs: PyTree, kept: jax.Array) -> Count:
    return Count.from_array(jnp.sum(kept, dtype=np.int32))


def _add(a: Count, b: Count) -> Count:
    return a + b
