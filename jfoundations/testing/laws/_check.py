"""How a law is run: Hypothesis, without its ceremony."""

from collections.abc import Callable
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

MAX_EXAMPLES = 30


def check(law: Callable[..., None], max_examples: int, **drawn: SearchStrategy[Any]) -> None:
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
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(cast(Any, HealthCheck)),
    )(given(**drawn)(law))
    try:
        run()
    except Flaky as error:
        raise AssertionError(
            f"{law.__name__}: the same values gave different answers from one call to the next; "
            "something in them keeps state outside its arguments"
        ) from error
