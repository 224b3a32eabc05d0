"""Sorting and counting are of one mind, on long rows, in batches and on shards."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers import assert_same
from jax.sharding import PartitionSpec
from order_cases import (
    FLOATS,
    INTS,
    X64,
    equal,
)

from jfoundations import stats
from jfoundations._kernels.numbers.sortable_bits import decode, encode, last_key
from jfoundations._kernels.order.counting import add, in_blocks
from jfoundations._kernels.order.quantiles import position
from jfoundations._kernels.order.select import by_counting, by_sorting
from jfoundations._kernels.order.sorting import by_numbers, by_pairs

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds


@pytest.mark.parametrize("dtype", FLOATS + INTS)
def test_keys_keep_the_order_and_come_back(dtype):
    x = np.asarray(jnp.asarray(np.random.default_rng(0).normal(size=500) * 50).astype(dtype))
    if jnp.issubdtype(dtype, jnp.inexact):
        ends = [-np.inf, -0.0, 0.0, np.inf, float(jnp.finfo(dtype).max)]
        x = np.concatenate([x, np.array(ends, x.dtype)])
    elif dtype != jnp.bool_:
        ends = [jnp.iinfo(dtype).min, jnp.iinfo(dtype).max]
        x = np.concatenate([x, np.array(ends, x.dtype)])

    @jax.jit
    def run(x):
        keys = encode(x)
        return decode(keys, dtype), jnp.sort(x), decode(jnp.sort(keys), dtype)

    back, ordered, by_keys = run(x)
    assert_same(back, x)
    assert equal(ordered, by_keys)


@pytest.mark.parametrize("dtype", FLOATS + INTS[:5:2] + INTS[5:])
def test_sorting_and_counting_give_the_same_bits(dtype):
    rng = np.random.default_rng(3)
    x = np.asarray(jnp.asarray(np.round(rng.normal(size=(1, 800)) * 40, 1)).astype(dtype))
    counting, sorting = jax.jit(by_counting), jax.jit(by_sorting)
    kinds = [None, rng.integers(0, 4, (1, 800)).astype(np.int32), rng.integers(0, 2, (1, 800)) > 0]
    for counts in kinds if dtype == jnp.float32 else kinds[1:2]:
        size = 800 if counts is None else int(counts.sum())
        ranks = np.array([[0, 1, size // 3, size // 2, size - 2, size - 1]], np.int32)
        a, b = counting(x, counts, ranks), sorting(x, counts, ranks)
        assert_same(a, b)
        times = 1 if counts is None else counts[0].astype(int)
        assert equal(a[0], np.sort(np.repeat(np.asarray(x[0]), times))[ranks[0]])


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_rows_are_counted_as_they_are_sorted(rows):
    x = np.random.default_rng(rows).integers(0, 90, (rows, 500)).astype(np.float32)
    x[:, 3] = -np.nan  # with its sign bit set, in front of −inf by its bits
    ranks = np.tile(np.array([[7, 250, 499]], np.int32), (rows, 1))
    a, b = jax.jit(by_counting)(x, None, ranks), jax.jit(by_sorting)(x, None, ranks)
    assert_same(a, b)
    assert np.isnan(a[:, 2]).all() and not np.isnan(a[:, :2]).any()
    seen = ~np.isnan(x)
    assert_same(jax.jit(by_counting)(x, seen, ranks - 1), jax.jit(by_sorting)(x, seen, ranks - 1))


@pytest.mark.parametrize("dtype", [jnp.uint16, jnp.uint32])
def test_numbers_are_sorted_as_pairs_are(dtype):
    keys = np.random.default_rng(0).integers(0, 50, (3, 400)).astype(dtype)
    keys[:, ::7] = last_key(dtype)
    want = jax.jit(by_pairs)(keys)
    assert_same(want[1], np.argsort(keys, axis=1, kind="stable").astype(np.int32))
    assert_same(jax.jit(by_numbers)(keys), want)
    batched = jax.jit(jax.vmap(by_numbers))(keys[:, None])
    assert_same(jax.tree.map(lambda v: np.asarray(v)[:, 0], batched), want)


@pytest.mark.parametrize("n", [100, 101, 96, 768])
def test_blocks_count_what_the_whole_does(n):
    x = np.random.default_rng(n).integers(0, 9, n).astype(np.uint32)
    weights = np.where(x == 3, np.inf, x).astype(np.float32)
    for counts in (None, x > 4, weights):
        start = np.zeros(9, np.float32 if counts is weights else np.int32)

        @jax.jit
        def run(x, counts, start=start):
            start = jnp.asarray(start)
            return in_blocks(add, start, x, counts, block=16), add(start, x, counts)

        assert_same(*run(x, counts))


@pytest.fixture(scope="module")
def long():
    """A row long enough to be counted, of several blocks and a remainder."""
    return np.random.default_rng(5).normal(size=300_001).astype(np.float32)


def test_long_rows_are_numpys(long):
    assert stats.median(long) == np.median(long)
    q = np.float32([0.0, 0.25, 0.5, 0.9, 1.0])
    np.testing.assert_allclose(stats.quantile(long, q), np.quantile(long, q), rtol=1e-6)
    assert stats.trim_mean(long, 0.1) == pytest.approx(scipy.stats.trim_mean(long, 0.1), abs=1e-6)
    keep = long > -0.25
    assert stats.median(long, where=keep) == np.median(long[keep])
    times = np.random.default_rng(0).integers(0, 3, long.size).astype(np.int32)
    want = np.median(np.repeat(long, times))
    assert stats.median(long, weights=times) == want
    assert stats.median(long, weights=times.astype(np.float32)) == want
    counts, edges = stats.histogram(long, 20)
    assert equal(counts, np.histogram(long, np.asarray(edges))[0])
    spoilt = np.where(np.arange(long.size) == 77, np.nan, long)
    assert np.isnan(stats.median(spoilt))
    assert stats.median(spoilt, nan="omit") == np.median(np.delete(long, 77))


def test_long_rows_in_batches_and_under_transforms(long):
    rows = np.stack([long[:100_000], long[100_000:200_000]])
    want = np.median(rows, axis=1)
    assert equal(stats.median(rows, axis=1), want)
    assert equal(jax.vmap(stats.median)(rows), want)
    x = long[:40_001]
    gradient = jax.grad(stats.median)(x)
    assert gradient.sum() == 1 and gradient[np.argsort(x)[20_000]] == 1


def test_ranks_beyond_float32_are_exact():
    if X64:
        pytest.skip("float64 products hold every rank")
    rng = np.random.default_rng(0)
    jitted = jax.jit(position)
    for _ in range(50):
        q = np.float32(rng.uniform() ** rng.integers(1, 9))
        last = int(rng.integers(0, 2**31 - 1) >> rng.integers(0, 30))
        whole, part = jitted(jnp.float32(q), jnp.int32(last))
        exact = Fraction(float(q)) * last
        assert abs(Fraction(int(whole)) + Fraction(float(part)) - exact) < Fraction(1, 10**6)


def test_on_shards():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    x = np.random.default_rng(0).normal(size=(8, 40_000)).astype(np.float32)
    spec = PartitionSpec("d")

    def local(block):
        low, high = stats.minmax(block, axis=1)
        return stats.median(block, axis=1), low, high, stats.histogram(block[0], 5)[0][None]

    run = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec))
    median, low, high, counts = run(x)
    assert equal(median, np.median(x, axis=1))
    assert equal(low, x.min(axis=1)) and equal(high, x.max(axis=1))
    assert np.all(np.asarray(counts).sum(axis=1) == 40_000)
