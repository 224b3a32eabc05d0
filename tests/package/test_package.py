"""What holds for the package as a whole: layers, imports, sizes, names, documentation."""

import ast
import inspect
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from house import FILES, FLOOR, KERNELS, ROOT, imported, module_of, share_of_any

import jfoundations as jf

NAMESPACES = {
    "jfoundations": jf,
    "jfoundations.stats": jf.stats,
    "jfoundations.folds": jf.folds,
    "jfoundations.callbacks": jf.callbacks,
    "jfoundations.diagnostics": jf.diagnostics,
    "jfoundations.executors": jf.executors,
    "jfoundations.stages": jf.stages,
    "jfoundations.testing": jf.testing,
}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    room, *rest = module_of(path)
    for other, *inner in imported(path):
        same = other == room
        assert same or FLOOR[other] < FLOOR[room], f"{path} (floor {FLOOR[room]}) imports {other}"
        if same and room == "_kernels" and rest and inner:
            order = KERNELS.index
            assert order(inner[0]) <= order(rest[0]), f"{path} imports {inner[0]}"


def test_rooms_have_no_circles():
    """Within a room too, imports go one way."""
    graph = {module_of(path): imported(path) for path in FILES}
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], above: tuple[tuple[str, ...], ...]) -> None:
        assert module not in above, " <- ".join(map(".".join, (*above, module)))
        if module in done:
            return
        for other in graph[module]:
            visit(other, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_rooms_are_few():
    rooms = {p.name for p in ROOT.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms <= FLOOR.keys() and len(rooms) <= 15


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
        timeout=1200,
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


def test_no_two_files_of_tests_have_one_name():
    # of two, pytest imports the first in place of the second
    names = [path.name for path in Path(__file__).parents[1].rglob("*.py")]
    assert len(names) == len(set(names)), {n for n in names if names.count(n) > 1}


def test_importing_costs_under_a_twentieth_of_jax():
    # CPU time, not the clock's: another process on the machine must not fail this. The first run
    # leaves bytecode behind, as an installation does; the least of many is the cost itself.
    code = (
        "import time; t0 = time.process_time(); import jax; t1 = time.process_time(); "
        "import jfoundations; t2 = time.process_time(); print((t2 - t1) / (t1 - t0))"
    )
    ratios = []
    while min(ratios, default=1) >= 0.05 and len(ratios) < 25:
        ratios.append(float(run_python(code, PYTHONDONTWRITEBYTECODE="")))
    assert min(ratios) < 0.05, ratios


def public_objects():
    for where, namespace in NAMESPACES.items():
        for name in dir(namespace):
            value = getattr(namespace, name)
            if not name.startswith("_") and not inspect.ismodule(value):
                yield pytest.param(where, name, value, id=f"{where}.{name}")


@pytest.mark.parametrize(("where", "name", "value"), list(public_objects()))
def test_public_names_are_documented_and_exercised(where, name, value):
    doc = inspect.getdoc(value)
    assert doc, f"{where}.{name} has no docstring"
    assert doc.splitlines()[0].endswith((".", ":")), "the first line is one sentence"
    tests = Path(__file__).parents[1]
    used = "".join(p.read_text() for p in tests.rglob("test_*.py") if p.name != Path(__file__).name)
    assert name in used, f"no test mentions {where}.{name}"


@pytest.mark.parametrize(("where", "name", "value"), list(public_objects()))
def test_public_callables_can_be_jitted_by_name(where, name, value):
    if callable(value):
        weakref.ref(value)
        hash(value)


def test_the_root_is_a_table_of_contents():
    public = {n for n in dir(jf) if not n.startswith("_") and not inspect.ismodule(getattr(jf, n))}
    assert public == {
        *("Pipe", "compose", "juxt", "partial", "lift", "identity", "Reversible"),
        *("map_", "filter_", "take", "take_while"),
        *("Callback", "Combined", "chain", "proceed", "when", "every", "stop_when", "watch"),
        "records",
        *("iterate", "resume", "chunks", "as_scan_body", "agree", "describe_loop", "LoopResult"),
        *("sweep", "sweep_chunks"),
        *("replay", "first"),
        "Implicit",
        *("Fold", "combine", "fold", "jackknife", "reduce", "Source"),
        *("Learned", "fit"),
        *("rolling", "segment"),
        *("save", "load"),
    }


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'iterat'"):
        jf.iterat  # noqa: B018


def test_the_map_names_what_there_is():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for path in re.findall(r"`((?:tests|_?[a-z]+)/[a-z_/]*(?:\.py)?)`", text):
        base = ROOT.parent if path.startswith("tests/") else ROOT
        assert (base / path).exists(), path


def test_twelve_lines_are_twelve():
    readme = ROOT.parent / "README.md"
    section = readme.read_text(encoding="utf-8").split("## Twelve lines")[1].split("```")[1]
    assert section.count("\n>>>") == 12 and "\n..." not in section


def test_parameters_say_what_they_are():
    assert share_of_any() < 0.08
    assert share_of_any(inside=True) < 0.10
