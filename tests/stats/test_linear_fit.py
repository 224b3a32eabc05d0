"""Least squares beside NIST's certified values, and in rational arithmetic; statuses; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from nist_cases import NIST, least_squares

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.stats import Frequency, Probability, Reliability

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 1.0, (24, 3)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5], np.float32) + RNG.normal(0, 0.1, 24)).astype(np.float32)


def digits(found, right):
    """Return the logarithm of the relative error of the worst number, with its sign turned."""
    found, right = np.float64(found), np.float64(right)
    error = np.abs(found - right) / np.where(right == 0, 1, np.abs(right))
    return np.min(-np.log10(np.maximum(error, 1e-16)))


def parts(fit):
    """Return coefficients, errors, r² and deviation, the intercept first."""
    b, errors = np.ravel(fit.coefficients), np.ravel(fit.errors)
    return (
        np.append(np.float64(fit.intercept), b),
        np.append(np.float64(fit.intercept_error), errors),
        fit.r2,
        fit.deviation,
    )


@pytest.mark.parametrize("name", NIST)
@pytest.mark.parametrize("chunks", [1, 3])
def test_certified_regressions(name, chunks):
    (x, y), certified = NIST[name]
    with jax.enable_x64(True):
        if chunks == 1:
            fit = stats.linear_fit(x, y)
        else:
            cuts = [len(y) // 3, 2 * len(y) // 3]
            pairs = zip(np.split(x, cuts), np.split(y, cuts), strict=True)
            fit = jf.fold(folds.linear_fit(), list(pairs))
    assert int(fit.status) == 0 and float(fit.freedom) == len(y) - x.shape[1] - 1
    scale = np.abs(y).max()
    for found, right in zip(parts(fit), least_squares(x, y), strict=True):
        right = np.asarray(right)
        if np.all(right < 1e-12 * scale) and name in ("Wampler1", "Wampler2"):  # no residuals
            assert np.all(np.asarray(found) <= 2.0**-50 * scale)
        else:
            assert digits(found, right) >= 15
    # the certified values have 15 digits, and are of decimal data: Wampler2's have no float
    for found, right in zip(parts(fit)[:1] + parts(fit)[2:3], certified[::2], strict=True):
        assert digits(found, right) >= (9 if name == "Wampler2" else 13)
    if name not in ("Wampler1", "Wampler2"):
        assert digits(fit.deviation, certified[3]) >= 13
        assert digits(parts(fit)[1], certified[1]) >= 13


@pytest.mark.parametrize("name", ["Longley", "Norris"])
def test_certified_regressions_in_32_bits(name):
    (x, y), _ = NIST[name]
    x, y = x.astype(np.float32), y.astype(np.float32)
    fit = stats.linear_fit(x, y)
    for found, right in zip(parts(fit), least_squares(x, y), strict=True):
        assert digits(found, right) >= 6.5


def close(fit, right, rtol=1e-6):
    for a, b in zip(jax.tree.leaves(fit), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def same(fit, x, y):
    """Compare a fit with that of these rows in rational arithmetic."""
    assert isinstance(fit, stats.LinearFit) and int(fit.status) == 0
    assert float(fit.freedom) == len(y) - x.shape[1] - 1
    for found, right in zip(parts(fit), least_squares(x, y), strict=True):
        assert digits(found, right) >= 6


def test_weights_masks_and_nan_are_repetition_and_deletion():
    w = RNG.integers(0, 3, 24)
    hidden = np.where((w > 0)[:, None], X, np.nan).astype(np.float32)
    repeated = np.repeat(X, w, 0), np.repeat(Y, w)
    same(stats.linear_fit(hidden, Y, weights=w), *repeated)
    pairs = (jnp.asarray(hidden), jnp.asarray(Y))
    same(jf.fold(folds.linear_fit(weights=Frequency), (pairs, jnp.asarray(w))), *repeated)
    kept = X[w > 0], Y[w > 0]
    same(stats.linear_fit(hidden, Y, where=w > 0), *kept)
    same(stats.linear_fit(hidden, Y, nan="omit"), *kept)
    some = folds.linear_fit(nan="omit").where(lambda e: e[1] < 0)
    both = (w > 0) & (Y < 0)
    same(jf.fold(some, pairs), X[both], Y[both])


def test_reliability_is_of_any_scale():
    w = RNG.random(24).astype(np.float32) + 0.5
    fit = stats.linear_fit(X, Y, weights=Reliability(w))
    # rows times the root of their weight, and a constant of roots beside them
    roots = np.sqrt(np.float64(w))
    design = np.column_stack([np.ones(24), X]) * roots[:, None]
    b, rest, *_ = np.linalg.lstsq(design, Y * roots)
    errors = np.sqrt(rest[0] / 20 * np.diag(np.linalg.inv(design.T @ design)))
    np.testing.assert_allclose(parts(fit)[0], b, rtol=1e-6)
    np.testing.assert_allclose(parts(fit)[1], errors, rtol=1e-5)
    np.testing.assert_allclose(fit.deviation, np.sqrt(rest[0] / 20), rtol=1e-5)
    scaled = stats.linear_fit(X, Y, weights=Reliability(16 * w))
    np.testing.assert_array_equal(scaled.coefficients, fit.coefficients)
    np.testing.assert_allclose(scaled.errors, fit.errors, rtol=1e-6)
    np.testing.assert_allclose(scaled.deviation, 4 * fit.deviation, rtol=1e-6)
    assert float(scaled.freedom) == 20


def test_through_the_origin():
    b, errors, r2, deviation = least_squares(X, Y, intercept=False)
    fit = stats.linear_fit(X, Y, intercept=False)
    assert float(fit.intercept) == float(fit.intercept_error) == 0 and float(fit.freedom) == 21
    for found, right in ((fit.coefficients, b), (fit.errors, errors), (fit.deviation, deviation)):
        assert digits(found, right) >= 6
    assert digits(fit.r2, r2) >= 6


def test_one_column_is_cov_over_var():
    fit = stats.linear_fit(X[:, 0], Y)
    assert fit.coefficients.shape == fit.errors.shape == ()
    slope = stats.cov(X[:, 0], Y) / stats.var(X[:, 0])
    np.testing.assert_allclose(fit.coefficients, slope, rtol=1e-6)
    np.testing.assert_allclose(fit.r2, stats.corr(X[:, 0], Y) ** 2, rtol=1e-6)


def test_statuses():
    whole = stats.linear_fit(X, Y)
    assert int(whole.status) == 0 and whole.reason == "the columns are independent"
    twice = np.column_stack([X, X[:, 0] + X[:, 1]])
    fit = stats.linear_fit(twice, Y)
    assert int(fit.status) == 1 and "depends on those before it" in fit.reason
    assert float(fit.coefficients[3]) == 0 and np.isnan(fit.errors[3])
    close(fit.coefficients[:3], whole.coefficients)
    close((fit.r2, fit.freedom), (whole.r2, whole.freedom))
    constant = stats.linear_fit(np.ones(24, np.float32), Y)
    assert int(constant.status) == 1 and float(constant.freedom) == 23
    np.testing.assert_allclose(constant.intercept, Y.mean(), rtol=1e-6)
    few = stats.linear_fit(X, Y, where=np.arange(24) < 4)
    assert int(few.status) == 2 and "no more rows" in few.reason
    found = X[:4] @ np.asarray(few.coefficients) + few.intercept
    np.testing.assert_allclose(found, Y[:4], rtol=1e-4)
    assert np.all(np.isnan(few.errors)) and np.isnan(few.deviation)
    nothing = stats.linear_fit(X, Y, where=np.zeros(24, bool))
    assert int(nothing.status) == 2 and np.all(np.isnan(nothing.coefficients))
    assert int(stats.linear_fit(X[:0], Y[:0]).status) == 2
    for x, y in ((np.where(X > 4, np.inf, X), Y), (X, Y * np.nan)):
        fit = stats.linear_fit(x, y)
        assert int(fit.status) == 3 and np.all(np.isnan(fit.coefficients))
    assert np.isnan(stats.linear_fit(X, Y * 0).r2)


def test_integers_are_exact():
    x = np.arange(8) + 2**30
    fit = stats.linear_fit(x, 3 * np.arange(8))
    assert float(fit.coefficients) == 3 and float(fit.r2) == 1 and float(fit.deviation) == 0


def test_jit_vmap_and_gradients():
    fit = stats.linear_fit(X, Y)
    close(jax.jit(stats.linear_fit)(X, Y), fit)
    many = jax.vmap(stats.linear_fit, (None, 0))(X, np.stack([Y, 2 * Y]))
    close(jax.tree.map(lambda v: v[0], many), fit)
    with jax.enable_x64(True):
        x, y = jnp.asarray(X, float), jnp.asarray(Y, float)

        def run(x, y):
            f = stats.linear_fit(x, y)
            return jnp.sum(f.coefficients) + f.intercept + f.deviation + jnp.sum(f.errors) + f.r2

        dx, dy = RNG.normal(size=x.shape), RNG.normal(size=y.shape)
        value = jax.jit(run)
        moved = sum(
            jnp.sum(g * d) for g, d in zip(jax.grad(run, (0, 1))(x, y), (dx, dy), strict=True)
        )
        change = (value(x + 1e-5 * dx, y + 1e-5 * dy) - value(x - 1e-5 * dx, y - 1e-5 * dy)) / 2e-5
        np.testing.assert_allclose(moved, change, rtol=1e-7)


def test_the_program_does_not_grow_with_the_rows():
    def text(n, p):
        x, y = (jax.ShapeDtypeStruct(s, np.float32) for s in ((n, p), (n,)))
        return len(jax.jit(stats.linear_fit).lower(x, y).as_text())

    assert text(10**6, 3) <= 1.05 * text(10**4, 3) and text(10**4, 50) <= 1.1 * text(10**4, 3)


CALLS = {
    "complex": (TypeError, lambda: stats.linear_fit(X * 1j, Y), "x is complex"),
    "rows": (ValueError, lambda: stats.linear_fit(X, Y[:3]), "equally many rows"),
    "y": (ValueError, lambda: stats.linear_fit(X, X), "fit several y by jax.vmap"),
    "nan": (ValueError, lambda: stats.linear_fit(X, Y, nan="pairwise"), "'propagate' or 'omit'"),
    "probability": (
        TypeError,
        lambda: stats.linear_fit(X, Y, weights=Probability(Y)),
        "standard errors co-moments do not give",
    ),
    "probability of folds": (
        TypeError,
        lambda: folds.linear_fit(weights=Probability),
        "weights are Probability",
    ),
    "no pair": (
        TypeError,
        lambda: jf.fold(folds.linear_fit(), jnp.asarray(X)),
        "elements are (x, y)",
    ),
    "tree": (
        TypeError,
        lambda: jf.fold(folds.linear_fit(), [({"a": jnp.ones(3)}, jnp.ones(3))]),
        "a real vector or number",
    ),
    "matrix": (
        TypeError,
        lambda: jf.fold(folds.linear_fit(), (jnp.ones((3, 2, 2)), jnp.ones(3))),
        "a real vector or number",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_input(name):
    error, call, said = CALLS[name]
    with raises(error, "linear_fit", said):
        call()


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_a_column_of_zeros_is_left_out(intercept, size):
    x = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)
    y = np.float32(size) * np.arange(6, dtype=np.float32)
    right = stats.linear_fit(x, y, intercept=intercept)
    found = stats.linear_fit(np.hstack([x, np.zeros_like(x)]), y, intercept=intercept)
    assert int(found.status) == 1 and np.isnan(found.errors[1])
    assert found.coefficients.tolist() == [*right.coefficients.tolist(), 0.0]
    assert found.errors[0] == right.errors[0] and found.intercept == right.intercept
