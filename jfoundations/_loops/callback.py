"""Callbacks: pure functions that look at a loop's state, may change it, and may ask to stop.

The simplest is a function `state -> (state, stop)`. `chain` puts callbacks one after another and
is a monoid: `chain(chain(a, b), c)` and `chain(a, chain(b, c))` are the same value, and `proceed`
is its do-nothing.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> clip = lambda x: (jnp.clip(x, 0.0, 1.0), False)
>>> small = lambda x: (x, x < 0.1)
>>> both = jf.chain(clip, small)
>>> state, stop = both(jnp.float32(0.05))
>>> float(state), bool(stop)
(0.05000000074505806, True)
>>> jf.chain(jf.proceed, clip) is clip
True
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
from jax.typing import ArrayLike

from .._core.checks import nearest
from .._core.shown import settings_of
from .._core.types import Function, PyTree
from .._core.values import Structural, hold, hold_function, is_key, maker_of, name_of, node, release

MAKERS = "jfoundations.callbacks.", "jfoundations._loops.combinators"
RUN_EVENTS = ("before_run", "before_step", "after_step", "after_run")
# Heard once before the first step, and when all callbacks have heard a step; it may name `others`,
# the memories of those that do not hear it, and changes its own memory alone.
KEEP = "keep"

# Hears an event: `state -> (state, stop)`, or `(memory, state) -> (memory, state, stop)`.
EventFunction: TypeAlias = Callable[..., tuple[PyTree, ...]]
# `state -> bool scalar`; like all of a loop's functions it may also name context words, as `step`.
Predicate: TypeAlias = Callable[..., ArrayLike]


@node
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Callback(Structural):
    """A callback with memory, or with events of its choice.

    With `init`, memory is carried through the loop and returned in `LoopResult.memory`: each event
    is `(memory, state) -> (memory, state, stop)`. Without, each event is `state -> (state, stop)`.

    The events are `before_run`, `before_step`, `after_step` and `after_run`; when the step is a
    Pipe, also `before_NAME` and `after_NAME` of each of its stages, which see that stage's input
    and output in the state's place. Functions here may be pytrees (`jfoundations.partial`): their
    arrays are leaves of the callback, so a sweep over them is one trace and may be vmapped.

    Args:
        init: `state -> memory`, a pytree of arrays whose shapes and dtypes stay as they are; it
            may name `max_steps`.
        name: how results and messages call it.
        **events: the functions, by event.

    Raises:
        TypeError: a keyword is no event's name, a value not callable, or the name no str.

    >>> import jfoundations as jf
    >>> count = jf.Callback(
    ...     lambda state: 0, name="count", after_step=lambda n, state: (n + 1, state, False))
    >>> int(jf.iterate(lambda x: x / 2, 1.0, count, max_steps=5).memory["count"])
    5
    """

    init: Callable[..., PyTree] | None
    events: tuple[tuple[str, Function], ...]
    name: str

    def __init__(
        self,
        init: Callable[..., PyTree] | None = None,
        *,
        name: str = "callback",
        **events: EventFunction,
    ):
        check_name(name, "Callback")
        for event, function in events.items():
            if not event.startswith(("before_", "after_")) and event != KEEP:
                raise TypeError(
                    f"Callback {name}: {event!r} is no event; known are {', '.join(RUN_EVENTS)}, "
                    f"and before_NAME, after_NAME of a Pipe's stages{nearest(event, RUN_EVENTS)}"
                )
            if not callable(function):
                raise TypeError(f"Callback {name}: {event} is {function!r}, which is not callable")
        if init is not None and not callable(init):
            raise TypeError(
                f"Callback {name}: init is {init!r}, which is not callable; give a function "
                "state -> memory"
            )
        self._set(init, tuple(sorted(events.items())), name)

    def _set(
        self,
        init: Callable[..., PyTree] | None,
        events: tuple[tuple[str, Function], ...],
        name: str,
    ) -> None:
        for field, value in (("init", init), ("events", events), ("name", name)):
            object.__setattr__(self, field, value)

    def _flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], Hashable]:
        """Return the functions as children (plain ones static), and the names as structure."""
        named = (("init", self.init), *self.events)
        names = tuple(n for n, _ in self.events)
        keyed = [(jax.tree_util.GetAttrKey(n), hold_function(f)) for n, f in named]
        return keyed, (names, self.name)

    @classmethod
    def _unflatten(cls, structure: Any, held: tuple[Any, ...]) -> Callback:
        """Rebuild from the functions and names."""
        names, name = structure
        init, *functions = [release(part) for part in held]
        callback = object.__new__(cls)
        callback._set(init, tuple(zip(names, functions, strict=True)), name)
        return callback

    def _set_in(self) -> tuple[object, ...]:
        """Return what holds the settings that a repr shows."""
        return self.init, *(function for _, function in self.events)

    def __repr__(self) -> str:
        events = ", ".join(event for event, _ in self.events) or "no events"
        settings = settings_of(*self._set_in())
        return f"Callback({self.name}: {events}{settings})"


# A function `state -> (state, stop)`, a `Callback`, or an object with methods named as events are:
# any of them, which no type can say.
CallbackLike: TypeAlias = Callable[..., tuple[PyTree, ArrayLike]] | Callback | object


def proceed(state: PyTree) -> tuple[PyTree, bool]:
    """Change nothing and never stop: the do-nothing of `chain`.

    >>> proceed(1.0)
    (1.0, False)
    """
    return state, False


@node
@dataclass(frozen=True, eq=False, repr=False)
class Chain(Structural):
    """Two or more callbacks, one after another; made by `chain`, always flat."""

    callbacks: tuple[CallbackLike, ...]

    def _flatten(self) -> tuple[tuple[Any, ...], None]:
        """Return the callbacks as children, plain functions static."""
        return tuple(map(hold, self.callbacks)), None

    @classmethod
    def _unflatten(cls, _: None, held: tuple[PyTree, ...]) -> Chain:
        """Rebuild from the callbacks."""
        return cls(tuple(map(release, held)))

    def __call__(self, state: PyTree) -> tuple[PyTree, Any]:
        """Run callbacks that are plain functions on a state, one after another.

        Raises:
            TypeError: one of them has memory or events of its choice, which only a loop can serve.
        """
        stop: Any = False
        for callback in self.callbacks:
            if isinstance(callback, Callback) or not callable(callback):
                raise TypeError(
                    f"{self!r}: {callback_name(callback)} is no plain function state -> (state, "
                    "stop), so the chain cannot be called; give it to iterate"
                )
            answer: Any = callback(state)
            state, asked = answer
            stop = asked if stop is False else stop | asked
        return state, stop

    def __iter__(self) -> Iterator[Any]:
        return iter(self.callbacks)

    def __len__(self) -> int:
        return len(self.callbacks)

    def __getitem__(self, k: int) -> Any:
        return self.callbacks[k]

    def __repr__(self) -> str:
        return f"chain({', '.join(map(callback_name, self.callbacks))})"


def chain(*callbacks: CallbackLike) -> Any:
    """Put callbacks one after another, in the order given; stops are merged by OR.

    Every callback runs, also after one has asked to stop. Chains are flat and `proceed` leaves no
    trace, so `chain` is a monoid: no callbacks give `proceed`, one gives itself.

    Args:
        *callbacks: functions, objects with event methods, `Callback`s or chains.

    Returns:
        One callback.

    >>> chain() is proceed, len(chain(chain(abs, min), max))
    (True, 3)
    """
    flat = flatten(callbacks)
    return proceed if not flat else flat[0] if len(flat) == 1 else Chain(flat)


def flatten(callbacks: tuple[CallbackLike, ...]) -> tuple[CallbackLike, ...]:
    """Return the callbacks with chains opened and `proceed` left out."""
    flat: list[CallbackLike] = []
    for callback in callbacks:
        if isinstance(callback, Chain):
            flat += callback.callbacks
        elif callback is not proceed:
            flat.append(callback)
    return tuple(flat)


def callback_name(callback: object) -> str:
    """Return the name by which results and messages speak of a callback."""
    return callback.name if isinstance(callback, Callback) else name_of(callback)


def check_name(name: object, who: str) -> str:
    """Return a callback's name, or say what is wrong with it."""
    if not isinstance(name, str) or not name:
        raise TypeError(f"{who}: name is {name!r}; it must be a non-empty str")
    return name


def is_event(name: str) -> bool:
    """Tell whether a method of that name hears an event."""
    return name.startswith(("before_", "after_"))


def events_of(
    callback: CallbackLike, who: str
) -> tuple[Callable[..., PyTree] | None, dict[str, Function]]:
    """Return a callback's `init` (or None) and its functions by event."""
    if isinstance(callback, Callback):
        return callback.init, dict(callback.events)
    if isinstance(callback, type):
        name = callback.__name__
        raise TypeError(f"{who}: it is the class {name} itself; give an instance of it: {name}(…)")
    methods = {
        event: method
        for event in dir(callback)
        if is_event(event) and callable(method := getattr(callback, event, None))
    }
    if methods:
        return None, methods
    if name := maker_of(callback, *MAKERS):
        raise TypeError(f"{who}: {name} itself is no callback but makes one; call it: {name}(…)")
    if name := maker_of(callback, "jfoundations.folds"):
        raise TypeError(f"{who}: {name} makes a fold; to feed one, give watch(folds.{name}(…))")
    if callable(callback):
        return None, {"after_step": callback}
    raise TypeError(
        f"{who}: {callback!r} is no callback; give a function state -> (state, stop), an object "
        f"with methods among {', '.join(RUN_EVENTS)}, or a Callback (proceed does nothing)"
        f"{_cure(callback)}"
    )


def _cure(wrong: object) -> str:
    if isinstance(wrong, list | tuple):
        return "; unpack several: *callbacks"
    if type(wrong).__name__ == "Fold":
        return "; of a fold, watch(fold) makes one"
    if is_key(wrong):
        return "; a key is given by its name, key=…"
    return ""
