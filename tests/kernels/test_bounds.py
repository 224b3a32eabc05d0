"""Bounds on errors: they hold, against rational arithmetic, and they are not silly."""

import operator
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
WIDE = np.float64 if X64 else np.float32
ONE, TWO = ["mean", "var", "std"], ["cov", "corr"]
SMALL, LARGE = 80, 20_001  # of several blocks, and odd rows; of few lengths, for each compiles


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


def whole(x):
    """Return floats as whole numbers of a unit, which are added faster than fractions; and it."""
    ratios = [v.as_integer_ratio() for v in np.asarray(x, np.float64).tolist()]
    parts = max((d for _, d in ratios), default=1)
    return [n * (parts // d) for n, d in ratios], Fraction(1, parts)


def dot(a, b):
    return sum(map(operator.mul, a, b))


def exact(name, x, y, w, correction=0):
    """Return a statistic of floats as a fraction; of std and corr the square, with a sign."""
    (x, ux), (y, uy), (w, uw) = map(whole, (x, y, w))
    wx, wy, total = list(map(operator.mul, w, x)), list(map(operator.mul, w, y)), sum(w)

    def cross(wa, wb, b):  # times the total
        return total * dot(wa, b) - sum(wa) * sum(wb)

    if name == "mean":
        return Fraction(sum(wx), total) * ux
    if name in ("var", "std"):
        return Fraction(cross(wx, wx, x), total) * uw * ux * ux / (total * uw - correction)
    c = cross(wx, wy, y)
    if name == "cov":
        return Fraction(c, total) * uw * ux * uy / (total * uw - correction)
    return Fraction(c * abs(c), cross(wx, wx, x) * cross(wy, wy, y)) if c else Fraction(0)


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
    x = designs(SMALL, seed)[design].astype(WIDE)
    y = designs(SMALL, seed + 1)[other].astype(WIDE)
    w = np.random.default_rng(seed).integers(0, 5, SMALL).astype(WIDE) if weighted else None
    check(name, x, y, w)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weighted"),
    [("var", False), ("corr", False), ("var", True)],
)
def test_blocks(name, weighted):
    y = designs(LARGE, 1)["offset 1e2"].astype(WIDE)
    w = np.random.default_rng(2).uniform(0, 3, LARGE).astype(WIDE) if weighted else None
    for design in designs(LARGE).values():
        check(name, design.astype(WIDE), y, w)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision(dtype):
    for name in ONE + TWO:
        for design in ("normal", "offset 1e2", "sorted", "walk", "two values", "constant"):
            x, y = (designs(200, s)[design].astype(dtype) for s in (0, 1))
            value, bound = check(name, x, y)
            assert value.dtype == dtype
            if name in ONE and design != "constant":
                most = 4 * float(jnp.finfo(dtype).eps) * abs(float(value)) + 1e-2
                assert float(bound) <= float(np.asarray(most, dtype))


@pytest.mark.parametrize("axis", [0, -1])
def test_axes_and_where(axis):
    x = designs(3 * 60)["offset 1e4"].reshape(3, 60).astype(WIDE)
    where = np.random.default_rng(0).random((3, 60)) < 0.8
    for name in ("mean", "var"):
        value, bound = map(np.asarray, bounded[name](x, axis=axis, where=where))
        for v, b, row, keep in zip(
            value, bound, np.moveaxis(x, axis, -1), np.moveaxis(where, axis, -1), strict=True
        ):
            if keep.any():
                assert holds(name, v, b, exact(name, row[keep], row[keep], np.ones(keep.sum())))


def test_correction_and_other_weights():
    x = designs(SMALL)["offset 1e2"].astype(WIDE)
    value, bound = bounded["var"](x, correction=1)
    assert holds("var", value, bound, exact("var", x, x, np.ones(SMALL), 1))
    w = np.random.default_rng(1).uniform(0.5, 2, SMALL).astype(np.float32)
    f = [Fraction(float(v)) for v in w]
    kinds = {
        stats.Reliability: sum(f) - sum(v * v for v in f) / sum(f),
        stats.Probability: sum(f) * Fraction(SMALL - 1, SMALL),
    }
    for kind, free in kinds.items():
        value, bound = bounded["var"](x, correction=1, weights=kind(w.astype(WIDE)))
        assert holds("var", value, bound, exact("var", x, x, w) * sum(f) / free)


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_bounds_are_not_silly(n):
    h = height(n, 1)
    u = float(jnp.finfo(WIDE).eps) / 2
    x = designs(n)["normal"].astype(WIDE)
    one = WIDE(1)
    for name in ONE + ["cov"]:
        others = [x + one] if name == "cov" else []
        value, bound = map(float, bounded[name](x + one, *others))
        assert 0 < bound <= (16 * h + 120) * u * abs(value)
    assert bounded["corr"](x, x)[1] <= (50 * h + 400) * u


def test_height():
    assert height(2, 1) == 5 and height(64, 1) == 8 + 8 + 2  # one after another
    assert height(2**20, 1) == 8 + 4 * 32 + 1
    # 2048 lines are 10 of 204, and 8; 212 are 10 of 21, and 2
    assert height(2**20, 1, 2) == 8 + 2 * ROWS + 23 + 64 + 1
    assert height(2**20, 512) == 8 + 255 + 8 + 64 + 1  # 256 pieces
    assert height(10**8, 1) == 10 + 94 + 4 * 32 + 1


def test_the_value_is_the_plain_one_and_so_is_its_slope():
    x = designs(SMALL)["normal"].astype(np.float32)
    for name in ONE + TWO:
        f = partial(getattr(stats, name), *[x[::-1]] * (name in TWO))
        value, bound = f(x, return_bound=True)
        assert bits(value) == bits(f(x))
        slope = jax.jit(jax.grad(lambda x, f=f: f(x, return_bound=True)[0]))(x)
        assert bits(slope) == bits(jax.jit(jax.grad(lambda x, f=f: f(x)))(x))
    slope = jax.jit(jax.grad(lambda x: stats.var(x, return_bound=True)[1]))(x)
    assert np.all(np.asarray(slope) == 0)


def test_what_is_no_number():
    for values in ([1, np.nan], [np.inf, -np.inf], []):
        assert np.all(np.isnan(bounded["mean"](np.float32(values))))
        assert np.all(np.isnan(bounded["var"](np.float32(values))))
    value, bound = bounded["mean"](np.float32([np.inf, 1]))
    assert value == np.inf and bound == np.inf
    value, bound = bounded["var"](np.float32([1e30, -1e30]))  # too large for its type
    assert value == np.inf and bound == np.inf
    with raises(TypeError, "var", "real data"):
        stats.var(jnp.asarray([1j]), return_bound=True)
