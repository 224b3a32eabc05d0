"""What a loop will do, before it is run: its events in order, who may stop it, what it carries.

>>> import jfoundations as jf
>>> step = jf.Pipe(halve=lambda x: x / 2, shift=lambda x: x + 1)
>>> stop = jf.stop_when(lambda x: x < 2.1, name="near")
>>> first = jf.Callback(name="first", before_halve=lambda x: (x, False))
>>> jf.describe_loop(step, stop, jf.callbacks.history(), first, state=9.0, max_steps=100)
event         who hears it, in this order
before_run    -
before_step   -
before_halve  first
halve         the step
after_halve   -
before_shift  -
shift         the step
after_shift   -
after_step    near, history
after_run     -
<BLANKLINE>
carried  may stop in  memory
near     after_step   -
history  -            404 bytes: History(buffer=float32[100], seen=int32[])
first    -            -
state                 4 bytes: float32[]
in all                408 bytes
"""

from __future__ import annotations

import functools
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import jax

from .._core.checks import as_arrays, check_count, check_key, tracing
from .._core.types import PyTree
from .._core.values import describe
from .._pipes.pipe import Pipe
from .callback import KEEP, Callback, CallbackLike, Chain, is_event
from .drivers import strong_counters
from .facts import find_facts, promote
from .handlers import GIVEN
from .iterate import NUMBERS, make_program
from .listener import Listener
from .measure import Cost, cost_table
from .measure import measure as measured
from .plan import Carry, Plan, Step, make_plan
from .resolve import listen
from .tables import brief, show_bytes, size_in_bytes, text_table


@dataclass(frozen=True, repr=False)
class LoopDescription:
    """What `describe_loop` found; as a text, a table.

    Attributes:
        events: in their order, each with the names of the callbacks that hear it; a stage of the
            step stands among them, with `("the step",)`.
        stops: of each callback, the events in which it may ask to stop; None without a state.
        memory: of each callback that has one, its memory's bytes; None without a state.
        state: the state's bytes; None without one.
        shapes: dtypes and shapes of each memory, and of the state, to be read.
        costs: where it was measured, seconds a step and to compile, of the loop as it is under ""
            and of it without each callback, under its name; else None.
    """

    events: tuple[tuple[str, tuple[str, ...]], ...]
    stops: dict[str, tuple[str, ...]] | None
    memory: dict[str, int] | None
    state: int | None
    shapes: dict[str, str]
    costs: dict[str, Cost] | None = None

    def __repr__(self) -> str:
        rows = [["event", "who hears it, in this order"]]
        rows += [[event, ", ".join(names) or "-"] for event, names in self.events]
        text = text_table(rows)
        text = text if self.stops is None else f"{text}\n\n{self._carried()}"
        return text if self.costs is None else f"{text}\n\n{cost_table(self.costs)}"

    def _carried(self) -> str:
        assert self.stops is not None and self.memory is not None and self.state is not None
        rows = [["carried", "may stop in", "memory"]]
        for name, events in self.stops.items():
            held = self._sized(name, self.memory[name]) if name in self.memory else "-"
            rows.append([name, ", ".join(events) or "-", held])
        rows.append(["state", "", self._sized("", self.state)])
        rows.append(["in all", "", show_bytes(self.state + sum(self.memory.values()))])
        return text_table(rows)

    def _sized(self, name: str, size: int) -> str:
        return f"{show_bytes(size)}: {self.shapes[name]}"


def describe_loop(
    step: Step[PyTree],
    *callbacks: CallbackLike,
    state: PyTree = None,
    max_steps: int | None = None,
    key: jax.Array | None = None,
    x: PyTree = None,
    measure: bool = False,
) -> LoopDescription:
    """Describe the loop that `iterate` would run: order of events, stops and memories.

    Nothing is computed: with a state the loop is traced, without one only the events are told.

    With `measure=True` it is also run, and without each callback in turn: what a step takes with
    all and without it, and how long the program takes to compile, as a table. Let a run last some
    milliseconds: what a call costs, some ten microseconds, is in the time of its steps. A callback
    that is joined with others, by `|` say, is left out with them.

    Args:
        step: as in `iterate`, or in `as_scan_body`.
        *callbacks: as in `iterate`.
        state: the first state, or its `jax.ShapeDtypeStruct`s; None for the events alone.
        max_steps: as in `iterate`; may be left out where no callback asks for it.
        key: as in `iterate`.
        x: an element for a step that takes one.
        measure: see above; not inside `jit`. It needs a state of arrays and max_steps, and no x.

    Returns:
        A description whose `repr` is the table.

    Raises:
        TypeError, ValueError: as `iterate`; what measure needs is missing.

    >>> import jfoundations as jf
    >>> loss = lambda x: x * x
    >>> heard = jf.callbacks.best(loss), jf.callbacks.early_stopping(loss, patience=3)
    >>> found = describe_loop(lambda x: x / 2, *heard, state=1.0)
    >>> found.stops, found.memory
    ({'best': (), 'early_stopping': ('after_step',)}, {'best': 8, 'early_stopping': 8})
    >>> slow = describe_loop(lambda x: x / 2, *heard, state=1.0, max_steps=9, measure=True)
    >>> list(slow.costs), slow.costs["best"].step > 0
    (['', 'best', 'early_stopping'], True)
    """
    if max_steps is not None:
        max_steps = check_count(max_steps, "max_steps", "describe_loop")
    check_key(key, "describe_loop")
    shaped = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(state))
    if measure and (state is None or shaped or max_steps is None or x is not None):
        raise ValueError(
            "describe_loop: to measure the loop it is run by iterate; give a state of arrays and "
            "max_steps, and no x"
        )
    if measure and tracing():
        raise TypeError("describe_loop: measure runs the loop by the clock, not inside jit")
    for value in callbacks:
        if _is_state(value):
            raise TypeError(
                f"describe_loop: {brief(value)} is no callback; a state goes by keyword: "
                "describe_loop(step, state=…)"
            )
    program = make_program(step, callbacks, "describe_loop")
    stages = step.names if isinstance(step, Pipe) else None
    parts = listen(program.callbacks, stages or (), GIVEN)
    events = tuple(_events(stages, parts))
    if state is None:
        return LoopDescription(events, None, None, None, {})
    plan = make_plan(program, key, max_steps, x=x, feeds=x is not None)
    if not shaped:
        state = as_arrays(state, "describe_loop")
    carry, stops = jax.eval_shape(functools.partial(_trace_run, plan), state)
    held = zip(plan.listeners, carry.memories, strict=True)
    memories = {part.name: memory for part, memory in held if part.init is not None}
    stops_of = {p.name: tuple(e for e, _ in events if _stops(p, e, stops)) for p in parts}
    costs = None
    if measure and max_steps is not None:
        costs = measured(program, tuple(stops_of), state, key, max_steps)
    return LoopDescription(
        events,
        stops_of,
        {name: size_in_bytes(memory) for name, memory in memories.items()},
        size_in_bytes(carry.state),
        {name: describe(memory) for name, memory in ({"": carry.state} | memories).items()},
        costs,
    )


def _is_state(value: object) -> bool:
    """Tell whether something in a callback's place is made of numbers alone."""
    if callable(value) or isinstance(value, Callback | Chain) or any(map(is_event, dir(value))):
        return False
    leaves = jax.tree.leaves(value)
    return bool(leaves) and all(
        isinstance(leaf, (*NUMBERS, jax.ShapeDtypeStruct)) for leaf in leaves
    )


def _events(stages: tuple[str, ...] | None, parts: list[Listener]) -> Any:
    """Yield the events of a run in their order, each with those who hear it."""
    middle = [f"{w}{s}" for s in stages or () for w in ("before_", "", "after_")]
    keep = [KEEP] if any(KEEP in part.handlers for part in parts) else []
    steps = "before_step", *(middle or ["step"]), "after_step", *keep
    for event in ("before_run", *steps, "after_run"):
        if event in (stages or ("step",)):
            yield event, ("the step",)
        else:
            yield event, tuple(part.name for part in parts if event in part.handlers)


def _stops(part: Listener, event: str, stops: Container[str]) -> bool:
    return event in part.handlers and part.handlers[event].who in stops


def _trace_run(plan: Plan, state: PyTree) -> tuple[Carry, dict[str, int]]:
    """Return what the loop carries, and the names of the handlers that may ask to stop."""
    stops: dict[str, Any] = {}
    ends = plan.noting(stops)
    carry = strong_counters(ends.begin(promote(plan, state)))
    carry, facts = find_facts(plan, carry, free=False, reverse=False)
    ends.finish(carry)
    able = [who for who, stop in stops.items() if stop is not False]
    return carry, dict.fromkeys((*able, *facts.stops), 0)
