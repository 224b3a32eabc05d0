"""Stop when what a callback remembers says so."""

from __future__ import annotations

from typing import Any

from .._core.checks import check_function, check_stop
from .._core.types import Function, PyTree, View
from .._core.values import identity, partial
from .._folds.fold import Fold
from .._loops.callback import CallbackLike, Predicate
from .._loops.combinators import PREDICATE
from .._loops.combined import RUN, Combined
from .._loops.listener import any_of
from .._loops.members import Members
from ._watch import watch


def until(
    watched: Fold[Any] | CallbackLike,
    of: View = identity,
    *,
    when: Predicate,
    name: str | None = None,
) -> Combined:
    """Watch a fold, and stop when a predicate of its answer holds.

    See also `stop_when`, of the state alone.

    It is `watch(fold, of)` that asks to stop: its name and memory are those of that. In the fold's
    place any callback with memory may stand; then the predicate sees this memory, and is asked
    after each event of a step that the callback hears.

    Args:
        watched: any fold, or a callback with memory.
        of: `state -> element`, for a fold.
        when: `answer -> bool scalar`, of a callback `memory -> bool scalar`; it may name the
            context words `step` and `key`.
        name: as in `watch`, for a fold; a callback has its own.

    Raises:
        TypeError: `of` or `name` is given with a callback; while tracing, when the callback has no
            memory, or the predicate's answer is no bool scalar.

    >>> import jfoundations as jf
    >>> seen = until(jf.folds.mean(), when=lambda mean: mean > 3)
    >>> result = jf.iterate(lambda x: x + 1.0, 0.0, seen, max_steps=99)
    >>> int(result.steps), result.reasons
    (6, ('mean',))
    >>> low = until(jf.callbacks.best(abs), when=lambda best: best.value < 0.5)
    >>> int(jf.iterate(lambda x: x / 2, 3.0, low | seen, max_steps=99).steps)
    3
    """
    check_function(when, "when", "until", "a function answer -> bool, as lambda mean: mean < 1")
    if isinstance(watched, Fold):
        watched, answer = watch(watched, of, name=name), watched.extract
    elif of is not identity or name is not None:
        raise TypeError(
            f"until: {watched!r} is no Fold, so of and name have no use: a callback says itself "
            "what it looks at, and has its own name"
        )
    else:
        answer = identity
    hear = partial(_ask, answer)
    return Combined((watched,), hear, name="until", predicates=(when,), transparent=True)


def _ask(
    answer: Function,
    members: Members,
    state: PyTree,
    *,
    event: str,
    predicates: tuple[Predicate, ...],
) -> Any:
    state, stops = yield members(state)
    if event in RUN:
        return state, any_of(stops)
    (memory,) = members.memories
    if isinstance(memory, tuple) and not memory:
        raise TypeError(
            "until: its callback has no memory, which when is to see; of the state "
            "stop_when(lambda state: …) makes a stop"
        )
    holds = check_stop(predicates[0](answer(memory)), "until, when", PREDICATE)
    return state, any_of((*stops, holds))
