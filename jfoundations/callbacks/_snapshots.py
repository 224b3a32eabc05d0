"""Copies of all that a loop carries, to go back to."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.compat import cond
from .._core.types import Live, PyTree
from .._core.values import partial
from .._loops.callback import Callback
from .._loops.lanes import any_lane, lane_is_live
from .._loops.replay import Snapshots
from ._row import write_row


def snapshots(*, capacity: int = 31) -> Callback:
    """Keep copies of the state and of the other callbacks' memories, for `replay` and `first`.

    At first what the loop carries is copied after each step; whenever there are no rows left, half
    of them are given up and the copies are made half as often. So n steps leave copies that are at
    most 2 n / capacity steps apart, from the start on, and take the memory of `capacity` states,
    however long the run is. In most steps nothing is copied. It must be among the loop's own
    callbacks, wherever it stands there, and not within another. No gradient goes through it.

    A callback's memory is copied whole: of a long run with a `history` of each step, or a large
    state, choose a smaller capacity.

    Args:
        capacity: how many copies there is room for; an odd number of at least 3. The default is
            the base-2 logarithm of the longest run.

    Returns:
        A callback, whose memory is a `Snapshots`.

    Raises:
        ValueError: capacity is even or too small.

    >>> import jfoundations as jf
    >>> seen, step = snapshots(), lambda x: 2 * x
    >>> result = jf.iterate(step, 1, seen, max_steps=30)
    >>> int(jf.replay(result, step, seen, at=10).state)
    1024
    """
    capacity = check_count(capacity, "capacity", "snapshots", least=3)
    if capacity % 2 == 0:
        # By an odd number, equal distances of a power of two have different remainders.
        raise ValueError(f"snapshots: capacity is {capacity}; it must be odd, as {capacity + 1}")
    return Callback(partial(_start, capacity), name="snapshots", keep=_keep)


def _start(capacity: int, state: PyTree, *, others: tuple[PyTree, ...]) -> Snapshots:
    whole = lax.stop_gradient((state, others))
    states, memories = jax.tree.map(lambda leaf: lax.broadcast(leaf, (capacity,)), whole)
    return Snapshots(states, memories, jnp.ones((), np.int32), capacity)


def _keep(
    memory: Snapshots,
    state: PyTree,
    *,
    step: ArrayLike,
    others: tuple[PyTree, ...],
    live: Live = True,
) -> tuple[Snapshots, Any, bool]:
    taken = jnp.asarray(step, np.int32) + 1
    due = (taken & (memory.spacing - 1) == 0) & live
    values = lax.stop_gradient((state, others))
    states, memories = jax.tree.map(_promoted, (memory.states, memory.memories), values)
    memory = Snapshots(states, memories, memory.spacing, memory.capacity)
    # `cond`, of a predicate no lane differs in: most steps then cost one test, whatever the state.
    after = cond(any_lane(due), _copy, _leave, lane_is_live(due), taken, memory, values)
    return after, state, False


def _promoted(rows: Array, value: ArrayLike) -> Any:
    dtype = jnp.asarray(value).dtype  # another one only where both are from Python numbers
    return rows if rows.dtype == dtype else rows.astype(dtype)


def _copy(lane: Array, taken: Array, memory: Snapshots, values: tuple[PyTree, PyTree]) -> Snapshots:
    capacity = np.int32(memory.capacity)
    # A full memory: of the copies only those stay that twice the distance divides.
    full = lax.div(taken, capacity) >= memory.spacing
    spacing = jnp.where(full, 2 * memory.spacing, memory.spacing)
    spacing = jnp.where(taken == 0, 1, spacing)
    due = (taken & (spacing - 1) == 0) & lane
    place = jnp.where(due, lax.rem(taken, capacity), capacity)  # out of bounds is dropped

    def write(rows: Array, value: ArrayLike) -> jax.Array:
        return write_row(rows, place, jnp.asarray(value, rows.dtype))

    states, memories = jax.tree.map(write, (memory.states, memory.memories), values)
    spacing = jnp.where(lane, spacing, memory.spacing)
    return Snapshots(states, memories, spacing, memory.capacity)


def _leave(lane: Array, taken: Array, memory: Snapshots, values: PyTree) -> Snapshots:
    return memory
