"""What a pipe says of its stages, and asks of them."""

from .._core.shown import settings_of
from .._core.types import Function
from .learned import learned_in


def shown_as(name: str, stage: Function) -> str:
    """Return what a pipe's repr says of a stage: its name, and the numbers in it."""
    learns = bool(learned_in(stage))
    settings = settings_of(stage, zeros=not learns)[2:]  # of a gradient 0 is a number like others
    return f"{name}{settings and f'({settings})'}{' (unfitted)' if learns else ''}"


def check_callable(stage: object, which: str, who: str = "Pipe") -> None:
    """Raise unless a stage is callable."""
    if not callable(stage):
        raise TypeError(
            f"{who}: {which} is {stage!r}, which is not callable; give a function of one value"
        )


INVERSE = "_inverse"


def turned(name: str) -> str:
    """Return the name of the inverse of a stage of some name; twice is the name itself."""
    return name.removesuffix(INVERSE) if name.endswith(INVERSE) else name + INVERSE
