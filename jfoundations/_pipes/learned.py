"""A stage that is to be learned from data: a fold, and what makes the stage of its answer.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> def less(mean, x):
...     return x - mean
>>> centred = jf.Learned(jf.folds.mean(), lambda mean: jf.partial(less, mean), name="centred")
>>> pipe = jf.Pipe(centred, scale=lambda x: 10 * x)
>>> pipe
centred (unfitted) >> scale
>>> fitted = jf.fit(pipe, jnp.array([1.0, 3.0]))
>>> fitted, float(fitted(5.0))
(centred(mean=2) >> scale, 30.0)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar

import jax

from .._core.checks import check_function
from .._core.pytrees import function, pytree, static
from .._core.shown import settings_of
from .._core.types import PyTree
from .._core.values import Structural, name_of

A = TypeVar("A")
B = TypeVar("B")


@pytree
class Learned(Structural, Generic[A, B]):
    """A stage of a Pipe that `fit` makes: `make` of the answer of a fold over what comes before.

    Until then it cannot be called. `make` may return another `Learned`, where a stage needs a
    second pass: the range first, for example, and a histogram of it.

    Args:
        fold: of the elements that the stage will be given.
        make: `answer -> stage`: a function of an element, best one of a module with its numbers as
            arguments, `partial(clip, low, high)`, so that they are leaves and the pipe of another
            fit does not retrace; a `Reversible` of two such if it can be undone.
        weighted: whether the fold's elements are pairs `(x, weight)`; then so are the data of
            `fit`, and the stages are functions of x alone.
        name: what the stage is called; by default as `make`.

    Raises:
        TypeError: fold is no Fold, or make not callable.

    >>> import jfoundations as jf
    >>> Learned(jf.folds.mean(), abs)
    abs (unfitted)
    """

    fold: Any
    make: Callable[[Any], Callable[[A], B]] = function()
    weighted: bool = static()
    name: str = static()

    def __init__(
        self,
        fold: Any,
        make: Callable[[Any], Callable[[A], B]],
        *,
        weighted: bool = False,
        name: str | None = None,
    ):
        if not callable(getattr(fold, "of", None)):
            raise TypeError(
                f"Learned: fold is {fold!r}, which is no Fold; take one from jfoundations.folds, "
                "as in folds.mean()"
            )
        check_function(make, "make", "Learned", "a function of the fold's answer")
        object.__setattr__(self, "fold", fold)
        object.__setattr__(self, "make", make)
        object.__setattr__(self, "weighted", bool(weighted))
        object.__setattr__(self, "name", name or name_of(make))

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, x: A) -> B:
        """Refuse: what it does is not known yet."""
        self._refuse("called")

    @property
    def inverse(self) -> NoReturn:
        """Refuse: what it does is not known yet."""
        self._refuse("inverted")

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(
            f"{self.name} learns from data and is not fitted yet, so it cannot be {what}; take the "
            "pipe that jf.fit(pipe, data) returns"
        )

    def __repr__(self) -> str:
        settings = settings_of(self)[2:]
        return f"{self.name}{settings and f'({settings})'} (unfitted)"


def learned_in(stage: PyTree) -> list[Learned[Any, Any]]:
    """Return what is still to be learned in a stage, wherever in it that is."""
    return [leaf for leaf in jax.tree.leaves(stage, is_leaf=is_learned) if is_learned(leaf)]


def is_learned(stage: object) -> bool:
    """Tell whether a stage itself is to be learned."""
    return isinstance(stage, Learned)
