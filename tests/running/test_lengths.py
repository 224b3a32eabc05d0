"""Blocks of many lengths: few programs, and the answers of their elements, wherever folded."""

import fold_workers as w
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from public_cases import COMBINED, FOLDS, elements

import jfoundations as jf
from jfoundations import executors, folds
from jfoundations._core import programs
from jfoundations._running.lengths import filled, of_few

RNG = np.random.default_rng(5)
SHIFTED = RNG.permutation(np.arange(18_000, 24_000))[:200]  # lengths of about 20,000
FEW = (10, 11, 9, 10, 13, 12, 3, 15, 0, 10, 9)  # more than a round of devices, of each kind


def cut(data, lengths):
    """Return blocks of those lengths."""
    ends = np.cumsum(lengths)
    rows = [slice(end - n, end) for n, end in zip(lengths, ends, strict=True)]
    return [jax.tree.map(lambda a, s=s: a[s], data) for s in rows]


def compiled(name):
    """Return how many programs of a function of the library's there are."""
    kept = [p.run for p in programs._programs.values() if p.run.__name__ == name]
    return sum(run._cache_size() for run in kept)


def test_lengths_become_few():
    lengths = np.arange(1, 100_000)
    few = np.array([of_few(int(n)) for n in lengths])
    assert (lengths <= few).all() and (few <= 1.5 * lengths).all()
    assert len(set(few)) == 34 and all(of_few(int(n)) == n for n in few)
    assert len({of_few(int(n)) for n in SHIFTED}) == 1


IN_ORDER = jf.Pipe(jf.take(10**6)).over(folds.mean())
USERS = jf.Fold(w.zeros, jnp.add, jnp.add, block=lambda xs: jnp.sum(xs, axis=0))


@pytest.mark.parametrize(
    ("fold", "program"),
    [(folds.var(), "block_memory"), (USERS, "block_memory"), (IN_ORDER, "_after_block")],
    ids=["var", "a user's", "in order"],
)
def test_two_hundred_lengths_are_folded_by_few_programs(fold, program):
    data = RNG.normal(3.0, 1.0, int(SHIFTED.sum())).astype(np.float32)
    before = compiled(program)
    found = jf.fold(fold, cut(data, SHIFTED))
    assert compiled(program) - before <= 4
    whole = jf.fold(fold, [data])
    np.testing.assert_allclose(found, whole, rtol=1e-4)


ELSEWHERE = {
    "numbered": (jf.executors.Local(), "block_memory"),
    "devices": (executors.Devices(jax.make_mesh((4,), ("data",)), "data"), "_on_mesh"),
    "processes": (executors.Processes(), "block_memory"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_elsewhere_too(name):
    executor, program = ELSEWHERE[name]
    lengths = [int(n) for n in SHIFTED[:12] % 100 + 160]
    blocks = cut(RNG.normal(3.0, 1.0, sum(lengths)).astype(np.float32), lengths)
    before = compiled(program)
    found = jf.fold(folds.var(), jf.Source(len(blocks), blocks.__getitem__), executor)
    assert compiled(program) - before <= 4
    assert_same(found, jf.fold(folds.var(), blocks))


@pytest.mark.parametrize("name", ELSEWHERE)
def test_folds_that_differ_in_their_answer_share_programs(name):
    executor, program = ELSEWHERE[name]
    source = jf.Source(3, lambda i: np.arange(7.0 + i, dtype=np.float32) ** 2)
    var = jf.fold(folds.var(), source, executor)
    before = compiled(program)
    assert before
    std = jf.fold(folds.std(), source, executor)
    root = jf.fold(folds.var(correction=1).map(jnp.sqrt), source, executor)
    assert compiled(program) == before
    np.testing.assert_allclose([std, root], [var**0.5, (var * 24 / 23) ** 0.5], rtol=1e-6)


def digest(blocks, executor=None):
    return w.digest(jf.fold(w.raw(w.several()), blocks, executor))


class Own(executors.Executor):
    """An executor whose chunks are folded by the function for workers."""

    def run(self, chunks, progress):
        function, numbers = chunks.for_workers(self)
        for i in reversed(numbers):
            progress.add(i, function(i))


def test_the_bits_are_those_of_local():
    blocks = cut(RNG.normal(50.0, 9.0, (sum(FEW), 2)).astype(np.float32), FEW)
    source = jf.Source(len(blocks), blocks.__getitem__)
    right = digest(blocks)
    mesh = jax.make_mesh((4,), ("data",))
    for executor in (executors.Devices(mesh, "data"), executors.Processes(), Own(), None):
        assert digest(source, executor) == right
    assert digest(map(jnp.asarray, blocks)) == right  # arrays of a device


def test_shards_have_the_bits_of_the_same_chunks():
    mesh = jax.make_mesh((4,), ("data",))
    x = RNG.normal(50.0, 9.0, (4 * 3 * 13, 2)).astype(np.float32)
    lying = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
    found = digest(jf.Source.of(lying, 13), executors.Devices(mesh, "data"))
    assert found == digest(jf.Source.of(x, 13))


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDS | COMBINED)
def test_what_is_filled_in_does_not_count(name):
    fold = (FOLDS | COMBINED)[name]
    x, y = RNG.normal(2.0, 1.0, (2, 13, 4)).astype(np.float32)
    data = jax.tree.map(np.asarray, elements(name, x, y))
    exact = jf.fold(fold, data)  # an array is one block, as it is
    found = jf.fold(fold, [data])
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        if jnp.issubdtype(a.dtype, jnp.inexact):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        else:
            assert_same(a, b)


def test_what_is_filled_in_repeats_an_element():
    """No function of a user's sees an element that is none."""
    seen = jf.folds.maximum().of(lambda x: 1 / x)
    with jax.debug_infs(True):
        assert float(jf.fold(seen, [np.full(5, 0.5, np.float32)])) == 2.0
    assert filled({"a": np.arange(5), "b": np.zeros((5, 2))})[0]["a"].tolist() == [0, 1, 2, 3, 4, 4]


def test_gradients_go_through_blocks_of_any_length():
    x = jnp.asarray(RNG.normal(size=23), np.float32)
    for fold in (folds.var(), USERS, jf.Fold(w.zeros, w.keep_last, None)):
        whole = jax.grad(lambda x, f=fold: jf.fold(f, [x]))(x)
        cut_up = jax.grad(lambda x, f=fold: jf.fold(f, [x[:5], x[5:18], x[18:]]))(x)
        np.testing.assert_allclose(cut_up, whole, rtol=1e-4, atol=1e-6)
    held = [np.arange(5.0, dtype=np.float32), np.ones(7, np.float32)]
    slope = jax.grad(lambda a: jf.fold(USERS.of(jf.partial(jnp.multiply, a)), held))(2.0)
    assert float(slope) == 17.0
    late = jax.grad(lambda a: jf.fold(jf.Fold(w.zeros, jf.partial(scaled, a), None), held))(2.0)
    assert float(late) == 17.0


def scaled(a, memory, x):
    return memory + a * x
