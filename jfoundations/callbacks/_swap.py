"""Show callbacks another state than the loop goes on with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from .._core.checks import check_function, check_like
from .._core.types import PyTree
from .._core.values import partial
from .._loops.callback import CallbackLike
from .._loops.combined import Combined
from .._loops.listener import any_of
from .._loops.members import Members

SHOWN = ("after_step", "after_run")


def swap(
    average: CallbackLike, into: Callable[[PyTree, PyTree], PyTree], *callbacks: CallbackLike
) -> Combined:
    """Let callbacks hear the state with averaged parameters, while the loop goes on with its own.

    So one evaluates, stops early and keeps the best by the average of the weights and trains with
    the weights. After each step `average` hears the state, then the others hear
    `into(state, memory)`, with its memory; so they do after the run. At other events they hear
    what the loop has. Of what those others return only the stops count: the loop's state stays.

    Its memory is a dict of all their memories, by their names; `best` keeps the averaged state.

    Args:
        average: a callback with memory: `ema(of, decay=…)`, `watch(folds.mean(), of)`.
        into: `(state, memory) -> state`, which puts the average in its place; in the dtypes of the
            state. Before the first step, which `after_run` may hear, an `ema` is nan.
        *callbacks: of any kind, one after another.

    Raises:
        TypeError: `into` is not callable; while tracing, when it returns another kind of state.

    Source: Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging";
    the swap of weights is that of Keras' SwapEMAWeights.

    >>> import jfoundations as jf
    >>> loss = lambda x: (x - 3.0) ** 2
    >>> swing = lambda x: 6.2 - x  # to and fro around 3.1
    >>> average, best = jf.callbacks.ema(decay=0.9), jf.callbacks.best(loss)
    >>> seen = swap(average, lambda x, mean: mean.value, best)
    >>> result = jf.iterate(swing, 1.0, seen, max_steps=50)
    >>> print(f"{result.state:.2f} {result.memory['swap']['best'].state:.2f}")
    1.00 2.99
    """
    check_function(into, "into", "swap", "a function (state, memory) -> state")
    return Combined((average, *callbacks), partial(_show, into), name="swap")


def _show(
    into: Callable[[PyTree, PyTree], PyTree], members: Members, state: PyTree, *, event: str
) -> Any:
    state, asked = yield members[0](state)
    shown = state
    if event in SHOWN:
        (memory,) = members[:1].memories
        if isinstance(memory, tuple) and not memory:
            raise TypeError(
                "swap: the average, its first callback, has no memory to put into the state; give "
                "one that has, as ema(of, decay=0.9)"
            )
        shown = into(state, memory)
        check_like(shown, jax.tree.map(_strong, state), "swap, into")
    _, stops = yield members[1:](shown)
    return state, any_of((*asked, *stops))


def _strong(leaf: PyTree) -> Any:
    # the loop settles what its own state is promoted to; this is shown to the others alone
    return lax.convert_element_type(leaf, jnp.result_type(leaf))
