"""Bounds on errors: they hold, against rational arithmetic, and they are not silly."""

from fractions import Fraction
from functools import partial

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import bits, raises
from hypothesis import given, settings

from jfoundations import stats
from jfoundations._kernels.sums.one_read import ROWS, height

pytestmark = pytest.mark.slow  # compiles many programs

X64 = jax.config.read("jax_enable_x64")
WIDE = jnp.float64 if X64 else jnp.float32
ONE, TWO = ["mean", "var", "std"], ["cov", "corr"]


def designs(n, seed=0):
    r = np.random.default_rng(seed)
    x = r.normal(size=n)
    return {
        "normal": x,
        "offset 1e2": x + 1e2,
        "offset 1e4": x + 1e4,
        "offset 1e6": x + 1e6,
        "outlier first": np.concatenate([[1e7], x[1:]]),
        "three outliers first": np.concatenate([[1e6] * 3, x])[:n],
        "sorted": np.sort(x) + 10,
        "walk": np.cumsum(x),
        "two values": np.where(x < 0, 3.0, 4.0),
        "signs": np.where(np.arange(n) % 2, -1.0, 1.0) * (1e3 + x),
        "tiny": x * 1e-25,
        "huge": x * 1e25,
        "constant": np.full(n, 0.1),
    }


DESIGNS = sorted(designs(4))


def exact(name, x, y, w, correction=0):
    """Return a statistic of floats as a fraction; of std and corr the square, with a sign."""
    x, y, w = ([Fraction(float(v)) for v in np.asarray(a, np.float64)] for a in (x, y, w))
    total = sum(w)
    mx, my = (sum(p * q for p, q in zip(w, v, strict=True)) / total for v in (x, y))
    cross = lambda a, b: sum(p * q * r for p, q, r in zip(w, a, b, strict=True))  # noqa: E731
    dx, dy = [v - mx for v in x], [v - my for v in y]
    if name == "mean":
        return mx
    if name in ("var", "std"):
        return cross(dx, dx) / (total - correction)
    if name == "cov":
        return cross(dx, dy) / (total - correction)
    c = cross(dx, dy)
    return c * abs(c) / (cross(dx, dx) * cross(dy, dy)) if c else c


def holds(name, value, bound, truth):
    """Tell whether |value − truth| ≤ bound, of roots by squaring: exactly."""
    if np.isinf(bound):
        return True
    value, bound = Fraction(float(value)), Fraction(float(bound))
    if name in ("mean", "var", "cov"):
        return abs(value - truth) <= bound
    signed = lambda v: v * abs(v)  # noqa: E731
    return signed(value - bound) <= truth <= signed(value + bound)


bounded = {name: partial(getattr(stats, name), return_bound=True) for name in ONE + TWO}


def check(name, x, y, w=None, **keywords):
    others = [y] if name in TWO else []
    value, bound = bounded[name](x, *others, weights=w, **keywords)
    assert value.shape == bound.shape and value.dtype == bound.dtype
    if np.isnan(value):
        assert np.isnan(bound)
        return value, bound
    counts = np.ones(x.shape) if w is None else w
    truth = exact(name, x, y, counts)
    assert holds(name, value, bound, truth), (name, float(value), float(bound), float(truth))
    return value, bound


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(ONE + TWO),
    design=st.sampled_from(DESIGNS),
    other=st.sampled_from(["normal", "offset 1e2", "walk"]),
    weighted=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_small_samples(name, design, other, weighted, seed):
    x = jnp.asarray(designs(80, seed)[design], WIDE)
    y = jnp.asarray(designs(80, seed + 1)[other], WIDE)
    w = jnp.asarray(np.random.default_rng(seed).integers(0, 5, 80), WIDE) if weighted else None
    check(name, x, y, w)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weighted"),
    [("var", False), ("corr", False), ("var", True)],
)
def test_blocks(name, weighted):
    n = 20_001  # several blocks, and odd rows
    y = jnp.asarray(designs(n, 1)["offset 1e2"], WIDE)
    w = jnp.asarray(np.random.default_rng(2).uniform(0, 3, n), WIDE) if weighted else None
    for design in designs(n).values():
        check(name, jnp.asarray(design, WIDE), y, w)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision(dtype):
    for name in ONE + TWO:
        for design in ("normal", "offset 1e2", "sorted", "walk", "two values", "constant"):
            x, y = (jnp.asarray(designs(200, s)[design], dtype) for s in (0, 1))
            value, bound = check(name, x, y)
            assert value.dtype == dtype
            if name in ONE and design != "constant":
                assert bound <= 4 * jnp.finfo(dtype).eps * jnp.abs(value) + 1e-2


@pytest.mark.parametrize("axis", [0, -1])
def test_axes_and_where(axis):
    x = jnp.asarray(designs(3 * 60)["offset 1e4"].reshape(3, 60), WIDE)
    where = jnp.asarray(np.random.default_rng(0).random((3, 60)) < 0.8)
    for name in ("mean", "var"):
        value, bound = bounded[name](x, axis=axis, where=where)
        for v, b, row, keep in zip(
            value, bound, np.moveaxis(x, axis, -1), np.moveaxis(where, axis, -1), strict=True
        ):
            if keep.any():
                assert holds(name, v, b, exact(name, row[keep], row[keep], np.ones(keep.sum())))


def test_correction_and_other_weights():
    x = jnp.asarray(designs(200)["offset 1e2"], WIDE)
    value, bound = bounded["var"](x, correction=1)
    assert holds("var", value, bound, exact("var", x, x, np.ones(200), 1))
    w = np.random.default_rng(1).uniform(0.5, 2, 200).astype(np.float32)
    f = [Fraction(float(v)) for v in w]
    kinds = {
        stats.Reliability: sum(f) - sum(v * v for v in f) / sum(f),
        stats.Probability: sum(f) * Fraction(199, 200),
    }
    for kind, free in kinds.items():
        value, bound = bounded["var"](x, correction=1, weights=kind(jnp.asarray(w, WIDE)))
        assert holds("var", value, bound, exact("var", x, x, w) * sum(f) / free)


@pytest.mark.parametrize("n", [200, 20_000])
def test_bounds_are_not_silly(n):
    h = height(n, 1)
    u = float(jnp.finfo(WIDE).eps) / 2
    x = jnp.asarray(designs(n)["normal"], WIDE)
    for name in ONE + ["cov"]:
        others = [x + 1] if name == "cov" else []
        value, bound = bounded[name](x + 1, *others)
        assert 0 < bound <= (16 * h + 120) * u * jnp.abs(value)
    assert bounded["corr"](x, x)[1] <= (50 * h + 400) * u


def test_height():
    assert height(2, 1) == 5 and height(64, 1) == 8 + 8 + 2  # one after another
    assert height(2**20, 1) == 8 + 4 * 32 + 1
    # 2048 lines are 10 of 204, and 8; 212 are 10 of 21, and 2
    assert height(2**20, 1, 2) == 8 + 2 * ROWS + 23 + 64 + 1
    assert height(2**20, 512) == 8 + 255 + 8 + 64 + 1  # 256 pieces
    assert height(10**8, 1) == 10 + 94 + 4 * 32 + 1


def test_the_value_is_the_plain_one_and_so_is_its_slope():
    x = jnp.asarray(designs(200)["normal"], jnp.float32)
    for name in ONE + TWO:
        f = partial(getattr(stats, name), *[x[::-1]] * (name in TWO))
        value, bound = f(x, return_bound=True)
        assert bits(value) == bits(f(x))
        slope = jax.grad(lambda x, f=f: f(x, return_bound=True)[0])(x)
        assert bits(slope) == bits(jax.grad(lambda x, f=f: f(x))(x))
    assert np.all(jax.grad(lambda x: stats.var(x, return_bound=True)[1])(x) == 0)


def test_what_is_no_number():
    for values in ([1, jnp.nan], [jnp.inf, -jnp.inf], []):
        assert np.all(np.isnan(bounded["mean"](jnp.asarray(values, jnp.float32))))
        assert np.all(np.isnan(bounded["var"](jnp.asarray(values, jnp.float32))))
    value, bound = bounded["mean"](jnp.asarray([jnp.inf, 1], jnp.float32))
    assert value == jnp.inf and bound == jnp.inf
    value, bound = bounded["var"](jnp.asarray([1e30, -1e30], jnp.float32))  # too large for its type
    assert value == jnp.inf and bound == jnp.inf
    with raises(TypeError, "var", "real data"):
        stats.var(jnp.asarray([1j]), return_bound=True)
