"""Folds for engines that combine accumulators: Apache Beam, Ray and their like.

>>> import jfoundations as jf
>>> spread = to_beam(jf.folds.var())
>>> half = spread.add_inputs(spread.create_accumulator(), [1.0, 2.0])
>>> other = spread.add_input(spread.add_input(spread.create_accumulator(), 4.0), 18.0)
>>> float(spread.extract_output(spread.merge_accumulators([half, other])))
47.1875
"""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from .._folds.fold import Fold, like_of

BLOCK = 1024  # elements at a time


def to_beam(a_fold: Fold[Any], *, like: Any = None, base: type = object) -> Any:
    """Return a fold as an object of Apache Beam's `CombineFn` protocol; it needs no Beam.

    It has `create_accumulator`, `add_input`, `add_inputs`, `merge_accumulators` and
    `extract_output`. An accumulator is the fold's memory, or None before the first element. All
    can be pickled where the fold can: of functions of modules, not lambdas. Beam takes nothing but
    its own, so name its class as `base`:

        variance = folds.to_beam(folds.var(), base=beam.CombineFn)
        pairs | beam.CombinePerKey(variance)

    For Ray Data, in which rows are dicts:

        of = folds.to_beam(folds.var())
        dataset.aggregate(ray.data.aggregate.AggregateFn(
            init=lambda key: of.create_accumulator(),
            accumulate_row=lambda memory, row: of.add_input(memory, row["x"]),
            merge=lambda a, b: of.merge_accumulators([a, b]),
            finalize=of.extract_output,
            name="var"))

    and of blocks that are Ray tasks, `of.merge_accumulators(ray.get([task.remote(b) for b in
    blocks]))` with a task `lambda block: of.add_inputs(None, block)`. Where bits must not depend on
    who was first, `jfoundations.fold` with an executor keeps an order of its own.

    Args:
        a_fold: the fold; it must have a merge.
        like: an element or its `jax.ShapeDtypeStruct`, so that nothing at all has an answer too.
            Elements are then cast to its dtypes; without it, all must be of one dtype.
        base: a class to inherit from.

    Raises:
        TypeError: a_fold is no Fold, or depends on the order of its elements.
    """
    if not isinstance(a_fold, Fold):
        raise TypeError(f"folds.to_beam: {a_fold!r} is no Fold")
    if a_fold.merge is None:
        raise TypeError(
            f"folds.to_beam: {a_fold.name} depends on the order of its elements (its merge is "
            "None), which such engines do not keep; write a merge"
        )
    like = None if like is None else like_of(jax.tree.map(_array, like))
    return _class_on(base)(a_fold, like)


@functools.cache
def _class_on(base: type) -> type:
    return Combine if base is object else type("Combine", (Combine, base), {"base": base})


class Combine:
    """A fold as accumulators that are added to and merged; made by `to_beam`."""

    base: type = object

    def __init__(self, a_fold: Fold[Any], like: Any):
        super().__init__()
        self.fold, self.like = a_fold, like

    def __reduce__(self) -> Any:
        return _bare, (self.base,), self.__dict__

    def create_accumulator(self) -> Any:
        """Return the memory of nothing; None where an element's shape is not known."""
        return None if self.like is None else _init(self.fold, self.like)

    def add_input(self, accumulator: Any, element: Any) -> Any:
        """Return the memory after one more element."""
        element = self._arrays(element)
        if accumulator is None:
            accumulator = _init(self.fold, like_of(element))
        return _step(self.fold, accumulator, element)

    def add_inputs(self, accumulator: Any, elements: Iterable[Any]) -> Any:
        """Return the memory after more elements, taken as blocks."""
        rest = list(elements)
        while rest:
            # lengths that are powers of two: few programs
            size = min(BLOCK, 1 << len(rest).bit_length() - 1)
            block = jax.tree.map(_stack, *map(self._arrays, rest[:size]))
            accumulator, rest = self._join(accumulator, _block(self.fold, block)), rest[size:]
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        """Return the memory of all; of none at all, or of empty ones, that of nothing."""
        return functools.reduce(self._join, accumulators, self.create_accumulator())

    def compact(self, accumulator: Any) -> Any:
        """Return the memory as it is: it does not grow."""
        return accumulator

    def extract_output(self, accumulator: Any) -> Any:
        """Return the fold's answer.

        Raises:
            ValueError: there was no element, and no `like` to tell what one looks like.
        """
        if accumulator is None:
            raise ValueError(
                f"to_beam({self.fold!r}): there was no element, so no one knows what one looks "
                "like; give to_beam(like=an_element), or leave such groups out (in Beam, "
                "CombineGlobally(...).without_defaults())"
            )
        return self.fold.extract(accumulator)

    def _arrays(self, element: Any) -> Any:
        if self.like is None:
            return jax.tree.map(_array, element)
        return jax.tree.map(lambda like, leaf: jnp.asarray(leaf, like.dtype), self.like, element)

    def _join(self, a: Any, b: Any) -> Any:
        return b if a is None else a if b is None else _merge(self.fold, a, b)

    def __repr__(self) -> str:
        return f"to_beam({self.fold!r})"


def _bare(base: type) -> Any:
    return object.__new__(_class_on(base))


def _stack(*leaves: Any) -> Any:
    return jnp.stack(leaves)


def _array(leaf: Any) -> Any:
    return leaf if isinstance(leaf, jax.ShapeDtypeStruct) else jnp.asarray(leaf)


def _init(a_fold: Fold[Any], like: Any) -> Any:
    return jax.tree.map(jnp.asarray, a_fold.init(like))


@jax.jit
def _step(a_fold: Fold[Any], memory: Any, element: Any) -> Any:
    return a_fold.step(memory, element)


@jax.jit
def _block(a_fold: Fold[Any], elements: Any) -> Any:
    return a_fold.block(elements)


@jax.jit
def _merge(a_fold: Fold[Any], a: Any, b: Any) -> Any:
    assert a_fold.merge is not None
    return a_fold.merge(a, b)
