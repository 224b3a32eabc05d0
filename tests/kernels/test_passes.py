"""Arrays that are read in blocks: the exact laws, and digits against exact arithmetic."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.accuracy import correct_digits, designs, digits_of_variance, exact_moments
from helpers import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import PartitionSpec

from jfoundations import stats

pytestmark = pytest.mark.slow  # a compilation a shape and function: minutes, not seconds

FLOAT = np.dtype(jnp.result_type(float))
LONG = pytest.mark.slow
LAYOUTS = [  # shape and axis; from 2**13 elements on arrays are cut into 64 blocks
    ((9001,), None),
    ((131, 67), 0),
    ((131, 67), -1),
    pytest.param((131, 67), None, marks=LONG),
    pytest.param((50_003,), None, marks=LONG),
    pytest.param((5003, 3), 0, marks=LONG),
    pytest.param((3, 5003), -1, marks=LONG),
    pytest.param((7, 300, 6), 1, marks=LONG),
    pytest.param((7, 300, 6), (0, 2), marks=LONG),
]
layouts = pytest.mark.parametrize(("shape", "axis"), LAYOUTS, ids=str)
few = settings(max_examples=5, deadline=None, database=None, derandomize=True)
seeds = st.integers(0, 2**31 - 1)


@functools.partial(jax.jit, static_argnames=("axis", "accuracy"))
def every(x, y, axis=None, accuracy="default"):
    one, two = (stats.mean, stats.var, stats.std), (stats.cov, stats.corr)
    given_ = {"axis": axis, "accuracy": accuracy}
    return {f.__name__: f(x, **given_) for f in one} | {f.__name__: f(x, y, **given_) for f in two}


@functools.partial(jax.jit, static_argnames=("axis", "accuracy"))
def inside_a_larger_program(x, y, axis=None, accuracy="default"):
    given_ = {"axis": axis, "accuracy": accuracy}
    return stats.var(x * 2, **given_), stats.cov(x * 2, y * 2, **given_), jnp.sum(jnp.sin(x) * y)


def draw(seed, shape, mean=3.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, 1.0, shape)
    return x.astype(np.float32), (x + rng.normal(0.0, 1.0, shape)).astype(np.float32)


# Laws with ==


@layouts
@few
@given(seed=seeds, power=st.integers(-15, 15))
def test_constants(shape, axis, seed, power):
    c = np.float32(np.random.default_rng(seed).normal() * 10.0**power)
    x = np.full(shape, c)
    found = every(x, x, axis)
    assert np.all(found["mean"] == c)
    assert all(np.all(found[name] == 0) for name in ("var", "std", "cov"))
    assert np.all(np.isnan(found["corr"]))


@layouts
@few
@given(seed=seeds)
def test_translations_that_are_exact(shape, axis, seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(-512, 512, shape).astype(np.float32)
    y = rng.integers(-512, 512, shape).astype(np.float32)
    c = np.float32(rng.integers(-(2**22), 2**22))
    a, b = every(x, y, axis), every(x + c, y - c, axis)
    assert_same({**a, "mean": 0}, {**b, "mean": 0})


@layouts
@few
@given(seed=seeds, k=st.integers(-40, 40))
def test_powers_of_two(shape, axis, seed, k):
    x, y = draw(seed, shape)
    s = np.float32(2.0**k)
    a, b = every(x, y, axis), every(x * s, y * s, axis)
    for name, power in {"mean": 1, "var": 2, "std": 1, "cov": 2, "corr": 0}.items():
        assert_same(a[name] * s**power, b[name])


@layouts
@few
@given(seed=seeds, mean=st.sampled_from([0.0, 100.0, 1e4]))
def test_var_is_cov_in_every_program(shape, axis, seed, mean):
    x, y = draw(seed, shape, mean)
    copy = x.copy()
    found = every(x, copy, axis)
    assert_same(found["var"], found["cov"])
    assert np.all(found["corr"] == 1)
    larger = inside_a_larger_program(x, copy, axis)
    assert_same(larger[0], larger[1])
    assert_same(larger[0], 4 * found["var"])
    assert_same(every(x, y, axis)["var"], found["var"])
    assert_same(every(x, y, axis)["corr"], every(y, x, axis)["corr"])
    assert np.all(np.abs(every(x, y, axis)["corr"]) <= 1)


def test_one_program_and_two_are_one():
    x, y = draw(0, (9001,), 100.0)
    assert_same(stats.var(x), every(x, y)["var"])  # called by itself, compiled with others
    assert_same(stats.cov(x, x.copy()), stats.var(x))
    assert_same(stats.corr(x, y), every(x, y)["corr"])
    far = np.float32(2.0**90)
    assert_same(every(x * far, y / far)["corr"], every(x, y)["corr"])
    assert_same(every(x / far, y)["corr"], every(x, y)["corr"])


@LONG
def test_high_accuracy_keeps_the_laws():
    x, _ = draw(1, (9001,), 100.0)
    found = every(x, x.copy(), accuracy="high")
    assert_same(found["var"], found["cov"])
    assert found["corr"] == 1
    assert_same(every(4 * x, 4 * x, accuracy="high")["var"], 16 * found["var"])


# Transforms


def test_vmap_is_a_row_each():
    x, _ = draw(2, (3, 9001))
    for f in (stats.mean, stats.var):
        assert_same(jax.jit(jax.vmap(f))(x), jnp.stack([f(row) for row in x]))


@LONG
def test_vmap_of_rows_of_which_one_needs_a_second_pass():
    x, _ = draw(2, (3, 9001))
    x[1, ::512] = 1e6
    x[2] *= np.float32(1e-25)
    found = jax.vmap(stats.std)(x)
    assert_same(found, jnp.stack([stats.std(row) for row in x]))
    for value, row in zip(found, x, strict=True):
        assert digits_of_variance(float(value), exact_moments(row)[1], 7.22) >= 6.2


def test_scan_and_grad_take_it():
    x, _ = draw(3, (2, 9001))
    _, found = jax.lax.scan(lambda c, row: (c, stats.var(row)), 0, x)
    assert_same(found, jnp.stack([stats.var(row) for row in x]))


def test_shard_map_is_each_shard():
    devices = jax.devices()
    assert len(devices) == 8
    mesh = jax.sharding.Mesh(np.array(devices), ("d",))
    x, y = draw(4, (8, 9001))
    split = PartitionSpec("d")

    def shard(x, y):
        a, b = x[0], y[0]
        return jnp.stack([stats.mean(a), stats.var(a), stats.corr(a, b)])[None]

    run = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=(split, split), out_specs=split))
    rows = [every(a, b) for a, b in zip(x, y, strict=True)]
    expected = jnp.stack([jnp.stack([r["mean"], r["var"], r["corr"]]) for r in rows])
    assert_same(run(x, y), expected)


# Digits

SMALL = 2**18
DESIGNS = designs(SMALL)
million = functools.cache(designs)


@pytest.mark.parametrize("design", DESIGNS)
def test_digits_on_hard_designs(design):
    x = DESIGNS[design]
    mean, deviation = exact_moments(x)
    goals = {"default": 6.2, "high": 6.8}
    for accuracy, goal in goals.items():
        found = _both(x, accuracy)
        digits = digits_of_variance(float(found[1]), deviation, 7.22)
        assert digits >= goal, (accuracy, digits)
        # of the mean, the digits that its distance to the data's spread leaves
        assert abs(float(found[0]) - mean) <= 4 * 2.0**-24 * max(abs(mean), deviation)


@functools.partial(jax.jit, static_argnums=1)
def _both(x, accuracy):
    return stats.mean(x, accuracy=accuracy), stats.std(x, accuracy=accuracy)


@LONG
@pytest.mark.parametrize("design", DESIGNS)
def test_digits_on_a_million(design):
    x = million()[design]
    _, deviation = exact_moments(x)
    for accuracy, goal in {"default": 6.2, "high": 6.8}.items():
        digits = digits_of_variance(float(_both(x, accuracy)[1]), deviation, 7.22)
        assert digits >= goal, (accuracy, digits)


def test_the_textbook_loses_what_these_keep():
    x = DESIGNS["offset 1e4"]
    _, deviation = exact_moments(x)
    naive = float(jnp.mean(x * x) - jnp.mean(x) ** 2)
    assert correct_digits(naive, deviation**2, 7.22) < 1
    assert correct_digits(float(stats.var(x)), deviation**2, 7.22) >= 6.2


def test_many_short_columns():
    # the certificate lets four bits go: many columns find the worst of them; "high" does not
    x = np.random.default_rng(5).normal(100.0, 1.0, (300, 64)).astype(np.float32)
    exact = [exact_moments(column)[1] for column in x.T]
    for accuracy, goal in {"default": 5.5, "high": 6.8}.items():
        found = stats.std(x, axis=0, accuracy=accuracy)
        digits = [digits_of_variance(float(f), e, 7.22) for f, e in zip(found, exact, strict=True)]
        assert min(digits) >= goal, (accuracy, min(digits))


def test_masks_of_more_than_a_word_are_counted():
    n = 2**24 + 3
    keep = np.arange(n) > 0
    assert int(stats.describe(np.ones(n, np.float32), where=keep).count) == n - 1
