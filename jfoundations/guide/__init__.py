"""The guide: pages to read from the first to the last, or to look things up in.

Every example in them is run by the tests. `python -m pdoc --no-show-source jfoundations` renders
them beside the reference; in the package they are Markdown files, one a page.

- `jfoundations.guide.ten_minutes`: a loop, a callback, lanes, a fold, a pipe, a law.
- `jfoundations.guide.i_want_to`: a wish a row, and the name that grants it.
- `jfoundations.guide.callbacks_by_example`: fifteen recipes, training among them.
- `jfoundations.guide.statistics_to_trust`: what is exact, what has a bound, what each mode costs.
- `jfoundations.guide.array_to_cluster`: one fold over an array, files, devices, processes.
- `jfoundations.guide.testing_your_own`: laws for your own callbacks, folds, pipes and statistics.
- `jfoundations.guide.how_to_choose`: which driver, executor, accuracy and statistic.
- `jfoundations.guide.limits`: what the library does not do, and where it is slower.
- `jfoundations.guide.coming_from`: lines of other libraries, and the same here.

A page is a Markdown file, and the documentation of a module of its name: `help` shows it.
`python -m jfoundations.guide` prints a page for machines, in the form of `llms.txt`: every public
name with the first line of its documentation.
"""

import re
from pathlib import Path

from . import (
    array_to_cluster,
    callbacks_by_example,
    coming_from,
    how_to_choose,
    i_want_to,
    limits,
    statistics_to_trust,
    ten_minutes,
    testing_your_own,
)

__all__ = [
    "ten_minutes",
    "i_want_to",
    "callbacks_by_example",
    "statistics_to_trust",
    "array_to_cluster",
    "testing_your_own",
    "how_to_choose",
    "limits",
    "coming_from",
]

for _name in __all__:
    _page = globals()[_name]
    _text = Path(_page.__file__).with_suffix(".md").read_text(encoding="utf-8")
    # A Markdown file links to files beside it, a page of pdoc to pages beside it.
    _text = re.sub(r"\((\w+)\.md(#[\w-]+)?\)", r"(\1.html\2)", _text)
    _page.__doc__ = f"{_page.__doc__}\n\n{_text}"
del Path, re
