"""The logarithm of a sum of exponentials."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.sample.arguments import accumulator
from .._kernels.sums.blocks import counted
from ._elements import Kind, Nan, Taken, checked, one, rows_of, zero_rows
from ._words import Words


@pytree
class Exponentials:
    """Σw·exp(x − top), in two words."""

    top: jax.Array
    total: Words


def logsumexp(*, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of log Σexp(x) or log Σw·exp(x), elementwise; −inf over nothing.

    Exponentials are taken of what is left to the largest x, so none overflows, as
    `jax.nn.logsumexp` has it. Its error is some roundings of 1 plus one of the answer.

    Args:
        weights: as in `mean`; all kinds give the same sum.
        nan: "propagate", or "omit" to leave nan out, elementwise.

    Raises:
        TypeError: when it is run, if the elements are complex.

    >>> import jfoundations as jf
    >>> float(jf.fold(logsumexp(), [jnp.array([1000.0]), jnp.array([1000.0])])) - 1000
    0.69...
    """
    taken = checked("logsumexp", weights, nan)
    init, step, block = (partial(f, taken) for f in (_none, _add, _sum))
    made = Fold(init, step, _join, _log, block, block_where=block, name="logsumexp")
    return leafwise(made, weighted=weights is not None)


def _sum(taken: Taken, xs: PyTree, kept: jax.Array | None = None) -> Exponentials:
    (x,), weights = rows_of(taken, xs, kept)
    if jnp.iscomplexobj(x):
        raise TypeError("folds.logsumexp: the elements are complex; give real ones: .of(jnp.real)")
    x = x.astype(accumulator(x.dtype))
    if weights is not None:
        x = jnp.where(counted(weights), x, -np.inf)
    floats = None if weights is None or weights.dtype == np.bool_ else weights
    sizes = lax.stop_gradient(
        x if floats is None else x + jnp.log(jnp.where(floats > 0, floats, 1))
    )
    top = jnp.max(sizes, axis=0, initial=-np.inf)
    rest = x - _finite(top)[None]
    if floats is None:
        terms = jnp.exp(rest)
    else:  # half of the way at a time: a weight may be as large or small as any number
        half = jnp.exp(rest / 2)
        terms = jnp.where(counted(floats), half * floats * half, 0)
    return Exponentials(top, Words.of(jnp.sum(terms, axis=0)))


def _none(taken: Taken, like: PyTree) -> Exponentials:
    return _sum(taken, zero_rows(like))


def _add(taken: Taken, memory: Exponentials, x: PyTree) -> Exponentials:
    return _join(memory, _sum(taken, one(x)))


def _join(a: Exponentials, b: Exponentials) -> Exponentials:
    top = jnp.maximum(a.top, b.top)
    x, y = (m.total.times(_factor(m.top, top)) for m in (a, b))
    return Exponentials(top, x + y)


def _factor(old: jax.Array, new: jax.Array) -> jax.Array:
    return jnp.where(old == -np.inf, 0, jnp.exp(_finite(old) - _finite(new)))


def _finite(top: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(top), top, 0)


def _log(memory: Exponentials) -> jax.Array:
    return jnp.log(memory.total.value) + _finite(memory.top)
