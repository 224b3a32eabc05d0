"""Linear regression by ordinary or weighted least squares.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> x, y = jnp.array([1.0, 2.0, 3.0, 4.0]), jnp.array([3.0, 5.0, 7.5, 8.5])
>>> fit = stats.linear_fit(x, y)
>>> round(float(fit.coefficients), 4), round(float(fit.intercept), 4), round(float(fit.r2), 4)
(1.9, 1.25, 0.9757)
>>> fit.reason
'the columns are independent'
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._kernels.moments.comoments import beside, comoments
from .._kernels.moments.least_squares import LinearFit, least_squares
from .._kernels.sample.arguments import (
    PARTS,
    REAL,
    Data,
    Nan,
    Numbers,
    compiled,
    numbers,
)
from .._kernels.sample.weights import Frequency, Probability, Reliability
from .._kernels.sums.blocks import accumulator, counted
from ._matrix import check_rows, row_weights

SANDWICH = (
    "{who}: weights are Probability, whose standard errors co-moments do not give; give Frequency "
    "where a weight is a repetition, Reliability where it says how far y is to be trusted"
)


def linear_fit(
    x: Numbers,
    y: Numbers,
    *,
    intercept: bool = True,
    weights: Frequency | Reliability | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> LinearFit:
    """Return the least-squares fit of y by the columns of x and a constant: samples are rows.

    Co-moments are kept in two words, about twice the digits of the dtype, and so are the equations
    solved: nearly dependent columns cost no more digits than the numbers themselves have lost. In
    float64 all coefficients, standard errors and r² of Longley, Norris and Wampler 1 … 5, NIST's
    reference data, are right to 15 digits, but that 0 residuals are 0 to a rounding of y.

    A column that depends on those before it, as far as two roundings of its numbers can tell, is
    left out: its coefficient is 0, its error nan, and the status says so.

    Args:
        x: real array of shape (n, p), or (n,) for one column.
        y: real array of shape (n,). Integers are exact where x and y are of one type of them; else
            both become the wider float.
        intercept: whether to fit a constant too. Without one, r² is of squares about 0.
        weights: `Frequency` weights or a bare array of them, of shape (n,): repetitions; or
            `Reliability` weights, inverse variances on any scale. The errors' degrees of freedom
            are Σw − p − 1 of the first, and of the others as many rows as have one, less p + 1.
            Weight 0 is deletion, even of nan; negative weights give nan.
        where: a bool array of shape (n,): which rows there are.
        nan: "propagate", or "omit" to drop every row that holds a nan.

    Returns:
        A `LinearFit`, a pytree, in the inputs' floating dtype.

    Raises:
        TypeError: x or y hold no real numbers, or `where` no bools; weights are `Probability`.
        ValueError: shapes do not fit.

    Sources: Longley (1967), "An appraisal of least squares programs for the electronic computer";
    Goodnight (1979), "A tutorial on the SWEEP operator".

    A line through the origin, of rows that count twice:

    >>> fit = linear_fit([1.0, 2.0], [2.0, 5.0], intercept=False, weights=[2, 2])
    >>> round(float(fit.coefficients), 4), float(fit.freedom)
    (2.4, 3.0)
    """
    x, y = (numbers("linear_fit", name, v) for name, v in (("x", x), ("y", y)))
    for name, v in (("x", x), ("y", y)):
        if jnp.iscomplexobj(v):
            raise TypeError(f"linear_fit: {name} is complex, {REAL}; {PARTS.format(name=name)}")
    if x.ndim not in (1, 2) or y.ndim != 1:
        raise ValueError(
            f"linear_fit: x has shape {x.shape} and y {y.shape}; (samples, columns) or (samples,), "
            "and (samples,), are needed; fit several y by jax.vmap"
        )
    if nan not in ("propagate", "omit"):
        raise ValueError(f"linear_fit: nan is {nan!r}; it must be 'propagate' or 'omit'")
    if isinstance(weights, Probability):
        raise TypeError(SANDWICH.format(who="linear_fit"))
    columns = x if x.ndim == 2 else x[:, None]
    data = check_rows("linear_fit", columns, y[:, None], weights, where, nan)
    return _core(data, intercept=bool(intercept), single=x.ndim == 1, nan=nan)


@compiled("intercept", "single")
def _core(data: Data, *, intercept: bool, single: bool, nan: Nan) -> LinearFit:
    rows = beside(*data.values)
    call, dtype = row_weights(data, nan, 0), accumulator(rows.dtype)
    whole = jnp.issubdtype(rows.dtype, jnp.integer)
    weights = None if call.weights is None else call.weights[:, 0]
    if weights is None:
        size = jnp.full_like(rows, len(rows), dtype, shape=())
    elif isinstance(data.weights, Reliability) or weights.dtype == np.bool_:
        # of a constant the compiler would find the sum itself, slowly
        hidden = lax.optimization_barrier(weights)
        size = jnp.sum(counted(hidden), dtype=np.int32).astype(dtype)
    else:
        size = jnp.sum(weights) * call.weight_unit
    if call.weight_unit is not None:
        weights = weights * call.weight_unit
    fit = least_squares(
        comoments(rows, weights), size, intercept=intercept, single=single, whole=whole
    )
    x, y = (v.dtype for v in data.values)
    dtype = x if x == y and jnp.issubdtype(x, jnp.floating) else dtype
    narrow = jax.tree.map(lambda v: v.astype(dtype), fit)
    return dataclasses.replace(narrow, status=fit.status)
