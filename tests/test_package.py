"""What holds for the package as a whole: layers, imports, sizes, names, documentation."""

import ast
import inspect
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import jfoundations as jf

ROOT = Path(jf.__file__).parent
FILES = sorted(p for p in ROOT.rglob("*.py"))
LAYERS = (
    (
        "_version",
        "_dunders",
        "_callable",
        "_lift",
        "_compat",
        "_collectives",
        "_pipe",
        "_stages",
        "_inputs",
        "_tree",
        "_show",
        "_lanes",
        "_fold_answers",
        "_programs",
        "_written",
        "_save",
        "_rounding",
        "_fingerprint",
        "_settings",
        "_sharding",
    ),
    (
        "_callback",
        "_handlers",
        "_events",
        "_predicate",
        "_when",
        "_agree",
        "_fold_blocks",
        "_fold_rows",
        "_fold",
        "_transducers",
    ),
    (
        "_plan",
        "_mesh",
        "_drivers",
        "_result",
        "_loop",
        "_lane_axes",
        "_parts",
        "_chunks",
        "_scan_body",
        "_describe_loop",
        "_source",
        "_partials",
        "_checkpoint",
        "_ledger",
        "_travel",
        "_reduce",
    ),
    ("stats", "folds", "callbacks", "executors"),
    ("testing",),
)
RANK = {name: k for k, layer in enumerate(LAYERS) for name in layer}
NAMESPACES = {
    "jfoundations": jf,
    "jfoundations.stats": jf.stats,
    "jfoundations.folds": jf.folds,
    "jfoundations.callbacks": jf.callbacks,
    "jfoundations.executors": jf.executors,
    "jfoundations.testing": jf.testing,
}


def imported(path: Path) -> set[str]:
    """Return the modules of ours, by their name under the root, that a file imports."""
    package = ("jfoundations", *path.relative_to(ROOT).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = [*base[1:], *(node.module.split(".") if node.module else [])]
            found |= {names[0]} if names else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jfoundations"):
            found.add((node.module.split(".") + ["__init__"])[1])
    return found


def module_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    if module_of(path) == "__init__":
        return  # the table of contents imports everything
    mine = RANK[module_of(path)]
    for other in imported(path):
        assert RANK[other] <= mine, f"{path.name} (layer {mine}) imports {other}"
        if other != module_of(path) and RANK[other] == mine and mine < 3:
            order = LAYERS[mine]
            assert order.index(other) < order.index(module_of(path)), f"{path.name} <- {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_one_concept_a_file(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 350
    assert ast.get_docstring(ast.parse(path.read_text())), "a module says what it is for"


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_imports_nothing_that_jax_did_not():
    code = (
        "import sys, jax; before = set(sys.modules); "
        "import jfoundations, jfoundations.stats, jfoundations.folds; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - {'jfoundations'}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    assert run_python(code).strip() == "[]"


def test_importing_costs_under_a_twentieth_of_jax():
    # CPU time, not the clock's: another process on the machine must not fail this. The first run
    # leaves bytecode behind, as an installation does; the least of five is the cost itself.
    code = (
        "import time; t0 = time.process_time(); import jax; t1 = time.process_time(); "
        "import jfoundations; t2 = time.process_time(); print((t2 - t1) / (t1 - t0))"
    )
    ratios = [float(run_python(code, PYTHONDONTWRITEBYTECODE="")) for _ in range(5)]
    assert min(ratios) < 0.05


def public_objects():
    for where, namespace in NAMESPACES.items():
        for name, value in vars(namespace).items():
            if not name.startswith("_") and not inspect.ismodule(value):
                yield pytest.param(where, name, value, id=f"{where}.{name}")


@pytest.mark.parametrize(("where", "name", "value"), list(public_objects()))
def test_public_names_are_documented_and_exercised(where, name, value):
    doc = inspect.getdoc(value)
    assert doc, f"{where}.{name} has no docstring"
    assert doc.splitlines()[0].endswith((".", ":")), "the first line is one sentence"
    tests = Path(__file__).parent
    used = "".join(p.read_text() for p in tests.glob("test_*.py") if p.name != Path(__file__).name)
    assert name in used, f"no test mentions {where}.{name}"


@pytest.mark.parametrize(("where", "name", "value"), list(public_objects()))
def test_public_callables_can_be_jitted_by_name(where, name, value):
    if callable(value):
        weakref.ref(value)
        hash(value)


def test_the_root_is_a_table_of_contents():
    public = {n for n, v in vars(jf).items() if not n.startswith("_") and not inspect.ismodule(v)}
    assert public == {
        *("Pipe", "compose", "juxt", "partial", "lift", "identity", "Reversible"),
        *("map_", "filter_", "take", "take_while"),
        *("Callback", "chain", "proceed", "when", "every", "stop_when", "watch"),
        *("iterate", "resume", "chunks", "as_scan_body", "agree", "describe_loop", "LoopResult"),
        *("Fold", "combine", "fold", "Source"),
        *("save", "load"),
    }


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'iterat'"):
        jf.iterat  # noqa: B018
