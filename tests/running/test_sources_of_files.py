"""Data where they are: files of three kinds, data sets with an index, and what befalls files."""

import os
import pickle
import sys

import fold_workers as w
import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations import executors, folds
from jfoundations._running.worker import pack

LENGTHS = (5, 1, 12, 7)
RNG = np.random.default_rng(1)
PARTS = [RNG.normal(3.0, 2.0, (n, 2)).astype(np.float32) for n in LENGTHS]
COUNTS = [RNG.integers(0, 9, n).astype(np.int32) for n in LENGTHS]
BOTH = jf.combine(n=folds.count(), total=w.total())


def npy(folder, parts=PARTS):
    for k, part in enumerate(parts):
        np.save(folder / f"{k}.npy", part)
    return [folder / f"{k}.npy" for k in range(len(parts))]


def parquet(folder):
    for k, (x, n) in enumerate(zip(PARTS, COUNTS, strict=True)):
        rows = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 2)
        table = pa.table({"x": rows, "n": n, "who": [f"w{i}" for i in range(len(n))]})
        pq.write_table(table, folder / f"{k}.parquet", row_group_size=3)
    return [folder / f"{k}.parquet" for k in range(len(PARTS))]


def zarrs(folder, group=False):
    for k, (x, n) in enumerate(zip(PARTS, COUNTS, strict=True)):
        path = folder / f"{k}.zarr"
        if group:
            made = zarr.open_group(path, mode="w")
            made.create_array("x", data=x, chunks=(3, 2))
            made.create_array("n", data=n)
        else:
            zarr.create_array(path, data=x, chunks=(3, 2))
    return [folder / f"{k}.zarr" for k in range(len(PARTS))]


ARRAYS = {"npy": npy, "zarr": zarrs}
TABLES = {"parquet": parquet, "zarr group": lambda folder: zarrs(folder, group=True)}


@pytest.mark.parametrize("kind", ARRAYS)
def test_a_file_a_block(tmp_path, kind):
    source = jf.Source.of(ARRAYS[kind](tmp_path))
    assert source.n_chunks == 4
    for block, part in zip(source, PARTS, strict=True):
        assert type(block) is np.ndarray and np.array_equal(block, part)
    assert_same(jf.fold(BOTH, source), jf.fold(BOTH, PARTS))


@pytest.mark.parametrize("kind", TABLES)
def test_columns(tmp_path, kind):
    source = jf.Source.of(TABLES[kind](tmp_path), columns=["n", "x"])
    for block, x, n in zip(source, PARTS, COUNTS, strict=True):
        assert set(block) == {"x", "n"}
        assert np.array_equal(block["x"], x) and np.array_equal(block["n"], n)
        assert (block["x"].dtype, block["n"].dtype) == (x.dtype, n.dtype)


@pytest.mark.parametrize("kind", [*ARRAYS, *TABLES])
def test_blocks_of_a_size(tmp_path, kind):
    """Row groups of Parquet and chunks of Zarr lie otherwise; no block has rows of two files."""
    columns = ["x"] if kind in TABLES else None
    source = jf.Source.of((ARRAYS | TABLES)[kind](tmp_path), 4, columns=columns)
    blocks = [block["x"] if columns else block for block in source]
    assert [len(block) for block in blocks] == [4, 1, 1, 4, 4, 4, 4, 3]
    assert np.array_equal(np.concatenate(blocks), np.concatenate(PARTS))


def test_one_path_and_empty_files(tmp_path):
    paths = npy(tmp_path, [PARTS[0][:0], PARTS[0]])
    assert jf.Source.of(str(paths[1])).n_chunks == 1
    for size in (None, 3):
        source = jf.Source.of(paths, size)
        assert int(jf.fold(folds.count(), source)) == 5 and len(source.load(0)) == 0


def test_columns_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    nested = pa.array([[[1.0], [2.0]], [[3.0], [4.0]]], pa.list_(pa.list_(pa.float32())))
    holes = pa.array([1.0, None])
    pq.write_table(pa.table({"nested": nested, "holes": holes, "b": [True, False]}), path)
    block = jf.Source.of([path]).load(0)
    assert block["nested"].shape == (2, 2, 1) and block["nested"][1, 0, 0] == 3.0
    assert block["b"].dtype == bool and np.isnan(block["holes"][1])
    pq.write_table(pa.table({"ragged": [[1.0], [2.0, 3.0]]}), path)
    with raises(ValueError, "a column has lists of lengths [1, 2]; one is needed"):
        jf.Source.of([path]).load(0)


EXECUTORS = {
    "Local": executors.Local,
    "Devices": lambda: executors.Devices(jax.make_mesh((4,), ("data",)), "data"),
    "Processes": executors.Processes,
    "Pool": lambda: executors.Pool(1),
}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_everywhere_the_same_bits(tmp_path, executor):
    source = jf.Source.of(npy(tmp_path), 4)
    assert_same(jf.fold(BOTH, source, EXECUTORS[executor]()), jf.fold(BOTH, list(source)))


def test_workers_are_sent_names(tmp_path, monkeypatch):
    """Absolute ones: a worker may stand in another folder."""
    big = [np.zeros((1000, 10), np.float32)] * 3
    npy(tmp_path, big)
    monkeypatch.chdir(tmp_path)
    source = jf.Source.of(["0.npy", "1.npy", "2.npy"], 100)
    sent = pack(source.load, "test", "it")
    assert len(sent) < 4000
    monkeypatch.chdir(os.path.dirname(tmp_path))
    assert np.array_equal(pickle.loads(sent)(7), big[0][:100])


class Table:
    """Rows behind an index, of which slices are columns, as those of Hugging Face."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        if isinstance(key, slice):
            return {"x": self.rows[key].tolist(), "i": list(range(*key.indices(len(self))))}
        return {"x": self.rows[key].tolist(), "i": key}


class Lazy(Table):
    """Whose slices are another such thing, as those of grain."""

    def __getitem__(self, key):
        if isinstance(key, slice):
            return Lazy(self.rows[key])
        return {"x": self.rows[key], "half": self.rows[key, 0] / 2}


class Single(Lazy):
    """Which knows no slices, as many of torch."""

    def __getitem__(self, key):
        if isinstance(key, slice):
            raise TypeError("an int is needed")
        return super().__getitem__(key)


@pytest.mark.parametrize("of", [Table, Lazy, Single])
def test_data_sets_by_slices(of):
    x = np.concatenate(PARTS)
    source = jf.Source.of(of(x), 10)
    assert [len(block["x"]) for block in source] == [10, 10, 5]
    found = jf.fold(folds.mean().of(lambda e: e["x"]), source)
    assert_same(found, jf.fold(folds.mean(), jf.Source.of(x, 10)))
    empty = jf.Source.of(of(x[:0]), 10)
    assert empty.n_chunks == 1


def test_what_is_indexed_by_chunk():
    source = jf.Source.of(PARTS)
    assert source.n_chunks == 4
    assert_same(jf.fold(BOTH, source, executors.Processes()), jf.fold(BOTH, PARTS))
    assert_same(jf.Source.of([PARTS[0], COUNTS[0]], 2).load(1), [PARTS[0][2:4], COUNTS[0][2:4]])


def test_mended_and_resumed(tmp_path):
    """A damaged file ends the run, by name; it is mended, and nothing is done twice."""
    paths, kept = npy(tmp_path), tmp_path / "kept"
    paths[2].write_bytes(b"no numbers")
    with pytest.raises(ValueError) as caught:
        jf.fold(BOTH, jf.Source.of(paths), checkpoint=kept, checkpoint_every=1)
    notes = " ".join(caught.value.__notes__)
    assert f"loading chunk 2 of 4 ({paths[2]})" in notes and "run it again to go on" in notes
    np.save(paths[2], PARTS[2])
    heard = []
    found = jf.fold(
        BOTH, jf.Source.of(paths), checkpoint=kept, progress=lambda done, _: heard.append(done)
    )
    assert heard == [3, 4]
    assert_same(found, jf.fold(BOTH, PARTS))


def test_the_checkpoint_knows_files_by_name_and_size(tmp_path):
    folder, kept = tmp_path / "a", tmp_path / "kept"
    folder.mkdir()
    paths = npy(folder)
    right = jf.fold(BOTH, jf.Source.of(paths), checkpoint=kept)
    moved = folder.rename(tmp_path / "b")
    paths = [moved / path.name for path in paths]
    assert_same(jf.fold(BOTH, jf.Source.of(paths), checkpoint=kept), right)
    with raises(ValueError, "chunk 0 of 4 from 0.npy of 168 bytes", "now it is 3.npy of 184"):
        jf.fold(BOTH, jf.Source.of(paths[::-1]), checkpoint=kept)
    np.save(paths[1], PARTS[2])
    with raises(ValueError, f"{kept} has done chunk 1 of 4 from 1.npy", "delete it to begin anew"):
        jf.fold(BOTH, jf.Source.of(paths), checkpoint=kept)
    # cut otherwise in as many blocks
    npy(moved, [PARTS[2], PARTS[0], PARTS[2]])
    cut = [[moved / "0.npy", moved / "1.npy"], [moved / "1.npy", moved / "0.npy"]]
    jf.fold(BOTH, jf.Source.of(cut[0], 10), checkpoint=tmp_path / "other")
    with raises(ValueError, "has done chunk 0 of 3 from 0.npy"):
        jf.fold(BOTH, jf.Source.of(cut[1], 10), checkpoint=tmp_path / "other")


def test_files_that_vanish_or_change(tmp_path):
    for spoil, error, said in (
        (lambda path: path.unlink(), FileNotFoundError, "No such file"),
        (lambda path: np.save(path, PARTS[2][:3]), RuntimeError, "had 224 when the source was"),
    ):
        paths, kept = npy(tmp_path), tmp_path / f"kept {said}"
        source = jf.Source.of(paths)
        spoil(paths[2])
        with pytest.raises(error, match=said) as caught:
            jf.fold(BOTH, source, checkpoint=kept)
        assert str(paths[2]) in str(caught.value) and kept.exists()
        np.save(paths[2], PARTS[2])
        assert_same(jf.fold(BOTH, jf.Source.of(paths), checkpoint=kept), jf.fold(BOTH, PARTS))


def test_columns_that_differ_are_named(tmp_path):
    paths = parquet(tmp_path)
    pq.write_table(pa.table({"n": [1.5]}), paths[1])
    n = folds.mean().of(lambda e: e["n"])
    with raises(TypeError, f"chunk 1 of 4 ({paths[1]}) has elements {{'n': float32[]}}"):
        jf.fold(n, jf.Source.of(paths, columns=["n"]))
    with raises(KeyError, f"{paths[1]} has no column 'x'; it has n"):
        jf.fold(n, jf.Source.of(paths, columns=["n", "x"]))
    with raises(TypeError, f"{paths[0]}: column 'who' is string, which is no number", "columns="):
        jf.fold(n, jf.Source.of(paths))


def test_what_is_refused(tmp_path, monkeypatch):
    paths = parquet(tmp_path)
    (tmp_path / "a.csv").write_text("1,2")
    for call, error, *said in (
        (lambda: jf.Source.of([tmp_path / "a.csv"]), ValueError, "a.csv is none of", ".zarr"),
        (lambda: jf.Source.of([tmp_path / "no.npy"]), FileNotFoundError, "no.npy"),
        (lambda: jf.Source.of(PARTS[0]), TypeError, "data is float32[5,2], and size is missing"),
        (lambda: jf.Source.of((PARTS[0],)), TypeError, "size is missing"),
        (lambda: jf.Source.of(paths, 0), ValueError, "Source.of: size is 0"),
        (lambda: jf.Source.of(PARTS[0], 2, columns=["x"]), TypeError, "columns are of files"),
        (lambda: jf.Source.of(paths, columns="x"), TypeError, "give a list of names"),
        (lambda: jf.Source.of(PARTS, 2), ValueError, "must share one leading axis"),
        (lambda: jf.Source.of([]), ValueError, "an empty list"),
        (lambda: jf.Source.of(3.0, 2), TypeError, "no leading axis"),
    ):
        with raises(error, *said):
            call()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with raises(ModuleNotFoundError, "pyarrow reads these files", "pip install pyarrow"):
        jf.fold(folds.count(), jf.Source.of(paths))


def test_arrays_of_a_group_are_cut_alike(tmp_path):
    path = tmp_path / "a.zarr"
    made = zarr.open_group(path, mode="w")
    for name, n in (("c", 4), ("long", 5)):
        made.create_array(name, data=np.arange(n, dtype=np.float32))
    for columns in (None, ["c", "long"]):
        with raises(ValueError, "a.zarr have lengths [4, 5]", "columns="):
            jf.Source.of(path, 2, columns=columns)
    assert [len(b["long"]) for b in jf.Source.of(path, 2, columns=["long"])] == [2, 2, 1]
    with raises(KeyError, "a.zarr has no array 'no'; it has c, long"):
        jf.Source.of(path, columns=["no"]).load(0)


def test_an_arrow_table_is_its_columns():
    table = pa.table({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    first, last = jf.Source.of(table, 2)
    assert_same(first, {"a": np.array([1.0, 2.0]), "b": np.array([4.0, 5.0])})
    assert_same(last, {"a": np.array([3.0]), "b": np.array([6.0])})


def test_which_file_spoiled_the_mean(tmp_path):
    paths = npy(tmp_path, [*PARTS, PARTS[0] + 100])
    mean, without = jf.jackknife(folds.mean(), jf.Source.of(paths))
    assert int(jnp.argmax(jnp.abs(without[:, 0] - mean[0]))) == 4


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda f: jf.Source.of([]), ValueError, ("an empty list", "no block")),
        (lambda f: jf.Source.of(f.glob("*.npy")), TypeError, ("is read once", "sorted(")),
        (lambda f: jf.Source.of(f), ValueError, ("is a folder", "glob")),
        (lambda f: jf.Source(3, [f]), TypeError, ("not callable", "Source.of(paths)")),
        (lambda f: jf.fold(folds.mean(), [f]), TypeError, ("jf.Source.of(paths)",)),
        (lambda f: jf.fold(folds.mean(), str(f)), TypeError, ("jf.Source.of(paths)",)),
        (lambda f: jf.fold(folds.mean(), f), TypeError, ("of files Source.of(paths)",)),
    ],
)
def test_what_a_newcomer_writes_for_files(tmp_path, call, error, said):
    with raises(error, *said):
        call(tmp_path)
