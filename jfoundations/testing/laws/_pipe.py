"""The monoid of pipes, and what makes a pipe a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from hypothesis import strategies as st

from ..._core.types import PyTree
from ..._pipes.pipe import Pipe
from ..checks import assert_traces
from ..strategies import arrays, pipes, strategy_of
from ._check import check
from ._failure import claim, law, same


@law
def pipe(
    a_pipe: Pipe[Any, Any],
    inputs: PyTree = None,
    *,
    rebuild: Callable[[], Pipe[Any, Any]] | None = None,
    ulp: float = 0,
    max_examples: int = 15,
) -> None:
    """Hold a pipe to the laws of a monoid, of pure functions, and of values under `jit`.

    Exact: `Pipe() >> p`, `p >> Pipe()` and `p` are equal, and so is `p` cut anywhere and joined
    again, in either bracketing, in structure and in answers; calling twice answers the same bits;
    an equal pipe built anew is `==`, has the same hash and does not trace again. The answer under
    `jit` may differ by `ulp`.

    Args:
        a_pipe: yours.
        inputs: what it takes, or a strategy of such; by default float arrays.
        rebuild: builds an equal pipe from nothing; by default one is made of the same stages.
        ulp: how far the jitted answer may be from the eager one, in units in the last place.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> def build():
    ...     return jf.Pipe(jnp.abs, scale=jf.partial(jnp.multiply, 2.0))
    >>> pipe(build(), rebuild=build, max_examples=3)
    """
    p = a_pipe
    build = rebuild or (lambda: Pipe._make(p.names, p.stages))
    given = arrays() if inputs is None else strategy_of(inputs)

    def pipes_are_a_monoid(q: Pipe[Any, Any], r: Pipe[Any, Any], i: int, j: int) -> None:
        unit = Pipe()
        _equal(unit >> p, p, "Pipe() >> p is not p")
        _equal(p >> unit, p, "p >> Pipe() is not p")
        _equal((p >> q) >> r, p >> (q >> r), "(p >> q) >> r is not p >> (q >> r)")
        i, j = sorted((i, j))
        a, b, c = p[:i], p[i:j], p[j:]
        _equal((a >> b) >> c, p, f"p cut at {i} and {j} and joined again is not p")
        _equal(a >> (b >> c), p, f"p cut at {i} and {j} and joined again is not p")

    def pipes_are_values(x: PyTree, i: int) -> None:
        answer = p(x)
        same(p(x), answer, bits=True, what="p(x) a second time")
        same((Pipe() >> p)(x), answer, bits=True, what="(Pipe() >> p)(x) and p(x)")
        same(p[i:](p[:i](x)), answer, bits=True, what=f"p[{i}:](p[:{i}](x)) and p(x)")
        anew = build()
        _equal(anew, p, "p built anew is not p")
        with assert_traces(1) as counted:
            run = jax.jit(counted(lambda pipe, x: pipe(x)))
            jitted = run(p, x)
            same(run(anew, x), jitted, bits=True, what="p built anew, and p")
        same(jitted, answer, ulp=ulp, what="p(x) jitted, and eager")

    cuts = st.integers(0, len(p))
    check(pipes_are_a_monoid, max_examples, q=pipes(), r=pipes(), i=cuts, j=cuts)
    check(pipes_are_values, max_examples, x=given, i=cuts)


def _equal(a: PyTree, b: PyTree, message: str) -> None:
    left, right = jax.tree.structure(a), jax.tree.structure(b)
    claim(left == right, f"{message}: the structures differ", left, right)
    same(a, b, bits=True, what=message)
    claim(a == b and hash(a) == hash(b), f"{message}: == or hash tells them apart", a, b)
