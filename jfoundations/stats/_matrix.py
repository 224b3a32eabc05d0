"""Covariance and correlation matrices of variables, one a column.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> print(stats.cov_matrix(jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]])))
[[2.6666667 1.3333334]
 [1.3333334 2.6666667]]

A row that is hidden, weightless or, with `nan="omit"`, not complete, is dropped whole:

>>> x = jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0], [jnp.nan, 0.0]])
>>> print(stats.corr_matrix(x, nan="omit"))
[[1. 1.]
 [1. 1.]]
"""

from __future__ import annotations

import functools
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .._core.rounding import divide
from .._kernels.moments.formulas import Call, alike
from .._kernels.moments.moments import complex_coefficient
from .._kernels.moments.pairwise import pairwise_products
from .._kernels.moments.products import central_products, correlations, mirrored
from .._kernels.numbers.units import binary_unit, inverse_unit
from .._kernels.sample.arguments import (
    Data,
    Nan,
    Numbers,
    accumulator,
    answer,
    compiled,
    numbers,
    scalar,
)
from .._kernels.sample.weights import Frequency, Weights, free_in_units
from .._kernels.sums.blocks import counted


def cov_matrix(
    x: Numbers,
    y: Numbers | None = None,
    *,
    correction: ArrayLike = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan | Literal["pairwise"] = "propagate",
) -> Array:
    """Return the covariance matrix of x's columns, or of x's columns with y's: samples are rows.

    The matrix of x alone is exactly symmetric (Hermitian, if x is complex). A constant column
    gives exactly 0, and adding to a column what can be added exactly changes no bit. Entry (i, j)
    is `cov(x[:, i], x[:, j])` and the diagonal `var(x, axis=0)`, to rounding: they are summed in
    another order. An entry's error, relative to both deviations, is some √n u for ordinary data,
    with n no more than the rows of a block, 4096, of large arrays; of eleven hard designs of 2**18
    rows in float32 6.0 digits are left at worst.

    Args:
        x: real or complex array of shape (n, p); bool and int become the default float.
        y: None, or an array of shape (n, q): then only the covariances of x with y are computed,
            which are the upper right part of the matrix of both, to rounding.
        correction: 0 for the population, 1 for the unbiased estimate; see the weights.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, of shape (n,) or (n, 1): one a row. Weight 0 is deletion, even of nan;
            negative weights give nan.
        where: a bool array of shape (n,), (n, 1) or x's shape: which rows there are, listwise: a
            row with any hidden element is dropped whole, but with `nan="pairwise"`, where an
            element of x is hidden alone.
        nan: "propagate", or "omit" to drop every row that holds a nan, listwise, so that the
            matrix stays positive semi-definite; or "pairwise", as `pandas.DataFrame.cov` has it:
            each entry is of the rows where both its variables are known, and an error is relative
            to the squares of these about the mean of all that is known of each.

    Returns:
        An array of shape (p, p) or (p, q) in the inputs' floating dtype; nan where n ≤ correction
        or n = 0.

    Raises:
        TypeError: x, y or the weights hold no numbers, or `where` no bools.
        ValueError: x or y has not two dimensions, or their rows differ in number; weights or
            `where` do not fit the rows.

    Source: sums of products about pivots, as by Chan, Golub and LeVeque (1983), "Algorithms for
    computing the sample variance"; a second pass where the first says that it lost digits.

    >>> float(cov_matrix(jnp.array([[1.0], [3.0]]), correction=1)[0, 0])
    2.0
    """
    data = check_rows("cov_matrix", x, y, weights, where, nan)
    correction = scalar("cov_matrix", "correction", correction)
    return _core(data, correction, correlate=False, nan=nan)


def corr_matrix(
    x: Numbers,
    y: Numbers | None = None,
    *,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan | Literal["pairwise"] = "propagate",
) -> Array:
    """Return Pearson's correlations of x's columns, or of x's columns with y's: samples are rows.

    No entry's size is above 1 (of complex data, by more than a rounding). The matrix of x alone is
    exactly symmetric (Hermitian, if x is complex) with a diagonal of ones. Columns multiplied by
    powers of two give the same bits.

    Args:
        x: real or complex array of shape (n, p); bool and int become the default float.
        y: None, or an array of shape (n, q): then only the correlations of x with y are computed.
        weights: `Frequency`, `Reliability` or `Probability` weights, or a bare array of
            frequencies, of shape (n,) or (n, 1): one a row. Weight 0 is deletion, even of nan;
            negative weights give nan.
        where: a bool array of shape (n,), (n, 1) or x's shape: which rows there are, listwise: a
            row with any hidden element is dropped whole, but with `nan="pairwise"`, where an
            element of x is hidden alone.
        nan: "propagate", or "omit" to drop every row that holds a nan, listwise; or "pairwise", as
            `pandas.DataFrame.corr` has it: each entry is of the rows where both its variables are
            known, nan where one of them does not vary in these rows, to rounding.

    Returns:
        An array of shape (p, p) or (p, q) in the inputs' floating dtype; nan in the rows and
        columns of variables that are constant or empty.

    Raises:
        TypeError: x, y or the weights hold no numbers, or `where` no bools.
        ValueError: x or y has not two dimensions, or their rows differ in number; weights or
            `where` do not fit the rows.

    >>> print(corr_matrix(jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 10.0]])))
    [[1. 1.]
     [1. 1.]]
    """
    data = check_rows("corr_matrix", x, y, weights, where, nan)
    return _core(data, 0, correlate=True, nan=nan)


def check_rows(
    who: str,
    x: Numbers,
    y: Numbers | None,
    weights: Weights | Numbers | None,
    where: Numbers | None,
    nan: str,
) -> Data:
    """Return matrices of equally many rows, with weights and where as columns."""
    values = [numbers(who, name, v) for name, v in (("x", x), ("y", y)) if v is not None]
    for name, v in zip("xy", values, strict=False):
        if v.ndim != 2:
            raise ValueError(
                f"{who}: {name} has shape {v.shape}, (samples, variables) is needed; reshape it, "
                "or use cov or corr for pairs"
            )
    n = values[0].shape[0]
    if any(v.shape[0] != n for v in values):
        said = " and ".join(f"{k} has shape {v.shape}" for k, v in zip("xy", values, strict=True))
        raise ValueError(f"{who}: {said}; they need equally many rows, one a sample")
    if nan not in ("propagate", "omit", "pairwise"):
        raise ValueError(f"{who}: nan is {nan!r}; it must be 'propagate', 'omit' or 'pairwise'")
    if nan == "pairwise" and any(map(jnp.iscomplexobj, values)):
        raise TypeError(f"{who}: nan='pairwise' is of real data; give the parts, or nan='omit'")
    if weights is not None:
        kind = type(weights) if isinstance(weights, Weights) else Frequency
        array = numbers(who, "weights", getattr(weights, "values", weights))
        if jnp.iscomplexobj(array):
            raise TypeError(f"{who}: weights are complex; give real ones")
        weights = kind(_fits(who, "weights", array, [(n,), (n, 1)]))
    if where is not None:
        where = _fits(who, "where", numbers(who, "where", where), [(n,), (n, 1), values[0].shape])
        if where.dtype != np.bool_:
            raise TypeError(
                f"{who}: where has dtype {where.dtype}, a bool array is needed; "
                "rows that count more or less are weights="
            )
    return Data(tuple(values), weights, where)


def _fits(who: str, name: str, array: Array, shapes: list[tuple[int, ...]]) -> Array:
    if array.shape not in shapes:
        said = " or ".join(map(str, dict.fromkeys(shapes)))
        raise ValueError(f"{who}: {name} has shape {array.shape}, {said} is needed: one a row")
    return array


@compiled("correlate")
def _core(data: Data, correction: ArrayLike, *, correlate: bool, nan: str) -> Array:
    is_complex = any(map(jnp.iscomplexobj, data.values))
    shape = data.values[0].shape[1], data.values[-1].shape[1]
    dtype = accumulator(functools.reduce(jnp.promote_types, (v.dtype for v in data.values)))
    if 0 in (data.values[0].shape[0], *shape):
        return answer(jnp.full(shape, jnp.nan, dtype), data, (), False)
    if nan == "pairwise":
        value = _pairwise(data, correction, correlate)
        return answer(value if len(data.values) == 2 else mirrored(value), data, (), False)
    call = row_weights(data, nan, correction)
    values = data.values
    if is_complex:  # real parts beside imaginary ones
        values = [jnp.concatenate([v.real, jnp.imag(v)], axis=1) for v in values]
    found = central_products(alike(values), call.weights, 2 if is_complex else 1)
    squares, units, parts = found.squares, [a.unit for a in found.about], [found.products]
    if is_complex:  # E z conj(v), from the parts of both
        products = mirrored(found.products) if len(values) == 1 else found.products
        left, right = jnp.split(products, [shape[1]], axis=1)
        (a, c), (b, d) = jnp.split(left, 2), jnp.split(right, 2)
        parts = [a + d, c - b]
        squares = [jnp.add(*jnp.split(q, 2, axis=1)) for q in squares]
        units = [u[:, : u.shape[1] // 2] for u in units]
    if correlate:
        form = complex_coefficient if is_complex else correlations
        # in units of the weight: a root of twice a number has other digits
        rows = np.asarray(data.values[0].shape[0], found.total.dtype)
        if call.weights is None:  # then the total is known to the program
            light = float(0.5 ** (np.frexp(rows)[1] - 1))
        else:
            light = inverse_unit(binary_unit(found.total))
        parts = [p * light for p in parts]
        value = form(squares[0].T * light, squares[-1] * light, _join_parts(parts))
    else:
        free = positive(call.free(found.total, correction), found.total)
        value = _join_parts([_times(divide(p, free), units[0].T, units[-1]) for p in parts])
    value = value if len(data.values) == 2 else mirrored(value)
    return answer(value, data, (), False)


def _join_parts(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else lax.complex(*parts)


def _pairwise(data: Data, correction: ArrayLike, correlate: bool) -> Array:
    """Return a matrix of which each entry is of the rows where both its variables are known."""
    values = alike(data.values)
    rows = data.where is None or data.where.ndim == 1 or data.where.shape[1] == 1
    call = row_weights(data if rows else data._replace(where=None), "propagate", correction)
    weights: Array | None = call.weights
    known = [~jnp.isnan(v) if jnp.issubdtype(v.dtype, jnp.floating) else v == v for v in values]
    if data.where is not None and not rows:
        known[0] &= jnp.asarray(data.where)
    if weights is not None:
        known = [k & counted(weights) for k in known]
        weights = None if weights.dtype == np.bool_ else weights
    found = pairwise_products(values, tuple(known), weights)
    if correlate:
        return correlations(*found.squares, found.products)
    unit = jnp.ones_like(found.total) if call.weight_unit is None else call.weight_unit
    free = free_in_units(data.weights, unit, found.total, found.trusted, found.rows, correction)
    value = found.products / positive(free, found.total)
    return _times(value, found.units[0].T, found.units[-1])


def _times(value: Array, u: Array, v: Array) -> Array:
    # the larger first: what is in units is at most of the size of one
    return value * jnp.maximum(u, v) * jnp.minimum(u, v)


def positive(free: Array, total: Array) -> Array:
    return jnp.where((free > 0) & (total > 0), free, jnp.nan)


def row_weights(data: Data, nan: str, correction: ArrayLike) -> Call:
    """Return how much each row counts, (n, 1): None, bools or floats ≥ 0, and what rows leave."""

    def column(v: Array) -> Array:
        return v.reshape(len(v), -1)

    keep = None if data.where is None else jnp.all(column(data.where), axis=1, keepdims=True)
    for value in data.values if nan == "omit" else ():
        if jnp.issubdtype(value.dtype, jnp.inexact):
            known = ~jnp.any(jnp.isnan(value), axis=1, keepdims=True)
            keep = known if keep is None else keep & known
    weights = data.weights
    weights = None if weights is None else type(weights)(column(jnp.asarray(weights.values)))
    column_alone = Data(tuple(v[:, :1] for v in data.values), weights, keep)
    return Call.of(column_alone, "propagate", (0, 1), correction)
