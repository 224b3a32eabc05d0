"""Arrays drawn as a seed and a design."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Shape = tuple[int, ...]
Shapes = Shape | Sequence[Shape] | SearchStrategy[Shape]
Draw = Callable[[SearchStrategy[Any]], Any]

SHAPES: tuple[Shape, ...] = ((3,), (1,), (8,), (5, 3), (64, 16))
LENGTHS: tuple[Shape, ...] = ((5,), (1,), (24,))


def strategy_of(value: Any) -> SearchStrategy[Any]:
    """Return a strategy as it is, and any other value as the strategy that draws it alone.

    >>> strategy_of(3)
    just(3)
    """
    return value if isinstance(value, SearchStrategy) else st.just(value)


def arrays(
    dtype: Any = None,
    shape: Shapes = SHAPES,
    *,
    elements: SearchStrategy[Any] | None = None,
    subnormals: bool = False,
) -> SearchStrategy[jax.Array]:
    """Draw arrays in which every element varies.

    Floats are finite, and of a size whose squares do not overflow (from 2⁻³¹ to 2³¹ in float32).

    Args:
        dtype: a dtype or a strategy of them; by default JAX's default float.
        shape: a shape, a few of them to choose from, or a strategy.
        elements: draws the values; up to eight are drawn and dealt out over the array.
        subnormals: keep numbers below the smallest normal one. Off by default: XLA on CPUs flushes
            them to zero.
    """

    def values(draw: Draw, rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
        if elements is not None:
            pool = np.asarray(draw(st.lists(elements, min_size=1, max_size=8)))
            return pool[rng.integers(len(pool), size=shape)]
        return draw(st.sampled_from(_designs(dtype)))(rng, shape, dtype)

    return _arrays(values, dtype, shape, subnormals)


def floats_with_offset(
    dtype: Any = None, shape: Shapes = LENGTHS, *, largest: float = 1e8
) -> SearchStrategy[jax.Array]:
    """Draw floats whose mean is up to `largest` times their standard deviation.

    Args:
        dtype: a floating dtype; by default JAX's default float.
        shape: as in `arrays`.
        largest: the largest ratio; capped so that the dtype holds its square.
    """

    def values(draw: Draw, rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
        top = min(np.log2(largest), jnp.finfo(dtype).maxexp / 3)
        ratio = 2.0 ** draw(st.integers(0, int(top)))
        return ratio * rng.choice([-1, 1]) + rng.normal(size=shape)

    return _arrays(values, dtype, shape)


def ill_conditioned(
    dtype: Any = None, length: int | Sequence[int] = (5, 1, 24)
) -> SearchStrategy[jax.Array]:
    """Draw samples that are hard on a statistic: one axis of floats by one of seven designs.

    An outlier first or last, sorted, two neighbouring values, a constant, huge, tiny.

    Args:
        dtype: a floating dtype; by default JAX's default float.
        length: how many elements, or a few numbers to choose from.
    """

    def values(draw: Draw, rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
        return draw(st.sampled_from(_ILL))(rng, shape, dtype)

    lengths = (length,) if isinstance(length, int) else length
    return _arrays(values, dtype, tuple((n,) for n in lengths))


@st.composite
def _arrays(
    draw: Draw, values: Any, dtype: Any, shape: Shapes, subnormals: bool = False
) -> jax.Array:
    dtype = np.dtype(jnp.result_type(float) if dtype is None else draw(strategy_of(dtype)))
    size = draw(_shapes(shape))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = _fit(values(draw, rng, size, dtype), dtype)
    if jnp.issubdtype(dtype, jnp.inexact) and not subnormals:
        drawn = _flush(drawn)
    return jnp.asarray(drawn.astype(dtype))


def _shapes(shape: Any) -> SearchStrategy[Shape]:
    if isinstance(shape, SearchStrategy):
        return shape
    return st.just(shape) if all(isinstance(n, int) for n in shape) else st.sampled_from(shape)


def _fit(values: Any, dtype: Any) -> np.ndarray:
    if not jnp.issubdtype(dtype, jnp.floating):
        return np.asarray(values)
    top = float(jnp.finfo(dtype).max)
    return np.clip(values, -top, top).astype(dtype)


def _flush(values: Any) -> np.ndarray:
    least = float(jnp.finfo(values.dtype).smallest_normal)
    if not jnp.issubdtype(values.dtype, jnp.complexfloating):
        return np.where(np.abs(values.astype(float)) < least, np.zeros_like(values), values)
    return _flush(values.real) + 1j * _flush(values.imag)


def _designs(dtype: Any) -> list[Any]:
    """Return the designs for a dtype, the plainest first: that is where shrinking goes."""
    if dtype == np.bool_:
        return [lambda rng, shape, dtype: rng.integers(2, size=shape)]
    if jnp.issubdtype(dtype, jnp.integer):
        return [_small_integers, _all_integers]
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return [_complex(design) for design in _FLOATS]
    return _FLOATS


def _small_integers(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    info = jnp.iinfo(dtype)
    return rng.integers(max(-9, info.min), min(9, info.max), size=shape, endpoint=True)


def _all_integers(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    info = jnp.iinfo(dtype)
    wide = np.uint64 if info.min == 0 else np.int64
    return rng.integers(info.min, info.max, size=shape, dtype=wide, endpoint=True)


def _complex(design: Any) -> Any:
    def values(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
        part = jnp.finfo(dtype).dtype
        return design(rng, shape, part) + 1j * design(rng, shape, part)

    return values


def _whole(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return rng.integers(-9, 9, size=shape, endpoint=True).astype(float)


def _normal(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return rng.normal(size=shape)


def _offset(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return rng.normal(size=shape) + 2.0 ** rng.integers(0, max(1, jnp.finfo(dtype).nmant // 2))


def _wide(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    top = jnp.finfo(dtype).maxexp / 4 - 1
    return rng.choice([-1, 1], size=shape) * 2.0 ** rng.uniform(-top, top, size=shape)


_FLOATS = [_whole, _normal, _offset, _wide]


def _constant(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return np.full(shape, rng.normal())


def _two_values(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return 1.0 + float(jnp.finfo(dtype).eps) * rng.integers(2, size=shape)


def _sorted(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return np.sort(rng.normal(size=shape)) + rng.integers(100)


def _outlier_first(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    values = rng.normal(size=shape)
    values[0] *= 2.0 ** min(jnp.finfo(dtype).maxexp // 3, 20)
    return values


def _outlier_last(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return _outlier_first(rng, shape, dtype)[::-1]


def _huge(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return rng.normal(size=shape) * 2.0 ** max(0, jnp.finfo(dtype).maxexp // 2 - 8)


def _tiny(rng: Any, shape: Shape, dtype: Any) -> np.ndarray:
    return rng.normal(size=shape) / 2.0 ** max(0, jnp.finfo(dtype).maxexp // 2 - 20)


_ILL = [_constant, _two_values, _sorted, _outlier_first, _outlier_last, _huge, _tiny]
