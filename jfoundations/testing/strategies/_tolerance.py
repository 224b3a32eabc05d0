"""How far rounding may take a sound statistic, from what its data's spread says of them.

A sum of squares about a pivot, q, is the sum about the mean, M2, and what the pivot adds. Their
ratio κ = q / M2 says how many digits the shift may cost, and the relative error is at most
(3h + 8)·u·κ, with u the unit roundoff and h the additions in a row. By Samuelson's inequality κ is
at most n where the pivot is one of the data.

So data with an outlier, an offset or two values raise no false alarm, and where κ is near 1 an
error of a few hundred units in the last place is one.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

ROW = 256  # a sum of many is made of rows of so many at most, and a tree of them


def tolerance(
    dtype: DTypeLike | None, n: int, kappa: float = 1.0, *, height: int | None = None
) -> float:
    """Return the relative error that rounding may leave in a sound variance: (3h + 8)·u·κ.

    Sound is what subtracts one of the data first, or corrects for what its mean is off by.

    Args:
        dtype: what the statistic is computed in.
        n: of how many elements.
        kappa: the sum of squares about the pivot over that about the mean; see `condition`.
        height: how many additions follow each other; by default those of rows of up to 256
            elements, and of a tree of such rows.

    >>> x = jnp.array([1e4, 1e4 + 1, 1e4 + 2], jnp.float32)
    >>> right = float(np.var(np.asarray(x, np.float64)))
    >>> bound = tolerance(x.dtype, x.size, condition(x))
    >>> abs(float(jnp.mean((x - x[0]) ** 2) - jnp.mean(x - x[0]) ** 2) - right) <= bound * right
    True
    >>> abs(float(jnp.mean(x**2) - jnp.mean(x) ** 2) - right) <= bound * right
    False
    """
    if height is None:
        height = min(max(n - 1, 0), ROW) + math.ceil(math.log2(max(1, -(-n // ROW))))
    u = float(jnp.finfo(dtype).eps) / 2
    return (3 * height + 8) * u * kappa


def condition(x: Array) -> float:
    """Return the largest κ that one of the data, taken as the pivot, can have; 1 of a constant.

    κ = 1 + max (x − mean)² / var: 2 of two values in equal numbers, up to n of an outlier.

    Args:
        x: numbers; of several axes, the largest over columns along the first.

    >>> condition([1.0, -1.0]), condition([0.0, 0.0, 0.0, 1e9])
    (2.0, 4.0)
    """
    wide = np.asarray(x)
    wide = wide.astype(np.complex128 if np.iscomplexobj(wide) else np.float64)
    if not wide.size:
        return 1.0
    with np.errstate(all="ignore"):
        wide = wide / np.max(np.abs(wide))  # squares of huge and tiny numbers stay in range
        far = np.abs(wide - np.mean(wide, axis=0))
        ratio = np.max(far * far, axis=0) / np.mean(far * far, axis=0)
    return 1.0 + float(np.max(np.where(np.isfinite(ratio), ratio, 0)))
