"""Folds: values that eat data and can be asked for their answer at any time.

A fold is four functions: `init` makes the empty memory, `step` takes one element, `merge` joins the
memories of two halves of the data, `extract` asks. Folds are combined side by side in one pass,
and arithmetic on folds is arithmetic on their answers.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> spread = jf.folds.maximum() - jf.folds.minimum()
>>> both = jf.combine(mean=jf.folds.mean(), spread=spread)
>>> {k: float(v) for k, v in jf.fold(both, jnp.array([1.0, 2.0, 4.0, 18.0])).items()}
{'mean': 6.25, 'spread': 17.0}
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax

from .._core.checks import check_function
from .._core.pytrees import function, pytree, static
from .._core.shown import see, settings_of
from .._core.types import Function, PyTree
from .._core.values import Static, Structural, identity, name_of, partial
from .._pipes.pipe import Pipe
from .blocks import init_after, one_by_one, step_after
from .blocks import like_of as like_of
from .blocks import like_of_block as like_of_block
from .combined import (
    Operation,
    apart,
    evaluate,
    evaluation,
    is_of,
    moved,
    named,
    side_by_side,
    tokens_of,
    unasked,
    with_right_operand,
)
from .protocols import Block, BlockWhere, Extract, Finished, Init, Merge, Predicate, Step
from .rows import block_after, kept_by_rows

R = TypeVar("R")
T = TypeVar("T")

FIELDS = ("init", "step", "merge", "extract", "block", "finished", "block_where", "undo")
OPTIONAL = ("merge", "block", "finished", "block_where", "undo")


@pytree
class Fold(Structural, Generic[R]):
    """A statistic as a value: `Fold(init, step, merge, extract, block=None)`.

    Laws, up to rounding: `merge` is associative and `init(like)` is its identity;
    `step(m, x) == merge(m, block([x]))`; the fold of two halves' concatenation is the merge of
    their folds.

    Args:
        init: `like -> memory`, where `like` is an element or its `jax.ShapeDtypeStruct`.
        step: `(memory, element) -> memory`.
        merge: `(memory, memory) -> memory`; None where the order matters, and the fold then
            refuses to be split.
        extract: `memory -> answer`; by default the memory itself.
        block: `elements -> memory` of a whole block along the leading axis; by default a scan.
        finished: `memory -> bool scalar`: whether further elements will change nothing, so that
            whoever feeds the fold may stop reading. The default block then is a loop that stops
            there, which has no reverse mode.
        block_where: `(elements, kept) -> memory` of the elements for which a bool array holds, for
            `where` and for blocks of many lengths; by default they are cut into rows and merged.
        unmerge: `(memory, memory) -> memory` of the whole without a part that was merged into it:
            `unmerge(merge(a, b), b)` is a; None where a memory no longer knows that. The field is
            `undo`; the method `unmerge` refuses by name.
        name: how messages call it.

    | operator | meaning |
    |---|---|
    | `f + g`, `f - 1`, `2 * f`, `/ // % **` | a fold: the same of the answers, in one pass |
    | `-f`, `+f`, `abs(f)` | of the answer |
    | `f == g`, `hash(f)` | equal name, functions and array leaves, to the bit |

    >>> import jax.numpy as jnp
    >>> total = Fold(lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, jnp.add)
    >>> float(total.extract(total.block(jnp.array([1.0, 2.0, 4.0]))))
    7.0
    """

    init: Init = function()
    step: Step = function()
    merge: Merge | None = function()
    extract: Extract[R] = function()
    block: Block = function()
    finished: Finished | None = function()
    block_where: BlockWhere | None = function()
    undo: Merge | None = function()  # `unmerge` as it was given
    name: str = static()

    __array_ufunc__ = None  # else NumPy would take `array + fold` apart

    def __init__(
        self,
        init: Init,
        step: Step,
        merge: Merge | None,
        extract: Extract[R] = identity,
        block: Block | None = None,
        *,
        finished: Finished | None = None,
        block_where: BlockWhere | None = None,
        unmerge: Merge | None = None,
        name: str | None = None,
    ):
        given = (init, step, merge, extract, block, finished, block_where, unmerge)
        for field, value in zip(FIELDS, given, strict=True):
            if not (callable(value) or (value is None and field in OPTIONAL)):
                raise TypeError(f"Fold: {field} is {value!r}, which is not callable")
            object.__setattr__(self, field, value)
        if block is None:
            object.__setattr__(self, "block", partial(one_by_one, init, step, finished))
        if block_where is None and merge is not None:
            by_rows = partial(kept_by_rows, init, step, merge, self.block)
            object.__setattr__(self, "block_where", by_rows)
        object.__setattr__(self, "name", name or name_of(step))

    def _with(self, **changes: Any) -> Fold[Any]:
        functions = {f: getattr(self, f) for f in FIELDS} | changes
        name, unmerge = functions.pop("name", self.name), functions.pop("undo")
        made = Fold(**functions, unmerge=unmerge, name=name)
        if changes.keys() <= {"extract", "name"}:
            made.__dict__["_parts"] = self._parts
        return made

    @functools.cached_property
    def _parts(self) -> tuple[Fold[Any], ...]:
        """The folds that `combine` has put side by side here; none if this is another."""
        return tuple(Fold(**functions)._with(name="") for functions in apart(self))

    @functools.cached_property
    def _hash(self) -> int:
        # numbers too: folds that differ in them alone would all have to be compared
        numbers = (leaf for leaf in jax.tree.leaves(self) if isinstance(leaf, float | complex))
        return hash((Structural.__hash__(self), *map(repr, numbers)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return Structural.__eq__(self, other)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*FIELDS, "name")}

    def map(self, g: Callable[[R], T], *, name: str | None = None) -> Fold[T]:
        """Apply a function to the answer.

        >>> from jfoundations import fold, folds
        >>> import jax.numpy as jnp
        >>> float(fold(folds.mean().map(jnp.sqrt), jnp.array([3.0, 5.0])))
        2.0
        """
        if is_of(self.extract, evaluate) and self._parts:
            extract = evaluation([*tokens_of(self), (1, Pipe(g))])
        else:
            extract = Pipe(self.extract, g)
        return self._with(extract=extract, name=name or self.name)

    def of(self, g: Callable[[PyTree], PyTree]) -> Fold[R]:
        """Apply a function to each element first.

        >>> from jfoundations import fold, folds
        >>> import jax.numpy as jnp
        >>> float(fold(folds.mean().of(jnp.abs), jnp.array([-3.0, 5.0])))
        4.0
        """
        check_function(g, "g", "of", "a function of an element")
        return self._after(False, g)

    def where(self, p: Predicate) -> Fold[R]:
        """Leave out the elements for which a predicate does not hold.

        Args:
            p: `element -> bool scalar`.

        >>> from jfoundations import fold, folds
        >>> import jax.numpy as jnp
        >>> float(fold(folds.mean().where(lambda x: x > 0), jnp.array([-3.0, 5.0])))
        5.0
        """
        check_function(p, "p", "where", "a function element -> bool")
        return self._after(True, p)

    def _after(self, asks: bool, function: Function) -> Fold[R]:
        # maps and predicates, one after another, are one list: never a nest
        init, step, block, block_where = self.init, self.step, self.block, self.block_where
        plan: tuple[bool, ...] = ()
        functions: tuple[Any, ...] = ()
        if is_of(step, step_after) and is_of(init, init_after):
            step, plan, functions = step.args  # type: ignore[attr-defined]
            init = init.args[0]  # type: ignore[attr-defined]
            if is_of(block, block_after):
                block, block_where = block.args[:2]  # type: ignore[attr-defined]
        if not asks and plan[:1] == (False,):  # maps one after another are one
            function, plan, functions = Pipe(function, functions[0]), plan[1:], functions[1:]
        plan = (asks, *plan)
        ways = Static(plan), (function, *functions)
        # A loop that stops early is made anew, so that it maps no more elements than it reads.
        loop = self.merge is None and (any(plan) or self.finished is not None)
        return self._with(
            init=partial(init_after, init, *ways),
            step=partial(step_after, step, *ways),
            block=None if loop else partial(block_after, block, block_where, *ways),
            block_where=block_where and partial(block_after, block, block_where, *ways),
        )

    def unmerge(self, whole: PyTree, part: PyTree) -> PyTree:
        """Return the memory of the whole without a part that was merged into it.

        Counts are exact, so `count`, `histogram` and `narrow` are as if the part had never been.
        Of sums and moments the digits that the whole had lost stay lost (`jf.jackknife` loses
        none). With u the unit roundoff and w the weight of the whole over that of what is left, a
        sum is off by 8 u² times the largest of the sums at most, beside its own rounding, a mean by
        4 u w times the range of the elements, a sum of squares by 16 u w times that of the whole.

        A part that has seen more than the whole is an error; inside jit and vmap, where no number
        can be looked at, moments are then nan and counts go round at 2**64. A sum cannot tell.

        Raises:
            TypeError: the fold cannot.

        >>> from jfoundations import folds
        >>> import jax.numpy as jnp
        >>> mean, (old, new) = folds.mean(), jnp.array([[1.0, 9.0], [2.0, 4.0]])
        >>> both = mean.merge(mean.block(old), mean.block(new))
        >>> float(mean.extract(mean.unmerge(both, mean.block(old))))
        3.0
        """
        if self.undo is None:
            raise TypeError(
                f"unmerge: {self.name} cannot take out what was merged: its memory does not know "
                "what it was without; merge the parts that stay, or use jf.jackknife"
                + see("array_to_cluster")
            )
        return self.undo(whole, part)

    def __add__(self, other: object) -> Fold[Any]:
        return _binary(operator.add, self, other)

    def __radd__(self, other: object) -> Fold[Any]:
        return _binary(operator.add, other, self)

    def __sub__(self, other: object) -> Fold[Any]:
        return _binary(operator.sub, self, other)

    def __rsub__(self, other: object) -> Fold[Any]:
        return _binary(operator.sub, other, self)

    def __mul__(self, other: object) -> Fold[Any]:
        return _binary(operator.mul, self, other)

    def __rmul__(self, other: object) -> Fold[Any]:
        return _binary(operator.mul, other, self)

    def __truediv__(self, other: object) -> Fold[Any]:
        return _binary(operator.truediv, self, other)

    def __rtruediv__(self, other: object) -> Fold[Any]:
        return _binary(operator.truediv, other, self)

    def __floordiv__(self, other: object) -> Fold[Any]:
        return _binary(operator.floordiv, self, other)

    def __rfloordiv__(self, other: object) -> Fold[Any]:
        return _binary(operator.floordiv, other, self)

    def __mod__(self, other: object) -> Fold[Any]:
        return _binary(operator.mod, self, other)

    def __rmod__(self, other: object) -> Fold[Any]:
        return _binary(operator.mod, other, self)

    def __pow__(self, other: object) -> Fold[Any]:
        return _binary(operator.pow, self, other)

    def __rpow__(self, other: object) -> Fold[Any]:
        return _binary(operator.pow, other, self)

    def __neg__(self) -> Fold[Any]:
        return self.map(partial(operator.neg))

    def __pos__(self) -> Fold[Any]:
        return self.map(partial(operator.pos))

    def __abs__(self) -> Fold[Any]:
        return self.map(partial(operator.abs))

    def __repr__(self) -> str:
        return f"Fold({self.name}{settings_of(*(getattr(self, f) for f in FIELDS))})"


def combine(**folds: Fold[Any]) -> Fold[dict[str, Any]]:
    """Run folds side by side in one pass; the answer is a dict; of functions: `juxt`.

    Folds that differ in their answer alone (var, std, mean of one memory) are computed once.

    Args:
        **folds: the folds, by the names of their answers; none at all is the do-nothing.

    Raises:
        TypeError: a value is no Fold.

    >>> from jfoundations import fold, folds
    >>> import jax.numpy as jnp
    >>> answer = fold(combine(lo=folds.minimum(), hi=folds.maximum()), jnp.array([1.0, 18.0]))
    >>> {name: float(value) for name, value in answer.items()}
    {'hi': 18.0, 'lo': 1.0}
    """
    for name, value in folds.items():
        if not isinstance(value, Fold):
            raise TypeError(f"combine: {name} is {value!r}, which is no Fold")
    return _joined(tuple(folds.values()), partial(named, tuple(folds)), ", ".join(folds))


def _joined(folds: tuple[Fold[Any], ...], last: Function, name: str) -> Fold[Any]:
    """Run folds side by side, and ask a function of their answers."""
    places: dict[Fold[Any], int] = {}
    tokens: list[tuple[Any, Any]] = []
    for fold in folds:
        parts = fold._parts or (unasked(fold),)
        new = [places.setdefault(part, len(places)) for part in parts]
        tokens += ((moved(where, new), function) for where, function in tokens_of(fold))
    tokens.append((len(folds), last))
    parts = tuple(places)
    made = Fold(**side_by_side(parts), extract=evaluation(tokens), name=name)
    made.__dict__["_parts"] = parts if made.merge else ()
    return made


def _binary(op: Operation, a: object, b: object) -> Fold[Any]:
    symbol = op.__name__
    if not isinstance(b, Fold):
        assert isinstance(a, Fold)
        return a.map(partial(with_right_operand, op, b), name=f"{a.name} {symbol} {b!r}")
    if not isinstance(a, Fold):
        return b.map(partial(op, a), name=f"{a!r} {symbol} {b.name}")
    return _joined((a, b), op, f"{a.name} {symbol} {b.name}")
