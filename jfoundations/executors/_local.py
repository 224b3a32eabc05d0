"""This process, one block after another."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from .._fold import Fold
from .._reduce import merge_blocks


@dataclass(frozen=True)
class Local:
    """Fold in this process, one block after another: what `fold` does by default.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> int(jf.fold(jf.folds.count(), [jnp.zeros(3), jnp.zeros(2)], jf.executors.Local()))
    5
    """

    keeps_order: ClassVar[bool] = True

    def run(self, a_fold: Fold[Any], blocks: Iterable[Any]) -> Any:
        """Return the memory of the fold over all blocks."""
        return merge_blocks(a_fold, blocks)
