"""Not run but read by pyright, in test_types.py: what it infers of pipes, and what it rejects.

A line that ends in `# is T` is of type T for pyright; one that ends in `# wrong` is an error to it,
and no other line is.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, reveal_type

import jfoundations as jf


def parse(text: str) -> int:
    return int(text)


def half(n: int) -> float:
    return n / 2


def show(x: float) -> str:
    return str(x)


def positive(n: int) -> bool:
    return n > 0


def large(x: float) -> bool:
    return x > 9.0


def scaled(by: float, n: int) -> float:
    return by * n


def halving(mean: object) -> Callable[[int], float]:
    return half


def add(total: float, n: int) -> float:
    return total + n


if TYPE_CHECKING:
    whole = jf.Pipe(parse, half)
    reveal_type(whole)  # is Pipe[str, float]
    reveal_type(whole("3"))  # is float
    reveal_type(jf.Pipe(parse, half, show, parse))  # is Pipe[str, int]
    reveal_type(jf.Pipe(parse, half, show, parse, half))  # is Pipe[str, Any]
    reveal_type(jf.Pipe(parse, half, show, parse) >> half)  # is Pipe[str, float]
    reveal_type(jf.compose(half, parse, show, half, parse))  # is Pipe[Any, float]
    reveal_type(jf.Pipe(parse) >> half >> show)  # is Pipe[str, str]
    reveal_type(jf.Pipe(parse) >> jf.Pipe(half))  # is Pipe[str, float]
    reveal_type(parse >> jf.Pipe(half))  # is Pipe[str, float]
    reveal_type("3" >> whole)  # is float
    reveal_type(jf.compose(half, parse))  # is Pipe[str, float]
    reveal_type(jf.juxt(half, positive))  # is juxt[int, tuple[float, bool]]
    reveal_type(jf.Pipe(parse, jf.juxt(half, show)))  # is Pipe[str, tuple[float, str]]
    reveal_type(jf.partial(scaled, 2.0)(3))  # is float
    reveal_type(jf.lift(half)(3))  # is float
    reveal_type(jf.identity(3))  # is int
    reveal_type(jf.Reversible(half, int))  # is Reversible[int, float]
    reveal_type(jf.Pipe(parse, jf.Reversible(half, int)))  # is Pipe[str, float]
    reveal_type(jf.Pipe(jf.Reversible(half, int)).inverse)  # is Pipe[float, int]
    learned = jf.Learned(jf.folds.mean(), halving)
    reveal_type(learned)  # is Learned[int, float]
    reveal_type(jf.fit(jf.Pipe(parse, learned), []))  # is Pipe[str, float]
    reveal_type(jf.Pipe(jf.map_(half), jf.filter_(large)))  # is Pipe[int, float]
    reveal_type(jf.Pipe(parse, then=half))  # is Pipe[str, Any]
    reveal_type(jf.Pipe(first=parse, then=half))  # is Pipe[Any, Any]
    reveal_type(jf.Pipe(jf.map_(half)).over(jf.folds.count()))  # is Fold[Array | Count]

    jf.Pipe(half, parse)  # wrong
    jf.Pipe(parse, half, half)  # wrong
    jf.Pipe(parse, half, half, then=show)  # wrong
    jf.Pipe(parse, half, show, half)  # wrong
    jf.Pipe(parse) >> show >> half  # wrong
    jf.Pipe(half) >> jf.Pipe(parse)  # wrong
    show >> jf.Pipe(half)  # wrong
    jf.compose(parse, half)  # wrong
    jf.juxt(half, parse)  # wrong
    jf.Reversible(half, parse)  # wrong
    jf.Pipe(jf.map_(half), jf.map_(parse))  # wrong
    jf.Pipe(half, learned)  # wrong
    jf.filter_(show)  # wrong
    whole(3)  # wrong
    jf.Pipe(parse, 3)  # wrong

    several = [half, half]
    jf.Pipe(*several)
    jf.Pipe(parse, half, show, parse, half, show, parse, last=half)
    jf.Pipe(parse, half, show, parse, half, then=show)
    jf.compose(*several)
    jf.juxt(*several)
