"""Sums of third and fourth powers of deviations, in one read of the data.

The kernel knows the mean and the sum of squares; what skewness and kurtosis need besides are two
sums more. They are in units of a power of two near the standard deviation, so that fourth powers
neither under- nor overflow.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._blocks import in_three, sum_together
from ._gradients import deviations
from ._two_words import tree_sum

# As in the kernel: the additions in one chain, and four chains at a time where rows are numbers.
STEPS, LANES = 256, 4


@functools.partial(jax.custom_jvp, nondiff_argnums=(5,))
def cubes_and_fourths(
    x: jax.Array, weights: Any, pivot: Any, offset: Any, unit: Any, axes: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Return Σwe³ and Σwe⁴ over axes, with e = (x - mean) / unit.

    Args:
        x: real array.
        weights: None, bools or floats ≥ 0, of x's shape.
        pivot: the first word of the mean, with reduced axes kept or left out.
        offset: the second word.
        unit: a power of two.
        axes: the axes to reduce, non-negative and sorted.

    Returns:
        Two arrays, without the reduced axes.
    """
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    x, weights = in_three(x, axes), None if weights is None else in_three(weights, axes)
    outer, n, inner = x.shape
    means = [v.reshape(outer, 1, inner) for v in (pivot, offset, unit)]
    lanes = LANES if inner < LANES else 1
    whole = n // (STEPS * lanes)
    parts = []
    for start, blocks, rows, width in ((0, whole, STEPS, lanes), (whole * STEPS * lanes, 1, 0, 1)):
        rows = rows or n - start
        if blocks * rows:
            shape = (outer, blocks, rows, width, inner)
            stop = start + blocks * rows * width
            x_part = x[:, start:stop].reshape(shape)
            w_part = None if weights is None else weights[:, start:stop].reshape(shape)
            parts.append(_block_sums(x_part, w_part, means))
    if not parts:
        return jnp.zeros(kept, offset.dtype), jnp.zeros(kept, offset.dtype)
    third, fourth = tree_sum([jnp.concatenate(p, axis=1) for p in zip(*parts, strict=True)])
    return third.reshape(kept), fourth.reshape(kept)


@cubes_and_fourths.defjvp
def _rule(axes: Any, primals: Any, tangents: Any) -> Any:
    # the same sums by ordinary operations: the deviations have a rule of their own
    def plain(x: Any, weights: Any, pivot: Any, offset: Any, unit: Any) -> Any:
        e = deviations(x, weights, *(_kept(v, x, axes) for v in (pivot, offset, unit)), axes)
        return [jnp.sum(term, axis=axes) for term in _terms(e, weights)]

    return cubes_and_fourths(*primals, axes), tuple(jax.jvp(plain, primals, tangents)[1])


def _kept(v: jax.Array, x: jax.Array, axes: Any) -> jax.Array:
    return v if v.ndim == x.ndim else jnp.expand_dims(v, axes)


def _terms(e: jax.Array, weights: Any) -> list[jax.Array]:
    square = e * e
    first = e
    if weights is not None and weights.dtype != np.bool_:
        first = jnp.where(weights != 0, weights, 0).astype(e.dtype) * e
    return [first * square, first * e * square]


def _block_sums(x: Any, weights: Any, means: Any) -> list[jax.Array]:
    lanes = []
    for k in range(x.shape[3]):
        w = None if weights is None else weights[:, :, :, k]
        e = deviations(x[:, :, :, k], w, *(m[:, :, None] for m in means), (2,))
        lanes.append(_terms(e, w))
    sums = sum_together([term for lane in lanes for term in lane], 2)
    return [functools.reduce(jnp.add, sums[k::2]) for k in (0, 1)]
