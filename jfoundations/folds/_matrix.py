"""Covariance and correlation matrices of vectors as folds: a block is a matrix product."""

from __future__ import annotations

import functools
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.rounding import divide
from .._core.types import PyTree
from .._core.values import is_pytree, partial
from .._folds.fold import Fold
from .._kernels.moments.moments import coefficient
from .._kernels.moments.products import About, central_products, mirrored
from .._kernels.numbers.units import inverse_unit
from .._kernels.sample.arguments import accumulator, scalar
from .._kernels.sums.blocks import largest_within, widen
from ._elements import one, zero_rows
from ._memory import Memory, gather, merge
from ._undo import unmerge
from ._words import Words


@pytree
class _Matrix:
    """The memories of the variables, and sums of products of each two in the variables' units."""

    each: Memory
    products: Words


def cov_matrix(*, correction: float = 0) -> Fold[jax.Array]:
    """Return the fold of the covariance matrix of elements that are vectors.

    Exactly symmetric, and its diagonal is `folds.var` to the bit. Elements may be pytrees of arrays
    of any shape: their numbers, leaf after leaf, are the vector, whose entries `row_names` names.
    Where the leaves' dtypes differ, all become the widest float.

    Args:
        correction: as in `var`.

    >>> import jfoundations as jf
    >>> print(jf.fold(cov_matrix(), jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]])))
    [[2.6666667 1.3333334]
     [1.3333334 2.6666667]]
    >>> print(jf.fold(cov_matrix(), {"x": jnp.array([[1.0], [3.0]]), "n": jnp.array([4, 2])}))
    [[ 1. -1.]
     [-1.  1.]]
    """
    correction = float(scalar("folds.cov_matrix", "correction", correction))
    return of_matrix(partial(_cov, correction), "cov_matrix")


def corr_matrix() -> Fold[jax.Array]:
    """Return the fold of the matrix of Pearson's correlations of elements that are vectors.

    Exactly symmetric, in −1 … 1, with a diagonal of ones; nan in the rows and columns of constants.
    Of pytrees of arrays as `cov_matrix`.

    >>> import jfoundations as jf
    >>> print(jf.fold(corr_matrix(), jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]])))
    [[1. 1.]
     [1. 1.]]
    """
    return of_matrix(_corr, "corr_matrix")


def of_matrix(extract: Any, name: str) -> Fold[Any]:
    """Return the fold of vectors whose answer is made of the memory that all of them share."""
    functions = (_init, _step, partial(_join, merge), extract, _block)
    return Fold(*functions, block_where=_block, unmerge=partial(_join, unmerge), name=name)


def _block(xs: PyTree, kept: jax.Array | None = None) -> _Matrix:
    x = widen(vectors_of(xs))  # bools, too
    rows = None if kept is None else kept[:, None]
    each = gather((x,), None if rows is None else jnp.broadcast_to(rows, x.shape), None, 2)
    (unit,), (squares,) = each.units, each.powers
    if x.size == 0:
        return _Matrix(each, Words.of(jnp.zeros((*unit.shape, *unit.shape), unit.dtype)))
    about = _about(each.pivots[0], each.offsets[0].value, unit, x.dtype)
    products = mirrored(central_products((x,), rows, 1, about).products)
    return _Matrix(each, Words.of(_with_diagonal(products, squares.value)))


def _about(pivot: jax.Array, offset: jax.Array, unit: jax.Array, dtype: Any) -> About:
    """Return means as the kernel takes them: of integers the pivot is one."""
    if jnp.issubdtype(dtype, jnp.integer):
        info = jnp.iinfo(dtype)
        whole = jnp.clip(pivot, info.min, largest_within(dtype, pivot.dtype)).astype(dtype)
        pivot, offset = whole, offset + (pivot - whole.astype(pivot.dtype))
    inverse = inverse_unit(unit)
    return About(pivot[None], inverse[None], (offset * inverse)[None])


def vectors_of(xs: PyTree) -> jax.Array:
    """Return a block of vectors, or of trees as vectors, of shape (n, variables)."""
    return _joined(xs) if is_pytree(xs) else _vectors(xs)


def _vectors(xs: PyTree) -> jax.Array:
    if jnp.ndim(xs) != 2 or jnp.iscomplexobj(xs):
        what = "complex" if jnp.iscomplexobj(xs) else jnp.shape(xs)[1:]
        raise TypeError(
            f"this fold's elements are {what}; vectors of real numbers, of shape (variables,), or "
            "trees of real arrays are needed; make them with .of(lambda element: ...)"
        )
    return elements(xs)


def _joined(xs: PyTree) -> jax.Array:
    """Return the leaves of a block of trees side by side, of shape (n, variables)."""
    leaves = jax.tree.leaves(elements(xs))
    rows = [leaf.reshape(len(leaf), prod(leaf.shape[1:])) for leaf in leaves]
    dtypes = {row.dtype for row in rows}
    if len(dtypes) > 1:
        # of NumPy's promotion, since JAX's strict one refuses the question
        wide = functools.reduce(np.promote_types, map(accumulator, dtypes))
        rows = [row.astype(wide) for row in rows]
    return _vectors(jnp.concatenate(rows, axis=1))


def _with_diagonal(matrix: jax.Array, diagonal: jax.Array) -> jax.Array:
    return jnp.where(jnp.eye(len(diagonal), dtype=bool), diagonal[:, None], matrix)


def _init(like: PyTree) -> _Matrix:
    return _block(zero_rows(like))


def _step(memory: _Matrix, x: Any) -> _Matrix:
    return _join(merge, memory, _block(one(x)))


def _join(how: Any, a: _Matrix, b: _Matrix) -> _Matrix:
    """Merge two memories, or unmerge: each pair of variables as `folds.cov` does its own."""
    both = how(_as_pairs(a), _as_pairs(b))
    weight, *rows = jax.tree.map(
        lambda v: v[:, 0],
        (both.weight, both.pivots[:1], both.offsets[:1], both.units[:1], both.powers[:1]),
    )
    return _Matrix(Memory(weight, *rows), both.powers[2])


def _as_pairs(memory: _Matrix) -> Memory:
    each, shape = memory.each, memory.products.high.shape
    known = (each.pivots[0], each.offsets[0], each.units[0], each.powers[0])
    rows = jax.tree.map(lambda v: jnp.broadcast_to(v[:, None], shape), known)
    columns = jax.tree.map(lambda v: jnp.broadcast_to(v[None, :], shape), known)
    pivots, offsets, units, powers = zip(rows, columns, strict=True)
    weight = jax.tree.map(lambda n: jnp.broadcast_to(n[:, None], shape), each.weight)
    return Memory(weight, pivots, offsets, units, (*powers, memory.products))


def divided(correction: ArrayLike, memory: Any) -> jax.Array:
    """Return a covariance matrix in the variables' units; nan where n ≤ correction."""
    dtype = memory.each.dtype
    free = memory.each.weight.free(None, jnp.asarray(correction, dtype), dtype)[:, None]
    valid = (free > 0) & (memory.each.total > 0)[:, None]
    found = divide(memory.products.value, jnp.where(valid, free, 1))
    return jnp.where(valid, found, jnp.nan)


def _cov(correction: ArrayLike, memory: _Matrix) -> jax.Array:
    (unit,) = memory.each.units
    found = divided(correction, memory)
    # powers of two, but their product may leave the range before the answer does
    low, high = jnp.minimum(unit[:, None], unit[None, :]), jnp.maximum(unit[:, None], unit[None, :])
    return found * low * high


def _corr(memory: _Matrix) -> jax.Array:
    squares = memory.each.powers[0].value
    found = jnp.triu(coefficient(squares[:, None], squares[None, :], memory.products.value))
    return found + jnp.triu(found, 1).T
