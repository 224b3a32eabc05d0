"""Types with names, for signatures: what an editor shows of a parameter."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from jax import Array
from jax.typing import ArrayLike

# A pytree of arrays: numbers, tuples, dicts, dataclasses; JAX itself has no narrower type for it.
PyTree: TypeAlias = Any
# Where in a pytree a leaf is.
KeyPath: TypeAlias = tuple[Any, ...]
# A function whose arguments are its caller's matter.
Function: TypeAlias = Callable[..., Any]
# A bool scalar, traced or not.
Bool: TypeAlias = Array | np.bool_ | bool
# Whether to stop, a bool scalar; Python False where that is known while tracing.
Stop: TypeAlias = Array | Literal[False]
# Whether a lane is going, a bool scalar; Python True where nothing stops it.
Live: TypeAlias = Array | Literal[True]


class Metric(Protocol):
    """A number to look at: `state -> real scalar`."""

    def __call__(self, state: PyTree, /) -> ArrayLike:
        """Return the number."""
        ...


class View(Protocol):
    """What of a state is looked at: `state -> pytree of arrays`."""

    def __call__(self, state: PyTree, /) -> PyTree:
        """Return it."""
        ...
