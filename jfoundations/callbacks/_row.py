"""Write one row of a buffer, in each lane of a `vmap` at a place of its own.

Batched as it is, such a write is a scatter. On a CPU a few slices, written in turn, are many times
faster: XLA makes one function of a loop that holds nothing else.

>>> import jax.numpy as jnp
>>> rows = jax.vmap(write_row)(jnp.zeros((2, 3)), jnp.array([0, 3]), jnp.ones(2))
>>> rows.tolist()  # 3 is out of bounds, and dropped
[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_batching import custom_vmap
from jax.typing import ArrayLike

from .._core.sharding import automatic
from .._core.types import PyTree

FEW = 16  # lanes; of more, a scatter is as fast


@jax.custom_jvp
def _write(buffer: jax.Array, place: Array, value: jax.Array) -> jax.Array:
    return _put(buffer, place, value)


@_write.defjvp
def _write_jvp(primals: PyTree, tangents: PyTree) -> tuple[jax.Array, jax.Array]:
    # Linear in buffer and value; in this form it has a transpose, and derivatives of any order.
    return _set(*primals), _set(tangents[0], primals[1], tangents[2])


def write_row(buffer: jax.Array, place: ArrayLike, value: jax.Array) -> jax.Array:
    """Return the buffer with a row, unless the place is out of bounds.

    Args:
        buffer: [rows, ...].
        place: int32 scalar ≥ 0; from `rows` on, nothing is written.
        value: [...], of the buffer's dtype.
    """
    place = jnp.asarray(place, np.int32)
    differentiable = jnp.issubdtype(buffer.dtype, jnp.inexact)
    return (_write if differentiable else _put)(buffer, place, value)


def _set(buffer: jax.Array, place: Array, value: jax.Array) -> jax.Array:
    return automatic(_at, lies_as=0)(buffer, place, value)


def _at(buffer: jax.Array, place: Array, value: jax.Array) -> jax.Array:
    return buffer.at[place].set(value, mode="drop")


_put = custom_vmap(_set)


@_put.def_vmap
def _put_batched(
    size: int, batched: Sequence[bool], buffer: Array, place: Array, value: Array
) -> tuple[Any, bool]:
    if not batched[1]:
        axes = tuple(0 if b else None for b in batched)
        return jax.vmap(_set, axes, axis_size=size)(buffer, place, value), True
    return _put_lanes(*_spread(size, batched, buffer, place, value)), True


def _spread(size: int, batched: Sequence[bool], *arrays: Array) -> list[Any]:
    return [
        a if b else jnp.broadcast_to(a, (size, *jnp.shape(a)))
        for a, b in zip(arrays, batched, strict=True)
    ]


@custom_vmap
def _put_lanes(buffer: jax.Array, place: jax.Array, value: jax.Array) -> jax.Array:
    """Write a row a lane, lanes along the leading axis."""
    scatter = jax.vmap(_set)
    if place.shape[0] > FEW:
        return scatter(buffer, place, value)
    return lax.platform_dependent(buffer, place, value, cpu=_slices, default=scatter)


def _slices(buffer: jax.Array, place: jax.Array, value: jax.Array) -> jax.Array:
    rows = buffer.shape[1]

    def write(k: Array, buffer: jax.Array) -> jax.Array:
        start = (
            jnp.asarray(k, np.int32),
            jnp.minimum(place[k], rows - 1),
            *(np.int32(0),) * (buffer.ndim - 2),
        )
        old = lax.dynamic_slice(buffer, start, (1, 1, *buffer.shape[2:]))
        return lax.dynamic_update_slice(buffer, jnp.where(place[k] < rows, value[k], old), start)

    return lax.fori_loop(0, place.shape[0], write, buffer)


@_put_lanes.def_vmap
def _put_more_lanes(size: int, batched: Sequence[bool], *arrays: Array) -> tuple[Any, bool]:
    spread = _spread(size, batched, *arrays)
    lanes = spread[1].shape[1]
    flat = _put_lanes(*(a.reshape(size * lanes, *a.shape[2:]) for a in spread))
    return flat.reshape(spread[0].shape), True
