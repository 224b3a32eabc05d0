"""A record of every step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.pytrees import pytree
from .._core.types import Live, PyTree, View
from .._core.values import identity, partial
from .._loops.callback import Callback
from ._monitor import check_of
from ._row import write_row


@pytree
class History:
    """The memory of `history`.

    Attributes:
        buffer: what was recorded, along a leading axis of length capacity; nan (0 for integers)
            where nothing was yet.
        count: int32, how many records there are.
    """

    buffer: Any
    count: jax.Array

    @property
    def values(self) -> Any:
        """The records alone, as NumPy arrays; for a batch of lanes a list of them. Host only.

        PRNG keys are JAX's arrays.
        """
        if isinstance(self.count, Tracer):
            raise TypeError(
                "History.values has as many rows as steps were taken, which a traced function "
                "cannot know; return the History from jit, or use buffer and count"
            )
        return _trim(jax.tree.map(_on_host, self.buffer), np.asarray(self.count))


def _on_host(leaf: PyTree) -> Any:
    return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf)


def _trim(buffer: PyTree, count: np.ndarray) -> Any:
    if count.ndim == 0:
        return jax.tree.map(lambda b: b[: int(count)], buffer)
    return [_trim(jax.tree.map(lambda b, k=k: b[k], buffer), count[k]) for k in range(len(count))]


def history(
    of: View = identity, *, every: int = 1, capacity: int | None = None, initial: bool = False
) -> Callback:
    """Record a function of the state after each step (or every so many).

    The buffer is allocated once; a record is one write, under `vmap` too. Steps beyond the
    capacity are not recorded.

    Args:
        of: `state -> pytree of arrays`.
        every: record after every so many steps.
        capacity: how many records there is room for; by default as many as `max_steps` makes.
        initial: record the state before the first step too, as the first.

    Raises:
        TypeError: `of` is not callable, or `initial` no bool.
        ValueError: every or capacity is not positive.

    >>> import jfoundations as jf
    >>> result = jf.iterate(lambda x: 2 * x, 1, history(), max_steps=4)
    >>> result.memory["history"].values
    array([ 2,  4,  8, 16], dtype=int32)
    """
    every = check_count(every, "every", "history", least=1)
    if capacity is not None:
        capacity = check_count(capacity, "capacity", "history", least=1)
    check_of(of, "history")
    if not isinstance(initial, bool | np.bool_):
        raise TypeError(f"history: initial is {initial!r}, True or False is needed")
    events = {"before_run": partial(_record_first, of)} if initial else {}
    all_steps = partial(_start_for_all, of, every, initial)
    return Callback(
        all_steps if capacity is None else partial(_start, of, capacity),
        name="history",
        after_step=partial(_record, of, every),
        **events,
    )


def _start_for_all(
    of: View, every: int, initial: bool, state: PyTree, *, max_steps: int
) -> History:
    return _start(of, max_steps // every + initial, state)


def _start(of: View, length: int, state: PyTree) -> History:
    def empty(leaf: PyTree) -> jax.Array:
        nothing = jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0
        # Broadcast, not `full`: where a mesh has explicit axes, a row has its record's sharding.
        return lax.broadcast(jnp.full_like(leaf, nothing), (length,))

    return History(jax.tree.map(empty, jax.eval_shape(of, state)), jnp.zeros((), np.int32))


def _record_first(of: View, memory: History, state: PyTree, *, live: Live = True) -> Any:
    return _write(of, memory, state, live)


def _record(
    of: View, every: int, memory: History, state: PyTree, *, step: Array, live: Live = True
) -> tuple[History, Any, bool]:
    return _write(of, memory, state, live if every == 1 else live & ((step + 1) % every == 0))


def _write(of: View, memory: History, state: PyTree, due: Live) -> tuple[History, Any, bool]:
    room = max((b.shape[0] for b in jax.tree.leaves(memory.buffer)), default=0)
    if not room:  # an index into nothing is refused, even one that would be dropped
        return memory, state, False
    # Out of bounds is dropped: a finished lane writes nothing and copies nothing.
    place = memory.count if due is True else jnp.where(due, memory.count, room)

    def write(buffer: Array, value: ArrayLike) -> Any:
        return write_row(buffer, place, jnp.asarray(value, buffer.dtype))

    count = jnp.minimum(memory.count + jnp.asarray(due, np.int32), room)
    return History(jax.tree.map(write, memory.buffer, of(state)), count), state, False
