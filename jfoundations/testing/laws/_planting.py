"""Programs as data: where an equation of a jaxpr is, and the jaxpr with another in its place.

An equation is found again in another trace, of other shapes, as the k-th of its primitive, counted
from the outside in and from the first to the last.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, JaxprEqn

ROUNDS = 10_000  # of a loop that a mutation may have made endless
CALLS = ("jit", "pjit", "closed_call", "core_call")
BODIES = (*CALLS, "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call")
BODIES += ("while", "scan", "cond")
JAX = str(Path(jax.__file__).parent)

# Where an equation stands: its number, and for each body around it (number, parameter, which).
Place: TypeAlias = tuple[tuple[int, str, int], ...]


def walk(jaxpr: Any) -> Iterator[tuple[Place, "JaxprEqn", tuple[str, int]]]:
    """Yield where each equation is, itself, and how it is found again: the k-th of its name."""
    counts: Counter[str] = Counter()
    for path, eqn in _paths(jaxpr):
        name = eqn.primitive.name
        if _counts_rounds(eqn):
            continue
        yield path, eqn, (name, counts[name])
        counts[name] += 1


def _paths(jaxpr: Any) -> Iterator[tuple[Place, "JaxprEqn"]]:
    for k, eqn in enumerate(jaxpr.eqns):
        yield ((k, "", 0),), eqn
        for name, which, body in _bodies(eqn):
            for path, inner in _paths(_open(body)):
                yield ((k, name, which), *path), inner


def _bodies(eqn: "JaxprEqn") -> Iterator[tuple[str, int, Any]]:
    if eqn.primitive.name not in BODIES:
        return
    platforms = eqn.params.get("branches_platforms")
    for name, value in eqn.params.items():
        bodies = value if isinstance(value, tuple) else (value,)
        for which, body in enumerate(bodies):
            # of branches by platform, the one that is run here
            runs = platforms is None or which == _branch_of(platforms)
            if hasattr(body, "eqns") and runs:
                yield name, which, body


def _branch_of(platforms: tuple[Any, ...]) -> int:
    here = jax.default_backend()
    named = [k for k, names in enumerate(platforms) if names is not None and here in names]
    return named[0] if named else len(platforms) - 1


def _open(body: Any) -> Any:
    return getattr(body, "jaxpr", body)


def bind(eqn: "JaxprEqn", operands: Any, params: dict[str, Any] | None = None) -> Any:
    """Run an equation on other operands, with other parameters."""
    params = eqn.params if params is None else params
    bound = eqn.primitive.get_bind_params(params)
    functions, bound = bound if isinstance(bound, tuple) else ((), bound)  # until jax 0.9
    with eqn.ctx.manager:
        return eqn.primitive.bind(*functions, *operands, **bound)


def loop_of(eqn: "JaxprEqn") -> tuple[int, Callable[..., Any], Callable[..., Any]]:
    """Return how many constants a loop has, its condition and its body."""
    from jax.extend.core import jaxpr_as_fun

    params = eqn.params
    asked, done = params["cond_nconsts"], params["body_nconsts"]
    cond, body = jaxpr_as_fun(params["cond_jaxpr"]), jaxpr_as_fun(params["body_jaxpr"])

    def going(operands: Any, carry: Any) -> Any:
        return cond(*operands[:asked], *carry)[0]

    def once(operands: Any, carry: Any) -> Any:
        return body(*operands[asked : asked + done], *carry)

    return asked + done, going, once


def listed(answer: Any) -> list[Any]:
    """Return the answers of an equation as a list."""
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def like(atom: Any) -> Any:
    """Return the type of an operand."""
    aval = atom.aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def _replaced(eqn: "JaxprEqn", run: Callable[..., Any]) -> "JaxprEqn":
    """Return a call of a function in an equation's place."""
    made = jax.make_jaxpr(jax.jit(lambda *xs: listed(run(*xs))))(*map(like, eqn.invars))
    call = made.jaxpr.eqns[-1]
    return call.replace(invars=eqn.invars, outvars=eqn.outvars, source_info=eqn.source_info)


def _ending(eqn: "JaxprEqn", *operands: Any) -> Any:
    """Run a loop at most so many rounds."""
    n, going, once = loop_of(eqn)

    def goes(counted: Any) -> Any:
        return going(operands, counted[1]) & (counted[0] < ROUNDS)

    def go(counted: Any) -> Any:
        return counted[0] + 1, once(operands, counted[1])

    return lax.while_loop(goes, go, (np.int32(0), list(operands[n:])))[1]


def ending(closed: "ClosedJaxpr") -> "ClosedJaxpr":
    """Return the program with all its loops ending after so many rounds."""
    return _rebodied(closed, _open(_ended(closed.jaxpr)))


def _ended(jaxpr: Any) -> Any:
    eqns = []
    for eqn in jaxpr.eqns:
        for name, which, body in _bodies(eqn):
            eqn = _with_body(eqn, name, which, _rebodied(body, _ended(_open(body))))
        eqns.append(_replaced(eqn, partial(_ending, eqn)) if eqn.primitive.name == "while" else eqn)
    same = all(a is b for a, b in zip(eqns, jaxpr.eqns, strict=True))
    return jaxpr if same else jaxpr.replace(eqns=eqns)


def _rebodied(body: Any, jaxpr: Any) -> Any:
    if _open(body) is jaxpr:
        return body
    return type(body)(jaxpr, body.consts) if hasattr(body, "jaxpr") else jaxpr


def _with_body(eqn: "JaxprEqn", name: str, which: int, body: Any) -> "JaxprEqn":
    old = eqn.params[name]
    if (old[which] if isinstance(old, tuple) else old) is body:
        return eqn
    new = (*old[:which], body, *old[which + 1 :]) if isinstance(old, tuple) else body
    return eqn.replace(params={**eqn.params, name: new})


def planted(jaxpr: Any, path: Place, run: Callable[..., Any]) -> Any:
    """Return a jaxpr with a function in the place of one of its equations."""
    (k, name, which), *rest = path
    eqn = jaxpr.eqns[k]
    if not rest:
        new = _replaced(eqn, run)
    else:
        old = eqn.params[name]
        body = old[which] if isinstance(old, tuple) else old
        new = _with_body(eqn, name, which, _rebodied(body, planted(_open(body), tuple(rest), run)))
    return jaxpr.replace(eqns=[*jaxpr.eqns[:k], new, *jaxpr.eqns[k + 1 :]])


def evaluate(
    jaxpr: Any, consts: Any, operands: Any, path: Place = (), run: Any = None, *, apart: bool
) -> list[Any]:
    """Run a jaxpr, with a function in the place of one equation.

    Args:
        jaxpr: the program.
        consts: its constants.
        operands: its arguments.
        path: where the function is to be.
        run: the function.
        apart: take calls apart and run them equation by equation, so that nothing is compiled anew.
    """
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *operands), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else values[atom]

    at = path[0] if path else (-1, "", 0)
    for k, eqn in enumerate(jaxpr.eqns):
        xs = list(map(read, eqn.invars))
        here = path if k == at[0] else ()
        if len(here) == 1:
            found = run(*xs)
        elif apart and eqn.primitive.name in CALLS:
            ((_, _, body),) = _bodies(eqn)
            consts = getattr(body, "consts", ())
            found = evaluate(_open(body), consts, xs, here[1:], run, apart=True)
        elif here:
            first: Any = (0, *at[1:])
            one = planted(jaxpr.replace(eqns=[eqn]), (first, *path[1:]), run)
            found = bind(one.eqns[0], xs)
        else:
            found = bind(eqn, xs)
        values.update(zip(eqn.outvars, listed(found), strict=True))
    # a literal is a number of Python's
    return [
        np.asarray(atom.val, atom.aval.dtype)[()] if hasattr(atom, "val") else values[atom]
        for atom in jaxpr.outvars
    ]


def where_is(jaxpr: Any, path: Place) -> str:
    """Return the line of source that an equation comes from, outside of JAX, or nothing."""
    said = ""
    for k, name, which in path:
        eqn = jaxpr.eqns[k]
        said = _line(eqn) or said
        if not name:
            break
        old = eqn.params[name]
        jaxpr = _open(old[which] if isinstance(old, tuple) else old)
        # what JAX has traced once for all has the lines of whoever called it first
        if JAX in str(getattr(jaxpr.debug_info, "func_src_info", "")):
            break
    return said


def _line(eqn: "JaxprEqn") -> str:
    frame = _frame(eqn)
    if frame is None or frame.file_name == __file__:
        return ""
    return f"{Path(frame.file_name).name}:{frame.line_num}"


def _frame(eqn: "JaxprEqn") -> Any:
    """Return where in a source outside of JAX an equation comes from, or None."""
    traceback = getattr(eqn.source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()):
        if not frame.file_name.startswith((JAX, "<")):
            return frame
    return None


def _counts_rounds(eqn: "JaxprEqn") -> bool:
    frame = _frame(eqn)
    return bool(frame) and frame.file_name == __file__ and "<locals>.go" in frame.function_name
