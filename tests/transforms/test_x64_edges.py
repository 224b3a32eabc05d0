"""What only 64-bit types can show: NumPy's bits, digits near the end, integers no float holds."""

from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.accuracy import CAP, designs, digits_of_variance, exact_moments
from exact_statistics import EXACT, exact, fractions
from helpers import assert_same, bits
from jax.sharding import NamedSharding, PartitionSpec
from public_cases import STATISTICS
from x64_cases import EPS, N, close, draw, leaves

import jfoundations as jf
from jfoundations import folds, stats

pytestmark = pytest.mark.usefixtures("x64")

TINY = float(np.finfo(np.float64).tiny)


def integers(dtype):
    """Return a pair that no float holds, its values 1000 apart."""
    rng, top = np.random.default_rng(1), 3 * 2**62 if dtype == "uint64" else 2**62
    x = np.asarray(top, dtype) + rng.integers(0, 1000, N).astype(dtype)
    return x, x - rng.integers(1, 900, N).astype(dtype)


CHEAP = ("mean", "var", "std", "sum", "cov", "corr", "median", "iqr", "minmax", "rank_corr")
INTEGERS = [("int64", name) for name in sorted(EXACT) if name != "histogram"]
INTEGERS += [("uint64", name) for name in CHEAP]


@pytest.mark.parametrize(("dtype", "name"), INTEGERS)
def test_integers_beyond_53_bits(dtype, name):
    x, y = integers(dtype)
    found = STATISTICS[name](jnp.asarray(x), jnp.asarray(y))
    if name == "minmax":
        assert [int(leaf) for leaf in leaves(found)] == [int(x.min()), int(x.max())]
    else:
        close(found, exact(name, x, y), 4 * N, atol=4 * N * EPS)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_order_statistics_of_the_largest_integers(dtype):
    top = int(np.iinfo(dtype).max) - 16
    x = np.array([top + k for k in (1, 2, 4, 5, 9)] + [0], dtype)
    assert stats.iqr(x) == 3.5 and stats.median_abs_dev(x) == 2
    assert int(stats.minmax(x)[1]) == top + 9
    np.testing.assert_allclose(stats.trim_mean(x, 0.2), top + 3, rtol=EPS)
    counts, edges = stats.histogram(x[:5], 3)
    assert counts.sum() == 5 and np.all(np.diff(edges) >= 0)
    assert stats.histogram(x, [0.0, 1.0, float(top + 17)])[0].tolist() == [1, 5]


@pytest.mark.parametrize("offset", [2**60, -(2**60)])
def test_bins_of_integers_that_no_float_tells_apart(offset):
    x = np.array([offset, offset + 1, offset + 2])
    for bins in (2, 3):
        right = np.histogram(np.arange(3), bins)[0].tolist()
        assert stats.histogram(x, bins)[0].tolist() == right
    for refused in (
        lambda: stats.histogram(x, 8, range=(offset, offset + 512)),
        lambda: folds.histogram(8, range=(offset, offset + 512)),
        lambda: stats.histogram(x, x),
    ):
        with pytest.raises(ValueError, match="subtract it from the data|both ends are"):
            refused()


def test_moments_of_the_largest_integers():
    for name in ("int64", "uint64"):
        x = np.array(np.iinfo(name).max - np.array([0, 700, 300], name), name)
        e = -np.array([0.0, 700.0, 300.0]) + 1000 / 3
        right = (e**3).mean() / (e**2).mean() ** 1.5
        np.testing.assert_allclose(float(stats.skew(x)), right, rtol=1e-12)
        np.testing.assert_allclose(stats.standardize(x), e / e.std(), rtol=1e-12)


def test_what_does_not_fit_32_bits_fits():
    big = np.array([3_000_000_000, 3_000_000_002])
    assert float(stats.mean(big)) == 3_000_000_001 and float(stats.var(big)) == 1
    assert stats.mean(np.array([0.0, 1e300])) == 5e299
    assert float(jf.fold(folds.mean(), [big, big])) == 3_000_000_001
    assert jf.iterate(lambda s: s, {"a": big}, max_steps=1).state["a"].tolist() == big.tolist()
    found = jf.fold(folds.histogram([0, 2**40]), np.array([2**39, 2**41]))
    assert found[0].tolist() == [1] and found[1].tolist() == [0, 2**40]
    with pytest.raises(OverflowError, match="1180591620717411303424, which does not fit"):
        stats.mean([2**70])


def test_edges_that_no_float_tells_apart_are_refused():
    top = 2**53
    edges, x = np.array([top, top + 1, top + 2]), np.array([top, top + 1])
    for wrong in (lambda: stats.histogram(x, edges), lambda: folds.histogram(edges)):
        with pytest.raises(ValueError, match=f"the edges {top} and {top + 1} are both .* subtract"):
            wrong()
    assert stats.histogram(x - top, edges - top)[0].tolist() == [1, 1]
    assert stats.histogram([0.0, 1e39], 2, range=(0, 1e39))[0].tolist() == [1, 1]
    assert stats.histogram([1.0, 1 + 1e-9], 1, range=(1, 1 + 1e-9))[0].tolist() == [2]
    with pytest.raises(ValueError, match="taken for 0"):
        folds.histogram(4, range=(0, TINY / 4))


def test_numpys_bits():
    x = np.array([0.0, 0, 0, 1, 2, 3, 3, 4, 5])
    counts, edges = stats.histogram(x, 30, range=(-0.5, 5.0))
    right = np.histogram(x, 30, range=(-0.5, 5.0))
    assert np.array_equal(edges, right[1]) and np.array_equal(counts, right[0])
    assert stats.quantile([-0.3, 0.1], 0.6) == np.quantile([-0.3, 0.1], 0.6)
    rng = np.random.default_rng(0)
    for n in (2, 7, 30):
        x, q = rng.normal(size=n), rng.uniform(size=40)
        assert np.array_equal(stats.quantile(x, q), np.quantile(x, q))
        first, last = np.sort(rng.normal(size=2))
        edges = stats.histogram(x, 11, range=(first, last))[1]
        assert np.array_equal(edges, np.histogram(x, 11, range=(first, last))[1])


def test_statistics_of_nothing():
    nothing = jnp.zeros(0)
    assert np.isnan(jf.fold(folds.median(), nothing)) and np.isnan(stats.var(nothing))
    assert np.isnan(jf.fold(folds.sketch(), nothing).quantile(0.5))


_both = jax.jit(lambda x: (stats.var(x), stats.std(x, accuracy="high")))


@pytest.mark.parametrize("design", designs(9001, np.float64))
def test_digits_in_double_precision(design):
    x = designs(9001, np.float64)[design]
    _, deviation = exact_moments(x)
    _, found = _both(x)
    assert digits_of_variance(float(found), deviation, CAP[x.dtype]) >= 15.0


def test_a_variance_far_from_0():
    x = jnp.asarray(np.random.default_rng(8).normal(1e8, 1.0, 1000))
    right = float(np.var(np.asarray(x, np.longdouble)))
    assert float(stats.var(x)) == pytest.approx(right, rel=1e-14)


@pytest.mark.parametrize("name", ["mean", "var", "std", "cov", "corr"])
def test_bounds_on_errors_hold(name):
    f = jax.jit(partial(getattr(stats, name), return_bound=True))
    rng = np.random.default_rng(0)
    y = rng.normal(size=80) + 1e2
    normal = rng.normal(size=80)
    for x in (normal, normal + 1e6, np.concatenate([[1e12], normal[1:]]), np.cumsum(normal)):
        pair = (jnp.asarray(x), jnp.asarray(y))
        value, bound = f(*pair) if name in ("cov", "corr") else f(pair[0])
        assert value.dtype == bound.dtype == jnp.float64
        truth = exact(name, x, y)[0]
        assert abs(float(value) - truth) <= float(bound) + 2 * EPS * abs(truth)
        assert float(bound) <= 2.0**-20 * max(1.0, abs(float(truth)))


def test_reproducible_sums_are_rounded_once():
    rng = np.random.default_rng(4)
    total = jax.jit(partial(stats.sum, reproducible=True))
    for _ in range(10):
        x = rng.normal(size=30) * 2.0 ** rng.integers(-1000, 900, 30)
        x[3] = -float(sum(fractions(x))) if rng.integers(2) else x[0]
        right = float(sum(fractions(x)))
        assert bits(total(x)) == bits(np.float64(0 if abs(right) < TINY else right))
    most = np.finfo(np.float64).max
    for x, right in (([most, most, -most], most), ([most, most, 1.0], np.inf)):
        assert total(np.array(x + [0.0] * 27)) == right


def test_reproducible_laws_are_exact():
    x = jnp.asarray(np.random.default_rng(1).integers(-99, 99, 64), jnp.float64)
    var, cov = (jax.jit(partial(getattr(stats, f), reproducible=True)) for f in ("var", "cov"))
    assert bits(var(x)) == bits(cov(x, x)) and bits(cov(x, x[::-1])) == bits(cov(x[::-1], x))
    assert var(x * 2.0**400) == var(x) * 2.0**800 and var(x + 2.0**40) == var(x)
    assert var(jnp.full(64, 0.1)) == 0
    assert bits(var(x, weights=jnp.full(64, 3.0))) == bits(var(jnp.repeat(x, 3)))
    exact_var = Fraction(exact("var", np.asarray(x), np.asarray(x))[0].item())
    assert abs(Fraction(float(var(x))) - exact_var) <= 3 * EPS * exact_var


def test_a_split_array_has_the_same_reproducible_bits():
    mesh = jax.make_mesh((8,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    x = jnp.asarray(np.random.default_rng(2).normal(1e6, 1.0, 64))
    var = jax.jit(partial(stats.var, reproducible=True))
    split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("i")))
    assert bits(var(split)) == bits(var(x))
    assert float(stats.median(split)) == float(np.median(np.asarray(x)))


WEIGHED = (
    *("cov", "corr", "describe", "mean_abs_dev", "quantile", "rank_corr", "sem", "trim_mean"),
    *("segment_corr", "segment_kurtosis", "segment_sem", "segment_skew", "segment_std"),
)


@pytest.mark.parametrize("kind", [stats.Reliability, stats.Probability])
@pytest.mark.parametrize("name", WEIGHED)
def test_a_scale_of_the_weights_changes_no_bit(name, kind):
    x, y = map(jnp.asarray, draw(mean=3.0))
    weights = np.random.default_rng(1).integers(1, 4, N) * 1.0
    many = jnp.asarray(np.stack([weights * 2.0**far for far in (0, 600, -600)]))
    found = leaves(jax.jit(jax.vmap(lambda w: STATISTICS[name](x, y, weights=kind(w))))(many))
    for leaf in found:
        assert np.isfinite(leaf).all()
        np.testing.assert_array_equal(leaf[1:], np.stack([leaf[0]] * 2))


def test_the_corrections_of_each_kind_of_weights():
    x, _ = draw()
    w = np.random.default_rng(1).integers(1, 4, N) * 1.0
    total, squares = sum(fractions(w)), sum(v * v for v in fractions(w))
    center = sum(a * b for a, b in zip(fractions(w), fractions(x), strict=True)) / total
    spread = sum(b * (a - center) ** 2 for a, b in zip(fractions(x), fractions(w), strict=True))
    right = {
        stats.Frequency: spread / (total - 1),
        stats.Reliability: spread / (total - squares / total),
        stats.Probability: spread / total * N / (N - 1),
    }
    for kind, value in right.items():
        found = stats.var(x, weights=kind(w), correction=1)
        np.testing.assert_allclose(found, float(value), rtol=N * EPS)


@pytest.mark.parametrize("name", ["describe", "cov", "median", "rolling_mean", "segment_var"])
def test_nan_that_is_left_out_is_masked(name):
    x, y = map(jnp.asarray, draw())
    gone = jnp.arange(N) % 5 == 2
    omitted = STATISTICS[name](jnp.where(gone, jnp.nan, x), y, nan="omit")
    close(omitted, leaves(STATISTICS[name](x, y, where=~gone)), 8)


def test_complex128():
    rng = np.random.default_rng(7)
    x, y = (jnp.asarray(rng.normal(size=50) + 1j * rng.normal(size=50)) for _ in "ab")
    assert stats.var(x).dtype == jnp.float64 and stats.mean(x).dtype == jnp.complex128
    np.testing.assert_allclose(stats.mean(x), np.mean(np.asarray(x)), rtol=1e-14)
    np.testing.assert_allclose(stats.var(x), np.var(np.asarray(x)), rtol=1e-14)
    assert_same(stats.cov(x, y), jnp.conj(stats.cov(y, x)))


def test_a_bootstrap_of_float64():
    x = 1e6 + jnp.arange(11.0)
    found = stats.bootstrap(stats.median, x, key=jax.random.key(0), resamples=50)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(found)} == {"float64"}
    drawn = np.asarray(found.distribution)
    np.testing.assert_allclose(found.standard_error, drawn.std(ddof=1), rtol=1e-13)
    assert [float(found.low), float(found.high)] == np.quantile(drawn, [0.025, 0.975]).tolist()
    weighted = stats.bootstrap(
        stats.mean, x.at[0].set(jnp.nan), key=jax.random.key(0), resamples=5, where=x > 1e6
    )
    assert float(weighted.estimate) == 1e6 + 5.5
