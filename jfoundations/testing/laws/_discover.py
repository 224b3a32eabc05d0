"""Which laws a function keeps, found by trying them all."""

from __future__ import annotations

import functools
import inspect
import warnings
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ..._core.types import Function, PyTree
from ..._core.values import name_of, partial
from ..._folds.fold import Fold
from ..._loops.callback import RUN_EVENTS, Callback
from ..._pipes.pipe import Pipe
from ._algebra import LAWS, Law, Sides
from ._attempt import Subject, conditioned, find
from ._draws import Draws, domain_of
from ._findings import Finding, Findings
from ._lanes import Batched
from ._ours import of_callback, of_fold, of_pipe, of_statistic, of_step
from ._pairs_of_arrays import ALONE, PAIRS, InOne
from ._transformed import transforms

LANES = 1024  # how many examples at once
SLOWLY = 32  # how many examples of a function that cannot be traced
OTHERS = (jnp.bfloat16, jnp.int32, jnp.complex64)


def discover(
    f: Any,
    *,
    inverse: Function | None = None,
    arrays: int | None = None,
    shape: tuple[int, ...] = (5,),
    dtype: DTypeLike | None = None,
    dtypes: tuple[DTypeLike, ...] = OTHERS,
    max_examples: int = 4096,
    seed: int = 0,
) -> Findings:
    """Return which laws a function keeps: exactly, or to which bound, and on what it fails.

    A function of one array or of two is tried on the laws of algebra (linear, homogeneous, odd,
    monotone, idempotent, …), on orders of its elements, and under `jit`, `vmap`, `grad` and, where
    there are several devices, on a mesh. What it is, is seen by its signature: the parameters that
    have no default are the arrays. A statistic with `where=` or `weights=` is held to `deletion`,
    `poison` and `repetition` as well, a function of `state` to the laws of a loop's step; a fold, a
    callback, a pipe to all that its noun promises.

    *Exact* is a law whose two sides are equal on every example on which nothing outside of f is
    rounded: f(x + c) is asked to be f(x) where x + c is exact. Else, and on the other examples, it
    holds to so many units in the last place of `|f(x)| + |f′(x)|·|x|`, which is what a rounding of
    the inputs does to a sound function; 64 of them are the most that passes for rounding, and what
    is reported is four times what was seen, rounded up to a power of two. A law that fails
    is reported with the smallest failure: of few elements, then of small integers.

    On ill-conditioned data: *offset to* `1e+06` is a law that holds of normal numbers moved by 0,
    1, 10, … 1e6 times their spread, to no more than those 64 units. A law that fails may hold of a
    small offset, as `f(x[order]) == f(x)` of a textbook's variance.

    What holds of all examples drawn may fail of others: a report is no proof. The examples follow
    from the seed alone. They are those for which f is a number, of five domains the first.

    Args:
        f: of one or two arrays, to an array or a pytree of arrays; or a Fold, a Callback, a Pipe.
        inverse: another function, which is tried on leading back from f.
        arrays: how many arrays f takes, where its signature does not say.
        shape: of the arrays.
        dtype: in which the laws are found; by default JAX's default float.
        dtypes: others, in which the laws found are tried again.
        max_examples: of each law; those that are tried by Hypothesis take one in eighty, and an
            order that seems exact eight times as many.
        seed: of the draws.

    Returns:
        `Findings`: they print as a table, have a `Finding` for each law's name, and write a pytest
        file, `write(path)`.

    Raises:
        TypeError: f is no function of one or two arrays, or answers none.
        ValueError: there are no examples, or no elements; f answers one input now so, now so.

    >>> report = discover(jnp.sort, dtypes=())
    >>> report["permutation_invariant"].verdict, report["idempotent"].verdict
    ('exact', 'exact')
    >>> report["odd"]
    odd: fails, f(-x) == -f(x); [-1., 0.] and [ 0., -1.], x = [1., 0.]
    """
    if not isinstance(shape, tuple):
        raise TypeError(f"discover: shape is {shape!r}; give a tuple, as (5,)")
    kind = _dtype(float if dtype is None else dtype)
    if kind.kind == "b" or not jnp.issubdtype(kind, jnp.number):
        raise ValueError(f"discover: dtype is {kind}; laws are tried of integers, floats, complex")
    given = {"inverse": inverse, "arrays": arrays, "shape": shape, "dtype": dtype, "dtypes": dtypes,
             "max_examples": max_examples, "seed": seed}  # fmt: skip
    if max_examples < 1:
        raise ValueError(f"discover: max_examples is {max_examples}; it takes one at least")
    defaults = inspect.signature(discover).parameters
    options = {k: _plain(v) for k, v in given.items() if v is not defaults[k].default}
    few = max(2, max_examples // 80)
    found, plain = _by_noun(f, few)
    about = f"{few} examples of each law"
    if plain is not None:
        taken = 1 if plain is not f else arrays_of(plain) if arrays is None else arrays
        noun, plain = plain, _function(plain, name_of(f))
        batch = Batched(plain, seed)
        ones = [np.ones((1, *shape), kind)] * taken
        batch.trace(*ones)
        _is_taken(batch, ones)
        lanes = min(max_examples, SLOWLY if batch.slow else LANES)
        turns = 1 if batch.slow else -(-max_examples // lanes)
        domain = domain_of(batch, taken, shape, kind, lanes)
        subject = Subject(plain, batch, taken, shape, kind, domain, lanes, seed)
        # examples go where there are no numbers
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found += _of_arrays(subject, inverse, tuple(map(_dtype, dtypes)), turns)
        if noun is f:
            found += _of_words(f, found, few)
        words = f"{kind.name}[{','.join(map(str, shape))}]"
        about = f"{words}, {domain}, {lanes * turns} examples, seed {seed}"
    return Findings(name_of(f), about, tuple(found), f, options)


def _dtype(dtype: DTypeLike) -> np.dtype:
    return np.dtype(jnp.result_type(dtype))  # 64 bits are 32 where JAX has no others


def _function(f: Function, name: str) -> Function:
    # JAX crashes on callables that cannot be referenced weakly, as NumPy's functions
    def call(*arrays: PyTree) -> PyTree:
        return f(*arrays)

    call.__name__ = name
    return call


def _is_taken(batch: Batched, ones: list[np.ndarray]) -> None:
    """Say of what a function raises that it did so on arrays of the shape asked for."""
    if not ones[0].size:
        raise ValueError(f"discover: arrays of shape {ones[0].shape[1:]} have no elements")
    try:
        if not jax.tree.leaves(batch.run(*ones)):
            raise TypeError(f"discover: {name_of(batch.f)} answers no array")
        first, again = (batch.f(*(jax.device_put(one[0]) for one in ones)) for _ in range(2))
    except Exception as error:
        shape = ones[0].shape[1:]
        error.add_note(
            f"discover: {name_of(batch.f)} was called with {ones[0].dtype}s of shape {shape}, "
            f"{'two arrays' if len(ones) > 1 else 'one array'} of them; shape=, dtype= and arrays= "
            "say what it takes, and a lambda fixes what is no array of data: lambda x: f(key, x); "
            "a fold of elements of another kind is tried by laws.fold(f, elements)"
        )
        raise
    same = jax.tree.map(lambda a, b: bool(jnp.all((a == b) | (a != a))), first, again)
    if not all(jax.tree.leaves(same)):
        raise ValueError(
            f"discover: {name_of(batch.f)} answers two calls on one input differently, and laws "
            "are of pure functions; make what it draws or counts an argument, and fix that: "
            "lambda x: f(key, x)"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and not all(isinstance(v, int) for v in value):
        return tuple(_dtype(v).name for v in value)
    return _dtype(value).name if isinstance(value, type | np.dtype) else value


def _by_noun(f: Any, few: int) -> tuple[list[Finding], Function | None]:
    """Return what is found of a noun, and it as a function of arrays, if it is one."""
    if isinstance(f, Fold):
        return of_fold(f, few), partial(_folded, f)
    if isinstance(f, Pipe):
        return of_pipe(f, few), f
    if isinstance(f, Callback) or any(hasattr(f, event) for event in RUN_EVENTS) or _asks(f):
        return of_callback(f, few), None
    if not callable(f):
        raise TypeError(f"discover: {f!r} is no function, fold, callback or pipe")
    return [], f


def _folded(f: Fold[Any], xs: jax.Array) -> Any:
    return f.extract(f.block(xs))


def _asks(f: Any) -> bool:
    """Tell whether a function is a callback: `state -> (state, stop)`."""
    state = jax.ShapeDtypeStruct((3,), jnp.result_type(float))
    try:
        after, stop = jax.eval_shape(f, state)
        return after.shape == state.shape and stop.shape == () and stop.dtype == bool
    except Exception:  # of another kind
        return False


def arrays_of(f: Function) -> int:
    """Return how many arrays a function takes, by its signature.

    >>> arrays_of(jnp.sin), arrays_of(jnp.add), arrays_of(lambda x, y, *, scale=1.0: x)
    (1, 2, 2)
    >>> arrays_of(functools.partial(jnp.clip, min=0))  # of which all have defaults
    1
    """
    if isinstance(f, partial):
        f = functools.partial(f.func, *f.args, **f.keywords)
    known = getattr(getattr(f, "func", f), "nin", None)
    if isinstance(known, int):
        return known - len(getattr(f, "args", ()))
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        parameters = None
    if parameters is not None:
        needed = [p for p in parameters if p.default is p.empty]
        named = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
        if named:
            raise TypeError(
                f"discover: {name_of(f)} needs {', '.join(named)} by keyword; fix it: "
                f"jf.partial({name_of(f)}, {named[0]}=…)"
            )
        first = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        known = sum(p in needed for p in first) or len(first[:1])
    if known not in (1, 2):
        raise TypeError(
            f"discover: {name_of(f)} takes {known if known is not None else 'unknown'} arrays by "
            "its signature, and laws are tried of functions of one or two; say arrays=1, or fix "
            "the others by jf.partial or a lambda"
        )
    return known


def _of_arrays(
    subject: Subject, inverse: Function | None, dtypes: tuple[np.dtype, ...], turns: int
) -> list[Finding]:
    laws = _laws(subject, inverse)
    d = subject.draws()
    rows = laws(subject, d)
    found = [find(law, f, subject, d, name) for name, law, f in rows]
    for turn in range(1, turns * max(law.times for _, law, _ in rows)):
        pairs = enumerate(zip(found, rows, strict=True))
        asked = [
            k
            for k, (one, (_, law, _)) in pairs
            if one.holds and turn < turns * (law.times if one.exact else 1)
        ]
        if not asked:
            break
        more = subject.draws(turn)
        rows = laws(subject, more)
        for k in asked:
            name, law, f = rows[k]
            now = find(law, f, subject, more, name, before=found[k])
            found[k] = found[k] if now.holds is None else now
    if subject.offsets:
        moved = subject.moved()
        also = zip(laws(subject, moved), found, strict=True)
        found = [conditioned(law, f, subject, moved, one) for (_, law, f), one in also]
    found += transforms(subject, d)
    held = {one.law for one in found if one.holds}
    for dtype in dtypes:
        if dtype == subject.dtype:
            continue
        other = replace(subject, dtype=dtype)
        try:
            d = other.draws()
            subject.batch(*[d.x, d.y][: subject.arrays])
        except Exception:  # the function takes no such dtype
            continue
        also = {
            name
            for name, law, f in laws(other, d)
            if name in held and find(law, f, other, d, name).holds
        }
        found = [
            replace(one, dtypes=(*one.dtypes, dtype.name)) if one.law in also else one
            for one in found
        ]
    return found


def _laws(subject: Subject, inverse: Function | None) -> Any:
    """Return the laws to try, as a function of a subject and its draws."""
    back = Batched(inverse, subject.seed) if inverse is not None else None

    def laws(subject: Subject, d: Draws) -> list[tuple[str, Law, Function]]:
        f = subject.batch
        if subject.arrays == 1:
            found = [(name, law, f) for name, law in LAWS.items()]
            if back is not None:
                law = Law("inverse", "g(f(x)) == x", ("x",), partial(_leads_back, back))
                found.append(("inverse", law, f))
            return found
        found = [(name, law, f) for name, law in PAIRS.items()]
        for place, word in enumerate("xy"):
            found += [(f"{name} in {word}", LAWS[name], InOne(f, d.w, place)) for name in ALONE]
        return found

    return laws


def _leads_back(g: Batched, f: Batched, d: Draws, _: Any) -> Sides:
    g.step = f.step
    return g(f(d.x)), d.x


def _of_words(f: Function, found: list[Finding], few: int) -> list[Finding]:
    """Return the laws of what a signature's words promise: a statistic's, a step's."""
    by_name = {one.law: one for one in found}
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        return []
    more = []
    reduces = "homogeneous" in by_name and not by_name["shape"].holds
    if {"where", "weights"} & set(names) and reduces:
        more += of_statistic(f, few, by_name)
    if names[:1] == ["state"] and by_name["shape"].holds and by_name["dtype"].holds:
        more += of_step(f, few)
    return more
