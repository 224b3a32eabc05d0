"""A fold of every window and group is the fold of its elements alone; windows of streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations._folds.windows import _of_bounds, _side_by_side
from jfoundations._kernels.moments.moving import chunked
from jfoundations.testing import laws, strategies

RNG = np.random.default_rng(4)
N = 23
X = RNG.integers(-9, 9, N).astype(np.float32)
Y = RNG.integers(-9, 9, N).astype(np.float32)
W = RNG.integers(0, 4, N).astype(np.float32)
KEEP = RNG.random(N) < 0.7
# groups of 1 and of 4 elements, as windows are, for each length of a block compiles; 5 in none
IDS = RNG.permutation(np.repeat(np.arange(-1, 6), (5, 4, 4, 1, 4, 1, 4)))
TIMES = np.cumsum(RNG.integers(0, 3, N)).astype(np.int32)


def composed():
    """Return the fold that composes the maps n -> a·n + b mod 2³²: exact, and order matters."""

    def then(f, g):
        return g[0] * f[0], g[0] * f[1] + g[1]

    one, zero = np.uint32(1), np.uint32(0)
    return jf.Fold(lambda like: (jnp.array(one), jnp.array(zero)), then, then, name="composed")


MAPS = tuple(RNG.integers(0, 2**32, (2, N), dtype=np.uint32))
EXACT = {  # the fold, and what it is of
    "minimum": (folds.minimum(), X),
    "top_k": (folds.top_k(2), X),
    "argmax": (folds.argmax(), X),
    "count": (folds.count(), X),
    "sum": (folds.sum(), X),
    "product of integers": (folds.product(), X.astype(np.int32)),
    "composed": (composed(), MAPS),
    "tree": (folds.maximum(), {"a": X, "b": np.stack([X, Y], 1)}),
    "combined": (folds.maximum() - folds.first(), X),
}
NEAR = {
    "mean": (folds.mean(), X),
    "skew": (folds.skew(), X),
    "cov": (folds.cov(), (X, Y)),
    "minmax": (folds.minmax(), X),
}


def brute(a_fold, xs, parts):
    """Fold the elements at each list of places alone."""
    found = [jf.fold(a_fold, jax.tree.map(lambda v, p=p: np.asarray(v)[p], xs)) for p in parts]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


def full(window, n=N):
    return [np.arange(k, k + window) for k in range(n - window + 1)]


@pytest.mark.parametrize("window", [1, 4, 15])
@pytest.mark.parametrize("name", EXACT)
def test_windows_are_the_brute_force_exactly(name, window):
    a_fold, xs = EXACT[name]
    assert_same(jf.rolling(a_fold, xs, window), brute(a_fold, xs, full(window)))


@pytest.mark.parametrize("name", NEAR)
def test_windows_are_the_brute_force_nearly(name):
    a_fold, xs = NEAR[name]
    found, right = jf.rolling(a_fold, xs, 4), brute(a_fold, xs, full(4))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EXACT)
def test_groups_are_the_brute_force(name):
    a_fold, xs = EXACT[name]
    parts = [np.flatnonzero(IDS == k) for k in range(6)]
    assert_same(jf.segment(a_fold, xs, IDS, 6), brute(a_fold, xs, parts))


def test_memories_larger_than_a_window_are_not_merged():
    merged = []
    sketch = folds.sketch()
    watched = jf.Fold(
        sketch.init,
        sketch.step,
        lambda a, b: merged.append(1),
        folds.median().extract,
        sketch.block,
    )
    assert_same(jf.rolling(watched, X[:8], 3), brute(folds.median(), X[:8], full(3, 8)))
    assert not merged


@pytest.mark.parametrize("name", ["composed", "minimum", "count"])
def test_all_ways_to_long_windows_agree(name):
    a_fold, xs = EXACT[name]
    right = brute(a_fold, xs, full(9))
    empty = jax.tree.map(jnp.asarray, a_fold.init(jax.tree.map(lambda v: v[0], xs)))

    def by_blocks(xs):
        return _side_by_side(a_fold, empty, xs, None, 9)

    def by_stretches(xs):  # of 1, 2, 4, ... elements
        start = jnp.arange(len(jax.tree.leaves(xs)[0]) - 8, dtype=jnp.int32)
        return _of_bounds(a_fold, empty, xs, None, start, start + 9, (9).bit_length())

    for way in (by_blocks, by_stretches):
        whole, pieces = jax.jit(lambda xs, way=way: (way(xs), chunked(xs, 9, way, 1)))(xs)
        assert_same(whole, right)
        assert_same(pieces, right)
    assert_same(jax.jit(lambda xs: jf.rolling(a_fold, xs, 9))(xs), right)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("window", "least"), [(5, None), (5, 2), (4, 1), (4, 0), (30, 3)])
def test_values_are_those_of_pandas(window, least, center):
    if least is None and not center:
        least = 5  # ours are the full ones alone
    holes = np.where(KEEP, X, np.nan).astype(np.float32)
    rolled = pd.Series(holes).rolling(window, min_periods=least, center=center)
    options = {"min_periods": least, "center": center}
    both = jf.combine(sum=folds.sum(), top=folds.maximum(), n=folds.count())
    found = jf.rolling(both, holes, window, nan="omit", **options)
    masked = jf.rolling(both, X, window, where=KEEP, **options)
    assert_same(found, masked)
    np.testing.assert_array_equal(found["sum"], rolled.sum())
    top = np.asarray(rolled.max())
    shown = np.isfinite(top) | (np.asarray(rolled.count()) > 0)  # over nothing -inf, and there nan
    np.testing.assert_array_equal(np.asarray(found["top"])[shown], top[shown])
    counts = np.asarray(pd.Series(holes).rolling(window, min_periods=0, center=center).count())
    enough = counts >= (window if least is None else least)
    assert [int(v) for v in found["n"].tolist()] == np.where(enough, counts, 0).tolist()


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("dtype", "span"), [("int32", 4), ("float32", 2.5), ("uint8", 3)])
def test_spans_of_time_are_those_of_pandas(dtype, span, center):
    times = TIMES.astype(dtype)
    index = pd.to_datetime(TIMES.astype(np.int64) * 10**9)
    rolled = pd.Series(X, index).rolling(f"{int(span * 1000)}ms", center=center)
    both = jf.combine(sum=folds.sum(), n=folds.count(), last=folds.last())
    found = jf.rolling(both, X, times=times, span=span, center=center)
    np.testing.assert_array_equal(found["sum"], rolled.sum())
    assert found["n"].tolist() == rolled.count().tolist()
    rolled = pd.Series(X, index).rolling(f"{int(span * 1000)}ms", min_periods=3, center=center)
    found = jf.rolling(folds.sum(), X, times=times, span=span, center=center, min_periods=3)
    np.testing.assert_array_equal(found, rolled.sum())


def test_times_at_the_ends_of_their_type():
    ends = np.array([-(2**31), -(2**31) + 1, 2**31 - 2, 2**31 - 1], np.int32)
    found = jf.rolling(folds.count(), np.ones(4), times=ends, span=2)
    assert found.tolist() == [1, 2, 1, 2]
    found = jf.rolling(folds.count(), np.ones(4), times=ends, span=2.0**31, center=True)
    assert found.tolist() == [2, 2, 2, 2]


def test_times_that_fall_unseen_give_nan():
    run = jax.jit(lambda t: jf.rolling(folds.sum(), X, times=t, span=2.0))
    assert np.isnan(run(TIMES[::-1].astype(np.float32))).all()
    assert np.isnan(run(np.full(N, np.nan, np.float32))).all()
    assert np.isfinite(run(TIMES.astype(np.float32))).all()


def test_a_weight_that_is_nan_is_not_left_out():
    """As in `stats.mean`: `nan` speaks of the data."""
    weighted, x = folds.mean(weights=stats.Frequency), jnp.array([jnp.nan, 2.0, 4.0, 6.0])
    w = jnp.array([1.0, jnp.nan, 1.0, 1.0])
    found = jf.rolling(weighted, x, 2, weights=w, nan="omit")
    np.testing.assert_array_equal(found, [np.nan, np.nan, 5.0])
    found = jf.segment(weighted, x, jnp.array([0, 0, 1, 1]), 2, weights=w, nan="omit")
    np.testing.assert_array_equal(found, [np.nan, 5.0])
    assert np.isnan(jf.reduce(weighted, x, weights=w, nan="omit"))


def test_weights_are_pairs_and_0_is_deletion():
    weighted = folds.mean(weights=stats.Frequency)
    holes = np.where(W == 0, np.nan, X).astype(np.float32)
    np.testing.assert_allclose(
        jf.rolling(weighted, holes, 4, weights=W),
        stats.rolling_mean(X, 4, weights=W),
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        jf.segment(weighted, holes, IDS, 6, weights=W),
        stats.segment_mean(X, IDS, num_segments=6, weights=W),
        rtol=1e-5,
    )
    parts = [np.flatnonzero((IDS == k) & KEEP) for k in range(6)]
    assert_same(jf.segment(folds.sum(), X, IDS, 6, where=KEEP), brute(folds.sum(), X, parts))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32", "int16", "bool"])
def test_ids_of_any_integer(dtype):
    ids = np.array([0, 1, 1, 127, 0, 200]).astype(dtype)
    found = jf.segment(folds.count(), np.zeros(6), ids, 2).tolist()
    assert found == [int((ids.astype(int) == k).sum()) for k in range(2)]


def test_gradients_lanes_and_one_trace():
    kind = jnp.result_type(float)
    rows = jnp.asarray(RNG.normal(size=(3, N)), kind)
    run = jax.jit(jax.vmap(lambda x: jf.rolling(folds.var(), x, 5, where=KEEP, min_periods=2)))
    found = run(rows)
    right = [pd.Series(np.where(KEEP, r, np.nan)).rolling(5, 2).var(ddof=0) for r in rows]
    np.testing.assert_allclose(found, np.stack(right), rtol=1e-4, atol=1e-6)
    hidden = jnp.asarray(np.where(KEEP, np.asarray(rows[0]), np.nan), kind)
    slope = jax.jit(jax.grad(lambda x: jf.rolling(folds.mean(), x, 5, where=KEEP).sum()))(hidden)
    counts = np.array([KEEP[k : k + 5].sum() for k in range(N - 4)])
    right = [
        KEEP[j] * sum(1 / counts[k] for k in range(max(j - 4, 0), min(j, N - 5) + 1))
        for j in range(N)
    ]
    np.testing.assert_allclose(slope, right, rtol=1e-4)
    before = run._cache_size()
    run(rows + 1)
    assert run._cache_size() == before == 1


def test_nothing_and_one():
    nothing = np.zeros((0, 2), np.float32)
    assert jf.rolling(folds.sum(), nothing, 3, min_periods=1).shape == (0, 2)
    assert np.isnan(jf.segment(folds.mean(), nothing, np.zeros(0, int), 2)).all()
    assert jf.rolling(folds.sum(), X[:1], 1).tolist() == X[:1].tolist()
    assert jf.rolling(folds.sum(), X[:1], 7, min_periods=1, center=True).tolist() == X[:1].tolist()


def test_programs_do_not_grow_with_windows_or_data():
    def size(n, window):
        like = jax.ShapeDtypeStruct((n,), np.float32)
        return len(jax.jit(lambda x: jf.rolling(folds.minimum(), x, window)).lower(like).as_text())

    sizes = [size(1000, 10), size(10**6, 10), size(10**6, 1000), size(10**6, 10**5)]
    assert max(sizes) < 10_000  # 6,600 … 8,000


@pytest.mark.parametrize("a_fold", [folds.ema(0.5), folds.sum()], ids=["ema", "sum"])
def test_the_last_elements_of_a_stream(a_fold):
    last = folds.window(a_fold, 7)
    right = jf.fold(a_fold, X[-7:])
    stepped = jf.Fold(last.init, last.step, None, last.extract)
    for found in (jf.fold(last, X), jf.fold(last, [X[:9], X[9:]]), jf.fold(stepped, X)):
        np.testing.assert_allclose(found, right, rtol=1e-6)
    np.testing.assert_allclose(jf.fold(last, X[:3]), jf.fold(a_fold, X[:3]), rtol=1e-6)
    assert last.merge is None and last.name == f"window of {a_fold.name}"
    with raises(TypeError, f"window of {a_fold.name} depends on the order", "Pool cannot split it"):
        jf.fold(last, jf.Source.of(X, 5), jf.executors.Pool(workers=1))


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_buckets_know_the_same_in_any_order(dtype):
    times = RNG.permutation(N).astype(dtype)
    times = times - np.array(100, dtype)
    latest = folds.buckets(folds.sum(), 4, 3)
    number = np.floor(times.astype(float) / 4)
    right = X[number > number.max() - 3].sum()
    stepped = jf.Fold(latest.init, latest.step, latest.merge, latest.extract)
    blocks = [(times[s], X[s]) for s in (slice(0, 9), slice(9, 18), slice(18, N))]
    for found in (
        jf.fold(latest, (times, X)),
        jf.fold(latest, blocks),
        jf.fold(latest, blocks[::-1]),
        jf.fold(stepped, (times, X)),
    ):
        assert float(found) == right


def test_buckets_of_no_time_and_of_far_ones():
    latest = folds.buckets(folds.count(), 2, 2)
    odd = np.array([np.nan, 3.0, np.inf, -np.inf, 1.0], np.float32)
    assert int(jf.fold(latest, (odd, odd))) == 2
    assert int(jf.fold(latest, (odd[:1], odd[:1]))) == 0
    ends = np.array([-(2**31), 2**31 - 1], np.int32)
    assert int(jf.fold(latest, [(ends[:1], odd[:1]), (ends[1:], odd[:1])])) == 1


@pytest.mark.slow
def test_laws():
    both = jf.combine(n=folds.count(), top=folds.maximum())
    times = strategies.arrays(np.int32, shape=((12,),)).map(lambda t: t % 40)
    pairs = times.flatmap(lambda t: strategies.arrays(shape=((12,),)).map(lambda x: (t, x)))
    laws.fold(folds.buckets(both, 10, 3), pairs, max_examples=10)
    laws.fold(folds.window(both, 5), strategies.arrays(shape=((12,),)), max_examples=10)


MEAN, ONES = folds.mean(), np.ones(4, np.float32)
BAD = {
    "no fold": (lambda: jf.rolling(jnp.sum, ONES, 2), TypeError, ("rolling", "is no Fold")),
    "no merge": (
        lambda: jf.rolling(folds.ema(0.5), ONES, 2),
        TypeError,
        ("rolling: ema cannot be merged", "write a merge"),
    ),
    "no merge of groups": (
        lambda: jf.segment(folds.ema(0.5), ONES, np.zeros(4, int), 2),
        TypeError,
        ("segment: ema cannot be merged",),
    ),
    "longer": (lambda: jf.rolling(MEAN, ONES, 5), ValueError, ("window is 5", "the 4 elements")),
    "none": (lambda: jf.rolling(MEAN, ONES, 0), ValueError, ("window is 0",)),
    "negative": (lambda: jf.rolling(MEAN, ONES, -2), ValueError, ("window is -2",)),
    "no int": (lambda: jf.rolling(MEAN, ONES, 2.0), TypeError, ("window is 2.0",)),
    "traced": (
        lambda: jax.jit(lambda w: jf.rolling(MEAN, ONES, w))(2),
        TypeError,
        ("window is traced", "static"),
    ),
    "nothing to go by": (lambda: jf.rolling(MEAN, ONES), ValueError, ("give a window",)),
    "both": (
        lambda: jf.rolling(MEAN, ONES, 2, times=ONES, span=1),
        ValueError,
        ("one of the two",),
    ),
    "more than the window": (
        lambda: jf.rolling(MEAN, ONES, 2, min_periods=3),
        ValueError,
        ("min_periods is 3", "window's 2"),
    ),
    "times fall": (
        lambda: jf.rolling(MEAN, ONES, times=np.array([0, 2, 1, 3]), span=1),
        ValueError,
        ("times fall", "at element 2", "jnp.argsort(times)"),
    ),
    "no span": (
        lambda: jf.rolling(MEAN, ONES, times=ONES, span=0.0),
        ValueError,
        ("span is 0.0", "> 0"),
    ),
    "few times": (
        lambda: jf.rolling(MEAN, ONES, times=ONES[:2], span=1),
        ValueError,
        ("times has shape (2,)", "4 elements"),
    ),
    "no bools": (
        lambda: jf.rolling(MEAN, ONES, 2, where=ONES),
        TypeError,
        ("where has dtype float32",),
    ),
    "nan": (lambda: jf.rolling(MEAN, ONES, 2, nan="drop"), ValueError, ("nan is 'drop'",)),
    "a list": (lambda: jf.rolling(MEAN, [1.0, 2.0], 2), TypeError, ("no leading axis",)),
    "ids are floats": (
        lambda: jf.segment(MEAN, ONES, ONES, 2),
        TypeError,
        ("segment_ids have dtype float32",),
    ),
    "no segments": (
        lambda: jf.segment(MEAN, ONES, np.zeros(4, int), 0),
        ValueError,
        ("num_segments is 0",),
    ),
    "few ids": (
        lambda: jf.segment(MEAN, ONES, np.zeros(3, int), 2),
        ValueError,
        ("segment_ids have shape (3,)",),
    ),
    "no size": (lambda: folds.window(MEAN, 0), ValueError, ("folds.window", "size is 0")),
    "no fold in a window": (lambda: folds.window(3, 2), TypeError, ("folds.window: 3 is no Fold",)),
    "buckets of what does not merge": (
        lambda: folds.buckets(folds.ema(0.5), 1, 2),
        TypeError,
        ("folds.buckets: ema cannot be merged", "folds.window"),
    ),
    "no width": (lambda: folds.buckets(MEAN, 0, 2), ValueError, ("width is 0", "> 0")),
    "no pairs": (
        lambda: jf.fold(folds.buckets(MEAN, 1, 2), ONES),
        TypeError,
        ("pairs (time, x)", ".of(lambda element: (time, x))"),
    ),
    "half a width": (
        lambda: jf.fold(folds.buckets(MEAN, 1.5, 2), (np.arange(4), ONES)),
        TypeError,
        ("width is float", "give a whole width"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    run, error, said = BAD[case]
    with raises(error, *said):
        run()
