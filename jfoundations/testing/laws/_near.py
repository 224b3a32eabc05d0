"""What two answers of one statistic may differ by: nothing, or what rounding does to its data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jax import Array
from jax.typing import DTypeLike

from ..._core.types import PyTree
from ..strategies import (
    arrays,
    condition,
    floats_with_offset,
    ill_conditioned,
    strategy_of,
    tolerance,
)
from ..strategies._arrays import Shapes
from ._failure import same

Statistic = Callable[..., Any]
LENGTHS = (5, 300, 5, 300, 1)  # one element alone is an edge: it is drawn less often
BUCKETS = tuple((n,) for n in LENGTHS)


def samples_of(samples: PyTree, dtype: DTypeLike | None, lengths: tuple[int, ...] = LENGTHS) -> Any:
    """Return the user's samples as a strategy, or well- and ill-conditioned floats."""
    if samples is not None:
        return strategy_of(samples)
    shapes = tuple((n,) for n in lengths)
    return (
        arrays(dtype, shapes) | ill_conditioned(dtype, lengths) | floats_with_offset(dtype, shapes)
    )


def near(
    found: PyTree,
    expected: PyTree,
    x: PyTree,
    *,
    rtol: float | None,
    power: int | None = None,
    shift: int | None = None,
    plain: bool = False,
    what: str,
) -> None:
    """Assert that two answers agree: exactly if `rtol` is 0, else relative to what they measure.

    Measures of spread are relative to themselves, and by default to what `tolerance` grants their
    data. Others are relative to the largest value as well, a location's rounding being of its size.
    A `plain` measure of spread is granted what its rounded mean costs, see `of_mean`.
    """
    if rtol == 0:
        same(found, expected, what=what)
        return
    wide = np.asarray(x)
    wide = np.abs(wide.astype(np.complex128 if np.iscomplexobj(wide) else np.float64))
    largest = float(np.max(wide, initial=0))
    if rtol is None:
        leaves = [leaf.dtype for leaf in jax.tree.leaves(found) if is_inexact(leaf)]
        spread = shift == 0
        bounds = [tolerance(d, wide.size, condition(x) if spread else 1.0) for d in leaves]
        rtol = max(bounds, default=0.0)
    size = 0.0 if shift == 0 and power else largest ** (1 if power is None else power)
    atol = of_mean(x, found, power) if plain and shift == 0 and power else rtol * size
    same(found, expected, rtol=rtol, atol=atol, what=what)


def of_mean(x: PyTree, found: PyTree, power: int) -> float:
    """Return what a measure of spread about a rounded mean may be off by: (t·max|x|)**power.

    Squares about a mean that is off by δ sum to those about the mean, and n·δ² (Chan, Golub and
    LeVeque, 1983); δ is at most t·max|x|, with t what `tolerance` grants a sum.
    """
    wide = np.asarray(x)
    wide = np.abs(wide.astype(np.complex128 if np.iscomplexobj(wide) else np.float64))
    leaves = [leaf.dtype for leaf in jax.tree.leaves(found) if is_inexact(leaf)]
    most = max((tolerance(dtype, wide.size) for dtype in leaves), default=0.0)
    return (most * float(np.max(wide, initial=0))) ** power


def is_inexact(leaf: PyTree) -> bool:
    """Tell whether a leaf holds floating numbers, real or complex."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def of_quarters(dtype: DTypeLike | None, shape: Shapes) -> Any:
    """Draw arrays of multiples of 1/4 below 2: a sum with one of `offsets` is exact."""
    part = st.integers(-7, 7).map(lambda k: k / 4)
    return arrays(dtype, shape, elements=_of_parts(dtype, part))


def offsets(dtype: DTypeLike | None) -> Any:
    """Draw whole numbers below an eighth of the largest that a dtype has all of."""
    most = 2 ** (jnp.finfo(dtype_of(dtype)).nmant - 3)
    return _of_parts(dtype, st.integers(-most, most))


def moved_by(c: complex, x: Array) -> Array:
    """Return x + c, added where no shape compiles anew."""
    host = np.asarray(x)
    return jax.device_put(host + np.asarray(c, host.dtype))


def dtype_of(dtype: DTypeLike | None) -> np.dtype:
    """Return a dtype, by default JAX's default float."""
    return np.dtype(jnp.result_type(float) if dtype is None else dtype)


def _of_parts(dtype: DTypeLike | None, part: SearchStrategy[float]) -> Any:
    is_complex = jnp.issubdtype(dtype_of(dtype), jnp.complexfloating)
    return st.builds(complex, part, part) if is_complex else part
