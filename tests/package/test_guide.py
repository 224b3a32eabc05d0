"""The README and the guide: every link leads on, every name exists, every old line is a line."""

import ast
import functools
import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations.guide import __main__ as machines

ROOT = Path(jf.__file__).parents[1]
GUIDE = ROOT / "jfoundations" / "guide"
PAGES = [ROOT / "README.md", *sorted(GUIDE.glob("*.md"))]
ROOMS = {room for room in machines.ROOMS if room and "." not in room} | {"testing"}
PARSED = {"Lightning", "fastai", "jaxopt", "clu", "torchmetrics", "Beam"}

pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def anchors(path):
    """Return the places of a page, as GitHub and pdoc name them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


def prose(path):
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


@pages
def test_every_link_leads_somewhere(path):
    for link in re.findall(r"\]\(([^)]*)\)", prose(path)):
        if "://" not in link:
            file, _, place = link.partition("#")
            target = path.parent / file if file else path
            assert target.exists(), link
            assert not place or place in anchors(target), link
            # pdoc has pages of the guide alone, and takes pictures in
            assert path.parent != GUIDE or target.parent == GUIDE or file.endswith(".png"), link


@pages
def test_every_name_exists(path):
    for code in re.findall(r"`([^`\n]+)`", prose(path)):
        name = re.match(r"[A-Za-z_.]+", code.removeprefix("jf.").removeprefix("jfoundations."))
        first, *rest = name[0].rstrip(".").split(".") if name else [""]
        if first in ROOMS or (code.startswith("jf.") and first):
            functools.reduce(getattr, [first, *rest], jf)


def rows(path):
    """Yield what the tables of wishes have in their second column."""
    for row in re.findall(r"^\| .* \| (.*) \|$", prose(path), re.MULTILINE):
        yield re.findall(r"`([^`]+)`", row)


def test_a_wish_has_one_name_or_two():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Ten wishes")[1]
    wishes = re.findall(r"^\| .* \| \[`[^`]+`\]\([^)]*\) \|$", section.split("##")[0], re.MULTILINE)
    assert len(wishes) == 10
    words = {"jax.lax.scan", "jax.vmap", "&", "~"}
    for names in rows(GUIDE / "i_want_to.md"):
        if names and names[0].endswith(".py"):
            assert all((ROOT / "examples" / name).exists() for name in names)
            continue
        assert len(names) <= 2
        for name in names:
            found, after = re.match(r"([\w.&~]+)(=?)", name).groups()
            if not after and name not in words:
                functools.reduce(getattr, found.split("."), jf)
    scripts = {name for names in rows(GUIDE / "i_want_to.md") for name in names if ".py" in name}
    assert scripts == {path.name for path in (ROOT / "examples").glob("*.py")}


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    assert "pip install . && python examples/fit_with_callbacks.py\n" in text
    assert "pip install -e '.[dev]' && pytest\n" in text


def test_help_shows_the_page():
    for name in jf.guide.__all__:
        page = importlib.import_module(f"jfoundations.guide.{name}")
        text = (GUIDE / f"{name}.md").read_text(encoding="utf-8")
        assert text.splitlines()[-1].replace(".md", ".html") in page.__doc__
        assert ".md)" not in page.__doc__ and ".md#" not in page.__doc__


def old_blocks():
    """Return the blocks of lines of other libraries alone, by the library's name."""
    text = (GUIDE / "coming_from.md").read_text(encoding="utf-8")
    found = re.findall(r"^```python\n# (\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in found} == PARSED | {"Keras", "flax"}
    return found


def test_old_lines_are_python():
    for name, block in old_blocks():
        assert ast.parse(block).body, name


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras
def test_old_lines_of_keras_and_flax_run(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.chdir(tmp_path)
    import keras
    from flax import nnx

    xs = np.arange(8, dtype=np.float32)[:, None]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        names = dict(keras=keras, nnx=nnx, jnp=jnp, model=model, xs=xs, ys=3 * xs + 1)
        for name, block in old_blocks():
            if name not in PARSED:
                exec(compile(block, name, "exec"), names)
        # a callback that was made but not yet heard
        given = [names[name] for name in ("plateau", "cosine")]
        model.fit(xs, 3 * xs + 1, verbose=0, callbacks=[*given, names["Mine"]()])
        assert float(names["metrics"].compute()["loss"]) == 1.0
    assert len(names["history"].history["loss"]) == 3 and Path("best.keras").exists()
