"""Data and weights of any scale, and what spans more than the largest number.

The cause was the same in all: differences, squares and sums of weights that leave the range of
their type. Data and weights are brought into units of a power of two where they enter, so a scale
changes no bit. It can act

* in every statistic that subtracts a value or multiplies deviations, of arrays and of matrices;
* in merges of folds, whose blocks have pivots of their own, and in `step`, a merge with an element;
* where integers are given floats as weights: they are shifted exactly, but weighed like others;
* in complex data, whose parts are added after they were squared;
* at the other end, where squares vanish.

Order statistics, histograms, windows and groups have tables of their own beside this one.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats

FLOAT = jnp.result_type(float)
M = float(jnp.finfo(FLOAT).max)
ENDS = (-118, -60, 60, 126) if FLOAT == np.float32 else (-1010, -600, 600, 1022)
COMPLEX = jnp.result_type(complex)
RNG = np.random.default_rng(7)
X, Y = (np.where((v := RNG.integers(-127, 128, 40)) == 0, 1, v).astype(FLOAT) / 64 for _ in "xy")
W = RNG.integers(1, 4, 40).astype(FLOAT)
KINDS = (stats.Frequency, stats.Reliability, stats.Probability)


def other(x):
    return Y if x.dtype == FLOAT else (64 * Y).astype(x.dtype)


def columns(x):
    return np.stack([x, other(x)], axis=1)


# name: (the statistic of x, the power of x's scale in it)
TABLE = {
    "mean": (stats.mean, 1),
    "var": (stats.var, 2),
    "std": (partial(stats.std, correction=1), 1),
    "sem": (stats.sem, 1),
    "mean_abs_dev": (stats.mean_abs_dev, 1),
    "skew": (stats.skew, 0),
    "kurtosis": (stats.kurtosis, 0),
    "moment": (lambda x, **k: stats.moment(x, 3, **k), 3),
    "standardize": (stats.standardize, 0),
    "cov": (lambda x, **k: stats.cov(x, other(x), **k), 1),
    "corr": (lambda x, **k: stats.corr(x, other(x), **k), 0),
    "corr_matrix": (lambda x, **k: stats.corr_matrix(columns(x), **k), 0),
    "cov_matrix": (lambda x, **k: stats.cov_matrix(columns(x), **k)[0], np.array([2, 1])),
    "pearson_interval": (lambda x, **k: jnp.stack(stats.pearson_interval(x, other(x), **k)), 0),
    "describe": (lambda x, **k: jnp.stack([(d := stats.describe(x, **k)).skew, d.kurtosis]), 0),
}
# of frequencies the sum is a number of observations, which has no other scale
COUNTED = {"sem", "std", "pearson_interval"}


def scaled(value, power, exponent):
    """Return value * 2**(power * exponent) as the type holds it; what is below its range is 0."""
    with np.errstate(over="ignore", under="ignore"):
        exact = np.ldexp(np.asarray(value, np.longdouble), np.asarray(power) * exponent)
        found = exact.astype(FLOAT)
    return np.where(np.abs(exact) < np.longdouble(jnp.finfo(FLOAT).tiny), 0, found)


def flushed(value):
    """Return an answer, 0 for what is below the normal range."""
    value = np.asarray(value)
    return np.where(np.abs(value) < float(jnp.finfo(FLOAT).tiny), 0, value)


@pytest.mark.parametrize("name", TABLE)
def test_a_scale_of_the_data_changes_no_bit(name):
    f, power = TABLE[name]
    base = np.asarray(f(X))
    for e in ENDS:
        found = flushed(f(np.ldexp(X, e)))
        np.testing.assert_array_equal(found, scaled(base, power, e), err_msg=f"2**{e}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLE)
def test_a_scale_of_the_weights_changes_no_bit(name, kind):
    if kind is stats.Frequency and name in COUNTED:
        return
    f, _ = TABLE[name]
    whole = (64 * X).astype(np.int16)
    for x in (X, whole):
        base = np.asarray(f(x, weights=kind(W)))
        assert np.all(np.isfinite(base))
        for e in ENDS:
            found = np.asarray(f(x, weights=kind(np.ldexp(W, e))))
            np.testing.assert_array_equal(found, base, err_msg=f"2**{e}")


# a memory has its mean in two words, of which the second must be in range too
FOLD_ENDS = [e + (30 if FLOAT == np.float32 else 64) if e < 0 else e for e in ENDS]
FOLDS = {"sum": 1, "mean": 1, "var": 2, "std": 1, "sem": 1, "skew": 0, "kurtosis": 0}


@pytest.mark.parametrize("name", FOLDS)
def test_a_scale_changes_no_bit_of_a_fold(name):
    fold = getattr(folds, name)()
    blocks = lambda x: [x[:7], x[7:8], x[8:]]  # noqa: E731
    base = np.asarray(jf.fold(fold, blocks(X)))
    for e in FOLD_ENDS:
        found = flushed(jf.fold(fold, blocks(np.ldexp(X, e))))
        np.testing.assert_array_equal(found, scaled(base, FOLDS[name], e), err_msg=f"2**{e}")


def test_weights_of_integers_in_folds_have_any_scale():
    whole = (64 * X).astype(np.int16)
    for kind in KINDS:
        fold = folds.var(weights=kind)
        blocks = lambda w: [(whole[:9], w[:9]), (whole[9:], w[9:])]  # noqa: E731
        base = float(jf.fold(fold, blocks(W)))
        for e in (-100, 100):  # their sums are in range
            assert float(jf.fold(fold, blocks(np.ldexp(W, e)))) == base


def test_integers_with_large_weights():
    x, y = np.array([1000, 20000, -30000], np.int16), np.array([3, 1, 2], np.int16)
    weights = stats.Reliability(np.array([1, 2, 1], FLOAT) * FLOAT.type(1e30))
    plain = stats.Reliability(np.array([1, 2, 1], FLOAT))
    right = np.cov(x, y, aweights=[1, 2, 1], ddof=0)
    right = right[0, 1] / np.sqrt(right[0, 0] * right[1, 1])
    eps = float(jnp.finfo(FLOAT).eps)
    assert abs(float(stats.corr(x, y, weights=weights)) - right) <= 8 * eps
    found = stats.var(x, weights=weights)
    np.testing.assert_allclose(found, stats.var(x, weights=plain), rtol=8 * eps)
    several = [np.tile(v, 3) for v in (x, y)]
    weights = stats.Reliability(jnp.tile(weights.values, 3))
    low, high = stats.pearson_interval(*several, weights=weights)
    assert -1 < float(low) < right < float(high) < 1


SPANS = {"three": [-M, M, M], "two": [-M, M], "five": [M, -M, M / 2, -M / 4, 0.0]}


def reference(v):
    v = np.asarray(v, np.longdouble) / 2**4
    centred = v - v.mean()
    unit = np.abs(centred).max()
    c = centred / unit
    m2 = (c**2).mean()
    return {
        "mean": v.mean() * 2**4,
        "std": np.sqrt(m2) * unit * 2**4,
        "sem": np.sqrt(m2 / (len(v) - 1)) * unit * 2**4,
        "mean_abs_dev": np.abs(c).mean() * unit * 2**4,
        "skew": (c**3).mean() / m2**1.5,
        "kurtosis": (c**4).mean() / m2**2 - 3,
    }


@pytest.mark.parametrize("span", SPANS)
def test_a_span_of_twice_the_largest_number(span):
    v = SPANS[span]
    x, right = jnp.array(v), reference(v)
    close = partial(np.testing.assert_allclose, rtol=16 * float(jnp.finfo(FLOAT).eps))
    for name, value in right.items():
        atol = 16 * float(jnp.finfo(FLOAT).eps) * float(value != value.astype(np.longdouble) or 1)
        atol = atol if name in ("skew", "kurtosis") else 0
        close(getattr(stats, name)(x), float(value), atol=atol, err_msg=name)
    z = (np.asarray(v, np.longdouble) - right["mean"]) / right["std"]
    close(stats.standardize(x), z.astype(float), atol=1e-6)
    found = stats.describe(x)
    close(found.mean, float(right["mean"]))
    assert np.isinf(found.var) and np.isfinite(found.skew) and np.isfinite(found.kurtosis)
    if len(v) > 2:
        places = jnp.arange(len(v), dtype=x.dtype)
        matrix = stats.corr_matrix(jnp.stack([x, places], axis=1))
        close(matrix[0, 1], stats.corr(x, places))
        assert float(matrix[0, 0]) == 1.0


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("size", [1, 2])
def test_blocks_that_are_far_apart_merge(span, size):
    v = SPANS[span]
    right = reference(v)
    del right["mean_abs_dev"]  # which no fold has
    blocks = [jnp.array(v[i : i + size]) for i in range(0, len(v), size)]
    answers = {name: getattr(folds, name)() for name in right}
    found = jf.fold(jf.combine(**answers), blocks)
    eps = float(jnp.finfo(FLOAT).eps)
    for name, value in right.items():
        atol = 64 * eps if name in ("skew", "kurtosis") else 0
        np.testing.assert_allclose(found[name], float(value), rtol=64 * eps, atol=atol)


def test_matrices_and_pairs_of_blocks_far_apart():
    v, k = SPANS["three"], np.arange(3.0)
    blocks = [jnp.array([[a, b]]) for a, b in zip(v, k, strict=True)]
    found = jf.fold(folds.corr_matrix(), blocks)
    right = float(stats.corr(jnp.array(v), jnp.array(k)))
    eps = float(jnp.finfo(FLOAT).eps)
    np.testing.assert_allclose(found, [[1, right], [right, 1]], rtol=16 * eps)
    pairs = [(b[:, 0], b[:, 1]) for b in blocks]
    np.testing.assert_allclose(jf.fold(folds.corr(), pairs), right, rtol=16 * eps)


def test_a_covariance_of_large_and_small_numbers():
    small = jnp.array([1.0, 2.0]) / M**0.5
    pairs = (jnp.array([M, -M]), small)
    right = -(M**0.5) / 2
    for x, y in (pairs, pairs[::-1]):
        assert float(jf.fold(folds.cov(), (x, y))) == pytest.approx(right, rel=1e-6)
        assert float(stats.cov(x, y)) == pytest.approx(right, rel=1e-6)


def test_a_loop_watches_what_is_far_apart():
    values = jnp.array([M, -M])
    mean = folds.mean()
    watched = jf.watch(mean, of=lambda n: values[n - 1], name="mean")
    result = jf.iterate(lambda n: n + 1, jnp.int32(0), watched, max_steps=2)
    assert float(mean.extract(result.memory["mean"])) == 0.0


@pytest.mark.parametrize("correction", [-1, 0, 1])
def test_nothing_has_no_variance(correction):
    nothing, hidden = jnp.zeros(0), jnp.zeros(3, bool)
    c = {"correction": correction}
    found = [
        stats.var(nothing, **c),
        stats.std(nothing, **c),
        stats.cov(nothing, nothing, **c),
        stats.sem(nothing, **c),
        stats.var(nothing, reproducible=True, **c),
        stats.var(jnp.ones(3), where=hidden, **c),
        stats.var(jnp.ones(3), weights=jnp.zeros(3), **c),
        stats.var(jnp.ones(3), weights=stats.Reliability(jnp.zeros(3)), **c),
        stats.var(jnp.ones(3, COMPLEX), where=hidden, **c),
        *stats.cov_matrix(jnp.zeros((0, 2)), **c).ravel(),
        *stats.cov_matrix(jnp.ones((3, 2)), where=hidden, **c).ravel(),
        jf.fold(folds.var(**c), nothing),
        jf.fold(folds.sem(**c), nothing),
        *jf.fold(folds.cov_matrix(**c), jnp.zeros((0, 2))).ravel(),
    ]
    assert np.all(np.isnan(np.asarray(found)))


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (0, 0)])
def test_empty_arrays_have_answers_whatever_is_asked(shape):
    for axis in (None, -1, 0):
        kept = jnp.var(jnp.ones([max(n, 1) for n in shape]), axis=axis).shape
        kept = tuple(n for a, n in enumerate(shape) if axis is not None and a != axis % len(shape))
        for f in (stats.mean, stats.var, stats.std):
            for words in ({}, {"reproducible": True}, {"accuracy": "high"}):
                found = f(jnp.zeros(shape), axis=axis, **words)
                assert found.shape == kept and np.all(np.isnan(found))
        for order in range(4):
            found = stats.moment(jnp.zeros(shape), order, axis=axis)
            assert found.shape == kept and np.all(np.isnan(found))


def test_complex_data_near_the_largest_number():
    unit = M / 2
    x, y = (jnp.array(v * unit, COMPLEX) for v in np.array([[1.1j, -0.9j], [1 + 1j, -1 - 1j]]))
    close = partial(np.testing.assert_allclose, rtol=1e-6)
    close(stats.std(x) / unit, 1.0)
    close(jf.fold(folds.std(), x) / unit, 1.0)
    close(jf.fold(folds.std(), [x[:1], x[1:]]) / unit, 1.0)
    close(stats.mean_abs_dev(y) / unit, np.sqrt(2))
    z, three = np.array([1, 2j, 3], COMPLEX), np.array([0.75j, -0.25, 0.5], COMPLEX)
    for e in ENDS:
        far = (three * 2.0**e).astype(COMPLEX)
        assert complex(stats.corr(far, z)) == complex(stats.corr(three, z))


def test_moments_that_are_known():
    assert float(stats.moment(X, 1)) == 0.0 and float(stats.moment(X, 0)) == 1.0
    assert float(stats.moment([0.1, 0.2, 0.7], 1, weights=[1, 2, 3])) == 0.0
    assert np.isnan(stats.moment(jnp.array([1.0, jnp.inf]), 1))
    assert float(jf.fold(folds.moment(1), jnp.asarray(X))) == 0.0
    assert float(jf.fold(folds.moment(0), jnp.asarray(X))) == 1.0


def test_complex_variables_that_differ_by_a_turn():
    z = np.array([1, 2, 3], COMPLEX)
    for turn in (1, 1j, -1, -1j, 2j, -0.5):
        y = (z * turn).astype(COMPLEX)
        assert abs(complex(stats.corr(z, y))) == 1.0
        matrix = stats.corr_matrix(np.stack([z, y], axis=1))
        assert np.array_equal(np.abs(matrix), np.ones((2, 2)))
    assert complex(stats.corr(z, z * np.array(1j, COMPLEX))) == -1j
