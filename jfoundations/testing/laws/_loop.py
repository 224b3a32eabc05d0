"""What a loop promises whatever its callbacks are, and what a callback must keep for that."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jax import Array
from jax.typing import ArrayLike

from ..._core.types import PyTree
from ..._core.values import partial
from ..._loops.callback import CallbackLike
from ..._loops.chunks import chunks
from ..._loops.combinators import stop_when
from ..._loops.iterate import iterate
from ..._loops.iterate import resume as go_on
from ..._loops.plan import Step
from ..strategies import arrays, strategy_of
from ..strategies._arrays import cut
from ._check import check
from ._failure import law, same

DRIVERS = ("scan", "checkpointed", "python")


def logistic(state: PyTree) -> Any:
    """Take every number in 0 … 1 of a state to another; a changed last bit soon shows."""
    return jax.tree.map(lambda x: 3.75 * x * (1 - x), state)


def logistic_states() -> SearchStrategy[jax.Array]:
    """Draw arrays of numbers in 0 … 1."""
    return arrays(shape=(3,), elements=st.integers(0, 2**20).map(lambda k: k / 2**20))


def _states(states: PyTree) -> SearchStrategy[Any]:
    return logistic_states() if states is None else strategy_of(states)


@law
def driver_equivalence(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    ulp: float = 0,
    max_examples: int = 15,
) -> None:
    """Hold all drivers to the same result: state, steps, who stopped, memories.

    The same bits unless `ulp` says otherwise: of a callback that multiplies and adds, a compiler
    may contract what the python driver computes one by one.

    Args:
        *callbacks: yours, of any kind.
        step: `state -> state`; the default takes floats in 0 … 1 to such.
        states: a state that goes with it, or a strategy of them.
        max_steps: how long the loops run at most.
        ulp: how many units in the last place floats may differ by.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> driver_equivalence(jf.stop_when(lambda x: jnp.max(x) > 0.9), max_examples=3)
    """

    def drivers_agree(state: PyTree) -> None:
        first = iterate(step, state, *callbacks, max_steps=max_steps)
        for driver in DRIVERS:
            other = iterate(step, state, *callbacks, max_steps=max_steps, driver=driver)
            same(other, first, ulp=ulp, bits=True, what=f"drivers while and {driver}")

    check(drivers_agree, max_examples, state=_states(states))


@law
def resume(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    max_examples: int = 15,
) -> None:
    """Hold a run cut in two to the same bits: `resume(iterate(k), n)` is `iterate(n)`.

    Args:
        *callbacks: yours, of any kind.
        step: as in `driver_equivalence`.
        states: as in `driver_equivalence`.
        max_steps: as in `driver_equivalence`.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> resume(jf.callbacks.history(), max_examples=3)
    """

    def a_resumed_run_is_the_run(state: PyTree, k: int) -> None:
        whole = iterate(step, state, *callbacks, max_steps=max_steps)
        part = iterate(step, state, *callbacks, max_steps=k)
        rest = go_on(part, step, *callbacks, max_steps=max_steps)
        same(rest, whole, bits=True, what=f"iterate({max_steps}), resumed after {k} steps")

    cuts = st.sampled_from(sorted({0, 1, max_steps // 2, max_steps}))
    check(a_resumed_run_is_the_run, max_examples, state=_states(states), k=cuts)


@law
def chunking(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    max_examples: int = 15,
) -> None:
    """Hold a run by the chunk to the same bits: the last of `chunks` is `iterate`.

    Args:
        *callbacks: yours, of any kind.
        step: as in `driver_equivalence`.
        states: as in `driver_equivalence`.
        max_steps: as in `driver_equivalence`.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> chunking(jf.callbacks.history(), max_examples=3)
    """

    def chunks_end_where_iterate_does(state: PyTree, every: int) -> None:
        whole = iterate(step, state, *callbacks, max_steps=max_steps)
        *_, last = chunks(step, state, *callbacks, max_steps=max_steps, every=every)
        same(last, whole, bits=True, what=f"iterate, and chunks of {every}")

    sizes = st.sampled_from([1, 2, 7, 1000])
    check(chunks_end_where_iterate_does, max_examples, state=_states(states), every=sizes)


@law
def lane(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    ulp: float = 0,
    max_examples: int = 15,
) -> None:
    """Hold every lane of a `vmap` to the bits of its run alone: `vmap(run)(x)[i]` is `run(x[i])`.

    Args:
        *callbacks: yours, of any kind.
        step: as in `driver_equivalence`.
        states: as in `driver_equivalence`.
        max_steps: as in `driver_equivalence`.
        ulp: as in `driver_equivalence`: a sum in a callback may round otherwise in a batch.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> lane(jf.stop_when(lambda x: jnp.max(x) > 0.9), max_examples=3)
    """

    def run(state: PyTree) -> Any:
        return iterate(step, state, *callbacks, max_steps=max_steps)

    together = jax.jit(jax.vmap(run))

    def lanes_run_as_if_alone(lanes: list[PyTree]) -> None:
        result = together(_stacked(lanes))
        for k, state in enumerate(lanes):
            one = jax.tree.map(lambda leaf, k=k: cut(leaf, k), result)
            same(one, run(state), ulp=ulp, bits=True, what=f"lane {k}, and its run alone")

    lanes = st.lists(_states(states), min_size=3, max_size=3).map(_alike)
    check(lanes_run_as_if_alone, max_examples, lanes=lanes)


def _stacked(states: list[PyTree]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def _alike(states: list[PyTree]) -> list[Any]:
    """Replace states that cannot be stacked with the first by the first."""

    def like(tree: PyTree) -> tuple[Any, ...]:
        return (jax.tree.structure(tree), *map(jax.typeof, jax.tree.leaves(tree)))

    return [state if like(state) == like(states[0]) else states[0] for state in states]


@law
def frozen(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    max_examples: int = 15,
) -> None:
    """Hold a stopped run still: room for more steps, or resuming it, changes no bit.

    Buffers whose size follows `max_steps` may grow; what was in them stays.

    Args:
        *callbacks: yours, of any kind.
        step: as in `driver_equivalence`.
        states: as in `driver_equivalence`.
        max_steps: as in `driver_equivalence`.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> frozen(jf.stop_when(lambda x: jnp.max(x) > 0.9), max_examples=3)
    """

    def a_stopped_run_stays(state: PyTree) -> None:
        stopped = iterate(step, state, *callbacks, max_steps=max_steps)
        if int(stopped.stopped_by) == 0:
            return
        longer = iterate(step, state, *callbacks, max_steps=max_steps + 5)
        resumed = go_on(stopped, step, *callbacks, max_steps=max_steps + 5)
        for name, other in (("with more room", longer), ("resumed", resumed)):
            corner = jax.tree.map(_corner, other, stopped)
            same(corner, stopped, bits=True, what=f"a stopped run, and the same {name}")

    check(a_stopped_run_stays, max_examples, state=_states(states))


def _corner(large: Array, small: Array) -> Array:
    return cut(large, tuple(slice(0, n) for n in small.shape))


@law
def observer(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    max_examples: int = 15,
) -> None:
    """Hold callbacks to looking on: the states are those of the loop without them, to the bit.

    An observer may stop the loop; up to there, nothing changes.

    Args:
        *callbacks: yours, of any kind.
        step: as in `driver_equivalence`.
        states: as in `driver_equivalence`.
        max_steps: as in `driver_equivalence`.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> observer(jf.callbacks.history(), max_examples=3)
    """

    def observers_change_nothing(state: PyTree) -> None:
        watched = iterate(step, state, *callbacks, max_steps=max_steps)
        taken = int(watched.steps)
        bare = state
        if taken:
            until = stop_when(partial(_reached, np.int32(taken)), name="until")
            bare = iterate(step, state, until, max_steps=max_steps).state
        same(watched.state, bare, bits=True, what="the state with observers, and without")

    check(observers_change_nothing, max_examples, state=_states(states))


def _reached(n: ArrayLike, state: PyTree, *, step: Array) -> Array:
    return step + 1 >= n
