"""Laws as tests of pytest."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..._core.values import partial
from ._failure import label

Law = Callable[..., None]
Test = TypeVar("Test", bound=Callable[..., Any])


def holds(
    *laws: Law, of: Iterable[Any] | Mapping[str, Any] | None = None, **options: object
) -> Callable[[Test], Test]:
    """Make a test of each law, and of each function or other value that is to keep it.

    The test takes `law`, and with `of` the value, as `f`; it may take fixtures too, and be a
    method. Each law of each value is an item of its own, `test_spread[translation-var]`, by which
    `-k`, `--lf` and pytest-xdist know it. It is pytest's own `parametrize`, and needs no plugin.

    Args:
        *laws: what is to hold. Keywords of one law are given by `partial(laws.scale, power=2)`.
        of: functions, folds, callbacks or other values, also `pytest.param(f, marks=…)`; a dict
            gives them names.
        **options: keywords of every law: `dtype=`, `max_examples=`.

    Raises:
        ModuleNotFoundError: pytest is not installed.
        TypeError: there is no law, one is not callable, or one does not take an option.

    >>> from jfoundations import partial, stats
    >>> from jfoundations.testing import laws
    >>> spreads = [stats.std, partial(stats.std, correction=1)]
    >>> @laws.holds(laws.permutation, partial(laws.scale, power=1), of=spreads, max_examples=2)
    ... def test_spread(law, f):
    ...     law(f)
    >>> [mark.args[0] for mark in test_spread.pytestmark]
    ['law', 'f']
    """
    try:
        import pytest
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "laws.holds needs pytest, which is not installed: "
            "pip install pytest 'jfoundations[testing]'",
            name="pytest",
        ) from error
    if not laws:
        raise TypeError("holds: there is no law; write @laws.holds(laws.translation, …)")
    ids = [label(law) for law in laws]
    bound = [_bound(law, options) for law in laws]
    if isinstance(of, Mapping):
        of = [pytest.param(value, id=name) for name, value in of.items()]

    def decorate(test: Test) -> Test:
        test = pytest.mark.parametrize("law", bound, ids=ids)(test)
        return test if of is None else pytest.mark.parametrize("f", list(of), ids=label)(test)

    return decorate


def _bound(law: Law, options: Mapping[str, object]) -> Law:
    if not callable(law):
        raise TypeError(f"holds: {law!r} is no law; what is to keep laws is given by of=[…]")
    name = label(law)
    if isinstance(law, partial):  # functools.partial has a signature, and no frame in a traceback
        law = functools.partial(law.func, *law.args, **law.keywords)
    known = inspect.signature(law).parameters
    for word in options:
        if word not in known:
            raise TypeError(
                f"holds: the law {name} takes no {word}=; give it to the laws that do, by "
                f"partial(law, {word}=…)"
            )
    return functools.partial(law, **options)
