"""Where blocks come from: arrays, streams, numbered sources, files; loaded ahead, sent by path."""

import inspect
import pickle
import threading

import fold_workers as w
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations import executors, folds
from jfoundations._running.source import Rows
from jfoundations._running.worker import _packer, pack

X = np.random.default_rng(2).normal(3.0, 2.0, (23, 2)).astype(np.float32)
TWO = jf.combine(n=folds.count(), total=w.total())
EXECUTORS = {
    "none": lambda: None,
    "Local": executors.Local,
    "Devices": lambda: executors.Devices(jax.make_mesh((4,), ("data",)), "data"),
    "Processes": executors.Processes,
}
KINDS = {
    "list": lambda: [X[:10], X[10:20], X[20:]],
    "generator": lambda: (X[k : k + 10] for k in (0, 10, 20)),
    "jax blocks": lambda: [jnp.asarray(X[k : k + 10]) for k in (0, 10, 20)],
    "source": lambda: jf.Source(3, lambda i: X[10 * i : 10 * i + 10]),
    "source of an array": lambda: jf.Source.of(X, 10),
    "source of a jax array": lambda: jf.Source.of(jnp.asarray(X), 10),
    "with empty blocks": lambda: [X[:0], X[:10], X[10:20], X[:0], X[20:], X[:0]],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_kind_of_data_everywhere(kind, executor):
    data = KINDS[kind]()
    if executor == "Processes" and not isinstance(data, jf.Source):
        with pytest.raises(TypeError, match=r"Processes has its workers load their own blocks"):
            jf.fold(TWO, data, EXECUTORS[executor]())
        return
    found = jf.fold(TWO, data, EXECUTORS[executor]())
    assert found["n"].tolist() == 23
    assert_same(found["total"], jf.fold(w.total(), KINDS["list"]()))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_array_is_cut_alike_everywhere(executor):
    long = np.tile(X, (10, 1))
    found = jf.fold(w.total(), long, EXECUTORS[executor](), progress=lambda done, total: None)
    assert_same(found, jf.fold(w.total(), jf.Source.of(long, 4)))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_trees_of_arrays(executor):
    tree = {"x": X, "pair": (X[:, 0], np.arange(23, dtype=np.int32))}
    fold = jf.combine(
        x=w.total().of(lambda e: e["x"]),
        y=w.total().of(lambda e: e["pair"][0]),
        k=w.total().of(lambda e: e["pair"][1]),
    )
    found = jf.fold(fold, jf.Source.of(tree, 10), EXECUTORS[executor]())
    right = jf.fold(w.total(), jf.Source.of(X, 10))
    assert_same((found["x"], found["y"]), (right, right[0]))
    assert int(found["k"]) == 23 * 11


def test_the_last_block_is_ragged():
    source = jf.Source.of(X, 10)
    assert source.n_chunks == 3 and [len(block) for block in source] == [10, 10, 3]
    assert jf.Source.of(X, 100).n_chunks == 1 and jf.Source.of(X[:20], 10).n_chunks == 2
    assert jf.Source.of(X[:0], 10).load(0).shape == (0, 2)
    tree = jf.Source.of((X, {"y": X[:, 0]}), 20).load(1)
    assert tree[0].shape == (3, 2) and tree[1]["y"].shape == (3,)


def test_an_empty_block_changes_no_bit():
    """In the middle, at the end, and where no one has seen a number yet."""
    moments = jf.combine(describe=folds.describe(), mean=folds.mean(nan="omit"))
    fold = w.raw(jf.combine(moments=moments, sketch=folds.sketch(), total=w.total()))
    full = [X[:10], X[10:20], X[20:]]
    right = jf.fold(fold, full)
    assert_same(jf.fold(fold, [X[:10], X[:0], X[10:20], X[20:], X[:0]]), right)
    assert_same(jf.fold(fold, [X[:0], *full]), right)


def test_keys_are_data():
    keys = jax.random.split(jax.random.key(0), 20)
    draws = w.total().of(jax.random.normal)
    for executor in (None, executors.Local(), EXECUTORS["Devices"]()):
        found = jf.fold(draws, keys, executor)
        assert float(found) == pytest.approx(float(jax.vmap(jax.random.normal)(keys).sum()), 1e-4)


def test_a_block_is_loaded_while_the_one_before_is_folded():
    """Nothing but loading block i + 1 lets the progress of block i go on."""
    begun = [threading.Event() for _ in range(6)]

    def load(i):
        begun[i].set()
        return X

    def progress(done, total):
        assert done == 6 or begun[done].wait(20), "the next block was not loaded"

    for data in (jf.Source(6, load), (load(i) for i in range(6))):
        for event in begun:
            event.clear()
        jf.fold(folds.count(), data, progress=progress)


def test_no_more_than_one_block_is_loaded_ahead():
    loaded, ahead = [], []
    load = lambda i: loaded.append(i) or X  # noqa: E731
    jf.fold(
        folds.count(),
        jf.Source(12, load),
        progress=lambda done, total: ahead.append(len(loaded) - done),
    )
    assert max(ahead) <= 1 and loaded == list(range(12))


def test_loading_ends_with_the_fold():
    """After an error no loader runs on behind the user's back."""
    loaded = []

    def load(i):
        loaded.append(i)
        return X

    def progress(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jf.fold(folds.count(), jf.Source(100, load), progress=progress)
    seen = len(loaded)
    assert seen <= 3 and "jfoundations-load" not in str(threading.enumerate())
    assert len(loaded) == seen


def test_settings_of_this_thread_hold_while_loading():
    seen = []

    def load(i):
        seen.append((jnp.ones(2).dtype, jnp.ones(2).device))
        return jnp.ones(2)

    device = jax.devices()[3]
    wide = not jax.config.jax_enable_x64
    with jax.enable_x64(wide), jax.default_device(device):
        found = jf.fold(folds.mean(), jf.Source(3, load))
    dtype = jnp.dtype("float64" if wide else "float32")
    assert found.dtype == dtype and set(seen) == {(dtype, device)}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_progress(executor):
    said = []
    jf.fold(
        folds.count(),
        jf.Source.of(X, 5),
        EXECUTORS[executor](),
        progress=lambda *numbers: said.append(numbers),
    )
    assert said == [(k, 5) for k in range(1, 6)]


def test_progress_of_a_stream_knows_no_total():
    said = []
    jf.fold(folds.count(), iter([X, X]), progress=lambda *numbers: said.append(numbers))
    assert said == [(1, None), (2, None)]


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(200_000, dtype=np.float32).reshape(-1, 4))
    return np.load(tmp_path / "x.npy", mmap_mode="r")


VIEWS = {
    "whole": lambda m: m,
    "rows": lambda m: m[1001:40_000],
    "view of a view": lambda m: m[10:40_000][3:],
    "columns": lambda m: m[:, 1:3],
    "every third, backwards": lambda m: m[::-3],
    "transposed": lambda m: m.T,
    "reshaped": lambda m: m.reshape(-1, 8),
    "as an array": lambda m: np.asarray(m)[5:],
    "other words": lambda m: m.view(np.int32),
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_loader_of_a_mapped_file_travels_as_a_path(mapped, view):
    data = VIEWS[view](mapped)
    sent = pack(Rows(data, 100), "test", "the loader")
    assert len(sent) < 2000
    again = pickle.loads(sent).data
    assert again.dtype == data.dtype and not again.flags.writeable
    np.testing.assert_array_equal(again, data)


def test_what_no_file_holds_travels_itself(tmp_path, mapped):
    private = np.load(mapped.filename, mmap_mode="c")
    private[0] = 7.0
    for data in (private, mapped + 1, np.array(mapped), mapped[:0]):
        again = pickle.loads(pack(Rows(data, 100), "test", "the loader")).data
        np.testing.assert_array_equal(again, data)


def test_a_fold_of_a_mapped_file(mapped):
    right = jf.fold(w.total(), jf.Source.of(np.array(mapped), 1000))
    assert_same(jf.fold(w.total(), jf.Source.of(mapped, 1000)), right)


@jax.jit
def halved(x):
    return x / 2


def scaled(by, x):
    return by * x


FUNCTIONS = {
    "of jnp": jnp.abs,
    "a ufunc": jnp.negative,
    "with a derivative": jax.nn.relu,
    "jitted": halved,
    "partial": jf.partial(scaled, jnp.float32(3.0)),
    "pipe": jf.Pipe(abs=jnp.abs, half=halved),
}
CLOSURES = {
    "lambda": lambda x: x + 1,
    "jitted lambda": jax.jit(lambda x: x + 1),
    "closure": (lambda by: lambda x: x * by)(np.float32(2.0)),
}


def sent(fold):
    return pickle.loads(pack(fold, "test", "the fold"))


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLOSURES])
def test_functions_travel(name):
    if name in CLOSURES:
        pytest.importorskip("cloudpickle", reason="closures travel by cloudpickle")
    fold = w.total().of((FUNCTIONS | CLOSURES)[name])
    assert_same(jf.fold(sent(fold), [X, X]), jf.fold(fold, [X, X]))


@pytest.fixture
def no_cloudpickle(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    _packer.cache_clear()
    yield
    _packer.cache_clear()


def test_without_cloudpickle(no_cloudpickle):
    for name, function in FUNCTIONS.items():
        fold = w.total().of(function)
        assert_same(jf.fold(sent(fold), [X, X]), jf.fold(fold, [X, X])), name
    for function in CLOSURES.values():
        with raises(TypeError, "test: the fold cannot be sent", "jfoundations.partial", "install"):
            sent(w.total().of(function))
    with raises(TypeError, "Pool: the loader cannot be sent", "install cloudpickle"):
        jf.fold(w.total(), jf.Source(2, lambda i: X), executors.Pool(1))


LIBRARY = {
    name: make
    for name, make in vars(folds).items()
    if inspect.isfunction(make)
    and name[0] != "_"
    and name
    not in (
        *("histogram", "ema", "quantile", "moment", "grouped", "row_names", "statistic", "top_k"),
        *("autocov", "ess", "mcse", "narrow", "sample", "buckets", "window"),
    )
}
MORE = {
    "histogram": lambda: folds.histogram(jnp.linspace(-5.0, 9.0, 8)),
    "ema": lambda: folds.ema(0.9),
    "quantile": lambda: folds.quantile(0.9),
    "moment": lambda: folds.moment(3),
    "top_k": lambda: folds.top_k(2),
    "autocov": lambda: folds.autocov(8),
    "ess": lambda: folds.ess(8),
    "mcse": lambda: folds.mcse(8),
    "whole rhat": lambda: folds.rhat(split=False),
    "sketch of rows": lambda: folds.pca(2, sketch=3),
    "sample": lambda: folds.sample(2, key=jax.random.key(0)),
    "weighted": lambda: folds.describe(weights=jf.stats.Reliability, nan="omit"),
    "arithmetic": lambda: folds.maximum() - 2 * abs(folds.mean()) ** 2,
    "combined": w.several,
    "grouped": lambda: folds.grouped(folds.var(), 3),
    "window": lambda: folds.window(folds.var(), 3),
    "buckets": lambda: folds.buckets(folds.var(), 60, 3),
}


@pytest.mark.parametrize("name", [*LIBRARY, *MORE])
def test_all_folds_of_the_library_travel(no_cloudpickle, name):
    make = (LIBRARY | MORE)[name]
    fold = make()
    again = sent(fold)
    assert again == fold and hash(again) == hash(fold) and repr(again) == repr(fold)
