"""A loop resolved: the step's stages and the callbacks' handlers, ready to be traced.

Everything that depends on Python values alone is decided here, once, so that the graph holds only
what some callback really does. A plan is a frozen value; what only a trace can tell, such as
whether a callback can stop the loop, is in `facts`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from .._core.checks import check_like
from .._core.programs import compiled
from .._core.types import Function, Live, PyTree, Stop
from .._core.values import Structural, describe, hold, node, release
from .._pipes.pipe import Pipe
from .callback import KEEP, RUN_EVENTS, CallbackLike
from .handlers import Caller, Context, caller, cure_of
from .listener import Listener, Mask, Memories, fire, merge_bits, overheard
from .resolve import listen

S = TypeVar("S")


class Step(Protocol[S]):
    """A step of a loop: `state -> state`, pure, of the same structure, shapes and dtypes.

    It may also name context words, which are passed by keyword: `step`, `key`, `live` and
    `max_steps`; and in `as_scan_body` take the element of this step as its second argument.
    """

    def __call__(self, state: S, /, *args: Any, **context: Any) -> S:
        """Return the state after the step."""
        ...


class Carry(NamedTuple):
    """What a loop carries: steps taken, who asked to stop, the state, a memory a callback."""

    step: Any
    mask: Any
    state: Any
    memories: Memories


@node
class StepAndCallbacks(Structural):
    """The step and the callbacks as one pytree argument: arrays are leaves, functions static."""

    def __init__(self, step: Function, callbacks: tuple[CallbackLike, ...]):
        self.step: Callable[..., Any] = step
        self.callbacks: tuple[Any, ...] = callbacks

    def _flatten(self) -> tuple[tuple[Any, ...], None]:
        """Return the step and the callbacks as children."""
        return tuple(map(hold, (self.step, *self.callbacks))), None

    @classmethod
    def _unflatten(cls, _: None, held: tuple[PyTree, ...]) -> "StepAndCallbacks":
        """Rebuild from the held functions."""
        step, *callbacks = map(release, held)
        return cls(step, tuple(callbacks))


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What one loop does; made by `make_plan`.

    Attributes:
        who: how messages call the step.
        pipe: the step, as a Pipe.
        stages: its stages, with the context words that each names.
        staged: whether callbacks may hear the stages; else the step is one function.
        listeners: the callbacks in their normal form.
        words: the context words that are the same in every step.
        key: the loop's key; None where nobody names it.
        max_steps: None in a scan's body that was not told.
    """

    who: str
    pipe: Pipe[Any, Any]
    stages: tuple[Caller, ...]
    staged: bool
    listeners: tuple[Listener, ...]
    words: Context
    key: jax.Array | None
    max_steps: int | None

    def hears(self, event: str) -> bool:
        """Tell whether some callback hears an event."""
        return any(event in part.handlers for part in self.listeners)

    def context(self, step: ArrayLike, live: Live) -> Context:
        """Return the context words of one step: its index, its key, whether its lane lives."""
        words = {"step": step, "live": live, **self.words}
        if self.key is not None:
            words["key"] = jax.random.fold_in(self.key, step)
        return words

    def begin(self, state: PyTree) -> Carry:
        """Return the carry before the first step: memories made, `before_run` heard.

        Its mask is a NumPy 0 where no callback can have asked to stop.
        """
        first: list[Any] = [()] * len(self.listeners)
        for k, part in self._keepers_last():
            first[k] = part.start(state, self.max_steps, self._others(first))
        words = self.context(np.int32(0), True)
        state, memories, bits = fire("before_run", self.listeners, state, tuple(first), words)
        memories = self.keep(np.int32(-1), state, memories, live=True)
        return Carry(np.int32(0), np.uint32(0) if bits is False else bits, state, memories)

    def advance(
        self, step: ArrayLike, state: PyTree, memories: Memories, *, live: Live
    ) -> tuple[PyTree, Memories, Mask]:
        """Take one step with all its events: `(state, memories, who asks to stop)`."""
        words, heard = self.context(step, live), self.listeners
        state, memories, first = fire("before_step", heard, state, memories, words)
        new, within = state, False
        if not self.staged:
            new = self._call(0, new, words)
        for k, name in enumerate(self.pipe.names if self.staged else ()):
            new, memories, before = fire(f"before_{name}", heard, new, memories, words)
            new = self._run_stage(k, new, words)
            new, memories, after = fire(f"after_{name}", heard, new, memories, words)
            within = merge_bits(within, merge_bits(before, after))
        check_like(new, state, self.who)
        new, memories, last = fire("after_step", heard, new, memories, words)
        return new, memories, merge_bits(merge_bits(first, within), last)

    def keep(self, step: ArrayLike, state: PyTree, memories: Memories, *, live: Live) -> Memories:
        """Let those that keep what the loop carries hear it; before the first step, as after -1."""
        if not self.hears(KEEP):
            return memories
        words = {"step": step, "live": live, "others": self._others(memories)}
        return fire(KEEP, self.listeners, state, memories, words)[1]

    def _others(self, memories: Sequence[PyTree]) -> Memories:
        pairs = zip(self.listeners, memories, strict=True)
        return tuple(memory for part, memory in pairs if KEEP not in part.handlers)

    def _keepers_last(self) -> list[tuple[int, Listener]]:
        return sorted(enumerate(self.listeners), key=lambda each: KEEP in each[1].handlers)

    def take(self, state: PyTree, words: Context) -> Any:
        """Take the step alone, without events."""
        if not self.staged:
            return self._call(0, state, words)
        for k in range(len(self.stages)):
            state = self._run_stage(k, state, words)
        return state

    def _run_stage(self, k: int, value: PyTree, words: Context) -> Any:
        return self.pipe.run_stage(k, value, lambda v: self._call(k, v, words))

    def _call(self, k: int, value: PyTree, words: Context) -> Any:
        try:
            return self.stages[k](value, context=words)
        except StopIteration as error:  # on its way it would end a loop in silence
            raise RuntimeError(
                f"{self.who}: it raised StopIteration: a next() in it came to an end"
            ) from error
        except Exception as error:
            if cure := cure_of(error, callback=False):
                error.add_note(f"in {self.who}{cure}")
            raise

    def finish(self, carry: Carry) -> Carry:
        """Return the carry after the loop: `after_run` heard. Its stop has nothing to stop."""
        words = self.context(carry.step, True)
        fired = fire("after_run", self.listeners, carry.state, carry.memories, words)
        return carry._replace(state=fired[0], memories=fired[1])

    def grow(self, carry: Carry) -> Carry:
        """Make room, in memories whose size follows `max_steps`, for the steps still to come."""
        memories = list(carry.memories)
        for k, part in self._keepers_last():
            if part.init is not None and {"max_steps", "others"} & part.init.words:
                fresh = part.start(carry.state, self.max_steps, self._others(memories))
                _check_kind(fresh, memories[k], part.who)
                memories[k] = jax.tree.map(_into_corner, fresh, memories[k])
        # Kept already, unless the result is `again` a start.
        kept = self.keep(carry.step - 1, carry.state, tuple(memories), live=True)
        return carry._replace(memories=kept)

    def noting(self, stops: dict[str, Stop]) -> "Plan":
        """Return the plan whose handlers write down their stops, by the name messages use."""
        noted = tuple(overheard(part, stops.__setitem__) for part in self.listeners)
        return replace(self, listeners=noted)

    def with_compiled_step(self) -> "Plan":
        """Return the plan with its step compiled, stage by stage where a callback hears stages."""
        heard = {event for part in self.listeners for event in part.handlers}
        between = bool(heard - {*RUN_EVENTS, KEEP})
        whole = self.pipe if self.staged else self.pipe.stages[0]
        parts = [self.pipe[k : k + 1] for k in range(len(self.pipe))] if between else [whole]
        words = frozenset({"step", "live"} | ({"key"} if self.key is not None else set()))
        alone = [StepAndCallbacks(part, ()) for part in parts]
        stages = [Caller(compiled(_take, p, max_steps=self.max_steps), words) for p in alone]
        return replace(self, stages=tuple(stages), staged=between)


def make_plan(
    program: StepAndCallbacks,
    key: jax.Array | None,
    max_steps: int | None,
    *,
    x: PyTree = None,
    feeds: bool = False,
) -> Plan:
    """Resolve a step and its callbacks.

    Args:
        program: the step and the callbacks.
        key: the loop's key, if it has one.
        max_steps: None in a scan's body that was not told.
        x: in a scan's body, the element of this step; None before and after the run.
        feeds: whether the loop has such elements.

    Raises:
        TypeError, ValueError: the step or a callback is not one of a loop like this.
    """
    words: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
    words |= {"x": x} if feeds else {}
    given = {*words, *(() if key is None else ("key",))}
    staged = isinstance(program.step, Pipe)
    pipe = program.step if isinstance(program.step, Pipe) else Pipe(program.step)
    names = pipe.names if staged else ()
    if taken := {"run", "step"} & set(names):
        raise ValueError(
            f"a stage named {taken.pop()!r} would make the events before_run, before_step, … "
            "ambiguous; give it another name: Pipe(other=f)"
        )
    who = f"the step {pipe!r}"
    listeners = tuple(listen(program.callbacks, names, given))
    stages = tuple(caller(stage, 1, who, given, feeds=True) for stage in pipe)
    handlers = [h for part in listeners for h in part.handlers.values()]
    keyed = any("key" in c.words for c in (*stages, *handlers))
    return Plan(who, pipe, stages, staged, listeners, words, key if keyed else None, max_steps)


def _take(program: StepAndCallbacks, state: PyTree, *, max_steps: int, **words: PyTree) -> Any:
    """Take a step, or a stage of it, without callbacks and unchecked."""
    plan = make_plan(program, words.get("key"), max_steps)
    words["max_steps"] = max_steps
    return plan.take(state, words)


def _check_kind(fresh: PyTree, old: PyTree, who: str) -> None:
    kinds = [
        (jax.tree.structure(m), [(jnp.ndim(x), jax.typeof(x).dtype) for x in jax.tree.leaves(m)])
        for m in (fresh, old)
    ]
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"{who}: its memory was {describe(old)} in the run and would start as "
            f"{describe(fresh)} now; give the callbacks the run had"
        )


def _into_corner(fresh: jax.Array, old: jax.Array) -> jax.Array:
    if all(f <= o for f, o in zip(fresh.shape, old.shape, strict=True)):
        return old
    return lax.dynamic_update_slice(fresh.astype(old.dtype), old, (0,) * old.ndim)
