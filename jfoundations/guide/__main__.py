"""A page for machines: every public name with the first line of its documentation.

    python -m jfoundations.guide > llms.txt

Its form is that of https://llmstxt.org, its links are those of the pages that pdoc writes. It needs
the extra `testing`, whose names it lists too.
"""

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

ROOT = "jfoundations"
ROOMS = (
    *(
        "",
        "callbacks",
        "callbacks.schedules",
        "folds",
        "stats",
        "diagnostics",
        "stages",
        "executors",
    ),
    *("testing.laws", "testing.checks", "testing.strategies"),
)


def first_line(value: object) -> str:
    """Return the first line of a documentation."""
    return (inspect.getdoc(value) or "").partition("\n")[0]


def page_of(module: ModuleType) -> str:
    """Return where pdoc writes a module."""
    return module.__name__.replace(".", "/") + ".html"


def names_of(module: ModuleType) -> Iterator[str]:
    """Yield a module's public names, but for modules."""
    own = (n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__)
    for name in getattr(module, "__all__", own):
        if not (name.startswith("_") or inspect.ismodule(getattr(module, name))):
            yield name


def lines() -> Iterator[str]:
    """Yield the page line by line."""
    root = importlib.import_module(ROOT)
    yield f"# {ROOT}\n\n> {first_line(root)}\n\n## Guide\n"
    for page in importlib.import_module(f"{ROOT}.guide").__all__:
        module = importlib.import_module(f"{ROOT}.guide.{page}")
        yield f"- [{page}]({page_of(module)}): {first_line(module)}"
    for room in ROOMS:
        module = importlib.import_module(f"{ROOT}.{room}".removesuffix("."))
        yield f"\n## {module.__name__}\n\n{first_line(module)}\n"
        for name in names_of(module):
            address = f"{page_of(module)}#{name}"
            yield f"- [{name}]({address}): {first_line(getattr(module, name))}"


if __name__ == "__main__":
    print(*lines(), sep="\n")
