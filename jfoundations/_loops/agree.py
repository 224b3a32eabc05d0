"""One stop for all devices of a mesh axis.

In a loop inside `shard_map` each device has a stop of its own. Where the loop holds a collective,
all must leave it together: a device that is gone is waited for by the others for ever.

>>> import jax, jax.numpy as jnp, numpy as np
>>> import jfoundations as jf
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

from typing import Any, Literal, overload

import jax
import numpy as np
from jax import lax

from .._core.checks import check_stop, nearest
from .._core.compat import varying
from .callback import Chain, callback_name
from .handlers import GIVEN, Calls
from .predicate import Composite, Joined, StopPredicate, first_listeners, listeners

How = Literal["any", "all"]
REDUCE = {"any": lax.pmax, "all": lax.pmin}


@overload
def agree(stop: bool, axis: Any, how: How = "any") -> bool: ...
@overload
def agree(stop: jax.Array, axis: Any, how: How = "any") -> jax.Array: ...
@overload
def agree(stop: Any, axis: Any, how: How = "any") -> Any: ...
def agree(stop: Any, axis: Any, how: How = "any") -> Any:
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
    stop = check_stop(stop, "agree")
    names = tuple(n for n in (axis if isinstance(axis, tuple) else (axis,)) if _differs(stop, n))
    return REDUCE[how](stop.astype(np.int32), names) > 0 if names else stop


def _differs(stop: Any, name: Any) -> bool:
    """Tell whether a stop may differ over an axis: no only where types tell."""
    try:
        typed = name in varying(lax.axis_index(name))
    except NameError:
        raise ValueError(
            f"agree: there is no mesh axis {name!r} here; call it inside shard_map (or vmap) over "
            "an axis of that name"
        ) from None
    return not typed or name in varying(stop)


def _agreed(callback: Any, axis: Any, how: How) -> StopPredicate:
    if isinstance(callback, Chain):
        callback = Joined("|", callback.callbacks)  # what a chain's stop is
    (part,) = listeners((callback,), GIVEN, "agree")
    plan = callback_name(callback), tuple(part.handlers), part.init is not None
    return object.__new__(Agreed)._put((callback,), (axis, how), plan)


@jax.tree_util.register_pytree_with_keys_class
class Agreed(Composite):
    """A callback whose stops agree over a mesh axis; made by `agree`."""

    @staticmethod
    def start(setting: Any, parts: tuple[Any, ...], state: Any, max_steps: int | None) -> Calls:
        """Return the callback's memory."""
        (part,) = first_listeners(parts, max_steps)
        return (yield part.begin(state, max_steps))

    @staticmethod
    def hear(
        setting: Any, parts: tuple[Any, ...], event: str, memory: Any, state: Any, context: Any
    ) -> Calls:
        """Let the callback hear an event, and ask the other devices."""
        (part,) = listeners(parts, context)
        memory = () if memory is None else memory
        memory, state, stop = yield part.handlers[event].hear(memory, state, context)
        # After the run no one is left to be stopped.
        return memory, state, agree(stop, *setting) if event != "after_run" else stop
