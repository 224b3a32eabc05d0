"""What two answers of one statistic may differ by: nothing, or what rounding does to its data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..checks import assert_same
from ..strategies import (
    arrays,
    condition,
    floats_with_offset,
    ill_conditioned,
    strategy_of,
    tolerance,
)

Statistic = Callable[..., Any]
LENGTHS = (5, 300, 5, 300, 1)  # one element alone is an edge: it is drawn less often
BUCKETS = tuple((n,) for n in LENGTHS)


def samples_of(samples: Any, dtype: Any, lengths: tuple[int, ...] = LENGTHS) -> Any:
    """Return the user's samples as a strategy, or well- and ill-conditioned floats."""
    if samples is not None:
        return strategy_of(samples)
    shapes = tuple((n,) for n in lengths)
    return (
        arrays(dtype, shapes) | ill_conditioned(dtype, lengths) | floats_with_offset(dtype, shapes)
    )


def near(
    found: Any,
    expected: Any,
    x: Any,
    *,
    rtol: float | None,
    power: int | None = None,
    shift: int | None = None,
    what: str,
) -> None:
    """Assert that two answers agree: exactly if `rtol` is 0, else relative to what they measure.

    Measures of spread are relative to themselves, and by default to what `tolerance` grants their
    data. Others are relative to the largest value as well, a location's rounding being of its size.
    """
    if rtol == 0:
        assert_same(found, expected, what=what)
        return
    wide = np.asarray(x).astype(np.float64)
    largest = float(np.max(np.abs(wide), initial=0))
    if rtol is None:
        leaves = [leaf.dtype for leaf in jax.tree.leaves(found) if is_float(leaf)]
        spread = shift == 0
        bounds = [tolerance(d, wide.size, condition(x) if spread else 1.0) for d in leaves]
        rtol = max(bounds, default=0.0)
    size = 0.0 if shift == 0 and power else largest ** (1 if power is None else power)
    assert_same(found, expected, rtol=rtol, atol=rtol * size, what=what)


def is_float(leaf: Any) -> bool:
    """Tell whether a leaf holds real floating numbers."""
    return jnp.issubdtype(leaf.dtype, jnp.floating)
