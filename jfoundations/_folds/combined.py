"""What folds side by side do, each with its own memory, and how one answer is computed of theirs.

>>> import operator
>>> both = evaluation([((None, 0), abs), ((None, 1), abs), (2, operator.add)])
>>> both((-3, -4))
7
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from jax import Array

from .._core.types import Function, PyTree
from .._core.values import Static, identity, partial
from .protocols import Block, BlockWhere, Finished, Init, Merge, Step

Takes: TypeAlias = int | tuple[int | None, ...]  # so many answers before; or memories, by place
Operation: TypeAlias = Callable[[PyTree, PyTree], PyTree]


def evaluation(tokens: Sequence[tuple[Takes, Function]]) -> Callable[[PyTree], PyTree]:
    """Return the function of the memories that tokens, functions and what they take, stand for."""
    plan, functions = zip(*tokens, strict=True)
    return partial(evaluate, Static(plan), functions)


def evaluate(plan: tuple[Takes, ...], functions: tuple[Function, ...], memory: PyTree) -> Any:
    """Return the answer, computed as on a calculator that takes operands first."""
    answers: list[Any] = []
    for takes, function in zip(plan, functions, strict=True):
        if isinstance(takes, int):
            first = len(answers) - takes
            answers[first:] = [function(*answers[first:])]
        elif takes[:1] == (None,):
            answers.append(function(memory[takes[1]]))
        else:
            answers.append(function(tuple(memory[place] for place in takes)))
    return answers[0]


def tokens_of(fold: Any) -> list[tuple[Takes, Function]]:
    """Return the functions that make a fold's answer, each with what it takes; never a nest."""
    extract: Any = fold.extract
    if is_of(extract, evaluate) and fold._parts:
        plan, functions = extract.args
        return list(zip(plan, functions, strict=True))
    return [(tuple(range(len(fold._parts))) if fold._parts else (None, 0), fold.extract)]


def unasked(fold: Any, name: str = "") -> Any:
    """Return the fold whose answer is its memory: one for all that differ in the answer alone."""
    return fold._with(extract=identity, name=name)


def is_of(function: object, what: Function) -> bool:
    """Tell whether a function is one of another's partials."""
    return type(function) is partial and function.func is what


def side_by_side(parts: Sequence[Any]) -> dict[str, Any]:
    """Return the functions of the fold that runs some folds side by side, but for its answer."""

    def held(field: str) -> Any:
        return tuple(getattr(part, field) for part in parts)

    def of_all(function: Function, field: str) -> Any:
        return partial(function, held(field)) if all(f is not None for f in held(field)) else None

    merge = of_all(merge_all, "merge")
    return {
        "init": partial(init_all, held("init")),
        "step": partial(step_all, held("step")),
        "merge": merge,
        "block": partial(block_all, held("block")),
        "finished": of_all(finished_all, "finished") if parts else None,
        "block_where": merge and of_all(block_where_all, "block_where"),
        "unmerge": of_all(merge_all, "undo"),
    }


def apart(fold: Any) -> list[dict[str, Any]]:
    """Return the functions of each fold that stands side by side in one; none where none do."""
    held = {
        "init": (fold.init, init_all),
        "step": (fold.step, step_all),
        "merge": (fold.merge, merge_all),
        "block": (fold.block, block_all),
        "block_where": (fold.block_where, block_where_all),
    }
    if not all(is_of(*pair) for pair in held.values()):
        return []
    held |= {"finished": (fold.finished, finished_all), "unmerge": (fold.undo, merge_all)}
    each = {name: f.args[0] for name, (f, what) in held.items() if is_of(f, what)}
    return [dict(zip(each, some, strict=True)) for some in zip(*each.values(), strict=True)]


def moved(takes: Takes, new: Sequence[int]) -> Takes:
    """Return what a function takes, where the memories have new places."""
    if isinstance(takes, int):
        return takes
    return tuple(None if place is None else new[place] for place in takes)


def named(names: tuple[str, ...], *answers: object) -> dict[str, Any]:
    """Return answers by their names."""
    return dict(zip(names, answers, strict=True))


def init_all(inits: tuple[Init, ...], like: PyTree) -> Any:
    """Make the memories."""
    return tuple(init(like) for init in inits)


def step_all(steps: tuple[Step, ...], memory: PyTree, x: PyTree) -> Any:
    """Take one element in each."""
    return tuple(step(m, x) for step, m in zip(steps, memory, strict=True))


def merge_all(merges: tuple[Merge, ...], a: PyTree, b: PyTree) -> Any:
    """Merge each."""
    return tuple(merge(x, y) for merge, x, y in zip(merges, a, b, strict=True))


def block_all(blocks: tuple[Block, ...], xs: PyTree) -> Any:
    """Return the memories of a block."""
    return tuple(block(xs) for block in blocks)


def block_where_all(blocks: tuple[BlockWhere, ...], xs: PyTree, kept: Array) -> Any:
    """Return the memories of those elements of a block that are kept."""
    return tuple(block(xs, kept) for block in blocks)


def finished_all(finished: tuple[Finished, ...], memory: PyTree) -> Any:
    """Tell whether all are finished."""
    answers = [done(m) for done, m in zip(finished, memory, strict=True)]
    return functools.reduce(operator.and_, answers)


def with_right_operand(op: Operation, b: object, a: object) -> Any:
    """Return an operation's answer, given its right operand."""
    return op(a, b)
