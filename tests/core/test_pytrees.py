"""Frozen pytree dataclasses: structures differ wherever classes do; values come back whole."""

import itertools

import jax
import jax.numpy as jnp
import pytest

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations._core.pytrees import pytree, static
from jfoundations.folds._memory import Memory, Weight


@pytree
class Left:
    value: object
    name: str = static(default="left")


@pytree
class Right:
    value: object
    name: str = static(default="left")


KINDS = {
    "weights": [stats.Frequency(1), stats.Probability(1), stats.Reliability(1)],
    "one field and a static one": [Left(1), Right(1), Left(1, "other")],
}


@pytest.mark.parametrize("name", KINDS)
def test_structures_of_two_classes_differ(name):
    # dataclasses registered by JAX itself compare equal here, so that a jitted function may take
    # the program of another class: once in some hundred runs, by the hashes' luck
    structures = list(map(jax.tree.structure, KINDS[name]))
    for a, b in itertools.combinations(structures, 2):
        assert a != b
    for a, b in itertools.combinations(KINDS[name], 2):
        with pytest.raises(ValueError):
            jax.tree.map(lambda x, y: x, a, b)


def test_every_pytree_class_has_its_own_structure():
    classes = {c for c in vars(stats).values() if getattr(c, "__dataclass_fields__", None)}
    classes.remove(stats.Statistic)  # a leaf
    classes |= {jf.LoopResult, Memory, Weight}
    assert len(classes) >= 8
    made = []
    for cls in classes:
        value = object.__new__(cls)
        for field in cls.__dataclass_fields__:
            object.__setattr__(value, field, jnp.zeros(()))
        made.append(jax.tree.structure(value))
    assert all(a != b for a, b in itertools.combinations(made, 2))


def test_values_come_back_whatever_the_leaves_are():
    left = Left(jnp.arange(3), "mine")
    leaves, structure = jax.tree.flatten(left)
    again = jax.tree.unflatten(structure, leaves)
    assert (again.value is left.value, again.name) == (True, "mine")
    sentinel = object()
    assert jax.tree.unflatten(structure, [sentinel]).value is sentinel
    ((path, _),) = jax.tree_util.tree_leaves_with_path(left)
    assert jax.tree_util.keystr(path) == ".value"
    with pytest.raises(AttributeError):
        left.value = 1


def test_names_stand_where_nothing_is():
    # as libraries of checkpoints name leaves, and the places of None and () too
    def empty(node):
        return node is None or (isinstance(node, list | tuple | dict) and not node)

    seen = jf.watch(jf.combine(n=folds.count(), var=folds.var(correction=1.5)), name="seen")
    result = jf.iterate(lambda x: x / 2, 1.0, jf.stop_when(lambda x: x < 0.1), seen, max_steps=9)
    for value in (result, seen, folds.var(correction=1.5), jf.partial(max, 1.0, key=None)):
        structure = jax.tree.structure(value, is_leaf=empty)
        names = [f"leaf {k}" for k in range(structure.num_leaves)]
        assert structure.flatten_up_to(jax.tree.unflatten(structure, names)) == names
