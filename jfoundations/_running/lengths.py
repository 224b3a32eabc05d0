"""Blocks of many lengths, brought to few: a program is compiled for each length of a block.

A length of two binary digits and zeros (…, 16, 24, 32, 48, …) stays; another is filled up to the
next of them, by a half at most, and the fold is told how many elements count. That is decided by
the length of a block alone, so that its bits are the same wherever it is folded.

>>> [of_few(n) for n in (3, 17, 24, 25, 20_000)]
[3, 24, 24, 32, 24576]
>>> block, count = filled(np.array([3, 1, 2, 1, 7]))
>>> block.tolist(), int(count)
([3, 1, 2, 1, 7, 7], 5)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core.pytrees import FlatTree, flattened
from .._core.sharding import automatic
from .._core.types import PyTree
from .._core.values import is_key
from .._folds.fold import Fold
from .._folds.rows import is_by_rows
from .source import rows_in


def of_few(rows: int) -> int:
    """Return the least length of two binary digits and zeros that is as long."""
    unit = 1 << max(rows.bit_length() - 2, 0)
    return -(-rows // unit) * unit


def filled(block: PyTree) -> tuple[Any, np.int32 | None]:
    """Return a block of one of few lengths, its last element repeated; and how many there were.

    None stands for all. Blocks that lie on several devices, or are being traced, stay as they are.
    """
    rows = rows_in(block)
    if rows == of_few(rows) or not all(map(_is_at_hand, jax.tree.leaves(block))):
        return block, None
    return jax.tree.map(lambda leaf: _to(of_few(rows), leaf), block), np.int32(rows)


def _is_at_hand(leaf: PyTree) -> bool:
    if isinstance(leaf, Tracer):
        return False
    return not isinstance(leaf, jax.Array) or len(leaf.sharding.device_set) == 1


def _to(size: int, leaf: PyTree) -> Any:
    if is_key(leaf):  # nothing to NumPy
        return leaf[np.minimum(np.arange(size), len(leaf) - 1)]
    rows = np.asarray(leaf)  # JAX would compile the filling for each length
    longer = np.empty((size, *rows.shape[1:]), rows.dtype)
    longer[: len(rows)], longer[len(rows) :] = rows, rows[-1]
    return longer


@automatic
def block_memory(a_fold: Fold[Any], xs: PyTree, count: jax.Array | None = None) -> FlatTree:
    """Return the memory of a block, or of so many first elements of what `filled` returned."""
    xs = jax.tree.map(jnp.asarray, xs)
    if count is None:
        return flattened(a_fold.block(xs))
    size = rows_in(xs)
    sure = _few_below(size) if is_by_rows(a_fold.block_where) else 0
    rest = jax.tree.map(lambda a: a[sure:], xs)
    kept = jnp.arange(sure, size, dtype=np.int32) < count
    memory = a_fold.block_where(rest, kept)  # type: ignore[misc]
    if sure:  # rows cost more than a block
        first = a_fold.block(jax.tree.map(lambda a: a[:sure], xs))
        memory = a_fold.merge(first, memory)  # type: ignore[misc]
    return flattened(memory)


def _few_below(rows: int) -> int:
    """Return the length before one of the few: so many elements, and more, there are."""
    unit = 1 << max((rows - 1).bit_length() - 2, 0)
    return (rows - 1) // unit * unit
