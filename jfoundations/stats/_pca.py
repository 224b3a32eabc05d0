"""Principal components of variables, one a column.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> x = jnp.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.5], [4.0, 8.0]])
>>> found = stats.pca(x, 1)
>>> [round(float(v), 4) for v in found.components[0]], round(float(found.ratios[0]), 4)
([0.436, 0.8999], 0.9987)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.rounding import divide
from .._kernels.moments.components import Components, principal
from .._kernels.moments.derivatives import memory
from .._kernels.moments.formulas import alike
from .._kernels.moments.moments import Moments
from .._kernels.moments.products import central_products, mirrored
from .._kernels.sample.arguments import (
    PARTS,
    REAL,
    Data,
    Nan,
    Numbers,
    answer,
    compiled,
    numbers,
    scalar,
)
from .._kernels.sample.weights import Weights
from ._matrix import check_rows, positive, row_weights


def pca(
    x: Numbers,
    components: int | None = None,
    *,
    correction: ArrayLike = 0,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Components:
    """Return the principal components of x's columns: samples are rows.

    They are the eigenvectors of `cov_matrix`, so a variance is right to a rounding of the largest
    one. Columns are not scaled: for that, `standardize` them first.

    Args:
        x: real array of shape (n, p), p > 0; bool and int become the default float.
        components: how many, a Python int in 1 … p; all by default.
        correction: as in `cov_matrix`.
        weights: as in `cov_matrix`.
        where: as in `cov_matrix`.
        nan: "propagate", or "omit" to drop every row that holds a nan.

    Returns:
        A `Components`, a pytree, in x's floating dtype; nan where n ≤ correction. Derivatives are
        those of `jnp.linalg.eigh`: there is none where two variances are equal.

    Raises:
        TypeError: x holds no real numbers, or `where` no bools; components is no int.
        ValueError: shapes do not fit, or there are not so many components.

    Source: Pearson (1901), "On lines and planes of closest fit to systems of points in space".

    >>> [float(v) for v in pca([[0.0, 1.0], [0.0, 3.0]]).variances]
    [1.0, 0.0]
    """
    x = numbers("pca", "x", x)
    if jnp.iscomplexobj(x):
        raise TypeError(f"pca: x is complex, {REAL}; {PARTS.format(name='x')}")
    if nan not in ("propagate", "omit"):
        raise ValueError(f"pca: nan is {nan!r}; it must be 'propagate' or 'omit'")
    data = check_rows("pca", x, None, weights, where, nan)
    count = how_many("pca", components, x.shape[1])
    return _core(data, scalar("pca", "correction", correction), count=count, nan=nan)


def how_many(who: str, components: int | None, most: int) -> int:
    """Return how many components are wanted, of so many."""
    count = most if components is None else check_count(components, "components", who, least=1)
    if not 0 < count <= most:
        raise ValueError(f"{who}: components is {count}, and there are {most}")
    return count


@compiled("count")
def _core(data: Data, correction: ArrayLike, *, count: int, nan: Nan) -> Components:
    (x,) = alike(data.values)
    if len(x) == 0:
        x = jnp.full_like(x, jnp.nan, jnp.result_type(float), shape=(1, x.shape[1]))
        return principal(x.T * x, x[0], x[0], count)
    call = row_weights(data, nan, correction)
    weights = call.weights
    found = central_products((x,), weights)
    free = positive(call.free(found.total, correction), found.total)
    covariance = divide(mirrored(found.products), free)
    each = None if weights is None else jnp.broadcast_to(weights, x.shape)
    total, words, *_ = memory((x,), each, (0,), 0, "default")
    mean = Moments(total, words, free=lambda c: total - c).mean
    made = principal(covariance, found.about[0].unit[0], mean, count)
    return jax.tree.map(lambda v: answer(v, data, (), False), made)
