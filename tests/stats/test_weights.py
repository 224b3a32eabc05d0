"""Weights and masks: deletion and repetition to a bound, and what each kind divides by.

With reproducible=True both hold to the last bit; by default sums are about other pivots and in
another order, so that answers differ by a few roundings.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_cases import FLOAT, KINDS, NAMES, TWO, draw, every

from jfoundations import stats
from jfoundations.stats import Frequency, Probability, Reliability

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds

U = float(jnp.finfo(FLOAT).eps) / 2
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


def chosen(rng, n, kept):
    """Return a mask that keeps so many: one shape of what is left, one compilation."""
    mask = np.zeros(n, bool)
    mask[rng.choice(n, kept, replace=False)] = True
    return mask


def spoiled(rng, x, mask):
    """Put nan, infinities and huge numbers where the mask is off."""
    bad = rng.choice(np.array([np.nan, np.inf, -np.inf, 1e30], x.dtype), x.shape)
    return np.where(mask, x, bad)


# Deletion and repetition


def check(found, right):
    """Compare to the bound that two sums of the same numbers keep."""
    assert found.keys() == right.keys()
    for name in found:
        a, b = (np.asarray(v).astype(complex) for v in (found[name], right[name]))
        u = max(U, float(jnp.finfo(found[name].dtype).eps) / 2)
        # of products that cancel, what the factors' sizes leave
        size = {"cov": abs(right.get("var", 1)), "corr": 1}.get(name, 0)
        np.testing.assert_allclose(a, b, rtol=64 * u, atol=64 * u * float(size), err_msg=name)


EXACT = ("mean", "var", "std", "cov", "corr")


@pytest.mark.slow
def test_deletion_and_repetition_are_exact_where_sums_are_reproducible():
    rng = np.random.default_rng(0)
    x, y = draw(rng, 50)
    mask, k = chosen(rng, 50, 31), rng.multinomial(75, np.ones(50) / 50)
    exact = functools.partial(every, names=EXACT, reproducible=True)
    assert_same(exact(spoiled(rng, x, mask), y, where=mask), exact(x[mask], y[mask]))
    assert_same(exact(x, y, weights=k), exact(np.repeat(x, k), np.repeat(y, k)))


@pytest.mark.parametrize(("n", "kept"), SIZES)
@settings(few, max_examples=4)
@given(seed=seeds)
def test_where_is_deletion(n, kept, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, n)
    mask = chosen(rng, n, kept)
    bad = spoiled(rng, x, mask)
    check(every(bad, y, where=mask), every(x[mask], y[mask]))


@few
@given(seeds, sizes)
def test_omitted_nan_are_deleted(seed, size):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, size[0])
    mask = chosen(rng, *size)
    holes = np.where(mask, x, np.asarray(np.nan, FLOAT))
    check(every(holes, y, nan="omit"), every(x[mask], y[mask]))
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
    check(found, every(x[mask], y[mask], names, 1, weights=kind(w[mask])))
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
    check(every(x, y, weights=k), repeated)
    check(every(x, y, weights=Frequency(k.astype(FLOAT))), repeated)
    again = every(np.repeat(x, k), np.repeat(y, k), correction=1)
    check(every(x, y, weights=k, correction=1), again)


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
        check(every(x, y, FEW, 1, weights=ones), every(x, y, FEW, 1))


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
    check(every(hidden, v, where=mask), every(z[mask], v[mask]))
    k = rng.multinomial(75, np.ones(50) / 50)
    check(every(z, v, weights=k), every(np.repeat(z, k), np.repeat(v, k)))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.int32, jnp.uint8, jnp.float16, jnp.bfloat16])
def test_other_dtypes(dtype):
    rng = np.random.default_rng(7)
    x, y = (jnp.asarray(rng.integers(0, 2 if dtype == jnp.bool_ else 99, 50), dtype) for _ in "xy")
    mask = chosen(rng, 50, 31)
    check(every(x, y, where=mask), every(x[mask], y[mask]))
    k = rng.multinomial(75, np.ones(50) / 50)
    repeated = every(
        jnp.repeat(x, k, total_repeat_length=75), jnp.repeat(y, k, total_repeat_length=75)
    )
    check(every(x, y, weights=k), repeated)


def test_large_integers_under_a_mask():
    far = np.array([-(2**31), 2**30, 2**30 + 1, 2**30 + 2, 2**30 + 3, 2**30 + 4], np.int32)
    mask = np.arange(6) > 0
    assert float(stats.var(far, where=mask)) == 2.0
    assert float(stats.mean_abs_dev(far, where=mask)) == pytest.approx(1.2)
    assert float(stats.var(far, weights=mask.astype(np.int32))) == 2.0
    assert float(jnp.var(far, where=mask)) != 2.0  # rounded before they are shifted, outside x64
