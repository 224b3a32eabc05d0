"""The checkpoint of a fold: which chunks are done, and the memories that they came to.

It is one file in the format of `jfoundations.save`. Its first leaf is JSON, as bytes: `fold`,
`name`, `chunks`, `files` say of what it is, `nodes`, `samples`, `rows`, `done`, `element` how far
it has come. The others are the memories, a pytree for each node of the tree of merges.

It is written whole or not at all: after every so many chunks if it is told to, else as often as
writing takes no more than a hundredth of the time, which is after each chunk where chunks take
long, now and then where they do not.
"""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .._core.save import first_leaf, load, save
from .._core.settings import settings
from .._core.shown import see
from .._core.types import PyTree
from .._folds.fold import FIELDS, Fold
from .fingerprint import fingerprint
from .in_order import IN_ORDER
from .merge_tree import LEVEL, Node

# in this order in the file; `load` names them to who reads one with another structure
ABOUT, MEMORIES = "checkpoint of a fold", "memories"
SHARE = 100  # of the time since the last writing, one part at most is spent writing
KEYS = {"fold", "name", "chunks", "files", "nodes", "samples", "rows", "done", "element"}
About: TypeAlias = dict[str, Any]  # what a file says of itself: KEYS and their values
HIGHEST = 15  # of so many chunks as 16**15 no one has heard


class Checkpoint:
    """The file of one fold over one set of chunks.

    Args:
        path: where.
        a_fold: the fold.
        total: how many chunks there are, or None.
        own_id: what stands for the fold, or None: then it is known by what it computes with.
        every: after how many chunks it is written, or None: as often as it costs little.
        files: of which the chunks are, in their order: name, bytes and how many chunks.

    Raises:
        TypeError: the fold holds something that cannot be seen into, and there is no id.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        a_fold: Fold[Any],
        total: int | None,
        own_id: str | None = None,
        every: int | None = None,
        files: Sequence[tuple[str, int, int]] = (),
    ):
        self.path: Path = Path(path)
        self.fold: Fold[Any] = a_fold
        self.every: int | None = every
        self.unwritten: int = 0
        self.about: dict[str, Any] = {
            "fold": _seen(a_fold) if own_id is None else f"id {own_id}",
            "name": a_fold.name,
            "chunks": total,
            "files": [list(file) for file in files],
        }
        self.cost: float = 0.0
        self.last: float = 0.0
        self.written: Any = None

    def read(self) -> About | None:
        """Return what the file says of itself, or None where there is no file.

        Raises:
            ValueError: the file is damaged, or of another fold or another cut.
        """
        if not self.path.exists():
            return None
        about = self._about()
        for what in ("fold", "chunks"):
            if about[what] != self.about[what]:
                raise ValueError(self._refusal(what, about))
        if about["files"] and self.about["files"]:
            self._check_files(about)
        return about

    def _check_files(self, about: About) -> None:
        """Raise unless what is done was read from the files that are there now."""
        then, now = map(_file_of_each, (about["files"], self.about["files"]))
        for height, place in about["nodes"]:
            done = range(place) if height == IN_ORDER else _chunks_of(height, place)
            for i in done:
                if then[i] != now[i]:
                    had, has = (f"{name} of {size} bytes" for name, size in (then[i], now[i]))
                    raise ValueError(
                        f"fold: the checkpoint {self.path} has done chunk {i} of {about['chunks']} "
                        f"from {had}, and now it is {has}; give the files that it was made with, "
                        "or another path, or delete it to begin anew"
                    )

    def _about(self) -> About:
        try:
            about = json.loads(first_leaf(self.path))
            if not isinstance(about, dict) or not about.keys() >= KEYS:
                raise ValueError("it is of something else")
            if not _is_sound(about):
                raise ValueError("it contradicts itself")
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"fold: {self.path} is no checkpoint that can be read ({error}); give another "
                "path, or delete it to begin anew"
            ) from error
        return about

    def _refusal(self, what: str, about: About) -> str:
        if what == "chunks":
            mine, its = map(_how_many, (about["chunks"], self.about["chunks"]))
            said = f"{mine}, and this is {its}"
        else:
            said = f"the fold {about['name']}, and this one is {self.fold.name}"
            if about["name"] == self.fold.name:
                said += ", made otherwise or under other settings of JAX"
        return (
            f"fold: the checkpoint {self.path} is of {said}; give what it was made with, or "
            "another path, or delete it to begin anew"
        )

    def memories(
        self, about: About, element: PyTree, like: Callable[[], PyTree]
    ) -> dict[Node, PyTree]:
        """Return the memories in the file, given an element, and what tells a memory's shapes."""
        if str(element) != about["element"]:
            raise ValueError(
                f"fold: the checkpoint {self.path} is of elements {about['element']}, and these "
                f"are {element}; give another path, or delete it to begin anew"
            )
        head = np.frombuffer(first_leaf(self.path), np.uint8)
        nodes = [tuple(node) for node in about["nodes"]]
        try:
            found = load(self.path, like={ABOUT: head, MEMORIES: [like()] * len(nodes)})
        except ValueError as error:
            error.add_note(
                f"fold: {self.path} is the checkpoint; give another path, or delete it to begin "
                "anew"
            )
            raise
        return dict(zip(nodes, found[MEMORIES], strict=True))

    def due(self) -> bool:
        """Tell of a chunk that is done, and return whether it is time to write again."""
        self.unwritten += 1
        if self.every is not None:
            return self.unwritten >= self.every
        return time.monotonic() - self.last >= SHARE * self.cost

    def write(self, nodes: dict[Node, PyTree], **said: object) -> None:
        """Write what is done so far, unless nothing is new.

        Raises:
            OSError: it cannot be written; what was written before stays.
        """
        if self.written == list(nodes):
            return
        begun = time.monotonic()
        about = json.dumps({**self.about, **said, "nodes": list(nodes)}).encode()
        try:
            told = np.frombuffer(about, np.uint8)
            save(self.path, {ABOUT: told, MEMORIES: list(nodes.values())})
        except OSError as error:
            error.add_note(
                f"fold: the checkpoint {self.path} could not be written; what was written before "
                "stays, and the fold goes on from there when it is run again"
            )
            raise
        self.last, self.unwritten = time.monotonic(), 0
        if self.written is not None:  # the first is slower: it would put off the second for long
            spent = self.last - begun  # waiting for what is being folded included
            self.cost = (self.cost + spent) / 2 if self.cost else spent  # some disks have moods
        self.written = list(nodes)


def _is_sound(about: About) -> bool:
    """Tell whether what a file says of itself can be: nodes of a tree that do not overlap."""
    nodes, samples = about["nodes"], about["samples"]
    lists = isinstance(nodes, list) and isinstance(samples, list)
    pairs = [*nodes, *samples] if lists else [None]
    if not all(isinstance(p, list) and len(p) == 2 and _are_counts(p[1:]) for p in pairs):
        return False
    chunks = about["chunks"]
    if not _are_counts([about["rows"], about["done"], 0 if chunks is None else chunks]):
        return False
    if not _are_files(about["files"], chunks):
        return False
    if not _are_counts([k for k, _ in samples]) or bool(nodes) != bool(samples):
        return False
    if nodes and nodes[0][0] == IN_ORDER:
        return len(nodes) == 1 and nodes[0] == [IN_ORDER, about["done"]]
    if not _are_counts([height for height, _ in nodes]) or any(h > HIGHEST for h, _ in nodes):
        return False
    ends = sorted((_chunks_of(*node) for node in nodes), key=lambda chunks: chunks.start)
    apart = all(a.stop <= b.start for a, b in itertools.pairwise(ends))
    inside = chunks is None or not ends or ends[-1].stop <= chunks
    return apart and inside and sum(map(len, ends)) == about["done"]


def _chunks_of(height: int, place: int) -> range:
    return range(place << LEVEL * height, (place + 1) << LEVEL * height)


def _file_of_each(files: Iterable[Any]) -> list[Any]:
    return [(name, size) for name, size, chunks in files for _ in range(chunks)]


def _are_counts(numbers: Iterable[object]) -> bool:
    return all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def _are_files(files: Any, chunks: int | None) -> bool:
    if files == []:
        return True
    if not isinstance(files, list) or not all(isinstance(f, list) and len(f) == 3 for f in files):
        return False
    known = all(isinstance(name, str) and _are_counts(rest) for name, *rest in files)
    return known and sum(n for *_, n in files) == chunks


def _seen(a_fold: Fold[Any]) -> str:
    functions = [getattr(a_fold, name) for name in FIELDS if name not in ("extract", "undo")]
    try:
        return fingerprint((functions, settings()))
    except TypeError as error:
        raise TypeError(
            f"fold: checkpoint= knows a fold by all that it computes with, and in {a_fold.name} "
            f"{error}; use functions of a module with plain values, or give checkpoint_id=, a name "
            "that is another whenever the fold is" + see("array_to_cluster")
        ) from None


def _how_many(chunks: int | None) -> str:
    return "a stream" if chunks is None else f"a source of {chunks} chunks"
