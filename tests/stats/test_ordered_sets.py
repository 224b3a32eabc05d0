"""Medians and quantiles of windows and groups are those of each alone, to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from numpy.lib.stride_tricks import sliding_window_view

from jfoundations import stats
from jfoundations._kernels.order import groups, windows

RNG = np.random.default_rng(6)
N = 90
X = RNG.integers(-9, 9, N).astype(np.float32)  # with ties
WILD = RNG.normal(size=N).astype(np.float32)
WILD[[3, 40]], WILD[[7, 60]] = np.inf, -0.0
HOLES = np.where(np.arange(N) % 13 == 5, np.nan, WILD).astype(np.float32)
KEEP = RNG.random(N) < 0.6
IDS = RNG.integers(-1, 6, N)
Q = [0.0, 0.3, 0.5, 1.0]


def same(found, right):
    np.testing.assert_array_equal(np.asarray(found), np.asarray(right))


@pytest.mark.parametrize("window", [1, 8, 33, N])
@pytest.mark.parametrize("data", ["ties", "wild", "holes"])
def test_windows_are_each_alone(data, window):
    x = {"ties": X, "wild": WILD, "holes": HOLES}[data]
    cuts = sliding_window_view(x, window)
    same(stats.rolling_quantile(x, Q, window), stats.quantile(cuts, jnp.array(Q), axis=1))
    same(stats.rolling_median(x, window), stats.median(cuts, axis=1))
    options = {"where": KEEP, "nan": "omit"}
    kept = sliding_window_view(KEEP, window)
    right = stats.quantile(cuts, 0.3, axis=1, where=kept, nan="omit")
    same(stats.rolling_quantile(x, 0.3, window, **options), right)


@pytest.mark.parametrize("data", ["ties", "wild", "holes"])
def test_groups_are_each_alone(data):
    x = {"ties": X, "wild": WILD, "holes": HOLES}[data]
    for options in ({}, {"where": KEEP}, {"where": KEEP, "nan": "omit"}):
        found = stats.segment_quantile(x, Q, IDS, num_segments=7, **options)
        here = (IDS[:, None] == np.arange(7)) & options.get("where", np.ones(N, bool))[:, None]
        given = {"where": here, "nan": options.get("nan", "propagate")}
        each = np.broadcast_to(x[:, None], here.shape)
        same(found, stats.quantile(each, jnp.array(Q), axis=0, **given))
        same(
            stats.segment_median(x, IDS, num_segments=7, **options),
            stats.median(each, axis=0, **given),
        )


@pytest.mark.parametrize("dtype", ["int8", "uint32", "bool", "float16"])
def test_axes_and_types(dtype):
    x = RNG.integers(0, 2 if dtype == "bool" else 100, (4, N)).astype(dtype)
    cuts = np.sort(sliding_window_view(x, 5, axis=1), axis=-1)
    same(stats.rolling_median(x, 5, axis=1), cuts[..., 2].astype(np.float32))
    same(stats.rolling_median(x.T, 5), cuts[..., 2].T.astype(np.float32))
    rows = stats.segment_quantile(x.T, [0.2, 0.5], IDS, num_segments=6)
    assert rows.shape == (2, 6, 4)
    same(rows[:, :, 1], stats.segment_quantile(x[1], [0.2, 0.5], IDS, num_segments=6))


def test_nothing():
    nothing = np.zeros((0, 2), np.float32)
    found = stats.segment_median(nothing, np.zeros(0, int), num_segments=3)
    same(found, np.full((3, 2), np.nan))
    empty = np.zeros((5, 0), np.float32)
    assert stats.rolling_median(empty, 2).shape == (4, 0)
    assert stats.segment_quantile(empty, Q, np.zeros(5, int), num_segments=3).shape == (4, 3, 0)
    with raises(ValueError, "window is 1", "0 elements"):
        stats.rolling_median(nothing, 1)


def test_what_is_hidden_is_not_taken_for_the_largest_integer():
    top = np.iinfo(np.int32).max
    found = stats.rolling_median(
        np.array([top, 5, top, 1], np.int32), 2, where=[1, 0, 1, 1] > np.array(0)
    )
    same(found, np.array([top, top, 2**30], np.float32))


def test_sorting_and_counting_have_the_same_bits():
    place = jnp.asarray(np.where(IDS < 0, 6, IDS), np.int32)
    sizes = np.bincount(np.asarray(place), minlength=7)[:6]
    ranks = jnp.asarray(np.stack([sizes // 3, sizes - 1], 1), np.int32)
    for x in map(jnp.asarray, (X, WILD, WILD.astype(np.float16), X.astype(np.int8))):
        sorted_ = groups.by_sorting(x, place, 6, ranks)
        same(jax.jit(groups.by_counting, static_argnums=2)(x, place, 6, ranks), sorted_)
    many = groups.at_ranks(jnp.asarray(X), place, 10**5, jnp.zeros((10**5, 1), np.int32))
    same(many[:6], groups.by_sorting(jnp.asarray(X), place, 6, ranks[:, :1] * 0))


def test_derivatives_flow_to_the_elements_selected():
    x = jnp.asarray(WILD[10:40], jnp.result_type(float))

    def slopes(function):
        return np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(function(x))))(x))

    def right(cuts):
        found = np.zeros(30)
        for places in cuts:
            ordered = places[np.argsort(np.asarray(x)[places])]
            found[ordered[[len(ordered) // 2, (len(ordered) - 1) // 2]]] += 0.5
        return found

    cuts = [np.arange(k, k + 6) for k in range(25)]
    same(slopes(lambda x: stats.rolling_median(x, 6)), right(cuts))
    cuts = [np.arange(k, 30, 3) for k in range(3)]
    ids = np.arange(30) % 3
    same(slopes(lambda x: stats.segment_median(x, ids, num_segments=3)), right(cuts))


def test_lanes_and_sizes_of_programs():
    rows = jnp.asarray(RNG.normal(size=(2, 40)), np.float32)
    found = jax.jit(jax.vmap(lambda x: stats.rolling_median(x, 7)))(rows)
    same(found, stats.rolling_median(rows, 7, axis=1))

    def size(n, window):
        like = jax.ShapeDtypeStruct((n,), np.float32)
        return len(jax.jit(lambda x: stats.rolling_median(x, window)).lower(like).as_text())

    sizes = [size(1000, 10), size(10**6, 10), size(10**6, 1000), size(10**6, 10**5)]
    assert max(sizes) < 45_000 and max(sizes) < 1.2 * min(sizes)


def test_many_windows_are_numpys():
    x = RNG.normal(size=20_000).astype(np.float32)
    cuts = np.sort(sliding_window_view(x, 1001), axis=1)
    same(stats.rolling_median(x, 1001), cuts[:, 500])
    assert windows.PIECE * 1001 < 20_000  # of several pieces


BAD = {
    "longer": (lambda: stats.rolling_median(X, 91), ValueError, ("rolling_median: window is 91",)),
    "none": (lambda: stats.rolling_median(X, 0), ValueError, ("window is 0",)),
    "q": (lambda: stats.rolling_quantile(X, 1.5, 3), ValueError, ("rolling_quantile: q is 1.5",)),
    "complex": (
        lambda: stats.rolling_median(X + 0j, 3),
        TypeError,
        ("rolling_median: x is complex",),
    ),
    "q of groups": (
        lambda: stats.segment_quantile(X, [[0.5]], IDS, num_segments=2),
        ValueError,
        ("segment_quantile: q has shape (1, 1)",),
    ),
    "ids": (
        lambda: stats.segment_median(X, X, num_segments=2),
        TypeError,
        ("segment_median: segment_ids have dtype float32",),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    run, error, said = BAD[case]
    with raises(error, *said):
        run()
