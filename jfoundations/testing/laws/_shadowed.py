"""A mutant of a fold that carries the memory of the fold beside its own, and compares answers."""

from collections.abc import Callable
from typing import Any

from ..._core.values import partial
from ..._folds.fold import FIELDS, Fold

Note = Callable[[Any, Any], None]
MEMORIES = {"merge": 2, "undo": 2, "step": 1, "extract": 1, "finished": 1}  # arguments that are one


def shadowed(mutant: Fold[Any], fold: Fold[Any], note: Note) -> Fold[Any]:
    """Return the mutant, of whose answers `note` is told beside what the fold answers.

    What no answer reads of a memory is no mistake, whatever a mutant writes there.
    """
    functions: dict[str, Any] = {
        field: function and partial(_each, MEMORIES.get(field, 0), function, getattr(fold, field))
        for field, function in ((field, getattr(mutant, field)) for field in FIELDS)
    }
    functions["extract"] = partial(_told, note, functions["extract"])
    if functions["finished"]:
        functions["finished"] = partial(_of_mutant, functions["finished"])
    unmerge = functions.pop("undo")
    return Fold(**functions, unmerge=unmerge, name=mutant.name)


def _each(memories: int, mutant: Any, original: Any, *args: Any) -> tuple[Any, Any]:
    pairs, rest = args[:memories], args[memories:]
    its, those = (tuple(pair[k] for pair in pairs) for k in (0, 1))
    return mutant(*its, *rest), original(*those, *rest)


def _told(note: Note, both: Any, memory: Any) -> Any:
    found, right = both(memory)
    note(found, right)
    return found


def _of_mutant(both: Any, memory: Any) -> Any:
    return both(memory)[0]
