"""Folds as the accumulators of another engine: Apache Beam, Ray Data and their like.

Such an engine cuts the data as it likes, hands the pieces to any of its workers, and merges what
they send back in any order. It asks for an empty accumulator, one with more elements, several of
them merged, and an answer. A fold has all four, and its merge does not mind the order.

    python examples/beam_accumulators.py

`Accumulators` is the bridge, by the names of Beam's `CombineFn`. The engine below is a toy of a
dozen lines, which does to accumulators what the large ones do. With Beam, which takes nothing but
its own, the bridge inherits from its class:

    class Combine(Accumulators, beam.CombineFn): ...
    pairs | beam.CombinePerKey(Combine(folds.var()))

With Ray Data, in which rows are dicts:

    of = Accumulators(folds.var())
    dataset.aggregate(ray.data.aggregate.AggregateFn(
        init=lambda key: of.create_accumulator(),
        accumulate_row=lambda memory, row: of.add_input(memory, row["x"]),
        merge=lambda a, b: of.merge_accumulators([a, b]),
        finalize=of.extract_output,
        name="var"))

Where bits must not depend on who was first, `jfoundations.fold` with an executor keeps an order of
its own.
"""

import functools
import pickle
import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

BLOCK = 1024  # elements at a time


class Accumulators:
    """A fold as accumulators: its memory, or None before the first element.

    They can be pickled where the fold can: of functions of modules, not lambdas.

    Args:
        a_fold: the fold; it must have a merge.
        like: an element or its `jax.ShapeDtypeStruct`, so that nothing at all has an answer too.
            Elements are then cast to its dtypes; without it, all must be of one dtype.
    """

    def __init__(self, a_fold: jf.Fold[Any], like: Any = None):
        super().__init__()
        if not isinstance(a_fold, jf.Fold):
            raise TypeError(f"Accumulators: {a_fold!r} is no Fold")
        if a_fold.merge is None:
            raise TypeError(
                f"Accumulators: {a_fold.name} depends on the order of its elements (its merge is "
                "None), which such engines do not keep; write a merge"
            )
        self.fold, self.like = a_fold, None if like is None else like_of(arrays(like))

    def create_accumulator(self) -> Any:
        """Return the memory of nothing; None where an element's shape is not known."""
        return None if self.like is None else empty(self.fold, self.like)

    def add_input(self, accumulator: Any, element: Any) -> Any:
        """Return the memory after one more element."""
        element = self.cast(element)
        if accumulator is None:
            accumulator = empty(self.fold, like_of(element))
        return step(self.fold, accumulator, element)

    def add_inputs(self, accumulator: Any, elements: Iterable[Any]) -> Any:
        """Return the memory after more elements, taken as blocks."""
        rest = list(elements)
        while rest:
            # lengths that are powers of two: few programs
            size = min(BLOCK, 1 << len(rest).bit_length() - 1)
            stacked = jax.tree.map(lambda *x: jnp.stack(x), *map(self.cast, rest[:size]))
            accumulator, rest = self.join(accumulator, block(self.fold, stacked)), rest[size:]
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        """Return the memory of all; of none at all, or of empty ones, that of nothing."""
        return functools.reduce(self.join, accumulators, self.create_accumulator())

    def compact(self, accumulator: Any) -> Any:
        """Return the memory as it is: it does not grow."""
        return accumulator

    def extract_output(self, accumulator: Any) -> Any:
        """Return the fold's answer."""
        if accumulator is None:
            raise ValueError(
                f"Accumulators({self.fold!r}): there was no element, so no one knows what one looks"
                " like; give Accumulators(like=an_element), or leave such groups out (in Beam, "
                "CombineGlobally(...).without_defaults())"
            )
        return self.fold.extract(accumulator)

    def cast(self, element: Any) -> Any:
        """Return an element as arrays, of the dtypes asked for."""
        if self.like is None:
            return arrays(element)
        return jax.tree.map(lambda like, leaf: jnp.asarray(leaf, like.dtype), self.like, element)

    def join(self, a: Any, b: Any) -> Any:
        """Return both memories' data in one, whichever there are."""
        return b if a is None else a if b is None else merge(self.fold, a, b)


def arrays(tree: Any) -> Any:
    known = jax.ShapeDtypeStruct
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, known) else jnp.asarray(leaf), tree)


def like_of(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def empty(a_fold: jf.Fold[Any], like: Any) -> Any:
    return jax.tree.map(jnp.asarray, a_fold.init(like))


@jax.jit
def step(a_fold: jf.Fold[Any], memory: Any, element: Any) -> Any:
    return a_fold.step(memory, element)


@jax.jit
def block(a_fold: jf.Fold[Any], elements: Any) -> Any:
    return a_fold.block(elements)


@jax.jit
def merge(a_fold: jf.Fold[Any], a: Any, b: Any) -> Any:
    assert a_fold.merge is not None
    return a_fold.merge(a, b)


def combine_per_key(pairs: list[tuple[str, Any]], combine: Any, seed: int) -> dict[str, Any]:
    """Do what an engine does: cut the pairs anywhere, send pickles, merge by key in any order."""
    order = random.Random(seed)
    cuts = sorted(order.sample(range(len(pairs) + 1), 4))
    arrived: dict[str, list[bytes]] = defaultdict(list)
    for start, stop in zip([0, *cuts], [*cuts, len(pairs)], strict=True):
        elements: dict[str, list[Any]] = defaultdict(list)
        for key, value in pairs[start:stop]:
            elements[key].append(value)
        for key, values in elements.items():  # a worker's, which unpickles the bridge itself
            of = pickle.loads(pickle.dumps(combine))
            memory = of.add_input(of.create_accumulator(), values[0])
            arrived[key].append(pickle.dumps(of.add_inputs(memory, values[1:])))
    answers = {}
    for key, sent in arrived.items():
        order.shuffle(sent)
        early = combine.compact(combine.merge_accumulators(map(pickle.loads, sent[:2])))
        whole = combine.merge_accumulators([early, *map(pickle.loads, sent[2:])])
        answers[key] = combine.extract_output(whole)
    return answers


def main() -> None:
    draw = np.random.default_rng(0)
    cities = {"Oslo": 5.7, "Cairo": 22.1, "Quito": 13.9}
    pairs = [(c, np.float32(draw.normal(cities[c]))) for c in draw.choice(list(cities), 500)]
    both = jf.combine(mean=jf.folds.mean(), std=jf.folds.std(correction=1), n=jf.folds.count())
    for seed in range(3):
        answers = combine_per_key(pairs, Accumulators(both), seed)
        for city, found in sorted(answers.items()):
            data = jnp.array([value for key, value in pairs if key == city])
            assert int(found["n"]) == len(data)
            np.testing.assert_allclose(found["mean"], jf.stats.mean(data), rtol=1e-6)
            np.testing.assert_allclose(found["std"], jf.stats.std(data, correction=1), rtol=1e-6)
            if seed == 0:
                print(f"{city}: {found['mean']:.1f} ± {found['std']:.2f}, {int(found['n'])} of 500")
    print("merged in three orders, the same to rounding")


if __name__ == "__main__":
    main()
