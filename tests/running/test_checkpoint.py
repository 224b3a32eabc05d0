"""A fold that was interrupted goes on, to the same bits; what does not belong to it is refused."""

import itertools
import os
import random
import signal
import time

import fold_workers as w
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fold_children import Child
from helpers import raises

import jfoundations as jf
from jfoundations import executors, folds
from jfoundations._running.checkpoint import Checkpoint


class Stop(Exception):
    """What ends a run in the tests."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return w.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.jf"


def stop_after(count):
    def progress(done, total):
        if done == count:
            raise Stop

    return progress


def interrupt(path, data, count=20, fold=None):
    """Stop a fold when so many chunks are done."""
    with pytest.raises(Stop) as stopped:
        jf.fold(fold or w.raw(w.several()), data, checkpoint=path, progress=stop_after(count))
    assert f"what was done is kept in {path}" in stopped.value.__notes__[0]


def counting(load, loaded):
    return lambda i: loaded.append(i) or load(i)


@pytest.mark.parametrize("count", [1, 16, 20, 36, 37])
def test_it_goes_on_where_it_stopped(data, path, count):
    interrupt(path, w.source(data), count)
    loaded, said = [], []
    load = counting(w.Rows(data), loaded)
    progress = lambda *numbers: said.append(numbers)  # noqa: E731
    assert w.run(data, load=load, checkpoint=path, progress=progress) == w.run(data)
    assert sorted({*loaded}) == sorted({0, count - 1, *range(count, 37)})  # it knows the cut by two
    assert said == [(k, 37) for k in range(count + 1, 38)]
    loaded.clear()
    assert w.run(data, load=load, checkpoint=path) == w.run(data)
    assert sorted(loaded) == [0, 36]


@pytest.mark.parametrize("executor", ["Devices", "Processes", "Local", "backwards"])
def test_another_executor_goes_on(data, path, executor):
    class Backwards(executors.Executor):
        def run(self, chunks, progress):
            for i, block in reversed(list(chunks)):
                progress.fold(i, block)

    interrupt(path, w.source(data))
    if executor == "Processes":
        path.rename(executors.Processes().checkpoint_path(path))
    made = {
        "Devices": executors.Devices(jax.make_mesh((4,), ("data",)), "data"),
        "Processes": executors.Processes(),
        "Local": executors.Local(),
        "backwards": Backwards(),
    }
    assert w.run(data, made[executor], checkpoint=path) == w.run(data)


def test_interrupted_again_and_again(data, path):
    for count in range(1, 37):
        interrupt(path, w.source(data), count)
    assert w.run(data, checkpoint=path) == w.run(data)


def blocks(data):
    return (np.array(block) for block in w.source(data))


@pytest.mark.parametrize("made", [w.total, w.smooth])
def test_streams_and_folds_of_order_go_on(data, path, made):
    right = w.digest(jf.fold(made(), blocks(data)))
    interrupt(path, blocks(data), 5, made())
    said = []
    found = jf.fold(made(), blocks(data), checkpoint=path, progress=lambda *n: said.append(n))
    assert w.digest(found) == right and said[0] == (6, None) and said[-1] == (37, None)
    assert w.digest(jf.fold(made(), blocks(data), checkpoint=path)) == right
    interrupt(other := path.with_name("numbered"), w.source(data), 30, made())
    assert w.digest(jf.fold(made(), w.source(data), checkpoint=other)) == right


def test_a_closure_is_the_same_fold_in_a_later_process(path):
    def power(n):
        return folds.mean().of(lambda x: x**n)

    interrupt(path, [jnp.ones(3)] * 4, 2, power(2))
    assert float(jf.fold(power(2), [jnp.ones(3)] * 4, checkpoint=path)) == 1.0
    with raises(ValueError, "is of the fold mean, and this one is mean, made otherwise", "delete"):
        jf.fold(power(3), [jnp.ones(3)] * 4, checkpoint=path)


def test_answers_of_one_memory_share_a_checkpoint(data, path):
    interrupt(path, w.source(data), 20, folds.var())
    found = jf.fold(folds.std(correction=1), w.source(data), checkpoint=path)
    assert w.digest(found) == w.digest(jf.fold(folds.std(correction=1), w.source(data)))


def rows(data, cut):
    return np.load(data)[cut]


REFUSED = {
    "another fold": (lambda d: (w.total(), w.source(d)), "the fold var, minmax", "is total"),
    "other n_chunks": (
        lambda d: (None, w.source(d, 11)),
        "is of a source of 37 chunks, and this is a source of 34",
    ),
    "a stream": (lambda d: (None, blocks(d)), "is of a source of 37 chunks, and this is a stream"),
    "other rows": (
        lambda d: (None, jf.Source(37, lambda i: rows(d, slice(9 * i, 9 * i + 9)))),
        "10 rows in chunk 0 of 37, and now there are 9",
    ),
    "more rows": (
        lambda d: (None, jf.Source.of(np.ones((370, 2), np.float32), 10)),
        "4 rows in chunk 36 of 37, and now there are 10: the data is cut otherwise; cut it as",
    ),
    "other dtype": (
        lambda d: (None, jf.Source.of(np.ones((364, 2), np.int32), 10)),
        "is of elements",
        "float32",
        "and these are",
        "int32",
        "delete it to begin anew",
    ),
    "other shape": (
        lambda d: (None, jf.Source.of(np.ones((364, 3), np.float32), 10)),
        "is of elements",
        "(2,)",
        "and these are",
        "(3,)",
    ),
    "other tree": (
        lambda d: (None, jf.Source.of({"x": rows(d, slice(None))}, 10)),
        "these are {'x",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_belong_to_it_is_refused(data, path, case):
    w.run(data, checkpoint=path)
    kept = path.read_bytes()
    make, *parts = REFUSED[case]
    fold, source = make(data)
    with raises(ValueError, f"fold: the checkpoint {path}", *parts):
        jf.fold(fold or w.raw(w.several()), source, checkpoint=path)
    assert path.read_bytes() == kept


STREAMS = {
    "other rows": (lambda d: (b[:9] for b in blocks(d)), "10 rows in chunk 0, and now there are 9"),
    "too short": (lambda d: list(blocks(d))[:3], "200 rows in what is done, and now there are 30"),
    "cut otherwise later": (
        lambda d: [b if i in (0, 19) else b[:5] for i, b in enumerate(blocks(d))],
        "200 rows in what is done, and now there are 110",
    ),
}


@pytest.mark.parametrize("case", STREAMS)
def test_another_stream_is_refused(data, path, case):
    interrupt(path, blocks(data), 20)
    make, part = STREAMS[case]
    with raises(ValueError, str(path), part, "cut otherwise"):
        jf.fold(w.raw(w.several()), make(data), checkpoint=path)
    assert w.digest(jf.fold(w.raw(w.several()), blocks(data), checkpoint=path)) == w.run(data)


def test_a_damaged_checkpoint_is_refused(data, path):
    interrupt(path, w.source(data))
    whole = path.read_bytes()
    cuts = [whole[:k] for k in (0, 5, 25, 40, len(whole) // 2, len(whole) - 1)]
    flips = [whole[:k] + bytes([whole[k] ^ 4]) + whole[k + 1 :] for k in range(0, len(whole), 211)]
    for content in (*cuts, *flips, whole + b"x", b"something else"):
        path.write_bytes(content)
        with pytest.raises(ValueError) as refused:
            w.run(data, checkpoint=path)
        told = "\n".join([str(refused.value), *getattr(refused.value, "__notes__", [])])
        assert str(path) in told and "delete it to begin anew" in told
        assert path.read_bytes() == content
    path.write_bytes(whole)
    assert w.run(data, checkpoint=path) == w.run(data)


@pytest.mark.parametrize("tree", [(), {"x": jnp.ones(3)}, {"x": np.frombuffer(b"[1]", np.uint8)}])
def test_a_file_of_something_else_is_refused(data, path, tree):
    jf.save(path, tree)
    with raises(ValueError, f"fold: {path} is no checkpoint", "another path, or delete it"):
        w.run(data, checkpoint=path)


def test_what_it_is_is_said_where_it_is_loaded(path):
    jf.fold(folds.var(), [jnp.arange(3.0)], checkpoint=path)
    with pytest.raises(ValueError, match=r"the file has tree\['checkpoint of a fold'\]"):
        jf.load(path, like=folds.var().init(jnp.zeros(())))


def test_a_folder_that_is_not_there(data, tmp_path):
    for bad in (tmp_path / "none" / "run.jf", data / "run.jf"):
        loaded = []
        with pytest.raises(OSError) as refused:
            w.run(data, load=counting(w.Rows(data), loaded), checkpoint=bad)
        assert "could not be written" in refused.value.__notes__[0] and not loaded


def test_a_full_disk_leaves_what_was_written(data, path, monkeypatch):
    """Files can grow no longer than 2000 bytes once 17 chunks are done."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def progress(done, total):
        if done == 17:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))

    try:
        with pytest.raises(OSError) as refused:
            w.run(data, checkpoint=path, progress=progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in str(refused.value)
    assert refused.value.__notes__[0].startswith(f"fold: the checkpoint {path} could not be")
    assert len(refused.value.__notes__) == 1  # nor is anything said to be kept that is not
    assert os.listdir(path.parent) == [path.name]
    loaded = []
    assert w.run(data, load=counting(w.Rows(data), loaded), checkpoint=path) == w.run(data)
    assert sorted({*loaded}) == [0, *range(16, 37)]


def test_it_is_not_written_for_every_short_chunk(data, path, monkeypatch):
    written, write = [], Checkpoint.write
    told = lambda *args, **more: (written.append(args), write(*args, **more))  # noqa: E731
    monkeypatch.setattr(Checkpoint, "write", told)
    w.run(data)
    w.run(data, checkpoint=path)
    assert 2 <= len(written) < 37


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_again_and_again(data, path):
    """SIGKILL after a chunk or two, whatever it is doing, until it comes to an end."""
    said, begun, draw = None, [], random.Random(2)
    while said is None and len(begun) < 12:
        with Child("slow", data, path) as child:
            assert child.wait_for("go"), child.errors
            lines = list(itertools.islice(child, draw.choice([1, 2])))
            time.sleep(draw.uniform(0.0, 0.1))
            child.process.send_signal(signal.SIGKILL)
            lines += child
            done = [int(line.split()[1]) for line in lines if line.startswith("done")]
            begun.append(done[0] if done else max(begun, default=1))
            said = next((line for line in lines if line.startswith("bits")), None)
    assert said is not None and len(begun) >= 3
    assert begun[0] == 1 < begun[-1] and begun == sorted(begun)  # each went on from the one before
    assert said.split()[1] == w.run(data, size=31, fold=w.total())
    left = [name for name in os.listdir(path.parent) if not name.startswith(".")]
    assert left == [path.name]
