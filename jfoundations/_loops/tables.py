"""How results are shown on the host: a line for the REPL, a table to read.

>>> print(text_table([["lane", "steps"], ["0", "13"], ["1", "3"]]))
lane  steps
0     13
1     3
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core.checks import keystr
from .._core.types import PyTree
from .._core.values import describe

FEW = 4  # elements of an array that are shown, not described
LANES = 100  # shown at most


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


def line_of(result: Any) -> str:
    """Return the repr of a `LoopResult`: how it ended, and the shapes of what it holds."""
    parts = list(_end(result)) if on_host(result.stopped_by) and on_host(result.steps) else []
    parts.append(f"state={_brief(result.state)}")
    if result.memory:
        memory = ", ".join(f"{name}: {_brief(m)}" for name, m in _memories(result))
        parts.append(f"memory={{{memory}}}")
    return f"LoopResult({', '.join(parts)})"


def _brief(tree: PyTree) -> str:
    leaves = len(jax.tree.leaves(tree))
    return (
        describe(tree) if leaves <= FEW else f"{leaves} leaves, {show_bytes(size_in_bytes(tree))}"
    )


def _end(result: Any) -> Iterator[str]:
    steps = np.asarray(result.steps)
    if not steps.ndim:
        yield _count(int(steps), "step")
        yield f"stopped by {' and '.join(result.reasons)}"
        return
    yield _count(steps.size, "lane")
    if steps.size:
        least, most = int(steps.min()), int(steps.max())
        yield f"{least} to {most} steps" if least < most else _count(least, "step")
        reasons = Counter(name for _, _, names in _lanes(result) for name in names)
        yield "stopped by " + ", ".join(f"{name}: {n}" for name, n in reasons.items())


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _lanes(result: Any) -> Iterator[tuple[tuple[int, ...], int, tuple[str, ...]]]:
    """Yield each lane's index, steps and reasons."""
    steps = np.asarray(result.steps)
    for index in np.ndindex(steps.shape):
        names = result.reasons
        for k in index:
            names = names[k]
        yield index, int(steps[index]), names


def table_of(result: Any) -> str:
    """Return a `LoopResult` as a table: a line a lane, or of a single run a line a leaf."""
    leaves = list(_named_leaves(result))  # a callback may be named as a leaf of another is
    batch = np.ndim(result.steps)
    if not batch:
        head = [["steps", str(int(result.steps))], ["stopped by", ", ".join(result.reasons)]]
        return text_table(head + [[name, show(leaf)] for name, leaf in leaves])
    lean = [(name, np.asarray(leaf)) for name, leaf in leaves if _is_few(leaf, batch)]
    rows = [["lane", "steps", "stopped by", *(name for name, _ in lean)]]
    for index, steps, names in _lanes(result):
        lane = ",".join(map(str, index))
        rows.append(
            [lane, str(steps), ", ".join(names), *(show(value[index]) for _, value in lean)]
        )
    if len(rows) > LANES + 1:
        rows[LANES // 2 + 1 : -LANES // 2] = [["…"] * len(rows[0])]
    large = [(name, leaf) for name, leaf in leaves if not _is_few(leaf, batch)]
    others = [f"{name} {_a_lane(leaf, batch)}" for name, leaf in large]
    return text_table(rows) + "".join(f"\nin each lane {other}" for other in others)


def _named_leaves(result: Any) -> Iterator[tuple[str, Any]]:
    for root, tree in (("state", result.state), *_memories(result)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            yield keystr(path, root), leaf


def _memories(result: Any) -> list[tuple[str, Any]]:
    # In the callbacks' order: `jit` sorts the dict.
    return [(name, result.memory[name]) for name in result.names if name in result.memory]


def _is_few(leaf: PyTree, batch: int) -> bool:
    numbers = on_host(leaf) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return numbers and 0 < int(np.prod(leaf.shape[batch:])) <= FEW


def _a_lane(leaf: PyTree, batch: int) -> str:
    return describe(jax.ShapeDtypeStruct(leaf.shape[batch:], leaf.dtype))


def show(leaf: PyTree) -> str:
    """Return a few numbers as they are, of more the dtype and shape."""
    if not _is_few(leaf, 0):
        return describe(leaf)
    value = np.asarray(leaf)
    if value.dtype.kind == "V":  # NumPy knows no bfloat16
        value = value.astype(np.float32)
    if value.ndim == 0:
        return f"{value[()]:.6g}" if value.dtype.kind in "fc" else str(value[()])
    return " ".join(np.array2string(value, precision=4, separator=", ").split())
