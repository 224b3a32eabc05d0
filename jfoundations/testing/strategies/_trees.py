"""Keys, pytrees, and ways to split data."""

from typing import Any

import jax
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ._arrays import arrays


def keys() -> SearchStrategy[jax.Array]:
    """Draw PRNG keys, the plainest `jax.random.key(0)`."""
    return st.integers(0, 2**32 - 1).map(jax.random.key)


def pytrees(
    leaves: SearchStrategy[Any] | None = None, *, max_leaves: int = 5
) -> SearchStrategy[Any]:
    """Draw nested dicts, tuples and lists, None among them.

    Args:
        leaves: draws the leaves; by default small float arrays.
        max_leaves: about how many leaves at most.
    """
    leaves = arrays(shape=((), (3,), (2, 2))) if leaves is None else leaves
    names = st.sampled_from(["a", "b", "c"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner),
            st.lists(inner, max_size=2),
            st.dictionaries(names, inner | st.none(), max_size=3),
        ),
        max_leaves=max_leaves,
    )


def blocks_of(x: Any) -> SearchStrategy[list[Any]]:
    """Draw ways to split data along its leading axis into blocks: a few sizes, one empty maybe.

    Args:
        x: an array, or a pytree of arrays that share their leading axis.
    """
    n = jax.tree.leaves(x)[0].shape[0]
    sizes = [max(1, n), max(1, n // 2), max(1, n // 3), 1]
    ways = [tuple(range(size, n, size)) for size in sizes]
    ways += [(0,), (n,), tuple(k for k in (1,) if k < n), tuple(k for k in (n - 1,) if k > 0)]

    def split(cuts: tuple[int, ...]) -> list[Any]:
        edges = (0, *cuts, n)
        pairs = zip(edges, edges[1:], strict=False)
        return [jax.tree.map(lambda a, i=i, j=j: a[i:j], x) for i, j in pairs]

    return st.sampled_from(list(dict.fromkeys(ways))).map(split)
