"""Sums, and what is made from exact ones: the same bits in any order, on any number of devices."""

from fractions import Fraction
from functools import partial

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, bits, raises
from hypothesis import given, settings
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from jfoundations import stats
from jfoundations._kernels.sums.limbs import Limbs
from jfoundations._kernels.sums.one_read import height

pytestmark = pytest.mark.slow  # compiles many programs

X64 = jax.config.read("jax_enable_x64")
TWO = ["cov", "corr"]
limb_sum = jax.jit(lambda x: Limbs.of(x).value())


def rng(seed):
    return np.random.default_rng(seed)


def designs(n, seed=0):
    """Return samples that lose digits in some order or other."""
    r = rng(seed)
    x = r.normal(size=n)
    far = np.where(np.arange(n) == n // 3, 1e7, x)
    wide = x * 2.0 ** r.integers(-100, 40, n)
    half = r.normal(size=n // 2) * 2.0 ** r.integers(-60, 60, n // 2)
    cancel = np.concatenate([half, -half, np.zeros(n % 2)])
    cancel[:2] += [1.0, 2.0**-30]
    return {
        "normal": x,
        "offset": x + 1e4,
        "outlier": far,
        "wide": wide,
        "cancelling": cancel,
        "sorted": np.sort(x) * 1e3,
        "tiny": x * 1e-30,
    }


def fractions(x):
    return [Fraction(float(v)) for v in np.asarray(x).astype(np.float64).ravel()]


def nearest(exact, dtype):
    """Round a fraction to a float32 or float64, to nearest, ties to even."""
    dtype = np.dtype(dtype)
    if abs(exact) >= Fraction(float(np.finfo(dtype).max)) * 2:
        return dtype.type(np.inf if exact > 0 else -np.inf)
    if dtype == np.float64:
        return np.float64(exact.numerator / exact.denominator)
    guess = np.float32(exact.numerator / exact.denominator)
    if np.isinf(guess):
        return guess
    near = [np.nextafter(guess, np.float32(s)) for s in (-np.inf, np.inf)] + [guess]
    near = [v for v in near if np.isfinite(v)]
    return min(near, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1))


def call(name, x, **keywords):
    others = [jnp.sin(x) * 3] if name in TWO else []
    return getattr(stats, name)(x, *others, reproducible=True, **keywords)


# Limbs


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([1, 2, 7, 1030]))
def test_a_sum_is_rounded_once(seed, n):
    r, dtype = rng(seed), np.float64 if X64 else np.float32
    low, high = (-1000, 900) if X64 else (-140, 100)
    x = (r.normal(size=n) * 2.0 ** r.integers(low, high, n)).astype(dtype)
    x[r.integers(0, n)] = -x.astype(np.float64).sum() if r.integers(2) else x[0]
    x = np.where(np.isfinite(x), x, 1).astype(dtype)
    assert bits(limb_sum(x)) == bits(nearest(sum(fractions(x)), dtype))


@pytest.mark.parametrize("dtype", [np.float32])
def test_the_ends_of_the_range(dtype):
    info = np.finfo(dtype)
    least, most = info.smallest_subnormal, info.max
    assert limb_sum(np.array([least] * 3, dtype)) == 3 * least
    assert limb_sum(np.array([most, most, -most], dtype)) == most
    assert limb_sum(np.array([most, most, least], dtype)) == np.inf
    assert limb_sum(np.array([-most, -most, least], dtype)) == -np.inf
    assert limb_sum(np.array([most, least, -most], dtype)) == least
    half = 2.0 ** (
        info.maxexp - info.nmant - 2
    )  # a tie between the largest number and infinity goes to infinity
    assert limb_sum(np.array([most, half, 0], dtype)) == np.inf
    assert limb_sum(np.array([most, half, -least], dtype)) == most
    assert limb_sum(np.array([0, -0.0, 0], dtype)) == 0


def test_limbs_merge_in_any_order_to_the_same_memory():
    x = jnp.asarray(designs(4096)["cancelling"], jnp.float32)
    whole = jax.jit(Limbs.of)(x)
    merge, of = jax.jit(Limbs.merge), jax.jit(Limbs.of)
    parts = [of(p) for p in jnp.split(x, 8)]
    for seed in range(3):
        order = rng(seed).permutation(8)
        total = Limbs.of(x[:0])  # the identity
        for i in order:
            total = merge(total, parts[i])
        assert_same(total, whole)
    tree = parts
    while len(tree) > 1:
        tree = [merge(a, b) for a, b in zip(tree[::2], tree[1::2], strict=True)]
    assert_same(tree[0], whole)
    both = jax.jit(Limbs.of)(jnp.stack([x, -x], axis=1))
    assert both.value().shape == (2,) and bits(both.value()[0]) == bits(whole.value())


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_limbs_are_added_over_a_mesh(devices):
    x = jnp.asarray(designs(4096)["wide"], jnp.float32)
    mesh = jax.make_mesh((devices,), ("i",), devices=jax.devices()[:devices])

    @partial(jax.shard_map, mesh=mesh, in_specs=PartitionSpec("i"), out_specs=PartitionSpec())
    def shards(block):
        total = jax.tree.map(lambda leaf: lax.psum(leaf, "i"), Limbs.of(block))
        return total.settle().value()

    x = jax.device_put(x, NamedSharding(mesh, PartitionSpec("i")))
    assert bits(jax.jit(shards)(x)) == bits(limb_sum(np.asarray(x)))


# The functions


@pytest.mark.parametrize("name", ["sum", "mean", "var"])
def test_any_permutation(name):
    compiled = jax.jit(partial(call, name))
    for seed, x in enumerate(designs(2**16).values()):
        x = jnp.asarray(x, jnp.float32)
        orders = [rng(seed).permutation(x.size), np.argsort(x), np.argsort(-jnp.abs(x))]
        assert len({bits(compiled(x[order])) for order in orders} | {bits(compiled(x))}) == 1


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(["sum", "var"]),
    weighted=st.booleans(),
)
def test_any_permutation_with_weights_and_holes(seed, name, weighted):
    n, r = 300, rng(seed)
    x = (r.normal(size=n) * 2.0 ** r.integers(-20, 20, n)).astype(np.float32)
    x[r.random(n) < 0.2] = np.nan
    w = r.uniform(0, 3, n).astype(np.float32) if weighted else None
    where, order = r.random(n) < 0.9, r.permutation(n)
    run = lambda x, where, w: call(name, x, where=where, nan="omit", weights=w)  # noqa: E731
    there = run(jnp.asarray(x), jnp.asarray(where), w)
    back = run(jnp.asarray(x[order]), jnp.asarray(where[order]), None if w is None else w[order])
    assert bits(there) == bits(back)


@pytest.mark.parametrize(("name", "devices"), [("sum", 2), ("mean", 4), ("sum", 8), ("cov", 8)])
def test_any_sharding(name, devices):
    mesh = jax.make_mesh((devices,), ("i",), devices=jax.devices()[:devices])
    compiled = jax.jit(partial(call, name))
    for key in ("normal", "wide"):
        x = jnp.asarray(designs(2**13)[key], jnp.float32)
        split = jax.device_put(x, NamedSharding(mesh, PartitionSpec("i")))
        with jax.set_mesh(mesh):
            found = compiled(jax.sharding.reshard(split, PartitionSpec("i")))
        assert bits(found) == bits(compiled(x))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_promised_errors(weighted):
    dtype = jnp.float64 if X64 else jnp.float32
    u = Fraction(float(jnp.finfo(dtype).eps)) / 2
    run = jax.jit(lambda x, y, w: [
        stats.sum(x, weights=w, reproducible=True),
        stats.mean(x, weights=w, reproducible=True),
        stats.var(x, weights=w, reproducible=True),
        stats.cov(x, y, weights=w, reproducible=True),
    ])  # fmt: skip
    for design in designs(500).values():
        x, y = jnp.asarray(design, dtype), jnp.asarray(rng(9).normal(size=500), dtype)
        w = jnp.asarray(rng(8).uniform(0, 2, 500), dtype) if weighted else None
        fx, fy, fw = fractions(x), fractions(y), fractions(w) if weighted else [1] * 500
        dot = lambda *v: sum(np.prod(t, dtype=object) for t in zip(*v, strict=True))  # noqa: E731
        total = sum(fw)
        mx, my = dot(fw, fx) / total, dot(fw, fy) / total
        dx, dy = [v - mx for v in fx], [v - my for v in fy]
        exact = [dot(fw, fx), mx, dot(fw, dx, dx) / total, dot(fw, dx, dy) / total]
        found = [Fraction(float(v)) for v in run(x, y, w)]
        assert found[0] == Fraction(float(nearest(exact[0], dtype)))
        step = Fraction(float(np.spacing(np.abs(np.asarray(float(mx), dtype)))))
        tiny = Fraction(float(jnp.finfo(dtype).tiny))  # below it XLA flushes to 0
        assert abs(found[1] - mx) <= step * Fraction(501, 1000) + tiny
        for value, truth in zip(found[2:], exact[2:], strict=True):
            assert abs(value - truth) <= 4 * u * abs(truth) + tiny


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32])
def test_exact_laws(dtype):
    x = jnp.asarray(rng(1).integers(-99, 99, 640), dtype)
    var, cov = (partial(getattr(stats, f), reproducible=True) for f in ("var", "cov"))
    assert bits(var(x)) == bits(cov(x, x))
    assert bits(cov(x, x[::-1])) == bits(cov(x[::-1], x))
    assert var(x * 0.25) * 16 == var(x)
    assert var(x + 64) == var(x)
    constant = jnp.full(640, 0.1, dtype)
    assert var(constant) == 0 and stats.mean(constant, reproducible=True) == constant[0]
    assert stats.corr(x, x, reproducible=True) == 1
    assert stats.mean(x, reproducible=True).dtype == dtype
    again = jnp.repeat(x, 3)
    three = jnp.full(640, 3, dtype)
    assert bits(var(x, weights=three)) == bits(var(again))


def test_squares_out_of_range():
    x = jnp.asarray(rng(2).normal(size=300), jnp.float32)
    y = jnp.asarray(rng(3).normal(size=300), jnp.float32) + x
    corr, std = (jax.jit(partial(getattr(stats, f), reproducible=True)) for f in ("corr", "std"))
    for scale in (2.0**-100, 2.0**100):
        assert bits(corr(x * scale, y)) == bits(corr(x, y))
        assert std(x * scale) == std(x) * scale


@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.int8, jnp.uint8, jnp.int32, jnp.uint32])
def test_integers(dtype):
    top = 1 if dtype == jnp.bool_ else jnp.iinfo(dtype).max
    low = 0 if dtype == jnp.bool_ else jnp.iinfo(dtype).min
    x = np.array([top, low, top, 0, 1, top, top, 1])
    found = stats.sum(jnp.asarray(x, dtype), reproducible=True)
    assert found.dtype == jnp.result_type(float)
    total = sum(map(int, x))
    assert found == nearest(Fraction(total), found.dtype)
    exact = sum((Fraction(int(v)) - Fraction(total, 8)) ** 2 for v in x) / 8
    value = Fraction(float(stats.var(jnp.asarray(x, dtype), reproducible=True)))
    assert abs(value - exact) <= 4 * exact * Fraction(float(jnp.finfo(found.dtype).eps)) / 2


def test_what_is_no_number():
    inf, nan = jnp.inf, jnp.nan
    for values, mean in (([inf, 1], inf), ([1, -inf], -inf), ([inf, -inf], nan), ([nan, inf], nan)):
        x = jnp.asarray(values, jnp.float32)
        for y in (x, x[::-1]):
            expected = bits(jnp.float32(mean))
            assert bits(call("mean", y)) == expected and bits(call("sum", y)) == expected
            assert np.isnan(call("var", y)) and np.isnan(call("corr", y))
    x = jnp.asarray([1, nan, 3, inf], jnp.float32)
    w = jnp.asarray([1, 0, 1, 0], jnp.float32)
    assert call("mean", x, weights=w) == 2 and call("var", x, where=w > 0) == 1
    assert np.isnan(call("mean", x[:1], weights=jnp.asarray([-1], jnp.float32)))
    empty = jnp.zeros((0, 3), jnp.float32)
    assert np.all(call("sum", empty, axis=0) == 0) and np.all(np.isnan(call("mean", empty, axis=0)))
    assert np.isnan(call("var", x[:1], correction=1)) and call("var", x[:1]) == 0


@pytest.mark.slow
def test_axes_vmap_complex_and_gradients():
    x = jnp.asarray(rng(5).normal(size=(4, 3, 5)), jnp.float32)
    for name in ("sum", "var"):
        for axis in (0, (0, 2)):
            plain = getattr(stats, name)(x, axis=axis, keepdims=True)
            found = call(name, x, axis=axis, keepdims=True)
            assert found.shape == plain.shape
            np.testing.assert_allclose(found, plain, rtol=1e-5)
        rows = jax.vmap(partial(call, name))(x)
        assert bits(rows) == bits(jnp.stack([call(name, row) for row in x]))
        slope = jax.jit(jax.grad(partial(call, name)))(x)
        plain = jax.jit(jax.grad(getattr(stats, name)))(x)
        np.testing.assert_allclose(slope, plain, rtol=1e-5, atol=1e-7)
    z = lax.complex(x, x[::-1])
    for name in ("sum", "corr"):
        others = [z * (1 + 2j)] if name == "corr" else []
        plain = jax.jit(getattr(stats, name))(z, *others)
        found = getattr(stats, name)(z, *others, reproducible=True)
        np.testing.assert_allclose(found, plain, rtol=1e-5)


# The plain sum


@pytest.mark.parametrize("n", [1, 100, 20_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_plain_sum(n, weighted):
    for key, design in designs(n + 1).items():
        x = jnp.asarray(design[:n], jnp.float32)
        w = jnp.asarray(rng(1).integers(0, 4, n), jnp.float32) if weighted else None
        terms = (
            [a * b for a, b in zip(fractions(x), fractions(w), strict=True)]
            if weighted
            else fractions(x)
        )
        far = sum(map(abs, terms)) * (height(n, 1) + 4) * Fraction(2) ** -24
        exact = sum(terms)
        found = Fraction(float(stats.sum(x, weights=w)))
        assert abs(found - exact) <= far + abs(exact) * Fraction(2) ** -24 * Fraction(1001, 1000), (
            key
        )


@pytest.mark.parametrize("n", [1000, 300_001])
def test_sums_of_counts_and_constants_are_exact(n):
    flags = rng(0).random(n) < 0.3
    assert stats.sum(jnp.asarray(flags)) == int(flags.sum())
    assert stats.sum(jnp.asarray(flags, jnp.float32)) == int(flags.sum())
    whole = rng(0).integers(0, 30, n)
    assert stats.sum(jnp.asarray(whole, jnp.int32)) == int(whole.sum())
    constant = jnp.full(n, 0.1, jnp.float32)
    assert stats.sum(constant) == nearest(Fraction(float(constant[0])) * n, np.float32)


def test_the_plain_sums_edges_and_gradient():
    x = jnp.asarray([[1, jnp.nan, 3], [4, 5, 6]], jnp.float32)
    assert stats.sum(x, nan="omit") == 19 and np.isnan(stats.sum(x))
    assert stats.sum(x, where=~jnp.isnan(x), axis=0, keepdims=True).shape == (1, 3)
    assert np.isnan(stats.sum(x[1], weights=jnp.asarray([1, -1, 1], jnp.float32)))
    assert stats.sum(jnp.asarray([jnp.inf, 1], jnp.float32)) == jnp.inf
    assert stats.sum(jnp.zeros((0,), jnp.float32)) == 0
    w = jnp.asarray([[2, 0, 1], [1, 1, 0]], jnp.float32)
    for reproducible in (False, True):
        f = lambda x, w, r=reproducible: stats.sum(x, weights=w, reproducible=r)  # noqa: E731
        assert f(x, w) == 2 + 3 + 4 + 5
        dx, dw = jax.grad(f, (0, 1))(x, w)
        assert np.all(dx == w) and np.all(dw == jnp.where(w != 0, x, 0))
    assert np.all(jax.grad(lambda x: stats.sum(x, where=x > 2))(x[1]) == 1)


def test_reproducible_results_have_no_bound_to_return():
    with raises(ValueError, "mean", "reproducible=True", "leave one of the two out"):
        stats.mean([1.0], reproducible=True, return_bound=True)
