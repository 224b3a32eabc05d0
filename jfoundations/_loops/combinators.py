"""Combinators: when to stop, when to listen, and one stop for all devices of a mesh axis.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> halve = lambda x: x / 2
>>> result = jf.iterate(halve, 1.0, jf.stop_when(lambda x: x < 0.1), max_steps=100)
>>> float(result.state), int(result.steps), result.reasons
(0.0625, 4, ('stop_when',))

In a loop inside `shard_map` each device has a stop of its own. Where the loop holds a collective,
all must leave it together: a device that is gone is waited for by the others for ever.

>>> import jax, numpy as np
>>> mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
>>> def run(x):
...     mean = lambda w: w + 0.5 * jax.lax.pmean(jnp.sum(x) - w, "data")
...     near = lambda w: (w, jf.agree(jnp.abs(w - 1.0) < 0.1 * jnp.sum(x), "data"))
...     return jf.iterate(mean, jnp.zeros(()), near, max_steps=9).steps
>>> by_device, all_alike = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
>>> run = jax.shard_map(run, mesh=mesh, in_specs=by_device, out_specs=all_alike)
>>> int(run(jnp.ones(mesh.size)))
4
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from .._core.checks import check_function, check_stop, count_leaf, nearest
from .._core.compat import varying
from .._core.types import PyTree
from .._core.values import name_of, partial
from .callback import CallbackLike, Chain, Predicate, chain
from .combined import RUN, Combined
from .listener import any_of
from .members import Members, check_condition, logical_and

PREDICATE = "a predicate returns the bool alone, as lambda state: state < 1"

How = Literal["any", "all"]
REDUCE = {"any": lax.pmax, "all": lax.pmin}


def stop_when(predicate: Predicate, *, name: str | None = None) -> Combined:
    """Ask to stop after the step at which a predicate of the state holds.

    `|`, `&` and `~` join it with others: `stop_when(small) & stop_when(flat)`.

    Args:
        predicate: `state -> bool scalar`; it may name the context words `step` and `key`.
        name: how `result.reasons` calls it; the predicate's own name unless that is a lambda.

    Raises:
        TypeError: while tracing, when the predicate's answer is no bool scalar.

    >>> def converged(x):
    ...     return abs(x) < 1e-3
    >>> import jfoundations as jf
    >>> jf.iterate(lambda x: 0.5 * x, 1.0, stop_when(converged), max_steps=100).reasons
    ('converged',)
    """
    check_function(predicate, "the predicate", "stop_when", "a function state -> bool")
    found = name_of(predicate)
    name = name or ("stop_when" if found == "lambda" else found)
    return Combined((), _ask, name=name, predicates=(predicate,))


def _ask(members: Members, state: PyTree, *, predicates: tuple[Predicate, ...]) -> tuple[Any, Any]:
    return state, check_stop(predicates[0](state), "the predicate of stop_when", PREDICATE)


def when(predicate: Predicate, *callbacks: CallbackLike) -> Combined:
    """Let callbacks hear the events of a step only where a predicate of the state holds.

    See also `every`, by the number of steps, and `stop_when`, which asks to stop.

    `before_run` and `after_run` are always heard. The callbacks are chained into one. Under `vmap`
    both sides are computed and selected; a callback that names `live` gates itself instead.

    Args:
        predicate: `value -> bool scalar` of what the event sees; it may name `step` and `key`.
        *callbacks: of any kind.

    Returns:
        A callback with the name and the memory of the callback (of several: their memories'
        tuple).

    Raises:
        TypeError: while tracing, when the predicate's answer is no bool scalar.
        ValueError: inside `shard_map`, while tracing, when the predicate differs over a mesh axis
            over which a callback holds a collective.

    >>> import jfoundations as jf
    >>> cap = when(lambda x: x > 10, lambda x: (x - 10, False))
    >>> int(jf.iterate(lambda x: x + 4, 0, cap, max_steps=5).state)
    10
    """
    check_function(predicate, "the predicate", "when", "a function state -> bool")
    one = chain(*callbacks)
    members, predicates = tuple(one) if isinstance(one, Chain) else (one,), (predicate,)
    if isinstance(one, Combined) and one.hear is _where_all_hold:
        # Flat: of a nest, all predicates are asked at once.
        members, predicates = one.members, (predicate, *one.predicates)
    return Combined(members, _where_all_hold, name="when", predicates=predicates, transparent=True)


def _where_all_hold(
    members: Members, state: PyTree, *, event: str, predicates: tuple[Predicate, ...]
) -> Any:
    holds, who = True, f"the predicate of when, {event}"
    for predicate in () if event in RUN else predicates:
        holds = logical_and(holds, check_condition(predicate(state, where=holds), who, PREDICATE))
        if holds is False:
            break
    state, stops = yield members(state, where=holds, who=who)
    return state, any_of(stops)


def every(n: ArrayLike, *callbacks: CallbackLike) -> Combined:
    """Let callbacks hear every n-th step: those after which n, 2n, 3n, … steps are done.

    See also `when`, by a predicate of the state; `callbacks.after` and `callbacks.once`.

    Args:
        n: a positive int, or an int32 scalar array; a leaf.
        *callbacks: of any kind.

    Raises:
        ValueError: n is not positive.

    >>> import jfoundations as jf
    >>> double = lambda x: (2 * x, False)
    >>> int(jf.iterate(lambda x: x + 1, 0, every(3, double), max_steps=6).state)
    18
    """
    return when(partial(_nth, count_leaf(n, "n", "every", 1)), *callbacks)


def after(n: ArrayLike, *callbacks: CallbackLike) -> Combined:
    """Let callbacks hear all but the first n steps.

    See also `once`, one step alone, and `every`.

    What a callback would have remembered of the first steps is left out too: a patience counts
    from there on. To let it look from the start on and only hold its stop back, join it:
    `early_stopping(…) & after(n, stop)` with `stop = lambda state: (state, True)`.

    Args:
        n: an int ≥ 0, or an int32 scalar array; a leaf.
        *callbacks: of any kind.

    Raises:
        ValueError: n is negative.

    >>> import jfoundations as jf
    >>> small = jf.stop_when(lambda x: x < 0.5, name="small")
    >>> int(jf.iterate(lambda x: x / 2, 1.0, jf.callbacks.after(5, small), max_steps=9).steps)
    6
    """
    return when(partial(_past, count_leaf(n, "n", "after", 0)), *callbacks)


def once(n: ArrayLike, *callbacks: CallbackLike) -> Combined:
    """Let callbacks hear the n-th step alone: that after which n steps are done.

    Args:
        n: a positive int, or an int32 scalar array; a leaf.
        *callbacks: of any kind.

    Raises:
        ValueError: n is not positive.

    >>> import jfoundations as jf
    >>> kick = lambda x: (x + 100, False)
    >>> int(jf.iterate(lambda x: x + 1, 0, jf.callbacks.once(3, kick), max_steps=6).state)
    106
    """
    return when(partial(_that, count_leaf(n, "n", "once", 1)), *callbacks)


def _nth(every: ArrayLike, state: PyTree, *, step: jax.Array) -> jax.Array:
    return (step + 1) % jnp.asarray(every, np.int32) == 0


def _past(after: ArrayLike, state: PyTree, *, step: jax.Array) -> jax.Array:
    return step >= jnp.asarray(after, np.int32)


def _that(once: ArrayLike, state: PyTree, *, step: jax.Array) -> jax.Array:
    return step + 1 == jnp.asarray(once, np.int32)


@overload
def agree(stop: bool, axis: Hashable, how: How = "any") -> bool: ...
@overload
def agree(stop: jax.Array, axis: Hashable, how: How = "any") -> jax.Array: ...
@overload
def agree(stop: CallbackLike, axis: Hashable, how: How = "any") -> Any: ...
def agree(stop: CallbackLike, axis: Hashable, how: How = "any") -> Any:
    """Make a stop the same on all devices of a mesh axis, inside `shard_map`.

    `iterate` refuses, while tracing, a stop that differs across an axis over which the loop holds a
    collective; `when` refuses such a predicate before a callback with one. They know by the types
    that `shard_map` has by default. With `check_vma=False` these are unknown and nothing is
    refused: then all stops must agree, or the program hangs or aborts.

    Of a stop that is known not to differ nothing is asked of the other devices.

    Args:
        stop: a bool scalar. Or a callback of any kind: the answer is then a callback of its name
            and memory, whose stops agree.
        axis: a name of a mesh axis, or a tuple of names; also of an axis that `vmap` names.
        how: "any" stops all devices when one asks, "all" when all ask in the same step.

    Returns:
        A bool scalar, or a stop predicate. A Python bool is the same everywhere and comes back.

    Raises:
        TypeError: the stop is no bool scalar.
        ValueError: there is no such axis here, or `how` is another word.

    >>> import jax, jax.numpy as jnp
    >>> import jfoundations as jf
    >>> asked = jnp.array([False, True])
    >>> jax.vmap(lambda stop: jf.agree(stop, "lanes"), axis_name="lanes")(asked).tolist()
    [True, True]
    >>> small = jf.agree(jf.stop_when(lambda x: x < 1.0, name="small"), "lanes", "all")
    >>> run = lambda x: jf.iterate(lambda x: x / 2, x, small, max_steps=9).steps
    >>> jax.vmap(run, axis_name="lanes")(jnp.array([3.0, 40.0])).tolist()
    [6, 6]
    """
    if how not in REDUCE:
        raise ValueError(f"agree: how is {how!r}; it must be 'any' or 'all'{nearest(how, REDUCE)}")
    if isinstance(stop, bool | np.bool_):
        return stop
    if not hasattr(stop, "dtype"):
        return _agreed(stop, axis, how)
    asks: Any = check_stop(stop, "agree")
    names = tuple(n for n in (axis if isinstance(axis, tuple) else (axis,)) if _differs(asks, n))
    return REDUCE[how](asks.astype(np.int32), names) > 0 if names else asks


def _differs(stop: Array, name: Hashable) -> bool:
    """Tell whether a stop may differ over an axis: no only where types tell."""
    try:
        typed = name in varying(lax.axis_index(name))
    except NameError:
        raise ValueError(
            f"agree: there is no mesh axis {name!r} here; call it inside shard_map (or vmap) over "
            "an axis of that name"
        ) from None
    return not typed or name in varying(stop)


def _agreed(callback: CallbackLike, axis: Hashable, how: How) -> Combined:
    return Combined((callback,), partial(_hear_agreed, axis, how), name="agree", transparent=True)


def _hear_agreed(axis: Hashable, how: How, members: Members, state: PyTree, *, event: str) -> Any:
    state, (stop,) = yield members(state)
    # After the run no one is left to be stopped.
    return state, agree(stop, axis, how) if event != "after_run" else stop
