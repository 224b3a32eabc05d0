"""The largest elements."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._core.checks import check_count
from .._core.inputs import elements
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.sums.one_read import bounds


def top_k(k: int) -> Fold[jax.Array]:
    """Return the fold of the k largest elements, elementwise, the largest first.

    The answer has a leading axis of k. Where fewer elements were seen, the dtype's least value
    fills it: −inf of floats. nan is larger than all. The smallest are
    `top_k(k).of(jnp.negative).map(jnp.negative)`, of integers and bools with `jnp.invert`. An
    element may be a pytree of arrays.

    Args:
        k: a Python int ≥ 1.

    Raises:
        TypeError: k is no int; or, when it is run, the elements are complex.

    >>> import jfoundations as jf
    >>> jf.fold(top_k(2), [jnp.array([3, 1]), jnp.array([2, 7])]).tolist()
    [7, 3]
    """
    k = check_count(k, "k", "folds.top_k", least=1)
    init, step, block = (partial(f, k) for f in (_init, _step, _block))
    return leafwise(Fold(init, step, _merge, block=block, block_where=block, name="top_k"))


def _init(k: int, like: PyTree) -> jax.Array:
    if jnp.issubdtype(like.dtype, jnp.complexfloating):
        raise TypeError("folds.top_k: the elements are complex, which have no order; of(jnp.abs)")
    return jnp.full((k, *like.shape), bounds(like.dtype)[1])


def _step(k: int, memory: jax.Array, x: PyTree) -> jax.Array:
    return _largest(k, jnp.concatenate([memory, elements(x)[None]]))


def _merge(a: jax.Array, b: jax.Array) -> jax.Array:
    return _largest(len(a), jnp.concatenate([a, b]))


def _block(k: int, xs: PyTree, kept: jax.Array | None = None) -> jax.Array:
    xs = elements(xs)
    least = _init(k, jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype))
    if kept is not None:
        xs = jnp.where(kept.reshape(-1, *(1,) * (xs.ndim - 1)), xs, least[0])
    return _largest(k, jnp.concatenate([xs, least]))


def _largest(k: int, x: jax.Array) -> jax.Array:
    if x.dtype == jnp.bool_:
        return _largest(k, x.astype(jnp.int32)).astype(jnp.bool_)
    if jnp.issubdtype(x.dtype, jnp.inexact):  # one nan: by its sign it may be below all
        x = jnp.where(jnp.isnan(x), jnp.nan, x)
    found = lax.top_k(jnp.moveaxis(x, 0, -1), k)[0]
    return jnp.moveaxis(found, -1, 0)
