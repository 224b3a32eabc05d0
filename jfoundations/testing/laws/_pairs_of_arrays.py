"""The laws of functions of two arrays: of both together, and of each with the other fixed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..._core.types import Function
from ._algebra import (
    FAR,
    LAWS,
    Law,
    Sides,
    keeps_dtype,
    keeps_shape,
    permutation_equivariant,
    permutation_invariant,
    same_shape,
)
from ._draws import Draws
from ._lanes import Lanes


def _commutative(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.y, d.x), f(d.x, d.y)


def _antisymmetric(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.y, d.x), -f(d.x, d.y)


def _associative(f: Function, d: Draws, _: Any) -> Sides:
    a, b = same_shape(d, f(d.x, d.y)), f(d.y, d.w)
    return f(a, d.w), f(d.x, b)


def _idempotent_pair(f: Function, d: Draws, _: Any) -> Sides:
    return same_shape(d, f(d.x, d.x)), d.x


def _zero_of_equals(f: Function, d: Draws, _: Any) -> Sides:
    y = f(d.x, d.x)
    return y, Lanes(np.zeros_like(y.value), np.zeros_like(y.size), y.exact, y.dtype)


def _jointly(law: Callable[[Function, Draws, Any], Sides]) -> Callable[..., Sides]:
    """Make a law of one array, x, one of two that are treated alike: of a pair y is fixed."""

    def sides(f: Function, d: Draws, constant: Any) -> Sides:
        return law(_Paired(f, d), d, constant)

    return sides


@dataclass(frozen=True)
class _Paired:
    """A function of two arrays as one of the first, whose second goes the same way."""

    f: Function
    d: Draws

    def __call__(self, x: Lanes) -> Lanes:
        # the laws that are made so know x and x in another order, and no other array
        return self.f(x, self.d.y if x is self.d.x else self.d.y.take(self.d.order))


class InOne:
    """A function of two arrays as one of the first, or of the second: the other is fixed."""

    def __init__(self, f: Function, w: Lanes, place: int):
        self.f, self.w, self.place = f, w, place

    def __call__(self, x: Lanes) -> Lanes:
        return self.f(x, self.w) if self.place == 0 else self.f(self.w, x)

    def beside(self, d: Draws) -> "InOne":
        """Return the function whose fixed array is that of other draws."""
        return InOne(self.f, d.w, self.place)

    @property
    def beyond(self) -> "InOne":
        """The function where the fixed array is far out."""
        far = Lanes.of(np.full(len(self.w.value), FAR), self.w.dtype)
        return InOne(self.f, self.w * far, self.place)


PAIRS = {
    law.name: law
    for law in (
        replace(LAWS["shape"], says="f(x, y).shape == x.shape", sides=_jointly(keeps_shape)),
        replace(LAWS["dtype"], says="f(x, y).dtype == x.dtype", sides=_jointly(keeps_dtype)),
        Law("commutative", "f(y, x) == f(x, y)", ("x", "y"), _commutative),
        Law("antisymmetric", "f(y, x) == -f(x, y)", ("x", "y"), _antisymmetric),
        Law("associative", "f(f(x, y), w) == f(x, f(y, w))", ("x", "y", "w"), _associative),
        Law("idempotent", "f(x, x) == x", ("x",), _idempotent_pair),
        Law("zero_of_equals", "f(x, x) == 0", ("x",), _zero_of_equals),
        Law(
            "permutation_invariant",
            "f(x[order], y[order]) == f(x, y)",
            ("x", "y", "order"),
            _jointly(permutation_invariant),
        ),
        Law(
            "permutation_equivariant",
            "f(x[order], y[order]) == f(x, y)[order]",
            ("x", "y", "order"),
            _jointly(permutation_equivariant),
        ),
    )
}
ALONE = (  # what a function of two arrays may be in each, the other fixed
    *("constant", "linear", "homogeneous", "scale_invariant", "translation_invariant"),
    *("translation_equivariant", "increasing", "decreasing", "odd", "even", "lipschitz"),
)
