"""The statistics of arrays against NumPy in double precision, and their documented edge cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfoundations import stats
from jfoundations.testing import checks, laws, strategies

LESSON = [1.0, 2.0, 4.0, 18.0]
ONE = ["mean", "var", "std", "mean_abs_dev"]
TWO = ["cov", "corr"]
CORRECTED = ["var", "std", "cov"]


def np_mean_abs_dev(x, axis=None, keepdims=False):
    return np.mean(np.abs(x - np.mean(x, axis=axis, keepdims=True)), axis=axis, keepdims=keepdims)


def np_cov(x, y, axis=None, keepdims=False, correction=0):
    rests = [v - np.mean(v, axis=axis, keepdims=True) for v in (x, y)]
    product = rests[0] * np.conj(rests[1])
    n = product.size / np.mean(product, axis=axis).size
    return np.sum(product, axis=axis, keepdims=keepdims) / (n - correction)


def np_corr(x, y, axis=None, keepdims=False):
    spread = np.std(x, axis=axis, keepdims=keepdims) * np.std(y, axis=axis, keepdims=keepdims)
    return np_cov(x, y, axis, keepdims) / spread


REFERENCE = {
    "mean": np.mean,
    "var": lambda x, correction=0, **k: np.var(x, ddof=correction, **k),
    "std": lambda x, correction=0, **k: np.std(x, ddof=correction, **k),
    "mean_abs_dev": np_mean_abs_dev,
    "cov": np_cov,
    "corr": np_corr,
}


def draw(shape, seed=0, dtype=None):
    return jnp.asarray(np.random.default_rng(seed).normal(3.0, 2.0, shape), dtype)


def call(name, x, **keywords):
    others = [x[::-1] * 2 + jnp.square(x)] if name in TWO else []
    return getattr(stats, name)(x, *others, **keywords)


def reference(name, x, **keywords):
    x = np.asarray(x, np.complex128 if jnp.iscomplexobj(x) else np.float64)
    others = [x[::-1] * 2 + np.square(x)] if name in TWO else []
    return REFERENCE[name](x, *others, **keywords)


@pytest.mark.parametrize("name", ONE + TWO)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1,), (-1, 0, 1)], ids=str)
def test_axes(name, axis, keepdims):
    x = draw((4, 3, 5))
    found = call(name, x, axis=axis, keepdims=keepdims)
    expected = reference(name, x, axis=axis, keepdims=keepdims)
    assert found.shape == np.shape(expected) and found.dtype == x.dtype
    np.testing.assert_allclose(found, expected, rtol=3e-5)


def test_no_axis_at_all_leaves_every_element_alone():
    x = draw((2, 3))
    assert np.all(stats.mean(x, axis=()) == x)
    assert np.all(stats.var(x, axis=()) == 0)


@pytest.mark.parametrize("name", CORRECTED)
@pytest.mark.parametrize("correction", [0, 1, 2.5, -1])
def test_correction(name, correction):
    x = draw((7,))
    found = call(name, x, correction=correction)
    np.testing.assert_allclose(found, reference(name, x, correction=correction), rtol=1e-5)


def test_the_lessons_numbers():
    assert float(stats.mean(LESSON)) == 6.25
    assert float(stats.var(LESSON)) == 47.1875
    assert float(stats.mean_abs_dev(LESSON)) == 5.875
    assert stats.std(LESSON) == jnp.sqrt(jnp.asarray(47.1875))
    assert float(stats.var(LESSON, correction=1)) == pytest.approx(62.916666, rel=1e-6)
    assert float(stats.corr(LESSON, LESSON)) == 1.0
    assert float(stats.corr(LESSON, [-2 * t for t in LESSON])) == -1.0


@pytest.mark.parametrize("name", ONE + TWO)
def test_a_large_offset(name):
    x = jnp.asarray(np.random.default_rng(3).normal(1e4, 1.0, 1000), jnp.float32)
    y = jnp.asarray(np.random.default_rng(4).normal(-3e4, 1.0, 1000), jnp.float32) + x
    arguments = (x, y) if name in TWO else (x,)
    exact = REFERENCE[name](*(np.asarray(a, np.float64) for a in arguments))
    assert float(getattr(stats, name)(*arguments)) == pytest.approx(float(exact), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("design", ["normal", "sorted", "outlier first"])
def test_many_elements(design):
    x = np.random.default_rng(5).normal(100.0, 1.0, 2**20)
    x = np.sort(x) if design == "sorted" else x
    x[0] = 1e7 if design == "outlier first" else x[0]
    x = jnp.asarray(x, jnp.float32)
    exact = np.asarray(x, np.float64)
    assert float(stats.mean(x)) == pytest.approx(exact.mean(), rel=1e-6)
    assert float(stats.var(x)) == pytest.approx(exact.var(), rel=1e-5)
    checks.assert_same(stats.var(x), stats.cov(x, x))
    assert stats.var(x - 64) == stats.var(x)
    assert stats.var(jnp.full_like(x, 0.1)) == 0


# Dtypes


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int32, jnp.uint32, jnp.bool_])
@pytest.mark.parametrize("name", ONE + ["cov"])
def test_integers_and_bools_become_the_default_float(name, dtype):
    x = jnp.asarray([0, 1, 1, 0, 1, 1, 1], dtype)
    found = getattr(stats, name)(*[x] * (2 if name in TWO else 1))
    assert found.dtype == jnp.result_type(float)
    exact = REFERENCE[name](*[np.asarray(x, np.float64)] * (2 if name in TWO else 1))
    assert float(found) == pytest.approx(float(exact), rel=1e-6)


def test_large_integers_are_pivoted_before_the_cast():
    k = np.array([0, 1, 2, 3, 10])
    for start in (2**30, -(2**31), 2**31 - 11):
        x = jnp.asarray(start + k, jnp.int32)
        assert float(stats.var(x)) == pytest.approx(np.var(k), rel=1e-6)
        assert float(stats.corr(x, jnp.asarray(k, jnp.int32))) == 1.0
    whole = jnp.asarray([-(2**31), 2**31 - 1], jnp.int32)
    assert float(stats.std(whole)) == pytest.approx(2**31, rel=1e-6)
    assert float(stats.std(jnp.asarray([0, 2**32 - 1], jnp.uint32))) == pytest.approx(
        2**31, rel=1e-6
    )
    assert float(stats.mean(jnp.asarray([120, 127], jnp.int8))) == 123.5


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_accumulates_in_single(dtype):
    x = jnp.asarray(np.random.default_rng(6).normal(1000.0, 300.0, 5000), dtype)
    exact = np.asarray(x).astype(np.float64)
    found = stats.std(x)
    eps = float(jnp.finfo(dtype).eps)
    assert found.dtype == dtype and float(found) == pytest.approx(exact.std(), rel=eps)
    assert float(stats.mean(x)) == pytest.approx(exact.mean(), rel=eps)
    assert float(stats.mean_abs_dev(x)) == pytest.approx(np_mean_abs_dev(exact), rel=eps)
    assert float(stats.corr(x, -x)) == -1.0


def test_complex():
    rng = np.random.default_rng(7)
    x, y = (
        jnp.asarray(rng.normal(size=50) + 1j * rng.normal(size=50), jnp.complex64) for _ in "ab"
    )
    x = x + (3 - 2j)
    a, b = (np.asarray(v, np.complex128) for v in (x, y))
    assert stats.var(x).dtype == stats.std(x).dtype == jnp.float32
    assert complex(stats.mean(x)) == pytest.approx(complex(a.mean()), rel=1e-6)
    assert float(stats.var(x)) == pytest.approx(a.var(), rel=1e-6)
    assert complex(stats.cov(x, y)) == pytest.approx(complex(np_cov(a, b)), rel=1e-4)
    assert stats.cov(x, y) == jnp.conj(stats.cov(y, x))
    assert stats.cov(x, x).real == stats.var(x) and stats.cov(x, x).imag == 0
    assert complex(stats.corr(x, y)) == pytest.approx(complex(np_corr(a, b)), rel=1e-4)
    assert stats.corr(x, x) == 1 and jnp.abs(stats.corr(x, x * 1j)) <= 1


# Documented values


def test_empty_is_nan():
    nothing = jnp.zeros((0,))
    for name in ONE + TWO:
        arguments = [nothing] * (2 if name in TWO else 1)
        assert np.isnan(getattr(stats, name)(*arguments))
    wide = stats.mean(jnp.zeros((0, 3)), axis=0)
    assert wide.shape == (3,) and np.all(np.isnan(wide))
    assert stats.var(jnp.zeros((0, 3)), axis=1).shape == (0,)


@pytest.mark.parametrize("name", CORRECTED)
def test_n_up_to_the_correction_is_nan(name):
    for n, correction in ((1, 1), (2, 2), (2, 3), (1, 1.5)):
        arguments = [jnp.arange(float(n))] * (2 if name in TWO else 1)
        assert np.isnan(getattr(stats, name)(*arguments, correction=correction))


def test_one_element_has_no_spread():
    for name in ("var", "std", "mean_abs_dev"):
        assert getattr(stats, name)(jnp.array([0.1])) == 0
    assert stats.cov(jnp.array([0.1]), jnp.array([7.0])) == 0
    assert stats.mean(3) == 3.0 and stats.var(jnp.float32(2)) == 0


def test_corr_of_a_constant_is_nan():
    x = jnp.arange(4.0)
    assert np.isnan(stats.corr(x, jnp.ones(4))) and np.isnan(stats.corr(jnp.ones(4), jnp.ones(4)))


def test_infinities():
    assert stats.mean(jnp.array([jnp.inf, 1.0])) == jnp.inf
    assert stats.mean(jnp.array([1.0, -jnp.inf])) == -jnp.inf
    assert np.isnan(stats.mean(jnp.array([1.0, jnp.nan])))
    assert np.isnan(stats.var(jnp.array([jnp.nan, 1.0])))


def test_corr_far_out_is_not_one():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=100), rng.normal(size=100)
    y = x + y
    r = stats.corr(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    assert float(r) == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-5)
    for far in (1e-19, 1e-30, 1e30):
        tiny = stats.corr(jnp.asarray(far * x, jnp.float32), jnp.asarray(y, jnp.float32))
        assert float(tiny) == pytest.approx(float(r), rel=1e-5)
    scaled = jnp.asarray(x, jnp.float32) * 2.0**-90, jnp.asarray(y, jnp.float32) * 2.0**90
    assert stats.corr(*scaled) == r


# Exact laws, on more designs than the default


@pytest.mark.parametrize("length", [3, 4097])
def test_exact_laws_on_ill_conditioned_samples(length):
    hard = strategies.ill_conditioned(length=length)
    laws.var_is_cov(stats.var, stats.cov, samples=hard, max_examples=15)
    rows = strategies.arrays(shape=(3, 7))
    laws.var_is_cov(
        lambda x: stats.var(x, axis=-1, correction=1),
        lambda x, y: stats.cov(x, y, axis=-1, correction=1),
        samples=rows,
        max_examples=5,
    )


def test_cov_is_symmetric():
    x, y = draw((100,), 1), draw((100,), 2)
    assert stats.cov(x, y) == stats.cov(y, x)
    assert jax.jit(stats.cov)(x, y) == jax.jit(stats.cov)(y, x)


def test_jnp_fails_where_these_do_not():
    constants = jnp.asarray(np.random.default_rng(10).normal(size=(50, 1000)), jnp.float32)[:, :1]
    rows = jnp.broadcast_to(constants, (50, 1000))
    assert np.all(stats.var(rows, axis=1) == 0)
    assert np.all(stats.mean(rows, axis=1) == constants[:, 0])
    assert np.count_nonzero(jnp.var(rows, axis=1)) > 10


def test_under_transforms():
    x = draw((5, 8))
    for name in ONE:
        checks.assert_jit_invariant(getattr(stats, name), x, ulp=2)
        checks.assert_vmap_invariant(getattr(stats, name), x, ulp=2)
    slope = jax.grad(stats.mean)(x)
    np.testing.assert_allclose(slope, 1 / 40, rtol=1e-6)
    expected = 2 * (np.asarray(x) - np.mean(np.asarray(x))) / 40
    np.testing.assert_allclose(jax.grad(stats.var)(x), expected, rtol=1e-4, atol=1e-6)


# Messages

STRINGS = np.array(["a", "b"])
BAD = {
    "strings": (lambda: stats.mean(STRINGS), TypeError, "mean: x is <U1, which holds no numbers"),
    "keys": (lambda: stats.var(jax.random.key(0)), TypeError, "var: x is key<fry>, which holds no"),
    "objects": (lambda: stats.var([None]), TypeError, "var: x is list, which holds no numbers"),
    "string": (lambda: stats.std("a"), TypeError, "std: x is str"),
    "y": (lambda: stats.cov([1.0, 2.0], STRINGS), TypeError, "cov: y is <U1"),
    "lengths": (
        lambda: stats.cov(jnp.ones(3), jnp.ones(2)),
        ValueError,
        r"cov: x has shape \(3,\) and y has shape \(2,\); pairs need equal shapes",
    ),
    "corr lengths": (lambda: stats.corr(jnp.ones(3), 1.0), ValueError, "corr: .*equal shapes"),
    "axis": (
        lambda: stats.var(jnp.ones(3), axis=1),
        ValueError,
        "var: axis 1 is out of range for an array of 1 dim",
    ),
    "axis of scalar": (lambda: stats.mean(1.0, axis=0), ValueError, "axis 0 is out of range"),
    "twice": (
        lambda: stats.mean(jnp.ones((2, 2)), axis=(0, -2)),
        ValueError,
        "names an axis twice",
    ),
    "float axis": (
        lambda: stats.mean(jnp.ones(2), axis=0.5),
        TypeError,
        "mean: axis is 0.5; an int",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    run, error, message = BAD[case]
    with pytest.raises(error, match=message):
        run()


def test_data_is_positional_and_the_rest_by_keyword():
    with pytest.raises(TypeError, match="positional"):
        stats.var(jnp.ones(3), 0)
