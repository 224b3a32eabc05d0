"""The sum as a fold, kept in two words: a million blocks round no more than one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.moments.total import total
from .._kernels.sums.blocks import accumulator, counted
from ._elements import (
    Kind,
    Nan,
    Taken,
    checked,
    one,
    real_parts,
    rows_of,
    weights_in_units,
    zero_rows,
)
from ._words import Words, without


def sum(*, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the sum Σx or Σwx, elementwise; 0 over nothing.

    A block is summed as by `stats.sum`, and blocks are added in two words. Integers are summed in
    the default float: exactly up to 2**24 a block and 2**48 in all (2**53 under x64), and rounded
    once, when asked for.

    Args:
        weights: as in `mean`; all kinds give the same sum.
        nan: "propagate", or "omit" to leave nan out, elementwise.

    >>> import jfoundations as jf
    >>> blocks = [jnp.array([3e8]), jnp.array([1.0, 1.0]), jnp.array([-3e8])]
    >>> float(jf.fold(sum(), blocks)), float(jnp.sum(jnp.concatenate(blocks)))
    (2.0, 0.0)
    """
    taken = checked("sum", weights, nan)
    init, step, block = (partial(f, taken) for f in (_init, _step, _block))
    functions = (init, step, _merge, _extract, block)
    made = Fold(*functions, block_where=block, unmerge=_unmerge, name="sum")
    return leafwise(made, weighted=weights is not None)


def _block(taken: Taken, xs: PyTree, kept: jax.Array | None = None) -> tuple[Words, ...]:
    values, weights = rows_of(taken, xs, kept)
    weights, heft = weights_in_units(weights)
    parts = real_parts(values)
    return tuple(Words.of(total(v, weights, (0,), "default", heft)) for (v,) in parts)


def _init(taken: Taken, like: PyTree) -> tuple[Words, ...]:
    return _block(taken, zero_rows(like))


def _step(taken: Taken, memory: tuple[Words, ...], x: PyTree) -> tuple[Words, ...]:
    values, weights = rows_of(taken, one(x))
    terms = [v[0].astype(accumulator(v.dtype)) for (v,) in real_parts(values)]
    if weights is not None:
        weight = weights[0]
        terms = [jnp.where(counted(weight), t, 0) for t in terms]
        if jnp.issubdtype(weight.dtype, jnp.floating):
            terms = [t * weight for t in terms]
    return tuple(m.more(t) for m, t in zip(memory, terms, strict=True))


def _merge(a: tuple[Words, ...], b: tuple[Words, ...]) -> tuple[Words, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _unmerge(whole: tuple[Words, ...], part: tuple[Words, ...]) -> tuple[Words, ...]:
    return tuple(map(without, whole, part))


def _extract(memory: tuple[Words, ...]) -> jax.Array:
    parts = [m.value for m in memory]
    return parts[0] if len(parts) == 1 else lax.complex(*parts)
