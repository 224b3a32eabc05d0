"""Elements that are pytrees of arrays: a fold of arrays gets one memory a leaf.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> people = {"age": jnp.array([31.0, 33.0]), "size": jnp.array([[1.0, 2.0], [3.0, 6.0]])}
>>> {name: mean.tolist() for name, mean in jf.fold(jf.folds.mean(), people).items()}
{'age': 32.0, 'size': [2.0, 4.0]}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .._core.checks import keystr
from .._core.pytrees import pytree
from .._core.types import Function, KeyPath, PyTree
from .._core.values import is_pytree, partial
from .fold import Fold
from .protocols import Merge, Step


@pytree
class Leaf:
    """The memory of one leaf of an element, where the element is a tree."""

    memory: Any


def leafwise(a_fold: Fold[Any], *, weighted: bool = False) -> Fold[Any]:
    """Return a fold of arrays, or of trees of them; its answer is then a tree of answers.

    Args:
        a_fold: of single arrays.
        weighted: whether its elements are `(x, weight)`. The weight is then that of all leaves.
    """
    init, block = (partial(_take, f, weighted) for f in (a_fold.init, a_fold.block))
    kept = a_fold.block_where
    block_where = None if kept is None else partial(_take, kept, weighted)
    step = partial(_step, a_fold.step, weighted)
    merge, unmerge = (f and partial(_merge, f) for f in (a_fold.merge, a_fold.undo))
    functions = (init, step, merge, partial(_extract, a_fold.extract), block)
    return Fold(*functions, block_where=block_where, unmerge=unmerge, name=a_fold.name)


def _parted(weighted: bool, xs: PyTree) -> tuple[Any, Callable[[Any], Any]]:
    """Return the tree of an element or a block, and what makes of a leaf what a fold takes."""
    if weighted and isinstance(xs, tuple) and len(xs) == 2:
        return xs[0], lambda leaf: (leaf, xs[1])
    return xs, lambda leaf: leaf


def _take(function: Function, weighted: bool, xs: PyTree, *kept: jax.Array) -> Any:
    tree, rebuilt = _parted(weighted, xs)
    if not is_pytree(tree) or (weighted and tree is xs):
        return function(xs, *kept)
    return _each(lambda leaf: Leaf(function(rebuilt(leaf), *kept)), tree)


def _step(step: Step, weighted: bool, memory: PyTree, x: PyTree) -> Any:
    tree, rebuilt = _parted(weighted, x)
    if not is_pytree(tree) or (weighted and tree is x):
        return step(memory, x)
    return _each(lambda leaf, kept: Leaf(step(kept.memory, rebuilt(leaf))), tree, memory)


def _merge(merge: Merge, a: PyTree, b: PyTree) -> Any:
    if not _is_tree(a):
        return merge(a, b)
    return _each(lambda x, y: Leaf(merge(x.memory, y.memory)), a, b)


def _extract(extract: Callable[[PyTree], PyTree], memory: PyTree) -> Any:
    return _each(lambda kept: extract(kept.memory), memory) if _is_tree(memory) else extract(memory)


def _is_leaf(value: object) -> bool:
    return isinstance(value, Leaf)


def _is_tree(memory: PyTree) -> bool:
    return any(map(_is_leaf, jax.tree.leaves(memory, is_leaf=_is_leaf)))


def _each(function: Function, tree: PyTree, *rest: PyTree) -> Any:
    def noted(path: KeyPath, *leaves: PyTree) -> Any:
        try:
            return function(*leaves)
        except Exception as error:
            error.add_note(f"in {keystr(path, 'the element')}")
            raise

    return jax.tree_util.tree_map_with_path(noted, tree, *rest, is_leaf=_is_leaf)


def row_names(element: PyTree) -> tuple[str, ...]:
    """Name the rows of the matrix that `cov_matrix` and `corr_matrix` make of trees.

    Leaves come in the order of `jax.tree.leaves` (dicts by their sorted keys), the numbers of a
    leaf in row-major order.

    Args:
        element: an element, or its `jax.ShapeDtypeStruct`s.

    >>> row_names({"size": np.zeros(2), "age": 31.0})
    ('age', 'size[0]', 'size[1]')
    """
    names: list[str] = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(element):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        names += [f"{name}{_place(index)}" for index in np.ndindex(np.shape(leaf))]
    return tuple(names)


def _place(index: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, index))}]" if index else ""
