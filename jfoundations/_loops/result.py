"""What a loop leaves: its last state, who stopped it, what its callbacks remember.

>>> import jfoundations as jf
>>> small = jf.stop_when(lambda x: x < 0.1, name="small")
>>> jf.iterate(lambda x: x / 2, 1.0, small, jf.callbacks.history(), max_steps=9)
LoopResult(4 steps, stopped by small, state=float32[],
memory={history: History(buffer=float32[9], seen=int32[])})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core.checks import keystr, nearest
from .._core.pytrees import function, pytree, static
from .._core.types import Function, PyTree
from .._core.values import hold, node, release
from .tables import brief, counted, describe_lane, is_few, on_host, show, text_table

S = TypeVar("S")
LANES = 100  # shown at most
WIDE = 120  # characters of a line of the table of lanes


@node
class Memories(dict[str, Any]):
    """The callbacks' memories by name: a dict that says which names it has."""

    def __missing__(self, name: object) -> Any:
        if not self:
            raise KeyError(f"no callback of this run has a memory, so none is called {name!r}")
        raise KeyError(
            f"no callback called {name!r} has a memory; those that have one are "
            f"{', '.join(map(repr, self))}{nearest(name, self)}"
        )

    def _flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """Return the memories in the order of their names, as of any dict."""
        return [(jax.tree_util.DictKey(n), self[n]) for n in sorted(self)], tuple(self)

    @classmethod
    def _unflatten(cls, names: tuple[str, ...], memories: Iterable[PyTree]) -> Memories:
        """Rebuild, in the callbacks' order."""
        held = dict(zip(sorted(names), memories, strict=True))
        return cls((name, held[name]) for name in names)


@pytree
class LoopResult(Generic[S]):
    """What a loop leaves: a pytree, so it comes out of `jit` and `vmap` whole.

    Out of `shard_map` too: where all devices take the same steps to the same state, with the
    `out_specs` `P()`. Where each stops by itself, its steps have no axis that could lie along the
    mesh: give every leaf one, and it is a batch of runs, a lane a device.

    >>> import jfoundations as jf
    >>> mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    >>> small = jf.stop_when(lambda x: jnp.all(x < 0.1), name="small")
    >>> def run(x):
    ...     result = jf.iterate(lambda x: x / 2, x, small, max_steps=9)
    ...     return jax.tree.map(lambda leaf: leaf[None], result)
    >>> spec = jax.sharding.PartitionSpec("data")
    >>> jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec)(jnp.ones(mesh.size))
    LoopResult(1 lane, 4 steps, stopped by small: 1, state=float32[1,1])

    Attributes:
        state: the last state, after `after_run`.
        steps: int32, steps taken since the run began.
        stopped_by: uint32 mask, bit k set where callback k asked to stop; 0 when nobody did.
        memory: the memory of every callback that has one, by name.
        resumable: the state and memories before `after_run`, where some callback hears it.
        extracts: what makes an answer of a memory, a fold's for example, or None, for each name;
            empty where nothing does.
        names: the callbacks' names, in order.
        limit: what ended the run where no callback did: "max_steps", or the "time_budget" of
            `chunks`.
    """

    state: S
    steps: jax.Array
    stopped_by: jax.Array
    memory: dict[str, Any]
    resumable: Any
    extracts: tuple[Function | None, ...] = function(default=())
    names: tuple[str, ...] = static(default=())
    limit: str = static(default="max_steps")

    @property
    def reasons(self) -> tuple[Any, ...]:
        """Who stopped the run: names of callbacks; when nobody did, `("max_steps",)` or the like.

        For a batch of runs a tuple of such tuples, nested as the batch is. On the host only.
        """
        if isinstance(self.stopped_by, Tracer):
            raise TypeError(
                "reasons are names, which a traced function cannot hold; "
                "return the LoopResult from jit and ask it there, or use stopped_by"
            )
        return _reasons(np.asarray(self.stopped_by), self.names, self.limit)

    def stopped(self, name: str) -> jax.Array:
        """Tell whether a callback asked to stop: a bool array, one a lane; works under jit.

        Raises:
            ValueError: no callback has that name.

        >>> import jfoundations as jf
        >>> small = jf.stop_when(lambda x: x < 0.1, name="small")
        >>> run = jax.vmap(lambda x: jf.iterate(lambda x: x / 2, x, small, max_steps=4))
        >>> run(jnp.array([1.0, 9.0])).stopped("small")
        Array([ True, False], dtype=bool)
        """
        if name not in self.names:
            cure = nearest(name, self.names)
            if name == "max_steps":
                cure = "; where none of them asked to stop, stopped_by is 0"
            raise ValueError(
                f"no callback of this run is called {name!r}; "
                f"they are {', '.join(self.names) or 'none'}{cure}"
            )
        return self.stopped_by >> self.names.index(name) & 1 != 0

    def again(self) -> LoopResult[S]:
        """Return this result as the start of another run, in which the callbacks go on remembering.

        `resume(result.again(), step, …)` counts its steps from 0, whoever stopped the run before,
        and hears no `before_run`. So loops nest, as fit, epoch and batch do: the state of the outer
        loop is (or holds) the result of the inner one, whose memories and stops its callbacks see.
        A `history` in the inner loop needs its `capacity` said, to be of one size throughout;
        `chunks` of an outer loop whose state is a result begin with `iterate(…, max_steps=0)`.

        >>> import jfoundations as jf
        >>> halve, low = lambda x: x / 2, jf.stop_when(lambda x: x < 1e-3, name="low")
        >>> seen = jf.callbacks.history(capacity=99)
        >>> epoch = lambda run: jf.resume(run.again(), halve, seen, low, max_steps=4)
        >>> start = jf.iterate(halve, 1.0, seen, low, max_steps=0)
        >>> fit = jf.iterate(epoch, start, lambda run: (run, run.stopped("low")), max_steps=9)
        >>> int(fit.steps), int(fit.state.steps), fit.state.memory["history"].values.size
        (3, 2, 10)
        """
        steps, nobody = jnp.zeros_like(self.steps), jnp.zeros_like(self.stopped_by)
        start = {"steps": steps, "stopped_by": nobody, "resumable": None, "limit": "max_steps"}
        return replace(self, **start)

    def table(self) -> str:
        """Return steps, reasons, state and memories as a text, of a batch a line a lane.

        Of a fold that is watched the answer is shown, not its memory. A few numbers are shown, of
        larger arrays the dtype and shape. On the host only.

        >>> import jfoundations as jf
        >>> small = jf.stop_when(lambda x: x < 0.1, name="small")
        >>> run = lambda x: jf.iterate(lambda x: x / 2, x, small, max_steps=9)
        >>> print(jax.vmap(run)(jnp.array([1.0, 90.0])).table())
        lane  steps  stopped by  state
        0     4      small       0.0625
        1     9      max_steps   0.175781
        """
        if isinstance(self.stopped_by, Tracer):
            raise TypeError(
                "table shows numbers, which a traced function does not know; "
                "return the LoopResult from jit and print it there"
            )
        return _table_of(self)

    def __repr__(self) -> str:
        return _line_of(self)


def _reasons(mask: np.ndarray, names: tuple[str, ...], limit: str) -> tuple[Any, ...]:
    if mask.ndim:
        return tuple(_reasons(m, names, limit) for m in mask)
    return tuple(n for k, n in enumerate(names) if int(mask) >> k & 1) or (limit,)


def _line_of(result: LoopResult[PyTree]) -> str:
    """Return the repr of a `LoopResult`: how it ended, and the shapes of what it holds."""
    parts = list(_end(result)) if on_host(result.stopped_by) and on_host(result.steps) else []
    parts.append(f"state={brief(result.state)}")
    if result.memory:
        memory = ", ".join(f"{name}: {brief(m)}" for name, m in _memories(result, _shapes))
        parts.append(f"memory={{{memory}}}")
    return f"LoopResult({', '.join(parts)})"


def _end(result: LoopResult[PyTree]) -> Iterator[str]:
    steps = np.asarray(result.steps)
    if not steps.ndim:
        yield counted(int(steps), "step")
        yield f"stopped by {' and '.join(result.reasons)}"
        return
    yield counted(steps.size, "lane")
    if steps.size:
        least, most = int(steps.min()), int(steps.max())
        yield f"{least} to {most} steps" if least < most else counted(least, "step")
        reasons = Counter(name for _, _, names in _lanes(result) for name in names)
        yield "stopped by " + ", ".join(f"{name}: {n}" for name, n in reasons.items())


def _lanes(result: LoopResult[PyTree]) -> Iterator[tuple[tuple[int, ...], int, tuple[str, ...]]]:
    """Yield each lane's index, steps and reasons."""
    steps, reasons = np.asarray(result.steps), result.reasons
    for index in np.ndindex(steps.shape):
        names = reasons
        for k in index:
            names = names[k]
        yield index, int(steps[index]), names


def _table_of(result: LoopResult[PyTree]) -> str:
    """Return a `LoopResult` as a table: a line a lane, or of a single run a line a leaf."""
    leaves = list(_named_leaves(result))  # a callback may be named as a leaf of another is
    batch = np.ndim(result.steps)
    if not batch:
        head = [["steps", str(int(result.steps))], ["stopped by", ", ".join(result.reasons)]]
        return text_table(head + [[name, show(leaf)] for name, leaf in leaves])
    lanes: list[Any] = list(_lanes(result))
    if len(lanes) > LANES:
        lanes[LANES // 2 : -LANES // 2] = [None]

    def column(head: str, cell: Function) -> list[str]:
        return [head, *("…" if lane is None else cell(lane) for lane in lanes)]

    columns = [
        column("lane", lambda lane: ",".join(map(str, lane[0]))),
        column("steps", lambda lane: str(lane[1])),
        column("stopped by", lambda lane: ", ".join(lane[2])),
    ]
    few = [k for k, (_, leaf) in enumerate(leaves) if is_few(leaf, batch)]
    made = {}
    for k in few:
        value = np.asarray(leaves[k][1])
        made[k] = column(leaves[k][0], lambda lane, value=value: show(value[lane[0]]))
    # what callbacks remember is asked for sooner than a state that they hold beside it
    room, fitting = WIDE - sum(map(_width, columns)), set()
    states = len(jax.tree.leaves(result.state))
    for k in sorted(few, key=lambda k: (k < states, k)):
        if (room := room - _width(made[k])) >= 0:
            fitting.add(k)
    columns += [made[k] for k in few if k in fitting]
    others = [leaves[k] for k in range(len(leaves)) if k not in fitting]
    said = [f"{name} {describe_lane(leaf, batch)}" for name, leaf in others]
    rows = list(zip(*columns, strict=True))
    return text_table(rows) + "".join(f"\nin each lane {other}" for other in said)


def _width(column: list[str]) -> int:
    return max(map(len, column)) + 2


def _named_leaves(result: LoopResult[PyTree]) -> Iterator[tuple[str, Any]]:
    for root, tree in (("state", result.state), *_memories(result, _called)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            yield keystr(path, root), leaf


def _memories(result: LoopResult[PyTree], call: Function) -> Iterator[tuple[str, Any]]:
    """Yield the memories, or the answers in them, in the callbacks' order: `jit` sorts the dict."""
    asks = result.extracts or (None,) * len(result.names)
    for name, ask in zip(result.names, asks, strict=True):
        if name in result.memory:
            memory = result.memory[name]
            answer = _asked
            for _ in range(np.ndim(result.steps)):
                answer = jax.vmap(answer)
            yield name, memory if ask is None else call(answer, hold(ask), memory)


def _asked(ask: PyTree, memory: PyTree) -> Any:
    return release(ask)(memory)


def _shapes(answer: Function, ask: PyTree, memory: PyTree) -> Any:
    try:
        return jax.eval_shape(answer, ask, memory)
    except Exception:  # what a `tree.map` has put there: a repr must not raise
        return memory


def _called(answer: Function, *given: PyTree) -> Any:
    return jax.jit(answer)(*given)
