"""The plan of the package in numbers: rooms, floors, arrows, lines, types, and the way of a call.

    python tests/package/house.py

Imports are read from the source, so nothing here has to be kept up to date by hand.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import jfoundations as jf

ROOT = Path(jf.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# What imports what, by folder: a room imports from the floors below its own, and from itself.
FLOORS = (
    ("_version", "_core"),
    ("_pipes", "_kernels"),
    ("_folds", "_loops", "stats"),
    ("folds", "callbacks", "diagnostics", "_running"),
    ("executors", "stages", "testing", "guide"),
    ("__init__",),
)
KERNELS = ("numbers", "sample", "sums", "moments", "order")
FLOOR = {room: k for k, rooms in enumerate(FLOORS) for room in rooms}

Module = tuple[str, ...]


def module_of(path: Path) -> Module:
    """Return the parts of a module's name under the root, those of a package without __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts


MODULES = {module_of(path) for path in FILES}


def imported(path: Path) -> set[Module]:
    """Return the modules of ours that a file imports."""
    package = ("jfoundations", *path.relative_to(ROOT).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = tuple(node.module.split(".")) if node.module else ()
        parts = (*package[: len(package) - node.level + 1], *module) if node.level else module
        if parts[:1] == ("jfoundations",):
            inner = {(*parts[1:], alias.name) for alias in node.names}
            found |= inner & MODULES or {parts[1:] or ("__init__",)}
    return found


def arrows() -> set[tuple[str, str]]:
    """Return which room imports from which other one."""
    pairs = ((module_of(path)[0], other[0]) for path in FILES for other in imported(path))
    return {(room, other) for room, other in pairs if room != other}


def parameters(path: Path) -> Iterator[str]:
    """Yield the annotation of each parameter of each function in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            given = node.args
            every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
            for one in every:
                if one is not None and one.arg not in ("self", "cls"):
                    yield "" if one.annotation is None else ast.unparse(one.annotation)


def share_of_any(room: str = "", *, inside: bool = False) -> float:
    """Return the share of parameters that are `Any`, or say nothing.

    Args:
        room: of the package; by default all of it.
        inside: count those too that have an `Any` inside, as `list[Any]`.
    """
    files = (path for path in FILES if room in ("", module_of(path)[0]))
    said = [text for path in files for text in parameters(path)]
    wide = re.compile(r"|.*\bAny\b.*" if inside else "|Any", re.DOTALL)
    return sum(bool(wide.fullmatch(text)) for text in said) / len(said)


def passed_through(call: Callable[[], object]) -> tuple[int, int]:
    """Return how many files and functions of ours a first call passes through."""
    seen: set[tuple[str, str]] = set()

    def look(frame, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(str(ROOT)):
            seen.add((file, frame.f_code.co_qualname))

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return len({file for file, _ in seen}), len(seen)


def report() -> str:
    """Return it all as a text."""
    import jax.numpy as jnp

    from jfoundations import folds, stats

    x = jnp.arange(8.0)
    lines = Counter()
    for path in FILES:
        lines[module_of(path)[0]] += len(path.read_text().splitlines())
    rooms = sorted(room for room in lines if (ROOT / room).is_dir())
    calls = {
        "stats.var(x)": lambda: stats.var(x),
        "iterate(step, x, max_steps=3)": lambda: jf.iterate(lambda v: v + 1, x, max_steps=3),
        "fold(folds.var(), x)": lambda: jf.fold(folds.var(), x),
    }
    said = [
        f"rooms {len(rooms)}, floors {len(FLOORS)}, arrows {len(arrows())}",
        f"files {len(FILES)}, lines {sum(lines.values())}",
        *(
            f"  {room:12} {lines[room]:6} lines, {share_of_any(room):4.0%} of parameters are Any"
            for room in rooms
        ),
        f"parameters that are Any: {share_of_any():.1%}; or have one inside: "
        f"{share_of_any(inside=True):.1%}",
        *(
            f"{name}: {files} files, {functions} functions"
            for name, (files, functions) in (
                (name, passed_through(call)) for name, call in calls.items()
            )
        ),
    ]
    return "\n".join(said)


if __name__ == "__main__":
    print(report())
