"""Callbacks within a loop that someone else writes: a body for `lax.scan`, and a carry for it.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> towards = lambda mean, x: mean + 0.5 * (x - mean)
>>> near = jf.stop_when(lambda mean: mean > 0.9, name="near")
>>> body = jf.as_scan_body(towards, near, of=lambda mean: mean)
>>> carry, means = jax.lax.scan(body, body.init(0.0), jnp.ones(6))
>>> means.tolist()
[0.5, 0.75, 0.875, 0.9375, 0.9375, 0.9375]
>>> result = body.result(carry)
>>> int(result.steps), result.reasons
(4, ('near',))
"""

from __future__ import annotations

from typing import Any

import jax
from jax import Array, lax

from .._core.checks import as_arrays, check_count, check_function, check_key
from .._core.compat import on_a_mesh
from .._core.types import PyTree, View
from .._core.values import Structural, describe, hold, node, release
from .callback import CallbackLike, callback_name
from .drivers import skip_or_step, strong_counters
from .facts import find_facts, is_weak, promote, take_step, trace_step
from .handlers import NoElement
from .iterate import make_program, to_carry, to_result
from .plan import Carry, Plan, Step, StepAndCallbacks, make_plan
from .result import LoopResult


def as_scan_body(
    step: Step[PyTree],
    *callbacks: CallbackLike,
    max_steps: int | None = None,
    key: jax.Array | None = None,
    of: View | None = None,
) -> ScanBody:
    """Make a step with callbacks the body of a `lax.scan`, or of any loop of your own.

        body = as_scan_body(step, *callbacks)
        carry, ys = lax.scan(body, body.init(state), xs)
        result = body.result(carry)

    After a stop the steps are skipped and the carry stays as it is, under `vmap` lane by lane. With
    `max_steps` the length of the scan, `result` has the bits of `iterate`. The scan may be nested,
    vmapped, differentiated in reverse, cut in two at any carry, or be no scan: `body(carry)` is one
    step of any loop, `body.going(carry)` says whether another is wanted.

    The element of `xs` is the step's second argument, whatever its name: `step(state, x)`. Stages
    of a Pipe may take it so too, and callbacks by the name `x`; it is None before and after the
    run.

    Args:
        step: as in `iterate`; or `(state, x) -> state`.
        *callbacks: as in `iterate`.
        max_steps: what callbacks are told, such as a `history` without a capacity. It limits
            nothing: that is up to the loop.
        key: as in `iterate`.
        of: `state -> y`, for the scan to stack; of the state after the step and its callbacks.

    Returns:
        A `ScanBody`, a pytree.

    Raises:
        TypeError, ValueError: as `iterate`; or a callback names `max_steps` or `x` in vain.

    >>> import jfoundations as jf
    >>> body = as_scan_body(lambda x: 2 * x, jf.callbacks.history(capacity=9))
    >>> carry, _ = jax.lax.scan(body, body.init(1), None, length=3)
    >>> body.result(carry).memory["history"].values
    array([2, 4, 8], dtype=int32)
    """
    if max_steps is not None:
        max_steps = check_count(max_steps, "max_steps", "as_scan_body")
    if of is not None:
        check_function(of, "of", "as_scan_body", "a function state -> y, or None")
    check_key(key, "as_scan_body")
    return ScanBody(make_program(step, callbacks, "as_scan_body"), key, of, max_steps)


@node
class ScanBody(Structural):
    """A step with callbacks, called as `(carry, x) -> (carry, y)`; made by `as_scan_body`.

    A carry is a pytree whose `state` is the state and whose `step` counts the steps taken.
    """

    def __init__(
        self, program: StepAndCallbacks, key: Array | None, of: View | None, max_steps: int | None
    ):
        self._program, self._key, self._of, self._max_steps = program, key, of, max_steps

    def _flatten(self) -> tuple[tuple[Any, ...], int | None]:
        """Return the arrays of step and callbacks as children, plain functions static."""
        return (self._program, self._key, hold(self._of)), self._max_steps

    @classmethod
    def _unflatten(cls, max_steps: int | None, children: tuple[PyTree, ...]) -> ScanBody:
        """Rebuild from the held functions."""
        program, key, of = children
        return cls(program, key, release(of), max_steps)

    def init(self, state: PyTree) -> Carry:
        """Return the carry to start from: memories made, `before_run` heard.

        Python numbers in the state are promoted as in `iterate`; where the step takes an `x`, which
        is not known yet, they become the default dtypes.
        """
        state = as_arrays(state, "as_scan_body")
        try:
            plan = self._plan()
            carry = strong_counters(plan.begin(promote(plan, state)))
        except NoElement:
            carry = self._plan(feeds=True).begin(jax.tree.map(_strong, state))
            return strong_counters(carry)
        if is_weak(carry) or on_a_mesh():  # a scan's carry keeps its types
            carry, _ = find_facts(plan, carry, free=False, reverse=True)
        return carry

    def resume(self, result: LoopResult[PyTree]) -> Carry:
        """Return the carry that goes on with a run, of this kind or of `iterate`."""
        if not isinstance(result, LoopResult):
            raise TypeError(f"as_scan_body, resume: {describe(result)} is no LoopResult; use init")
        plan = self._plan(feeds=True)
        return plan.grow(to_carry(plan, result))

    def __call__(self, carry: Carry, x: PyTree = None) -> tuple[Carry, Any]:
        """Take a step, unless a callback has asked to stop: `(carry, y)`."""
        _check_carry(carry)
        plan = self._plan(x=x, feeds=x is not None)
        new = None
        if plan.listeners:
            _, facts = trace_step(plan, carry, free=False, reverse=True)
            if facts.stops or plan.hears("before_run"):
                new = skip_or_step(facts.step, carry, self.going(carry))
        new = take_step(plan, carry, reverse=True) if new is None else new
        return new, None if self._of is None else self._of(new.state)

    def going(self, carry: Carry) -> jax.Array:
        """Tell whether nobody has asked to stop yet: a bool scalar."""
        _check_carry(carry)
        return carry.mask == 0

    def result(self, carry: Carry) -> LoopResult[PyTree]:
        """Return the `LoopResult` of a carry: `after_run` heard. Call it in the vmap, if any."""
        _check_carry(carry)
        plan = self._plan(feeds=True)
        return to_result(plan, carry, plan.finish(carry))

    def _plan(self, *, x: PyTree = None, feeds: bool = False) -> Plan:
        return make_plan(self._program, self._key, self._max_steps, x=x, feeds=feeds)

    def __repr__(self) -> str:
        parts = (self._program.step, *self._program.callbacks)
        return f"as_scan_body({', '.join(map(callback_name, parts))})"


def _strong(leaf: jax.Array) -> jax.Array:
    return lax.convert_element_type(leaf, leaf.dtype)


def _check_carry(carry: object) -> None:
    if not isinstance(carry, Carry):
        raise TypeError(
            f"as_scan_body: the carry is {describe(carry)}; start the scan from body.init(state)"
        )
