"""What counting costs: nothing is gathered, nothing large is folded; and what a bootstrap draws.

Causes, and where else each can act:

* A slice along a sharded axis sends the whole array to each device: blocks are cut across it, in
  every counting pass (histograms, weighted ones, long medians and quantiles, sketches).
* Bins of a fold over nothing are constants, and what a quantile makes of them was computed by the
  compiler: `median`, `quantile`, `iqr`, of any dtype and shape, in one pass and in two.
* A bootstrap measured its distribution by one-pass formulas: standard errors, ends of intervals and
  mirrored ends of values far from 0, or near the largest number. Ints and bools had no quantiles.
* Elements of weight 0 were drawn, though weight 0 is deletion.
"""

import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from order_cases import DEFAULT, X64

import jfoundations as jf
from jfoundations import folds, stats

KEY = jax.random.key(0)
N = 2**18  # more than a block
MOVES = r"= \(?\w+\[([\d,]*)\][^=]*? (?:all-gather|all-to-all|collective-permute)(?:-start)?\("
COUNTING = {
    "histogram": (lambda x: stats.histogram(x, 8), (N,)),
    "weighted": (lambda x: stats.histogram(x, 8, range=(-3, 3), weights=x * x), (N,)),
    "median": (stats.median, (N // 8, 8)),
    "columns": (lambda x: stats.quantile(x, [0.1, 0.9], axis=0), (N // 2, 2)),
    "fold": (lambda x: jf.fold(folds.median(), x), (N,)),
}


def sharded(x):
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("d",)), PartitionSpec("d"))
    return jax.device_put(x, sharding)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="accelerators sort")
@pytest.mark.parametrize("name", COUNTING)
def test_a_sharded_array_is_counted_where_it_lies(name):
    f, shape = COUNTING[name]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    run = jax.jit(f).lower(sharded(x)).compile()
    moved = [np.prod([int(n) for n in m.split(",") if n]) for m in re.findall(MOVES, run.as_text())]
    assert max(moved, default=0) < N // 8
    for a, b in zip(jax.tree.leaves(run(sharded(x))), jax.tree.leaves(f(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("n", [2**17 + 1, 3 * 2**16, 2**18 + 768, 500_000])
def test_blocks_take_every_element_once(n):
    x = np.random.default_rng(n).integers(0, 50, n).astype(np.float32)
    assert stats.histogram(x, np.arange(51.0))[0].tolist() == np.bincount(x.astype(int)).tolist()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.int32])
def test_a_quantile_of_nothing_compiles_at_once(dtype):
    cache = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        start = time.process_time()
        found = jf.fold(folds.median(), jnp.zeros(0, dtype))
        within = jf.fold(folds.sketch(), jnp.zeros(0, dtype))
        assert np.isnan(found) and np.isnan(within.quantile(0.5))
        assert time.process_time() - start < 12  # of two threads; folding took 16 to 60 s
    finally:
        jax.config.update("jax_compilation_cache_dir", cache)


def test_a_standard_error_far_from_0():
    x = 1e6 + jnp.arange(11, dtype=jnp.float32)
    found = stats.bootstrap(stats.median, x, key=KEY, resamples=400)
    wide = np.asarray(found.distribution, np.float64)
    np.testing.assert_allclose(found.standard_error, wide.std(ddof=1), rtol=1e-6)
    if not X64:  # other draws
        np.testing.assert_allclose(found.standard_error, 1.607, atol=1e-3)
    low, high = np.quantile(wide, [0.025, 0.975]).astype(np.float32)
    assert (float(found.low), float(found.high)) == (low, high)


def test_a_bootstrap_near_the_largest_number():
    x = np.array([-0.9, 0.9, 0.5], DEFAULT) * np.finfo(DEFAULT).max
    for method in ("percentile", "basic"):
        found = stats.bootstrap(stats.median, x, key=KEY, resamples=30, method=method)
        assert found.standard_error < np.inf
        ends = np.quantile(np.asarray(found.distribution) / 4, [0.025, 0.975])
        ends = ends if method == "percentile" else x[2] / 2 - ends[::-1]
        for end, right in zip((found.low, found.high), ends, strict=True):
            with np.errstate(over="ignore"):
                np.testing.assert_allclose(end, DEFAULT(4) * right.astype(DEFAULT), rtol=1e-6)


def test_a_bootstrap_of_ints_bools_and_complex_numbers():
    def statistic(x):
        return {"most": jnp.max(x), "large": jnp.max(x) > 3}

    found = stats.bootstrap(statistic, jnp.arange(5), key=KEY, resamples=40)
    assert found.estimate == {"most": 4, "large": True}
    for name, values in found.distribution.items():
        wide = np.asarray(values, np.float64)
        np.testing.assert_allclose(found.standard_error[name], wide.std(ddof=1), rtol=1e-6)
        np.testing.assert_allclose(found.low[name], np.quantile(wide, 0.025), rtol=1e-6, atol=1e-6)
    basic = stats.bootstrap(statistic, jnp.arange(5), key=KEY, resamples=40, method="basic")
    assert basic.high["most"] == 8 - found.low["most"]
    with pytest.raises(TypeError, match=r"complex.*\(z.real, z.imag\)"):
        stats.bootstrap(
            lambda x: jnp.mean(x).astype(complex), jnp.arange(5.0), key=KEY, resamples=4
        )


@pytest.mark.parametrize("kind", [stats.Frequency, stats.Reliability, stats.Probability])
def test_an_element_of_weight_0_is_never_drawn(kind):
    draw = jax.tree_util.Partial(stats.bootstrap, key=KEY, resamples=20)
    x, w = jnp.array([1.0, 2.0, 4.0, 8.0]), jnp.array([0.0, 0.5, 0.0, 1.0])
    found = draw(stats.mean, x, weights=kind(w))
    alone = draw(stats.mean, x[1::2], weights=kind(w[1::2]))
    np.testing.assert_allclose(found.distribution, alone.distribution, rtol=1e-6)
    dirty = draw(stats.mean, jnp.where(w > 0, x, jnp.nan), weights=kind(w))
    assert dirty.distribution.tolist() == found.distribution.tolist()
    both = draw(stats.mean, x, weights=kind(w), where=jnp.array([True, True, True, False]))
    assert both.distribution.tolist() == [2.0] * 20


def test_one_element_that_counts_and_none():
    found = stats.bootstrap(stats.mean, [1.0, 2, 3, 4], weights=[0, 0, 0, 1], key=KEY, resamples=9)
    assert found.distribution.tolist() == [4.0] * 9 and found.standard_error == 0
    none = stats.bootstrap(stats.mean, [1.0, 2], weights=[0, 0], key=KEY, resamples=9)
    assert np.isnan(none.low) and np.isnan(none.estimate)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"weights": [1, 2]}, "weights has shape"),
        ({"where": [True]}, "where has shape"),
        ({"where": [1, 0, 1]}, "bool array is needed"),
    ],
)
def test_messages_of_a_bootstrap(words, said):
    with pytest.raises((TypeError, ValueError), match=said):
        stats.bootstrap(stats.mean, [1.0, 2.0, 3.0], key=KEY, **words)
