"""The functions of a value, each by its name, and what may be done to their answers."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.pytrees import function, pytree, static
from ..._core.types import PyTree
from ..._core.values import Structural, name_of, partial
from ..._folds.blocks import one_by_one
from ..._folds.combined import is_of
from ..._folds.fold import FIELDS, Fold
from ..._folds.rows import kept_by_rows
from ..._loops.callback import Callback, Chain, callback_name, events_of, is_event
from ..._loops.combined import Combined
from ..._loops.handlers import parameters_of
from ..._pipes.learned import learned_in
from ..._pipes.pipe import Pipe

Put = Callable[[str, str, Any], Any]  # name, role, function -> function


class Called(Structural):
    """A function that stands in another's place: with its name and, but for a few, its words.

    A class of it needs a docstring: for one without, `dataclass` asks for the signature of the
    class, and Python 3.11.2 finds that of its instances.
    """

    function: Any

    @property
    def __name__(self) -> str:
        return name_of(self.function)

    @property
    def __signature__(self) -> inspect.Signature:
        found = parameters_of(self.function)
        if found is None:
            raise AttributeError("__signature__")
        return inspect.Signature(self._parameters(found))

    def _parameters(self, found: list[inspect.Parameter]) -> list[inspect.Parameter]:
        return found


@pytree
class Altered(Called):
    """A function with a mutation; what it is given goes to `run.call`."""

    function: Any = function()
    run: Any = static()
    name: str = static()
    role: str = static()

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.run.call(self, args, keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "function":
            raise AttributeError(name)
        return getattr(self.function, name)


def rebuilt(value: Any, put: Put, at: str = "") -> Any:
    """Return a value with each of its functions replaced.

    Args:
        value: a fold, a callback of any kind, a pipe, a function.
        put: `(name, role, function) -> function`.
        at: begins the names.
    """
    if isinstance(value, Fold):
        return _fold(value, put, at)
    if isinstance(value, Chain):
        names = [f"{at}{callback_name(one)}, " for one in value]
        return Chain(tuple(rebuilt(*pair, at=n) for pair, n in _pairs(value, put, names)))
    if isinstance(value, Callback):
        return _callback(value, put, at)
    if isinstance(value, Pipe):
        names = [f"{at}{name}" for name in value.names]
        kept = ((s, n) for s, n in zip(value.stages, names, strict=True))
        return Pipe._make(
            value.names,
            tuple(s if learned_in(s) else rebuilt(s, put, n) for s, n in kept),
        )
    if any(map(is_event, dir(value))):
        events = events_of(value, "mutants")[1]
        heard = {e: put(f"{at}{e}", "event", f) for e, f in events.items()}
        return Callback(None, name=callback_name(value), **heard)
    return put(at, "function", value)


def _pairs(values: Any, put: Put, names: list[str]) -> Any:
    return (((value, put), name) for value, name in zip(values, names, strict=True))


def _fold(fold: Fold[Any], put: Put, at: str) -> Fold[Any]:
    given: dict[str, Any] = {field: getattr(fold, field) for field in FIELDS}
    # what is made of the others is made of them again
    if is_of(fold.block, one_by_one):
        given["block"] = None
    if is_of(fold.block_where, kept_by_rows):
        given["block_where"] = None
    put_in: dict[str, Any] = {
        field: value if value is None else put(f"{at}{field}", field, value)
        for field, value in given.items()
    }
    unmerge = put_in.pop("undo")
    return Fold(**put_in, unmerge=unmerge, name=fold.name)


def _callback(callback: Callback, put: Put, at: str) -> Callback:
    new: Any = object.__new__(type(callback))
    if isinstance(callback, Combined):
        names = [f"{at}{callback_name(one)}, " for one in callback.members]
        members = tuple(rebuilt(*pair, at=n) for pair, n in _pairs(callback.members, put, names))
        predicates = tuple(put(f"{at}predicate", "predicate", p) for p in callback.predicates)
        own = {key: put(f"{at}{key}", "init", init) for key, init in callback.own.items()}
        heard = tuple(event for event, _ in callback.events)
        fixed = callback.name, callback.kind, heard, tuple(own), callback.transparent
        new._put(callback.hear, predicates, own.values(), members, fixed)
        return new
    role = "event" if callback.init is None else "event with memory"
    init = callback.init and put(f"{at}init", "init", callback.init)
    events = tuple((e, f if e == "keep" else put(f"{at}{e}", role, f)) for e, f in callback.events)
    new._set(init, events, callback.name)
    return new


@dataclass(frozen=True)
class Change:
    """What is done to a function's answers.

    Attributes:
        kind: of what sort.
        words: what is done.
        run: `(function, arguments, keywords) -> answer`.
    """

    kind: str
    words: str
    run: Callable[..., Any]


def changes(role: str, args: tuple[Any, ...], answer: PyTree) -> list[Change]:
    """Return what may be done to a function of some role, of such arguments and answer."""
    if role == "function":
        return (
            _of_event(False, args, answer)
            if is_heard(answer)
            else _unchanged("", 0, (), *_two(args, answer))
        )
    if role.startswith("event"):
        return _of_event(role == "event with memory", args, answer)
    if role in ("predicate", "finished"):
        return [_stop("never holds", jnp.zeros_like), _stop("always holds", jnp.ones_like)]
    if role in ("init", "extract"):
        kind = {"init": "init", "extract": "answer"}[role]
        return [
            Change(kind, f"{role}{_key(path)} is off by one", partial(_off, k))
            for k, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(answer))
            if jnp.issubdtype(jnp.result_type(leaf), np.number) or leaf.dtype == bool
        ]
    if role == "step":
        return _unchanged("memory", 0, (), *_two(args, answer))
    if role == "merge":
        found = [Change("merge", "its arguments are swapped", _swap)]
        for k, word in enumerate(("first", "second")):
            what = f"of the {word} alone, "
            found += _unchanged("merge", k, (), args[k], answer, what)
        return found
    if role == "undo":
        return _unchanged("merge", 0, (), *_two(args, answer))
    if role == "block":
        return [Change("skip", "the last element is left out", _shorter)]
    if role == "block_where":
        return [Change("mask", "the mask is not asked", _unasked)]
    return []


def _two(args: tuple[Any, ...], answer: PyTree) -> tuple[Any, Any]:
    return (args[0] if args else None), answer


def is_heard(answer: PyTree) -> bool:
    """Tell whether an answer is a callback's, `(state, stop)`."""
    pair = isinstance(answer, tuple) and len(answer) == 2
    return pair and (answer[1] is False or _is_bool(answer[1]))


def _is_bool(stop: Any) -> bool:
    return hasattr(stop, "dtype") and stop.dtype == np.bool_ and np.shape(stop) == ()


def _of_event(has_memory: bool, args: tuple[Any, ...], answer: Any) -> list[Change]:
    if len(args) < 1 + has_memory or not isinstance(answer, tuple):
        return []
    found = []
    if has_memory:
        found += _unchanged("memory", 0, (0,), args[0], answer[0], "memory")
    found += _unchanged(
        "state", int(has_memory), (int(has_memory),), args[has_memory], answer[-2], "state"
    )
    if _is_bool(answer[-1]):
        found.append(Change("stop", "never stops", partial(_stopping, jnp.zeros_like)))
        found.append(Change("stop", "stops at once", partial(_stopping, jnp.ones_like)))
        if has_memory:
            found.append(Change("stop", "stops one step early", _early))
    return found


def _unchanged(
    kind: str, argument: int, part: tuple[int, ...], old: PyTree, new: PyTree, what: str = ""
) -> list[Change]:
    """Return, for each leaf that changes, the change that leaves it as it is in an argument."""
    if jax.tree.structure(old) != jax.tree.structure(new):
        return []
    found = []
    before = jax.tree.leaves(old)
    for k, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(new)):
        if leaf is before[k] or _type(leaf) != _type(before[k]):
            continue
        words = f"{what}{_key(path)} is not changed"
        found.append(Change(kind or "memory", words, partial(_keep, argument, part, k)))
    return found


def _type(leaf: Any) -> tuple[Any, Any]:
    return np.shape(leaf), jnp.result_type(leaf)


def _key(path: Any) -> str:
    return jax.tree_util.keystr(path)


def _keep(argument: int, part: Any, k: int, f: Any, args: Any, keywords: Any) -> Any:
    answer = f(*args, **keywords)
    whole = answer[part[0]] if part else answer
    leaves, tree = jax.tree.flatten(whole)
    leaves[k] = jax.tree.leaves(args[argument])[k]
    whole = jax.tree.unflatten(tree, leaves)
    return (*answer[: part[0]], whole, *answer[part[0] + 1 :]) if part else whole


def _off(k: int, f: Any, args: Any, keywords: Any) -> Any:
    leaves, tree = jax.tree.flatten(f(*args, **keywords))
    leaf = jnp.asarray(leaves[k])
    leaves[k] = ~leaf if leaf.dtype == bool else leaf + jnp.ones_like(leaf)
    return jax.tree.unflatten(tree, leaves)


def _swap(f: Any, args: Any, keywords: Any) -> Any:
    return f(*args[::-1], **keywords)


def _shorter(f: Any, args: Any, keywords: Any) -> Any:
    if min(len(leaf) for leaf in jax.tree.leaves(args[0])) < 2:
        return f(*args, **keywords)
    return f(jax.tree.map(lambda x: x[:-1], args[0]), *args[1:], **keywords)


def _unasked(f: Any, args: Any, keywords: Any) -> Any:
    return f(args[0], jnp.ones_like(args[1]), *args[2:], **keywords)


def _stop(words: str, made: Any) -> Change:
    return Change("stop", words, partial(_holding, made))


def _holding(made: Any, f: Any, args: Any, keywords: Any) -> Any:
    return made(jnp.asarray(f(*args, **keywords)))


def _stopping(made: Any, f: Any, args: Any, keywords: Any) -> Any:
    *rest, stop = f(*args, **keywords)
    return (*rest, made(stop))


def _early(f: Any, args: Any, keywords: Any) -> Any:
    memory, state, stop = f(*args, **keywords)
    return memory, state, stop | f(memory, state, *args[2:], **keywords)[-1]
