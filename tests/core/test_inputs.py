"""NumPy's data come in with their values, or are refused.

The cause: while x64 is off JAX casts int64 to int32 and float64 to float32 without a look. It acts
wherever data cross into JAX: statistics, weights, `where`, ids, edges, ranges, fractions and
corrections; folds' data, blocks of every executor, steps by hand; loops' states, steps' answers,
metrics. Masks, foreign byte orders and objects come the same ways.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats

x64 = jax.config.jax_enable_x64
BIG = np.array([3_000_000_000, 3_000_000_002])
FLOAT = np.array([1.0, 2.0, 6.0])
MASKED = np.ma.array(FLOAT, mask=[True, False, False])
FOREIGN = np.array([1, 2, 6], ">i8")
ONES = np.ones(2)
only_32 = pytest.mark.skipif(x64, reason="with x64 these fit")

WAYS = {
    "mean": stats.mean,
    "sum": stats.sum,
    "median": stats.median,
    "minmax": stats.minmax,
    "weights": lambda x: stats.mean(np.ones(len(x)), weights=x),
    "kind": lambda x: stats.var(np.ones(len(x)), weights=stats.Reliability(x)),
    "rolling": lambda x: stats.rolling_mean(x, 1),
    "matrix": lambda x: stats.cov_matrix(x[:, None]),
    "rank": lambda x: stats.rank_corr(x, x),
    "histogram": lambda x: stats.histogram(x, 2),
    "edges": lambda x: stats.histogram(np.ones(2), x),
    "bootstrap": lambda x: stats.bootstrap(jnp.mean, x, key=jax.random.key(0), resamples=2),
    "fold": lambda x: jf.fold(folds.mean(), x),
    "tree": lambda x: jf.fold(folds.mean().of(lambda e: e["a"]), {"a": x}),
    "blocks": lambda x: jf.fold(folds.mean(), [x, x]),
    "Source": lambda x: jf.fold(folds.mean(), jf.Source.of(x, 1)),
    "weighted fold": lambda x: jf.fold(folds.mean(weights=stats.Frequency), (x, x)),
    "block": lambda x: folds.mean().block(x),
    "extremum": lambda x: folds.maximum().block(x),
    "state": lambda x: jf.iterate(lambda s: s, {"a": x}, max_steps=1),
    "chunks": lambda x: next(jf.chunks(lambda s: s, x, max_steps=1)),
}
IDS = np.array([0, 2**32])


@only_32
@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_fit_is_refused(way):
    with pytest.raises(OverflowError, match="3000000000.*does not fit int32.*jax_enable_x64"):
        WAYS[way](BIG)
    with pytest.raises(OverflowError, match=r"1e\+300.*does not fit float32.*jax_enable_x64"):
        WAYS[way](np.array([0.0, 1e300]))


@pytest.mark.parametrize("way", WAYS)
def test_masks_are_refused_with_the_cure(way):
    with pytest.raises(TypeError, match=r"a masked array.*where=~x\.mask"):
        WAYS[way](MASKED)


@pytest.mark.parametrize("way", WAYS)
def test_any_byte_order_is_read(way):
    found, right = WAYS[way](FOREIGN), WAYS[way](FOREIGN.astype(np.int64))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        np.testing.assert_array_equal(a, b)


@only_32
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: stats.var(ONES, correction=np.int64(2**40)),
        lambda: folds.histogram([0, 2**40]),
        lambda: stats.mean([2**40]),
        lambda: stats.mean(2**40),
        lambda: stats.mean(np.uint64(2**63)),
        lambda: stats.mean([np.int64(2**40), 1]),
        lambda: stats.mean(np.array([complex(np.inf, 1e300)])),
        lambda: folds.mean().step(folds.mean().block(ONES), np.int64(2**40)),
        lambda: jf.iterate(lambda s: np.int64(2**40), jnp.int32(0), max_steps=1),
        lambda: jf.iterate(
            lambda s: s,
            jnp.int32(0),
            jf.callbacks.early_stopping(lambda s: np.int64(2**40), 2),
            max_steps=1,
        ),
    ],
)
def test_other_arguments_that_do_not_fit(wrong):
    with pytest.raises(OverflowError, match="does not fit.*x64 is off"):
        wrong()


def test_what_need_not_fit_an_integer():
    found = stats.segment_mean(ONES, IDS, num_segments=2)  # an id out of range, of no segment
    assert np.array_equal(found, [1, np.nan], equal_nan=True)
    for end in (2**40, np.int64(2**40)):  # an edge is a float
        counts = stats.histogram(ONES, 2, range=(0, end))[0]
        assert counts.tolist() == [ONES.size, 0]
        found = jf.fold(folds.histogram(2, range=(0, end)), ONES)
        assert [int(n) for n in found[0]] == [ONES.size, 0]


def test_ints_beyond_64_bits():
    for given in ([2**70], 2**70, [[1], [-(2**70)]]):
        with pytest.raises(OverflowError, match="1180591620717411303424, which does not fit"):
            stats.mean(given)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix
def test_what_fits_is_as_before():
    assert stats.mean(np.array([1, 2**31 - 1])).dtype == jnp.result_type(float)
    assert int(stats.minmax(np.array([2**32 - 1], np.uint64))[1]) == 2**32 - 1
    assert float(stats.mean(np.array([0.1]))) == float(jnp.asarray(0.1))
    assert float(stats.mean([np.inf, 1e30])) == np.inf
    assert float(stats.mean([2**40, 1.0])) == float(jnp.asarray((2**40 + 1) / 2))
    assert float(stats.mean(np.matrix([[1, 2]]))) == 1.5
    assert stats.mean(np.float16([1])).dtype == np.float16
    assert float(stats.mean([jnp.float32(1), 3.0])) == 2
    assert jnp.isnan(stats.mean([]))
    assert jf.iterate(lambda s: s, 1, max_steps=1).state.weak_type


def test_a_file_in_another_order_is_folded_where_it_lies(tmp_path):
    np.arange(8, dtype=">f4").tofile(tmp_path / "f")
    data = np.memmap(tmp_path / "f", ">f4", "r")
    assert float(jf.fold(folds.mean(), jf.Source.of(data, 3))) == 3.5


@pytest.mark.parametrize(
    "given, match",
    [
        ([[1, 2], [3]], "ragged list.*pad"),
        (np.array([1, None]), "object.*x.astype"),
        (np.array(["2020"], "M8[D]"), "datetime64.*timedelta64"),
        (np.zeros(2, [("a", "f4")]), 'give one field, as in x\\["name"\\]'),
        (["a"], "list, which holds no numbers"),
        (None, "NoneType, which holds no numbers; give a real"),
        (np.longdouble([1]), "JAX has no such dtype.*float64"),
        (jax.random.key(0), "key_data"),
    ],
)
def test_what_holds_no_numbers(given, match):
    with pytest.raises(TypeError, match="mean: x is .*" + match):
        stats.mean(given)
