"""How often functions run: once a trace, if they are jitted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax

from ..._core.types import PyTree

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def assert_traces(n: int) -> Iterator[Callable[[F], F]]:
    """Assert that functions run exactly `n` times in this block: traced n times, if jitted.

    Args:
        n: how many runs, over all functions counted.

    Yields:
        A decorator; put it inside `jax.jit`: `jax.jit(counted(f))`.

    Raises:
        AssertionError: at the block's end, when there were more or fewer.

    >>> with assert_traces(1) as counted:
    ...     f = jax.jit(counted(lambda x: x + 1))
    ...     f(1), f(2)
    (Array(2, dtype=int32, weak_type=True), Array(3, dtype=int32, weak_type=True))
    """
    runs: list[Any] = []

    def counted(function: F) -> Any:
        @functools.wraps(function)
        def counting(*args: PyTree, **kwargs: PyTree) -> Any:
            runs.append(jax.tree.map(_short, (args, kwargs)))
            return function(*args, **kwargs)

        return counting

    yield counted
    if len(runs) != n:
        seen = "".join(f"\n  {run}" for run in runs)
        raise AssertionError(f"traced {len(runs)} times, expected {n}; with:{seen}")


def _short(leaf: PyTree) -> Any:
    return getattr(leaf, "aval", leaf)
