"""The bridge between loops and folds."""

from __future__ import annotations

from typing import Any

import jax

from .._core.sharding import automatic
from .._core.types import Function, PyTree, View
from .._core.values import identity, maker_of, node, partial
from .._folds.fold import Fold, like_of
from .._loops.callback import Callback
from ._monitor import check_of


def watch(fold: Fold[Any], of: View = identity, *, name: str | None = None) -> Callback:
    """Feed a fold with a function of the state after each step.

    See also `history`, which keeps each value, and `until`, which stops on the answer.

    The memory is the fold's: ask it by `fold.extract(result.memory[name])`; `result.table()` shows
    the answer.

    Args:
        fold: any fold.
        of: `state -> element`.
        name: the memory's name; by default the fold's.

    Raises:
        TypeError: `fold` is no Fold.

    >>> import jfoundations as jf
    >>> seen = jf.folds.mean()
    >>> result = jf.iterate(lambda x: x + 1.0, 0.0, watch(seen), max_steps=4)
    >>> float(seen.extract(result.memory["mean"]))
    2.5
    """
    if not isinstance(fold, Fold):
        if maker := maker_of(fold, "jfoundations.folds"):
            raise TypeError(f"watch: {maker} is no Fold but makes one; call it: {maker}()")
        raise TypeError(
            f"watch: {fold!r} is no Fold; take one from jfoundations.folds, which comes first: "
            "watch(fold, of)"
        )
    check_of(of, "watch")
    return Watching(
        partial(_start, fold, of), name=name or fold.name, after_step=partial(_feed, fold, of)
    )


@node
class Watching(Callback):
    """A callback whose memory is that of a fold, its `init`'s first argument."""

    @property
    def extract(self) -> Function:
        """What makes an answer of the memory, for those who show it."""
        start: Any = self.init
        return start.args[0].extract


def _start(fold: Fold[Any], of: View, state: PyTree) -> Any:
    return fold.init(like_of(jax.eval_shape(of, state)))


def _feed(fold: Fold[Any], of: View, memory: PyTree, state: PyTree) -> tuple[Any, Any, bool]:
    return automatic(fold.step, lies_as=0)(memory, of(state)), state, False
