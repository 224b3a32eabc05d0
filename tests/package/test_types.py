"""What a type checker sees: what is inferred, and functions that do not fit rejected."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FILES = [Path(__file__).parent / name for name in ("typed_pipes.py", "typed_loops.py")]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_pyright_infers_what_is_marked_and_rejects_what_does_not_fit(file):
    pytest.importorskip("pyright", reason="needs pyright")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, str(file)], capture_output=True, text=True, cwd=file.parents[1], timeout=1200
    )
    revealed, wrong = {}, set()
    for found in json.loads(done.stdout)["generalDiagnostics"]:
        line = found["range"]["start"]["line"]
        if found["severity"] == "error":
            wrong.add(line)
        elif "Type of" in found["message"]:
            revealed[line] = re.findall(r'is "([^"]*)"$', found["message"])[0]
    lines = file.read_text(encoding="utf-8").splitlines()
    expected = {k: s.split("# is ")[1] for k, s in enumerate(lines) if "  # is " in s}
    assert revealed == expected and len(expected) > 3
    assert wrong == {k for k, s in enumerate(lines) if s.endswith("  # wrong")} and len(wrong) > 10


@pytest.mark.slow
def test_every_public_name_is_typed(tmp_path):
    # from a folder without the sources, as a user's editor sees the installed package
    settings = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    settings["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "jfoundations", "--ignoreexternal"],
        cwd=tmp_path,
        env=settings,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert "Type completeness score: 100%" in done.stdout, done.stdout[-3000:]
