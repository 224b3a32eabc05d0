"""The sketch beside NumPy, DDSketch and t-digest: python tests/benchmarks/sketch.py [n].

The packages `ddsketch` and `tdigest` are left out where they are not installed. Errors are the
largest over q = 0.001 … 0.999 of |found - exact|, by value and by the distance of the quartiles.
"""

import functools
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from _timing import interleaved, table

from jfoundations import folds, stats

Q = np.array([0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999], np.float32)


def distributions(n: int) -> dict[str, np.ndarray]:
    """Return samples of ten distributions."""
    rng = np.random.default_rng(0)
    made = {
        "normal": rng.normal(size=n),
        "uniform": rng.uniform(size=n),
        "both signs": rng.uniform(-1, 1, n),
        "exponential": rng.exponential(size=n),
        "lognormal": rng.lognormal(0, 1, n),
        "gamma": rng.gamma(0.5, size=n),
        "beta": rng.beta(0.5, 0.5, n),
        "Pareto": 1 + rng.pareto(1.5, n),
        "two modes": np.where(rng.random(n) < 0.3, rng.normal(-3, 0.5, n), rng.normal(2, 1, n)),
        "Poisson": rng.poisson(20, n),
    }
    return {name: x.astype(np.float32) for name, x in made.items()}


def main() -> None:
    """Print what is measured."""
    n = int(float(sys.argv[1])) if sys.argv[1:] else 20_000
    peers = dict(filter(None, (_ddsketch(), _tdigest())))
    table([row for name, x in distributions(n).items() for row in _errors(name, x, peers)])
    print()
    table(_insertions())
    print()
    table(_merges(n, peers))
    print()
    table(_programs())


def _errors(name: str, x: np.ndarray, peers: dict) -> list[dict[str, object]]:
    exact = np.quantile(x.astype(np.float64), Q)
    wide = np.subtract(*np.quantile(x, [0.75, 0.25]))
    fold = folds.sketch()
    memory = jax.jit(fold.block)(jnp.asarray(x))
    found = {"jfoundations 1 %": (np.asarray(memory.quantile(Q)), _bytes(memory))}
    for peer, (make, ask, size, _) in peers.items():
        made = make(x)
        found[peer] = np.array([ask(made, float(q)) for q in Q]), size(made)
    rows = []
    for who, (values, size) in found.items():
        error = np.abs(values - exact)
        relative = np.max(error / np.maximum(np.abs(exact), 1e-3 * np.abs(exact).max()))
        rows.append(
            {
                "data": name,
                "sketch": who,
                "of the value": float(relative),
                "of the iqr, q in 0.05 … 0.95": float(np.max(error[2:-2]) / wide),
                "bytes": size,
            }
        )
    return rows


def _bytes(tree: object) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def _insertions() -> list[dict[str, object]]:
    rows, rng = [], np.random.default_rng(0)
    for shape in ((20_000, 32), (2000, 512), (640_000,)):
        x = rng.normal(size=shape).astype(np.float32)
        weights = jnp.asarray(rng.random(shape[0]), jnp.float32)
        plain = jax.jit(folds.sketch().block)
        heavy = jax.jit(folds.sketch(weights=stats.Reliability).block)
        data = jnp.asarray(x)
        runs: dict[str, Callable[[], object]] = {
            "ours": functools.partial(plain, data),
            "weighted": functools.partial(heavy, (data, weights)),
            "numpy": functools.partial(np.quantile, x, Q, axis=0),
        }
        found = interleaved(runs, rounds=9)
        row: dict[str, object] = {"shape": str(shape)}
        row |= {f"{k} ms": v * 1e3 for k, v in found.items()}
        row["ours / numpy"] = found["ours"] / found["numpy"]
        row["weighted / numpy"] = found["weighted"] / found["numpy"]
        row["ns a number"] = found["ours"] / x.size * 1e9
        rows.append(row)
    return rows


def _merges(n: int, peers: dict) -> list[dict[str, object]]:
    fold = folds.sketch()
    halves = np.random.default_rng(0).normal(size=(2, n)).astype(np.float32)
    assert fold.merge is not None
    merge, block = jax.jit(fold.merge), jax.jit(fold.block)
    one, other = (block(jnp.asarray(h)) for h in halves)
    wide = [block(jnp.tile(jnp.asarray(h)[:, None], 32)) for h in halves]
    ask = jax.jit(lambda memory: memory.quantile(Q))
    runs: dict[str, Callable[[], object]] = {
        "one": lambda: merge(one, other),
        "32 features": lambda: merge(*wide),
        "asked for 11, 32 features": lambda: ask(wide[0]),
        "block of one": lambda: block(jnp.asarray(halves[0])),
    }
    rows = [{"jfoundations": k, "ms": v * 1e3} for k, v in interleaved(runs, 9).items()]
    for peer, (make, _, _, join) in peers.items():
        start = time.perf_counter()
        made = [make(h) for h in halves]
        rows.append({"jfoundations": f"{peer}: insert", "ms": (time.perf_counter() - start) * 500})
        start = time.perf_counter()
        join(*made)
        rows.append({"jfoundations": f"{peer}: merge", "ms": (time.perf_counter() - start) * 1e3})
    return rows


def _programs() -> list[dict[str, object]]:
    like = jax.ShapeDtypeStruct
    fold, heavy = folds.sketch(), folds.sketch(weights=stats.Reliability)
    assert fold.merge is not None
    rows = []
    for n in (1000, 100_000):
        x, w = like((n, 32), np.float32), like((n,), np.float32)
        memory = jax.eval_shape(fold.block, x)
        lengths = {
            "block": jax.jit(fold.block).lower(x),
            "weighted": jax.jit(heavy.block).lower((x, w)),
            "merge": jax.jit(fold.merge).lower(memory, memory),
            "quantile": jax.jit(lambda memory: memory.quantile(Q)).lower(memory),
        }
        rows.append({"rows": n} | {k: len(v.as_text()) for k, v in lengths.items()})
    return rows


def _ddsketch() -> tuple[str, tuple] | None:
    try:
        from ddsketch import DDSketch
    except ImportError:
        return None

    def make(x: np.ndarray) -> object:
        made = DDSketch(0.01)
        for value in x.tolist():
            made.add(value)
        return made

    def size(made: DDSketch) -> int:
        return 8 * (len(made._store.bins) + len(made._negative_store.bins))

    return "DDSketch 1 %", (
        make,
        lambda m, q: m.get_quantile_value(q),
        size,
        lambda a, b: a.merge(b),
    )


def _tdigest() -> tuple[str, tuple] | None:
    try:
        from tdigest import TDigest
    except ImportError:
        return None

    def make(x: np.ndarray) -> object:
        made = TDigest()
        made.batch_update(x.tolist())
        return made

    return "t-digest", (
        make,
        lambda m, q: m.percentile(100 * q),
        lambda m: 16 * len(m),
        lambda a, b: a + b,
    )


if __name__ == "__main__":
    main()
