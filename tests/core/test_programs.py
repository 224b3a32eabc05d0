"""A program lives no longer than the functions in it, and so does what these closed over.

Cause: a `jax.jit` of a module whose arguments hold a user's functions keeps each program for ever,
with the arrays that the functions closed over; and JAX itself keeps what a trace had closed over if
an exception goes out of it, which is how a loop learnt that its callbacks cannot stop. It acts
wherever a user's function becomes part of a compiled program: step and callbacks of each driver,
`resume`, `chunks` with and without lanes, pipes, partials, methods, folds, statistics that take
functions.

`python tests/cases/memory_child.py 2000 step jit` shows the memory after 500 and after 2,000 calls.
"""

import collections
import dataclasses
import gc
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import memory_child
import pytest
from helpers import counted
from memory_child import KINDS, SMALL, Frozen, apply, run

import jfoundations as jf
from jfoundations._core.programs import compiled
from jfoundations._core.values import Static

COMPARED = ("jit", "step", "chunks", "fold")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_fresh_function_closed_over_goes_with_it(kind):
    arrays = []
    for k in range(2):
        array = jnp.full(2**18, k, jnp.float32)
        arrays.append(weakref.ref(array))
        KINDS[kind](lambda x, array=array: x + array[:4])
        del array
    gc.collect()
    assert [ref() for ref in arrays] == [None, None]


def test_many_calls_leave_no_more_than_those_of_jit():
    command = [sys.executable, memory_child.__file__, "24", *COMPARED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = {}
    for line in done.stdout.splitlines():
        name, alive, early, late = line.split("\t")
        assert int(alive) == 0
        grown[name] = float(late) - float(early)
    for name in COMPARED[1:]:  # by 18 MiB, were the arrays kept
        assert grown[name] < max(grown["jit"], 0) + 8, grown


ENDING = """
import gc
import jfoundations as jf
from jfoundations._core import programs

step = lambda x: x / 2
jf.iterate(step, 1, max_steps=2)
kept = list(programs._programs.values())
vars(programs).update(dict.fromkeys(vars(programs)))
del step
gc.collect()
"""


def test_functions_that_go_when_modules_have_gone_do_so_in_silence():
    """An interpreter that ends clears modules; a traceback may hold programs longer than that."""
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


class Unit:
    """Metadata that a Ctrl-C may come in while it is compared."""

    comes: type[BaseException] | None = None

    def __eq__(self, other):
        if Unit.comes:
            raise Unit.comes
        return type(other) is Unit

    def __hash__(self):
        return 7


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Measured:
    x: jax.Array
    unit: Unit = dataclasses.field(metadata={"static": True})


RUNS = {
    "iterate": lambda run: jf.iterate(half, run, max_steps=3),
    "chunks": lambda run: list(jf.chunks(half, run, max_steps=3)),
    "fold": lambda run: jf.fold(jf.folds.maximum(), [run]),
    "callback": lambda run: jf.iterate(
        jnp.sin, run.x, jf.stop_when(jf.partial(below, run)), max_steps=3
    ),
    "nested": lambda run: jf.iterate(
        jnp.sin, run.x, jf.stop_when(jf.partial(below, jf.partial(half, run))), max_steps=3
    ),
}


def below(bound, x):
    return x[0] < -1


def half(measured):
    return Measured(measured.x / 2, measured.unit)


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("comes", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_between_two_structures_is_one(kind, comes, monkeypatch):
    """JAX makes a ValueError of what comes while it compares the metadata of pytrees."""
    RUNS[kind](Measured(jnp.ones(3), Unit()))
    monkeypatch.setattr(Unit, "comes", comes)
    with pytest.raises(comes):
        RUNS[kind](Measured(jnp.ones(3), Unit()))
    monkeypatch.setattr(Unit, "comes", ZeroDivisionError)
    with pytest.raises(ValueError, match="equality of metadata"):
        RUNS[kind](Measured(jnp.ones(3), Unit()))
    monkeypatch.setattr(Unit, "comes", None)
    RUNS[kind](Measured(jnp.ones(3), Unit()))  # nothing is left of it


EQUAL = {
    "one function": lambda f: f,
    "partial": lambda f: jf.partial(apply, f),
    "pipe": lambda f: jf.Pipe(a=f) >> jf.Pipe(b=jnp.sin),
    "frozen dataclass": Frozen,
    "bound method": lambda f: BOUND.method,
}


class Bound:
    traces: list[int]

    def method(self, x):
        self.traces.append(1)
        return 0.5 * x


BOUND = Bound()


@pytest.mark.parametrize("build", EQUAL.values(), ids=EQUAL)
def test_equal_functions_built_anew_are_traced_once(build):
    step, traces = counted(lambda x: 0.5 * x)
    BOUND.traces = traces

    def listen():
        return jf.watch(jf.folds.mean()), jf.callbacks.best(jnp.sum), jf.every(2, jf.proceed)

    for call in (
        lambda: run(build(step), *listen()),
        lambda: jf.resume(run(build(step), *listen()), build(step), *listen(), max_steps=5),
        lambda: [*jf.chunks(build(step), SMALL, *listen(), max_steps=3, every=2)],
    ):
        call()
        first = len(traces)
        call()
        assert len(traces) == first


def test_a_program_called_within_another_finds_its_own_functions():
    inner = lambda x: jf.iterate(lambda y: y + 1, x, max_steps=2).state  # noqa: E731
    assert run(lambda x: inner(x) * 2, driver="python").state.tolist() == [36.0] * 4
    assert jax.vmap(lambda x: jf.iterate(inner, x, max_steps=2).state)(SMALL).tolist() == [5.0] * 4


@dataclasses.dataclass(frozen=True)
class Shifted:
    sign: float = 0.0
    shift: int = dataclasses.field(default=0, compare=False)

    def __call__(self, x):
        return x + self.shift + jnp.copysign(1.0, self.sign)


def test_different_values_never_share_a_program():
    which = lambda one, other: jnp.asarray(1 if one is None else 2)  # noqa: E731
    given = Static(None), jnp.ones(2)
    assert [int(compiled(which, *pair)()) for pair in (given, given[::-1])] == [1, 2]
    for step, right in ((Shifted(0.0), 1), (Shifted(-0.0), -1), (Shifted(shift=5), 6)):
        assert float(jf.iterate(step, 0.0, max_steps=1).state) == right
    pair = collections.namedtuple("pair", "n")
    found = [compiled(lambda p: jnp.asarray(p.n), Static(pair(n)))() for n in (1, 1.0)]
    assert [found[0].dtype.kind, found[1].dtype.kind] == ["i", "f"]
