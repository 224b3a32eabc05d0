"""Covariance and correlation matrices: products of shifted rows, blockwise, upper tiles only.

Rows are shifted by a data value a column, in blocks that fit the cache, so no centred copy of the
data is written. The diagonal comes from the kernel, so it is the variance to the bit.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> print(stats.cov_matrix(jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]])))
[[2.6666667 1.3333334]
 [1.3333334 2.6666667]]
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ._arguments import accumulator, numbers
from ._blocks import Segment, block_pivots, widen
from ._certificate import LOST_BITS
from ._forms import coefficient
from ._kernel import moments
from ._moments import weight_in
from ._rounding import divide

BLOCK = (
    2**17
)  # numbers in a block of rows: half a megabyte of float32, a share of the second-level cache


def cov_matrix(x: Any, *, correction: Any = 0) -> Array:
    """Return the covariance matrix of variables: samples along axis 0, variables last.

    Exactly symmetric, and its diagonal is `var(x, axis=0)` to the bit.

    Args:
        x: real array of shape (n, variables); bool and int become the default float.
        correction: 0 for the population, 1 for the unbiased estimate.

    Returns:
        An array of shape (variables, variables) in x's floating dtype; nan where n ≤ correction.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: x has not two dimensions.

    >>> float(cov_matrix(jnp.array([[1.0], [3.0]]), correction=1)[0, 0])
    2.0
    """
    return _cov_matrix(_checked("cov_matrix", x), correction)


def corr_matrix(x: Any) -> Array:
    """Return the matrix of Pearson's correlations: samples along axis 0, variables last.

    Exactly symmetric, in −1 … 1, with a diagonal of ones, also for variables of any scale.

    Args:
        x: real array of shape (n, variables); bool and int become the default float.

    Returns:
        An array of shape (variables, variables) in x's floating dtype; nan in the rows and columns
        of variables that are constant.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: x has not two dimensions.

    >>> print(corr_matrix(jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]])))
    [[1. 1.]
     [1. 1.]]
    """
    return _corr_matrix(_checked("corr_matrix", x))


def _checked(who: str, x: Any) -> Array:
    x = numbers(who, "x", x)
    if jnp.iscomplexobj(x):
        raise TypeError(f"{who}: x is complex, real numbers are needed")
    if x.ndim != 2:
        raise ValueError(
            f"{who}: x has shape {x.shape}, (samples, variables) is needed; reshape it, or use "
            "cov or corr for pairs"
        )
    return x.astype(np.int32) if x.dtype == np.bool_ else x


@jax.jit
def _cov_matrix(x: Array, correction: Any) -> Array:
    products, n = _central_products(x)
    free = n - jnp.asarray(correction, n.dtype)
    found = jnp.where(free > 0, divide(products, jnp.where(free > 0, free, 1)), jnp.nan)
    return found.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else found


@jax.jit
def _corr_matrix(x: Array) -> Array:
    values = _unit_scale(x)
    products, _ = _central_products(values)
    squares = jnp.diagonal(products)
    found = jnp.triu(coefficient(squares[:, None], squares[None, :], products))
    found = found + jnp.triu(found, 1).T
    return found.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else found


def _unit_scale(x: Array) -> Array:
    """Return floating data times a power of two a column, which brings squares into range."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x
    x = x.astype(accumulator(x.dtype))
    size = jnp.max(jnp.abs(x), axis=0, initial=0)
    _, exponent = jnp.frexp(jnp.where(jnp.isfinite(size), size, 1))
    half = exponent // 2  # in two steps: one factor alone may overflow
    return jnp.ldexp(jnp.ldexp(x, -half[None, :]), -(exponent - half)[None, :])


def _central_products(x: Array) -> tuple[Array, Array]:
    """Return (M, n): sums of products of deviations over rows, and n as a float."""
    return _smooth(x) if jnp.issubdtype(x.dtype, jnp.inexact) else _products(x)


@jax.custom_jvp
def _smooth(x: Array) -> tuple[Array, Array]:
    return _products(x)


@_smooth.defjvp
def _tangents(primals: Any, tangents: Any) -> Any:
    # M = EᵀE with E the deviations, so dM = Eᵀdx + (Eᵀdx)ᵀ: the mean's own move drops out.
    (x,), (move,) = primals, tangents
    found = matrix, n = _smooth(x)
    wide = x.astype(matrix.dtype)
    rest = wide - lax.stop_gradient(wide[:1])
    half = _gram(rest - jnp.mean(rest, axis=0, keepdims=True), move.astype(matrix.dtype))
    return found, (half + half.T, jnp.zeros_like(n))


def _products(x: Array) -> tuple[Array, Array]:
    memory: Any = moments(x, (0,), 2)
    n = weight_in(memory.weight, memory.m2.dtype)
    rows, columns = x.shape
    if rows == 0 or columns == 0:
        return jnp.zeros((columns, columns), memory.m2.dtype), jnp.asarray(rows, memory.m2.dtype)
    n = n[0]
    values = widen(x).astype(memory.m2.dtype)
    first = block_pivots(values[None], None, values[None, 0], Segment(0, 1, rows, 1))[0, 0]
    sums = _about(values, first)
    # The certificate as for variances: where a shift by a value costs digits, shift by the mean.
    lossy = jnp.any(sums[0] > 2**LOST_BITS * memory.m2)
    matrix = lax.cond(
        lossy,
        lambda: _corrected(_about(values, memory.pivot + memory.offset), rows),
        lambda: _corrected(sums, rows),
    )
    upper = jnp.triu(matrix, 1)
    return upper + upper.T + jnp.diag(memory.m2), n


def tile_width(columns: int) -> int:
    """Choose the tiles: wide for the matrix unit, narrow to leave out most of the lower half."""
    return columns if columns <= 64 else max(64, -(-columns // 4 // 64) * 64)


def _corrected(sums: tuple[Array, Array, Array], rows: int) -> Array:
    _, products, first = sums
    # M = P - s s / n
    return products - first[:, None] * (first / rows)[None, :]


def _about(x: Array, pivot: Array) -> tuple[Array, Array, Array]:
    """Sum squares, products (upper tiles) and deviations about a pivot."""
    rows, columns = x.shape
    width, size = tile_width(columns), max(1, min(rows, max(256, BLOCK // columns)))

    def add(state, block):
        tiles, total = state
        d = block - pivot[None, :]
        gram = lambda j: _gram(d[:, j : j + width], d[:, j:])  # noqa: E731
        return [
            t + gram(j) for t, j in zip(tiles, range(0, columns, width), strict=True)
        ], total + jnp.sum(d, 0)

    zeros = [
        jnp.zeros((min(width, columns - j), columns - j), x.dtype) for j in range(0, columns, width)
    ]
    state = (zeros, jnp.zeros(columns, x.dtype))
    step = lambda i, s: add(s, lax.dynamic_slice_in_dim(x, i * size, size))  # noqa: E731
    state = lax.fori_loop(0, rows // size, step, state)
    if rows % size:
        state = add(state, x[rows - rows % size :])
    tiles, total = state
    padded = [jnp.pad(t, ((0, 0), (columns - t.shape[1], 0))) for t in tiles]
    products = jnp.concatenate(padded)
    return jnp.diagonal(products), products, total


def _gram(a: Array, b: Array) -> Array:
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)
