"""What was found: a value that says which laws hold, prints as a table, and writes their tests."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..._core.values import name_of


@dataclass(frozen=True)
class Finding:
    """What was found of one law.

    Attributes:
        law: its name.
        says: what it says.
        holds: True, False, or None where it says nothing of this function.
        exact: whether its sides are equal wherever nothing outside of the function is rounded.
        units: how far they may be apart elsewhere, or at all: in units in the last place of
            `|f| + |f′||x|`, see `laws.discover`; for `grad` relative to the derivative.
        constant: the degree, or the bound, that the law speaks of.
        offset: up to which offset of the data, in units of their spread, it holds; None where data
            with an offset do not say so.
        dtypes: in which dtypes it holds.
        why: the smallest failure, or why it says nothing.
    """

    law: str
    says: str
    holds: bool | None
    exact: bool = False
    units: float = 0.0
    constant: float | None = None
    offset: float | None = None
    dtypes: tuple[str, ...] = ()
    why: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        if not self.holds:
            return "fails" if self.holds is False else "says nothing"
        if self.law == "grad":
            return f"to {self.units:.2g}"
        if not self.exact:
            return f"to {self.units:.3g} ulp"
        return f"exact, or to {self.units:.3g} ulp" if self.units else "exact"

    def keeps(self, other: Finding) -> bool:
        """Tell whether this is at least what was found before."""
        same = self.constant == other.constant and self.exact >= other.exact
        offset = (self.offset or 0) >= (other.offset or 0)
        return bool(self.holds) and same and offset and self.units <= other.units

    @property
    def said(self) -> str:
        """The law in words, with its constant."""
        return self.says.replace("{}", "c" if self.constant is None else f"{self.constant:g}")

    def __repr__(self) -> str:
        return f"{self.law}: {self.verdict}, {self.said}{'; ' + self.why if self.why else ''}"


@dataclass(frozen=True)
class Findings(Mapping[str, Finding]):
    """The laws that a function was tried on, by name; it prints as a table.

    Attributes:
        name: of the function.
        about: on what it was tried.
        findings: one of each law.
        subject: the function.
        options: what `laws.discover` was given besides.
    """

    name: str
    about: str
    findings: tuple[Finding, ...]
    subject: Any
    options: dict[str, Any]

    def __getitem__(self, law: str) -> Finding:
        for one in self.findings:
            if one.law == law:
                return one
        known = ", ".join(self)
        raise KeyError(f"{self.name} was not tried on a law {law!r}; there are {known}")

    def __iter__(self) -> Iterator[str]:
        return (one.law for one in self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the laws that hold."""
        return tuple(one.law for one in self.findings if one.holds)

    def __repr__(self) -> str:
        rows = [("law", "verdict", "offset to", "in", "says, and the smallest failure")]
        some = sorted((one for one in self.findings if one.holds is not None),
                      key=lambda one: not one.holds)  # fmt: skip
        for one in some:
            said = one.said if one.holds else f"{one.said}: {one.why}"
            offset = "" if one.offset is None else f"{one.offset:g}"
            rows.append((one.law, one.verdict, offset, " ".join(one.dtypes), said))
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [f"{self.name}: {self.about}"]
        for *cells, last in rows:
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            lines.append("  ".join([*padded, last]).rstrip())
        silent = [one.law for one in self.findings if one.holds is None]
        lines += [f"says nothing: {', '.join(silent)}"] if silent else []
        return "\n".join(lines)

    def write(self, path: str | Path, *, source: str | None = None) -> None:
        """Write a pytest file that holds the function to what was found.

        It tries the same examples again, and fails where a law holds no more, or to a wider bound.

        Args:
            path: of the file.
            source: where the function is imported from, `"module.name"`; by default as it says
                itself, by `__module__` and `__qualname__`.

        Raises:
            ValueError: it cannot be imported from there.
        """
        where = _importable(self.subject, source)
        imports, options = [_import(where, "subject")], []
        for key, value in self.options.items():
            if callable(value):
                imports.append(_import(_importable(value, None), key))
                value = _Name(key)
            options.append(f", {key}={value!r}")
        kept = []
        for one in self.findings:
            if one.holds:
                words = f"{one.law!r}, {one.says!r}, True, {one.exact}, {one.units!r}"
                for name in ("constant", "offset"):
                    value = getattr(one, name)
                    words += f", {name}={value!r}" if value is not None else ""
                kept.append(f"    laws.Finding({words}),\n")
        text = FILE.format(
            name=where,
            about=self.about,
            imports="\n".join(sorted(imports)),
            kept="".join(kept),
            options="".join(options),
        )
        Path(path).write_text(text, encoding="utf-8")


FILE = '''"""The laws that were found to hold for {name}: {about}."""

import pytest
{imports}

from jfoundations.testing import laws

KEPT = [
{kept}]


@pytest.fixture(scope="module")
def found():
    return laws.discover(subject{options})


@pytest.mark.parametrize("law", KEPT, ids=lambda law: law.law)
def test_law_is_kept(found, law):
    now = found[law.law]
    assert now.keeps(law), f"it was {{law!r}}, and is {{now!r}}"
'''


@dataclass(frozen=True)
class _Name:
    """A word that stands in a file as it is."""

    word: str

    def __repr__(self) -> str:
        return self.word


def _import(where: str, name: str) -> str:
    module, _, attribute = where.rpartition(".")
    return f"from {module} import {attribute} as {name}"


def _importable(value: Any, source: str | None) -> str:
    where = source or f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    module, _, attribute = where.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        found = None
    if module == "__main__" or not _is(found, value):
        raise ValueError(
            f"write: {name_of(value)} cannot be imported as {where!r}; give a function of a "
            'module, or say where it is: source="module.name"'
        )
    return where


def _is(found: Any, value: Any) -> bool:
    if found is value:
        return True
    try:
        return type(found) is type(value) and bool(found == value)
    except Exception:  # an `==` of a user's may raise anything
        return False
