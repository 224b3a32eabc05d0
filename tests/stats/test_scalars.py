"""What is given as one number, as a list of what is no number, or as complex data; deep folds.

Causes: a correction went to a compiled program as it was given, so NumPy's byte order was ignored
and a mask dropped; messages named the type of a list and not what in it is no number; all that
takes real data alone spoke of order; maps and predicates of a fold were a nest, and Python's frames
ran out. They can act wherever a scalar, data or a chain of `.of` and `.where` is given.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats

X = jnp.array([1.0, 2.0, 4.0])
IDS = jnp.zeros(3, np.int32)
CORRECTED = {
    "var": lambda c: stats.var(X, correction=c),
    "sem": lambda c: stats.sem(X, correction=c),
    "standardize": lambda c: stats.standardize(X, correction=c),
    "describe": lambda c: stats.describe(X, correction=c).var,
    "rolling_var": lambda c: stats.rolling_var(X, 2, correction=c),
    "rolling_cov": lambda c: stats.rolling_cov(X, -X, 2, correction=c),
    "segment_var": lambda c: stats.segment_var(X, IDS, num_segments=1, correction=c),
    "segment_cov": lambda c: stats.segment_cov(X, -X, IDS, num_segments=1, correction=c),
    "ema_var": lambda c: stats.ema_var(X, decay=0.5, correction=c),
    "cov_matrix": lambda c: stats.cov_matrix(X[:, None], correction=c),
    "folds.var": lambda c: jf.fold(folds.var(correction=c), X),
    "folds.std": lambda c: jf.fold(folds.std(correction=c), X),
    "folds.cov": lambda c: jf.fold(folds.cov(correction=c), (X, -X)),
    "folds.describe": lambda c: jf.fold(folds.describe(correction=c), X).var,
    "folds.cov_matrix": lambda c: jf.fold(folds.cov_matrix(correction=c), X[:, None]),
}


@pytest.mark.parametrize("name", CORRECTED)
def test_a_correction_is_a_number_of_any_kind(name):
    call = CORRECTED[name]
    right = np.asarray(call(1))
    for given in (np.int64(1), np.array(1.0), np.array(1, ">i4")):
        np.testing.assert_array_equal(call(given), right)
    masked = np.ma.masked_array(1, mask=True)
    for given, said in (
        ("1", "correction is '1'; a real number is needed"),
        (masked, "is a masked"),
    ):
        with pytest.raises(TypeError, match=said):
            call(given)
    for given in ([1], jnp.ones(2)):
        with pytest.raises(ValueError, match="correction has shape .*, a scalar is needed"):
            call(given)


def test_a_decay_of_any_byte_order():
    decay = np.array(0.5, ">f4")
    np.testing.assert_array_equal(stats.ema(X, decay=decay), stats.ema(X, decay=0.5))
    assert float(jf.fold(folds.ema(decay), X)) == float(jf.fold(folds.ema(0.5), X))


def test_a_traced_level_out_of_range_gives_nan():
    x = jnp.arange(6.0)

    def ends(level):
        drawn = stats.bootstrap(jnp.mean, x, key=jax.random.key(0), resamples=2, level=level)
        return *stats.pearson_interval(x, x % 3, level=level), drawn.low, drawn.high

    for level in (-0.5, 0.0, 1.0, 1.5, np.nan):
        assert np.all(np.isnan(jax.jit(ends)(level)))
    assert np.all(np.isfinite(jax.jit(ends)(0.5)))


def test_a_moment_of_bad_weights_whatever_its_order():
    for order in (0, 1, 2, 3):
        fold = folds.moment(order, weights=stats.Frequency)
        for bad in (-1.0, np.nan):
            w = jnp.array([1.0, bad, 1.0])
            assert np.isnan(stats.moment(X, order, weights=w))
            assert np.isnan(jf.fold(fold, (X, w)))


def test_what_is_no_axis_no_id_and_no_probability():
    with pytest.raises(TypeError, match="axis is True; an int, a tuple of ints or None"):
        stats.mean(jnp.ones((3, 4)), axis=True)
    with pytest.raises(ValueError, match="one id for each element along axis 0"):
        stats.segment_mean(X[0], IDS[0], num_segments=1)
    with pytest.raises(TypeError, match="folds.quantile: q is complex; a real number is needed"):
        folds.quantile(0.5 + 1j)


def test_weights_of_a_bootstrap():
    def error(weights):
        found = stats.bootstrap(stats.mean, X, weights=weights, key=jax.random.key(0), resamples=9)
        return float(found.standard_error)

    right = error(jnp.array([1, 2, 1]))
    assert error(np.array([1, 2, 1])) == error(np.array([1, 2, 1], ">i4")) == right
    with pytest.raises(TypeError, match="weights is a masked array"):
        error(np.ma.masked_array([1, 2, 1], [0, 0, 1]))


@pytest.mark.parametrize(
    "given, said",
    [
        (["a"], "in it is 'a', a str"),
        ([1, "a"], "in it is 'a', a str"),
        ([1, None], "in it is None, a NoneType"),
        ([{"a": 1}], "in it is {'a': 1}, a dict"),
        ([[1, None], [2]], "in it is None, a NoneType"),
        ([[1, 2], [3]], r"ragged list, whose parts differ in shape: \(2,\) and \(1,\); pad"),
        ([np.ones(2), np.ones(3)], r"shape: \(2,\) and \(3,\)"),
    ],
)
def test_lists_of_what_is_no_number(given, said):
    for call in (stats.mean, stats.median):
        with pytest.raises(TypeError, match=said):
            call(given)


def test_complex_data():
    z = jnp.ones(3, jnp.result_type(complex))
    for name in ("sem", "standardize", "skew", "kurtosis"):
        with pytest.raises(TypeError, match=f"{name}: x is complex, and this is of real.*x.real"):
            getattr(stats, name)(z)
    for call in (lambda: stats.rolling_mean(z, 2), lambda: stats.ema(z, decay=0.5)):
        with pytest.raises(TypeError, match="x is complex, and this is of real numbers alone"):
            call()
    with pytest.raises(TypeError, match=r"no order; give x.real and x.imag .* or the sizes, abs"):
        stats.median(z)


def test_maps_and_predicates_one_after_another():
    deep = folds.mean()
    for _ in range(150):
        deep = deep.of(lambda x: x + 1).where(lambda x: x > 0)
    x = jnp.array([-1.0, 0.0, 3.0, 5.0])
    assert float(deep.extract(deep.step(deep.init(x[0]), x[3]))) == 155
    assert float(jf.fold(deep, x)) == 154
    mixed = folds.mean().of(jnp.abs).where(lambda x: x < 0).of(lambda x: x - 1)
    assert float(jf.fold(mixed, jnp.array([-3.0, 5.0, 0.5]))) == 2.25
    slope = jax.grad(lambda x: jf.fold(folds.mean().of(jnp.log).where(lambda x: x > 0), x))(x)
    np.testing.assert_allclose(slope, [0, 0, 1 / 6, 1 / 10], rtol=1e-6)
