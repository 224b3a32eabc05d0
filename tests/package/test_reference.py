"""The reference is the docstrings: pdoc renders them without a warning, and every link leads on."""

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import jfoundations as jf

SPACES = (
    "",
    *(".stats", ".folds", ".callbacks", ".diagnostics", ".executors", ".stages"),
    *(".testing", ".testing.laws", ".testing.strategies", ".testing.checks"),
)


class Page(HTMLParser):
    """The places of a page, where its links lead, and its text."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.text = set(), set(), ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.links.add(found["href"])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference")
    command = [sys.executable, "-W", "error", "-m", "pdoc", "jfoundations", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()
    return {path.resolve(): Page(path) for path in out.rglob("*.html")}


def page_of(pages, space):
    return next(
        page
        for path, page in pages.items()
        if str(path).endswith(f"jfoundations{space.replace('.', '/')}.html")
    )


def test_every_link_leads_somewhere(pages):
    lost = []
    for path, page in pages.items():
        for link in page.links:
            if "://" in link:
                continue
            file, _, place = link.partition("#")
            target = pages.get((path.parent / file).resolve() if file else path)
            if target is None or (place and place not in target.ids):
                lost.append((path.name, link))
    assert not lost


@pytest.mark.parametrize("space", SPACES)
def test_every_public_name_has_its_place(pages, space):
    module = importlib.import_module(f"jfoundations{space}")
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    public = {n for n in dir(module) if not n.startswith("_")}
    assert set(module.__all__) == public
    ids = page_of(pages, space).ids
    for name in module.__all__:
        if not isinstance(getattr(module, name), type(jf)):
            assert name in ids, f"{name} is not on the page of {module.__name__}"


def test_the_guide_is_on_the_pages(pages):
    folder = Path(jf.guide.__file__).parent
    assert {path.stem for path in folder.glob("*.md")} == set(jf.guide.__all__)
    for name in jf.guide.__all__:
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        page = page_of(pages, f".guide.{name}")
        assert ">>> " in text and text.count("```") % 2 == 0
        for heading in re.findall(r"^## (.*)$", text, re.MULTILINE):
            assert heading in page.text, f"{name} has no {heading}"


def test_the_page_for_machines_leads_to_every_name(pages):
    command = [sys.executable, "-W", "error", "-m", "jfoundations.guide"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    links = re.findall(r"\]\(([^)]*)\.html(?:#(\w+))?\): (\S.*)", text)
    assert len(links) == text.count("\n- ")
    for page, name, _ in links:
        found = page_of(pages, page.removeprefix("jfoundations").replace("/", "."))
        assert not name or name in found.ids, f"{page}#{name}"
    told = {name for _, name, _ in links}
    for space in SPACES:
        module = importlib.import_module(f"jfoundations{space}")
        assert told >= {n for n in module.__all__ if not isinstance(getattr(module, n), type(jf))}


def test_the_tutorial_and_the_formulas_are_on_the_page(pages):
    front = page_of(pages, "").text
    assert "Each lane of a" in front and "1.4142135381698608" in front
    assert "Arguments:" in front and "Raises:" in front  # read as what they are
    assert "m₃ / m₂^(3/2)" in page_of(pages, ".stats").text
