"""How a law is run: Hypothesis, without its ceremony; and how several laws are."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from ..._core.values import name_of

MAX_EXAMPLES = 30
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


def check(law: Callable[..., None], max_examples: int, **drawn: SearchStrategy[object]) -> None:
    """Run a law on drawn values; what it raises carries the smallest values that make it raise.

    The examples are the same in each run. There is no deadline (a first call compiles), and
    nothing is written to disk.

    Raises:
        AssertionError: the law fails, or fails only sometimes on the same values.
    """
    run = settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        derandomize=True,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate,) if _AT_ONCE.get() else (Phase.generate, Phase.shrink),
        suppress_health_check=list(cast(Any, HealthCheck)),
    )(given(**drawn)(law))
    try:
        run()
    except Flaky as error:
        raise AssertionError(
            f"{law.__name__}: the same values gave different answers from one call to the next; "
            "something in them keeps state outside its arguments"
        ) from error


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
    texts = [f"{who}: {', '.join(names)}\n  fails {', '.join(failed)}{left_out}"]
    for name, error in failed.items():
        texts.append("\n".join([f"{name}: {error}", *getattr(error, "__notes__", [])]))
    raise AssertionError("\n\n".join(texts)) from next(iter(failed.values()))
