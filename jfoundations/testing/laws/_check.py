"""How a law is run: Hypothesis, without its ceremony; and how several laws are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import hypothesis.core
from hypothesis import HealthCheck, Phase, Verbosity, currently_in_test_context, given, settings
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.errors import Flaky, HypothesisException
from hypothesis.strategies import SearchStrategy

from ..._core.shown import see
from ..._core.values import name_of
from ._failure import CALL, Breach, Call, report

MAX_EXAMPLES = 30
PINNED: ContextVar[_Pinned | None] = ContextVar("PINNED", default=None)
_AT_ONCE = ContextVar("_AT_ONCE", default=False)


@contextmanager
def at_first_failure() -> Iterator[None]:
    """Let laws raise what fails first, as it was drawn: for who asks only whether they fail."""
    token = _AT_ONCE.set(True)
    try:
        yield
    finally:
        _AT_ONCE.reset(token)


class NotApplicable(TypeError):
    """A law says nothing of this value: it takes no `where=`, say."""


class _Pinned:
    """Values in the place of drawn ones, and whether a law took them."""

    def __init__(self, values: dict[str, Any]):
        self.values, self.taken = values, False


@contextmanager
def example(**values: object) -> Iterator[None]:
    """Run the laws inside on these values alone, in the place of drawn ones.

    A failing law writes such lines as its repro; in a test they keep what once failed from
    coming back.

    Args:
        **values: by the names that the failure's report gives them.

    Raises:
        ValueError: no law inside draws values of these names.

    >>> import jax.numpy as jnp
    >>> from jfoundations.testing import laws
    >>> with laws.example(x=jnp.array([0.25, 0.25, 0.0]), c=1):
    ...     laws.translation(jnp.max, shift=1)
    """
    pinned = _Pinned(values)
    token = PINNED.set(pinned)
    try:
        yield
    finally:
        PINNED.reset(token)
    if not pinned.taken:
        raise ValueError(f"example: no law inside draws {', '.join(values)}, and nothing else")


def check(law: Callable[..., None], max_examples: int, **drawn: SearchStrategy[Any]) -> None:
    """Run the inside of a law on drawn values; what it raises reports the smallest that fail.

    The examples are the same in each run, unless pytest is given a `--hypothesis-seed` or the
    loaded profile is not derandomized. There is no deadline (a first call compiles), and nothing
    is written to disk. Inside a `@given` test a law draws one example of each of the test's.

    Raises:
        AssertionError: the law fails, or fails only sometimes on the same values.
    """
    __tracebackhide__ = True  # of pytest: no frame of this room is shown
    pinned = PINNED.get()
    if pinned is not None:
        if pinned.values.keys() != drawn.keys():
            return
        pinned.taken, max_examples = True, 1
        drawn = {name: st.just(value) for name, value in pinned.values.items()}
    failing: dict[str, Any] = {}  # of the last failure, which is the smallest

    @functools.wraps(law)
    def watched(**values: Any) -> None:
        __tracebackhide__ = True
        failing.clear()
        failing.update(values)
        law(**values)

    call = CALL.get() or Call(law, (), {})
    try:
        if currently_in_test_context():
            data = current_build_context().data
            watched(**{name: data.draw(strategy) for name, strategy in drawn.items()})
        else:
            _settings(max_examples)(given(**drawn)(watched))()
        return
    except Flaky:
        wrong = "the same values gave different answers from one call to the next"
        cause = "the same answers: something in them keeps state outside its arguments"
        failure = report(Breach(wrong, expected=cause), call, failing)
    except AssertionError as error:
        failure = report(error, call, failing)
    except (HypothesisException, NotApplicable):
        raise
    except Exception as error:
        error.add_note(report(Breach("raised inside of a law"), call, failing))
        raise
    raise AssertionError(failure)


def _settings(max_examples: int) -> settings:
    seeded = getattr(hypothesis.core, "global_force_seed", None) is not None
    profile = cast(settings, settings.default)
    ours = profile == settings.get_profile("default")
    return settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=not seeded and (ours or profile.derandomize),
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate,) if _AT_ONCE.get() else (Phase.generate, Phase.shrink),
        suppress_health_check=list(cast(Any, HealthCheck)),
        verbosity=Verbosity.quiet,
    )


def check_all(
    who: str, laws: Iterable[Callable[..., None]], *values: object, **options: object
) -> None:
    """Hold values to every law, and raise once, for all that fail.

    Laws that do not apply are left out, unless none applies.

    Args:
        who: begins the message.
        laws: functions that take the values and the options.
        *values: what is held to them.
        **options: of each law.

    Raises:
        AssertionError: one or more laws fail; it says which, with their counter-examples.
        NotApplicable: no law says anything of these values.
    """
    __tracebackhide__ = True
    names, failed, silent = [], {}, {}
    for law in laws:
        names.append(name_of(law))
        try:
            law(*values, **options)
        except NotApplicable as error:
            silent[names[-1]] = error
        except AssertionError as error:
            if _AT_ONCE.get():
                raise
            failed[names[-1]] = error
        except Exception as error:
            error.add_note(f"in the law {names[-1]} of {who}")
            raise
    if len(silent) == len(names):
        raise NotApplicable(f"{who}: no law applies: {'; '.join(map(str, silent.values()))}")
    if not failed:
        return
    left_out = f"; {', '.join(silent)} left out" if silent else ""
    head = (
        f"{who}: {', '.join(names)}\n  fails {', '.join(failed)}{left_out}{see('testing_your_own')}"
    )
    texts = [head, *(f"{name}: {error}" for name, error in failed.items())]
    raise AssertionError("\n\n".join(texts))
