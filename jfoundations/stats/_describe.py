"""What is to be known of a sample at a glance: count, extremes, mean, variance, shape.

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> stats.describe(jnp.array([1.0, 2.0, 4.0, 18.0]))
Description(count=4, minimum=1., maximum=18., mean=6.25, var=47.1875,
            skew=1.07..., kurtosis=-0.73...)
"""

from __future__ import annotations

import dataclasses
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike, DTypeLike

from .._core.pytrees import pytree
from .._kernels.moments.derivatives import summary
from .._kernels.moments.formulas import Call, alike
from .._kernels.numbers.counts import Count
from .._kernels.sample.arguments import (
    ORDERED,
    Axes,
    Axis,
    Data,
    Nan,
    Numbers,
    answer,
    check,
    compiled,
    scalar,
)
from .._kernels.sample.weights import Frequency, Weights
from .._kernels.sums.blocks import counted
from ._minmax import known, minmax


@pytree
class Description:
    """A sample at a glance; every field has the shape that is kept.

    Attributes:
        count: how many elements there are (of folds a `Count`, while x64 is off); of frequencies
            their sum.
        minimum: the least element, in the data's dtype.
        maximum: the greatest element, in the data's dtype.
        mean: the arithmetic mean.
        var: the variance.
        skew: the skewness, biased; nan of a constant.
        kurtosis: the excess kurtosis, biased; nan of a constant.
    """

    count: jax.Array | Count
    minimum: jax.Array
    maximum: jax.Array
    mean: jax.Array
    var: jax.Array
    skew: jax.Array
    kurtosis: jax.Array

    def __repr__(self) -> str:
        shown = (f"{f.name}={_short(getattr(self, f.name))}" for f in dataclasses.fields(self))
        return f"Description({', '.join(shown)})"


def _short(value: Any) -> str:
    if not isinstance(value, jax.Array) or isinstance(value, Tracer):
        return repr(value)
    return np.array2string(np.asarray(value, dtype=_shown(value.dtype)), separator=", ")


def _shown(dtype: DTypeLike) -> Any:
    return dtype if np.dtype(dtype).kind in "biuf" else np.float32  # bfloat16


def describe(
    x: Numbers,
    *,
    axis: Axis = None,
    correction: ArrayLike = 0,
    keepdims: bool = False,
    weights: Weights | Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Description:
    """Return count, minimum, maximum, mean, variance, skewness and kurtosis, from shared sums.

    The variance has the bits of `var`, the extremes those of `minmax`.

    Args:
        x: real array of any shape; bool and int become the default float, but for the extremes.
        axis: the axis or axes to reduce; all by default.
        correction: as in `var`; skewness and kurtosis have none.
        keepdims: keep reduced axes with length 1.
        weights: as in `var`.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate", or "omit" to leave nan out.

    Returns:
        A `Description`, a pytree. The count is int32 (of `Frequency` weights their sum, a float).

    Raises:
        TypeError: x holds no real numbers.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> int(describe([1.0, 2.0, 4.0, 18.0]).count)
    4
    """
    data, axes = check("describe", {"x": x}, axis, weights, where, nan, real=ORDERED)
    correction = scalar("describe", "correction", correction)
    return _describe(data, correction, axes=axes, keepdims=bool(keepdims), nan=nan)


@compiled()
def _describe(
    data: Data, correction: ArrayLike, axes: Axes, keepdims: bool, nan: Nan
) -> Description:
    call = Call.of(data, nan, axes, correction)
    (x,) = alike(data.values)
    if x.size:
        memory, ends = summary(x, call.weights, axes)
        ends = [v.astype(data.values[0].dtype) for v in known(x, call.weights, axes, ends)]
    else:
        memory, ends = call.memory((x,), 4), minmax(data.values[0], axis=axes)
    m = call.moments_of(memory)
    rest = (answer(v, data, axes, False) for v in (m.mean, m.var(correction), m.skew, m.kurtosis))
    fields = (_count(call, m.weight), *ends, *rest)
    return Description(*(jnp.expand_dims(v, axes) if keepdims else v for v in fields))


def _count(call: Call, total: jax.Array) -> jax.Array:
    if call.weights is None:
        size = prod(call.data.values[0].shape[a] for a in call.axes)
        return jnp.full(total.shape, size, np.int32 if size < 2**31 else np.uint32)
    if isinstance(call.data.weights, Frequency) and call.weight_unit is not None:
        return call.size(total)
    return jnp.sum(counted(call.weights), axis=call.axes, dtype=np.int32)
