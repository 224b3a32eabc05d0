"""A loop resolved: the step's stages and the callbacks' handlers, ready to be traced.

Everything that depends on Python values alone is decided here, once, so that the graph holds only
what some callback really does.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_like, is_weak, settle
from .._core.programs import compiled
from .._core.values import Structural, describe, hold, release
from .._pipes.pipe import Pipe
from .callback import RUN_EVENTS
from .handlers import WHOLE, Caller, caller, cure_of
from .listener import fire, listen, merge_bits


class Carry(NamedTuple):
    """What a loop carries: steps taken, who asked to stop, the state, a memory a callback."""

    step: Any
    mask: Any
    state: Any
    memories: tuple[Any, ...]


@jax.tree_util.register_pytree_node_class
class Program(Structural):
    """The step and the callbacks as one pytree argument: arrays are leaves, functions static."""

    def __init__(self, step: Callable[..., Any], callbacks: tuple[Any, ...]):
        self.step: Callable[..., Any] = step
        self.callbacks: tuple[Any, ...] = callbacks

    def tree_flatten(self) -> tuple[tuple[Any, ...], None]:
        """Return the step and the callbacks as children."""
        return tuple(map(hold, (self.step, *self.callbacks))), None

    @classmethod
    def tree_unflatten(cls, _: None, held: tuple[Any, ...]) -> "Program":
        """Rebuild from the held functions."""
        step, *callbacks = map(release, held)
        return cls(step, tuple(callbacks))


class Plan:
    """One loop's step, listeners and key.

    Args:
        program: the step and the callbacks.
        key: the loop's key, if it has one.
        max_steps: None in a scan's body that was not told.
        x: in a scan's body, the element of this step; None before and after the run.
        feeds: whether the loop has such elements.

    Attributes:
        listeners: the callbacks in their normal form.
        can_stop: whether any callback can ask to stop; None while only tracing a step can tell.
    """

    def __init__(
        self,
        program: Program,
        key: jax.Array | None,
        max_steps: int | None,
        *,
        x: Any = None,
        feeds: bool = False,
    ):
        self.key, self.max_steps = key, max_steps
        self.always: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
        self.always |= {"x": x} if feeds else {}
        given = {*self.always, *(() if key is None else ("key",))}
        step = program.step
        self.pipe = step if isinstance(step, Pipe) else Pipe(step)
        self.staged = isinstance(step, Pipe)
        names = self.pipe.names if self.staged else ()
        _check_stage_names(names)
        self.who = f"the step {self.pipe!r}"
        self.listeners = listen(program.callbacks, names, given)
        self.events = {event for part in self.listeners for event in part.handlers}
        self.stages = [caller(stage, 1, self.who, given, feeds=True) for stage in self.pipe]
        handlers = [h.caller for part in self.listeners for h in part.handlers.values()]
        # Who takes the whole context passes it on, perhaps to one that names the key.
        self.needs_key = any({"key", WHOLE} & c.words for c in (*self.stages, *handlers))
        self.can_stop: bool | None = None
        self.demand_stop = False  # whether a step that cannot stop is not to be guarded
        self.needless = False  # whether the step traced last cannot stop
        self.may_be_stopped = "before_run" in self.events  # whether the mask may be set beforehand
        self.free_axes: frozenset[Any] = frozenset()  # mesh axes along which each may stop alone

    def context(self, step: Any, live: Any) -> dict[str, Any]:
        """Return the context words of one step: its index, its key, whether its lane lives."""
        words = {"step": step, "live": live, **self.always}
        if self.key is not None and self.needs_key:
            words["key"] = jax.random.fold_in(self.key, step)
        return words

    def begin(self, state: Any) -> Carry:
        """Return the carry before the first step: memories made, `before_run` heard."""
        memories = tuple(part.start(state, self.max_steps) for part in self.listeners)
        words = self.context(np.int32(0), True)
        state, memories, bits = fire("before_run", self.listeners, state, memories, words)
        self.may_be_stopped = bits is not False
        return Carry(np.int32(0), np.uint32(0) if bits is False else bits, state, memories)

    def promote(self, state: Any) -> Any:
        """Promote weakly typed leaves as the run will, so that memories are made of its dtypes."""
        if not is_weak(state):
            return state
        words = self.context(np.int32(0), True)
        state = settle(lambda s: self.take_checked(s, words), state)

        def once(pair: tuple[Any, Any]) -> tuple[Any, Any]:
            carry = self.begin(pair[1])
            return pair[0], self.advance(pair[0], carry.state, carry.memories, live=True)[0]

        return settle(once, (np.int32(0), state))[1]

    def grow(self, carry: Carry) -> Carry:
        """Make room, in memories whose size follows `max_steps`, for the steps still to come."""
        memories = list(carry.memories)
        for k, part in enumerate(self.listeners):
            if part.init is not None and "max_steps" in part.init.words:
                fresh = part.start(carry.state, self.max_steps)
                _check_kind(fresh, memories[k], part.who)
                memories[k] = jax.tree.map(_into_corner, fresh, memories[k])
        return carry._replace(memories=tuple(memories))

    def probe(self, carry: Carry) -> Carry:
        """Settle weakly typed leaves, and learn whether the loop can stop, if that is cheap.

        Both take an abstract trace of a step, which strongly typed carries are spared.
        """
        if not self.listeners:
            self.can_stop = self.may_be_stopped
        if not is_weak((carry.state, carry.memories)):
            return carry

        def once(parts: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            state, memories, bits = self.advance(*parts, live=True)
            self.can_stop = bits is not False or self.may_be_stopped
            return parts[0], state, memories

        # The step index is traced: of a concrete 0, `step >= 3` would be a plain False for ever.
        _, state, memories = settle(once, (np.int32(0), carry.state, carry.memories))
        return carry._replace(state=state, memories=memories)

    def advance(self, step: Any, state: Any, memories: Any, *, live: Any) -> tuple[Any, Any, Any]:
        """Take one step with all its events: `(state, memories, bits)`."""
        words = self.context(step, live)
        state, memories, b0 = fire("before_step", self.listeners, state, memories, words)
        new, memories, b1 = self._step(state, memories, words)
        check_like(new, state, self.who)
        new, memories, b2 = fire("after_step", self.listeners, new, memories, words)
        bits = merge_bits(merge_bits(b0, b1), b2)
        self.needless = bits is False
        return new, memories, bits

    def _step(self, state: Any, memories: Any, words: dict[str, Any]) -> tuple[Any, Any, Any]:
        if not self.staged:
            return self.take(state, words), memories, False
        bits: Any = False
        value = state
        for k, name in enumerate(self.pipe.names):
            value, memories, b0 = fire(f"before_{name}", self.listeners, value, memories, words)
            value = self._take_stage(k, value, words)
            value, memories, b1 = fire(f"after_{name}", self.listeners, value, memories, words)
            bits = merge_bits(bits, merge_bits(b0, b1))
        return value, memories, bits

    def take(self, state: Any, words: dict[str, Any]) -> Any:
        """Take the step alone, without events."""
        if not self.staged:
            return self._call(0, state, words)
        for k in range(len(self.stages)):
            state = self._take_stage(k, state, words)
        return state

    def take_checked(self, state: Any, words: dict[str, Any]) -> Any:
        """Take the step alone and check that it keeps the state's structure, shapes and dtypes."""
        new = self.take(state, words)
        check_like(new, state, self.who)
        return new

    def _take_stage(self, k: int, value: Any, words: dict[str, Any]) -> Any:
        return self.pipe.run_stage(k, value, lambda v: self._call(k, v, words))

    def _call(self, k: int, value: Any, words: dict[str, Any]) -> Any:
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

    def jit_stages(self) -> None:
        """Compile the step as one function, or stage by stage where a callback hears stages."""
        between = bool(self.events - set(RUN_EVENTS))
        whole = self.pipe if self.staged else self.pipe.stages[0]
        parts = [self.pipe[k : k + 1] for k in range(len(self.pipe))] if between else [whole]
        words = frozenset({"step", "live"} | ({"key"} if self.needs_key else set()))
        take = [compiled(_take, Program(p, ()), max_steps=self.max_steps) for p in parts]
        self.stages = [Caller(function, words) for function in take]
        if not between:
            self.staged = False

    def finish(self, carry: Carry) -> Carry:
        """Return the carry after the loop: `after_run` heard. Its stop has nothing to stop."""
        words = self.context(carry.step, True)
        fired = fire("after_run", self.listeners, carry.state, carry.memories, words)
        return carry._replace(state=fired[0], memories=fired[1])


def _take(program: Program, state: Any, *, max_steps: int, **words: Any) -> Any:
    words["max_steps"] = max_steps
    return Plan(program, words.get("key"), max_steps).take(state, words)


def _check_kind(fresh: Any, old: Any, who: str) -> None:
    kinds = [
        (jax.tree.structure(m), [(jnp.ndim(x), jax.typeof(x).dtype) for x in jax.tree.leaves(m)])
        for m in (fresh, old)
    ]
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"{who}: its memory was {describe(old)} in the run and would start as "
            f"{describe(fresh)} now; resume with the callbacks the run had"
        )


def _into_corner(fresh: jax.Array, old: jax.Array) -> jax.Array:
    if all(f <= o for f, o in zip(fresh.shape, old.shape, strict=True)):
        return old
    return lax.dynamic_update_slice(fresh.astype(old.dtype), old, (0,) * old.ndim)


def _check_stage_names(names: tuple[str, ...]) -> None:
    if taken := {"run", "step"} & set(names):
        raise ValueError(
            f"a stage named {taken.pop()!r} would make the events before_run, before_step, … "
            "ambiguous; give it another name: Pipe(other=f)"
        )
