"""Least squares from co-moments, by sweeps in two words.

To sweep a column out of the matrix of co-moments leaves coefficients, the inverse and the squares
of what is not explained, side by side. A column of which no more is left than rounding may have
left is not swept: it depends on those before it.

Source: Goodnight (1979), "A tutorial on the SWEEP operator".
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from ..._core.compat import vary_as
from ..._core.pytrees import pytree
from ..._core.rounding import divide
from ..numbers.two_words import Pair, each, multiply, one_word, over
from ..numbers.units import binary_unit, inverse_unit
from .comoments import Comoments, in_units, minus, outer, plus
from .moments import root

ROUNDED = 2  # roundings of its numbers, of which a column may be made without being one of its own
REASONS = (
    "the columns are independent",
    "a column depends on those before it",
    "there are no more rows than coefficients",
    "a number is not finite",
)


@pytree
class LinearFit:
    """What least squares found: ``x @ coefficients + intercept`` is near y.

    Attributes:
        coefficients: of the shape of a sample's x. A column that depends on those before it has 0.
        errors: their standard errors; nan for such a column.
        intercept: a scalar; 0 where none was asked for.
        intercept_error: the intercept's standard error; 0 where none was asked for.
        r2: the share of y's variation that is explained; nan of a constant y.
        deviation: the standard deviation of the residuals.
        freedom: the degrees of freedom that are left, a float.
        status: an int32: 0 where the columns are independent; 1 where one depends on those before
            it; 2 where there are no more rows than coefficients, so that the errors are nan; 3
            where a number is not finite, and all is nan. The largest holds.
    """

    coefficients: Array
    errors: Array
    intercept: Array
    intercept_error: Array
    r2: Array
    deviation: Array
    freedom: Array
    status: Array

    @property
    def reason(self) -> str:
        """What the status says, of one fit that is no tracer."""
        return REASONS[int(self.status)]

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)}" for f in dataclasses.fields(self))
        return f"LinearFit({', '.join(shown)})"


def least_squares(
    sums: Comoments, size: Array, *, intercept: bool, single: bool, whole: bool
) -> LinearFit:
    """Fit the last column by the others.

    Args:
        sums: of x's columns and y.
        size: how many observations there are.
        intercept: whether a constant is fitted too.
        single: whether x is a number: its coefficient then is one.
        whole: whether all are integers, of which nothing was rounded before deviations.
    """
    matrix = sums.products
    if not intercept:
        matrix = plus(matrix, multiply(outer(sums.means, sums.means), sums.weight))
    # each column in units of its own spread
    spread = binary_unit(root(jnp.diagonal(matrix[0])))
    inverse = inverse_unit(spread)
    matrix = each(lambda v: in_units(v, inverse), matrix)
    means = each(lambda v: v * inverse, sums.means)
    sizes = jnp.diagonal(matrix[0])
    if intercept and not whole:  # about 0
        sizes = sizes + means[0] * means[0] * sums.weight[0]
    words, swept = _swept(matrix, means, sums.weight, sizes, intercept)
    found, first, unit = one_word(words), int(intercept), spread * sums.units
    free = size - jnp.sum(swept, dtype=np.int32).astype(size.dtype)
    some = free > 0
    rest = jnp.maximum(found[-1, -1], 0)
    square = jnp.where(some, divide(rest, jnp.where(some, free, 1)), jnp.nan)
    # the constant's unit is 1
    scale = unit[-1] / jnp.pad(unit[:-1], (first, 0), constant_values=1)
    scale = jnp.where(swept, scale, 1)  # of a column of zeros there may be no float
    values = jnp.where(swept, found[:-1, -1], 0) * scale
    errors = jnp.where(swept, root(square * jnp.diagonal(found)[:-1]), jnp.nan) * scale
    explained, varied = plus(each(_last, matrix), minus(each(_last, words))), matrix[0][-1, -1]
    r2 = divide(one_word(explained), jnp.where(varied > 0, varied, 1))
    status = jnp.where(some, 1 - jnp.all(swept).astype(np.int32), 2)
    finite = jnp.all(jnp.isfinite(one_word(matrix))) & jnp.isfinite(one_word(sums.weight))
    known = finite & (size > 0)

    def shown(v: Array) -> Array:
        return jnp.where(known, v, jnp.nan)

    slopes, slope_errors = ((v[0] if single else v) for v in (values[first:], errors[first:]))
    zero = jnp.zeros_like(size)
    return LinearFit(
        coefficients=shown(slopes),
        errors=shown(slope_errors),
        intercept=shown(values[0] if intercept else zero),
        intercept_error=shown(errors[0] if intercept else zero),
        r2=shown(jnp.where(varied > 0, r2, jnp.nan)),
        deviation=shown(root(square) * unit[-1]),
        freedom=shown(free),
        status=jnp.where(finite, status, 3).astype(np.int32),
    )


def _last(matrix: Array) -> Array:
    return matrix[-1, -1]


def _swept(
    matrix: Pair, means: Pair, weight: Pair, sizes: Array, intercept: bool
) -> tuple[Pair, Array]:
    """Sweep all columns but the last out of a matrix, and tell which were.

    Args:
        matrix: central co-moments, (q, q).
        means: the columns' means, (q,).
        weight: the sum of weights.
        sizes: for each column the sum of squares that its rounding is of.
        intercept: whether there is a constant before them: means are what its sweep leaves.
    """
    noise = (ROUNDED * jnp.finfo(sizes.dtype).eps / 2) ** 2
    one = (jnp.ones_like(weight[0]), jnp.zeros_like(weight[0]))
    if intercept:
        corner = over(one, weight)
        words = zip(corner, means, minus(means), matrix, strict=True)
        high, low = (
            jnp.block([[c[None, None], row[None]], [column[:, None], rest]])
            for c, row, column, rest in words
        )
        matrix, sizes = (high, low), jnp.pad(sizes, (1, 0))
    q = len(sizes)
    places = np.arange(q)

    def sweep(k: Array, carry: tuple[Pair, Array]) -> tuple[Pair, Array]:
        (a, swept), mine = carry, places == k
        row, pivot = each(lambda v: v[k], a), each(lambda v: v[k, k], a)
        # x_k less b x of those swept: so much may the rounding of all of these have left
        rounded = sizes[k] + jnp.sum(jnp.where(swept, row[0] * row[0] * sizes, 0))
        there = pivot[0] > noise * rounded
        corner = over(one, pivot)
        shares = multiply(row, corner)
        # symmetric, but for the signs of what is swept
        column = each(lambda v: jnp.where(swept, -v, v), row)
        rest = plus(a, minus(outer(column, shares)))

        def placed(old: Array, rest: Array, shares: Array, corner: Array) -> Array:
            new = jnp.where(mine[None], jnp.where(swept, shares, -shares)[:, None], rest)
            new = jnp.where(mine[:, None], jnp.where(mine, corner, shares)[None], new)
            return jnp.where(there, new, old)

        high, low = (placed(*words) for words in zip(a, rest, shares, corner, strict=True))
        return (high, low), swept | (mine & there)

    first = int(intercept)
    start = vary_as((matrix, jnp.asarray(places < first)), matrix)
    found, swept = lax.fori_loop(first, q - 1, sweep, start)
    return found, swept[:-1]
