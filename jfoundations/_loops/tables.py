"""Values and tables as text, on the host.

>>> print(text_table([["lane", "steps"], ["0", "13"], ["1", "3"]]))
lane  steps
0     13
1     3
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax.core import Tracer

from .._core.shown import FEW
from .._core.types import PyTree
from .._core.values import describe, is_key


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of equally many cells, aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def size_in_bytes(tree: PyTree) -> int:
    """Return the bytes of a tree's leaves, of which only shapes and dtypes are looked at."""
    avals = map(jax.typeof, jax.tree.leaves(tree))
    return sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in avals)


def show_bytes(count: float) -> str:
    """Return a number of bytes as one would say it."""
    for unit in ("bytes", "kB", "MB"):
        if count < 10_000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"


def on_host(leaf: PyTree) -> bool:
    """Tell whether a leaf is an array whose values can be read here."""
    return isinstance(leaf, np.ndarray | np.generic | jax.Array) and not isinstance(leaf, Tracer)


def brief(tree: PyTree) -> str:
    """Return dtypes and shapes of a tree, of a large one how large it is."""
    leaves = len(jax.tree.leaves(tree))
    return (
        describe(tree) if leaves <= FEW else f"{leaves} leaves, {show_bytes(size_in_bytes(tree))}"
    )


def counted(n: int, what: str) -> str:
    """Return a number of things as one would say it."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def is_few(leaf: PyTree, batch: int) -> bool:
    """Tell whether a leaf, beyond its axes of lanes, has few numbers, which can be read here."""
    numbers = on_host(leaf) and not is_key(leaf)
    return numbers and 0 < int(np.prod(leaf.shape[batch:])) <= FEW


def describe_lane(leaf: PyTree, batch: int) -> str:
    """Return the dtype and shape of a leaf without its axes of lanes."""
    return describe(jax.ShapeDtypeStruct(leaf.shape[batch:], leaf.dtype))


def show(leaf: PyTree) -> str:
    """Return a few numbers as they are, of more the dtype and shape."""
    if not is_few(leaf, 0):
        return describe(leaf)
    value = np.asarray(leaf)
    if value.dtype.kind == "V":  # NumPy knows no bfloat16
        value = value.astype(np.float32)
    if value.ndim == 0:
        return f"{value[()]:.6g}" if value.dtype.kind in "fc" else str(value[()])
    return " ".join(np.array2string(value, precision=4, separator=", ").split())
