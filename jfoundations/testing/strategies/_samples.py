"""What goes with a sample: which of it counts, how much, in which order, in which blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jax.typing import DTypeLike

from ..._core.types import PyTree
from ._arrays import LENGTHS, Shapes, _shapes, cut

Draw = Callable[[SearchStrategy[Any]], Any]


def masks(shape: Shapes = LENGTHS, *, least: int = 0) -> SearchStrategy[jax.Array]:
    """Draw boolean masks: all, all but the first or last, every other, half, one, none.

    How many are left is one of few numbers, since every number of them compiles anew where they
    are cut out.

    Args:
        shape: as in `arrays`.
        least: how many are left at the least.

    >>> from hypothesis import find
    >>> find(masks((4,)), lambda mask: not mask[0])
    Array([False,  True,  True,  True], dtype=bool)
    """
    return _masks(shape, least)


@st.composite
def _masks(draw: Draw, shape: Shapes, least: int) -> jax.Array:
    size = draw(_shapes(shape))
    n = int(np.prod(size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    at = np.arange(n)
    ways = [at >= 0, at > 0, at < n - 1, at % 2 == 0, rng.permutation(at) < n // 2]
    ways += [at == rng.integers(max(n, 1)), at < 0]
    enough = [way for way in ways if way.sum() >= least]
    if not enough:
        raise ValueError(f"masks: of {n} elements no {least} can be left; lower least=")
    return jax.device_put(draw(st.sampled_from(enough)).reshape(size))


def weights(
    shape: Shapes = LENGTHS, *, dtype: DTypeLike | None = None, whole: bool = False
) -> SearchStrategy[jax.Array]:
    """Draw weights, zeros among them, of which some are not zero: whole ones first.

    Ones; 0 to 3 in any order; fractions; half of them 0; powers of two; one far above the others.

    Args:
        shape: as in `arrays`.
        dtype: of the weights; by default JAX's default float, and int32 of whole ones.
        whole: draw only whole numbers, of one sum for each shape: how often to repeat.

    >>> from hypothesis import find
    >>> find(weights((3,), whole=True), lambda w: w.max() > 2)
    Array([3, 1, 2], dtype=int32)
    """
    kind = (np.int32 if whole else jnp.result_type(float)) if dtype is None else dtype
    return _weights(shape, kind, whole)


@st.composite
def _weights(draw: Draw, shape: Shapes, dtype: DTypeLike | None, whole: bool) -> jax.Array:
    size = draw(_shapes(shape))
    n = int(np.prod(size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = (1 + np.arange(n)) % 4
    ways = [np.ones(n), rng.permutation(counts)]
    if not whole:
        some = np.where(np.arange(n) % 2, 0.0, rng.uniform(0.5, 2, n))
        far = np.where(np.arange(n) == rng.integers(max(n, 1)), 1024.0, rng.uniform(0.5, 2, n))
        powers = 2.0 ** rng.integers(-8, 8, n, endpoint=True)
        ways += [rng.uniform(0.25, 4, n), some, powers, far]
    return jax.device_put(draw(st.sampled_from(ways)).reshape(size).astype(dtype))


def permutations_of(x: PyTree) -> SearchStrategy[Any]:
    """Draw data in another order along its leading axis: a swap, reversed, rotated, shuffled.

    Args:
        x: an array, or a pytree of arrays that share their leading axis.

    >>> from hypothesis import find
    >>> find(permutations_of(jnp.arange(4)), lambda y: y[0] == 3)
    Array([3, 2, 1, 0], dtype=int32)
    """
    n = jax.tree.leaves(x)[0].shape[0]

    def order(seed: int, way: int) -> np.ndarray:
        at = np.arange(n)
        swap = np.concatenate([at[:2][::-1], at[2:]])
        shuffled = np.random.default_rng(seed).permutation(n)
        return (at, swap, at[::-1], np.roll(at, 1), shuffled)[way]

    orders = st.builds(order, st.integers(0, 2**32 - 1), st.integers(0, 4))
    return orders.map(lambda order: jax.tree.map(lambda a: cut(a, order), x))


def blocks_of(x: PyTree) -> SearchStrategy[list[Any]]:
    """Draw ways to split data along its leading axis into blocks: a few sizes, one empty maybe.

    Args:
        x: an array, or a pytree of arrays that share their leading axis.

    >>> from hypothesis import find
    >>> [len(block) for block in find(blocks_of(jnp.arange(6)), lambda blocks: len(blocks) > 2)]
    [2, 2, 2]
    """
    n = jax.tree.leaves(x)[0].shape[0]
    sizes = [max(1, n), max(1, n // 2), max(1, n // 3), 1]
    ways = [tuple(range(size, n, size)) for size in sizes]
    ways += [(0,), (n,), tuple(k for k in (1,) if k < n), tuple(k for k in (n - 1,) if k > 0)]

    def split(cuts: tuple[int, ...]) -> list[Any]:
        edges = (0, *cuts, n)
        pairs = zip(edges, edges[1:], strict=False)
        return [jax.tree.map(lambda a, part=slice(i, j): cut(a, part), x) for i, j in pairs]

    return st.sampled_from(list(dict.fromkeys(ways))).map(split)
