"""Mean, variance, covariance and correlation as folds."""

from typing import Any

import jax
import jax.numpy as jnp

from .._callable import partial
from .._fold import Fold
from ..stats._basic import coefficient
from ..stats._kernel import Moments, Pairs, empty, merge, moments


def mean() -> Fold[jax.Array]:
    """Return the fold of the arithmetic mean, elementwise; nan over nothing.

    >>> import jfoundations as jf
    >>> float(jf.fold(mean(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    6.25
    """
    return _of_one((), _mean, "mean")


def var(*, correction: float = 0) -> Fold[jax.Array]:
    """Return the fold of the variance, elementwise; nan where n ≤ correction.

    Args:
        correction: 0 for the population's variance, 1 for the unbiased estimate.

    >>> import jfoundations as jf
    >>> float(jf.fold(var(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    47.1875
    """
    return _of_one(((0, 0),), partial(_covariance, float(correction)), "var")


def std(*, correction: float = 0) -> Fold[jax.Array]:
    """Return the fold of the standard deviation, elementwise; nan where n ≤ correction.

    Args:
        correction: as in `var`.

    >>> import jfoundations as jf
    >>> round(float(jf.fold(std(), jnp.array([1.0, 2.0, 4.0, 18.0]))), 4)
    6.8693
    """
    return var(correction=correction).map(jnp.sqrt, name="std")


def cov(*, correction: float = 0) -> Fold[jax.Array]:
    """Return the fold of the covariance of elements that are pairs `(x, y)`.

    Args:
        correction: as in `var`.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> float(jf.fold(cov(), (x, 2 * x)))
    94.375
    """
    return _of_two(((0, 1),), partial(_covariance, float(correction)), "cov")


def corr() -> Fold[jax.Array]:
    """Return the fold of Pearson's correlation of elements that are pairs `(x, y)`.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> round(float(jf.fold(corr(), (x, -x))), 6)
    -1.0
    """
    return _of_two(((0, 0), (1, 1), (0, 1)), _corr, "corr")


def _of_one(pairs: Pairs, extract: Any, name: str) -> Fold[jax.Array]:
    return Fold(
        partial(_init, pairs),
        partial(_step, pairs),
        merge,
        extract,
        partial(_block, pairs),
        name=name,
    )


def _of_two(pairs: Pairs, extract: Any, name: str) -> Fold[jax.Array]:
    return _of_one(pairs, extract, name)


def _variables(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def _init(pairs: Pairs, like: Any) -> Moments:
    return empty(_variables(like), pairs)


def _step(pairs: Pairs, memory: Moments, x: Any) -> Moments:
    return merge(memory, _block(pairs, jax.tree.map(lambda a: jnp.asarray(a)[None], x)))


def _block(pairs: Pairs, xs: Any) -> Moments:
    return moments(_variables(xs), (0,), pairs)


def _mean(memory: Moments) -> jax.Array:
    return memory.mean()


def _covariance(correction: Any, memory: Moments) -> jax.Array:
    return memory.covariance(0, correction)


def _corr(memory: Moments) -> jax.Array:
    xx, yy, xy = memory.products
    return coefficient(xx, yy, xy)
