"""What makes a callback one: all laws of the loop together, and of chains."""

from __future__ import annotations

from ..._core.types import PyTree
from ..._core.values import partial
from ..._loops.callback import CallbackLike
from ..._loops.plan import Step
from ._chain import chain_monoid
from ._check import check_all
from ._failure import law
from ._loop import chunking, driver_equivalence, frozen, lane, logistic, observer, resume


@law
def callback(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 9,
    observes: bool = False,
    ulp: float = 0,
    max_examples: int = 10,
) -> None:
    """Hold callbacks to every law of the loop: drivers, resume, chunking, lane, frozen, chain.

    All laws are run, and the message has every one that fails.

    Args:
        *callbacks: yours, of any kind.
        step: the `state -> state` of a loop they are made for; by default a chaotic map of vectors
            of three numbers.
        states: a state that goes with it, or a strategy of them.
        max_steps: as in `driver_equivalence`.
        observes: hold them to the law of observers too.
        ulp: as in `driver_equivalence` and `lane`.
        max_examples: how many examples each law tries.

    Raises:
        AssertionError: a law fails; the message holds the counter-examples.

    >>> import jfoundations as jf
    >>> callback(jf.callbacks.history(), observes=True, max_examples=2)
    >>> def large(x):
    ...     return x, x > 100.0
    >>> callback(large, step=lambda x: 3 * x, states=1.0, max_examples=2)
    """
    laws = [partial(one, ulp=ulp) for one in (driver_equivalence, lane)]
    laws += [resume, chunking, frozen, chains]
    laws += [observer] if observes else []
    given = {"step": step, "states": states, "max_steps": max_steps, "max_examples": max_examples}
    check_all("callback", laws, *callbacks, **given)


def chains(
    *callbacks: CallbackLike,
    step: Step[PyTree] = logistic,
    states: PyTree = None,
    max_steps: int = 5,
    max_examples: int = 15,
) -> None:
    """Hold each callback to `chain_monoid`."""
    for one in callbacks:
        chain_monoid(one, step=step, states=states, max_steps=max_steps, max_examples=max_examples)
