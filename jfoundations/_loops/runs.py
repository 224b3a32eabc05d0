"""What differs between the runs of a sweep, as its `in_axes` says.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> step = jf.partial(lambda rate, data, x: x * rate, jnp.ones(5), jnp.ones(3))
>>> find_runs((step, jnp.zeros((5, 2))), (jf.partial(step.func, 0, None), 0), None, "sweep")
([[True, False], [True]], 5)
"""

from typing import Any, TypeAlias

import jax
import numpy as np
from jax import Array

from .._core.checks import keystr
from .._core.types import PyTree
from .._core.values import Static, describe, hold
from .lanes import one_a_lane
from .result import LoopResult

# Of the step, the states and each callback 0 where runs differ, else None; or a tree of them.
Axes: TypeAlias = tuple[PyTree, ...]


def find_runs(
    parts: tuple[object, ...], in_axes: Axes, key: Array | None, who: str
) -> tuple[list[list[bool]], int]:
    """Tell of each leaf of the step, the states and each callback if it differs between runs.

    Returns:
        A bool a leaf for each part, and how many runs there are.

    Raises:
        TypeError: `in_axes` is no tuple.
        ValueError: it does not fit the parts, or a leaf has no runs, or not as many as another.
    """
    if not isinstance(in_axes, tuple):
        raise TypeError(
            f"{who}: in_axes is {in_axes!r}; give a tuple, of the step, the states and each "
            "callback: (None, 0) where only the states differ between runs"
        )
    if not 2 <= len(in_axes) <= len(parts):
        raise ValueError(
            f"{who}: in_axes has {len(in_axes)} entries, but there are {len(parts)} parts: the "
            f"step, the states and {len(parts) - 2} callbacks"
        )
    names = ["step", "states", *(f"callback {k + 1}" for k in range(len(parts) - 2))]
    axes = [*in_axes, *(None for _ in parts[len(in_axes) :])]
    if isinstance(parts[1], LoopResult):
        axes[1] = 0
    found: dict[int, str] = {}
    held = [hold(parts[0]), parts[1], *map(hold, parts[2:])]
    batched: list[list[bool]] = []
    for name, part, asked in zip(names, held, axes, strict=True):
        batched.append(_axes_of(part, asked, name, who))
        leaves = jax.tree_util.tree_leaves_with_path(part)
        for (path, leaf), has in zip(leaves, batched[-1], strict=True):
            if has:
                found.setdefault(_length(leaf, keystr(path, name), who), keystr(path, name))
    if one_a_lane(key):
        assert key is not None
        found.setdefault(key.shape[0], "key")
    if not found:
        raise ValueError(
            f"{who}: there are no runs, since nothing has an axis of them; give a batch of states, "
            "or say by in_axes what of the step or the callbacks differs between runs"
        )
    if len(found) > 1:
        (n, one), (m, other) = list(found.items())[:2]
        raise ValueError(f"{who}: {one} has {n} runs, but {other} has {m}")
    return batched, next(iter(found))


def _axes_of(part: PyTree, axes: PyTree, name: str, who: str) -> list[bool]:
    """Return which leaves of a part have runs, as `axes`, a tree that is its prefix, says."""

    def flag(axis: object) -> Any:
        if type(axis) is Static:  # a `partial` of ours holds an int as a part of its structure
            return True if type(axis.value) is int and not axis.value else axis
        if axis is not None and (type(axis) is not int or axis):
            raise ValueError(
                f"{who}: in_axes of {name} holds {axis!r}; give 0 where runs differ, along the "
                "first axis (jnp.moveaxis brings it there), and None where not"
            )
        return axis is not None

    held = jax.tree.map(flag, axes, is_leaf=lambda a: a is None or type(a) is Static)
    try:
        flags = jax.tree.leaves(jax.tree.broadcast(held, part))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{who}: in_axes of {name} is {axes!r}, which does not fit {describe(part)}; give 0, "
            "None, or the same containers with 0 or None in them"
        ) from error
    if held is True and not flags and name != "states":
        raise ValueError(
            f"{who}: in_axes says that {name} differs between runs, but it holds no arrays; hold "
            "them in a partial, partial(f, rates), or lift a closure"
        )
    return flags


def _length(leaf: PyTree, where: str, who: str) -> int:
    if not np.ndim(leaf):
        raise ValueError(
            f"{who}: {where} is {describe(leaf)}; each leaf that differs between runs needs a "
            "leading axis of them (a list of starts is stacked by jnp.array or jnp.stack; "
            "in_axes says what is the same for all)"
        )
    return leaf.shape[0]
