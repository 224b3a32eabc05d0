"""A checkpoint knows its fold by all that it computes with, or refuses it.

The cause: a fingerprint looked into `__dict__` alone, and into two fields of objects that have
`.func`; what it could not see all looked the same. The same cause acts wherever a function is kept:

* objects without `__dict__`: slices, ranges, getters, slots, dates, numbers of the library;
* wrapped functions: partials, jit, vmap, bound methods, dataclasses with any field names;
* what code names: globals, nested code, classes; containers, arrays and keys that it closes over;
* settings of JAX, which no function holds;
* what changes while it is used (generators, files, iterators) has no identity: it is refused.
"""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import operator
import os
import pathlib
import random
import re
import subprocess
import sys
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from hypothesis import given
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds
from jfoundations._running.fingerprint import fingerprint

SCALE = 3.0


def taking(what):
    return lambda r: r[what].sum()


def scaled(x):
    return x * SCALE


def through(x):
    return scaled(x)


def countdown(n):
    return countdown(n - 1) if n else SCALE


@dataclasses.dataclass(frozen=True)
class Named:
    func: object
    wrapped: object = None

    def __call__(self, x):
        return self.func(x)


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    by: float


class Times:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by

    @functools.cached_property
    def twice(self):
        return 2 * self.by


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


Point = collections.namedtuple("Point", "x y")

HELD = {
    "slice": [slice(0, 3), slice(3, 6), slice(0, 3, 2)],
    "range": [range(3), range(4)],
    "slots": [Slots(1.0), Slots(2.0)],
    "date": [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), datetime.timedelta(1)],
    "fraction": [fractions.Fraction(1, 3), fractions.Fraction(1, 4)],
    "decimal": [decimal.Decimal("1.0"), decimal.Decimal("1.1")],
    "enum": [Colour.RED, Colour.BLUE],
    "deque": [collections.deque([1]), collections.deque([1, 2]), collections.deque([1], 5)],
    "bytes": [b"a", b"b", bytearray(b"a"), memoryview(b"a")],
    "pattern": [re.compile("a"), re.compile("a", re.I)],
    "tuple": [Point(1, 2), Point(2, 1), (1, 2), [1, 2], ((1,), 2), (1, (2,)), ("ab", "c")],
    "text": [("a", "bc"), "a", "1", 1, 1.0, True, None, 0.0, -0.0, ..., 2**70, 1j],
    "dict": [{"a": 1}, {"a": 2}, collections.OrderedDict(a=1), collections.defaultdict(int, a=1)],
    "set": [{"a", "b", "c"}, {"a", "b"}, frozenset("abc")],
    "space": [types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)],
    "path": [pathlib.Path("a"), pathlib.Path("b")],
    "array": [
        np.ones(3),
        np.ones(3, np.float32),
        np.ones((3, 1)),
        np.zeros(3),
        np.array([1, None]),
    ],
    "jax array": [jnp.ones(3), jnp.zeros(3), jnp.ones(3, jnp.int32)],
    "key": [jax.random.key(0), jax.random.key(1), jax.random.key(0, impl="rbg")],
    "masked": [np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1, 2], [0, 0])],
    "words": [array.array("d", [1.0]), array.array("d", [2.0]), array.array("f", [1.0])],
    "dtype": [np.dtype("f4"), np.dtype("f8"), jnp.bfloat16],
    "structure": [jax.tree.structure({"a": 1}), jax.tree.structure({"b": 1})],
}
FUNCTIONS = {
    "getter": [operator.itemgetter(0), operator.itemgetter(1), operator.itemgetter(0, 1)],
    "attribute": [operator.attrgetter("T"), operator.attrgetter("mT")],
    "caller": [operator.methodcaller("sum", axis=0), operator.methodcaller("sum", axis=1)],
    "partial": [
        functools.partial(pow, 2),
        functools.partial(pow, 3),
        functools.partial(pow, exp=2),
    ],
    "our partial": [jf.partial(pow, 2), jf.partial(pow, 2.0), jf.partial(pow, 3)],
    "bound": [Times(1).__call__, Times(2).__call__, (3).__add__, (4).__add__, "ab".join],
    "object": [Times(1), Times(2), Named(scaled), Named(through), Named(scaled, 1)],
    "builtin": [abs, len, jnp.abs, jnp.negative, np.sin, np.cos, jax.nn.relu],
    "wrapped": [jax.jit(scaled), jax.jit(through), jax.vmap(scaled), jax.grad(scaled)],
    "pipe": [jf.Pipe(scaled, abs), jf.Pipe(abs, scaled), jf.lift(taking(1)), jf.lift(taking(2))],
    "code": [lambda x: x + 1, lambda x: x + 2, lambda x: x - 1, lambda x, y=1: x + y],
    "global": [scaled, through, countdown, lambda x: x in {"p", "q", "r"}],
    "fold": [
        folds.mean(),
        folds.var(),
        folds.grouped(folds.var(), 3),
        folds.grouped(folds.var(), 4),
    ],
}
ALL = [taking(v) for vs in HELD.values() for v in vs] + [f for fs in FUNCTIONS.values() for f in fs]


def test_no_two_share_a_fingerprint():
    seen = {}
    for k, function in enumerate(ALL):
        assert seen.setdefault(fingerprint(function), k) == k
        assert fingerprint(function) == fingerprint(function)
    again = [taking(v) for vs in HELD.values() for v in vs]
    assert list(map(fingerprint, again)) == list(seen)[: len(again)]


plain = st.recursive(
    st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=6,
)


def exactly(value):
    """A text that tells types, signs of zero and orders of a dict apart."""
    return repr(value)


@given(plain, plain)
def test_drawn_values_collide_only_if_equal(a, b):
    assert (fingerprint(taking(a)) == fingerprint(taking(b))) == (exactly(a) == exactly(b))


def test_globals_count_and_caches_do_not(monkeypatch):
    before = [fingerprint(f) for f in (scaled, through, countdown, taking(1))]
    times = Times(2)
    alone = fingerprint(times)
    assert times.twice == 4 and fingerprint(times) == alone
    monkeypatch.setitem(globals(), "SCALE", 4.0)
    after = [fingerprint(f) for f in (scaled, through, countdown, taking(1))]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, False, True]


@pytest.mark.slow
def test_processes_agree():
    """Under other seeds of hashes, which order sets."""
    program = "import test_fingerprint as t\nprint(*map(t.fingerprint, t.ALL))"
    said = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"}
        env["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), *sys.path])
        run = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True)
        assert run.returncode == 0, run.stderr
        said.add(run.stdout)
    assert len(said) == 1


def iterator():
    yield 1


REFUSED = {
    "generator of numbers": lambda: np.random.default_rng(0),
    "its older kind": lambda: np.random.RandomState(0),
    "Python's": lambda: random.Random(0),
    "file": lambda: sys.stdin,
    "iterator": lambda: iter([1]),
    "generator": iterator,
    "lock": threading.Lock,
    "local": threading.local,
    "foreign": lambda: __import__("ctypes").c_int(1),
    "ufunc of Python": lambda: np.frompyfunc(abs, 1, 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_seen_into_is_refused_by_name(tmp_path, name):
    held = REFUSED[name]()
    fold = folds.maximum().of(lambda x: x if held else x)
    kind = type(held).__name__
    with raises(TypeError, "checkpoint=", "maximum", kind, "cannot be seen into", "checkpoint_id="):
        jf.fold(fold, [jnp.ones(2)], checkpoint=tmp_path / "run.jf")
    how = {"checkpoint": tmp_path / "run.jf", "checkpoint_id": "mine"}
    assert float(jf.fold(fold, [jnp.ones(2)], **how)) == 1.0
    with raises(ValueError, "made otherwise"):
        jf.fold(fold, [jnp.ones(2)], **{**how, "checkpoint_id": "yours"})


def test_a_slice_in_a_closure_is_another_fold(tmp_path):
    data, path = [jnp.arange(6.0)[None]] * 2, tmp_path / "run.jf"
    one, two = (folds.mean().of(taking(slice(k, k + 3))) for k in (0, 3))
    assert float(jf.fold(one, data, checkpoint=path)) == 3.0
    with raises(ValueError, "is of the fold mean, and this one is mean, made otherwise"):
        jf.fold(two, data, checkpoint=path)
    assert float(jf.fold(one, data, checkpoint=path)) == 3.0


def test_a_key_in_a_closure_and_settings(tmp_path):
    key, path = jax.random.key(3), tmp_path / "run.jf"
    fold = folds.mean().of(lambda x: x + jax.random.uniform(key, dtype=np.float32))
    data = [np.ones(3, np.float32)]
    right = jf.fold(fold, data)
    assert jf.fold(fold, data, checkpoint=path) == jf.fold(fold, data, checkpoint=path) == right
    with jax.default_matmul_precision("highest"), raises(ValueError, "other settings of JAX"):
        jf.fold(fold, data, checkpoint=path)


BAD = {
    "checkpoint=True": ({"checkpoint": True}, "checkpoint is True; give the path"),
    "progress=True": ({"progress": True}, "progress is True", "progress=print"),
    "id alone": ({"checkpoint_id": "a"}, "checkpoint_id is given and checkpoint"),
    "every alone": ({"checkpoint_every": 1}, "checkpoint_every is given and checkpoint"),
    "id of no text": ({"checkpoint": "a", "checkpoint_id": 3}, "checkpoint_id is 3"),
    "executor of text": ({"executor": "local"}, "executor is 'local'", "jfoundations.executors"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_arguments_are_named(name):
    words, *parts = BAD[name]
    with raises(TypeError, "fold: ", *parts):
        jf.fold(folds.maximum(), jnp.ones(3), **words)
