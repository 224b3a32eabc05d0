"""A record of every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import check_count, check_function
from .._core.pytrees import pytree, static
from .._core.types import Live, PyTree, View
from .._core.values import identity, is_key, partial
from .._loops.callback import Callback
from ._monitor import check_of
from ._row import write_row

MOST = 2**31 - 2  # records that are counted


@pytree
class History:
    """The memory of `history`.

    Attributes:
        buffer: what was recorded, along a leading axis of length capacity; nan (0 for integers)
            where nothing was yet.
        seen: int32, how many records there were, those counted that found no room.
        steps: int32, beside each record after how many steps it was made; None unless asked for.
        every: after how many steps, at the least, a record is made.
        initial: whether the state before the first step is the first record.
    """

    buffer: Any
    seen: jax.Array
    steps: jax.Array | None = None
    every: int = static(default=1)
    initial: bool = static(default=False)

    def __repr__(self) -> str:
        steps = "" if self.steps is None else f", steps={self.steps!r}"
        return f"History(buffer={self.buffer!r}, seen={self.seen!r}{steps})"

    @property
    def count(self) -> jax.Array:
        """How many records there are, int32."""
        return jnp.minimum(self.seen, _room((self.buffer, self.steps), jnp.ndim(self.seen)))

    @property
    def values(self) -> Any:
        """The records alone, as NumPy arrays; for a batch of lanes a list of them. Host only.

        PRNG keys are JAX's arrays.
        """
        if isinstance(self.seen, Tracer):
            raise TypeError(
                "History.values has as many rows as steps were taken, which a traced function "
                "cannot know; return the History from jit, or use buffer and count"
            )
        return _trim(jax.tree.map(_on_host, self.buffer), np.asarray(self.count))


def _room(rows: PyTree, axis: int = 0) -> int:
    return max((leaf.shape[axis] for leaf in jax.tree.leaves(rows)), default=0)


def _on_host(leaf: PyTree) -> Any:
    return leaf if is_key(leaf) else np.asarray(leaf)


def _trim(buffer: PyTree, count: np.ndarray) -> Any:
    if count.ndim == 0:
        return jax.tree.map(lambda b: b[: int(count)], buffer)
    return [_trim(jax.tree.map(lambda b, k=k: b[k], buffer), count[k]) for k in range(len(count))]


def history(
    of: View | Mapping[str, View] = identity,
    *,
    every: int = 1,
    capacity: int | None = None,
    initial: bool = False,
    steps: bool = False,
) -> Callback:
    """Record a function of the state, or several by name, after each step (or every so many).

    See also `watch`, which keeps a fold of the values, and `snapshots`, whole states.

    The buffer is allocated once; a record is one write, under `vmap` too. Steps beyond the
    capacity are not recorded.

    Args:
        of: `state -> pytree of arrays`; or a dict of such functions, whose records are a dict of
            the same names.
        every: record after every so many steps.
        capacity: how many records there is room for; by default as many as `max_steps` makes.
        initial: record the state before the first step too, as the first.
        steps: record beside it after how many steps that was, for `records`, which cannot know it
            where the history is within `when` or the like, or was full before the end.

    Raises:
        TypeError: `of` is not callable, or a name of it no str; `initial` or `steps` is no bool.
        ValueError: every or capacity is not positive.

    >>> import jfoundations as jf
    >>> result = jf.iterate(lambda x: 2 * x, 1, history(), max_steps=4)
    >>> result.memory["history"].values
    array([ 2,  4,  8, 16], dtype=int32)
    >>> both = history({"x": lambda x: x, "square": lambda x: x * x}, every=2)
    >>> jf.iterate(lambda x: x + 1, 0, both, max_steps=4).memory["history"].values
    {'square': array([ 4, 16], dtype=int32), 'x': array([2, 4], dtype=int32)}
    """
    every = check_count(every, "every", "history", least=1)
    if capacity is not None:
        capacity = check_count(capacity, "capacity", "history", least=1)
    view = _view(of)
    for name, value in (("initial", initial), ("steps", steps)):
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"history: {name} is {value!r}, True or False is needed")
    kind = bool(initial), bool(steps)
    thinned = None if every == 1 else every
    events = {"before_run": partial(_record_first, view)} if initial else {}
    return Callback(
        partial(_start_for_all, view, thinned, kind)
        if capacity is None
        else partial(_start, view, thinned, kind, capacity),
        name="history",
        after_step=partial(_record, view),
        **events,
    )


def _view(of: View | Mapping[str, View]) -> View:
    """Return what is recorded as one function."""
    if not isinstance(of, Mapping):
        check_of(of, "history")
        return of
    for name, function in of.items():
        if not isinstance(name, str):
            raise TypeError(f"history: of has the name {name!r}, a str is needed")
        check_function(function, f"of[{name!r}]", "history", "a function of the state")
    return partial(_each, dict(of))


def _each(views: dict[str, View], state: PyTree) -> dict[str, Any]:
    return {name: view(state) for name, view in views.items()}


def _start_for_all(
    of: View, every: int | None, kind: tuple[bool, bool], state: PyTree, *, max_steps: int
) -> History:
    return _start(of, every, kind, max_steps // (every or 1) + kind[0], state)


def _start(
    of: View, every: int | None, kind: tuple[bool, bool], capacity: int, state: PyTree
) -> History:
    def empty(leaf: PyTree) -> jax.Array:
        nothing = jnp.nan if jnp.issubdtype(leaf.dtype, jnp.inexact) else 0
        # Broadcast, not `full`: where a mesh has explicit axes, a row has its record's sharding.
        return lax.broadcast(jnp.full_like(leaf, nothing), (capacity,))

    initial, numbered = kind
    buffer = jax.tree.map(empty, jax.eval_shape(of, state))
    steps = jnp.zeros(capacity, np.int32) if numbered else None
    return History(buffer, jnp.zeros((), np.int32), steps, every or 1, initial)


def _record_first(of: View, memory: History, state: PyTree, *, live: Live = True) -> Any:
    return _write(of, memory, state, np.int32(-1), live)


def _record(
    of: View, memory: History, state: PyTree, *, step: Array, live: Live = True
) -> tuple[History, Any, bool]:
    due = live if memory.every == 1 else live & ((step + 1) % memory.every == 0)
    return _write(of, memory, state, step, due)


def _write(
    of: View, memory: History, state: PyTree, step: ArrayLike, due: Live
) -> tuple[History, Any, bool]:
    rows = memory.buffer, memory.steps
    room = _room(rows)
    if not room:  # an index into nothing is refused, even one that would be dropped
        return memory, state, False
    # Out of bounds is dropped: a finished lane writes nothing and copies nothing.
    place = memory.seen if due is True else jnp.where(due, memory.seen, room)

    def write(buffer: Array, value: ArrayLike) -> Any:
        return write_row(buffer, place, jnp.asarray(value, buffer.dtype))

    seen = jnp.minimum(memory.seen, MOST) + jnp.asarray(due, np.int32)
    record = of(state), None if memory.steps is None else step + 1
    buffer, steps = jax.tree.map(write, rows, record)
    return replace(memory, buffer=buffer, seen=seen, steps=steps), state, False
