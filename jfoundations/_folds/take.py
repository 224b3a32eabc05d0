"""Transducers: what happens to elements on their way into a fold, fused into its one pass.

`map_` changes each element, `filter_` leaves some out, `take` and `take_while` end the stream. They
are stages of a Pipe, read from the first to the last, which `over` puts in front of a Fold:

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> def even(x):
...     return x % 2 == 0
>>> pipe = jf.Pipe(jf.map_(lambda x: 3 * x), jf.filter_(even), jf.take(5))
>>> pipe
map_(lambda) >> filter_(even) >> take
>>> total = jf.Fold(lambda like: jnp.zeros((), like.dtype), jnp.add, jnp.add, name="total")
>>> int(jf.fold(pipe.over(total), jnp.arange(1_000_000)))
60

With `map_` and `filter_` alone the fold merges as before, and takes whole blocks at a time. With
`take` or `take_while` it depends on the order of the elements, so no executor may split it; its
block is one `lax.while_loop` that reads no element after the last it wants.

In front of a loop: `watch(pipe.over(fold))` looks at the states through the pipe, and the callback
never stops the loop. A step `(state, x) -> state` of a scan is a consumer too:

>>> import jax
>>> step = jf.Pipe(jf.filter_(even), jf.map_(jnp.square)).over(lambda total, x: total + x)
>>> body = jf.as_scan_body(step)
>>> carry, _ = jax.lax.scan(body, body.init(jnp.int32(0)), jnp.arange(6, dtype=jnp.int32))
>>> int(carry.state)
20

The idea is Clojure's: Rich Hickey, "Transducers" (2014), https://clojure.org/reference/transducers.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .._core.checks import check_count
from .._core.pytrees import pytree
from .._core.values import Structural, hold, name_of, partial, release
from .._pipes.pipe import Fn, Pipe, check_callable, map_before
from .blocks import step_where
from .fold import Fold

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, init=False, eq=False, repr=False)
class _Transducer(Structural, Generic[A, B]):
    """A stage that stands in front of a consumer of elements; `held` is its one argument."""

    held: Any

    def __init__(self, function: Callable[[Any], Any]):
        check_callable(function, "its argument", name_of(type(self)))
        object.__setattr__(self, "held", function)

    def tree_flatten(self) -> tuple[tuple[Any], None]:
        """Return the argument as child, a plain function static."""
        return (hold(self.held),), None

    @classmethod
    def tree_unflatten(cls, _: None, held: tuple[Any]) -> "_Transducer[A, B]":
        """Rebuild from the argument."""
        new = object.__new__(cls)
        object.__setattr__(new, "held", release(held[0]))
        return new

    @property
    def __name__(self) -> str:
        return f"{type(self).__name__}({name_of(self.held)})"

    def __call__(self, x: A) -> B:
        """Refuse: a transducer is no function of a value."""
        raise TypeError(
            f"{self!r} changes what a fold sees, not a value; put it in front of a fold: "
            "Pipe(…).over(fold)"
        )

    @abstractmethod
    def in_front_of(self, consumer: Any, name: str) -> Any:
        """Return the consumer as it is with this stage, of some name, in front."""

    def __repr__(self) -> str:
        return self.__name__


@jax.tree_util.register_pytree_node_class
class map_(_Transducer[A, B]):  # noqa: N801  (used like a function)
    """Change each element: a stage for `Pipe.over`.

    Args:
        f: `element -> element`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> mean_square = jf.Pipe(map_(jnp.square)).over(jf.folds.mean())
    >>> float(jf.fold(mean_square, jnp.array([1.0, 3.0])))
    5.0
    """

    def __init__(self, f: Fn[A, B]):
        super().__init__(f)

    def in_front_of(self, consumer: Any, name: str) -> Any:
        """Return the consumer of what `f` makes of the elements."""
        return map_before(self.held, consumer, name)


@jax.tree_util.register_pytree_node_class
class filter_(_Transducer[A, A]):  # noqa: N801  (used like a function)
    """Leave out the elements for which a predicate does not hold: a stage for `Pipe.over`.

    Args:
        p: `element -> bool scalar`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> positive = jf.Pipe(filter_(lambda x: x > 0)).over(jf.folds.mean())
    >>> float(jf.fold(positive, jnp.array([-8.0, 1.0, 3.0])))
    2.0
    """

    def __init__(self, p: Fn[A, Any]):
        super().__init__(p)

    def in_front_of(self, consumer: Any, name: str) -> Any:
        """Return the consumer of the elements for which `p` holds."""
        holds = partial(_holds, Pipe._make((name,), (self.held,)))
        if isinstance(consumer, Fold):
            return consumer.where(holds)
        return partial(_step_filtered, consumer, holds)


class _Ending(_Transducer[A, A]):
    """A transducer that ends the stream, and so remembers."""

    def in_front_of(self, consumer: Any, name: str) -> Any:
        """Return the fold of the elements let through, which knows when it is finished."""
        who = type(self).__name__
        if not isinstance(consumer, Fold):
            raise TypeError(
                f"{who} remembers, and the step {name_of(consumer)} has no place for it; put it in "
                "front of a fold: Pipe(…).over(Fold(init, step, None))"
            )
        return Fold(
            partial(_start, consumer.init, self._left),
            partial(_step_gated, consumer.step, self._gate(name)),
            None,
            partial(_extract, consumer.extract),
            finished=partial(_finished, consumer.finished or _never),
            name=f"{consumer.name} after {who}",
        )

    @property
    @abstractmethod
    def _left(self) -> Any:
        """What remains to begin with: a number of elements, or True."""

    @abstractmethod
    def _gate(self, name: str) -> Any:
        """Return a function `(left, x) -> (whether x passes, left)`."""


@jax.tree_util.register_pytree_node_class
class take(_Ending[A]):  # noqa: N801  (used like a function)
    """Let the first n elements through and end the stream: a stage for `Pipe.over`.

    The fold then depends on the order of its elements. It has no reverse mode.

    Args:
        n: an int ≥ 0, or an int32 scalar array; a leaf.

    Raises:
        TypeError, ValueError: n is no int, or negative.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> float(jf.fold(jf.Pipe(take(2)).over(jf.folds.mean()), jnp.array([1.0, 3.0, 99.0])))
    2.0
    """

    def __init__(self, n: Any):
        known = n if hasattr(n, "dtype") else np.int32(check_count(n, "n", "take"))
        object.__setattr__(self, "held", known)

    def tree_flatten(self) -> tuple[tuple[Any], None]:
        """Return n as a leaf."""
        return (self.held,), None

    @property
    def __name__(self) -> str:
        return "take"  # without n, which is a leaf: names are structure

    @property
    def _left(self) -> Any:
        return jnp.asarray(self.held, np.int32)

    def _gate(self, name: str) -> Any:
        return _count_down

    def __repr__(self) -> str:
        known = isinstance(self.held, np.generic | np.ndarray | int)
        return f"take({self.held if known else 'n'})"


@jax.tree_util.register_pytree_node_class
class take_while(_Ending[A]):  # noqa: N801  (used like a function)
    """Let elements through until a predicate does not hold: a stage for `Pipe.over`.

    The fold then depends on the order of its elements. It has no reverse mode.

    Args:
        p: `element -> bool scalar`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> rising = jf.Pipe(take_while(lambda x: x < 5)).over(jf.folds.mean())
    >>> float(jf.fold(rising, jnp.array([1.0, 3.0, 99.0, 2.0])))
    2.0
    """

    def __init__(self, p: Fn[A, Any]):
        super().__init__(p)

    @property
    def _left(self) -> Any:
        return jnp.asarray(True)

    def _gate(self, name: str) -> Any:
        return partial(_while, partial(_holds, Pipe._make((name,), (self.held,))))


@pytree
class _Gated:
    memory: Any
    left: jax.Array  # how many elements may still pass; or whether any may


def _start(init: Any, left: Any, like: Any) -> _Gated:
    return _Gated(jax.tree.map(jnp.asarray, init(like)), left)


def _step_gated(step: Any, gate: Any, memory: _Gated, x: Any) -> _Gated:
    passes, left = gate(memory.left, x)
    return _Gated(step_where(step, lambda _: passes, memory.memory, x), left)


def _count_down(left: Any, x: Any) -> tuple[Any, Any]:
    return left > 0, left - (left > 0).astype(left.dtype)


def _while(holds: Any, going: Any, x: Any) -> tuple[Any, Any]:
    going = going & holds(x)
    return going, going


def _extract(extract: Any, memory: _Gated) -> Any:
    return extract(memory.memory)


def _finished(inner: Any, memory: _Gated) -> Any:
    return jnp.logical_not(memory.left) | inner(memory.memory)


def _never(memory: Any) -> Any:
    return np.bool_(False)


def _step_filtered(step: Any, holds: Any, state: Any, x: Any) -> Any:
    return step_where(step, lambda _: holds(x), state, x)


def _holds(predicate: Pipe[Any, Any], x: Any) -> Any:
    """Return whether a predicate holds, or say why that is no answer."""
    answer = predicate(x)
    try:
        aval = jax.typeof(answer)
    except TypeError:
        raise TypeError(
            f"{predicate!r}: its predicate returned {type(answer).__name__}, a bool is needed"
        ) from None
    if aval.shape != () or aval.dtype != np.bool_:
        raise TypeError(
            f"{predicate!r}: its predicate returned shape {aval.shape} and dtype {aval.dtype}, a "
            "bool scalar is needed; compare it with something, reduce it with jnp.all"
        )
    return answer
