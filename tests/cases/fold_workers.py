"""What workers import: folds and loaders, some of which fail. Data that lies in a file."""

import dataclasses
import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from helpers import bits

import jfoundations as jf
from jfoundations import folds

SIZE, CHUNKS = 10, 37  # 37 = 2 * 16 + 5: a tree with incomplete subtrees


def write_data(folder) -> Path:
    """Write rows for 37 chunks, the last ragged, far from 0 so that order shows in the bits."""
    draws = np.random.default_rng(7).normal(50.0, 9.0, (SIZE * CHUNKS - 6, 2))
    path = Path(folder) / "data.npy"
    np.save(path, draws.astype(np.float32))
    return path


def source(path, size=SIZE) -> jf.Source:
    return jf.Source.of(np.load(path, mmap_mode="r"), size)


def zeros(like):
    return jnp.zeros(like.shape, like.dtype)


def no_word(like):
    return jnp.zeros((), jnp.uint32)


def mix(memory, x):
    words = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
    return memory + jnp.sum(words * jnp.uint32(2654435761), dtype=jnp.uint32)


def keep_last(memory, x):
    return 0.5 * memory + x


def total() -> jf.Fold:
    """Return a user's fold of one word: its bits show in which order it was merged."""
    return jf.Fold(zeros, jnp.add, jnp.add, name="total")


def several() -> jf.Fold:
    mixed = jf.Fold(no_word, mix, jnp.add, name="mixed")
    return jf.combine(var=folds.var(), minmax=folds.minmax(), total=total(), mixed=mixed)


def smooth() -> jf.Fold:
    return jf.Fold(zeros, keep_last, None, name="smooth")


def raw(fold) -> jf.Fold:
    """Return a fold whose answer is its memory."""
    blocks = {"block": fold.block, "block_where": fold.block_where}
    return jf.Fold(fold.init, fold.step, fold.merge, **blocks, name=fold.name)


def digest(tree) -> str:
    """Return a hash of all bits of a tree."""
    told = [bits(leaf) for leaf in jax.tree.leaves(tree)]
    return hashlib.sha256(repr((jax.tree.structure(tree), told)).encode()).hexdigest()[:12]


def run(path, executor=None, load=None, size=SIZE, fold=None, **options) -> str:
    """Run a fold, by default of several, over the file, and return the hash of its memory."""
    whole = source(path, size)
    data = whole if load is None else jf.Source(whole.n_chunks, load)
    return digest(jf.fold(fold or raw(several()), data, executor, **options))


@dataclasses.dataclass(frozen=True)
class Rows:
    """Load a chunk of the file, slowly if wanted."""

    path: Any
    seconds: float = 0.0
    size: int = SIZE

    def __call__(self, i):
        time.sleep(self.seconds)
        return source(self.path, self.size).load(i)


@dataclasses.dataclass(frozen=True)
class Hanging:
    """Load so many chunks in this process, and wait for ever with the next."""

    load: Callable[[int], Any]
    chunks: int
    loaded: list = dataclasses.field(default_factory=list)

    def __call__(self, i):
        if len(self.loaded) == self.chunks:
            time.sleep(1200)
        self.loaded.append(i)
        return self.load(i)


@dataclasses.dataclass(frozen=True)
class Killing:
    """Kill the process that loads a chunk: always, or, where there is a marker, once."""

    load: Callable[[int], Any]
    chunk: int
    marker: Any = None

    def __call__(self, i):
        if i == self.chunk and not (self.marker and Path(self.marker).exists()):
            if self.marker:
                Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.load(i)


@dataclasses.dataclass(frozen=True)
class KillingTogether:
    """Kill the processes that load the first two chunks, once both are at it; once."""

    load: Callable[[int], Any]
    folder: Any

    def __call__(self, i):
        marks = [Path(self.folder) / f"together{k}" for k in range(2)]
        if i < 2 and not marks[i].exists():
            marks[i].touch()
            deadline = time.monotonic() + 600
            while not all(mark.exists() for mark in marks) and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.load(i)


class Unreadable(Exception):
    """An error of the user's own."""


@dataclasses.dataclass(frozen=True)
class Raising:
    """Raise from a chunk on."""

    load: Callable[[int], Any]
    chunk: int
    error: Exception = Unreadable("no such tape")

    def __call__(self, i):
        if i == self.chunk:
            raise self.error
        return self.load(i)


@dataclasses.dataclass(frozen=True)
class Changed:
    """Load another block in one chunk's place."""

    load: Callable[[int], Any]
    chunk: int
    change: Callable[[Any], Any]

    def __call__(self, i):
        block = self.load(i)
        return self.change(block) if i == self.chunk else block


def narrower(block):
    return block[:, 0]


def whole_numbers(block):
    return block.astype(np.int32)


def emptied(block):
    return block[:0]


def renamed(block):
    return {"x": block}


def empty_narrower(block):
    return block[:0, 0]


def nothing(block):
    return {}
