"""Statistics of a file that need not fit in memory: on one process, on several, on a cluster.

For each feature of a file of float32 numbers: mean, deviation, least, largest, quantiles (to 1 %
of their value) and the correlations with the others, all in one pass. The file is memory-mapped, so
workers are sent its name and read their own chunks. A pool of processes and a local Dask cluster
find the same bits as one process: chunks are merged by their number, whoever folds them.

    pip install tqdm pyarrow distributed
    python examples/dataset_statistics.py
    python examples/dataset_statistics.py --gb 4

At the end the same file's first rows, written as Parquet, are read by row groups.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jfoundations as jf

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from distributed import Client, LocalCluster
    from tqdm import tqdm
except ImportError as error:
    cure = "pip install tqdm pyarrow distributed"
    raise SystemExit(f"dataset_statistics.py cannot go on ({error}): {cure}") from None

FEATURES = ("height", "weight", "income", "noise")
QUANTILES = (0.01, 0.5, 0.99)
CHUNK = 64 * 2**20  # bytes at the most

STATISTICS = jf.combine(
    each=jf.folds.describe(),
    quantiles=jf.folds.quantile(QUANTILES),
    corr=jf.folds.corr_matrix(),
)


def write(path: Path, rows: int) -> None:
    """Write rows of four features, a million at a time."""
    shape = (rows, len(FEATURES))
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    rng = np.random.default_rng(0)
    for begin in range(0, rows, 10**6):
        block = file[begin : begin + 10**6]
        height, noise, luck = rng.standard_normal((3, len(block)), np.float32)
        block[:, 0] = 170 + 10 * height
        block[:, 1] = 70 + 8 * height + 6 * noise
        block[:, 2] = np.exp(8 + luck)
        block[:, 3] = noise
    file.flush()


def cut(path: Path) -> jf.Source:
    """Return the chunks of a file: 16 or more, of 64 MB or less."""
    data = np.load(path, mmap_mode="r")
    chunks = max(16, -(-data.nbytes // CHUNK))
    return jf.Source.of(data, -(-len(data) // chunks))


def with_bar(name: str, source: jf.Source, executor: Any = None) -> Any:
    """Return the statistics, showing how many chunks are done."""
    with tqdm(total=source.n_chunks, desc=name, unit=" chunks") as bar:

        def progress(done: int, total: int | None) -> None:
            bar.update(done - bar.n)

        return jf.fold(STATISTICS, source, executor, progress=progress)


def everywhere(source: jf.Source) -> Any:
    """Return the statistics, found three times with the same bits."""
    found = {"one process": with_bar("one process", source)}
    found["a pool"] = with_bar("a pool of 2", source, jf.executors.Pool(2))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        found["Dask"] = with_bar("Dask", source, jf.executors.Dask(client))
    bits = {name: [leaf.tobytes() for leaf in jax.tree.leaves(a)] for name, a in found.items()}
    assert bits["one process"] == bits["a pool"] == bits["Dask"]
    print("One process, a pool of two and a Dask cluster found the same bits.")
    return found["one process"]


def show(found: Any) -> None:
    """Print a row a feature, and the correlations."""
    quantiles = [f"{q:.0%}" for q in QUANTILES]
    print(f"{'':8}" + "".join(f"{t:>11}" for t in ("mean", "std", "least", *quantiles, "largest")))
    each = found["each"]
    columns = [each.mean, each.var**0.5, each.minimum, *found["quantiles"], each.maximum]
    for name, row in zip(FEATURES, np.stack(columns, axis=1), strict=True):
        print(f"{name:8}" + "".join(f"{value:11.5g}" for value in row))
    print("correlations")
    for name, row in zip(FEATURES, found["corr"], strict=True):
        print(f"{name:8}" + "".join(f"{value:11.4f}" for value in row))


def check(found: Any, data: np.ndarray) -> None:
    """Compare with NumPy, in float64, which needs all of the data at once."""
    data, each = data.astype(np.float64), found["each"]
    assert np.all(np.abs(each.mean - data.mean(0)) <= 1e-6 * data.std(0))
    np.testing.assert_allclose(each.var, data.var(0), rtol=1e-5)
    np.testing.assert_array_equal(each.minimum, data.min(0))
    np.testing.assert_array_equal(each.maximum, data.max(0))
    exact = np.quantile(data, QUANTILES, axis=0)
    near = np.maximum(np.abs(exact), np.abs(data).max(0) / 40)  # nearer to 0 it is that little
    assert np.all(np.abs(found["quantiles"] - exact) <= 0.01 * near)
    np.testing.assert_allclose(found["corr"], np.corrcoef(data.T), atol=1e-5)


def row_group(path: str) -> Callable[[int], dict[str, np.ndarray]]:
    """Return the loader of a Parquet file: row group i as a dict of columns."""
    return lambda i: {c: a.to_numpy() for c, a in _columns(pq.ParquetFile(path).read_row_group(i))}


def _columns(table: Any) -> Any:
    return zip(table.column_names, table.columns, strict=True)


def parquet(path: Path, data: np.ndarray) -> None:
    """Fold over the row groups of a Parquet file."""
    table = pa.table({name: np.ascontiguousarray(data[:, k]) for k, name in enumerate(FEATURES)})
    pq.write_table(table, path, row_group_size=10_000)
    groups = pq.ParquetFile(path).num_row_groups
    source = jf.Source(groups, row_group(str(path)))
    ratio = jf.folds.mean().of(lambda row: row["weight"] / row["height"])
    found = float(jf.fold(ratio, source))
    print(f"Parquet: weight / height is {found:.4f} on average over {groups} row groups")
    assert abs(found - np.mean(data[:, 1] / data[:, 0], dtype=np.float64)) < 1e-6


def main() -> None:
    parser = argparse.ArgumentParser(description="Statistics of a file that need not fit.")
    parser.add_argument("--gb", type=float, default=0.02, help="size of the file")
    rows = int(parser.parse_args().gb * 1e9 / 4 / len(FEATURES))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers.npy"
        write(path, rows)
        source = cut(path)
        print(f"{rows} rows of {len(FEATURES)} features in {source.n_chunks} chunks", flush=True)
        found = everywhere(source)
        show(found)
        if rows <= 10**7:
            check(found, np.load(path))
        parquet(Path(folder) / "numbers.parquet", np.load(path, mmap_mode="r")[:50_000])


if __name__ == "__main__":
    main()
