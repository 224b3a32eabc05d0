"""What is published: one version, its metadata, and all that a wheel and an sdist should hold."""

import email
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import jfoundations as jf

HERE = Path(__file__).parents[2]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def read(name):
    return (HERE / name).read_text(encoding="utf-8")


def build(source, out):
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(HERE, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[".whl"]) as file:
        return {name: file.read(name).decode("utf-8") for name in file.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    told = f"jfoundations-{jf.__version__}.dist-info"
    assert {name.split("/")[0] for name in wheel} == {"jfoundations", told}
    ours = {p.relative_to(HERE).as_posix() for p in (HERE / "jfoundations").rglob("*.*")}
    ours = {name for name in ours if "__pycache__" not in name}
    assert ours <= wheel.keys()
    for name in ("py.typed", "LICENSE", "CITATION.cff", "CHANGELOG.md", "ARCHITECTURE.md"):
        assert f"jfoundations/{name}" in wheel
    assert f"{told}/licenses/jfoundations/LICENSE" in wheel


def test_the_sdist_builds_the_wheel_to_the_byte(built, tmp_path):
    """So it is whole, and no byte depends on where or when a build was made."""
    unpack = [sys.executable, "-m", "tarfile", "-e", str(built[".gz"]), str(tmp_path)]
    subprocess.run(unpack, check=True)
    (source,) = tmp_path.iterdir()
    again = build(source, tmp_path / "dist")
    for kind, path in built.items():
        assert again[kind].read_bytes() == path.read_bytes(), kind
    for folder in ("tests", "examples"):
        for path in (HERE / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (source / path.relative_to(HERE)).read_bytes() == path.read_bytes()


def test_the_metadata_are_complete(wheel):
    said = email.message_from_string(next(v for k, v in wheel.items() if k.endswith("METADATA")))
    assert said["Version"] == jf.__version__
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Author"] and said["Keywords"] and said["Summary"]
    assert all("/jfoundations/" in url for url in said.get_all("Project-URL"))
    assert said["Description-Content-Type"] == "text/markdown"
    # Beside the README of an index lie no files that it could link to.
    text = said.get_payload()
    assert "## Twelve lines" in text and "](https://" in text
    assert not re.findall(r"\]\((?!https:)[^)]*\)", text)


def test_one_version_one_date_one_title():
    cited = dict(re.findall(r'^([a-z-]+): "?(.*?)"?$', read("jfoundations/CITATION.cff"), re.M))
    version, date, title = cited["version"], cited["date-released"], cited["title"]
    assert version == jf.__version__
    first = re.search(r"^## (.*)$", read("jfoundations/CHANGELOG.md"), re.M)
    assert first and first[1] == f"{version} — {date}"
    name, what = title.split(": ")
    assert name == PROJECT["name"]
    assert f"{name} {version}: {what}, {date[:4]}" in " ".join(read("README.md").split())
    assert cited["license"] == PROJECT["license"]
    assert cited["url"] == PROJECT["urls"]["Homepage"]


def test_one_bound_a_dependency():
    """`dev` has all that the other extras have, with their bounds, but for accelerators."""
    for extra in EXTRAS.keys() - {"platforms"}:
        assert set(EXTRAS[extra]) <= set(EXTRAS["dev"]), extra
    for words in (PROJECT["dependencies"], *EXTRAS.values()):
        assert all(re.match(r"[a-z0-9-]+>=[0-9.]+", word) for word in words)
