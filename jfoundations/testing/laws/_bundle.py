"""Bundles of laws: values that say what a kind of thing keeps, run over many things at once.

>>> import jfoundations as jf
>>> from jfoundations.testing import laws
>>> spread = laws.Bundle("spread", laws.constant, laws.translation)
>>> print(laws.run([spread], {"var": jf.stats.var, "std": jf.stats.std}, max_examples=2))
spread: constant, translation
  var: holds
  std: holds
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..._core.values import name_of


class NotApplicable(TypeError):
    """A law says nothing of this value: it takes no `where=`, say. Bundles leave it out."""


@dataclass(frozen=True, init=False)
class Bundle:
    """Laws under one name: `bundle(value)` holds a value to all of them.

    A frozen value; `a + b` has the laws of both, each once. A bundle is a law itself.

    Args:
        name: how reports call it.
        *laws: functions that take a value and raise `AssertionError`, others bundles among them.

    >>> from jfoundations.testing import laws
    >>> spread = Bundle("spread", laws.constant, laws.translation)
    >>> spread(lambda x: x[0] * 0, max_examples=3)
    >>> (spread + Bundle("order", laws.permutation)).laws[2].__name__
    'permutation'
    """

    name: str
    laws: tuple[Callable[..., None], ...]

    def __init__(self, name: str, *laws: Callable[..., None]):
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "laws", laws)

    @property
    def __name__(self) -> str:
        return self.name

    def __add__(self, other: "Bundle") -> "Bundle":
        """Return a bundle of the laws of both."""
        laws = dict.fromkeys((*self.laws, *other.laws))
        return Bundle(f"{self.name} + {other.name}", *laws)

    def __call__(self, *value: Any, **options: Any) -> None:
        """Hold a value to every law.

        Args:
            *value: yours; more than one where the laws take more.
            **options: each law is given those that it names.

        Raises:
            AssertionError: one or more laws fail; it says which, with their counter-examples.
            NotApplicable: no law says anything of this value.
        """
        outcomes = _outcomes(self, "", value, options)
        if outcomes and all(isinstance(o.error, NotApplicable) for o in outcomes):
            raise NotApplicable(f"{self.name}: no law applies: {outcomes[0].error}")
        _raise_of(Report(outcomes))


@dataclass(frozen=True)
class Outcome:
    """How one law of one bundle went for one instance; no error where it holds."""

    bundle: str
    instance: str
    law: str
    error: Exception | None = None

    @property
    def failed(self) -> bool:
        """Whether the law was broken, and not merely silent."""
        return isinstance(self.error, AssertionError)


@dataclass(frozen=True)
class Report:
    """How every law of some bundles went for some instances; `str` shows it by bundle."""

    outcomes: tuple[Outcome, ...]

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes of laws that fail."""
        return tuple(o for o in self.outcomes if o.failed)

    def __str__(self) -> str:
        lines = []
        for bundle in dict.fromkeys(o.bundle for o in self.outcomes):
            mine = [o for o in self.outcomes if o.bundle == bundle]
            lines.append(f"{bundle}: {', '.join(dict.fromkeys(o.law for o in mine))}")
            for instance in dict.fromkeys(o.instance for o in mine):
                lines.append(_line(instance, [o for o in mine if o.instance == instance]))
        return "\n".join(lines)


def _line(instance: str, outcomes: list[Outcome]) -> str:
    broken = [o.law for o in outcomes if o.failed]
    silent = [o.law for o in outcomes if isinstance(o.error, NotApplicable)]
    name = f"  {instance}: " if instance else "  "
    left_out = f"; {', '.join(silent)} left out" if silent else ""
    return name + (f"fails {', '.join(broken)}" if broken else "holds") + left_out


def run(bundles: Iterable[Bundle], instances: Mapping[str, Any], **options: Any) -> Report:
    """Hold every instance to every bundle, and report by bundle.

    Args:
        bundles: what to hold them to.
        instances: values by the name to report them by.
        **options: each law is given those that it names, `max_examples=` for one.

    Returns:
        The report, which says what holds and what was left out since it does not apply.

    Raises:
        AssertionError: some law fails for some instance. It says which, with counter-examples; all
            laws are run.
    """
    pairs = [(b, name, value) for b in bundles for name, value in instances.items()]
    report = Report(
        tuple(o for b, name, value in pairs for o in _outcomes(b, name, (value,), options))
    )
    _raise_of(report)
    return report


def _outcomes(
    bundle: Bundle, instance: str, value: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Outcome, ...]:
    wanted = [names_of(law) for law in bundle.laws]
    unknown = [o for o in options if not any(o in words for words in wanted)]
    if unknown:
        known = ", ".join(map(name_of, bundle.laws))
        raise TypeError(f"{bundle.name}: none of its laws ({known}) takes {', '.join(unknown)}=")
    outcomes = []
    for law, words in zip(bundle.laws, wanted, strict=True):
        try:
            law(*value, **{k: v for k, v in options.items() if k in words})
            error = None
        except (AssertionError, NotApplicable) as raised:
            error = raised
        except Exception as raised:
            raised.add_note(
                f"in law {name_of(law)} of {bundle.name}" + f" for {instance}" * bool(instance)
            )
            raise
        outcomes.append(Outcome(bundle.name, instance, name_of(law), error))
    return tuple(outcomes)


def names_of(function: Any) -> tuple[str, ...]:
    """Return the parameters that a function names; of a bundle those of all its laws."""
    if isinstance(function, Bundle):
        return tuple(name for law in function.laws for name in names_of(law))
    while hasattr(function, "func"):
        function = function.func
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some built-in functions have none
        return ()


def _raise_of(report: Report) -> None:
    if not report.failures:
        return
    texts = []
    for o in report.failures:
        name = f"{o.instance}: {o.law}" if o.instance else o.law
        notes = "\n".join(getattr(o.error, "__notes__", []))
        texts.append(f"{name}: {o.error}\n{notes}")
    raise AssertionError("\n\n".join([str(report), *texts])) from report.failures[0].error
