"""Folds of reductions, places and largest elements, beside NumPy, at any cut."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import folds

NAN, INF = np.nan, np.inf
CUTS = ([10], [8, 1, 1], [1, 0, 9], [1] * 10)  # 9 and 10 are one program
FLOATS = np.array([3, 1, -2, 7, 7, 0, -2, 5, 1, 2], np.float32)
CASES = {
    "floats": FLOATS,
    "nan": np.where(FLOATS == 5, NAN, FLOATS),
    "infinities": np.where(FLOATS > 2, INF, -INF).astype(np.float32),
    "integers": FLOATS.astype(np.int32),
    "ends": np.array([2**31 - 1, -(2**31)] * 5, np.int32),
    "bytes": FLOATS.astype(np.int8).view(np.uint8),
    "bools": FLOATS > 0,
    "columns": np.stack([FLOATS, FLOATS[::-1] * 1e-30, FLOATS * 1e30], 1),
}
RIGHT = {
    "any": lambda x: x.any(0),
    "all": lambda x: x.all(0),
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
    "argmin": lambda x: np.argmin(x, 0),
    "argmax": lambda x: np.argmax(x, 0),
    "top_k": lambda x: np.sort(x, 0)[::-1][:3],
}


def make(name):
    return folds.top_k(3) if name == "top_k" else getattr(folds, name)()


def parts(x, cut):
    return np.split(x, np.cumsum(cut)[:-1])


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("case", CASES)
def test_any_cut_gives_numpys(name, case):
    x = CASES[case]
    right, fold = RIGHT[name](x), make(name)
    for cut in CUTS:
        found = np.asarray(jf.fold(fold, parts(x, cut)))
        np.testing.assert_array_equal(found, right)

    @jax.jit
    def stepped(rows):
        memory = fold.init(jax.ShapeDtypeStruct(x.shape[1:], x.dtype))
        for row in rows:
            memory = fold.step(memory, row)
        return fold.extract(memory)

    np.testing.assert_array_equal(np.asarray(stepped(x[:4])), RIGHT[name](x[:4]))


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_left_out_has_no_place(name):
    x = np.array([9, -INF, 3, 1, 1, 3], np.float32)
    fold = make(name).where(lambda v: jnp.isfinite(v) & (v < 9))
    np.testing.assert_array_equal(np.asarray(jf.fold(fold, x)), RIGHT[name](x[2:]))
    infinite = make(name).where(lambda v: v != 9)
    np.testing.assert_array_equal(np.asarray(jf.fold(infinite, x)), RIGHT[name](x[1:]))


def test_nothing():
    nothing = jnp.zeros((0, 2))
    for name in ("any", "first", "last", "argmin", "argmax"):
        assert not np.asarray(jf.fold(make(name), nothing)).any(), name
    assert np.asarray(jf.fold(folds.all(), nothing)).all()
    assert (jf.fold(folds.top_k(2), nothing) == -INF).all()
    assert jf.fold(folds.product(), nothing).tolist() == [1, 1]
    assert jf.fold(folds.logsumexp(), nothing).tolist() == [-INF, -INF]
    assert jf.fold(folds.top_k(3), jnp.array([2, 5])).tolist() == [5, 2, -(2**31)]


def test_trees_and_loops():
    tree = {"a": jnp.arange(3.0), "b": jnp.ones((3, 2), bool)}
    assert jf.fold(folds.last(), tree)["a"] == 2 and jf.fold(folds.all(), tree)["b"].all()
    seen = jf.watch(folds.argmin(), lambda x: (x - 3) ** 2)
    result = jf.iterate(lambda x: x + 1, 0, seen, max_steps=9)
    assert int(folds.argmin().extract(result.memory["argmin"])) == 2


@pytest.mark.parametrize("cut", CUTS)
def test_products(cut):
    x = np.random.default_rng(0).lognormal(sigma=40, size=10).astype(np.float32)
    x[::3] *= -1
    exact = np.prod(x.astype(np.longdouble))
    found = float(jf.fold(folds.product(), parts(x, cut)))
    if 1e-37 < abs(exact) < 3e38:
        assert abs(found / float(exact) - 1) <= 2.0**-23
    ten = lambda *values: np.float32([*values, *[1] * (10 - len(values))])  # noqa: E731
    assert jf.fold(folds.product(), [ten(1e30, 1e30), ten(1e-30, 1e-30)]) == 1
    big = np.full(10, 3e38, np.float32)
    assert jf.fold(folds.product(), parts(big, cut)) == INF
    assert jf.fold(folds.product(), parts(1 / big, cut)) == 0
    odd = {0.0: [2.0, 0.0], INF: [INF, 2.0], -INF: [-2.0, INF]}
    for right, values in odd.items():
        assert jf.fold(folds.product(), ten(*values)) == right
    assert np.isnan(jf.fold(folds.product(), ten(0.0, INF)))
    gaps = ten(3.0, NAN, 5.0)
    assert jf.fold(folds.product(nan="omit"), gaps) == 15
    assert np.isnan(jf.fold(folds.product(), gaps))
    assert jf.fold(folds.product(), np.arange(1, 11, dtype=np.int32)) == 3628800


def test_many_factors():
    x = np.random.default_rng(1).lognormal(sigma=1, size=2**20).astype(np.float32)
    x /= np.float32(np.exp(np.log(x.astype(float)).mean()))
    exact = np.prod(x.astype(np.longdouble))
    assert abs(float(jf.fold(folds.product(), x)) / float(exact) - 1) <= 2.0**-23
    slope = jax.jit(jax.grad(lambda x: jf.fold(folds.product(), x)))(np.float32([2, 3, 7]))
    np.testing.assert_allclose(slope, [21, 14, 6], rtol=1e-6)


@pytest.mark.parametrize("cut", CUTS)
def test_logs_of_sums(cut):
    rng = np.random.default_rng(0)
    x, w = rng.normal(0, 30, 10).astype(np.float32), rng.random(10).astype(np.float32)
    for shift in (0, 1000, -1000):
        y = x + np.float32(shift)
        right = np.log(np.exp(y.astype(float) - y.max()).sum()) + y.max()
        found = jf.fold(folds.logsumexp(), parts(y, cut))
        np.testing.assert_allclose(found, right, rtol=2e-7, atol=1e-6)
    weighted = folds.logsumexp(weights=jf.stats.Frequency)
    found = jf.fold(weighted, list(zip(parts(x, cut), parts(w, cut), strict=True)))
    right = np.log((w * np.exp(x.astype(float))).sum())
    np.testing.assert_allclose(found, right, rtol=2e-7, atol=1e-6)
    infinite = np.where(x > 9, -INF, x).astype(np.float32)
    right = np.log(np.exp(infinite.astype(float)).sum())
    np.testing.assert_allclose(jf.fold(folds.logsumexp(), parts(infinite, cut)), right, rtol=1e-6)
    assert jf.fold(folds.logsumexp(), parts(np.full(10, -INF, np.float32), cut)) == -INF
    assert jf.fold(folds.logsumexp(), parts(np.append(x[:9], np.float32(INF)), cut)) == INF
    assert np.isnan(jf.fold(folds.logsumexp(), parts(np.append(x[:9], np.float32(NAN)), cut)))


def test_slopes_of_logs_of_sums():
    x = jnp.array([1.0, 2.0, 1.5])
    slope = jax.jit(jax.grad(lambda x: jf.fold(folds.logsumexp(), [x[:1], x[1:]])))(x)
    np.testing.assert_allclose(slope, jax.nn.softmax(x), rtol=1e-6)


def test_bad_input():
    z = jnp.array([1j])
    for fold in (
        folds.argmin(),
        folds.argmax(),
        folds.top_k(1),
        folds.product(),
        folds.logsumexp(),
    ):
        with raises(TypeError, fold.name, "complex"):
            jf.fold(fold, z)
    with raises(ValueError, "top_k", "k"):
        folds.top_k(0)
    with raises(TypeError, "top_k", "k"):
        folds.top_k(1.5)


def test_nan_of_either_sign_is_the_largest():
    x = jnp.array([0.0, 1.0, 2.0, INF])
    for computed in (x / x, x - x + jnp.where(x == 1, -NAN, 0)):
        found = jf.fold(folds.top_k(2), computed)
        assert np.isnan(found[: int(np.isnan(computed).sum())]).all()
    least = folds.top_k(1).of(jnp.negative).map(jnp.negative)
    assert np.isnan(jf.fold(least, jnp.array([NAN, 1.0])))
    for dtype in (jnp.uint8, jnp.int8, jnp.bool_):
        x = (
            jnp.array([0, 1, 1, 0]).astype(dtype)
            if dtype == jnp.bool_
            else jnp.array([0, 5, 3], dtype)
        )
        least = folds.top_k(2).of(jnp.invert).map(jnp.invert)
        assert jf.fold(least, x).tolist() == np.sort(np.asarray(x))[:2].tolist()


def test_trees_of_places():
    tree = {"a": jnp.array([1.0, 5.0, 2.0]), "b": jnp.array([[3, 1], [0, 4], [2, 2]])}
    found = jf.fold(folds.argmax(), tree)
    assert int(found["a"]) == 1 and np.asarray(found["b"]).tolist() == [0, 1]
    assert jf.fold(folds.top_k(1), tree)["b"].tolist() == [[3, 4]]


def test_signs_of_zero_and_weights_of_any_size():
    for values in ([-0.0, 1.0], [0.0, -1.0], [-2.0, 0.0, 3.0]):
        assert np.signbit(jf.fold(folds.product(), jnp.array(values)))
    weighted = folds.logsumexp(weights=jf.stats.Frequency)
    for x, w in (([200.0, 112.0], [2e-38, 1.0]), ([0.0, 0.0], [3e38, 3e38])):
        exact = np.logaddexp(*(np.array(x) + np.log(np.float32(w).astype(float))))
        found = jf.fold(weighted, (jnp.array(x), jnp.array(w)))
        np.testing.assert_allclose(found, exact, rtol=1e-6)
