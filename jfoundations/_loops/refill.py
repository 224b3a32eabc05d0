"""Many runs through a few lanes: a lane whose run is over takes the next from a queue.

`vmap` of a loop computes every lane until the slowest has ended. Here each step is computed for a
few lanes only. An inner loop takes steps until some of them are idle, an outer one writes down what
has ended and fills them up, so that the steps carry a few lanes and no results, and nothing is
selected over all results. When a quarter of the lanes is left, and no queue, these runs go through
a sixteenth as many lanes, in a second such pair of loops, so that few wait for the slowest of all.

>>> import jax.numpy as jnp
>>> from jfoundations._loops.plan import Carry
>>> runs = Carry(jnp.zeros(4, "int32"), jnp.zeros(4, "uint32"), jnp.array([3, 1, 2, 9]), ())
>>> def count_down(own, run, live):
...     one = live.astype("int32")
...     left = run.state - one
...     return Carry(run.step + one, run.mask | (left == 0).astype("uint32"), left, ())
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
    few = lanes // 4 if lanes >= 16 else 0
    runs, left = _through(step, own, runs, lanes, few, max_steps, left)
    if few:
        runs, left = _through(step, own, runs, lanes // 16, 0, max_steps, left)
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

    The lanes begin with the first runs, over or not, and are filled up when 1 in 16 is idle: it
    copies the memories of all of them, which may be long.
    """
    idle = max(1, width // 16)
    alive = jax.jit(lambda step, mask: is_going(Carry(step, mask, (), ()), max_steps))

    def going(runs: Carry) -> Array:
        return alive(runs.step, runs.mask)

    ours = varying(going(runs))
    runs, own = jax.tree.map(lambda leaf: vary(leaf, ours), (runs, own))
    first = vary(jnp.arange(width, dtype=jnp.int32), ours)
    later = going(runs) & (jnp.arange(runs.step.size, dtype=jnp.int32) >= width)
    queue = jnp.argsort(~later, stable=True).astype(jnp.int32)
    waiting = jnp.sum(later, dtype=jnp.int32)

    def may_go_on(lanes: Carry, left: Array | None, enough: Array | int) -> Array:
        many = jnp.sum(going(lanes), dtype=jnp.int32) > enough
        return many if left is None else many & (left > 0)

    def take_steps(c: Lanes) -> Lanes:
        enough = lax.select(c.taken < waiting, jnp.int32(width - idle), jnp.int32(least))

        def body(now: tuple[Carry, Array | None]) -> tuple[Carry, Array | None]:
            lanes, left = now
            after = jax.vmap(step)(c.own, lanes, going(lanes))
            return after, None if left is None else left - 1

        def more(now: tuple[Carry, Array | None]) -> Array:
            return any_lane(may_go_on(*now, enough))

        lanes, left = lax.while_loop(more, body, (c.lanes, c.left))
        return c._replace(lanes=lanes, left=left)

    def refill(c: Lanes) -> Lanes:
        runs = jax.tree.map(lambda leaf, new: _put(leaf, c.run, new), c.runs, c.lanes)
        over = ~going(c.lanes)
        place = c.taken + jnp.cumsum(over, dtype=jnp.int32) - 1  # in the queue
        filled = over & (place < waiting)
        # A lane that is not filled takes its own run back, as it was just written down.
        run = lax.select(filled, _at(queue, lax.select(filled, place, c.run)), c.run)
        lanes, mine = (jax.tree.map(lambda leaf: _at(leaf, run), tree) for tree in (runs, own))
        taken = c.taken + jnp.sum(filled, dtype=jnp.int32)
        return Lanes(runs, lanes, mine, run, taken, c.left)

    def more(c: Lanes) -> Array:
        queued = c.taken < waiting
        return any_lane(may_go_on(c.lanes, c.left, lax.select(queued, -1, least)))

    lanes, mine = jax.tree.map(lambda leaf: leaf[:width], (runs, own))
    start = Lanes(runs, lanes, mine, first, jnp.zeros_like(waiting), left)
    end = lax.while_loop(more, lambda c: refill(take_steps(c)), start)
    return end.runs, end.left


IN_RANGE: Any = {
    "mode": "promise_in_bounds",
    "unique_indices": True,
    "wrap_negative_indices": False,
}


# By `jit`, which puts one function into the program for all leaves of a shape.
@jax.jit
def _at(leaf: Array, rows: Array) -> Array:
    return leaf.at[rows].get(**IN_RANGE)


@jax.jit
def _put(leaf: Array, rows: Array, new: Array) -> Array:
    return leaf.at[rows].set(new, **IN_RANGE)
