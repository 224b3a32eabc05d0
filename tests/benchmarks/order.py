"""Order statistics against NumPy, SciPy and jnp: python tests/benchmarks/order.py [n …].

With the word `windows` first, windows and groups against bottleneck, pandas and polars.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.stats
from _timing import interleaved, table

import jfoundations as jf
from jfoundations import folds, stats


def main() -> None:
    if sys.argv[1:2] == ["windows"]:
        sizes = [int(float(a)) for a in sys.argv[2:]] or [10**6]
        table([row for n in sizes for row in _windows_and_groups(n)])
        return
    sizes = [int(float(a)) for a in sys.argv[1:]] or [1000, 10**5, 10**6, 10**7]
    table([row for n in sizes for row in _rows(n)])


def _rows(n: int) -> list[dict[str, object]]:
    x = np.random.default_rng(0).normal(size=n).astype(np.float32)
    data = jnp.asarray(x), jnp.asarray(x > -0.5), jnp.asarray(x > 0, jnp.int32)
    theirs, rows = _jnp() if n <= 10**5 else {}, []
    for name, numpy in _numpy(x).items():
        runs = {"ours": functools.partial(jax.jit(_ours()[name]), *data), "numpy": numpy}
        if name in theirs:
            runs["jnp"] = functools.partial(jax.jit(theirs[name]), data[0])
        found = interleaved(runs, rounds=5 if n > 10**6 else 15)
        row = {"n": n, "what": name, "ours ms": found["ours"] * 1e3}
        for other in ("numpy", "jnp"):
            row[f"ours / {other}"] = found["ours"] / found[other] if other in found else ""
        rows.append(row)
    return rows


def _windows_and_groups(n: int) -> list[dict[str, object]]:
    import bottleneck
    import polars

    rng = np.random.default_rng(0)
    x, ids = rng.normal(size=n).astype(np.float32), rng.integers(0, 1000, n)
    data, groups, series, frame = jnp.asarray(x), jnp.asarray(ids), pd.Series(x), polars.Series(x)
    runs: dict[str, dict] = {}
    for window in (w for w in (5, 50, 1000) if w <= n):
        rolled = series.rolling(window)
        low, high = folds.minimum(), folds.maximum()
        runs[f"min of {window}"] = {
            "ours": functools.partial(jf.rolling, low, data, window),
            "bottleneck": functools.partial(bottleneck.move_min, x, window),
            "pandas": rolled.min,
            "polars": functools.partial(frame.rolling_min, window),
        }
        runs[f"max of {window}"] = {
            "ours": functools.partial(jf.rolling, high, data, window),
            "bottleneck": functools.partial(bottleneck.move_max, x, window),
            "pandas": rolled.max,
            "polars": functools.partial(frame.rolling_max, window),
        }
        runs[f"median of {window}"] = {
            "ours": functools.partial(stats.rolling_median, data, window),
            "bottleneck": functools.partial(bottleneck.move_median, x, window),
            "pandas": rolled.median,
            "polars": functools.partial(frame.rolling_median, window),
        }
        runs[f"quantile 0.9 of {window}"] = {
            "ours": functools.partial(stats.rolling_quantile, data, 0.9, window),
            "pandas": functools.partial(rolled.quantile, 0.9),
            "polars": functools.partial(
                frame.rolling_quantile, 0.9, interpolation="linear", window_size=window
            ),
        }
        runs[f"skew of {window}"] = {
            "ours": functools.partial(jf.rolling, folds.skew(), data, window),
            "pandas": rolled.skew,
        }
    runs["median of 1000 groups"] = {
        "ours": lambda: stats.segment_median(data, groups, num_segments=1000),
        "pandas": lambda: series.groupby(ids).median(),
    }
    runs["quantile 0.9 of 1000 groups"] = {
        "ours": lambda: stats.segment_quantile(data, 0.9, groups, num_segments=1000),
        "pandas": lambda: series.groupby(ids).quantile(0.9),
    }
    runs["max of 1000 groups"] = {
        "ours": lambda: jf.segment(folds.maximum(), data, groups, 1000),
        "pandas": lambda: series.groupby(ids).max(),
    }
    rows = []
    for what, run in runs.items():
        found = interleaved(run, rounds=7)
        row: dict[str, object] = {"n": n, "what": what, "ours ms": found["ours"] * 1e3}
        for other in ("bottleneck", "pandas", "polars"):
            row[f"ours / {other}"] = found["ours"] / found[other] if other in found else ""
        rows.append(row)
    return rows


def _ours() -> dict:
    return {
        "median": lambda x, mask, times: stats.median(x),
        "median where": lambda x, mask, times: stats.median(x, where=mask),
        "median weights": lambda x, mask, times: stats.median(x, weights=times),
        "quantile 0.9": lambda x, mask, times: stats.quantile(x, 0.9),
        "quantile of 3": lambda x, mask, times: stats.quantile(x, jnp.array([0.1, 0.5, 0.9])),
        "histogram 100": lambda x, mask, times: stats.histogram(x, 100),
        "minmax": lambda x, mask, times: stats.minmax(x),
        "trim_mean 0.1": lambda x, mask, times: stats.trim_mean(x, 0.1),
        "rank_corr": lambda x, mask, times: stats.rank_corr(x, jnp.flip(x)),
    }


def _jnp() -> dict:
    return {"median": jnp.median, "quantile 0.9": lambda x: jnp.quantile(x, 0.9)}


def _numpy(x: np.ndarray) -> dict:
    mask = x > -0.5
    return {
        "median": lambda: np.median(x),
        "median where": lambda: np.median(x[mask]),
        "median weights": lambda: np.median(np.repeat(x, x > 0)),
        "quantile 0.9": lambda: np.quantile(x, 0.9),
        "quantile of 3": lambda: np.quantile(x, [0.1, 0.5, 0.9]),
        "histogram 100": lambda: np.histogram(x, 100),
        "minmax": lambda: (x.min(), x.max()),
        "trim_mean 0.1": lambda: scipy.stats.trim_mean(x, 0.1),
        "rank_corr": lambda: scipy.stats.spearmanr(x, x[::-1]),
    }


if __name__ == "__main__":
    main()
