"""Pipes of which some stages learn from data: one pass, and they are plain pipes.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> pipe = jf.Pipe(jnp.log2, jf.stages.standardize())
>>> fitted = jf.fit(pipe, [jnp.array([1.0, 4.0]), jnp.array([16.0])])
>>> pipe, fitted
(log2 >> standardize (unfitted), log2 >> standardize)
>>> float(fitted(4.0)), float(fitted["standardize"].inverse(0.0))
(0.0, 2.0)
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from jax.typing import ArrayLike

from .._core.types import Function, PyTree
from .._core.values import describe, identity, partial
from .._folds.fold import Fold, combine
from .._pipes.compose import juxt
from .._pipes.learned import Learned, learned_in
from .._pipes.pipe import Pipe
from .executor import Executor
from .run import fold

if TYPE_CHECKING:
    from .progress import Report

A = TypeVar("A")
B = TypeVar("B")
Met: TypeAlias = Callable[[Pipe[Any, Any], Learned[Any, Any]], Function]


def fit(
    pipe: Pipe[A, B],
    data: ArrayLike | Iterable[PyTree],
    executor: Executor | None = None,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_id: str | None = None,
    checkpoint_every: int | None = None,
    progress: Report | None = None,
) -> Pipe[A, B]:
    """Return a pipe with what its stages learn from data in the place of each `Learned`.

    A stage learns from what the stages before it make of the data. So each that stands after
    another takes a pass of its own; those side by side, in a `juxt`, share one. A pipe that learns
    nothing is returned as it is, and no data are read.

    The fitted pipe is a function of an element: of a block by `jax.vmap`, or called with it where
    all stages are elementwise. Its numbers are leaves: it is written by `save`, jitted once for all
    fits, and inverted where its stages are. `load` needs no data, but their shape:
    `load(path, like=jax.eval_shape(lambda block: fit(pipe, block), block))`.

    Args:
        pipe: with `Learned` stages, as `jfoundations.stages` makes them: in it, in pipes that are
            stages, and in `juxt`. They may stand behind `filter_`, unless one is weighted.
        data: as in `fold`; the elements are the pipe's arguments. Where a stage is weighted they
            are pairs `(x, weight)`, of which others are given x. What can be read only once, as a
            generator, serves one pass.
        executor: as in `fold`, for each pass.
        checkpoint: as in `fold`, for the first pass; pass k has a file of that name and ".k".
        checkpoint_id: as in `fold`.
        checkpoint_every: as in `fold`.
        progress: as in `fold`; it begins anew in each pass.

    Raises:
        TypeError: pipe is no Pipe; a `Learned` stands where `fit` does not come to, as within a
            `Reversible`; `make` returned no function; the data can be read once and more than one
            pass is needed; or as `fold`.
        ValueError, OSError: as `fold`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> block = jnp.array([[1.0, 5.0], [3.0, 5.0]])
    >>> fitted = fit(jf.Pipe(jf.stages.standardize()), block)
    >>> print(fitted(block))
    [[-1.  0.]
     [ 1.  0.]]
    >>> print(fitted.inverse(fitted(block)))
    [[1. 5.]
     [3. 5.]]
    """
    if not isinstance(pipe, Pipe):
        cure = "Pipe(it)" if callable(pipe) else "Pipe(stage, ...)"
        raise TypeError(f"fit: pipe is {pipe!r}, which is no Pipe; give {cure}")
    weighted = any(learned.weighted for learned in learned_in(pipe))
    for k in itertools.count(1):
        ready, rest = _ready(pipe)
        if not ready:
            break
        if isinstance(data, Iterator) and (k > 1 or learned_in(rest)):
            raise TypeError(
                f"fit: data is a {type(data).__name__}, which can be read once, and {pipe!r} needs "
                "another pass; give a list of blocks, or a Source"
            )
        folds = {str(i): _over(*one, weighted) for i, one in enumerate(ready)}
        try:
            answers = fold(
                combine(**folds),
                data,
                executor,
                checkpoint=_file_of(checkpoint, k),
                checkpoint_id=checkpoint_id,
                checkpoint_every=checkpoint_every,
                progress=progress,
            )
        except Exception as error:
            names = ", ".join(learned.name for _, learned in ready)
            error.add_note(f"fit: this came out of pass {k}, which learns {names}")
            raise
        made = [_made(learned, answers[str(i)]) for i, (_, learned) in enumerate(ready)]
        pipe = _filled(pipe, made)
    return pipe


def _ready(pipe: Pipe[Any, Any]) -> tuple[list[tuple[Pipe[Any, Any], Learned[Any, Any]]], PyTree]:
    """Return what can be learned now, each with the stages before it; and what is left then."""
    ready: list[tuple[Pipe[Any, Any], Learned[Any, Any]]] = []

    def met(before: Pipe[Any, Any], learned: Learned[Any, Any]) -> Function:
        ready.append((before, learned))
        return identity

    return ready, _replaced(pipe, Pipe(), met)


def _filled(pipe: Pipe[Any, Any], made: list[Function]) -> Any:
    rest = iter(made)
    return _replaced(pipe, Pipe(), lambda before, learned: next(rest))


def _replaced(stage: Function, before: Pipe[Any, Any], met: Met) -> Any:
    """Return a stage with another in the place of each `Learned` whose input is known.

    Args:
        stage: perhaps with `Learned`s in it.
        before: the stages before it.
        met: `(stages before, learned) -> stage`, called from the first to the last.
    """
    if not learned_in(stage):
        return stage
    if isinstance(stage, Learned):
        return met(before, stage)
    if isinstance(stage, juxt):
        return juxt(*(_replaced(each, before, met) for each in stage))
    if not isinstance(stage, Pipe):
        learned = learned_in(stage)[0]
        raise TypeError(
            f"fit: {learned.name} is to be learned within a {type(stage).__name__}, where fit does "
            "not come to; make it a stage of a Pipe, or one function of a juxt"
        )
    k = next(k for k, each in enumerate(stage) if learned_in(each))
    new = _replaced(stage[k], before >> stage[:k], met)
    return Pipe._make(stage.names, (*stage.stages[:k], new, *stage.stages[k + 1 :]))


def _over(before: Pipe[Any, Any], learned: Learned[Any, Any], weighted: bool) -> Fold[Any]:
    """Return the fold of a stage, of what the stages before it make of the data."""
    if weighted:
        return learned.fold.of(partial(_both if learned.weighted else _first, before))
    return before.over(learned.fold)


def _both(before: Pipe[Any, Any], pair: PyTree) -> tuple[Any, Any]:
    return _first(before, pair), pair[1]


def _first(before: Pipe[Any, Any], pair: PyTree) -> Any:
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise TypeError(
            "fit: a stage learns from pairs (x, weight), and an element of the data is "
            f"{describe(pair)}; give blocks that are tuples of two"
        )
    return before(pair[0])


def _made(learned: Learned[Any, Any], answer: PyTree) -> Function:
    try:
        stage = learned.make(answer)
    except Exception as error:
        error.add_note(f"fit: this came out of making the stage {learned.name!r}")
        raise
    if not callable(stage):
        raise TypeError(
            f"fit: make of the stage {learned.name!r} returned {describe(stage)}, which is not "
            "callable; return the function of an element that the answer makes"
        )
    return stage


def _file_of(checkpoint: str | os.PathLike[str] | None, k: int) -> Any:
    return checkpoint if checkpoint is None or k == 1 else f"{os.fspath(checkpoint)}.{k}"
