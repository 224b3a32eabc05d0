"""Laws of any value: monoids, inverses and pytrees, sound ones and broken ones."""

import jax
import jax.numpy as jnp
import pytest
from helpers import breach

import jfoundations as jf
from jfoundations import folds
from jfoundations.testing import laws, strategies

WITHIN = 200
SMALL = strategies.arrays(shape=(3,))


def test_monoids():
    laws.monoid(jnp.maximum, jnp.full(3, -jnp.inf), max_examples=20)
    laws.monoid(lambda p, q: p >> q, jf.Pipe(), strategies.pipes(), max_examples=20)
    laws.monoid(jf.chain, jf.proceed, strategies.callbacks(), max_examples=20)
    total = folds.count()
    memories = SMALL.map(total.block)
    laws.monoid(total.merge, total.init(jnp.zeros(())), memories, max_examples=10)


def test_what_is_no_monoid():
    with breach("join\\(join\\(a, b\\), c\\), and join\\(a, join\\(b, c\\)\\)"):
        laws.monoid(jnp.add, jnp.zeros(3), max_examples=WITHIN)  # floats are not associative
    laws.monoid(jnp.add, jnp.zeros(3), SMALL, rtol=1e-6, atol=1e4, max_examples=20)
    with breach("join\\(a, unit\\), and a"):
        laws.monoid(lambda a, b: b, jnp.zeros(3), max_examples=WITHIN)


def test_a_monoid_with_hidden_state():
    calls = []

    def join(a, b):
        calls.append(1)
        return a + b + len(calls) // 3 % 2

    with pytest.raises(AssertionError, match="join|same values gave different answers"):
        laws.monoid(join, 0, strategies.strategy_of(1), max_examples=WITHIN)


def test_inverses():
    laws.inverse(lambda x: (x[::-1], None), lambda y: y[0][::-1], SMALL, max_examples=20)
    laws.inverse(jnp.expm1, jnp.log1p, jnp.linspace(-0.5, 0.5, 4), ulp=64, max_examples=1)
    with breach("g\\(f\\(x\\)\\), and x"):
        laws.inverse(lambda x: x + 1, lambda y: y - 1, SMALL, max_examples=WITHIN)  # rounding
    with breach("g\\(f\\(x\\)\\), and x"):
        laws.inverse(lambda x: x.astype(jnp.bfloat16), lambda y: y, SMALL, max_examples=WITHIN)
    with breach("f\\(g\\(f\\(x\\)\\)\\), and f\\(x\\)"):
        calls = []
        laws.inverse(lambda x: calls.append(1) or x + len(calls) % 2, lambda y: 3, 3)


VALUES = {
    "pipe": jf.Pipe(abs, scale=jf.partial(jnp.multiply, 2.0)),
    "fold": folds.var(),
    "callback": jf.callbacks.early_stopping(abs, patience=2),
    "chain": jf.chain(jf.callbacks.history(), jf.callbacks.best(abs)),
    "result": jf.iterate(lambda x: x / 2, 1.0, jf.callbacks.history(), max_steps=3),
    "weights": jf.stats.Frequency(jnp.ones(3)),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_are_pytrees(name):
    laws.pytree(VALUES[name])


def test_drawn_values_are_pytrees():
    laws.pytree(strategies.pytrees(), max_examples=20)
    laws.pytree(strategies.callbacks() | strategies.folds() | strategies.pipes(), max_examples=20)


class Base:
    def __init__(self, x, static):
        self.x, self.static = x, static

    def tree_flatten(self):
        return (self.x,), self.static

    @classmethod
    def tree_unflatten(cls, static, leaves):
        return cls(*leaves, static)


@jax.tree_util.register_pytree_node_class
class Sound(Base):
    pass


@jax.tree_util.register_pytree_node_class
class Unhashable(Base):
    def tree_flatten(self):
        return (self.x,), [self.static]


@jax.tree_util.register_pytree_node_class
class Forgets(Base):
    @classmethod
    def tree_unflatten(cls, static, leaves):
        return cls(*leaves, None)


@jax.tree_util.register_pytree_node_class
class Converts(Base):
    @classmethod
    def tree_unflatten(cls, static, leaves):
        return cls(jnp.asarray(leaves[0]), static)


@jax.tree_util.register_pytree_node_class
class Rounds(Base):
    @classmethod
    def tree_unflatten(cls, static, leaves):
        return cls(leaves[0] if isinstance(leaves[0], jax.Array) else None, static)


@jax.tree_util.register_pytree_node_class
class Lists(Base):
    @classmethod
    def tree_unflatten(cls, static, leaves):
        return [cls(*leaves, static)]


def test_what_is_no_pytree():
    one = jnp.ones(2)
    laws.pytree(Sound(one, "a"))
    for value, match in (
        (Unhashable(one, "a"), "the static part of Unhashable, \\['a'\\], has no hash"),
        (Forgets(one, "a"), "rebuilt from its leaves, its structure is"),
        (Converts(one, "a"), "objects that are no arrays cannot take"),
        (Rounds(one, "a"), "changes, drops or reorders"),
        (Lists(one, "a"), "rebuilt, it is of"),
    ):
        with breach(match):
            laws.pytree(value)
