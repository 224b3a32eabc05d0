"""Stages that take the numbers of an element together: without correlations, or fewer of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import folds
from .._core.checks import check_count
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold, combine
from .._pipes.learned import Learned
from ..folds._elements import Nan
from ._fitted import Fitted, check_nan, floating, joined, parted
from ._scale import divisor


def whiten(*, nan: Nan = "propagate") -> Learned[PyTree, PyTree]:
    """Learn means, deviations and correlations, and return uncorrelated numbers of variance 1.

    Each number is divided by its deviation, then all are turned by the inverse square root of the
    correlations, R^(-1/2): of all ways to whiten the one whose numbers stay nearest to x's, each in
    its place, and the units of none matter (ZCA-cor). It can be undone: `inverse(forward(x))` is x
    but for 4 d k u of the length of |x| + |x - mean| in deviations, d the numbers of an element, k
    the condition of R^(1/2), u the unit roundoff.

    What does not vary is not stretched, and stays near 0: a constant, which becomes 0, and a
    direction in which numbers depend on each other, of at most 4 d u of the largest variance.

    Args:
        nan: "propagate": a nan makes all nan; "omit" learns from the elements without nan alone.

    Raises:
        ValueError: nan is neither.

    Source: Kessy, Lewin, Strimmer, "Optimal Whitening and Decorrelation", The American Statistician
    72 (2018).

    >>> import jfoundations as jf
    >>> x = jnp.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0], [7.0, 8.0]])
    >>> white = jf.fit(jf.Pipe(whiten()), x)(x)
    >>> print(jnp.round(jf.fold(jf.folds.cov_matrix(), white), 3) + 0.0)
    [[1. 0.]
     [0. 1.]]
    """
    parts = combine(mean=folds.mean(), std=folds.std(), corr=folds.corr_matrix())
    return Learned(_complete("whiten", parts, nan), _whitening, name="whiten")


def pca(k: int, *, nan: Nan = "propagate") -> Learned[PyTree, jax.Array]:
    """Learn mean and covariances, and return the k numbers that hold most of the variance.

    They are (x - mean) along the k leading eigenvectors of the covariance matrix, from the largest
    variance down; the largest entry of each eigenvector is positive. It can be undone where k is
    all of them, but for 4 d u of the length of |x| + |x - mean|, d the numbers of an element, u the
    unit roundoff. Variances must lie in the range of floats; for units not to matter let
    `standardize` stand before it.

    Args:
        k: how many, a positive int, at most the numbers of an element.
        nan: as in `whiten`.

    Returns:
        The stage: of elements that are vectors, or trees of arrays, vectors of shape (k,).

    Raises:
        TypeError, ValueError: k is no positive int; or, in `fit`, is more than there are.

    >>> import jfoundations as jf
    >>> x = jnp.array([[1.0, 2.0], [3.0, 6.0], [2.0, 4.0]])
    >>> found = jf.fit(jf.Pipe(pca(1)), x)(x)
    >>> [round(float(score), 4) for score in found[:, 0]]
    [-2.2361, 2.2361, 0.0]
    """
    k = check_count(k, "k", "stages.pca", least=1)
    parts = combine(mean=folds.mean(), found=folds.pca(k).of(partial(_enough, k)))
    return Learned(_complete("pca", parts, nan), _projecting, name="pca")


def _complete(who: str, fold: Fold[Any], nan: Nan) -> Fold[Any]:
    """Return a fold without the elements that have a nan, if those are to be left out."""
    check_nan(who, nan)
    return fold.where(_has_no_nan) if nan == "omit" else fold


def _has_no_nan(x: PyTree) -> jax.Array:
    return ~jnp.any(jnp.stack([jnp.any(jnp.isnan(leaf)) for leaf in jax.tree.leaves(x)]))


def _enough(k: int, x: PyTree) -> PyTree:
    if k > (there := sum(jnp.size(leaf) for leaf in jax.tree.leaves(x))):
        raise ValueError(
            f"stages.pca: k is {k}, and an element has {there} numbers; give k <= {there}"
        )
    return x


def _whitening(answer: dict[str, PyTree]) -> Fitted:
    std = joined(answer["std"], answer["std"])
    into, back = _roots(answer["corr"], std == 0)
    return Fitted((answer["mean"], divisor(std), into, back), _whitened, _coloured, "whiten")


@jax.jit
def _roots(corr: jax.Array, constant: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return R^(-1/2) and R^(1/2) of correlations, those of constants taken to be 0."""
    alone = constant[:, None] | constant[None, :]
    values, vectors = jnp.linalg.eigh(jnp.where(alone, jnp.eye(len(corr), dtype=corr.dtype), corr))
    least = 2 * len(corr) * jnp.finfo(corr.dtype).eps * values[-1]
    root = jnp.where(values <= least, jnp.ones_like(values), jnp.sqrt(values))[None, :]
    return _product(vectors / root, vectors.T), _product(vectors * root, vectors.T)


def _whitened(numbers: tuple[PyTree, ...], x: PyTree) -> Any:
    mean, scale, into, _ = numbers
    return parted(_product(_deviations(x, mean, scale), into), mean, x)


def _coloured(numbers: tuple[PyTree, ...], y: PyTree) -> Any:
    mean, scale, _, back = numbers
    rest = _product(joined(y, mean), back)
    return parted(rest * _spread(scale, rest) + _spread(joined(mean, mean), rest), mean, y)


def _projecting(answer: dict[str, PyTree]) -> Fitted:
    axes = answer["found"].components
    backward = _placed if axes.shape[0] == axes.shape[1] else None
    return Fitted((answer["mean"], axes), _projected, backward, "pca")


def _projected(numbers: tuple[PyTree, jax.Array], x: PyTree) -> jax.Array:
    mean, axes = numbers
    found = _product(_deviations(x, mean), axes.T)
    dtypes = {floating(leaf).dtype for leaf in jax.tree.leaves(x)}
    return found.astype(dtypes.pop()) if len(dtypes) == 1 else found


def _placed(numbers: tuple[PyTree, jax.Array], y: jax.Array) -> Any:
    mean, axes = numbers
    rest = _product(joined(y, axes[:, 0]), axes)
    return parted(rest + _spread(joined(mean, mean), rest), mean, jax.tree.map(lambda _: y, mean))


def _deviations(x: PyTree, mean: PyTree, scale: jax.Array | None = None) -> jax.Array:
    vector = joined(x, mean)
    rest = vector - _spread(joined(mean, mean), vector)
    return rest if scale is None else rest / _spread(scale, rest)


def _spread(vector: jax.Array, like: jax.Array) -> jax.Array:
    return jnp.broadcast_to(vector, like.shape).astype(like.dtype)


def _product(rows: jax.Array, matrix: jax.Array) -> jax.Array:
    """Return rows @ matrix in all digits, whatever else matrices are multiplied in."""
    return jnp.einsum("...i,ij->...j", rows, matrix.astype(rows.dtype), precision="highest")
