"""Mean, variance, shape, covariance and correlation as folds."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.types import PyTree
from .._core.values import identity, partial
from .._folds.fold import Fold
from .._folds.leafwise import leafwise
from .._kernels.moments.formulas import FORMULAS, of_shape
from .._kernels.moments.moments import coefficient, complex_coefficient, root
from .._kernels.sample.arguments import scalar
from ..stats._statistic import Statistic
from ._elements import Kind, Nan, Taken, checked, one, real_parts, rows_of, zero_rows
from ._memory import Memory, gather, merge, of_element
from ._undo import unmerge


def mean(*, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the arithmetic mean, elementwise; nan over nothing.

    An element may be a pytree of arrays, as for all folds of one variable here: the answer is then
    a pytree of answers.

    Args:
        weights: `stats.Frequency`, `stats.Reliability` or `stats.Probability`, the class: then
            elements are pairs `(x, weight)`. Weight 0 is deletion, even of nan. Of a pytree x one
            weight counts for all leaves.
        nan: "propagate", or "omit" to leave nan out, elementwise.

    >>> import jfoundations as jf
    >>> float(jf.fold(mean(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    6.25
    >>> x, w = jnp.array([1.0, 5.0]), jnp.array([3, 1])
    >>> float(jf.fold(mean(weights=jf.stats.Frequency), (x, w)))
    2.0
    """
    return make_fold("mean", 0, _mean, weights, nan)


def var(*, correction: float = 0, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the variance, elementwise; nan where n ≤ correction.

    Args:
        correction: 0 for the population's variance, 1 for the unbiased estimate.
        weights: as in `mean`; the kind says what is divided by.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> float(jf.fold(var(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    47.1875
    """
    extract = _corrected(_var, "var", weights, correction)
    return make_fold("var", 2, extract, weights, nan)


def std(*, correction: float = 0, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the standard deviation, elementwise; nan where n ≤ correction.

    Args:
        correction: as in `var`.
        weights: as in `var`.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> round(float(jf.fold(std(), jnp.array([1.0, 2.0, 4.0, 18.0]))), 4)
    6.8693
    """
    extract = _corrected(_std, "std", weights, correction)
    return make_fold("std", 2, extract, weights, nan)


def sem(*, correction: float = 1, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the mean's standard error, std / √n, with correction 1 as `stats.sem`.

    Args:
        correction: as in `var`, but 1 by default.
        weights: as in `var`.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> round(float(jf.fold(sem(), jnp.array([1.0, 2.0, 4.0, 18.0]))), 4)
    3.966
    """
    extract = _corrected(partial(by_name, "sem"), "sem", weights, correction)
    return make_fold("sem", 2, extract, weights, nan)


def moment(order: int, *, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of a central moment, Σw(x - mean)^order / W, elementwise.

    Args:
        order: a Python int, 0 ... 4.
        weights: as in `mean`.
        nan: as in `mean`.

    Raises:
        TypeError: order is no int.
        ValueError: order is negative, or above 4.

    >>> import jfoundations as jf
    >>> float(jf.fold(moment(3), jnp.array([1.0, 2.0, 4.0, 18.0])))
    347.34375
    """
    order = check_count(order, "order", "folds.moment")
    if order > 4:
        raise ValueError(
            f"folds.moment: order is {order}; memories keep powers up to 4. Give at most 4, or "
            "take the whole array with stats.moment"
        )
    kept = 0 if order < 2 else 2 if order == 2 else 4
    return make_fold("moment", kept, partial(_moment, order), weights, nan)


def skew(
    *, correction: Literal[0, 1] = 0, weights: Kind = None, nan: Nan = "propagate"
) -> Fold[jax.Array]:
    """Return the fold of the skewness m₃ / m₂^(3/2), biased, elementwise; nan of a constant.

    Args:
        correction: 0, or 1 for the unbiased estimate, as in `stats.skew`.
        weights: as in `mean`.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> round(float(jf.fold(skew(), jnp.array([1.0, 2.0, 4.0, 18.0]))), 4)
    1.0716
    """
    extract = partial(by_name, of_shape("skew", correction, "folds."), weights, 0)
    return make_fold("skew", 4, extract, weights, nan)


def kurtosis(
    *, correction: Literal[0, 1] = 0, weights: Kind = None, nan: Nan = "propagate"
) -> Fold[jax.Array]:
    """Return the fold of the excess kurtosis m₄ / m₂² - 3, biased; nan of a constant.

    Args:
        correction: 0, or 1 for the unbiased estimate, as in `stats.kurtosis`.
        weights: as in `mean`.
        nan: as in `mean`.

    >>> import jfoundations as jf
    >>> round(float(jf.fold(kurtosis(), jnp.array([1.0, 2.0, 4.0, 18.0]))), 4)
    -0.7351
    """
    extract = partial(by_name, of_shape("kurtosis", correction, "folds."), weights, 0)
    return make_fold("kurtosis", 4, extract, weights, nan)


def cov(*, correction: float = 0, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of the covariance of elements that are pairs `(x, y)`.

    Args:
        correction: as in `var`.
        weights: as in `var`; then elements are `((x, y), weight)`.
        nan: "propagate", or "omit" to leave out pairs of which either is nan.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> float(jf.fold(cov(), (x, 2 * x)))
    94.375
    """
    extract = _corrected(_cov, "cov", weights, correction)
    return make_fold("cov", 2, extract, weights, nan, pairs=True)


def corr(*, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of Pearson's correlation of elements that are pairs `(x, y)`.

    Args:
        weights: as in `cov`.
        nan: as in `cov`.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> round(float(jf.fold(corr(), (x, -x))), 6)
    -1.0
    """
    return make_fold("corr", 2, _corr, weights, nan, pairs=True)


def statistic(of: Statistic, *, weights: Kind = None, nan: Nan = "propagate") -> Fold[jax.Array]:
    """Return the fold of a `stats.Statistic`, elementwise; of two variables, of pairs `(x, y)`.

    Args:
        of: a formula of moments.
        weights: as in `mean`.
        nan: as in `mean`; of pairs as in `cov`.

    >>> import jfoundations as jf
    >>> variation = jf.stats.Statistic(lambda m: m.std() / m.mean)
    >>> round(float(jf.fold(statistic(variation), jnp.array([1.0, 2.0, 4.0, 18.0]))), 4)
    1.0991
    """
    extract = partial(_by_formula, of, weights)
    return make_fold(of.name, of.order, extract, weights, nan, pairs=of.variables == 2)


def _by_formula(of: Statistic, kind: Kind, memory: PyTree) -> jax.Array:
    return of.from_moments(only(memory, "statistic").moments(kind))


def _corrected(extract: Any, name: str, weights: Kind, correction: ArrayLike) -> Any:
    return partial(extract, weights, float(scalar(f"folds.{name}", "correction", correction)))


def make_fold(
    name: str,
    order: int,
    extract: Any,
    weights: Kind,
    nan: Nan,
    *,
    pairs: bool = False,
) -> Fold[Any]:
    taken = replace(checked(name, weights, nan, pairs=pairs), order=order)
    made = _of_arrays(taken, extract, name)
    return made if pairs else leafwise(made, weighted=weights is not None)


def _of_arrays(taken: Taken, extract: Any, name: str) -> Fold[Any]:
    init, step, block = (partial(f, taken) for f in (_init, _step, _block))
    functions = (init, step, merge_all, extract, block)
    return Fold(*functions, block_where=block, unmerge=_unmerge_all, name=name)


def powers(weights: Kind, nan: Nan) -> Fold[Any]:
    """Return the fold, of single arrays, whose answer is the memory of order 4 itself."""
    return _of_arrays(replace(checked("describe", weights, nan), order=4), identity, "describe")


def _block(taken: Taken, xs: PyTree, kept: Any = None) -> tuple[Memory, ...]:
    """Return a memory for real data, two for complex ones, four for complex pairs."""
    values, weights = rows_of(taken, xs, kept)
    kind = taken.weights
    return tuple(gather(v, weights, kind, taken.order) for v in real_parts(values))


def merge_all(a: Any, b: Any) -> Any:
    """Merge memories side by side."""
    return tuple(map(merge, a, b))


def _unmerge_all(whole: Any, part: Any) -> Any:
    return tuple(map(unmerge, whole, part))


def _init(taken: Taken, like: PyTree) -> tuple[Memory, ...]:
    return _block(taken, zero_rows(like))


def _step(taken: Taken, memory: PyTree, x: Any) -> tuple[Memory, ...]:
    values, weights = rows_of(taken, one(x))
    weight = None if weights is None else weights[0]
    rows = (tuple(v[0] for v in part) for part in real_parts(values))
    kind, order = taken.weights, taken.order
    return merge_all(memory, tuple(of_element(row, weight, kind, order) for row in rows))


def only(memory: PyTree, who: str) -> Memory:
    """Return the memory of real data, or say that complex data have none."""
    if len(memory) > 1:
        raise TypeError(f"folds.{who}: the elements are complex; give real ones: .of(jnp.real)")
    return memory[0]


def _together(parts: list[jax.Array]) -> jax.Array:
    return parts[0] if len(parts) == 1 else lax.complex(*parts)


def _mean(memory: PyTree) -> jax.Array:
    return _together([part.mean for part in memory])


def _var(kind: Any, correction: ArrayLike, memory: PyTree) -> jax.Array:
    value, unit = _square(kind, correction, memory)
    return value * unit * unit


def _std(kind: Any, correction: ArrayLike, memory: PyTree) -> jax.Array:
    value, unit = _square(kind, correction, memory)
    return root(value) * unit


def _square(kind: Any, correction: ArrayLike, memory: PyTree) -> tuple[jax.Array, jax.Array]:
    """Return the variance of all parts in units of the largest, and these units."""
    unit = functools.reduce(jnp.maximum, (part.units[0] for part in memory))
    ratios = [part.units[0] / unit for part in memory]
    parts = zip(memory, ratios, strict=True)
    return sum(p.over(0, kind, correction) * r * r for p, r in parts), unit  # type: ignore


def by_name(name: str, kind: Kind, correction: ArrayLike, memory: PyTree) -> jax.Array:
    """Return a statistic of the table, of real data."""
    return FORMULAS[name].formula(only(memory, name).moments(kind), correction)


def _moment(order: int, memory: PyTree) -> jax.Array:
    part = only(memory, "moment")
    if order == 0:
        # the total is nan where a weight is, or is negative
        return jnp.where(part.total > 0, jnp.ones_like(part.total), jnp.nan)
    if order == 1:
        return part.mean * 0  # of nan and of infinities there is no deviation
    return part.moments(None).central(order)


def _cov(kind: Any, correction: ArrayLike, memory: PyTree) -> jax.Array:
    found = [part.moments(kind).cov(correction) for part in memory]
    if len(found) == 1:
        return found[0]
    return lax.complex(found[0] + found[1], found[2] - found[3])


def _corr(memory: PyTree) -> jax.Array:
    if len(memory) == 1:
        return coefficient(*(p.value for p in memory[0].powers))
    # real and imaginary parts have units of their own: both to the larger
    ac, bd, _, _ = memory
    u = jnp.maximum(ac.units[0], bd.units[0])
    v = jnp.maximum(ac.units[1], bd.units[1])
    xx, yy = (
        jnp.add(*(p.powers[k].value * (p.units[k] / w) * (p.units[k] / w) for p in (ac, bd)))
        for k, w in ((0, u), (1, v))
    )
    ac, bd, bc, ad = (p.powers[2].value * (p.units[0] / u) * (p.units[1] / v) for p in memory)
    return complex_coefficient(xx, yy, lax.complex(ac + bd, bc - ad))
