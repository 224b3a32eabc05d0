"""Running folds over data: an array, blocks from anywhere, or a numbered source.

Blocks are folded one by one and their memories merged in a tree keyed by the block's number, so
that the bits depend on how the data is cut, and on nothing else.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> data = jnp.arange(10.0)
>>> source = jf.Source(2, lambda i: data[5 * i : 5 * i + 5])
>>> float(jf.fold(jf.folds.mean(), source)), float(jf.fold(jf.folds.mean(), data))
(4.5, 4.5)
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import jax
import numpy as np

from ._fold import Fold, like_of_block
from ._tree import check_count, tracing

R = TypeVar("R")


@dataclass(frozen=True)
class Source:
    """Numbered blocks of data: `load(i)` returns block i of `n_chunks`, a pytree of arrays.

    Args:
        n_chunks: how many blocks.
        load: `int -> block`; its leaves share the leading axis.

    Raises:
        TypeError, ValueError: n_chunks is no positive int, or load not callable.
    """

    n_chunks: int
    load: Callable[[int], Any]

    def __post_init__(self) -> None:
        check_count(self.n_chunks, "n_chunks", "Source", least=1)
        if not callable(self.load):
            raise TypeError(f"Source: load is {self.load!r}, which is not callable")

    def __iter__(self) -> Iterator[Any]:
        return map(self.load, range(self.n_chunks))


class Executor(Protocol):
    """What runs a fold over blocks: it must merge in the tree of `merge_blocks`.

    One that takes the blocks in order, in one place, says so by `keeps_order = True`; to others an
    order-dependent fold is not given.
    """

    def run(self, a_fold: Fold[Any], blocks: Iterable[Any]) -> Any:
        """Return the memory of the fold over all blocks."""
        ...


def fold(a_fold: Fold[R], data: Any, executor: Executor | None = None) -> R:
    """Run a fold over data and return its answer.

    Args:
        a_fold: the fold.
        data: an array, or a dict or tuple of arrays, whose leading axis runs over the elements; or
            an iterable of such blocks (a list, a generator, a `Source`).
        executor: what runs it over blocks; by default this process.

    Raises:
        TypeError: the fold is none; data or a block holds no arrays; a block differs in structure,
            shape or dtype from the first; an order-dependent fold is given to an executor that
            splits.
        ValueError: there is no block at all, or the leading axes differ.

    >>> import jax.numpy as jnp
    >>> from jfoundations import folds
    >>> float(fold(folds.mean(), jnp.array([1.0, 2.0, 4.0, 18.0])))
    6.25
    """
    if not isinstance(a_fold, Fold):
        raise TypeError(
            f"fold: {a_fold!r} is no Fold; make one with Fold(init, step, merge) "
            "or take one from jfoundations.folds"
        )
    if isinstance(data, dict | tuple) or hasattr(data, "dtype"):
        _check_block(data, "fold's data")
        run = _answer if tracing() else _compiled_answer
        return run(a_fold, data)
    if not isinstance(data, Iterable):
        raise TypeError(
            f"fold: data is {type(data).__name__}; give an array, or an iterable of blocks"
        )
    if executor is None:
        return a_fold.extract(merge_blocks(a_fold, data))
    if a_fold.merge is None and not getattr(executor, "keeps_order", False):
        raise TypeError(
            f"fold: {a_fold.name} depends on the order of its elements (its merge is None), so "
            f"{type(executor).__name__} cannot split it; leave out the executor, or write a merge"
        )
    return a_fold.extract(executor.run(a_fold, data))


def merge_blocks(a_fold: Fold[Any], blocks: Iterable[Any]) -> Any:
    """Return the memory of a fold over blocks: a tree keyed by block number, O(log n) memories.

    Raises:
        TypeError, ValueError: as `fold`.
    """
    like: Any = None
    memory: Any = None
    tree: list[tuple[int, Any]] = []  # (height, memory) of aligned subtrees, heights falling
    for k, block in enumerate(blocks):
        _check_block(block, f"fold's block {k}")
        if like is None:
            like = like_of_block(_shapes(block))
        _check_alike(like_of_block(_shapes(block)), like, k)
        if a_fold.merge is None:
            memory = _go_on(a_fold, memory if k else _start(a_fold, block), block)
        else:
            _push(a_fold, tree, _block(a_fold, block))
    if like is None:
        raise ValueError("fold: there is no block, so no one knows what an element looks like")
    return memory if a_fold.merge is None else _join(a_fold, tree)


def _push(a_fold: Fold[Any], tree: list[tuple[int, Any]], memory: Any) -> None:
    height = 0
    while tree and tree[-1][0] == height:
        memory = _merge(a_fold, tree.pop()[1], memory)
        height += 1
    tree.append((height, memory))


def _join(a_fold: Fold[Any], tree: list[tuple[int, Any]]) -> Any:
    memory = tree.pop()[1]
    while tree:
        memory = _merge(a_fold, tree.pop()[1], memory)
    return memory


def _shapes(block: Any) -> Any:
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), jax.typeof(a).dtype), block)


def _check_block(block: Any, who: str) -> None:
    lengths = set()
    for leaf in jax.tree.leaves(block):
        try:
            shape = jax.typeof(leaf).shape
        except TypeError:
            kind = getattr(leaf, "dtype", None) or type(leaf).__name__
            raise TypeError(f"{who}: a leaf is {kind}, which is no array of numbers") from None
        if not shape:
            raise TypeError(
                f"{who}: a leaf has no leading axis to run over; a list is an iterable of blocks, "
                "so for one block of numbers give jnp.array(numbers)"
            )
        lengths.add(shape[0])
    if len(lengths) != 1:
        found = f"lengths {sorted(lengths)}" if lengths else "no arrays"
        raise ValueError(f"{who}: its leaves have {found}; they must share one leading axis")


def _check_alike(like: Any, first: Any, k: int) -> None:
    if like != first:
        raise TypeError(
            f"fold: block {k} has elements {like}, block 0 had {first}; all must be alike"
        )


def _answer(a_fold: Fold[Any], xs: Any) -> Any:
    return a_fold.extract(a_fold.block(jax.tree.map(jax.numpy.asarray, xs)))


_compiled_answer = jax.jit(_answer)


@jax.jit
def _block(a_fold: Fold[Any], xs: Any) -> Any:
    return a_fold.block(xs)


@jax.jit
def _merge(a_fold: Fold[Any], a: Any, b: Any) -> Any:
    assert a_fold.merge is not None
    return a_fold.merge(a, b)


@jax.jit
def _start(a_fold: Fold[Any], xs: Any) -> Any:
    return jax.tree.map(jax.numpy.asarray, a_fold.init(like_of_block(xs)))


@jax.jit
def _go_on(a_fold: Fold[Any], memory: Any, xs: Any) -> Any:
    return jax.lax.scan(lambda m, x: (a_fold.step(m, x), None), memory, xs)[0]
