"""Many runs through a few lanes: a lane whose run is over takes the next from a queue.

`vmap` of a loop computes every lane until the slowest has ended. Here each step is computed for a
few lanes only. An inner loop takes steps until some of them are idle, an outer one writes down what
has ended and fills them up, so that the steps carry a few lanes and no results, and nothing is
selected over all results. When the queue is empty and few runs are left, they go through fewer
lanes still.

>>> import jax.numpy as jnp
>>> from jfoundations._loops.plan import Carry
>>> runs = Carry(jnp.zeros(4, "int32"), jnp.zeros(4, "uint32"), jnp.array([3, 1, 2, 9]), ())
>>> def count_down(own, run, live):
...     left = run.state - live
...     return Carry(run.step + live, run.mask | (left == 0), left, ())
>>> through_lanes(count_down, (), runs, 2, 5, None)[0].step
Array([3, 1, 2, 5], dtype=int32)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from .._core.compat import vary, varying
from .._core.types import PyTree
from .facts import is_going
from .lanes import any_lane
from .plan import Carry

# (what belongs to one run, its carry, whether it is going) -> its carry after a step
OneStep = Callable[[PyTree, Carry, Array], Carry]


class Lanes(NamedTuple):
    """What the outer loop carries.

    Attributes:
        runs: all of them, (runs, …); those in a lane as they were when they came into it.
        lanes: (lanes, …).
        own: what belongs to the run in each lane, (lanes, …).
        run: its number among the runs, (lanes,) int32.
        taken: how many of the queue have come into a lane, int32.
        left: how many more steps the loop may take, int32; None for any number.
    """

    runs: Carry
    lanes: Carry
    own: PyTree
    run: Array
    taken: Array
    left: Array | None


def through_lanes(
    step: OneStep, own: PyTree, runs: Carry, lanes: int, max_steps: int, left: Array | None
) -> tuple[Carry, Array | None]:
    """Return the runs at their ends, and how many more steps the loop might have taken.

    Args:
        step: of one run.
        own: what belongs to each run, (runs, …).
        runs: where they are, (runs, …), of the types that a step keeps.
        lanes: at most the number of runs.
        max_steps: after which a run ends.
        left: after how many steps of the loop to return, whatever runs are not over.
    """
    few = lanes // 4
    runs, left = _through(step, own, runs, lanes, few, max_steps, left)
    if few:
        runs, left = _through(step, own, runs, max(1, lanes // 16), 0, max_steps, left)
    return runs, left


def _through(
    step: OneStep,
    own: PyTree,
    runs: Carry,
    width: int,
    least: int,
    max_steps: int,
    left: Array | None,
) -> tuple[Carry, Array | None]:
    """Do so in `width` lanes, until no more than `least` runs are going.

    Lanes are filled up as soon as 1 in 32 is idle, at most 1 in 8 at a time: the rows that are
    copied for it, the memories of the runs, may be long.
    """
    idle, most = max(1, width // 32), max(1, width // 8)
    going = is_going(runs, max_steps)  # (runs,)
    axes = varying(going)
    runs = jax.tree.map(lambda leaf: vary(leaf, axes), runs)
    queue = jnp.argsort(~going, stable=True).astype(jnp.int32)  # first those that are going
    waiting = jnp.sum(going, dtype=jnp.int32)

    def may_go_on(c: Lanes) -> Any:
        return True if c.left is None else c.left > 0

    def few_going(c: Lanes) -> Array:
        """Tell whether so few lanes are going that they are to be filled up, or left."""
        least_going = jnp.where(c.taken < waiting, width - idle, least)
        return jnp.sum(is_going(c.lanes, max_steps), dtype=jnp.int32) <= least_going

    def steps(c: Lanes) -> Lanes:
        def one(own: PyTree, carry: Carry) -> Carry:
            return step(own, carry, is_going(carry, max_steps))

        def body(inner: tuple[Carry, Array | None]) -> tuple[Carry, Array | None]:
            lanes, left = inner
            return jax.vmap(one)(c.own, lanes), None if left is None else left - 1

        def more(inner: tuple[Carry, Array | None]) -> Array:
            now = c._replace(lanes=inner[0], left=inner[1])
            return any_lane(may_go_on(now) & ~few_going(now))

        lanes, left = lax.while_loop(more, body, (c.lanes, c.left))
        return c._replace(lanes=lanes, left=left)

    def refill(c: Lanes) -> Lanes:
        ended = ~is_going(c.lanes, max_steps)
        slots = jnp.argsort(~ended, stable=True)[:most]  # those that have ended first
        runs = _put(c.runs, c.run[slots], _at(c.lanes, slots))
        place = c.taken + jnp.arange(most, dtype=jnp.int32)  # in the queue
        filled = ended[slots] & (place < waiting)
        # What is not filled takes its own run back, as it was just written down.
        run = jnp.where(filled, queue[jnp.where(filled, place, 0)], c.run[slots])
        return Lanes(
            runs,
            _put(c.lanes, slots, _at(runs, run)),
            _put(c.own, slots, _at(own, run)),
            c.run.at[slots].set(run),
            c.taken + jnp.sum(filled, dtype=jnp.int32),
            c.left,
        )

    def more(c: Lanes) -> Array:
        return any_lane(may_go_on(c) & ((c.taken < waiting) | ~few_going(c)))

    first = queue[:width]  # those after the last that is going are over, and stay as they are
    start = Lanes(runs, _at(runs, first), _at(own, first), first, jnp.minimum(waiting, width), left)
    end = lax.while_loop(more, lambda c: refill(steps(c)), start)
    return _put(end.runs, end.run, end.lanes), end.left


def _at(tree: PyTree, rows: Array) -> Any:
    return jax.tree.map(lambda leaf: leaf.at[rows].get(mode="promise_in_bounds"), tree)


def _put(tree: PyTree, rows: Array, new: PyTree) -> Any:
    def put(leaf: Array, new: Array) -> Array:
        return leaf.at[rows].set(new, mode="promise_in_bounds", unique_indices=True)

    return jax.tree.map(put, tree, new)
