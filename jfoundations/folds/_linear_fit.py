"""Linear regression as a fold: what is kept does not grow with the rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import elements
from .._core.pytrees import pytree, static
from .._core.types import PyTree
from .._core.values import is_pytree, partial
from .._folds.fold import Fold, like_of_block
from .._kernels.moments.comoments import Comoments, beside, comoments, merge
from .._kernels.moments.least_squares import LinearFit, least_squares
from .._kernels.sample.arguments import Data, accumulator, join
from .._kernels.sample.weights import Frequency, Probability, Reliability
from .._kernels.sums.blocks import counted
from ..stats._linear_fit import SANDWICH
from ._elements import Nan, Taken, checked, one, zero_rows
from ._words import Words


@pytree
class _Rows:
    """The co-moments of x's columns and y, and how many observations there were.

    Attributes:
        single: whether x is a number.
        whole: whether all are integers.
    """

    sums: Comoments
    size: Words
    single: bool = static()
    whole: bool = static()


def linear_fit(
    *,
    intercept: bool = True,
    weights: type[Frequency] | type[Reliability] | None = None,
    nan: Nan = "propagate",
) -> Fold[LinearFit]:
    """Return the fold of a least-squares fit, of elements `(x, y)`: x a vector or a number.

    What it keeps are means and co-moments in two words, merged in two words: chunks give what
    `stats.linear_fit` gives of the whole, to a rounding.

    Args:
        intercept: as in `stats.linear_fit`.
        weights: `stats.Frequency` or `stats.Reliability`, the class: then elements are
            `((x, y), weight)`.
        nan: "propagate", or "omit" to leave out elements that hold a nan.

    Raises:
        TypeError: weights is another class; or, when it is run, x is no vector or number, or y no
            number, or one of them is complex.

    >>> import jfoundations as jf
    >>> x, y = jnp.array([[1.0, 0.0], [2.0, 1.0], [4.0, 0.0], [8.0, 3.0]]), jnp.arange(4.0)
    >>> fit = jf.fold(linear_fit(), [(x[:2], y[:2]), (x[2:], y[2:])])
    >>> [round(float(b), 4) for b in fit.coefficients], float(fit.freedom)
    ([0.4854, -0.2233], 1.0)
    """
    if weights is Probability:
        raise TypeError(SANDWICH.format(who="folds.linear_fit"))
    taken = checked("linear_fit", weights, nan, pairs=True)
    init, step, block = (partial(f, taken) for f in (_init, _step, _block))
    extract = partial(_fit, bool(intercept))
    return Fold(init, step, _merge, extract, block, block_where=block, name="linear_fit")


def _block(taken: Taken, xs: PyTree, kept: jax.Array | None = None) -> _Rows:
    xs, weights = (elements(xs), None) if taken.weights is None else _pair(elements(xs), _WEIGHTED)
    x, y = _pair(xs, _PLAIN if taken.weights is None else _WEIGHTED)
    if any(map(is_pytree, (x, y))) or not _fits(x, y):
        x, y = (like_of_block(v) for v in (x, y))
        raise TypeError(
            f"folds.linear_fit: x is {x} and y {y}; a real vector or number, and a real number, "
            "are needed; make them with .of(lambda element: (x, y))"
        )
    single = x.ndim == 1
    rows = beside(x[:, None] if single else x, y[:, None])
    if taken.nan == "omit" and jnp.issubdtype(rows.dtype, jnp.floating):
        known = ~jnp.any(jnp.isnan(rows), axis=1)
        kept = known if kept is None else kept & known
    kind = None if taken.weights is None else taken.weights(weights)
    weights = join(Data((rows[:, 0],), kind, kept))
    counts = jnp.ones_like(rows, bool, shape=len(rows)) if weights is None else weights
    if taken.weights is not Frequency:
        counts = counted(counts)
    dtype, whole = accumulator(rows.dtype), jnp.issubdtype(rows.dtype, jnp.integer)
    if counts.dtype == np.bool_:
        counts = jnp.sum(counts, dtype=np.int32)
    size = jnp.sum(counts).astype(dtype)
    return _Rows(comoments(rows, weights), Words.of(size), single, whole)


def _fits(x: jax.Array, y: jax.Array) -> bool:
    real = not any(map(jnp.iscomplexobj, (x, y)))
    return real and x.ndim in (1, 2) and y.ndim == 1


_PLAIN, _WEIGHTED = "(x, y)", "((x, y), weight)"


def _pair(xs: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(xs, tuple) or len(xs) != 2:
        raise TypeError(
            f"folds.linear_fit: elements are {what}; give a tuple of two, or make one with .of"
        )
    return xs


def _init(taken: Taken, like: PyTree) -> _Rows:
    return _block(taken, zero_rows(like))


def _step(taken: Taken, memory: _Rows, x: PyTree) -> _Rows:
    return _merge(memory, _block(taken, one(x)))


def _merge(a: _Rows, b: _Rows) -> _Rows:
    return _Rows(merge(a.sums, b.sums), a.size + b.size, a.single, a.whole)


def _fit(intercept: bool, memory: _Rows) -> LinearFit:
    words = {"intercept": intercept, "single": memory.single, "whole": memory.whole}
    return least_squares(memory.sums, memory.size.value, **words)
