"""A fold of an array along axes: what a reduction is, for every fold.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> x = jnp.array([[1e30, 1e30, 1e-30], [2.0, jnp.nan, 4.0]])
>>> jf.reduce(jf.folds.product(), x, axis=1, nan="omit").tolist()
[1.0000000...e+30, 8.0]
"""

from __future__ import annotations

from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from .._core.checks import tracing
from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.shown import see
from .._kernels.sample.arguments import Axes, Axis, Data, Nan, Numbers, check
from .fold import Fold
from .given import Given, check_fold, which_count


def reduce(
    a_fold: Fold[Any],
    x: Numbers,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    weights: Numbers | None = None,
    where: Numbers | None = None,
    nan: Nan = "propagate",
) -> Any:
    """Return a fold's answer of the numbers of an array along axes.

    Each is what `fold` gives of the numbers that lie there and count, in row-major order. Where
    `jnp` has a reduction of that name, it is the same up to what the fold promises; a place, as of
    `folds.argmax`, is that among the numbers that count.

    Args:
        a_fold: a fold of single numbers.
        x: an array of any shape.
        axis: the axis or axes to reduce; all by default.
        keepdims: keep reduced axes with length 1.
        weights: numbers that broadcast against x; the fold is then given pairs `(x, weight)`.
            Weight 0 is deletion.
        where: a bool array that broadcasts against x: which elements there are.
        nan: "propagate": what the fold makes of it; "omit" leaves nan out.

    Returns:
        The fold's answer, with the axes that are kept behind its own.

    Raises:
        TypeError: the fold is none, or has no merge and some numbers are left out; x holds no
            numbers, or `where` no bools.
        ValueError: an axis is out of range or repeated; weights or `where` do not broadcast.

    >>> import jfoundations as jf
    >>> reduce(jf.folds.top_k(2), [[3, 1, 2], [7, 9, 8]], axis=1, where=[True, False, True])
    Array([[3, 8],
           [2, 7]], dtype=int32)
    """
    check_fold(a_fold, "reduce")
    data, axes = check("reduce", {"x": x}, axis, weights, where, nan)
    some_left_out = where is not None or weights is not None or nan == "omit"
    if some_left_out and a_fold.block_where is None:
        raise TypeError(
            f"reduce: {a_fold.name} has no merge, so nothing can be left out of it; give neither "
            "weights nor where nor nan='omit'" + see("array_to_cluster")
        )
    options = {"axes": axes, "keepdims": bool(keepdims), "nan": nan}
    if tracing():
        return _reduce(a_fold, data, **options)
    return compiled(_reduce, a_fold, **options)(data)


def _reduce(a_fold: Fold[Any], data: Data, *, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    def call(data: Data) -> Any:
        return _of_lanes(a_fold, data, axes, keepdims, nan)

    return automatic(call, reduced=axes)(data)


def _of_lanes(a_fold: Fold[Any], data: Data, axes: Axes, keepdims: bool, nan: Nan) -> Any:
    (x,) = data.values
    rest = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    lanes = prod(rest)

    def lined(v: Any) -> jax.Array:  # (numbers, lanes)
        v = jnp.moveaxis(jnp.broadcast_to(v, x.shape), axes, range(len(axes)))
        return v.reshape(prod(x.shape[a] for a in axes), lanes)

    weights = None if data.weights is None else lined(data.weights.values)
    where = None if data.where is None else lined(data.where)
    xs = lined(x) if weights is None else (lined(x), weights)

    def lane(given: Given) -> Any:
        xs, kept = which_count(given, nan)
        memory = a_fold.block(xs) if kept is None else a_fold.block_where(xs, kept)  # type: ignore
        return a_fold.extract(memory)

    def placed(v: jax.Array) -> jax.Array:
        v = v.reshape(*v.shape[:-1], *rest)
        own = v.ndim - len(rest)
        return jnp.expand_dims(v, tuple(own + a for a in axes)) if keepdims else v

    return jax.tree.map(placed, jax.vmap(lane, in_axes=1, out_axes=-1)(Given(xs, weights, where)))
