"""Statistics of order at the edges: nothing, nan, messages, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from order_cases import (
    DEFAULT,
    FLOATS,
    INTS,
    STATISTICS,
    each,
    equal,
)

import jfoundations as jf
from jfoundations import folds, stats


@each
def test_nothing_to_rank(name):
    f = STATISTICS[name]
    for empty in (f(np.zeros(0, DEFAULT)), f(np.ones(3, DEFAULT), where=np.zeros(3, bool))):
        for leaf in jax.tree.leaves(empty)[:1]:
            assert np.all(leaf == 0) if name == "histogram" else np.all(np.isnan(leaf))
    if name not in ("histogram", "rank_corr"):
        assert jax.tree.leaves(f(np.zeros((3, 0), DEFAULT), axis=1))[0].shape[-1] == 3
        assert jax.tree.leaves(f(np.zeros((0, 3), DEFAULT), axis=1))[0].shape[-1] == 0
    assert np.isnan(stats.median(np.ones(3, DEFAULT), weights=np.zeros(3, DEFAULT)))


@each
def test_a_nan_or_a_negative_weight_that_counts_spoils(name):
    f = STATISTICS[name]
    x = np.array([[1.0, np.nan, 2.0, 3.0], [1.0, 5.0, 2.0, 3.0]], DEFAULT)
    if name == "histogram":
        assert np.asarray(f(x, axis=1)[0]).sum(axis=1).tolist() == [3, 4]
        return
    clean = f(x[1:], axis=1)
    for leaf, want in zip(*map(jax.tree.leaves, (f(x, axis=1), clean)), strict=True):
        assert np.all(np.isnan(leaf[..., 0])) and equal(leaf[..., 1:], want)
    for bad in (-1, np.nan):
        w = np.array([[1, 0, 1, bad], [1, 1, 1, 1]], DEFAULT)
        for leaf, want in zip(*map(jax.tree.leaves, (f(x, axis=1, weights=w), clean)), strict=True):
            assert np.all(np.isnan(leaf[..., 0]))
            np.testing.assert_allclose(leaf[..., 1:], want, rtol=1e-6)
    w = np.array([1, 0, 1, -1], np.int32)
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(f(x[1], weights=w)))
    hidden = f(x[0], weights=w, where=np.array([True, True, True, False]))
    assert not any(np.any(np.isnan(leaf)) for leaf in jax.tree.leaves(hidden))


def test_one_element_constants_and_zeros():
    assert stats.median(3.0) == 3 and stats.iqr(3.0) == 0 and stats.trim_mean(3.0, 0.4) == 3
    constant = np.full(7, 0.1, DEFAULT)
    for name in ("median", "trim_mean"):
        assert STATISTICS[name](constant) == constant[0]
    assert np.all(STATISTICS["quantile"](constant) == constant[0])
    assert stats.iqr(constant) == 0 and stats.median_abs_dev(constant) == 0
    assert np.isnan(stats.rank_corr(constant, np.arange(7, dtype=DEFAULT)))
    zeros = np.array([0.0, -0.0, -0.0, 0.0], DEFAULT)
    assert np.isnan(stats.rank_corr(zeros, np.arange(4, dtype=DEFAULT)))
    assert stats.median(zeros) == 0 and equal(stats.minmax(zeros), (0.0, 0.0))
    assert stats.histogram(constant, 3)[0].tolist() == [0, 7, 0]


@pytest.mark.parametrize("dtype", FLOATS + INTS)
def test_dtypes(dtype):
    x = jnp.array([0, 1, 1, 0, 1, 1, 1]).astype(dtype)
    floating = dtype if jnp.issubdtype(dtype, jnp.inexact) else jnp.result_type(float)
    for f in (stats.median, stats.iqr, stats.median_abs_dev, STATISTICS["trim_mean"]):
        assert f(x).dtype == floating
    assert stats.median(x) == 1 and stats.iqr(x) == 0.5
    low, high = stats.minmax(x)
    assert (low.dtype, high.dtype) == (x.dtype, x.dtype) and not low and high
    assert stats.rank_corr(x, x).dtype == floating
    assert stats.histogram(x, 2)[0].tolist() == [2, 5]
    assert stats.histogram(x, 2)[1].dtype == floating


def test_ints_have_no_nan():
    low, high = stats.minmax(np.zeros(0, np.int32))
    assert (low, high) == (np.iinfo(np.int32).max, np.iinfo(np.int32).min)
    x = np.array([-(2**31), 2**31 - 1, 5], np.int32)
    assert equal(stats.minmax(x), (x[0], x[1])) and stats.median(x) == 5


def test_half_precision_is_worked_in_float32():
    x = np.array([60000, 60032, 65504, 65504], np.float16)
    assert stats.median(x) == np.float16((60032 + 65504) / 2)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: stats.quantile([1.0], 1.5), ValueError, r"q is 1.5; it must lie in \[0, 1\]"),
        (lambda: stats.quantile([1.0], [0.5, np.nan]), ValueError, "must lie in"),
        (lambda: stats.quantile([1.0], [[0.5]]), ValueError, r"q has shape \(1, 1\)"),
        (lambda: stats.quantile([1.0], "half"), TypeError, "q is str"),
        (lambda: stats.quantile([1.0], 1j), TypeError, "q is complex"),
        (lambda: stats.median(["text"]), TypeError, "median: x is list, which holds no numbers"),
        (lambda: stats.median([1j]), TypeError, "x is complex, which has no order"),
        (lambda: stats.median([1.0], axis=1), ValueError, "axis 1 is out of range"),
        (lambda: stats.median([1.0], where=[1]), TypeError, "a bool array is needed"),
        (lambda: stats.iqr([1.0], weights=[1, 2]), ValueError, "does not broadcast"),
        (lambda: stats.iqr([1.0], nan="drop"), ValueError, "nan is 'drop'"),
        (lambda: stats.trim_mean([1.0], 0.5), ValueError, "proportion is 0.5"),
        (lambda: stats.trim_mean([1.0], [0.1]), ValueError, r"proportion has shape \(1,\)"),
        (lambda: stats.rank_corr([1.0], [1.0, 2.0]), ValueError, "pairs need equal shapes"),
        (lambda: stats.histogram([1.0], 0), ValueError, "bins is 0"),
        (lambda: stats.histogram([1.0], 2.5), TypeError, "bins is 2.5"),
        (lambda: stats.histogram([1.0], "auto"), TypeError, "bins is 'auto'"),
        (lambda: stats.histogram([1.0], [2.0, 1.0]), ValueError, "must not fall"),
        (lambda: stats.histogram([1.0], [2.0]), ValueError, "at least two edges"),
        (lambda: stats.histogram([1.0], range=(1, 0)), ValueError, "finite and rising"),
        (lambda: stats.histogram([1.0], range=(0, np.inf)), ValueError, "finite and rising"),
    ],
)
def test_messages(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_rank_is_whole_where_rounding_q_alone_moved_it():
    for n in (11, 101, 1001):
        for k in range(1, 10):  # 0.8·10 is 8.0000001 in float32, 0.9·10 is 8.9999998
            rank = k * (n - 1) // 10
            x = np.where(np.arange(n) > rank, np.inf, np.arange(n)).astype(DEFAULT)
            x[:rank] = -np.inf
            assert stats.quantile(x, k / 10) == rank == np.quantile(np.arange(n), k / 10)
    within = jf.fold(folds.sketch(), np.float32(x))
    nearer = jf.fold(folds.narrow(0.9, within=within), np.float32(x))
    assert jf.fold(folds.quantile(0.9, within=nearer), np.float32(x)) == rank
    near = jf.fold(folds.quantile(0.9, accuracy=2**-8), np.float32(x))
    assert near == pytest.approx(rank, rel=2**-8)
    assert stats.quantile(DEFAULT([0, 1e30]), 1e-9) == pytest.approx(1e21)
    assert jax.grad(stats.quantile, 1)(jnp.arange(11.0) ** 2, 0.8) == pytest.approx(170)


def test_what_is_traced_and_out_of_range_gives_nan():
    x = np.arange(4, dtype=DEFAULT)
    q = np.array([-0.1, 0.5, 1.1, np.nan], DEFAULT)
    assert equal(jax.jit(stats.quantile)(x, q), DEFAULT([np.nan, 1.5, np.nan, np.nan]))
    for cut in (-0.1, 0.5, np.nan):
        assert np.isnan(jax.jit(stats.trim_mean)(x, cut))
    counts, edges = jax.jit(stats.histogram)(x, np.array([3, 1, 4]))
    assert counts.tolist() == [0, 0] and np.all(np.isnan(edges))


def test_histogram_of_nan():
    x = np.array([0.0, np.nan, 1.0], DEFAULT)
    counts, edges = stats.histogram(x, 2)
    assert np.all(np.isnan(edges)) and counts.tolist() == [0, 0]
    counts, edges = stats.histogram(x, 2, nan="omit")
    assert counts.tolist() == [1, 1] and edges.tolist() == [0, 0.5, 1]
