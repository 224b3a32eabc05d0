"""This process, one block after another."""

from dataclasses import dataclass
from typing import ClassVar

from .._running.progress import Ledger
from .._running.run import in_place
from .._running.source import Chunks


@dataclass(frozen=True)
class Local:
    """Fold in this process, one block after another, loading one ahead: what `fold` does by itself.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> int(jf.fold(jf.folds.count(), [jnp.zeros(3), jnp.zeros(2)], jf.executors.Local()))
    5
    """

    keeps_order: ClassVar[bool] = True

    def run(self, chunks: Chunks, ledger: Ledger) -> None:
        """Fold all chunks."""
        in_place(chunks, ledger)
