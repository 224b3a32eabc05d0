"""describe and standardize against SciPy in float64, their exact laws, and their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jfoundations import stats
from jfoundations.testing import checks

few = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32 - 1)
EPS = float(np.finfo(np.float32).eps)
FIELDS = ("count", "minimum", "maximum", "mean", "var", "skew", "kurtosis")


def draw(seed, shape=(40,), mean=0.0):
    return (np.random.default_rng(seed).standard_exponential(shape) + mean).astype(np.float32)


@few
@given(seeds, st.sampled_from([0.0, 100.0]), st.sampled_from([None, 0, 1]))
def test_describe_is_the_statistics(seed, mean, axis):
    x = draw(seed, (20, 6), mean)
    found, wide = stats.describe(x, axis=axis, correction=1), x.astype(np.float64)
    checks.assert_same(found.var, stats.var(x, axis=axis, correction=1), bits=True)
    low, high = stats.minmax(x, axis=axis)
    checks.assert_same((found.minimum, found.maximum), (low, high), bits=True)
    checks.assert_same(found.mean, stats.mean(x, axis=axis), rtol=4 * EPS)  # other orders of sums
    checks.assert_same(found.skew, stats.skew(x, axis=axis), rtol=16 * EPS, atol=16 * EPS)
    kurtosis = stats.kurtosis(x, axis=axis)
    checks.assert_same(found.kurtosis, kurtosis, rtol=32 * EPS, atol=64 * EPS)
    np.testing.assert_allclose(found.skew, scipy.stats.skew(wide, axis), rtol=1e-5, atol=2e-5)
    right = scipy.stats.kurtosis(wide, axis)
    np.testing.assert_allclose(found.kurtosis, right, rtol=1e-5, atol=5e-5)
    assert np.all(np.asarray(found.count) == x.size // found.var.size)


@few
@given(seeds)
def test_describe_of_more_than_one_block(seed):
    x = draw(seed, (20011,), 3.0)
    found, wide = stats.describe(x), x.astype(np.float64)
    assert found.var == stats.var(x)
    # h additions in a row round up as often as down: they leave λ√h u of a sum of what is positive,
    # but once in 10⁷ sums for λ = 6 (Higham and Mary, 2019, SIAM J. Sci. Comput. 41, A2815);
    # h as in strategies.tolerance
    apart = 6 * np.sqrt(256 + np.log2(x.size / 256)) * EPS / 2
    size = np.abs(wide - wide.mean()) / wide.std()
    skew, kurtosis = scipy.stats.skew(wide), scipy.stats.kurtosis(wide)
    # m₃ / m₂^1.5, whose terms have signs, and m₄ / m₂² − 3
    np.testing.assert_allclose(
        found.skew, skew, rtol=0, atol=apart * ((size**3).mean() + 1.5 * skew)
    )
    np.testing.assert_allclose(found.kurtosis, kurtosis, rtol=0, atol=3 * apart * (kurtosis + 3))


@few
@given(seeds, st.integers(-90, 90))
def test_describe_exact_laws(seed, k):
    x = np.random.default_rng(seed).integers(-512, 512, 40).astype(np.float32)
    found = stats.describe(x)
    moved, scaled = stats.describe(x + np.float32(2**20)), stats.describe(x * np.float32(2.0**k))
    for name in ("skew", "kurtosis"):
        value = getattr(found, name)
        assert value == getattr(moved, name) == getattr(scaled, name)
    assert found.var == moved.var


def test_describe_masks_weights_and_shapes():
    x, keep = draw(0, (5, 8)), np.arange(40).reshape(5, 8) % 3 > 0
    bad = np.where(keep, x, np.nan)
    hidden = stats.describe(bad, where=keep)
    checks.assert_same(hidden, stats.describe(bad, nan="omit"))
    checks.assert_same(hidden.var, stats.var(x[keep]), rtol=8 * EPS)  # deletion, to a bound
    assert int(hidden.count) == keep.sum()
    often = np.arange(40).reshape(5, 8) % 3
    weighted, repeated = (
        stats.describe(x, weights=often),
        stats.describe(np.repeat(x.ravel(), often.ravel())),
    )
    for name in FIELDS[1:]:
        pair = (getattr(weighted, name), getattr(repeated, name))
        checks.assert_same(*pair, rtol=32 * EPS, atol=32 * EPS)
    assert float(weighted.count) == often.sum()
    assert int(stats.describe(x, weights=stats.Probability(often)).count) == (often > 0).sum()
    kept = stats.describe(x, axis=1, keepdims=True)
    assert all(getattr(kept, name).shape == (5, 1) for name in FIELDS)
    assert kept.count.dtype == np.int32


def test_describe_edges():
    text = repr(stats.describe(jnp.array([1.0, 2.0, 4.0, 18.0])))
    assert text.startswith("Description(count=4, minimum=1., maximum=18., mean=6.25, var=47.1875")
    assert "Description(" in repr(jax.eval_shape(stats.describe, jnp.ones(3)))
    nothing = stats.describe(jnp.zeros((0,)))
    assert int(nothing.count) == 0 and all(np.isnan(getattr(nothing, f)) for f in FIELDS[1:])
    flat = stats.describe(jnp.full(5, 0.1))
    assert float(flat.var) == 0 and np.isnan(flat.skew) and np.isnan(flat.kurtosis)
    large = stats.describe(jnp.array([2**30, 2**30 + 1, 2**30 + 5], jnp.int32))
    assert int(large.maximum) == 2**30 + 5
    assert large.skew == stats.describe(jnp.array([0, 1, 5], jnp.int32)).skew
    half = stats.describe(jnp.asarray(1000 + 300 * draw(1), jnp.float16))
    assert half.var.dtype == jnp.float16 and np.isfinite(half.kurtosis)
    assert np.isnan(stats.describe(jnp.array([1.0, jnp.nan])).minimum)
    with pytest.raises(TypeError, match="describe: x is complex"):
        stats.describe(np.ones(3) * 1j)
    lanes = jax.vmap(stats.describe)(jnp.asarray(draw(2, (3, 9))))
    assert lanes.var.shape == (3,)


def shape_of(x, **options):
    found = stats.describe(x, **options)
    return found.skew + found.kurtosis


def shape_alone(x, **options):
    return stats.skew(x, **options) + stats.kurtosis(x, **options)


@pytest.mark.slow
def test_describe_gradients():
    x, w = jnp.asarray(draw(4, (9,)), jnp.result_type(float)), jnp.arange(9.0)
    checks.assert_same(jax.grad(shape_of)(x), jax.grad(shape_alone)(x), rtol=1e-4, atol=1e-5)
    for argument in (0, 1):
        found, right = (
            jax.grad(lambda x, w, f=f: f(x, weights=w), argument)(x, w)
            for f in (shape_of, shape_alone)
        )
        checks.assert_same(found, right, rtol=1e-4, atol=1e-5)
    found, right = (jax.jit(jax.hessian(f))(x[:5]) for f in (shape_of, shape_alone))
    checks.assert_same(found, right, rtol=1e-3, atol=1e-3)
    hidden = x.at[2].set(jnp.nan)
    slope = jax.grad(lambda x: stats.describe(x, nan="omit").skew)(hidden)
    assert np.isfinite(slope).all() and slope[2] == 0


@few
@given(seeds, st.sampled_from([None, 0, 1]), st.integers(-60, 60))
def test_standardize_laws(seed, axis, k):
    x = draw(seed, (20, 6), 100.0)
    z = stats.standardize(x, axis=axis)
    checks.assert_same(z, stats.standardize(x * np.float32(2.0**k), axis=axis), bits=True)
    n = 120 if axis is None else x.shape[axis]
    assert np.max(np.abs(np.mean(np.asarray(z, float), axis))) <= 4 * EPS * np.sqrt(n)
    assert np.max(np.abs(np.std(np.asarray(z, float), axis) - 1)) <= 4 * EPS
    right = scipy.stats.zscore(x.astype(np.float64), axis)
    np.testing.assert_allclose(z, right, rtol=8 * EPS, atol=8 * EPS)
    whole = np.round(x * 8)
    moved = stats.standardize(whole + np.float32(2**18), axis=axis)
    checks.assert_same(moved, stats.standardize(whole, axis=axis), bits=True)


def test_standardize_edges():
    assert stats.standardize(jnp.full(4, 0.1)).tolist() == [0.0] * 4  # as scikit-learn
    assert np.isnan(stats.standardize(jnp.array([3.0]), correction=1)).all()
    assert stats.standardize(jnp.zeros((0, 3)), axis=0).shape == (0, 3)
    large = jnp.array([2**30, 2**30 + 1, 2**30 + 2], jnp.int32)
    assert stats.standardize(large).tolist() == stats.standardize(large - 2**30).tolist()
    half = stats.standardize(jnp.asarray(1000 + 300 * draw(1), jnp.float16))
    assert half.dtype == jnp.float16 and abs(float(jnp.std(half.astype(jnp.float32))) - 1) < 1e-3
    x = jnp.array([1.0, 2.0, 6.0, jnp.nan])
    left = stats.standardize(x, nan="omit")
    assert left[:3].tolist() == stats.standardize(x[:3]).tolist() and np.isnan(left[3])
    keep = jnp.array([True, True, True, False])
    other = stats.standardize(x.at[3].set(3.0), where=keep)
    assert other[:3].tolist() == left[:3].tolist() and other[3] == 0.0  # by those that count
    alone = stats.standardize(jnp.array([2.0, 2.0, 5.0]), where=keep[1:])
    assert alone.tolist()[:2] == [0.0, 0.0] and alone[2] == jnp.inf
    often = stats.standardize(x[:3], weights=jnp.array([2, 0, 1]))
    repeated = stats.standardize(jnp.array([1.0, 1.0, 6.0]))
    np.testing.assert_allclose(often[jnp.array([0, 2])], repeated[1:], rtol=1e-6)
    with pytest.raises(ValueError, match="standardize: axis 2 is out of range"):
        stats.standardize(jnp.ones(3), axis=2)


@pytest.mark.slow
def test_standardize_gradients():
    x, w = jnp.asarray(draw(5, (6,)), jnp.result_type(float)), jnp.arange(1.0, 7.0)

    def by_hand(x, w):
        mean = jnp.sum(w * x) / jnp.sum(w)
        return (x - mean) / jnp.sqrt(jnp.sum(w * (x - mean) ** 2) / jnp.sum(w))

    for argument in (0, 1):
        found = jax.jacobian(lambda x, w: stats.standardize(x, weights=w), argument)(x, w)
        checks.assert_same(found, jax.jacobian(by_hand, argument)(x, w), rtol=1e-4, atol=1e-5)
    assert not jax.jacobian(stats.standardize)(jnp.ones(3)).any()
    hidden = jax.grad(lambda x: stats.standardize(x, nan="omit")[0])(x.at[1].set(jnp.nan))
    assert np.isfinite(hidden[jnp.array([0, 2, 3, 4, 5])]).all()
