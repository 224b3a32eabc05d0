"""Weights and masks: deletion and repetition to the last bit, and what each kind divides by."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, raises
from hypothesis import given, settings
from hypothesis import strategies as st

from jfoundations import stats
from jfoundations.stats import Frequency, Probability, Reliability

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds

FLOAT = np.dtype(jnp.result_type(float))
U = float(jnp.finfo(FLOAT).eps) / 2
ONE = ("mean", "var", "std", "mean_abs_dev")
TWO = ("cov", "corr")
NAMES = ONE + TWO
KINDS = (Frequency, Reliability, Probability)
CORRECTED = ("var", "std", "cov")
FEW = ("mean", "var", "cov")
LONG = pytest.mark.slow  # a new shape costs seconds to compile
SIZES = [  # elements, and how many stay
    (50, 31),
    pytest.param(3, 2, marks=LONG),
    pytest.param(1003, 600, marks=LONG),
    pytest.param(8192, 5000, marks=LONG),
]

few = settings(max_examples=6, deadline=None, database=None, derandomize=True)
seeds = st.integers(0, 2**31 - 1)
sizes = st.just((50, 31))


def draw(rng, shape):
    """Return a pair, dependent and far from zero."""
    x = rng.normal(50.0, 1.0, shape)
    y = x + rng.normal(-20.0, 2.0, shape)
    return np.asarray(x, FLOAT), np.asarray(y, FLOAT)


def chosen(rng, n, kept):
    """Return a mask that keeps so many: one shape of what is left, one compilation."""
    mask = np.zeros(n, bool)
    mask[rng.choice(n, kept, replace=False)] = True
    return mask


def spoiled(rng, x, mask):
    """Put nan, infinities and huge numbers where the mask is off."""
    bad = rng.choice(np.array([np.nan, np.inf, -np.inf, 1e30], x.dtype), x.shape)
    return np.where(mask, x, bad)


def call(name, x, y, **keywords):
    return getattr(stats, name)(*((x, y) if name in TWO else (x,)), **keywords)


@functools.partial(jax.jit, static_argnames=("names", "axis", "keepdims", "nan", "accuracy"))
def every(x, y, names=NAMES, correction=0, **keywords):
    """Return statistics of one pair, compiled together."""
    extra = {name: {"correction": correction} for name in CORRECTED}
    return {name: call(name, x, y, **keywords, **extra.get(name, {})) for name in names}


# Deletion and repetition, with ==


@pytest.mark.parametrize(("n", "kept"), SIZES)
@settings(few, max_examples=4)
@given(seed=seeds)
def test_where_is_deletion(n, kept, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, n)
    mask = chosen(rng, n, kept)
    bad = spoiled(rng, x, mask)
    assert_same(every(bad, y, where=mask), every(x[mask], y[mask]))


@few
@given(seeds, sizes)
def test_omitted_nan_are_deleted(seed, size):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, size[0])
    mask = chosen(rng, *size)
    holes = np.where(mask, x, np.asarray(np.nan, FLOAT))
    assert_same(every(holes, y, nan="omit"), every(x[mask], y[mask]))
    found = {name: float(v) for name, v in every(holes, y).items()}
    assert all(map(np.isnan, found.values()))  # propagated by default


@few
@given(seeds)
def test_pairs_are_dropped_whole(seed):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, 50)
    mask = chosen(rng, 50, 31)
    in_x = rng.random(50) < 0.5  # each hole in one of the two
    a = np.where(mask | ~in_x, x, np.asarray(np.nan, FLOAT))
    b = np.where(mask | in_x, y, np.asarray(np.nan, FLOAT))
    assert_same(every(a, b, TWO, nan="omit"), every(x, y, TWO, where=mask))
    # and with a mask that hides one more
    more = mask.copy()
    more[np.argmax(mask)] = False
    assert_same(every(a, b, TWO, nan="omit", where=more), every(x, y, TWO, where=more))


@pytest.mark.parametrize("kind", [Frequency, *(pytest.param(k, marks=LONG) for k in KINDS[1:])])
@settings(few, max_examples=4)
@given(seed=seeds, size=sizes)
def test_weight_zero_is_deletion_even_of_nan(kind, seed, size):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, size[0])
    mask = chosen(rng, *size)
    w = np.asarray(rng.uniform(0.5, 2.0, size[0]), FLOAT)
    names = ("mean", "std", "mean_abs_dev", "corr") if kind is Frequency else FEW
    off = kind(np.where(mask, w, 0).astype(FLOAT))
    found = every(spoiled(rng, x, mask), y, names, 1, weights=off)
    assert_same(found, every(x[mask], y[mask], names, 1, weights=kind(w[mask])))
    # where= hides a weight too, whatever it is
    negative = np.where(mask, w, -1).astype(FLOAT)
    assert_same(every(x, y, names, 1, weights=kind(negative), where=mask), found)


@pytest.mark.parametrize(
    ("n", "total"),
    [(50, 75), *(pytest.param(*s, marks=LONG) for s in ((3, 4), (1003, 1500), (2500, 8192)))],
)
@settings(few, max_examples=4)
@given(seed=seeds)
def test_frequency_is_repetition(n, total, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, n)
    k = rng.multinomial(total, np.ones(n) / n)
    repeated = every(np.repeat(x, k), np.repeat(y, k))
    assert_same(every(x, y, weights=k), repeated)
    assert_same(every(x, y, weights=Frequency(k.astype(FLOAT))), repeated)
    again = every(np.repeat(x, k), np.repeat(y, k), correction=1)
    assert_same(every(x, y, weights=k, correction=1), again)


@pytest.mark.slow
def test_large_arrays_keep_the_laws_to_rounding():
    rng = np.random.default_rng(0)
    n, kept = 60_000, 30_000
    x, y = draw(rng, n)
    for _ in range(3):
        mask = chosen(rng, n, kept)
        bad = spoiled(rng, x, mask)
        deleted = every(x[mask], y[mask])
        for options in ({"where": mask}, {"weights": mask.astype(np.int32)}):
            found = every(bad, y, **options)
            for name in NAMES:
                np.testing.assert_allclose(found[name], deleted[name], rtol=64 * U, err_msg=name)
        found = every(bad, y, FEW, where=mask, accuracy="high")
        assert_same(found, every(x[mask], y[mask], FEW, accuracy="high"))


def test_weights_of_one_and_bools_are_masks():
    rng = np.random.default_rng(0)
    x, y = draw(rng, 50)
    mask = chosen(rng, 50, 31)
    assert_same(every(x, y, weights=mask), every(x, y, where=mask))
    for kind in KINDS:
        ones = kind(np.ones(50, FLOAT))
        assert_same(every(x, y, FEW, 1, weights=ones), every(x, y, FEW, 1))


# What each kind divides by


def textbook(name, x, y, w, kind, correction, axis=None):
    """Return a weighted statistic by its formula in double precision."""
    x, y, w = (np.asarray(v, np.float64) for v in (x, y, np.broadcast_to(w, x.shape)))
    total = w.sum(axis, keepdims=True)
    n = (w > 0).sum(axis, keepdims=True)
    free = {
        Frequency: total - correction,
        Reliability: total - correction * (w * w).sum(axis, keepdims=True) / total,
        Probability: total * (n - correction) / n,
    }[kind]
    ex, ey = (v - (w * v).sum(axis, keepdims=True) / total for v in (x, y))
    add = lambda v: (w * v).sum(axis, keepdims=True)  # noqa: E731
    value = {
        "mean": lambda: add(x) / total,
        "mean_abs_dev": lambda: add(np.abs(ex)) / total,
        "var": lambda: add(ex * ex) / free,
        "std": lambda: np.sqrt(add(ex * ex) / free),
        "cov": lambda: add(ex * ey) / free,
        "corr": lambda: add(ex * ey) / np.sqrt(add(ex * ex) * add(ey * ey)),
    }[name]()
    return np.squeeze(value, axis)


AXES = [(0, 2), *(pytest.param(a, marks=LONG) for a in (None, (1, 2)))]


@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_denominators(kind, axis):
    rng = np.random.default_rng(1)
    x, y = draw(rng, (4, 3, 5))
    w = np.asarray(rng.uniform(0.5, 3.0, (3, 1)) * (rng.random((4, 3, 5)) < 0.8), FLOAT)
    where = rng.random((3, 5)) < 0.9
    whole = np.where(where, w, 0)
    for correction in (0, 1, 0.5):
        found = every(x, y, NAMES, correction, axis=axis, weights=kind(w), where=where)
        for name in NAMES:
            expected = textbook(name, x, y, whole, kind, correction, axis)
            assert found[name].dtype == FLOAT and found[name].shape == expected.shape
            np.testing.assert_allclose(found[name], expected, rtol=64 * U, err_msg=name)


def test_the_scale_of_reliability_and_probability_weights_does_not_matter():
    rng = np.random.default_rng(2)
    x, y = draw(rng, 50)
    w = np.asarray(rng.uniform(0.1, 2.0, 50), FLOAT)
    for kind in (Reliability, Probability):
        one, four = (every(x, y, FEW, 1, weights=kind(FLOAT.type(s) * w)) for s in (1, 4))
        assert_same(one, four)


def test_numpy_agrees_on_frequencies_and_reliabilities():
    rng = np.random.default_rng(3)
    x, y = draw(rng, 50)
    k = rng.integers(0, 5, 50)
    w = rng.uniform(0.1, 2.0, 50)
    pair = np.stack([x, y]).astype(np.float64)
    counted = np.cov(pair, fweights=k, ddof=1)[0, 1]
    trusted = np.cov(pair, aweights=w, ddof=1)[0, 1]
    np.testing.assert_allclose(stats.cov(x, y, weights=k, correction=1), counted, rtol=64 * U)
    found = stats.cov(x, y, weights=Reliability(w.astype(FLOAT)), correction=1)
    np.testing.assert_allclose(found, trusted, rtol=64 * U)
    np.testing.assert_allclose(stats.mean(x, weights=k), np.average(pair[0], weights=k), rtol=4 * U)


# Forms: broadcasting, axes, together


@pytest.mark.parametrize("axis", [0, *(pytest.param(a, marks=LONG) for a in (None, (0, 1)))])
def test_masks_and_weights_broadcast(axis):
    rng = np.random.default_rng(4)
    x, y = draw(rng, (4, 6))
    row, column = np.arange(6) % 3 > 0, np.arange(4)[:, None] != 2
    w = np.asarray(rng.integers(1, 4, 6), FLOAT)
    run = functools.partial(every, x, y, ("cov",), axis=axis, keepdims=True)
    full = functools.partial(np.broadcast_to, shape=x.shape)
    for mask in (row, column, True):
        assert_same(run(where=mask), run(where=full(mask)))
    found = run(where=column, weights=w)
    assert_same(found, run(where=full(column), weights=full(w)))
    assert_same(found, run(weights=(w * column).astype(FLOAT)))


def test_an_axis_is_its_lanes():
    rng = np.random.default_rng(5)
    x, y = draw(rng, (4, 6))
    mask, w = rng.random((4, 6)) < 0.7, np.asarray(rng.integers(1, 4, (4, 6)), FLOAT)
    found = every(x, y, ("mean", "corr"), axis=-1, where=mask, weights=w)
    one = lambda *a: every(a[0], a[1], ("mean", "corr"), where=a[2], weights=a[3])  # noqa: E731
    rows = [one(x[i], y[i], mask[i], w[i]) for i in range(4)]
    assert_same(found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows))
    assert_same(found, jax.vmap(one)(x, y, mask, w))


def test_kinds_pass_through_jit_and_vmap():
    x = jnp.arange(6.0).reshape(2, 3)
    w = Reliability(jnp.array([[1.0, 2.0, 3.0], [3.0, 1.0, 0.0]]))
    one = lambda x, w: stats.var(x, weights=w, correction=1)  # noqa: E731
    rows = jnp.stack([one(x[i], Reliability(w.values[i])) for i in range(2)])
    assert_same(jax.jit(jax.vmap(one))(x, w), rows)


@pytest.mark.slow
def test_complex_data():
    rng = np.random.default_rng(6)
    z = (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(np.complex64)
    v = (z * (2 + 1j) + rng.normal(size=50)).astype(np.complex64)
    mask = chosen(rng, 50, 31)
    hidden = np.where(mask, z, np.complex64(complex(np.nan, np.inf)))
    assert_same(every(hidden, v, where=mask), every(z[mask], v[mask]))
    k = rng.multinomial(75, np.ones(50) / 50)
    assert_same(every(z, v, weights=k), every(np.repeat(z, k), np.repeat(v, k)))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.int32, jnp.uint8, jnp.float16, jnp.bfloat16])
def test_other_dtypes(dtype):
    rng = np.random.default_rng(7)
    x, y = (jnp.asarray(rng.integers(0, 2 if dtype == jnp.bool_ else 99, 50), dtype) for _ in "xy")
    mask = chosen(rng, 50, 31)
    assert_same(every(x, y, where=mask), every(x[mask], y[mask]))
    k = rng.multinomial(75, np.ones(50) / 50)
    repeated = every(
        jnp.repeat(x, k, total_repeat_length=75), jnp.repeat(y, k, total_repeat_length=75)
    )
    assert_same(every(x, y, weights=k), repeated)


def test_large_integers_under_a_mask():
    far = np.array([-(2**31), 2**30, 2**30 + 1, 2**30 + 2, 2**30 + 3, 2**30 + 4], np.int32)
    mask = np.arange(6) > 0
    assert float(stats.var(far, where=mask)) == 2.0
    assert float(stats.mean_abs_dev(far, where=mask)) == pytest.approx(1.2)
    assert float(stats.var(far, weights=mask.astype(np.int32))) == 2.0
    assert float(jnp.var(far, where=mask)) != 2.0  # rounded before they are shifted, outside x64


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
    assert stats.var(x, where=mask) == stats.var(x[:3])
    assert np.isnan(jnp.average(x, weights=mask.astype(np.float32)))  # 0 * nan
    assert stats.mean(x, weights=mask.astype(np.float32)) == stats.mean(x[:3])
    slope = jax.grad(lambda v: jnp.var(v, where=mask))(x)
    assert np.isnan(slope).any()  # jnp subtracts before it selects
    assert np.isfinite(jax.grad(lambda v: stats.var(v, where=mask))(x)).all()
