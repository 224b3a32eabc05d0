"""What a run has recorded, as rows: for csv, JSON lines, pandas or any logger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from .._core.checks import check_function
from .._core.types import KeyPath, PyTree
from .._core.values import describe, is_key
from .._folds.fold import Fold
from .._kernels.numbers.counts import Count
from .._loops.resolve import unique
from .._loops.result import LoopResult
from ._history import History

Lane = tuple[int, ...]
Row = dict[str, Any]


class Table(NamedTuple):
    """Columns of numbers, with axes of lanes before that of the rows, and which steps these are."""

    columns: dict[str, np.ndarray]
    steps: Callable[[Lane, int], np.ndarray]  # of a lane, and of the steps that it took


def records(
    result: LoopResult[PyTree],
    *,
    since: ArrayLike | None = None,
    watched: Mapping[str, Fold[Any] | Callable[[PyTree], PyTree]] | None = None,
) -> list[Row]:
    """Return what the histories of a run hold as rows: dicts of Python scalars, a row a step.

    Each row has `step`, after how many steps it was recorded, 0 before the first. Several histories
    are joined by it; a row has what was recorded at its step, and nothing of the others. A column
    has the history's name, and where it records several things the name of each: `loss`, `w.0.1`.
    A name that comes again is numbered, `loss_2`. Of a batch each row begins with its `lane`, and
    they come lane after lane.

    In a `for result in chunks(…)` only the rows since the last are new: `since=last.steps`.

    Args:
        result: what `iterate`, `resume` or `chunks` returned; histories are found in it wherever
            they are, also within `when`, `|` or `swap`.
        since: a number of steps, or of a batch one a lane; no row of these steps or before comes.
        watched: what else is told in the last step's row: by memory's name the fold that
            `watch` fed, or a function of the memory, as `lambda ema: ema.value`.

    Raises:
        TypeError: result is no LoopResult, or traced; watched is no dict.
        ValueError: since is no such number. Or a history did not hear every step (within `when`
            say), was full before the end or goes on after `again`, so that its records' steps are
            unknown; `steps=True` in it writes them down. (Of several runs of a history that did not
            hear every step it cannot tell whose a record is, if their steps happen to rise.)
        KeyError: there is no memory of a name in `watched`.

    >>> import jfoundations as jf
    >>> seen = jf.callbacks.history({"x": lambda x: x, "half": lambda x: x / 2})
    >>> coarse = jf.callbacks.history(lambda x: -x, every=2)
    >>> mean = jf.folds.mean()
    >>> heard = seen, coarse, jf.watch(mean)
    >>> for result in jf.chunks(lambda x: x + 1.0, 0.0, *heard, max_steps=4, every=3):
    ...     print(int(result.steps))
    3
    4
    >>> for row in records(result, watched={"mean": mean}):
    ...     print(row)
    {'step': 1, 'half': 0.5, 'x': 1.0}
    {'step': 2, 'half': 1.0, 'x': 2.0, 'history_2': -2.0}
    {'step': 3, 'half': 1.5, 'x': 3.0}
    {'step': 4, 'half': 2.0, 'x': 4.0, 'history_2': -4.0, 'mean': 2.5}
    >>> records(result, since=3)
    [{'step': 4, 'half': 2.0, 'x': 4.0, 'history_2': -4.0}]
    """
    if not isinstance(result, LoopResult):
        raise TypeError(
            f"records: it reads a LoopResult, which iterate, resume and chunks return, not "
            f"{describe(result)}"
        )
    if isinstance(result.steps, Tracer):
        raise TypeError(
            "records are Python numbers, which a traced function does not know; return the "
            "LoopResult from jit and ask there"
        )
    taken = np.asarray(result.steps)
    past = _past(since, taken.shape)
    tables = [*_histories(result), *_answers(result, {} if watched is None else watched)]
    tables = [table for table in tables if table.columns]
    names = unique([name for table in tables for name in table.columns], "lane", "step")
    rows: list[Row] = []
    for lane in np.ndindex(taken.shape):
        joined: dict[int, Row] = {}
        named = iter(names)
        for table in tables:
            steps = table.steps(lane, int(taken[lane]))
            new = np.flatnonzero(steps > past[lane])
            for values in table.columns.values():
                name, column = next(named), values[lane][new].tolist()
                for step, value in zip(steps[new].tolist(), column, strict=True):
                    joined.setdefault(step, {})[name] = value
        label = {"lane": lane[0] if len(lane) == 1 else ",".join(map(str, lane))} if lane else {}
        rows += [{**label, "step": step, **joined[step]} for step in sorted(joined)]
    return rows


def _past(since: ArrayLike | None, lanes: tuple[int, ...]) -> np.ndarray:
    """Return the steps whose rows were told before, one number a lane."""
    past = np.asarray(-1 if since is None else since)
    if past.dtype.kind not in "iu" or past.shape not in ((), lanes):
        raise ValueError(
            f"records: since is {since!r}; give a number of steps, of a batch one a lane of its "
            f"shape {lanes}, as since=last.steps"
        )
    return np.broadcast_to(past, lanes)


def _histories(result: LoopResult[PyTree]) -> Iterator[Table]:
    def is_whole(memory: PyTree) -> bool:
        # of other values, as states that were kept, the histories are not this run's
        return memory is not None and type(memory) not in (dict, tuple, list)

    for name in (name for name in result.names if name in result.memory):
        whole = {name: result.memory[name]}
        found = jax.tree_util.tree_leaves_with_path(whole, is_leaf=is_whole)
        for path, memory in found:
            if isinstance(memory, History):
                yield _table(memory, path, np.ndim(result.steps))


def _table(memory: History, path: KeyPath, lanes: int) -> Table:
    name = str([k for k in path if isinstance(k, jax.tree_util.DictKey)][-1].key)
    count, seen = np.asarray(memory.count), np.asarray(memory.seen)
    written = None if memory.steps is None else np.asarray(memory.steps)

    def steps(lane: Lane, taken: int) -> np.ndarray:
        n, wanted = int(count[lane]), taken // memory.every + memory.initial
        if written is not None:
            known = written[lane][:n]
            if (np.diff(known) <= 0).any() or seen[lane] > wanted:
                raise ValueError(
                    f"records: {name} goes on over several runs, whose steps begin anew, as after "
                    "again(); give each run's records by themselves"
                )
            return known
        if not n == seen[lane] == wanted:
            raise ValueError(
                f"records: {name} holds {n} records of {taken} steps, and not which; it was full, "
                "did not hear every step or went on in another run: give it steps=True"
            )
        return (np.arange(n) + (not memory.initial)) * memory.every

    return Table(_columns(memory.buffer, name, lanes + 1), steps)


def _answers(
    result: LoopResult[PyTree], watched: Mapping[str, Fold[Any] | Callable[[PyTree], PyTree]]
) -> Iterator[Table]:
    if not isinstance(watched, Mapping):
        raise TypeError(
            f"records: watched is {watched!r}, a dict is needed: {{name of the memory: fold}}"
        )
    for name, answer in watched.items():
        function = answer.extract if isinstance(answer, Fold) else answer
        check_function(function, f"watched[{name!r}]", "records", "a fold, or a function of memory")
        for _ in range(np.ndim(result.steps)):
            function = jax.vmap(function)
        columns = _columns(function(result.memory[name]), name, np.ndim(result.steps))
        rows = {column: values[..., None] for column, values in columns.items()}
        yield Table(rows, lambda _, taken: np.array([taken]))


def _columns(tree: PyTree, name: str, axes: int) -> dict[str, np.ndarray]:
    """Return the numbers of a tree, each an array of so many axes, by names."""
    columns = {}
    # Two words of a count are one number to NumPy.
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda m: isinstance(m, Count))
    for path, leaf in leaves:
        named = path and not isinstance(path[0], jax.tree_util.SequenceKey)
        words = [jax.tree_util.keystr((k,), simple=True) for k in path]
        values = _numbers(leaf)
        for index in np.ndindex(values.shape[axes:]):
            column = ".".join([*([] if named else [name]), *words, *map(str, index)])
            columns[column] = values[(..., *index)]
    return columns


def _numbers(leaf: PyTree) -> np.ndarray:
    """Return an array of a dtype whose numbers Python has; of PRNG keys, their data."""
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    values = np.asarray(leaf)
    if values.dtype.kind == "V":  # NumPy does not know its kind, bfloat16 say
        values = values.astype(np.float32 if jnp.issubdtype(leaf.dtype, np.floating) else np.int32)
    return values
