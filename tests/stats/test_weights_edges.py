"""Weights and masks at the edges: nothing left, bad weights, constants, messages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, raises
from weight_cases import CORRECTED, FLOAT, KINDS, NAMES, ONE, call, draw, every

from jfoundations import stats
from jfoundations.stats import Probability, Reliability

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds


# Documented values


def all_nan(found):
    return all(np.isnan(v).all() for v in found.values())


def test_nothing_left_is_nan():
    x, y = draw(np.random.default_rng(8), 5)
    assert all_nan(every(x, y, where=np.zeros(5, bool)))
    assert np.isnan(stats.var(np.full(5, np.nan, FLOAT), nan="omit"))
    both = {"weights": np.ones(5, FLOAT), "where": np.zeros(5, bool)}
    assert all_nan(every(x, y, **both))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_no_weight_and_bad_weights_are_nan(kind):
    x, y = draw(np.random.default_rng(9), 5)
    for bad in ([0, 0, 0, 0, 0], [1, 2, -1, 1, 1], [1, 2, np.nan, 1, 1]):
        assert all_nan(every(x, y, weights=kind(np.array(bad, FLOAT)))), bad


def test_one_left_has_no_spread_and_too_few_give_nan():
    x, y = draw(np.random.default_rng(10), 5)
    one = np.arange(5) == 3
    found = every(x, y, where=one)
    assert np.isnan(found.pop("corr")) and found.pop("mean") == x[3]
    assert all(v == 0 for v in found.values())
    assert all_nan(every(x, y, CORRECTED, 1, where=one))
    assert all_nan(every(x, y, CORRECTED, 1, weights=one.astype(np.int32)))
    thrice = np.where(one, 3, 0)  # seen three times: no spread, but three observations
    assert stats.var(x, weights=thrice, correction=1) == 0
    assert np.isnan(stats.var(x, weights=Probability(thrice), correction=1))
    assert np.isnan(stats.var(x, weights=Reliability(thrice), correction=1))


def test_constants_under_masks_and_weights():
    rng = np.random.default_rng(11)
    for c in rng.normal(size=8).astype(FLOAT):
        x = np.full(50, c)
        for options in ({"where": rng.random(50) < 0.5}, {"weights": rng.random(50).astype(FLOAT)}):
            found = every(x, x, ONE, **options)
            assert_same(found.pop("mean"), jnp.asarray(c))
            assert all(v == 0 for v in found.values())


def test_infinities_that_count():
    x = np.array([np.inf, 1.0, np.nan], FLOAT)
    assert stats.mean(x, where=np.array([True, True, False])) == np.inf
    assert stats.mean(x, nan="omit") == np.inf
    assert stats.mean(x, weights=np.array([0, 1, 0])) == 1
    assert np.isnan(stats.var(x, nan="omit"))


# Messages

BAD = {
    "where of numbers": (
        {"where": np.ones(3, np.int32)},
        TypeError,
        ["where has dtype int32, a bool array is needed", "weights="],
    ),
    "where of text": ({"where": "all"}, TypeError, ["where is str"]),
    "where too long": (
        {"where": np.ones(4, bool)},
        ValueError,
        ["where has shape (4,), which does not broadcast to x's (3,)"],
    ),
    "where of more axes": (
        {"where": np.ones((2, 3), bool)},
        ValueError,
        ["where has shape (2, 3)"],
    ),
    "weights too long": (
        {"weights": np.ones(4, np.float32)},
        ValueError,
        ["weights has shape (4,), which does not broadcast to x's (3,)"],
    ),
    "weights of a kind": (
        {"weights": Reliability(np.ones((2, 1), np.float32))},
        ValueError,
        ["weights has shape (2, 1)"],
    ),
    "complex weights": (
        {"weights": np.ones(3, np.complex64)},
        TypeError,
        ["weights are complex; give real ones"],
    ),
    "text for weights": ({"weights": ["a", "b", "c"]}, TypeError, ["weights is list"]),
    "nan": ({"nan": "drop"}, ValueError, ["nan is 'drop'; it must be 'propagate' or 'omit'"]),
    "accuracy": ({"accuracy": "best"}, ValueError, ["accuracy is 'best'"]),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", BAD)
def test_messages(case, name):
    options, kind, parts = BAD[case]
    x = np.ones(3, np.float32)
    with raises(kind, f"{name}: ", *parts):
        call(name, x, x, **options)
    with raises(kind, f"{name}: ", *parts):  # while tracing, too
        jax.eval_shape(lambda x: call(name, x, x, **options), x)


def test_what_jnp_makes_of_masked_nan_and_weights():
    x = np.array([1.0, 2.0, 4.0, np.nan], np.float32)
    mask = ~np.isnan(x)
    near = pytest.approx(float(stats.var(x[:3])), rel=1e-6)
    assert float(stats.var(x, where=mask)) == near
    assert np.isnan(jnp.average(x, weights=mask.astype(np.float32)))  # 0 * nan
    near = pytest.approx(float(stats.mean(x[:3])), rel=1e-6)
    assert float(stats.mean(x, weights=mask.astype(np.float32))) == near
    slope = jax.grad(lambda v: jnp.var(v, where=mask))(x)
    assert np.isnan(slope).any()  # jnp subtracts before it selects
    assert np.isfinite(jax.grad(lambda v: stats.var(v, where=mask))(x)).all()
