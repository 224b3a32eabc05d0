"""Principal components of a covariance matrix, with signs that do not depend on the solver."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from ..._core.pytrees import pytree
from .comoments import in_units


@pytree
class Components:
    """Principal components, the one of the largest variance first.

    The entry of a component that is largest in size, the first of equal ones, is positive.

    Attributes:
        mean: of the samples, (p,).
        components: one a row, of length 1, (k, p).
        variances: of the samples along each, (k,).
        ratios: what share of all variance that is, (k,); nan of constants.
        bound: by how much the variance along any direction may be too small: 0 but of sketches.
    """

    mean: Array
    components: Array
    variances: Array
    ratios: Array
    bound: Array


def principal(covariance: Array, units: Array, mean: Array, count: int) -> Components:
    """Return the components of a covariance matrix.

    Args:
        covariance: (p, p), in units of the variables.
        units: (p,), powers of two.
        mean: (p,).
        count: how many.
    """
    unit = jnp.max(units)
    ratio = units / unit
    values, vectors = jnp.linalg.eigh(in_units(covariance, ratio), symmetrize_input=False)
    values = jnp.maximum(values[::-1], 0)
    rows = signed(vectors.T[::-1][:count])
    share = values / jnp.sum(values)
    bound = jnp.zeros_like(unit)
    return Components(mean, rows, values[:count] * unit * unit, share[:count], bound)


def signed(rows: Array) -> Array:
    """Return rows whose largest entries are positive."""
    place = jnp.argmax(jnp.abs(rows), axis=1, keepdims=True)
    return jnp.where(jnp.take_along_axis(rows, place, 1) < 0, -rows, rows)
