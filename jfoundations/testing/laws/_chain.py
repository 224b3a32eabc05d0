"""The monoid of callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from hypothesis.strategies import SearchStrategy

from ..._core.types import PyTree
from ..._loops.callback import CallbackLike, chain, proceed
from ..._loops.combinators import stop_when
from ..._loops.iterate import iterate
from ..._loops.plan import Step
from ..strategies import callbacks, strategy_of
from ._check import check
from ._failure import claim, law, same
from ._loop import logistic, logistic_states


@law
def chain_monoid(
    callback: CallbackLike | None = None,
    *,
    chain: Callable[..., CallbackLike] = chain,
    unit: CallbackLike = proceed,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 5,
    max_examples: int = 15,
) -> None:
    """Hold `chain` to the laws of a monoid, with a callback of yours among drawn ones.

    Exact, on the tree's structure and on all bits of a loop's result: `chain(unit, a)` and
    `chain(a, unit)` are `a`; bracketing three callbacks either way is the same; a chain asks to
    stop where any of its members does, and every member still runs.

    Args:
        callback: yours; by default all are drawn.
        chain: what joins callbacks.
        unit: its do-nothing.
        step: `state -> state`; the default takes floats in 0 … 1 to such.
        states: a state that goes with it, or a strategy of them.
        max_steps: how long the loops run.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> chain_monoid(jf.callbacks.history(), max_examples=3)
    """
    always = stop_when(_true, name="always")

    def run(state: PyTree, callback: CallbackLike, steps: int = max_steps) -> Any:
        return iterate(step, state, callback, max_steps=steps)

    def chain_is_a_monoid(a: CallbackLike, b: CallbackLike, c: CallbackLike, state: PyTree) -> None:
        for name, both in (("chain(unit, a)", chain(unit, a)), ("chain(a, unit)", chain(a, unit))):
            _alike(both, a, f"{name} is not a")
            same(run(state, both), run(state, a), bits=True, what=name)
        left, right = chain(chain(a, b), c), chain(a, chain(b, c))
        _alike(left, right, "chain(chain(a, b), c) is not chain(a, chain(b, c))")
        same(run(state, left), run(state, right), bits=True, what="associativity")
        alone = run(state, a, 1)
        for name, both in (
            ("chain(a, always)", chain(a, always)),
            ("chain(always, a)", chain(always, a)),
        ):
            result = run(state, both, 1)
            stopped = bool(result.stopped_by != 0)
            claim(stopped, f"{name} does not stop: a chain stops by OR", "no stop", "a stop")
            same(result.state, alone.state, bits=True, what=f"{name} does not run a")
        asks = bool(run(state, chain(a, unit), 1).stopped_by != 0)
        where = bool(alone.stopped_by != 0)
        claim(asks == where, "chain(a, unit) does not stop where a does", asks, where)

    drawn = callbacks()
    mine: SearchStrategy[Any] = drawn if callback is None else strategy_of(callback)
    given = logistic_states() if states is None else strategy_of(states)
    check(chain_is_a_monoid, max_examples, a=mine, b=drawn, c=drawn, state=given)


def _alike(a: CallbackLike, b: CallbackLike, message: str) -> None:
    left, right = jax.tree.structure((a,)), jax.tree.structure((b,))
    claim(left == right, f"{message}: the structures differ", left, right)


def _true(state: PyTree) -> Any:
    return jnp.asarray(True)
