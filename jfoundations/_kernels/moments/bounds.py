"""How far a statistic may be from the exact one of the same data: bounds from the certificate.

With h the height of the summation, u the unit roundoff, q the sum of squares about what deviations
were measured from, and W the total weight, the central sum of x and y is off by at most

    u (3h + 12) √(qx qy),

since squares are off by (h + 4) u q, their deviations' rounding included, and the correction s²/W
by (2h + 8) u q, for |s| ≤ √(W q). By the same steps the mean is off by u (h + 5) √(q/W).

Sources: Higham (2002), Accuracy and Stability of Numerical Algorithms, 3.1 and 4.2, for γ_h; Chan,
Golub and LeVeque (1983), "Algorithms for computing the sample variance", for the corrected sums.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..sums.one_read import height
from .central_sums import canonical, central_sums

SLACK = 1.02  # for products of small errors, γ_h against h u, and the rounding of the bound itself


class _Error(NamedTuple):
    """What the kernel found of each variable, in its unit, and what its sums may be off by."""

    total: Array
    whole: Array  # relative error of the total weight
    units: list[Array]
    offsets: list[Array]
    powers: list[Array]
    roots: list[Array]  # √q
    height: int

    @property
    def u(self) -> float:
        return float(jnp.finfo(self.total.dtype).eps) / 2

    def of(self, i: int, j: int) -> Array:
        """Bound the error of the central sum of variables i and j."""
        qx, qy = self.roots[i], self.roots[j]
        first = (3 * self.height + 12) * qx * qy
        # squares below the smallest normal number are flushed
        return SLACK * self.u * first + 4 * self.total * float(jnp.finfo(qx.dtype).tiny)


def error_bound(
    name: str, call: Any, values: Sequence[Array], value: Array, dtype: DTypeLike
) -> Array:
    """Bound |value − exact| for a statistic of real data, once it is rounded to a dtype."""
    e = _errors(call, values)
    size = jnp.abs(lax.stop_gradient(value))
    bound = _BOUNDS[name](call, e, size)
    tiny = float(jnp.finfo(size.dtype).tiny)
    bound = bound * SLACK + 4 * tiny
    if jnp.dtype(dtype) != size.dtype:
        info = jnp.finfo(dtype)
        step = float(info.eps)
        bound = (bound + step / 2 * size) * (1 + 2 * step) + 2 * float(info.smallest_subnormal)
        size = size.astype(dtype).astype(size.dtype)
    bound = jnp.where(jnp.isinf(size), jnp.inf, bound)
    return jnp.where(jnp.isnan(size), jnp.nan, jnp.where(jnp.isnan(bound), jnp.inf, bound))


def _errors(call: Any, values: Sequence[Array]) -> _Error:
    values, weights = lax.stop_gradient((values, call.weights))
    sums = central_sums(values, call.axes, 2, weights, call.accuracy)
    x = canonical(values, call.axes, None)[0].values[0]
    total, dtype = sums.weight, sums.weight.dtype
    floats = weights is not None and weights.dtype != np.bool_
    h = (1 if call.accuracy == "high" else height(x.shape[1], x.shape[2], len(x))) + 2 * floats
    offsets = [jnp.abs(o / unit) for o, unit in zip(sums.offsets, sums.units, strict=True)]
    squares = [
        jnp.maximum(jnp.maximum(q, m), 0) for q, m in zip(sums.shifted, sums.powers, strict=False)
    ]
    roots = [jnp.sqrt(q) for q in squares]
    off = jnp.full_like(total, (h + 2 if floats else 1) * float(jnp.finfo(dtype).eps) / 2)
    return _Error(total, off, sums.units, offsets, sums.powers, roots, h)


def _mean(call: Any, e: _Error, size: Array) -> Array:
    some = jnp.sqrt(jnp.where(e.total > 0, e.total, 1))
    (root,), (offset,), (unit,) = e.roots, e.offsets, e.units
    spread = e.u * (e.height + 5) * root / some + 2 * e.whole * offset
    return SLACK * spread * unit + 2 * e.u * size


def _over(call: Any, e: _Error, error: Array, square: Array) -> tuple[Array, Array]:
    # of M / free: what M brings, what free brings, and the division
    free = call.free(e.total, call.correction)
    some = jnp.where(free > 0, free, 1)
    loose = e.whole * (e.total + jnp.abs(e.total - free)) / some + 2 * e.u
    loose = jnp.where(loose < 0.5, 2 * loose, jnp.inf)
    quotient = jnp.abs(square) / some
    return quotient, error / some * 1.5 + jnp.where(quotient > 0, quotient * loose, 0)


def _var(call: Any, e: _Error, size: Array) -> Array:
    (unit,) = e.units
    _, error = _over(call, e, e.of(0, 0), e.powers[0])
    return error * unit * unit + 2 * e.u * size


def _std(call: Any, e: _Error, size: Array) -> Array:
    # |√a − √b| ≤ |a − b| / √a, and ≤ √|a − b|
    (unit,) = e.units
    square, error = _over(call, e, e.of(0, 0), e.powers[0])
    root = jnp.sqrt(jnp.where(square > 0, square, 1))
    least = jnp.minimum(jnp.sqrt(error), jnp.where(square > 0, error / root, jnp.inf))
    return least * unit + 4 * e.u * size


def _cov(call: Any, e: _Error, size: Array) -> Array:
    _, error = _over(call, e, e.of(0, 1), e.powers[2])
    return error * e.units[0] * e.units[1] + 2 * e.u * size


def _corr(call: Any, e: _Error, size: Array) -> Array:
    # (1 − ε)^(−1/2) ≤ 1 + ε for ε ≤ 1/2; beyond that the bound says nothing: both are in −1 … 1
    mxx, myy, _ = e.powers
    some = jnp.where((mxx > 0) & (myy > 0), 1, 0)
    x, y = (jnp.where(some > 0, m, 1) for m in (mxx, myy))
    ex, ey = e.of(0, 0) / x, e.of(1, 1) / y
    cross = e.of(0, 1) / jnp.sqrt(x) / jnp.sqrt(y)
    bound = (1 + ex) * (1 + ey) * cross + size * (ex + ey + ex * ey) + 8 * e.u * size
    return jnp.where((ex < 0.5) & (ey < 0.5), jnp.minimum(bound, 2), 2)


_BOUNDS = {"mean": _mean, "var": _var, "std": _std, "cov": _cov, "corr": _corr}
