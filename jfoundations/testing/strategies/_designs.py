"""How arrays vary: each design fills a shape from a random generator, the plainest first.

A design is `(rng, shape, dtype) -> values`, of which every element is its own. Lists begin with the
plainest design, since that is where shrinking goes.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

Shape = tuple[int, ...]
Design = Callable[[Any, Shape, Any], Any]


def designs_of(dtype: DTypeLike) -> list[Design]:
    """Return the designs for a dtype."""
    if dtype == np.bool_:
        return [lambda rng, shape, dtype: rng.integers(2, size=shape)]
    if jnp.issubdtype(dtype, jnp.integer):
        return [_small_integers, _all_integers]
    return _of_parts(_FLOATS, dtype)


def ill_designs(dtype: DTypeLike) -> list[Design]:
    """Return the designs that are hard on a statistic."""
    hard = [_constant, _two_values, _sorted, _outlier_first, _outlier_last, _huge, _tiny]
    return _of_parts(hard, dtype)


def offset_designs(largest: float, dtype: DTypeLike) -> list[Design]:
    """Return designs of deviation 1 whose mean is 1, 2, 4 and so on, up to the largest."""
    largest = min(largest, 2.0 ** (jnp.finfo(dtype).maxexp / 3))
    powers = 2.0 ** np.arange(max(0, np.ceil(np.log2(largest))))
    return _of_parts([_far(ratio) for ratio in (*powers, largest)], dtype)


def _far(ratio: float) -> Design:
    def values(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
        return ratio * rng.choice([-1, 1]) + rng.normal(size=shape)

    return values


def _small_integers(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    info = jnp.iinfo(dtype)
    return rng.integers(max(-9, info.min), min(9, info.max), size=shape, endpoint=True)


def _all_integers(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    info = jnp.iinfo(dtype)
    wide = np.uint64 if info.min == 0 else np.int64
    return rng.integers(info.min, info.max, size=shape, dtype=wide, endpoint=True)


def _of_parts(designs: list[Design], dtype: DTypeLike) -> list[Design]:
    """Return designs of real numbers, or of complex ones whose parts they make."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return [_complex(design) for design in designs]
    return designs


def _complex(design: Design) -> Design:
    def values(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
        part = jnp.finfo(dtype).dtype
        return design(rng, shape, part) + 1j * design(rng, shape, part)

    return values


def _whole(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return rng.integers(-9, 9, size=shape, endpoint=True).astype(float)


def _normal(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return rng.normal(size=shape)


def _offset(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return rng.normal(size=shape) + 2.0 ** rng.integers(0, max(1, jnp.finfo(dtype).nmant // 2))


def _wide(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    top = max(0, jnp.finfo(dtype).maxexp / 4 - 1)
    return rng.choice([-1, 1], size=shape) * 2.0 ** rng.uniform(-top, top, size=shape)


_FLOATS: list[Design] = [_whole, _normal, _offset, _wide]


def _constant(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return np.full(shape, rng.normal())


def _two_values(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return 1.0 + float(jnp.finfo(dtype).eps) * rng.integers(2, size=shape)


def _sorted(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return np.sort(rng.normal(size=shape)) + rng.integers(100)


def _outlier_first(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    values = rng.normal(size=shape)
    values[0] *= 2.0 ** min(jnp.finfo(dtype).maxexp // 3, 20)
    return values


def _outlier_last(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return _outlier_first(rng, shape, dtype)[::-1]


def _huge(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return rng.normal(size=shape) * 2.0 ** max(0, jnp.finfo(dtype).maxexp // 2 - 8)


def _tiny(rng: np.random.Generator, shape: Shape, dtype: DTypeLike) -> np.ndarray:
    return rng.normal(size=shape) / 2.0 ** max(0, jnp.finfo(dtype).maxexp // 2 - 20)
