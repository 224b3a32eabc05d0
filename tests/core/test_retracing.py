"""How often each form of callable traces when it is built anew: the table in `help(lift)`."""

import dataclasses
import functools
import inspect
import re

import jax
import jax.numpy as jnp
import pytest

import jfoundations as jf
from jfoundations.testing import checks

X = jnp.array([1.0, 2.0, 6.0])


def center(x):
    return x - jnp.mean(x)


def back(x):
    return x


def scale(x, by=2.0):
    return x * by


def positive(x):
    return x > 0


def closure(by, n, word, on):
    return lambda x: x * by if on and word else x * n


class Affine:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return self.by * x


@dataclasses.dataclass(frozen=True)
class Scale:
    by: float

    def __call__(self, x):
        return self.by * x

    def scaled(self, x):
        return self.by * x


ONE = Scale(3.0)
JITTED = jax.jit(center)
STAGES = {  # the rows of the table, and builders of each
    "function of a module": [lambda: center],
    "lambda": [lambda: lambda x: 2 * x],
    "closure": [
        lambda: closure(2.0, 3, "a", True),
        lambda: closure(jnp.asarray(2.0), 3, "a", True),
    ],
    "functools.partial": [lambda: functools.partial(scale, by=3.0)],
    "jf.partial": [lambda: jf.partial(scale, by=3.0)],
    "callable class": [lambda: Affine(2.0)],
    "callable frozen dataclass": [lambda: Scale(2.0)],
    "bound method of one object": [lambda: ONE.scaled],
    "bound method of a frozen dataclass": [lambda: Scale(2.0).scaled],
    "function jitted once": [lambda: JITTED],
    "function jitted anew": [lambda: jax.jit(center)],
    "juxt, Pipe, compose, Reversible": [
        lambda: jf.juxt(center, scale),
        lambda: jf.Pipe(center, s=jf.partial(scale, by=3.0)),
        lambda: jf.compose(scale, center),
        lambda: jf.Reversible(center, back),
        lambda: jf.Pipe(jf.Reversible(center, back)).inverse,
    ],
    "map_, filter_, take, take_while": [
        lambda: jf.map_(center),
        lambda: jf.filter_(positive),
        lambda: jf.take(2),
        lambda: jf.take_while(positive),
        lambda: jf.Pipe(jf.map_(scale), jf.filter_(positive), jf.take(5)),
    ],
}
ROWS = re.findall(r"^(\w.*?) {2,}(\d) +(\d)$", inspect.cleandoc(jf.lift.__doc__), re.MULTILINE)
TABLE = {row: (int(as_is), int(lifted)) for row, as_is, lifted in ROWS}


def traces(build):
    """Return how often a jitted function traces, given a stage built three times."""
    runs = []

    @jax.jit
    def run(pipe, x):
        runs.append(1)
        transducers = [s for s in pipe if isinstance(s, jf.map_ | jf.filter_ | jf.take_while)]
        if transducers or pipe.names == ("take",):
            return jf.fold(pipe.over(jf.folds.count()), x)
        return pipe(x)

    for _ in range(3):
        run(jf.Pipe(build()), X)
    return len(runs)


def test_the_table_has_all_forms():
    assert list(TABLE) == list(STAGES)


@pytest.mark.parametrize(
    ("row", "k"), [(row, k) for row in STAGES for k in range(len(STAGES[row]))]
)
def test_how_often_a_stage_built_anew_traces(row, k):
    build = STAGES[row][k]
    assert (traces(build), traces(lambda: jf.lift(build()))) == TABLE[row]


def test_lift_of_other_callables():
    lifted = jf.lift(functools.partial(scale, by=3.0))
    assert jax.tree.leaves(lifted) == [3.0] and lifted(2.0) == 6.0
    method = jf.lift(ONE.scaled)
    assert method(2.0) == 6.0 and repr(method) == "partial(scaled, Scale(by=3.0))"
    pipe = jf.Pipe(jf.partial(scale, by=3.0))
    assert jax.tree.leaves(jf.lift(pipe.run_stage)) == [3.0]  # it brings the object's leaves
    assert jf.lift(pipe.run_stage)(0, 2.0) == 6.0


def test_n_of_take_is_a_leaf():
    with checks.assert_traces(1) as counted:
        run = jax.jit(counted(lambda pipe, x: jf.fold(pipe.over(jf.folds.count()), x)))
        assert [int(run(jf.Pipe(jf.take(n)), X)) for n in (0, 1, 2, 9)] == [0, 1, 2, 3]
    together = jax.vmap(lambda n: jf.fold(jf.Pipe(jf.take(n)).over(jf.folds.count()), X))
    assert together(jnp.arange(5, dtype=jnp.int32)).tolist() == [0, 1, 2, 3, 3]
