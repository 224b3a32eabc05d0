"""The time that a chunk may take."""

from typing import Any


def check_seconds(timeout: Any, who: str) -> None:
    """Raise unless a time limit is a positive number of seconds, or None."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"{who}: timeout is {timeout!r}; give seconds, or None for no limit")
    if not timeout > 0:
        raise ValueError(f"{who}: timeout is {timeout!r}; give seconds > 0, or None for no limit")
