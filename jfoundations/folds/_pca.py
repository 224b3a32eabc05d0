"""Principal components as a fold: from the covariance matrix, or of a sketch of it.

The sketch keeps so many rows that stand for all that was seen. When there are more, they are turned
so that they are orthogonal, and the squares of all are made smaller by the square of the first that
is dropped: what is lost in any direction is no more than that, and is summed up.

Sources: Liberty (2013), "Simple and deterministic matrix sketching"; Ghashami, Liberty, Phillips
and Woodruff (2016), "Frequent directions: simple and deterministic matrix sketching", for the bound
and the merge.
"""

from __future__ import annotations

from math import ceil

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import Fold
from .._kernels.moments.comoments import minus, plus
from .._kernels.moments.components import Components, principal, signed
from .._kernels.numbers.two_words import Pair, each, one_word
from .._kernels.sample.arguments import accumulator, scalar
from ..stats._pca import how_many
from ._elements import one, zero_rows
from ._matrix import divided, of_matrix, vectors_of
from ._words import Words, choose


@pytree
class _Sketch:
    """Rows that stand for the deviations of all elements from their mean.

    Attributes:
        weight: how many elements there were.
        mean: of them, in two words.
        rows: of shape (sketch, p); the sum of their squares along any direction is at most that of
            the deviations, and less by `lost` at most.
        lost: what was taken off.
        squares: the sum of all squared deviations.
    """

    weight: Words
    mean: Pair
    rows: jax.Array
    lost: jax.Array
    squares: jax.Array


def pca(
    components: int | None = None, *, correction: float = 0, sketch: int | None = None
) -> Fold[Components]:
    """Return the fold of the principal components of elements that are vectors.

    By default from the memory of `cov_matrix`, p² numbers, as `stats.pca` has it. Of wide vectors
    a sketch of s rows is kept, s·p numbers: then the variance along any direction is too small by
    at most the answer's `bound`, which is at most the variance outside the first k components over
    s + 1 − k, for every k ≤ s; and by a rounding of the largest variance. Of data that lie in s
    dimensions it is exact. It has no derivatives, and squares must lie in the range of the dtype.

    Args:
        components: how many, a Python int; by default all that there are.
        correction: as in `var`.
        sketch: how many rows are kept, a Python int ≥ components; None for the covariance matrix.

    Raises:
        TypeError: an argument is no int; or, when it is run, the elements are no real vectors.
        ValueError: there are not so many components.

    >>> import jfoundations as jf
    >>> x = jnp.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.5], [4.0, 8.0]])
    >>> [round(float(v), 4) for v in jf.fold(pca(1), [x[:2], x[2:]]).components[0]]
    [0.436, 0.8999]
    >>> found = jf.fold(pca(1, sketch=1), [x[:2], x[2:]])
    >>> [round(float(v), 2) for v in found.components[0]], bool(found.bound < 0.02)
    ([0.44, 0.9], True)
    """
    correction = float(scalar("folds.pca", "correction", correction))
    if components is not None:
        components = check_count(components, "components", "folds.pca", least=1)
    if sketch is None:
        return of_matrix(partial(_exact, components, correction), "pca")
    sketch = check_count(sketch, "sketch", "folds.pca", least=1)
    how_many("folds.pca", components, sketch)
    init, step, block = (partial(f, sketch) for f in (_init, _step, _block))
    extract = partial(_components, components, correction)
    return Fold(init, step, _merge, extract, block, block_where=block, name="pca")


def _exact(components: int | None, correction: ArrayLike, memory: PyTree) -> Components:
    (unit,) = memory.each.units
    count = how_many("folds.pca", components, len(unit))
    return principal(divided(correction, memory), unit, memory.each.mean, count)


def _block(sketch: int, xs: PyTree, kept: jax.Array | None = None) -> _Sketch:
    x = vectors_of(xs)
    x = lax.stop_gradient(x.astype(accumulator(x.dtype)))
    there = jnp.ones_like(x, bool, shape=len(x)) if kept is None else kept
    chunks = ceil(len(x) / sketch)

    def cut(v: jax.Array) -> jax.Array:
        fill = [(0, chunks * sketch - len(x))] + [(0, 0)] * (v.ndim - 1)
        return jnp.pad(v, fill).reshape(chunks, sketch, *v.shape[1:])

    def more(memory: _Sketch, chunk: tuple[jax.Array, jax.Array]) -> tuple[_Sketch, None]:
        return _merge(memory, _of_few(*chunk)), None

    zero = jnp.zeros_like(x, shape=(sketch, x.shape[1]))
    none = _of_few(zero, jnp.zeros_like(zero, bool, shape=sketch))
    return lax.scan(more, none, (cut(x), cut(there)))[0]


def _of_few(x: jax.Array, there: jax.Array) -> _Sketch:
    """Return the memory of as many rows as it keeps: these themselves."""
    there = there[:, None]
    x = jnp.where(there, x, 0)
    count = jnp.sum(there, dtype=np.int32).astype(x.dtype)
    pivot = x[jnp.argmax(there)]
    offset = jnp.sum(jnp.where(there, x - pivot[None], 0), axis=0) / jnp.maximum(count, 1)
    rows = jnp.where(there, (x - pivot[None]) - offset[None], 0)
    mean = plus((pivot, jnp.zeros_like(pivot)), (offset, jnp.zeros_like(offset)))
    return _Sketch(Words.of(count), mean, rows, jnp.zeros_like(count), jnp.sum(rows * rows))


def _init(sketch: int, like: PyTree) -> _Sketch:
    return _block(sketch, zero_rows(like))


def _step(sketch: int, memory: _Sketch, x: PyTree) -> _Sketch:
    return _merge(memory, _block(sketch, one(x)))


def _merge(a: _Sketch, b: _Sketch) -> _Sketch:
    weight = a.weight + b.weight
    share = b.weight.value / jnp.maximum(weight.value, 1)
    gap = plus(b.mean, minus(a.mean))
    # the means' distance is one row more
    between = gap[0] * jnp.sqrt(a.weight.value * share)
    rows, lost = _shrunk(jnp.concatenate([a.rows, b.rows, between[None]]), len(a.rows))
    squares = a.squares + b.squares + jnp.sum(between * between)
    mean = plus(a.mean, each(lambda v: v * share, gap))
    both = _Sketch(weight, mean, rows, a.lost + b.lost + lost, squares)
    # nothing more turns no row
    return choose(b.weight.value == 0, a, choose(a.weight.value == 0, b, both))


def _shrunk(rows: jax.Array, sketch: int) -> tuple[jax.Array, jax.Array]:
    """Return so many rows that stand for all of them, and what was taken off each square."""
    # few and long: of their products with one another, which are a small matrix
    gram = jnp.matmul(rows, rows.T, precision=lax.Precision.HIGHEST)
    squares, vectors = jnp.linalg.eigh(gram)
    squares, vectors = jnp.maximum(squares[::-1], 0), vectors.T[::-1][:sketch]
    lost, kept = squares[sketch], squares[:sketch]
    share = jnp.maximum(kept - lost, 0) / jnp.where(kept > 0, kept, 1)
    turned = jnp.matmul(vectors, rows, precision=lax.Precision.HIGHEST)
    return jnp.sqrt(share)[:, None] * turned, lost


def _components(components: int | None, correction: ArrayLike, memory: _Sketch) -> Components:
    _, lengths, rows = jnp.linalg.svd(memory.rows, full_matrices=False)
    count = how_many("folds.pca", components, len(lengths))
    squares, rows = lengths[:count] ** 2, signed(rows[:count])
    weight = memory.weight.value
    free = jnp.where(weight > correction, weight - correction, jnp.nan)
    mean = jnp.where(weight > 0, one_word(memory.mean), jnp.nan)
    return Components(mean, rows, squares / free, squares / memory.squares, memory.lost / free)
