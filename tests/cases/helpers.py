"""What several test files share: comparing bits, counting traces, and steps to loop over."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfoundations.testing import checks
from jfoundations.testing.strategies._arrays import cut

assert_same = functools.partial(checks.assert_same, bits=True)
DRIVERS = ("while", "scan", "checkpointed", "python")


def bits(leaf):
    """Return dtype, shape and bytes of a leaf, typed PRNG keys included."""
    dtype = jnp.asarray(leaf).dtype
    if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return str(dtype), array.shape, array.tobytes()


def lane(tree, i):
    """Return lane i of a batched pytree, cut on the host, where a cut compiles nothing."""
    return jax.tree.map(lambda leaf: cut(leaf, i), tree)


def hlo(function, *args):
    """Return a function's StableHLO without names of functions and locations."""
    return nameless(jax.jit(function).lower(*args).as_text())


def nameless(text):
    """Return StableHLO without names of functions and locations."""
    return re.sub(r"#?loc\(.*\)|@\w+", "@", text)


def raises(kind, *parts):
    """Expect an exception whose message holds the parts, in order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(map(re.escape, parts)))


def breach(match):
    """Expect a law to fail, and to show the values that made it fail."""
    return pytest.raises(AssertionError, match=rf"(?s){match}.*repro, with the smallest input")


def counted(function):
    """Return a function and the list that grows by one each time it is traced."""
    traces = []

    @functools.wraps(function)  # the signature too: a loop passes what it names
    def counting(*args, **kwargs):
        traces.append(1)
        return function(*args, **kwargs)

    return counting, traces


def affine(x):
    return 0.75 * x + 1.0


def power(state):
    matrix, v = state
    w = matrix @ v
    return matrix, w / jnp.sqrt(jnp.sum(w * w))


def momentum(state):
    w, v = state["w"], state["v"]
    v = jax.tree.map(lambda v, g: 0.9 * v - 0.05 * g, v, jax.grad(rosenbrock)(w))
    return {"w": jax.tree.map(jnp.add, w, v), "v": v}


def rosenbrock(w):
    return (1.0 - w["a"]) ** 2 + 0.5 * (w["b"] - w["a"] ** 2) ** 2


def lcg(n):
    return n * jnp.uint32(1664525) + jnp.uint32(1013904223)


def logistic(x):
    return 3.99 * x * (1.0 - x)


def walk(state):
    key, x = state
    key, draw = jax.random.split(key)
    return key, x + jax.random.normal(draw, x.shape, x.dtype)


def size(state):
    """Return one number of any of the states below, for callbacks to look at."""
    leaves = [x for x in jax.tree.leaves(state) if not is_key(x)]
    return sum(jnp.sum(jnp.abs(x.astype(jnp.result_type(float)))) for x in leaves)


def is_key(leaf):
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def steps():
    """Return six different steps with their starts, by name."""
    zero = jnp.zeros(())
    matrix = jnp.array([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]])
    return {
        "affine": (affine, jnp.asarray(0.5)),
        "power": (power, (matrix, jnp.ones(3))),
        "momentum": (
            momentum,
            {"w": {"a": zero - 1.2, "b": zero + 1.0}, "v": {"a": zero, "b": zero}},
        ),
        "lcg": (lcg, jnp.uint32(1)),
        "logistic": (logistic, jnp.array([0.1, 0.2, 0.3])),
        "walk": (walk, (jax.random.key(0), jnp.zeros(2))),
    }


STEPS = ("affine", "power", "momentum", "lcg", "logistic", "walk")
