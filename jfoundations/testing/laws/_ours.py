"""The laws of the library's own nouns, each tried exactly, then to its bound."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.types import Function
from ..._core.values import partial
from ..._folds.fold import Fold
from ..._loops.plan import Step
from ..._pipes.pipe import Pipe
from ..checks import assert_abstract_init
from ._chain import chain_monoid
from ._check import NotApplicable
from ._findings import Finding
from ._fold import ULPS, fold
from ._loop import chunking, driver_equivalence, frozen, lane, observer, resume
from ._pipe import pipe
from ._selection import deletion, poison, repetition

Held = Callable[[], None]
TOLERANCE = 40.0  # units in the last place, times the condition of the data; `strategies.tolerance`
CLOSE = 64.0
WIDE = 1024.0
LINES = 4  # of a failure's text


def held(law: str, says: str, *ways: tuple[Held, float]) -> Finding:
    """Return to which bound a law holds, the first of several, or what it says of its failure.

    Args:
        law: its name.
        says: what it says.
        *ways: functions that raise where it fails, and to how many units they hold it.
    """
    why = ""
    for way, bound in ways:
        try:
            way()
            return Finding(law, says, True, not bound, bound, dtypes=(_default(),))
        except NotApplicable as error:
            return Finding(law, says, None, why=str(error))
        except AssertionError as error:
            notes = [note for note in getattr(error, "__notes__", []) if "xplicit" not in note]
            lines = "\n".join([str(error), *notes]).splitlines()
            why = " ".join(" ".join(line.split()) for line in lines[:LINES])
        except Exception as error:  # whatever a function raises inside a law
            why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return Finding(law, says, False, why=why)


def _default() -> str:
    return jnp.dtype(jnp.result_type(float)).name


def of_fold(f: Fold[Any], few: int) -> list[Finding]:
    """Return what is found of a fold of floats."""
    exact = partial(fold, f, rtol=0.0, max_examples=few)
    bounded = partial(fold, f, max_examples=few)
    says = "fold(xs ++ ys) == merge(fold(xs), fold(ys))"
    return [
        held("fold", says, (exact, 0.0), (bounded, float(ULPS))),
        held("abstract_init", "init needs shapes alone",
             (partial(assert_abstract_init, f, jnp.ones(3)), 0.0)),
    ]  # fmt: skip


def of_pipe(p: Pipe[Any, Any], few: int) -> list[Finding]:
    """Return what is found of a pipe of arrays."""
    exact, near = (partial(pipe, p, ulp=ulp, max_examples=few) for ulp in (0.0, CLOSE))
    says = "p == p[:i] >> p[i:], a value that does not retrace"
    return [held("pipe", says, (exact, 0.0), (near, CLOSE))]


def of_callback(callback: Any, few: int) -> list[Finding]:
    """Return what is found of a callback, in a loop of three floats."""
    loops = [
        *_loops((callback,), {}, few),
        held("observer", "states are those without it",
             (partial(observer, callback, max_examples=few), 0.0)),
        held("chain_monoid", "chain(a, chain(b, c)) == chain(chain(a, b), c)",
             (partial(chain_monoid, callback, max_examples=few), 0.0)),
        held("abstract_init", "init needs shapes alone",
             (partial(assert_abstract_init, callback, jnp.ones(3)), 0.0)),
    ]  # fmt: skip
    return loops


def of_step(step: Step[Any], few: int) -> list[Finding]:
    """Return what is found of a loop's step."""
    return _loops((), {"step": step}, few)


def _loops(callbacks: tuple[Any, ...], given: Mapping[str, Any], few: int) -> list[Finding]:
    says = {
        resume: "resume(iterate(k), n) == iterate(n)",
        chunking: "the last of chunks == iterate",
        lane: "vmap(run)(x)[i] == run(x[i])",
        frozen: "a stopped run stays",
    }
    exact, near = (
        partial(driver_equivalence, *callbacks, ulp=ulp, max_examples=few, **given)
        for ulp in (0.0, CLOSE)
    )
    ways = (exact, 0.0), (near, CLOSE)
    found = [held("driver_equivalence", "all drivers answer the same", *ways)]
    for law, words in says.items():
        way = partial(law, *callbacks, max_examples=few, **given)
        found.append(held(law.__name__, words, (way, 0.0)))
    return found


def of_statistic(f: Function, few: int, found: Mapping[str, Finding]) -> list[Finding]:
    """Return what masks and weights do to a statistic of one sample."""
    power = found["homogeneous"].constant if found["homogeneous"].holds else None
    shift = 0 if found["translation_invariant"].holds else None
    shift = 1 if found["translation_equivariant"].holds else shift
    whole = int(power) if power is not None and power == int(power) else None
    # a spread about a rounded mean is not 0 where nothing spreads
    plain = not found["zero_of_constants"].exact
    kind = {"power": whole, "shift": shift, "plain": plain, "max_examples": few}
    loose = WIDE * float(jnp.finfo(jnp.result_type(float)).eps)

    def ways(law: Callable[..., None]) -> list[tuple[Held, float]]:
        bounds = ((0.0, 0.0), (None, TOLERANCE), (loose, WIDE))
        return [(partial(law, f, rtol=rtol, **kind), units) for rtol, units in bounds]

    rows = [
        held("deletion", "f(x, where=mask) == f(x[mask])", *ways(deletion)),
        held("repetition", "f(x, weights=k) == f(repeat(x, k))", *ways(repetition)),
        held("poison", "f(x, where=mask) does not see what is hidden",
             (partial(poison, f, max_examples=few), 0.0)),
    ]  # fmt: skip
    try:
        jax.eval_shape(lambda x, where: f(x, where=where), jnp.ones(3), jnp.ones(3, bool))
    except Exception as error:  # it wants more than the mask, as jnp.max does
        why = str(error).splitlines()[0]
        rows = [replace(one, holds=one.holds or None, why=why) for one in rows]
    return rows
