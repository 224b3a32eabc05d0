"""What a second look from outside found: hashes that raise, lifted steps, lanes, identity, files.

Causes, and where else they act:

* A user's `__hash__` may raise anything, not a TypeError alone: steps, callbacks, partials, folds.
* What takes `*args, **kwargs` in front of a user's function hides which context words that names:
  a lifted closure as a step, a stage, a callback, a predicate, in each driver.
* A loop of unknown length has no reverse mode: memories of several blocks were merged in one.
* A fingerprint must see whatever a function may read: the class of a class, names with two
  underscores, what an array of a subclass was given besides, members and methods of enumerations,
  and the order of a dict.
* JAX's or Python's own words came out where a result of lanes went on alone, where a factory was
  not called, where a predicate answered like a callback, a fold's step changed its memory, and
  where a file could not be written.
"""

import json
import os
import types
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, raises

import jfoundations as jf
from jfoundations._core.save import MAGIC
from jfoundations._running.fingerprint import fingerprint
from jfoundations.executors import Local, Processes
from jfoundations.executors._pool import _deadly

cb, folds = jf.callbacks, jf.folds


class Unhashable:
    def __call__(self, x):
        return x + 1

    def __eq__(self, other):
        return isinstance(other, Unhashable)

    def __hash__(self):
        raise ValueError("no hash")


class Heard(Unhashable):
    def __call__(self, x):
        return x + 1, False


def test_a_hash_that_raises():
    step = Unhashable()
    applied = jf.partial(lambda f, x: f(x), step)
    for run in (step, applied):
        assert float(jf.iterate(run, 0.0, max_steps=3).state) == 3
    assert float(jf.iterate(lambda x: x, 0.0, Heard(), max_steps=3).state) == 3
    assert float(jf.fold(folds.mean().of(step), jnp.arange(3.0))) == 2


@pytest.mark.parametrize("driver", DRIVERS)
def test_lifted_functions_name_what_they_need(driver):
    def made(k):
        step = lambda x, *, step: x + k + step  # noqa: E731
        heard = lambda x: (x * k, False)  # noqa: E731
        late = lambda x, *, step: step >= 1  # noqa: E731
        return jf.lift(step), jf.lift(heard), jf.stop_when(jf.lift(late))

    step, heard, late = made(jnp.int32(2))
    for one in (step, jf.Pipe(step), jf.partial(step)):
        result = jf.iterate(one, np.int32(0), heard, late, max_steps=9, driver=driver)
        assert (int(result.state), int(result.steps)) == (14, 2)


def test_lifted_functions_of_too_many_arguments():
    with raises(TypeError, "it needs 'rate', which a loop does not know"):
        jf.iterate(jf.lift(lambda x, *, rate: x), 0.0, max_steps=2)


def test_a_result_of_lanes_goes_on_lane_by_lane():
    step = lambda x: x + 1  # noqa: E731
    lanes = jax.vmap(lambda x: jf.iterate(step, x, max_steps=2))(jnp.arange(3.0))
    for go_on in (
        lambda: jf.resume(lanes, step, max_steps=5),
        lambda: jf.resume(lanes, step, max_steps=5, driver="python"),
        lambda: list(jf.chunks(step, lanes, max_steps=5)),
        lambda: jf.as_scan_body(step).resume(lanes),
    ):
        with raises(ValueError, "the result is of 3 lanes", "jax.vmap", "lanes=True"):
            go_on()
    ended = jax.vmap(lambda r: jf.resume(r, step, max_steps=5))(lanes)
    *_, last = jf.chunks(step, lanes, max_steps=5, lanes=True)
    assert ended.state.tolist() == last.state.tolist() == [5.0, 6.0, 7.0]


def test_a_chunk_may_take_for_ever():
    step = lambda x: x + 1  # noqa: E731
    assert [int(r.steps) for r in jf.chunks(step, 0, max_steps=5, seconds=np.inf)] == [1, 5]


@pytest.mark.parametrize(
    "fold", [folds.mean(), folds.var(), folds.mean() - folds.maximum()], ids=repr
)
def test_gradients_through_several_blocks(fold):
    x = jnp.array([1.0, 2.0, 6.0, 18.0, -3.0])
    whole = jax.grad(lambda x: jf.fold(fold, x))(x)
    cuts = {
        "list": lambda x: [x[:2], x[2:]],
        "source": lambda x: jf.Source.of(x, 1),
    }
    for cut in cuts.values():
        assert jnp.allclose(jax.grad(lambda x, c=cut: jf.fold(fold, c(x)))(x), whole, atol=1e-5)
    traced = jax.jit(jax.grad(lambda x: jf.fold(fold, [x[:2], x[2:]])))(x)
    assert jnp.allclose(traced, whole, atol=1e-5)


READ = {  # what a function reads, with a place for what makes the difference
    "a class's": "class M(type):\n k = {}\nclass A(metaclass=M): pass\nf = lambda x: A.k",
    "two underscores": "class A:\n __k__ = {}\nf = lambda x: A.__k__",
    "hidden": "class A:\n __k = {}\n def g(self): return self.__k\nf = lambda x: A().g()",
    "an array's": "class A(np.ndarray): pass\na = np.zeros(2).view(A)\na.k = {}\nf = lambda x: a.k",
    "a value": "class E(enum.Enum):\n A = {}\nf = lambda x: E.A.value",
    "a method": "class E(enum.Enum):\n A = 1\n def k(self): return {}\nf = lambda x: E.A.k()",
    "a flag": "class E(enum.IntFlag):\n A = {}\nf = lambda x: E.A | x",
    "an order": "a = {{'a' if {} == 1 else 'b': 1, 'c': 1, 'a': 1, 'b': 1}}\nf = lambda x: list(a)",
}


@pytest.mark.parametrize("name", READ)
def test_what_a_fingerprint_sees(name):
    def made(k):
        space = {"__name__": "users_own", "np": np, "enum": __import__("enum")}
        exec(READ[name].format(k), space)
        return fingerprint(space["f"])

    assert made(1) == made(1) != made(2)


def test_members_count_and_texts_do_not():
    def made(text):
        space = {"__name__": "users_own", "enum": __import__("enum")}
        exec(f"class E(enum.Enum):\n {text}\nf = lambda x: len(E)", space)
        return fingerprint(space["f"])

    assert made("A = 1") != made("A = 1; B = 2") != made("A = 1; B = 3")
    assert made("A = 1") == made("'what it is'; A = 1")


inc = lambda x: x + 1  # noqa: E731
DATA = np.arange(4.0, dtype=np.float32)
own = lambda step: jf.Fold(lambda like: jnp.zeros(()), step, jnp.add)  # noqa: E731
run = lambda *callbacks: jf.iterate(inc, 0.0, *callbacks, max_steps=3)  # noqa: E731
MAKERS = (cb.history, cb.best, cb.converged, cb.ema, jf.watch, jf.every, jf.when, jf.stop_when)
MISTAKES = {
    "fold for a callback": (lambda: run(folds.mean()), "watch(fold) makes one"),
    "fold's factory": (lambda: run(folds.mean), "to feed one, give watch(folds.mean(…))"),
    "key by position": (lambda: run(jax.random.key(0)), "a key is given by its name, key="),
    "predicate": (lambda: run(lambda x: x > 1), "stop_when(predicate) makes a callback"),
    "predicate like a callback": (
        lambda: run(jf.stop_when(lambda x: (x, x > 1))),
        "the predicate of stop_when: stop is ",
        "a predicate returns the bool alone",
    ),
    "watch the other way": (lambda: jf.watch(inc, folds.mean()), "watch(fold, of)"),
    "of what": (lambda: folds.mean().of(3), "of: g is 3, which is not callable"),
    "where what": (lambda: folds.mean().where(True), "where: p is True, which is not callable"),
    "where nothing": (
        lambda: jf.fold(folds.mean().where(lambda x: None), DATA),
        "where: its predicate returned None, a bool scalar is needed",
    ),
    "a memory that grows": (
        lambda: jf.fold(own(lambda m, x: (m, x)), DATA),
        "the step of a fold: the structure of the memory changed",
    ),
    "a memory of another kind": (
        lambda: jf.fold(own(lambda m, x: jnp.int32(0)), DATA),
        "the step of a fold: memory was float32[] and became int32[]",
    ),
    "a checkpoint while tracing": (
        lambda: jax.jit(lambda x: jf.fold(folds.mean(), x, checkpoint="f"))(DATA),
        "fold: checkpoint= is a file, which a traced function cannot write",
    ),
    "shares": (lambda: Processes(shares=1.0), "shares are 1.0; give a tuple"),
    "endless share": (lambda: Processes(shares=(np.inf,)), "shares are (inf,)"),
    "inner class": (lambda: Processes(Local), "inner is <class", "Local()"),
    "no path": (lambda: jf.save(None, 1.0), "save: the path is of type NoneType"),
    "tree first": (lambda: jf.save({"a": 1.0}, "f"), "of type dict", "save(path, tree)"),
    "like first": (lambda: jf.load(DATA, like="f"), "of type ndarray", "load(path, like=…)"),
} | {f"{f.__name__} itself": (lambda f=f: run(f), f"call it: {f.__name__}(…)") for f in MAKERS}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_said(name):
    make, *parts = MISTAKES[name]
    with raises(TypeError, *parts):
        make()


@pytest.mark.parametrize(
    "step, cure",
    [
        (lambda x: x if x > 3 else x + 1, "choose between states by jnp.where"),
        (lambda x: np.sin(x), "use jnp"),
        (lambda x: x + float(x), "keep the array"),
        (lambda x: sum(x for _ in range(x.astype(int))), "lax.fori_loop"),
    ],
)
def test_values_are_not_known_in_a_step(step, cure):
    for driver in ("while", "python"):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            jf.iterate(step, jnp.float32(0), max_steps=3, driver=driver)
        assert any("in the step" in n and cure in n for n in caught.value.__notes__)


def test_what_ends_loops_ends_none_in_silence():
    fails = lambda x: next(iter(()))  # noqa: E731
    for step in (fails, jf.Pipe(a=fails)):
        with raises(RuntimeError, "the step ", "it raised StopIteration"):
            list(map(lambda k, s=step: jf.iterate(s, k, max_steps=2), (1.0, 2.0)))


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError) as caught:
        jf.save(tmp_path / "none" / "f", 1.0)
    assert caught.value.filename == str(tmp_path / "none" / "f")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        jf.save(tmp_path / "f", 1.0)
    assert caught.value.filename == str(tmp_path / "f") and not list(tmp_path.iterdir())


def test_x64_is_no_cure_for_a_shape(tmp_path):
    jf.save(tmp_path / "f", np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"float64\[6\]$"):
        jf.load(tmp_path / "f", like=np.zeros(6))
    key = {"path": "tree", "dtype": "key<fry>", "impl": "", "shape": [], "start": 0, "bytes": 8}
    header = json.dumps({"version": 1, "leaves": [{**key, "crc": zlib.crc32(bytes(8))}]}).encode()
    front = np.array([len(header), zlib.crc32(header)], "<u8").tobytes()
    (tmp_path / "k").write_bytes(MAGIC + front + header + bytes(8))
    with pytest.raises(ValueError, match="cannot be read"):
        jf.load(tmp_path / "k", like=jax.random.key(0))


@pytest.mark.parametrize("code", [1, 3, 70])
def test_the_exit_code_of_a_users_is_told(code):
    worker = types.SimpleNamespace(process=types.SimpleNamespace(exitcode=code), tried=2)
    error = _deadly(worker, "chunk 2", types.SimpleNamespace(file=None))
    assert f"exit code {code}" in str(error)
