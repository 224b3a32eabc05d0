"""How sharp the suite is: mutants of statistics, callbacks and folds, and which of them live.

    python tests/benchmarks/mutants.py [--most N] [--seed S] [NAME …]

Of each name a sample of N mutants is run against what the fast suite asks of that name: statistics
against their definitions in rational arithmetic, with and without weights, masks and nans, and to
the bit under powers of two; callbacks against their oracles in plain Python; folds in blocks, with
masks, against the answer of the whole. At the edges and in draws, where the suite has tables of
answers and property tests (constants, infinities, nans, the ends of the range, masks of nothing,
numbers of any size), the answers are those of what was not mutated. Those that live are printed:
those that never differed, that differ by a few roundings, and those that are wrong, of which the
share killed speaks.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

sys.path.append(str(Path(__file__).parents[1] / "cases"))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import public_cases  # noqa: E402
import scipy.stats  # noqa: E402
from callback_oracles import EAGER, INF, MAKE, NAN, N, run  # noqa: E402
from exact_statistics import EXACT, exact  # noqa: E402
from helpers import lane  # noqa: E402

import jfoundations as jf  # noqa: E402
from jfoundations import stats  # noqa: E402
from jfoundations.testing import laws  # noqa: E402

RNG = np.random.default_rng(3)
X, Y = (RNG.integers(-64, 64, 24).astype(np.float32) / 8 for _ in "xy")
W = RNG.integers(0, 4, 24).astype(np.int32)
SOME = np.arange(24) % 5 == 3
# data that the tables of edges hold; of one shape, so that they compile nothing more
EDGES = [
    np.full(24, 7.5),
    np.full(24, 3e38),
    np.where(SOME, INF, X),
    np.where(SOME, NAN, X),
    np.where(np.arange(24) == 0, -INF, X),
    np.where(np.arange(24) == 23, NAN, X),
    np.where(SOME, 3e38, -3e38),
    np.where(SOME, 3e38, X),
    X.astype(np.float64) * 1e-38,
    np.where(SOME, 1e19, 1e-19),
    np.arange(24.0) + 2.0**24,
    np.repeat([1.0, 2.0], 12),
    np.zeros(24),
]
# and draws as the property tests make them: of any size, with an offset, with ties, with gaps
EDGES += [np.ldexp(RNG.normal(size=24), RNG.integers(-60, 60, 24)) for _ in range(4)]
EDGES += [RNG.normal(10.0**k, 1, 24) for k in range(1, 7)]
EDGES += [RNG.choice([-1.0, 0.0, 0.5, 2.0], 24) for _ in range(3)]
EDGES += [RNG.choice([NAN, INF, -INF, 0.0, 1e-40, 3e38, 1.0, -2.0], 24) for _ in range(3)]
EDGES += [X - 5000]  # all below the range of exponentials
MASKS = [np.zeros(24, bool), np.arange(24) == 5, np.arange(24) > 3, SOME]
MASKS += [RNG.random(24) < share for share in (0.1, 0.5, 0.9)]
COUNTS = [np.zeros(24, np.int32), np.where(SOME, 2**20, 0).astype(np.int32)]
COUNTS += [RNG.integers(0, most, 24).astype(np.int32) for most in (2, 5, 1000)]
ROUNDING = 1e-6  # what of the largest answer a few roundings are, in float32
# a power of two in the data, of pairs in the first, comes out so
POWERS = {"sum": 1, "mean": 1, "var": 2, "std": 1, "sem": 1, "cov": 1, "corr": 0, "mean_abs_dev": 1}
POWERS |= {"median": 1, "iqr": 1, "skew": 0, "kurtosis": 0, "moment": 3, "quantile": 1}


def _welch(found):
    return found.statistic, found.df, found.pvalue


SCIPY = {
    "gmean": lambda x, y: scipy.stats.gmean(np.abs(x) + 1),
    "hmean": lambda x, y: scipy.stats.hmean(np.abs(x) + 1),
    "pmean": lambda x, y: scipy.stats.pmean(np.abs(x) + 1, 3),
    "welch": lambda x, y: _welch(scipy.stats.ttest_ind(x, y, equal_var=False)),
}


def near(found, right, rtol=1e-5):
    for a, b in zip(jax.tree.leaves(found), right, strict=False):
        b = np.asarray(b, np.float64)
        size = np.max(np.abs(b[np.isfinite(b)]), initial=1e-30)
        np.testing.assert_allclose(np.asarray(a, np.float64), b, rtol=rtol, atol=rtol * size)


def at_edges(call, y, options, rows):
    """Yield a statistic's answers at the edges."""
    of_rows = np.s_[:6] if rows else np.s_[:]  # of a matrix, a weight is that of a row
    for edge in EDGES:
        x = jnp.asarray(edge.astype(np.float32))
        yield call(x, y)
        if "weights" in options:
            yield call(x, y, weights=stats.Frequency(jnp.asarray(W[of_rows])))
    x = jnp.asarray(X)
    for mask in MASKS if "where" in options and not rows else ():
        yield call(x, y, where=jnp.asarray(mask))
    for counts in COUNTS if "weights" in options else ():
        yield call(x, y, weights=stats.Frequency(jnp.asarray(counts[of_rows])))
        # a weight of 0 hides what is not a number, and need not be a whole one
        floats = counts.astype(np.float32)[of_rows] / 2
        hidden = X if rows else np.where(floats, X, np.float32(NAN))
        yield call(jnp.asarray(hidden), y, weights=stats.Reliability(jnp.asarray(floats)))


def statistic(name):
    """Return a statistic, and what the suite asks of it."""
    original = getattr(stats, name)
    options = public_cases.options_of(original)
    rows = name.endswith("_matrix")
    axis = {"axis": 0} if "axis" in options else {}
    at_all = partial(public_cases.CALLS[name], **axis)
    known = [jax.tree.leaves(one) for one in at_edges(at_all, jnp.asarray(Y), options, rows)]

    def test(g):
        with mock.patch.object(stats, name, g):
            for found, right in zip(
                at_edges(at_all, jnp.asarray(Y), options, rows), known, strict=True
            ):
                near(found, right)
        with mock.patch.object(stats, name, g):
            call = public_cases.CALLS[name]
            fixed = {"axis": 0} if "axis" in options else {}
            if name in SCIPY:
                means = name.endswith("mean")
                x = np.abs(X) + 1 if means else X
                rtol = 1e-5 if means else 1e-4  # of a p-value, in float32
                found = call(jnp.asarray(x), jnp.asarray(Y), **fixed)
                near(found, np.ravel(SCIPY[name](X, Y)), rtol)
                return
            x, y = jnp.asarray(X), jnp.asarray(Y)
            near(call(x, y, **fixed), exact(name, X, Y))
            far = X + np.float32(4096)
            near(call(jnp.asarray(far), y, **fixed), exact(name, far, Y))
            if "weights" in options:
                w = np.repeat(W[:6], 4) if rows else W
                given = stats.Frequency(jnp.asarray(W[:6] if rows else W))
                near(call(x, y, weights=given, **fixed), exact(name, X, Y, w))
            if "where" in options and not rows:
                mask = W > 0
                hidden = jnp.asarray(np.where(mask, X, NAN).astype(np.float32))
                found = call(hidden, y, where=jnp.asarray(mask), **fixed)
                right = exact(name, X, Y, mask)
                if name == "standardize":  # what is hidden has no value
                    found, right = found[mask], [right[0][mask]]
                near(found, right)
            if name in POWERS:
                base, power = call(x, y, **fixed), POWERS[name]
                for e in (-118, -40, 40, 118) if power < 2 else (-40, 40):
                    scaled = call(jnp.ldexp(x, e), y, **fixed)
                    for a, b in zip(jax.tree.leaves(scaled), jax.tree.leaves(base), strict=True):
                        with np.errstate(over="ignore", under="ignore"):
                            expected = np.ldexp(np.float64(b), power * e).astype(np.float32)
                        expected = np.where(np.abs(expected) < 1.2e-38, 0, expected)
                        np.testing.assert_array_equal(np.asarray(a), expected)

    return original, test


def rows():
    """Return metrics as a loop may see them: with nans, infinities, plateaus."""
    some = RNG.choice([NAN, INF, -INF, -1.0, 0.0, 0.25, 0.5, 1.0, 3.0], (4, N))
    falling = np.stack([8 / (1 + np.arange(N)), np.repeat(np.arange(N // 4), 4)[::-1]])
    some[:2, 0] = NAN
    none = np.stack([np.full(N, NAN), np.where(np.arange(N) < N // 2, NAN, np.arange(N))])
    rising = np.stack([4 * np.arange(N), np.sqrt(1 + np.arange(N))])
    return np.concatenate([some, falling, rising, none, RNG.normal(0, 9, (4, N))]).astype(
        np.float32
    )


ROWS = rows()


def callback(name):
    """Return a callback, and its oracle."""
    setting, check = EAGER[name]
    made = MAKE[name]("max", *setting)

    def test(c):
        compiled = jax.jit(lambda values: run(values, c))
        for row in ROWS:
            check(row, compiled(jnp.asarray(row)))
        lanes = jax.jit(jax.vmap(lambda values: run(values, c)))(jnp.asarray(ROWS))
        for k, row in enumerate(ROWS):
            check(row, lane(lanes, k))

    return made, test


ARRAYS = jnp.asarray(X + 9), jnp.asarray(Y)


def length(data):
    return len(jax.tree.leaves(data)[0])


def cut(data, *ends):
    """Return what of the data lies between some ends."""
    ends = (0, *ends, length(data))
    pairs = zip(ends, ends[1:], strict=False)
    return [jax.tree.map(lambda leaf, a=a, b=b: leaf[a:b], data) for a, b in pairs]


def listed(data):
    """Return the elements of data, one by one, on the host."""
    host = jax.tree.map(np.asarray, data)
    return [jax.tree.map(lambda leaf, k=k: leaf[k], host) for k in range(length(data))]


def fold(name):
    """Return a fold, and what the suite asks of it."""
    made = public_cases.FOLDS[name]
    if name == "pca":  # its components are of either sign, and of one size in any order
        made = made.map(lambda found: found.variances)
    data = public_cases.elements(name, *ARRAYS)
    n = length(data)
    third, sixth = n // 3, n // 6
    cuts = cut(data, third, 2 * third)
    whole = jf.fold(made, data)
    edges = [
        public_cases.elements(name, jnp.asarray(edge.astype(np.float32)), ARRAYS[1])
        for edge in EDGES
    ]
    masks = [jnp.asarray(W[:n] > 0), jnp.arange(n) % 3 == 0]
    everything = jnp.ones(n, bool)
    like = jf._folds.fold.like_of_block(data)

    def at_ends(g):
        """Yield a fold's answers at the edges: whole, in blocks, after nothing, with a mask."""
        extract = jax.jit(g.extract)
        if g.merge is not None:
            block_where, merge = jax.jit(g.block_where), jax.jit(g.merge)
        empty = jax.tree.map(jnp.asarray, g.init(like))
        for edge in edges:
            yield jf.fold(g, edge)
            if g.merge is not None:
                yield jf.fold(g, cut(edge, third, 2 * third))
                yield from (extract(block_where(edge, kept)) for kept in masks)
                yield extract(merge(empty, block_where(edge, everything)))

    at_ends_of_made = [jax.tree.leaves(answer) for answer in at_ends(made)]

    def steps(g):
        """Yield the answers of nothing, and of the data and some edges one by one."""
        empty = jax.tree.map(jnp.asarray, g.init(like))
        yield g.extract(empty)
        step, extract = jax.jit(g.step), jax.jit(g.extract)
        for given in (data, *edges[::-6]):
            memory = empty
            for x in listed(given):
                memory = step(memory, x)
            yield extract(memory)

    of_steps = [jax.tree.leaves(answer) for answer in steps(made)]
    in_any_order = _same_bits(of_steps[1], jax.tree.leaves(whole))
    few = [jax.tree.map(lambda leaf, m=mask: leaf[np.asarray(m)], data) for mask in masks]
    of_few = [made.extract(made.block(some)) for some in few if made.merge is not None]
    first_last = jax.tree.map(lambda leaf: jnp.roll(leaf, -1, axis=0), data)
    turned = jf.fold(made, first_last)

    def alike(found, right, **bound):
        bound = bound or {"rtol": 1e-5, "atol": 1e-5}
        jf.testing.checks.assert_same(found, right, **bound)

    # numbers whose sums need a second word; what has the same bits in any cut must have them here
    wide = jax.tree.map(lambda leaf: leaf * 4097 if leaf.dtype == X.dtype else leaf, data)
    wide_cuts = cut(wide, sixth, 2 * third)
    of_wide = jf.fold(made, wide)
    same_bits = made.merge is not None and _same_bits(jf.fold(made, wide_cuts), of_wide)

    def test(g):
        alike(jf.fold(g, data), whole)
        alike(jf.fold(g, wide), of_wide)
        for found, right in zip(at_ends(g), at_ends_of_made, strict=True):
            near(found, right)
        for k, (found, right) in enumerate(zip(steps(g), of_steps, strict=True)):
            near(found, right)
            if k == 1 and in_any_order:
                alike(jax.tree.leaves(found), right, bits=True)
        if g.merge is None:
            return
        alike(jf.fold(g, cuts), whole)
        alike(jf.fold(g, wide_cuts), of_wide, **({"bits": True} if same_bits else {}))
        for kept, right in zip(masks, of_few, strict=True):
            alike(g.extract(g.block_where(data, kept)), right)
        memory = g.block(cuts[0])
        for x in listed(data)[third : third + sixth]:
            memory = g.step(memory, x)
        first, _ = cut(data, third + sixth)
        alike(g.extract(memory), made.extract(made.block(first)))
        empty = jax.tree.map(jnp.asarray, g.init(like))
        for one, other in ((empty, memory), (memory, empty)):
            alike(g.extract(g.merge(one, other)), g.extract(memory))
        stepped = g.step(empty, listed(data)[0])
        _, rest = cut(data, 1)
        alike(g.extract(g.merge(g.block(rest), stepped)), turned)
        alike(g.extract(g.merge(stepped, g.block(rest))), whole)

    return made, test


def _same_bits(a, b):
    try:
        jf.testing.checks.assert_same(a, b, bits=True)
    except AssertionError:
        return False
    return True


def cases():
    """Return all that can be mutated, by name: a function that makes it and its test."""
    found = {f"stats.{name}": (statistic, name) for name in {**EXACT, **SCIPY}}
    found |= {f"callbacks.{name}": (callback, name) for name in EAGER if name not in UNCHECKED}
    return found | {f"folds.{name}": (fold, name) for name in public_cases.FOLDS}


UNCHECKED = ("finite", "ema", "spikes")  # whose oracles are drawn alone


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    known = cases()
    words = ("mutants", "killed", "never differed", "rounding", "survived", "share", "seconds")
    print(f"{'name':24} {'  '.join(words)}")
    for name in given.names or known:
        maker, which = known[name]
        start = time.perf_counter()
        try:
            value, test = maker(which)
            report = laws.mutants(value, test, max_mutants=given.most, seed=given.seed)
        except ValueError as error:
            print(f"{name}: {error}", flush=True)
            continue
        rounded = [one for one in report.survived if one.apart <= ROUNDING]
        wrong = [one for one in report.survived if one.apart > ROUNDING]
        killed = len(report.killed)
        share = 100 * killed / max(killed + len(wrong), 1)
        counts = len(report.mutants), killed, len(report.never_differed), len(rounded), len(wrong)
        numbers = "{:7} {:7} {:15} {:8} {:9}".format(*counts)
        took = time.perf_counter() - start
        print(f"{name:24} {numbers} {share:5.0f} % {took:7.0f}", flush=True)
        for one in (*wrong, *rounded, *report.never_differed):
            print(f"    {one!r}", flush=True)


if __name__ == "__main__":
    main()
