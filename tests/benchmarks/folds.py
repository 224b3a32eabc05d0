"""Folds over chunks beside a sum, a copy, NumPy, jnp and dask.array: rates and their ratios.

    python tests/benchmarks/folds.py [PART …], of those in PARTS below

Data are float32 in chunks of 16 MB, in memory or in a memory-mapped file that the page cache holds.
To read is to copy it chunk by chunk into one buffer. Medians of interleaved rounds. The part `dask`
needs `pip install 'dask[array]' distributed`.
"""

import gc
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table

import jfoundations as jf

Rows = list[dict[str, object]]

CHUNK = 1 << 22  # numbers of a chunk, 16 MB
CHUNKS = 16
COLUMNS = 64


def np_shape(x: np.ndarray) -> Any:
    """Return what `describe` does, by NumPy."""
    mean, var = x.mean(), x.var()
    cubes, fourths = (((x - mean) ** k).mean() for k in (3, 4))
    return x.min(), x.max(), mean, var, cubes / var**1.5, fourths / var**2 - 3


def jnp_shape(x: jax.Array) -> Any:
    """Return what `describe` does, by jnp."""
    mean, var = jnp.mean(x), jnp.var(x)
    cubes, fourths = (jnp.mean((x - mean) ** k) for k in (3, 4))
    return jnp.min(x), jnp.max(x), mean, var, cubes / var**1.5, fourths / var**2 - 3


@dataclass(frozen=True)
class Case:
    """A fold and what NumPy and jnp say for a chunk of it."""

    fold: jf.Fold[Any]
    numpy: Callable[[Any], Any]
    jnp: Callable[[Any], Any]
    columns: int | None = None

    def shaped(self, x: Any) -> Any:
        """Return the numbers as elements of this fold."""
        return x if self.columns is None else x.reshape(-1, self.columns)

    def source(self, x: Any) -> jf.Source:
        """Return the chunks."""
        return jf.Source.of(self.shaped(x), CHUNK // (self.columns or 1))


def cases() -> dict[str, Case]:
    """Return what is timed, by name."""
    np_cov = partial(np.cov, rowvar=False, dtype=np.float32)
    jnp_cov = partial(jnp.cov, rowvar=False)
    return {
        "mean": Case(jf.folds.mean(), np.mean, jax.jit(jnp.mean)),
        "var": Case(jf.folds.var(), np.var, jax.jit(jnp.var)),
        "describe": Case(jf.folds.describe(), np_shape, jax.jit(jnp_shape)),
        "cov_matrix": Case(jf.folds.cov_matrix(), np_cov, jax.jit(jnp_cov), COLUMNS),
    }


def normal(count: int) -> np.ndarray:
    """Return float32 normals with mean 3."""
    drawn = np.random.default_rng(0).standard_normal(count, dtype=np.float32)
    drawn += 3
    return drawn


@cache
def path() -> str:
    """Return the name of a file of numbers."""
    folder = tempfile.TemporaryDirectory()
    path.folder = folder  # type: ignore[attr-defined]  # it goes when the program ends
    name = str(Path(folder.name) / "numbers.npy")
    np.save(name, normal(CHUNKS * CHUNK))
    return name


def in_file() -> np.ndarray:
    """Return the numbers, memory-mapped."""
    return np.load(path(), mmap_mode="r")


def read(source: jf.Source, buffer: np.ndarray) -> None:
    """Copy all chunks into one buffer, one after another."""
    for block in source:
        np.copyto(buffer, block)


def each(function: Callable[[Any], Any], source: jf.Source) -> list[Any]:
    """Return what a function says of each chunk."""
    return [function(block) for block in source]


def rates(x: Any, rounds: int, first: dict[str, Callable[[], object]]) -> Rows:
    """Time each fold over the chunks of x, beside what comes first, NumPy and jnp."""
    rows: Rows = []
    for name, case in cases().items():
        source = case.source(x)
        buffer = np.empty_like(case.shaped(np.empty(CHUNK, np.float32)))
        runs = first | {
            "read": partial(read, source, buffer),
            "fold": partial(jf.fold, case.fold, source),
            "jnp": partial(each, case.jnp, source),
        }
        found = interleaved(runs, rounds)
        found |= interleaved({"numpy": partial(each, case.numpy, source)}, 1)
        ours = found["fold"]
        rows.append(
            {"fold": name, "GB/s": x.nbytes / 1e9 / ours}
            | {f"of {k}": found[k] / ours for k in (*first, "read")}
            | {f"times {k}": found[k] / ours for k in ("numpy", "jnp")}
        )
    return rows


def memory() -> Rows:
    """Time folds from memory, whole and in chunks."""
    x = jnp.asarray(normal(CHUNKS * CHUNK))
    rows = rates(x, 9, {"jnp.sum": partial(jax.jit(jnp.sum), x)})
    for row in rows:
        case = cases()[str(row["fold"])]
        runs = {"sum": partial(jax.jit(jnp.sum), x)}
        runs["fold"] = partial(jf.fold, case.fold, case.shaped(x))
        found = interleaved(runs, 9)
        row["whole, of jnp.sum"] = found["sum"] / found["fold"]
    return rows


def file() -> Rows:
    """Time folds from a memory-mapped file."""
    return rates(in_file(), 9, {})


def checkpoint() -> Rows:
    """Time what a checkpoint adds to 4 and 32 GB: the file is read again and again.

    Two writings, the first and the last, are made however short the run is.
    """
    rows: Rows = []
    few = jf.Source.of(in_file(), CHUNK)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kept"
        for count, rounds in ((256, 9), (2048, 3)):
            bare = partial(
                jf.fold, jf.folds.var(), jf.Source(count, lambda i: few.load(i % CHUNKS))
            )

            def kept(bare: Any = bare) -> Any:
                path.unlink(missing_ok=True)
                return bare(checkpoint=path)

            found = interleaved({"fold": bare, "kept": kept}, rounds)
            more = found["kept"] / found["fold"] - 1
            row = {"chunks": count, "ms": found["fold"] * 1e3, "checkpoint": f"{more:+.1%}"}
            rows.append(row | {"a writing, ms": writing(path) * 1e3})
    return rows


def writing(path: Path) -> float:
    """Return the seconds that it takes to write what a checkpoint holds."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    return interleaved({"": partial(jf.save, path, content)}, 15)[""]


@dataclass(frozen=True)
class Again:
    """A loader that reads the same few chunks again and again, as if the file were longer."""

    path: str
    size: int
    copies: bool = False

    def __call__(self, i: int) -> np.ndarray:
        x = np.load(self.path, mmap_mode="r")
        begin = i * self.size % x.size
        block = x[begin : begin + self.size]
        return np.array(block) if self.copies else block


def chunks() -> Rows:
    """Time and weigh 10 to 1,000 chunks of 1 MB."""
    rows: Rows = []
    load = Again(path(), 1 << 18, copies=True)
    for name, case in list(cases().items())[:3]:
        for count in (10, 100, 1000):
            source = jf.Source(count, load)
            seconds = interleaved({"": partial(jf.fold, case.fold, source)}, 5)[""]
            row: dict[str, object] = {"fold": name, "chunks": count}
            row["ms"], row["us a chunk"] = seconds * 1e3, seconds / count * 1e6
            rows.append(row | weighed(case.fold, source))
    return rows


def weighed(a_fold: jf.Fold[Any], source: jf.Source) -> dict[str, object]:
    """Return the most memory during a run: what NumPy holds of it, and all that is resident."""
    most = [own_memory()]
    gc.collect()
    tracemalloc.start()
    answer = jf.fold(a_fold, source, progress=lambda *_: most.append(own_memory()))
    jax.block_until_ready(answer)
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"traced, MB": traced / 1e6, "resident, MB": max(most)}


def own_memory() -> float:
    """Return the resident memory that is no file's, in MB; nan where no one tells."""
    try:
        _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return float("nan")
    return (int(resident) - int(shared)) * 4096 / 1e6


def processes() -> Rows:
    """Time a pool of one and of two, once they are under way."""
    rows: Rows = []
    for name in ("var", "describe"):
        row: dict[str, object] = {"fold": name}
        source = jf.Source(1000, Again(path(), CHUNK))
        for workers in (1, 2):
            row[f"GB/s of {workers}"] = steady(cases()[name].fold, source, workers)
        row["ratio"] = row["GB/s of 2"] / row["GB/s of 1"]  # type: ignore[operator]
        rows.append(row)
    return rows


def steady(a_fold: jf.Fold[Any], source: jf.Source, workers: int) -> float:
    """Return GB a second over the last half of the chunks: workers start one after the other."""
    ended: list[float] = []
    jf.fold(
        a_fold,
        source,
        jf.executors.Pool(workers),
        progress=lambda done, total: ended.append(time.perf_counter()),
    )
    half = len(ended) // 2
    return (len(ended) - half - 1) * CHUNK * 4 / 1e9 / (ended[-1] - ended[half])


class Lazy:
    """An array that is a file's name, for dask.array."""

    dtype, ndim = np.dtype(np.float32), 1

    def __init__(self, name: str):
        self.name, self.shape = name, np.load(name, mmap_mode="r").shape

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.load(self.name, mmap_mode="r")[rows]


@contextmanager
def cluster() -> Iterator[Any]:
    """Give a client of a local cluster of two."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as local, Client(local) as client:
        yield client


def dask() -> Rows:
    """Time folds on a Dask cluster and what dask.array does there."""
    try:
        import dask.array as da
        import distributed  # noqa: F401
    except ImportError as error:
        return [{"left out": f"{error}; pip install 'dask[array]' distributed"}]
    x = in_file()
    lazy = da.from_array(Lazy(path()), chunks=CHUNK, asarray=True)
    both = jf.combine(mean=jf.folds.mean(), std=jf.folds.std())
    rows: Rows = []
    with cluster() as client:
        there = jf.executors.Dask(client)
        for name, a_fold, theirs in (
            ("mean", jf.folds.mean(), [lazy.mean()]),
            ("std", jf.folds.std(), [lazy.std()]),
            ("both", both, [lazy.mean(), lazy.std()]),
        ):
            runs: dict[str, Callable[[], object]] = {
                "fold": partial(jf.fold, a_fold, jf.Source.of(x, CHUNK), there),
                "dask.array": lambda theirs=theirs: da.compute(*theirs),
            }
            found = interleaved(runs, 7)
            row: dict[str, object] = {"fold": name, "ms": found["fold"] * 1e3}
            rows.append(row | {"times dask.array": found["dask.array"] / found["fold"]})
    return rows


def where() -> Rows:
    """Time folds of the half of 1e6 numbers that a predicate keeps, and how they compile."""
    x = normal(1_000_000)
    given = jnp.asarray(x)
    of_half: dict[str, Callable[[], object]] = {"numpy": lambda: np.mean(x[x > 3])}
    of_half["jnp"] = partial(jax.jit(lambda x: jnp.mean(x, where=x > 3)), given)
    rows: Rows = []
    for name in ("maximum", "mean", "describe"):
        half = getattr(jf.folds, name)().where(lambda x: x > 3)
        start = time.perf_counter()
        compiled = jax.jit(half.block).lower(given).compile()
        row: dict[str, object] = {"fold": name, "compile, s": time.perf_counter() - start}
        found = interleaved(of_half | {"fold": partial(compiled, given)}, 9)
        row["ms"] = found["fold"] * 1e3
        rows.append(row | {f"times a mean by {k}": found[k] / found["fold"] for k in of_half})
    return rows


PARTS = {f.__name__: f for f in (memory, file, checkpoint, chunks, where, processes, dask)}


def main(parts: list[str]) -> None:
    """Print the tables of the parts that are named; all by default."""
    for name in parts or PARTS:
        print(f"\n{name}")
        table(PARTS[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
