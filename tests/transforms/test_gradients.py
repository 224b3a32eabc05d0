"""Gradients of first and second order: everywhere finite, and blind to what a mask hides."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from jax.flatten_util import ravel_pytree

from jfoundations import stats
from jfoundations.stats import Probability, Reliability

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds

FLOAT = np.dtype(jnp.result_type(float))
U = float(jnp.finfo(FLOAT).eps) / 2
ONE = ("mean", "var", "std", "mean_abs_dev")
TWO = ("cov", "corr")
NAMES = ONE + TWO


def draw(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(1.0, 1.0, shape)
    return jnp.asarray(x, FLOAT), jnp.asarray(x + rng.normal(-2.0, 1.0, shape), FLOAT)


def call(name, x, y, **keywords):
    return getattr(stats, name)(*((x, y) if name in TWO else (x,)), **keywords)


def sum_of(name, **keywords):
    return lambda x, y: jnp.sum(call(name, x, y, **keywords))


def of_all(**keywords):
    """Return what gives the values and slopes of all statistics, compiled in one."""
    runs = {name: jax.value_and_grad(sum_of(name, **keywords), (0, 1)) for name in NAMES}
    return jax.jit(lambda x, y: {name: run(x, y) for name, run in runs.items()})


@functools.cache
def of_fifty():
    """Return fifty draws of x and y, and the value and slopes of each statistic."""
    x, y = draw((50,))
    return np.asarray(x), np.asarray(y), jax.device_get(of_all()(x, y))


def check_all(function, *arguments):
    """Compare first and second derivatives, by every pair of modes, with differences.

    Of all statistics at once, which share most of what there is to compile. In float64, where the
    differences have digits: the rules are those of float32.
    """
    with jax.enable_x64(True):
        start, unravel = ravel_pytree([np.asarray(a, np.float64) for a in arguments])
        flat = lambda v: ravel_pytree(function(*unravel(v)))[0]  # noqa: E731
        like = jax.eval_shape(flat, start)

        def thrice(v, t, c):
            """Return values, and what each mode makes of a tangent and of a cotangent."""
            value, forward = jax.jvp(flat, (v,), (t,))
            return jnp.concatenate([value, forward, jax.vjp(flat, v)[1](c)[0]])

        quickly = {"xla_backend_optimization_level": 0}  # rules are tested, not speed
        jit = functools.partial(jax.jit, compiler_options=quickly)

        @jit
        def by_modes(at, along, cotangents):
            moved = jax.jvp(thrice, at, along)[1]
            return moved, jax.vmap(jax.vjp(thrice, *at)[1])(cotangents)

        rng, by = np.random.default_rng(0), 1e-4
        sizes = (start.size, start.size, like.size)
        at = (np.asarray(start), *(rng.normal(size=n) for n in sizes[1:]))
        along = tuple(rng.normal(size=n) for n in sizes)
        values = jit(thrice)
        ends = [values(*(z + d * dz for z, dz in zip(at, along, strict=True))) for d in (by, -by)]
        right = (np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * by)
        # a cotangent for each of the three, 0 for the others
        part = np.repeat(np.arange(3), (like.size, like.size, start.size))
        cotangents = np.where(part == np.arange(3)[:, None], rng.normal(size=right.size), 0)
        moved, slopes = by_modes(at, along, cotangents)
        close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
        close(moved, right)
        close(sum(s @ dz for s, dz in zip(slopes, along, strict=True)), cotangents @ right)


@pytest.mark.parametrize(
    ("axis", "form"),
    [
        *((None, "plain"), (0, "plain"), (1, "where"), (1, "high")),
        *((0, "weights"), (0, "reliability"), (None, "both")),
    ],
)
def test_first_and_second_order_both_ways(axis, form):
    x, y = draw((4, 5))
    rng = np.random.default_rng(1)
    where, weights = rng.random((4, 5)) < 0.8, rng.uniform(0.5, 2.0, (4, 5))
    options = {
        "plain": {},
        "where": {"where": where},
        "weights": {"weights": weights},
        "reliability": {"weights": Reliability(weights)},
        "both": {"where": where, "weights": weights},
        "high": {"accuracy": "high"},
    }[form]
    check_all(lambda x, y: [call(name, x, y, axis=axis, **options) for name in NAMES], x, y)


@pytest.mark.parametrize("kind", [stats.Frequency, Reliability, Probability])
def test_with_respect_to_weights(kind):
    x, y = (np.asarray(v, np.float64) for v in draw((7,)))
    w = np.random.default_rng(2).uniform(0.5, 2.0, 7)
    # the kinds differ by what a correction takes off
    less = {name: {"correction": 1} for name in ("var", "std", "cov")}

    def run(w):
        return [call(name, x, y, weights=kind(w), **less.get(name, {})) for name in NAMES]

    check_all(run, w)


def test_the_formula_of_the_gradient_of_the_weights():
    # d var / d w_i = (e_i**2 - var) / W, by hand
    x, _ = draw((7,))
    w = jnp.asarray(np.random.default_rng(2).uniform(0.5, 2.0, 7), FLOAT)
    found = jax.grad(lambda w: stats.var(x, weights=w))(w)
    a, b = np.asarray(x, np.float64), np.asarray(w, np.float64)
    e2 = (a - np.average(a, weights=b)) ** 2
    expected = (e2 - np.average(e2, weights=b)) / b.sum()
    np.testing.assert_allclose(found, expected, rtol=64 * U, atol=16 * U)


# The rules of the definitions


def test_the_gradients_that_are_written_down():
    x, y, found = of_fifty()
    a, b = (np.asarray(v, np.float64) for v in (x, y))
    ex, ey = a - a.mean(), b - b.mean()
    rows = {
        "mean": np.full(50, 1 / 50),
        "var": 2 * ex / 50,
        "std": ex / 50 / a.std(),
        "mean_abs_dev": (np.sign(ex) - np.sign(ex).mean()) / 50,
        "cov": ey / 50,
        "corr": (ey / b.std() - np.corrcoef(a, b)[0, 1] * ex / a.std()) / 50 / a.std(),
    }
    for name, expected in rows.items():
        slope = found[name][1][0]
        np.testing.assert_allclose(slope, expected, rtol=64 * U, atol=4 * U, err_msg=name)


@pytest.mark.parametrize(
    ("name", "degree"),
    [("mean", 1), ("std", 1), ("mean_abs_dev", 1), ("var", 2), ("cov", 2), ("corr", 0)],
)
def test_euler(name, degree):
    # x . grad f = degree * f, for a function that is homogeneous in all it is given
    x, y, of = of_fifty()
    value, (dx, dy) = of[name]
    found = np.vdot(x, dx) + np.vdot(y, dy)
    np.testing.assert_allclose(found, degree * value, rtol=64 * U, atol=64 * U)
    # and 1 . grad f = 0 for what no translation changes
    if name != "mean":
        np.testing.assert_allclose(np.sum(dx), 0, atol=32 * U)


def test_euler_of_second_order():
    # the Hessian of a variance is 2 (I - 1/n) / n; that of a deviation sends x to 0
    x, _ = draw((6,))
    expected = 2 * (np.eye(6) - 1 / 6) / 6
    np.testing.assert_allclose(jax.hessian(stats.var)(x), expected, atol=4 * U)
    np.testing.assert_allclose(jax.hessian(stats.std)(x) @ x, 0, atol=32 * U)


# What a mask hides


MASK = np.arange(9) % 3 > 0


@functools.cache
def of_masked():
    """Return what all statistics are of the elements that a mask shows, said in four ways."""
    x, y = map(np.asarray, draw((9,)))
    hidden = np.where(MASK, x, np.resize([np.nan, np.inf], 9).astype(FLOAT))
    ways = {
        "shown": of_all()(x[MASK], y[MASK]),
        "where": of_all(where=MASK)(hidden, y),
        "weights": of_all(weights=MASK.astype(FLOAT))(hidden, y),
        "omit": of_all(nan="omit")(np.where(MASK, x, FLOAT.type(np.nan)), y),
    }
    return jax.device_get(ways)


@pytest.mark.parametrize("name", NAMES)
def test_masked_nan_reach_neither_value_nor_gradient(name):
    mask, ways = MASK, of_masked()
    value, slope = ways["shown"][name]
    for way in ("where", "weights", "omit"):
        found, (dx, dy) = ways[way][name]
        np.testing.assert_allclose(found, value, rtol=16 * U)
        for d, expected in zip((dx, dy), slope, strict=True):
            assert np.all(d[~mask] == 0)
            np.testing.assert_allclose(d[mask], expected, rtol=16 * U, atol=4 * U)


@pytest.mark.parametrize("name", ["std", "corr"])
def test_masked_nan_reach_no_second_derivative(name):
    x, y = draw((6,))
    mask = np.arange(6) != 2
    run = jax.jit(jax.hessian(lambda v: call(name, v, y, where=mask)))
    hidden, seen = run(x.at[2].set(jnp.nan)), run(x)
    assert_same(hidden, seen)
    assert np.all(np.isfinite(hidden)) and np.all(hidden[2] == 0) and np.all(hidden[:, 2] == 0)


def test_masked_nan_do_not_reach_the_weights_either():
    x = jnp.array([1.0, 2.0, 5.0, np.nan])
    mask, w = np.arange(4) < 3, jnp.array([1.0, 2.0, 1.0, 3.0])
    slope = jax.grad(lambda w: stats.var(x, weights=w, where=mask))(w)
    assert np.all(np.isfinite(slope)) and slope[3] == 0


# Where there is no slope, a number


def test_a_constant():
    x = jnp.full((5,), 0.1)
    for name in ("var", "std", "mean_abs_dev"):
        f = getattr(stats, name)
        assert np.all(jax.grad(f)(x) == 0), name
        assert jax.jvp(f, (x,), (jnp.arange(5.0),))[1] == 0
    assert np.all(np.isfinite(jax.hessian(stats.std)(x)))
    rows = jnp.stack([x, jnp.arange(5.0)])  # a constant row spoils no other
    slope = jax.grad(lambda v: jnp.sum(stats.std(v, axis=1)))(rows)
    assert np.all(slope[0] == 0) and np.all(np.isfinite(slope))


def test_jnp_gives_nan_where_these_give_zero():
    x, mask = jnp.ones(5), np.arange(5) > 0
    assert np.all(np.isnan(jax.grad(jnp.std)(x)))
    assert np.all(jax.grad(stats.std)(x) == 0)
    spoiled = jnp.arange(5.0).at[0].set(jnp.nan)
    for theirs, ours in ((jnp.var, stats.var), (jnp.std, stats.std)):
        assert np.any(np.isnan(jax.grad(lambda v, f=theirs: f(v, where=mask))(spoiled)))
        slope = jax.grad(lambda v, f=ours: f(v, where=mask))(spoiled)
        assert np.all(np.isfinite(slope)) and slope[0] == 0
    constant = jax.grad(lambda v: jnp.corrcoef(v, jnp.arange(5.0))[0, 1])(x)
    assert np.all(np.isnan(constant))
    # our value is nan too, as documented, but it spoils no other lane's slope
    y = jnp.stack([x, jnp.arange(5.0) ** 2])
    other = jnp.broadcast_to(jnp.arange(5.0), (2, 5))
    slope = jax.grad(lambda v: stats.corr(v, other, axis=1)[1])(y)
    assert np.all(np.isfinite(slope)) and np.all(slope[0] == 0)


def test_corr_at_one():
    x, _ = draw((9,))
    for other in (2 * x, -4 * x, x):
        value, (dx, dy) = jax.value_and_grad(stats.corr, (0, 1))(x, other)
        assert abs(value) == 1
        assert np.all(np.abs(dx) <= 16 * U) and np.all(np.abs(dy) <= 16 * U)
    assert np.all(np.isfinite(jax.hessian(stats.corr)(x, 2 * x)))


def test_a_single_element_and_none():
    one = jnp.array([0.3])
    assert jax.grad(stats.mean)(one) == 1
    assert jax.grad(stats.var)(one) == 0 and jax.grad(stats.std)(one) == 0
    assert jax.grad(stats.var)(jnp.zeros((0,))).shape == (0,)
    masked = jax.grad(lambda v: stats.mean(v, where=np.zeros(3, bool)))(jnp.arange(3.0))
    assert np.all(masked == 0)


def test_complex_and_integers():
    z = jnp.asarray([1 + 2j, 3 - 1j, -2 + 0.5j], jnp.complex64)
    slope = jax.grad(stats.var)(z)
    expected = 2 * np.conj(np.asarray(z) - np.mean(np.asarray(z))) / 3
    np.testing.assert_allclose(slope, expected, rtol=1e-5)
    k = jnp.arange(5)
    w = jnp.ones(5)
    e2 = (np.arange(5) - 2.0) ** 2
    found = jax.grad(lambda w: stats.var(k, weights=w))(w)
    np.testing.assert_allclose(found, (e2 - e2.mean()) / 5, rtol=16 * U, atol=4 * U)


def test_large_arrays_have_the_same_rule():
    x, y = draw((20_001,))
    a, b = (np.asarray(v, np.float64) for v in (x, y))
    for name, expected in {
        "var": 2 * (a - a.mean()) / a.size,
        "cov": (b - b.mean()) / a.size,
    }.items():
        slope = jax.jit(jax.grad(sum_of(name)))(x, y)
        found = np.asarray(slope, np.float64)
        assert np.max(np.abs(found - expected)) * a.size <= 64 * U
