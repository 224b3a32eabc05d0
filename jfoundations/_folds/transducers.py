"""Transducers: what happens to elements on their way into a fold, fused into its one pass.

`map_` changes each element, `filter_` leaves some out, `take` and `take_while` end the stream. They
are stages of a Pipe, read from the first to the last, which `over` puts in front of a Fold:

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> def even(x):
...     return x % 2 == 0
>>> pipe = jf.Pipe(jf.map_(lambda x: 3 * x), jf.filter_(even), jf.take(5))
>>> pipe
map_(lambda) >> filter_(even) >> take(n=5)
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

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .._core.checks import check_count
from .._core.pytrees import pytree
from .._core.types import Bool, PyTree
from .._core.values import Structural, name_of, node, partial
from .._pipes.pipe import Fn, Pipe, map_before
from .._pipes.stages import check_callable
from .blocks import step_where
from .fold import Fold
from .protocols import Finished, Init, Predicate, Step

A = TypeVar("A")
B = TypeVar("B")
Consumer: TypeAlias = Fold[Any] | Step
Gate: TypeAlias = Callable[[Array, PyTree], tuple[Array, Array]]  # passes, and what is left


@pytree
class Transducer(Structural, Generic[A, B]):
    """A stage that stands in front of a consumer of elements, a fold or a step.

    Attributes:
        in_front_of: `(consumer, name of the stage) -> consumer`: a partial of its one argument.
    """

    in_front_of: partial[Any]

    @property
    def __name__(self) -> str:
        held = self.in_front_of.args[0]
        # without n, which is a leaf: names are structure
        kind = name_of(type(self))
        return f"{kind}({name_of(held)})" if callable(held) else kind

    def __call__(self, x: A) -> B:
        """Refuse: a transducer is no function of a value."""
        raise TypeError(
            f"{self!r} changes what a fold sees, not a value; put it in front of a fold: "
            "Pipe(…).over(fold)"
        )

    def __repr__(self) -> str:
        n = self.in_front_of.args[0]
        if callable(n):
            return name_of(self)
        return f"take({n if isinstance(n, np.generic | np.ndarray | int) else 'n'})"


@node
class map_(Transducer[A, B]):  # noqa: N801  (used like a function)
    """Change each element, as `Fold.of` does: a stage for `Pipe.over`.

    Args:
        f: `element -> element`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> mean_square = jf.Pipe(map_(jnp.square)).over(jf.folds.mean())
    >>> float(jf.fold(mean_square, jnp.array([1.0, 3.0])))
    5.0
    """

    def __init__(self, f: Fn[A, B]):
        check_callable(f, "its argument", "map_")
        super().__init__(partial(map_before, f))


@node
class filter_(Transducer[A, A]):  # noqa: N801  (used like a function)
    """Leave out the elements for which a predicate does not hold, as `Fold.where` does.

    A stage for `Pipe.over`.

    Args:
        p: `element -> bool scalar`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> positive = jf.Pipe(filter_(lambda x: x > 0)).over(jf.folds.mean())
    >>> float(jf.fold(positive, jnp.array([-8.0, 1.0, 3.0])))
    2.0
    """

    def __init__(self, p: Fn[A, Bool]):
        check_callable(p, "its argument", "filter_")
        super().__init__(partial(_filter_before, p))


@node
class take(Transducer[A, A]):  # noqa: N801  (used like a function)
    """Let the first n elements through and end the stream: a stage for `Pipe.over`.

    See also `take_while`, which ends where a predicate fails; a loop ends after `max_steps`.

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

    def __init__(self, n: ArrayLike):
        known = n if hasattr(n, "dtype") else np.int32(check_count(n, "n", "take"))
        super().__init__(partial(_take_before, known))


@node
class take_while(Transducer[A, A]):  # noqa: N801  (used like a function)
    """Let elements through until a predicate does not hold: a stage for `Pipe.over`.

    See also `filter_`, which goes on behind such an element, and `take`, which counts.

    The fold then depends on the order of its elements. It has no reverse mode.

    Args:
        p: `element -> bool scalar`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> rising = jf.Pipe(take_while(lambda x: x < 5)).over(jf.folds.mean())
    >>> float(jf.fold(rising, jnp.array([1.0, 3.0, 99.0, 2.0])))
    2.0
    """

    def __init__(self, p: Fn[A, Bool]):
        check_callable(p, "its argument", "take_while")
        super().__init__(partial(_take_while_before, p))


def _filter_before(p: Predicate, consumer: Consumer, name: str) -> Consumer:
    holds = _predicate(p, name)
    if isinstance(consumer, Fold):
        return consumer.where(holds)
    return partial(step_where, consumer, holds)


def _take_before(n: ArrayLike, consumer: Consumer, name: str) -> Any:
    return _ended(consumer, jnp.asarray(n, np.int32), _count_down, "take")


def _take_while_before(p: Predicate, consumer: Consumer, name: str) -> Any:
    return _ended(consumer, jnp.asarray(True), partial(_while, _predicate(p, name)), "take_while")


def _ended(consumer: Consumer, left: jax.Array, gate: Gate, who: str) -> Fold[Any]:
    """Return a fold of the elements let through, which is finished when none is any more.

    Args:
        consumer: the fold.
        left: how many elements may pass; or whether any may.
        gate: `(left, element) -> (whether it passes, left)`.
        who: which transducer asks.
    """
    if not isinstance(consumer, Fold):
        raise TypeError(
            f"{who} remembers, and the step {name_of(consumer)} has no place for it; put it in "
            "front of a fold: Pipe(…).over(Fold(init, step, None))"
        )
    return Fold(
        partial(_start, consumer.init, left),
        partial(_step, consumer.step, gate),
        None,
        partial(_extract, consumer.extract),
        finished=partial(_finished, consumer.finished),
        name=f"{consumer.name} after {who}",
    )


@pytree
class _Gated:
    memory: Any
    left: jax.Array


def _start(init: Init, left: Array, like: PyTree) -> _Gated:
    return _Gated(jax.tree.map(jnp.asarray, init(like)), left)


def _step(step: Step, gate: Gate, memory: _Gated, x: PyTree) -> _Gated:
    passes, left = gate(memory.left, x)
    return _Gated(step_where(step, lambda _: passes, memory.memory, x), left)


def _extract(extract: Callable[[PyTree], PyTree], memory: _Gated) -> Any:
    return extract(memory.memory)


def _finished(inner: Finished | None, memory: _Gated) -> Any:
    none_left = jnp.logical_not(memory.left)
    return none_left if inner is None else none_left | inner(memory.memory)


def _count_down(left: Array, x: PyTree) -> tuple[Array, Array]:
    return left > 0, left - (left > 0).astype(left.dtype)


def _while(holds: Predicate, going: Array, x: PyTree) -> tuple[Any, Any]:
    going = going & holds(x)
    return going, going


def _predicate(p: Predicate, name: str) -> Any:
    return partial(_holds, Pipe._make((name,), (p,)))  # in its scope, and errors name it


def _holds(predicate: Pipe[Any, Any], x: PyTree) -> Any:
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
