"""Mean, variance, covariance and correlation as folds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._callable import partial
from .._fold import Fold
from ..stats._count import Count
from ..stats._forms import alike, coefficient, complex_coefficient
from ..stats._gradients import memory
from ..stats._moments import CoMoments, Moments, merge, weight_in
from ..stats._rounding import divide


def mean() -> Fold[jax.Array]:
    """Return the fold of the arithmetic mean, elementwise; nan over nothing.

    >>> import jfoundations as jf
    >>> float(jf.fold(mean(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    6.25
    """
    return _make(1, _mean, "mean")


def var(*, correction: float = 0) -> Fold[jax.Array]:
    """Return the fold of the variance, elementwise; nan where n ≤ correction.

    Args:
        correction: 0 for the population's variance, 1 for the unbiased estimate.

    >>> import jfoundations as jf
    >>> float(jf.fold(var(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    47.1875
    """
    return _make(2, partial(_var, float(correction)), "var")


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
    return _of_pairs(partial(_cov, float(correction)), "cov")


def corr() -> Fold[jax.Array]:
    """Return the fold of Pearson's correlation of elements that are pairs `(x, y)`.

    >>> import jfoundations as jf
    >>> x = jnp.array([1.0, 2.0, 4.0, 18.0])
    >>> round(float(jf.fold(corr(), (x, -x))), 6)
    -1.0
    """
    return _of_pairs(_corr, "corr")


def _make(order: int, extract: Any, name: str) -> Fold[jax.Array]:
    return Fold(
        partial(_init, order),
        partial(_step, order),
        merge_all,
        extract,
        partial(_block, order),
        name=name,
    )


def _of_pairs(extract: Any, name: str) -> Fold[jax.Array]:
    return Fold(_init_pairs, _step_pairs, merge_all, extract, _block_pairs, name=name)


def _parts(x: Any) -> tuple[Any, ...]:
    """Return real data as they are, complex ones as their real and imaginary parts."""
    x = jnp.asarray(x)
    x = x.astype(np.int32) if x.dtype == np.bool_ else x
    return (x.real, x.imag) if jnp.iscomplexobj(x) else (x,)


def _pairs(xy: Any) -> tuple[tuple[Any, Any], ...]:
    """Return the pairs whose co-moments make up the covariance of x and y, real ones first."""
    if not isinstance(xy, tuple) or len(xy) != 2:
        raise TypeError(
            "this fold's elements are pairs (x, y); give it a tuple of two arrays, or make one "
            "with .of(lambda element: (x, y))"
        )
    x, y = map(_parts, xy)
    if len(x) == len(y) == 1:
        return ((x[0], y[0]),)
    (a, b), (c, d) = (p if len(p) == 2 else (p[0], jnp.zeros_like(p[0])) for p in (x, y))
    return ((a, c), (b, d), (b, c), (a, d))


def _one(x: jax.Array) -> jax.Array:
    return x[None]


def _empty(like: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), like)


def merge_all(a: Any, b: Any) -> Any:
    """Merge memories side by side."""
    return tuple(map(merge, a, b))


def _block(order: int, xs: Any) -> tuple[Moments, ...]:
    return tuple(_moments(part, order) for part in _parts(xs))


def _sums(values: Any, order: int) -> tuple[Count, Any, list[Any]]:
    """Return how many rows there are, the means' words, and the sums of products: all smooth."""
    parts = memory(values, None, (0,), order, "default")
    _, words, powers, units = jax.tree.map(lambda leaf: jnp.squeeze(leaf, 0), parts)
    pairs = [(0, 0)] if len(values) == 1 else [(0, 0), (1, 1), (0, 1)]
    scaled = [p * units[i] * units[j] for p, (i, j) in zip(powers, pairs, strict=False)]
    return Count.of(values[0].shape[0], values[0].shape[1:]), words, scaled


def _moments(x: jax.Array, order: int) -> Moments:
    count, [(pivot, offset)], powers = _sums((x,), order)
    return Moments(count, pivot, offset, *powers)


def _comoments(x: jax.Array, y: jax.Array) -> CoMoments:
    count, [(px, ox), (py, oy)], powers = _sums((x, y), 2)
    return CoMoments(count, px, ox, py, oy, *powers)


def _init(order: int, like: Any) -> tuple[Moments, ...]:
    return _block(order, _empty(like))


def _step(order: int, memory: Any, x: Any) -> tuple[Moments, ...]:
    return merge_all(memory, _block(order, _one(jnp.asarray(x))))


def _block_pairs(xs: Any) -> tuple[CoMoments, ...]:
    return tuple(_comoments(x, y) for x, y in map(alike, _pairs(xs)))


def _init_pairs(like: Any) -> tuple[CoMoments, ...]:
    return _block_pairs(_empty(like))


def _step_pairs(memory: Any, xy: Any) -> tuple[CoMoments, ...]:
    return merge_all(memory, _block_pairs(jax.tree.map(lambda a: _one(jnp.asarray(a)), xy)))


def _together(parts: list[jax.Array]) -> jax.Array:
    return parts[0] if len(parts) == 1 else lax.complex(*parts)


def _mean(memory: Any) -> jax.Array:
    return _together([part.mean for part in memory])


def _over(correction: Any, product: jax.Array, weight: Any) -> jax.Array:
    free = weight_in(weight, product.dtype) - jnp.asarray(correction, product.dtype)
    return jnp.where(free > 0, divide(product, jnp.where(free > 0, free, 1)), jnp.nan)


def _var(correction: Any, memory: Any) -> jax.Array:
    return sum(_over(correction, part.m2, part.weight) for part in memory)  # type: ignore


def _cov(correction: Any, memory: Any) -> jax.Array:
    found = [_over(correction, part.cxy, part.weight) for part in memory]
    if len(found) == 1:
        return found[0]
    return lax.complex(found[0] + found[1], found[2] - found[3])


def _corr(memory: Any) -> jax.Array:
    if len(memory) == 1:
        return coefficient(memory[0].mxx, memory[0].myy, memory[0].cxy)
    ac, bd, bc, ad = memory
    xy = lax.complex(ac.cxy + bd.cxy, bc.cxy - ad.cxy)
    return complex_coefficient(ac.mxx + bd.mxx, ac.myy + bd.myy, xy)
