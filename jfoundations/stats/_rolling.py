"""Statistics of a moving window, without ever subtracting a cumulative sum from another.

The data are cut into blocks as long as the window. A window is the end of one block and the
beginning of the next, so its memory is the merge of a suffix scan and a prefix scan: nothing that
has left the window leaves a trace in the digits. Each memory is in units of its own: scaling the
data or the weights by a power of two changes no bit of what does not depend on it.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.rolling_mean(jnp.array([1.0, 2.0, 4.0, 18.0]), 2)
Array([ 1.5,  3. , 11. ], dtype=float32)

Source: van Herk (1992) and Gil and Werman (1993), who do so for the extremes of a window.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_count
from .._kernels.moments.stretches import (
    Stretch,
    check_along,
    correlation,
    elements,
    mean,
    merge,
    moment,
    padded,
    prefixes,
    strength,
)
from .._kernels.sample.arguments import Data, answer, compiled, scalar


def rolling_mean(
    x: Any,
    window: int,
    *,
    axis: int = 0,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the mean of every full window along an axis.

    Args:
        x: real array with n elements along the axis; bool and int become the default float.
        window: how many elements a window spans, a Python int in 1 … n.
        axis: along which axis; samples run along the first by default.
        weights: as in `mean`, of x's elements.
        where: as in `mean`; a hidden element is missing from the windows it lies in.
        nan: "propagate" (to the windows it lies in) or "omit".

    Returns:
        An array with n − window + 1 elements along the axis; nan where a window has no elements.

    Raises:
        TypeError: x holds no real numbers, or window is no int (or is traced).
        ValueError: the window is longer than the data, or the axis out of range.

    >>> rolling_mean(jnp.arange(5.0), 3)
    Array([1., 2., 3.], dtype=float32)
    """
    data, window, axis = _checked("rolling_mean", {"x": x}, window, axis, weights, where, nan)
    return _rolling(data, 0, name="mean", window=window, axis=axis, nan=nan)


def rolling_var(
    x: Any,
    window: int,
    *,
    correction: float = 0,
    axis: int = 0,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the variance of every full window along an axis, never negative.

    Args:
        x: as in `rolling_mean`.
        window: as in `rolling_mean`.
        correction: as in `var`; 1 is what pandas gives by default.
        axis: along which axis; samples run along the first by default.
        weights: as in `var`.
        where: as in `rolling_mean`.
        nan: as in `rolling_mean`.

    Returns:
        An array with n − window + 1 elements along the axis; nan where a window's elements do not
        exceed the correction.

    Raises:
        TypeError, ValueError: as `rolling_mean`.

    >>> rolling_var(jnp.array([1.0, 3.0, 3.0]), 2)
    Array([1., 0.], dtype=float32)
    """
    data, window, axis = _checked("rolling_var", {"x": x}, window, axis, weights, where, nan)
    correction = scalar("rolling_var", "correction", correction)
    return _rolling(data, correction, name="var", window=window, axis=axis, nan=nan)


def rolling_cov(
    x: Any,
    y: Any,
    window: int,
    *,
    correction: float = 0,
    axis: int = 0,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return the covariance of the pairs in every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        y: an array of the same shape.
        window: as in `rolling_mean`.
        correction: as in `cov`.
        axis: along which axis; samples run along the first by default.
        weights: as in `cov`.
        where: as in `rolling_mean`, listwise.
        nan: as in `rolling_mean`, listwise.

    Returns:
        An array with n − window + 1 elements along the axis.

    Raises:
        TypeError, ValueError: as `rolling_mean`; the shapes differ.

    >>> x = jnp.array([1.0, 3.0, 3.0])
    >>> rolling_cov(x, -x, 2)
    Array([-1.,  0.], dtype=float32)
    """
    named = {"x": x, "y": y}
    data, window, axis = _checked("rolling_cov", named, window, axis, weights, where, nan)
    correction = scalar("rolling_cov", "correction", correction)
    return _rolling(data, correction, name="cov", window=window, axis=axis, nan=nan)


def rolling_corr(
    x: Any,
    y: Any,
    window: int,
    *,
    axis: int = 0,
    weights: Any = None,
    where: Any = None,
    nan: str = "propagate",
) -> jax.Array:
    """Return Pearson's correlation of the pairs in every full window along an axis.

    Args:
        x: as in `rolling_mean`.
        y: an array of the same shape.
        window: as in `rolling_mean`.
        axis: along which axis; samples run along the first by default.
        weights: as in `corr`.
        where: as in `rolling_mean`, listwise.
        nan: as in `rolling_mean`, listwise.

    Returns:
        An array with n − window + 1 elements along the axis, in −1 … 1; nan where x or y is
        constant in a window.

    Raises:
        TypeError, ValueError: as `rolling_mean`; the shapes differ.

    >>> x = jnp.array([1.0, 3.0, 2.0])
    >>> rolling_corr(x, -x, 2)
    Array([-1., -1.], dtype=float32)
    """
    named = {"x": x, "y": y}
    data, window, axis = _checked("rolling_corr", named, window, axis, weights, where, nan)
    return _rolling(data, 0, name="corr", window=window, axis=axis, nan=nan)


def _checked(
    who: str, named: Any, window: Any, axis: int, weights: Any, where: Any, nan: str
) -> tuple[Data, int, int]:
    data, place = check_along(who, named, axis, weights, where, nan)
    window = check_count(window, "window", who, least=1)
    n = data.values[0].shape[place]
    if window > n:
        raise ValueError(f"{who}: window is {window}, longer than the {n} elements along the axis")
    return data, window, place


@compiled("name", "window", "axis")
def _rolling(data: Data, correction: Any, name: str, window: int, axis: int, nan: Any) -> jax.Array:
    weights = jnp.moveaxis(strength(data, nan), axis, 0)
    values = tuple(jnp.moveaxis(v, axis, 0) for v in data.values)
    powers = {"mean": 0, "corr": 3}.get(name, 1)
    memory = _windows(elements(values, weights, data.weights, powers), window)
    if name == "mean":
        value = mean(memory)
    elif name == "corr":
        value = correlation(memory)
    else:
        value = moment(memory, data.weights, correction)
    return answer(jnp.moveaxis(value, 0, axis), data, (), False)


def _windows(memory: Stretch, window: int) -> Stretch:
    """Merge the memories of every `window` neighbours along axis 0."""
    n = memory.weight.mantissa.shape[0]
    blocks = -(-n // window)

    def cut(leaf: jax.Array) -> jax.Array:
        leaf = jnp.swapaxes(leaf.reshape(blocks, window, *leaf.shape[1:]), 0, 1)
        return jnp.stack([leaf, leaf[::-1]], axis=1)  # to be gone through from either end

    def uncut(leaf: jax.Array) -> jax.Array:
        return jnp.swapaxes(leaf, 0, 1).reshape(blocks * window, *leaf.shape[2:])

    scans = prefixes(jax.tree.map(cut, padded(memory, blocks * window)))
    last = n - window + 1
    left = jax.tree.map(lambda leaf: uncut(leaf[::-1, 1])[:last], scans)
    right = jax.tree.map(lambda leaf: uncut(leaf[:, 0])[window - 1 : n], scans)
    both = merge(left, right)
    # such a window is a block: both scans hold all of it
    whole = lax.iota(np.int32, last) % window == 0

    def pick(one: jax.Array, two: jax.Array) -> jax.Array:
        return jnp.where(whole.reshape(-1, *(1,) * (one.ndim - 1)), one, two)

    return jax.tree.map(pick, right, both)
