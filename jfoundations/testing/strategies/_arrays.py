"""Arrays drawn as a seed and a design."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jax.typing import DTypeLike

from ..._core.values import is_key
from ._designs import Design, Shape, designs_of, ill_designs, offset_designs

Shapes = Shape | Sequence[Shape] | SearchStrategy[Shape]
Draw = Callable[[SearchStrategy[Any]], Any]

SHAPES: tuple[Shape, ...] = ((3,), (1,), (8,), (5, 3), (64, 16))
# one element alone is an edge, not a sample: it is drawn less often
LENGTHS: tuple[Shape, ...] = ((5,), (24,), (5,), (24,), (1,))


def strategy_of(value: object) -> SearchStrategy[Any]:
    """Return a strategy as it is, and any other value as the strategy that draws it alone.

    >>> strategy_of(3)
    just(3)
    """
    return value if isinstance(value, SearchStrategy) else st.just(value)


def cut(x: Any, at: Any) -> Any:
    """Return `x[at]`; of an array of JAX's it is cut on the host, where a cut compiles nothing."""
    if not isinstance(x, jax.Array) or is_key(x):
        return x[at]  # keys are no numbers there
    return jax.device_put(np.asarray(x)[at])


def arrays(
    dtype: DTypeLike | None = None,
    shape: Shapes = SHAPES,
    *,
    elements: SearchStrategy[Any] | None = None,
    lanes: int | None = None,
    subnormals: bool = False,
) -> SearchStrategy[jax.Array]:
    """Draw arrays in which every element varies.

    Floats are finite, and of a size whose squares do not overflow (from 2⁻³¹ to 2³¹ in float32).

    Args:
        dtype: a dtype or a strategy of them, bfloat16, the float8s and int4 included; by default
            JAX's default float. Without x64, float64 is float32.
        shape: a shape, a few of them to choose from, or a strategy.
        elements: draws the values; up to eight are drawn and dealt out over the array.
        lanes: stack so many arrays of one shape, made from one seed by the designs in turn: one
            call of a vmapped function tries them all.
        subnormals: keep numbers below the smallest normal one. Off by default: XLA on CPUs flushes
            them to zero, so a law that fails on one says nothing about the code.

    >>> from hypothesis import given, settings
    >>> @settings(deadline=None, database=None, max_examples=5)
    ... @given(arrays(jnp.bfloat16, (8,), lanes=100))
    ... def test_abs(x):
    ...     assert x.shape == (100, 8) and bool(jnp.all(jax.vmap(jnp.abs)(x) >= 0))
    >>> test_abs()
    """

    def designs(draw: Draw, dtype: DTypeLike) -> list[Design]:
        if elements is None:
            return designs_of(dtype)
        pool = np.asarray(draw(st.lists(elements, min_size=1, max_size=8)))
        return [lambda rng, shape, dtype: pool[rng.integers(len(pool), size=shape)]]

    return _arrays(designs, dtype, shape, lanes, subnormals)


def floats_with_offset(
    dtype: DTypeLike | None = None,
    shape: Shapes = LENGTHS,
    *,
    largest: float = 1e8,
    lanes: int | None = None,
) -> SearchStrategy[jax.Array]:
    """Draw floats whose mean is up to `largest` times their standard deviation.

    Args:
        dtype: a floating dtype; by default JAX's default float.
        shape: as in `arrays`.
        largest: the largest ratio; capped so that the dtype holds its square.
        lanes: as in `arrays`; their ratios differ.

    >>> from hypothesis import find
    >>> far = find(floats_with_offset(), lambda x: float(jnp.mean(x)) > 1e7)
    """
    return _arrays(lambda draw, dtype: offset_designs(largest, dtype), dtype, shape, lanes)


def ill_conditioned(
    dtype: DTypeLike | None = None,
    length: int | Sequence[int] = (5, 24, 5, 24, 1),
    *,
    lanes: int | None = None,
) -> SearchStrategy[jax.Array]:
    """Draw samples that are hard on a statistic: one axis of floats by one of seven designs.

    An outlier first or last, sorted, two neighbouring values, a constant, huge, tiny.

    Args:
        dtype: a floating dtype; by default JAX's default float.
        length: how many elements, or a few numbers to choose from.
        lanes: as in `arrays`; seven or more have every design.

    >>> from hypothesis import find
    >>> constant = find(ill_conditioned(), lambda x: bool(jnp.all(x == x[0])))
    """
    lengths = (length,) if isinstance(length, int) else length
    shapes = tuple((n,) for n in lengths)
    return _arrays(lambda draw, dtype: ill_designs(dtype), dtype, shapes, lanes)


@st.composite
def _arrays(
    draw: Draw,
    designs: Callable[[Draw, Any], list[Design]],
    dtype: DTypeLike | None,
    shape: Shapes,
    lanes: int | None = None,
    subnormals: bool = False,
) -> jax.Array:
    asked = jnp.result_type(float) if dtype is None else draw(strategy_of(dtype))
    dtype = jax.dtypes.canonicalize_dtype(asked)
    size = draw(_shapes(shape))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    choice = designs(draw, dtype)
    first = draw(st.integers(0, len(choice) - 1))
    made = [choice[(first + k) % len(choice)](rng, size, dtype) for k in range(lanes or 1)]
    drawn = _fit(made[0] if lanes is None else np.stack(made), dtype)
    if jnp.issubdtype(dtype, jnp.inexact) and not subnormals:
        drawn = _flush(drawn)
    return jax.device_put(drawn.astype(dtype))


def _shapes(shape: Shapes) -> SearchStrategy[Any]:
    if isinstance(shape, SearchStrategy):
        return shape
    return st.just(shape) if all(isinstance(n, int) for n in shape) else st.sampled_from(shape)


def _fit(values: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    if not jnp.issubdtype(dtype, jnp.floating):
        return np.asarray(values)
    least, most = float(jnp.finfo(dtype).min), float(jnp.finfo(dtype).max)
    # float8_e8m0fnu has neither sign nor zero
    values = np.abs(values) if least > 0 else values
    return np.clip(values, least, most).astype(dtype)


def _flush(values: np.ndarray) -> np.ndarray:
    least = float(jnp.finfo(values.dtype).smallest_normal)
    if not jnp.issubdtype(values.dtype, jnp.complexfloating):
        return np.where(np.abs(values.astype(float)) < least, np.zeros_like(values), values)
    return _flush(np.real(values)) + 1j * _flush(np.imag(values))
