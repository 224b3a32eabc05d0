"""How sharp a test is: programs with one mistake planted in each, and which of them it lets pass.

>>> import jax.numpy as jnp
>>> from jfoundations.testing import laws
>>> def spread(x):
...     return jnp.max(x) - jnp.min(x)
>>> def test(f):
...     assert f(jnp.array([1.0, 5.0, 2.0])) == 4.0
>>> laws.mutants(spread, test).share
1.0
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax

from ..._core.values import name_of
from ..._folds.fold import Fold
from ..._loops.callback import Callback, Chain, is_event
from ..._pipes.pipe import Pipe
from ._check import at_first_failure
from ._late import late
from ._mutated import rebuilt
from ._mutations import Variant, fits
from ._planted import Run, Site
from ._planting import where_is
from ._shadowed import shadowed

LATE = "the stop comes one step late"


@dataclass(frozen=True)
class Mutant:
    """One mutation, and what the test made of it.

    Attributes:
        kind: of what sort: operator, comparison, condition, constant, axis, mask; of callbacks and
            folds also stop, memory, state, init, merge, answer, skip.
        words: what was planted.
        where: in which function, and on which line where that is known.
        lives: whether the test passed.
        why: how it died: the first line of what the test raised.
        apart: of one that lives, how far its answers were from those of f, relative to the largest
            of them; 0 where they never differed, nan where that could not be seen.
    """

    kind: str
    words: str
    where: str
    lives: bool = False
    why: str = ""
    apart: float = 0.0

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        if not self.lives:
            return "killed"
        return "never differed" if self.apart == 0 else "survived"

    def __repr__(self) -> str:
        why = self.why if not self.lives else _said(self.apart)
        return f"{self.verdict}: {self.words} ({self.where}): {why}"


def _said(apart: float) -> str:
    if apart == 0:
        return "its answers were those of f, to the bit, in all that the test asked"
    if math.isnan(apart):
        return "the test does not run with f beside it"
    far = "infinitely far" if math.isinf(apart) else f"{apart:.2g} of the largest"
    return f"its answers differed, by {far}, and the test did not notice"


@dataclass(frozen=True)
class Mutants:
    """The mutants of a function and what a test made of them; it prints as a table.

    Attributes:
        name: of the function.
        mutants: one of each mutation tried.
        of: how many mutations there are in all.
    """

    name: str
    mutants: tuple[Mutant, ...]
    of: int

    @property
    def killed(self) -> tuple[Mutant, ...]:
        """Those on which the test failed."""
        return tuple(one for one in self.mutants if one.verdict == "killed")

    @property
    def survived(self) -> tuple[Mutant, ...]:
        """Those whose answers differed, and the test passed."""
        return tuple(one for one in self.mutants if one.verdict == "survived")

    @property
    def never_differed(self) -> tuple[Mutant, ...]:
        """Those whose answers were those of f, to the bit, in all that the test asked."""
        return tuple(one for one in self.mutants if one.verdict == "never differed")

    @property
    def share(self) -> float:
        """The share killed of those that differed."""
        differed = len(self.killed) + len(self.survived)
        return len(self.killed) / differed if differed else 1.0

    def __repr__(self) -> str:
        counts = f"{len(self.killed)} killed, {len(self.survived)} survived, "
        counts += f"{len(self.never_differed)} never differed"
        lines = [f"{self.name}: {len(self.mutants)} of {self.of} mutants: {counts}"]
        lines[0] += f"; killed of those that differed: {100 * self.share:.0f} %"
        order = ("survived", "never differed", "killed")
        some = sorted(self.mutants, key=lambda one: order.index(one.verdict))
        rows = [("verdict", "kind", "mutation", "where", "why")]
        rows += [(m.verdict, m.kind, m.words, m.where, m.why or _said(m.apart)) for m in some]
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        for *cells, last in rows:
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            lines.append("  ".join([*padded, last]).rstrip())
        return "\n".join(lines)


def mutants(
    f: Any, test: Callable[[Any], object], *, max_mutants: int = 60, seed: int = 0
) -> Mutants:
    """Run a test on mutants of a value, and tell which it lets pass: how sharp the test is.

    A mutant is the program of f with one mistake: a minus for a plus, a reduction over another
    axis, a mask that is not asked, a constant off by one, a condition negated; of callbacks also a
    stop that comes one step late, or never, and a memory that is not updated; of folds a merge that
    forgets a part, an init that is off by one, a block without its last element. What is planted is
    found by running the test once: nothing is planted in what the test does not call. Shapes and
    dtypes stay as they are. A mutant may be called under jit, vmap and grad; rules of
    derivatives, and branches for other platforms, are left as they are.

    A mutant that lives is run once more with f beside it. Where its answers were those of f, to
    the bit, it is no mistake that this test could see: it has `never differed`, and is not counted.
    Where they differed, it has survived, and the report says by how much: a rounding, or more. The
    answers of a fold are those of `extract`; what it keeps to get there is its own.

    It costs a run of the test for each mutant, which ends at the first failure: laws neither shrink
    nor go on here. (A `@given` test of yours shrinks, unless it has `phases=[Phase.generate]`.)
    Mutants run equation by equation where the test is not compiled, so that little is compiled
    anew. Bound your loops by `max_steps`: some mutants never stop.

    Args:
        f: a function of arrays that JAX can trace, of any arguments, called with any shapes; a
            fold; a callback of any kind; a pipe; a step of a loop.
        test: takes a value in the place of f, and raises if it is wrong.
        max_mutants: how many are run, at most: a sample in which all kinds have their share.
        seed: of the sample.

    Returns:
        What became of each; it prints as a table.

    Raises:
        ValueError: the test fails for f itself, or calls nothing that can be mutated.

    >>> import jax.numpy as jnp
    >>> def mean(x):
    ...     return jnp.sum(x) / x.size
    >>> def blunt(f):
    ...     assert f(jnp.zeros(4)) == 0
    >>> report = mutants(mean, blunt)
    >>> report.killed, [one.words for one in report.survived]
    ((), [])
    >>> def sharp(f):
    ...     assert f(jnp.array([1.0, 3.0, 5.0])) == 3
    >>> [one.words for one in mutants(mean, sharp).killed]
    ['a product for a quotient', '4 for 3 in div']
    """
    name = f.name if isinstance(f, Fold | Callback) else name_of(f)
    if not (callable(f) or isinstance(f, Fold | Callback) or any(map(is_event, dir(f)))):
        raise TypeError(
            f"mutants: f is {f!r}; give a function of arrays, a fold, a callback, a pipe or a step"
        )
    _passes(f, test, name, "itself")
    base = Run({})
    try:
        test(rebuilt(f, base.put))
    except Exception:  # what is compiled whole may be rounded otherwise
        base = Run({}, apart=False)
        _passes(rebuilt(f, base.put), test, name, "traced by JAX, when its arrays are no numbers")
    sites = {site: seen[0][0].kind for site, seen in base.found.items()}
    heard = isinstance(f, Callback | Chain) or any(map(is_event, dir(f))) or base.heard
    if heard and not isinstance(f, Fold | Pipe):
        sites[Site("", LATE, 0, LATE)] = "stop"
    if not sites:
        raise ValueError(
            f"mutants: the test of {name} calls nothing that can be mutated; it must call what it "
            f"is given, with arrays, and not {name} by its own name"
        )
    chosen, dropped = _sample(base, sites, max_mutants, seed)
    rows = (_outcome(f, test, base, site, kind) for site, kind in chosen)
    return Mutants(name, tuple(rows), len(sites) - dropped)


def _passes(value: Any, test: Callable[[Any], object], name: str, how: str) -> None:
    try:
        test(value)
    except Exception as error:
        raise ValueError(
            f"mutants: the test fails for {name} {how}: {_first_line(error)}; mend that first"
        ) from error


def _sample(
    base: Run, sites: dict[Site, str], most: int, seed: int
) -> tuple[list[tuple[Site, str]], int]:
    """Return some sites that can be planted, from each kind in turn, and how many could not."""
    rng = random.Random(seed)
    kinds: dict[str, list[Site]] = {}
    for site, kind in sites.items():
        kinds.setdefault(kind, []).append(site)
    for group in kinds.values():
        rng.shuffle(group)
    chosen, dropped = [], 0
    while any(kinds.values()) and len(chosen) < most:
        for kind, group in sorted(kinds.items()):
            while group and len(chosen) < most:
                site = group.pop()
                if _fits(base.found.get(site, [])):
                    chosen.append((site, kind))
                    break
                dropped += 1
    order = {site: k for k, site in enumerate(sites)}
    return sorted(chosen, key=lambda pair: order[pair[0]]), dropped


def _fits(seen: list[tuple[Any, ...]]) -> bool:
    planted = [one for one in seen if isinstance(one[0], Variant)]
    return not planted or any(fits(eqn, variant) for variant, _, _, eqn in planted)


def _outcome(f: Any, test: Callable[[Any], object], base: Run, site: Site, kind: str) -> Mutant:
    seen = base.found.get(site, [])
    words, where = site.words, f"in {site.name.rstrip(', ')}" if site.name else ""
    if seen and isinstance(seen[0][0], Variant):
        _, program, path, _ = seen[0]
        where = " ".join(filter(None, (where, where_is(program.closed.jaxpr, path))))
    one = Mutant(kind, words, where)
    error = _tried(f, test, Run(base.programs, base.apart, site))
    if error is not None:
        return replace(one, why=_first_line(error))
    for shadow in (True, False) if isinstance(f, Fold) else (False,):
        again = Run(base.programs, base.apart, site, beside=not shadow)
        error = _tried(f, test, again, shadow)
        jax.effects_barrier()
        if error is None:
            return replace(one, lives=True, apart=again.far)
    return replace(one, lives=True, apart=math.nan)


def _tried(
    f: Any, test: Callable[[Any], object], run: Run, shadow: bool = False
) -> BaseException | None:
    """Return what the test raises on a mutant, or None."""
    is_late = run.site is not None and run.site.primitive == LATE
    value = late(f, run.note_stop) if is_late else rebuilt(f, run.put)
    if shadow:
        value = shadowed(value, f, run.note)
    try:
        with at_first_failure():
            test(value)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pytest's own are no Exception
        return error
    return None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return said if len(said) <= 100 else f"{said[:97]}..."
