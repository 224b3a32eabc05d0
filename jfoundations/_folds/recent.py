"""A fold of the last elements of a stream.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> x = jnp.array([9.0, 1.0, 2.0, 4.0])
>>> float(jf.fold(jf.folds.window(jf.folds.maximum(), 3), x))
4.0
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core.checks import check_count
from .._core.compat import vary_as
from .._core.inputs import elements
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import partial
from .blocks import like_of_block
from .fold import Fold
from .given import check_fold, length
from .rows import element, pick, replaced


@pytree
class Last:
    """The last elements.

    Attributes:
        elements: the oldest at `place` once all places are taken.
        place: where the next one goes, an int32.
        seen: how many are held, an int32.
    """

    elements: PyTree
    place: Array
    seen: Array


def window(a_fold: Fold[Any], size: int) -> Fold[Any]:
    """Return the fold of the last `size` elements; of fewer where fewer were seen.

    See also `buckets`, by time; `jfoundations.rolling`, every window of an array.

    It holds these elements, and folds them when it is asked. So `a_fold` may be any, one whose
    order matters too; the window itself depends on the order and cannot be merged.

    Args:
        a_fold: the fold of the elements in the window.
        size: how many elements that are, a Python int ≥ 1.

    Raises:
        TypeError: a_fold is no Fold, size no int (or it is traced).
        ValueError: size is below 1.

    >>> import jfoundations as jf
    >>> float(jf.fold(window(jf.folds.mean(), 2), [jnp.array([9.0, 1.0]), jnp.array([2.0])]))
    1.5
    """
    check_fold(a_fold, "folds.window")
    size = check_count(size, "size", "folds.window", least=1)
    init, block = partial(_none_yet, size), partial(_last, size)
    extract = partial(_answer, a_fold)
    return Fold(init, _one_more, None, extract, block, name=f"window of {a_fold.name}")


def _none_yet(size: int, like: PyTree) -> Last:
    held = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), like)
    return Last(held, jnp.zeros((), np.int32), jnp.zeros((), np.int32))


def _one_more(memory: Last, x: PyTree) -> Last:
    size, place = length(memory.elements), memory.place
    held = jax.tree.map(lambda v, x: v.at[place].set(x), memory.elements, elements(x))
    place = jnp.where(place == size - 1, 0, place + 1)
    return Last(held, place, jnp.minimum(memory.seen + 1, size))


def _last(size: int, xs: PyTree) -> Last:
    xs = jax.tree.map(lambda v: v[-size:], elements(xs))
    seen = length(xs)

    def held(v: Array) -> Array:
        return jnp.concatenate([v, jnp.zeros((size - seen, *v.shape[1:]), v.dtype)])

    return Last(jax.tree.map(held, xs), jnp.int32(seen % size), jnp.int32(seen))


def _answer(a_fold: Fold[Any], memory: Last) -> Any:
    size = length(memory.elements)
    index = lax.iota(np.int32, size)
    order = index + memory.place  # the oldest first, and before it places not taken yet
    xs = element(memory.elements, jnp.where(order >= size, order - size, order))
    kept = index >= size - memory.seen
    if a_fold.block_where is not None:
        return a_fold.extract(a_fold.block_where(xs, kept))

    def take(memory: PyTree, one: PyTree) -> tuple[Any, None]:
        x, kept = one
        return pick(kept, a_fold.step(memory, x), memory), None

    empty = vary_as(jax.tree.map(jnp.asarray, a_fold.init(like_of_block(xs))), xs)
    return a_fold.extract(lax.scan(take, empty, (replaced(kept, xs), kept))[0])
