"""A function with its inverse, as one value.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> log = jf.Reversible(jnp.log2, jnp.exp2)
>>> pipe = jf.Pipe(log=log, shift=jf.Reversible(lambda x: x - 1, lambda y: y + 1))
>>> float(pipe(8.0)), float(pipe.inverse(2.0))
(2.0, 8.0)
>>> pipe.inverse
shift_inverse >> log_inverse
"""

from __future__ import annotations

from typing import Generic, TypeVar

from .._core.pytrees import function, pytree
from .._core.values import Structural, name_of
from .pipe import Fn
from .stages import check_callable

X = TypeVar("X")
Y = TypeVar("Y")


@pytree
class Reversible(Structural, Generic[X, Y]):
    """A function and what undoes it: called it is `forward`, and `.inverse` turns it around.

    As a stage it lets a pipe be turned around too: `pipe.inverse`.

    Args:
        forward: `x -> y`.
        inverse: `y -> x`; that `inverse(forward(x))` is `x` is up to you.

    Raises:
        TypeError: one of them is not callable.

    >>> double = Reversible(lambda x: 2 * x, lambda y: y // 2)
    >>> double(3), double.inverse(6), double.inverse.inverse == double
    (6, 3, True)
    """

    forward: Fn[X, Y] = function()
    _inverse: Fn[Y, X] = function()

    def __init__(self, forward: Fn[X, Y], inverse: Fn[Y, X]):
        for given, which in ((forward, "forward"), (inverse, "inverse")):
            check_callable(given, f"its {which}", "Reversible")
        object.__setattr__(self, "forward", forward)
        object.__setattr__(self, "_inverse", inverse)

    @property
    def inverse(self) -> Reversible[Y, X]:
        """The same, turned around."""
        return Reversible(self._inverse, self.forward)

    @property
    def __name__(self) -> str:
        return name_of(self.forward)

    def __call__(self, x: X) -> Y:
        """Return `forward` of `x`."""
        return self.forward(x)

    def __repr__(self) -> str:
        return f"Reversible({name_of(self.forward)}, {name_of(self._inverse)})"
