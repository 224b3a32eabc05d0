"""Folds of functions made anew leave nothing behind, and nests of folds cost what their parts do.

The causes: programs of a module's `jax.jit` held the functions in their arguments for ever; and a
fold of folds was a function of functions, as deep as it was written. They act in

* arrays, blocks, orders, checkpoints, devices, and the answers: each was a program of its own;
* sums and other arithmetic, `map`, `of`, `where`, `combine`, in any mixture that keeps the memory.
"""

import functools
import gc
import pickle
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import executors, folds
from jfoundations._core.programs import _programs

X = np.arange(1.0, 9.0, dtype=np.float32)
BLOCKS = [X[:4], X[4:]]


def in_order(g):
    ordered = jf.Fold(lambda like: jnp.zeros((), like.dtype), lambda m, x: m / 2 + x, None)
    return jf.fold(ordered.of(g), BLOCKS)


def on_devices(g):
    mesh = executors.Devices(jax.make_mesh((2,), ("data",)), "data")
    return jf.fold(folds.maximum().of(g), BLOCKS, mesh)


def shifted(held, x):
    return x + held[0]


def shift(held):
    return lambda x: shifted(held, x)


WAYS = {
    "array": lambda g: jf.fold(folds.maximum().of(g), X),
    "blocks": lambda g: jf.fold(folds.maximum().of(g), BLOCKS),
    "order": in_order,
    "devices": on_devices,
    "answer": lambda g: jf.fold(folds.maximum().map(g), X),
    "predicate": lambda g: jf.fold(folds.maximum().where(lambda x: g(x) > 0), X),
    "combined": lambda g: jf.fold(jf.combine(a=folds.maximum().of(g), b=folds.count()), X),
    "sum": lambda g: jf.fold(folds.maximum().of(g) + folds.maximum().map(g), X),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_closure_holds_goes_with_it(way):
    gc.collect()
    alive, before = [], len(_programs)
    for _ in range(3):
        held = np.ones(1000, np.float32)
        alive.append(weakref.ref(held))
        WAYS[way](functools.partial(shifted, held))
        WAYS[way](shift(held))
        del held
    gc.collect()
    assert [ref() for ref in alive] == [None] * 3
    assert len(_programs) <= before + 3  # of functions of a module, which stay


def test_equal_folds_are_traced_once():
    traced = []

    def noted(x):
        traced.append(1)
        return x

    def run():
        fold = jf.combine(a=folds.mean().of(noted), b=folds.var().of(noted))
        jf.fold(fold, X), jf.fold(fold, BLOCKS)

    run()
    before = len(traced)
    for _ in range(3):
        run()
    assert len(traced) == before


def add(x):
    return x + 1


def large(x):
    return x > 2


def repeat(count, change, fold):
    return functools.reduce(lambda f, _: change(f), range(count), fold)


MEAN, MAX = folds.mean(), folds.maximum()
NESTS = {
    "sum": (lambda: repeat(300, lambda f: f + MAX, MAX), 301 * 8.0),
    "sum from the right": (lambda: repeat(300, lambda f: MAX + f, MAX), 301 * 8.0),
    "difference": (lambda: repeat(300, lambda f: MAX - f, MAX), 8.0),
    "numbers": (lambda: repeat(300, lambda f: f + 1, MAX), 308.0),
    "absolute": (lambda: repeat(150, lambda f: abs(f) + MAX, MAX), 151 * 8.0),
    "of": (lambda: repeat(500, lambda f: f.of(add), MAX), 508.0),
    "map": (lambda: repeat(500, lambda f: f.map(add), MAX), 508.0),
    "where": (lambda: repeat(300, lambda f: f.where(large), MEAN), 5.5),
    "map of a sum": (lambda: repeat(300, lambda f: f.map(add), MAX + MAX), 316.0),
}


@pytest.mark.parametrize("nest", NESTS)
def test_deep_nests(nest):
    make, right = NESTS[nest]
    fold = make()
    assert float(jf.fold(fold, X)) == right
    assert make() == fold == pickle.loads(pickle.dumps(fold))


def test_a_deep_combination():
    fold = repeat(200, lambda f: jf.combine(a=f), MAX)
    answer = jf.fold(fold, X)
    for _ in range(200):
        answer = answer["a"]
    assert float(answer) == 8.0
    assert len(fold.init(jax.ShapeDtypeStruct((), np.float32))) == 1  # one memory, not a nest


def test_different_folds_add_up():
    parts = [MAX.of(jf.partial(jnp.add, float(k))) for k in range(30)]
    assert float(jf.fold(functools.reduce(lambda a, b: a + b, parts), X)) == 30 * 8 + 435


def test_what_is_in_nests_is_computed_once_and_answered_whole():
    inner = jf.combine(mean=MEAN, var=folds.var())
    both = jf.combine(left=inner, right=folds.std()).map(
        lambda t: t["left"]["var"] - t["right"] ** 2
    )
    assert len(both.init(jax.ShapeDtypeStruct((), np.float32))) == 2
    assert abs(float(jf.fold(both, X))) <= 2.0**-18  # 5.25 by root and square
    order = jf.Fold(lambda like: jnp.zeros((), like.dtype), lambda m, x: x, None)
    mixed = jf.combine(a=inner, b=jf.combine(last=order))
    answer = jf.fold(mixed, BLOCKS)
    assert float(answer["b"]["last"]) == 8.0 and float(answer["a"]["mean"]) == 4.5
    again = pickle.loads(pickle.dumps(inner))
    assert jf.combine(x=again, y=MEAN) == jf.combine(x=inner, y=MEAN)
