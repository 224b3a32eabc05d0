"""Statistics of segments against NumPy's of each segment in float64, their laws, and how large."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.accuracy import designs
from public_cases import SEGMENTS

from jfoundations import stats
from jfoundations.stats import Frequency, Probability, Reliability

N, GROUPS = 2000, 4  # long enough for pivots to be looked for in a part
U = 2.0**-24
NAMES = [name.removeprefix("segment_") for name in SEGMENTS]
PAIRS = ("corr", "cov")
CORRECTED = ("cov", "sem", "std", "var")
KINDS = {"frequency": Frequency, "reliability": Reliability, "probability": Probability}


def draw(seed=0, mean=3.0, n=N):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(mean, 1, (2, n)).astype(np.float32)
    return x, y, rng.integers(-1, GROUPS + 1, n).astype(np.int32)


def run(name, x, y, ids, groups=GROUPS, **options):
    data = (x, y) if name in PAIRS else (x,)
    found = getattr(stats, f"segment_{name}")(*data, ids, num_segments=groups, **options)
    return np.asarray(found, np.float64)


def oracle(name, x, y, w, kind, correction=0):
    """Return a statistic of weighted float64 data, and what its error is a multiple of."""
    total = w.sum()
    if name == "sum":
        return w @ x, w @ abs(x)
    a, b = x - w @ x / total, y - w @ y / total
    m2, m3, m4 = (w @ a**k / total for k in (2, 3, 4))
    n = (w > 0).sum()
    free, size = {
        "frequency": (total - correction, total),
        "reliability": (total - correction * (w @ w) / total, total**2 / (w @ w)),
        "probability": (total * (n - correction) / n, n),
    }[kind]
    v, u = m2 * total / free, w @ b**2 / free
    return {
        "mean": (w @ x / total, w @ abs(x) / total),
        "var": (v, v),
        "std": (np.sqrt(v), np.sqrt(v)),
        "sem": (np.sqrt(v / size), np.sqrt(v / size)),
        "cov": (w @ (a * b) / free, np.sqrt(v * u)),
        "corr": (w @ (a * b) / free / np.sqrt(v * u), 1),
        "skew": (m3 / m2**1.5, 8),
        "kurtosis": (m4 / m2**2 - 3, m4 / m2**2),
    }[name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_segment_is_the_statistic_of_its_elements(name, kind):
    x, y, ids = draw()
    rng = np.random.default_rng(1)
    weights, keep = rng.integers(0, 4, N) * np.float32(0.5), rng.random(N) < 0.8
    options = {"correction": 0.75} if name in CORRECTED else {}
    hidden = np.where(keep & (weights > 0), x, np.float32(np.nan))
    found = run(name, hidden, y, ids, where=keep, weights=KINDS[kind](weights), **options)
    omitted = run(name, hidden, y, ids, weights=KINDS[kind](weights), nan="omit", **options)
    for g in range(GROUPS):
        own = (ids == g) & keep
        parts = (v[own].astype(np.float64) for v in (x, y, weights))
        right, unit = oracle(name, *parts, kind, **options)
        assert abs(found[g] - right) <= 16 * U * unit
        assert abs(omitted[g] - right) <= 16 * U * unit


@pytest.mark.parametrize("order", ["drawn", "sorted", "one"])
def test_digits_whatever_the_data(order):
    n, groups = 2**14, 8
    ids = np.random.default_rng(2).integers(0, groups, n)
    ids = {"drawn": ids, "sorted": np.sort(ids), "one": ids * 0}[order].astype(np.int32)
    for name, x in designs(n).items():
        std = run("std", x, x, ids, groups)
        mean = run("mean", x, x, ids, groups)
        for g in range(groups if order != "one" else 1):
            own = x[ids == g].astype(np.float64)
            assert abs(std[g] / own.std() - 1) <= 32 * U, name
            assert abs(mean[g] - own.mean()) <= 16 * U * abs(own).mean(), name


@pytest.mark.parametrize("order", ["drawn", "sorted"])
@pytest.mark.parametrize("name", NAMES)
def test_constants_shifts_and_scales(name, order):
    _, _, ids = draw()
    ids = ids if order == "drawn" else np.sort(ids)  # then no part of the data has all segments
    whole, other = np.random.default_rng(3).integers(-512, 512, (2, N)).astype(np.float32)
    found = run(name, whole, other, ids)
    assert np.all(np.isfinite(found))
    power = {"sum": 1, "mean": 1, "std": 1, "sem": 1, "var": 2, "cov": 2}.get(name, 0)
    far = 55 if power == 2 else 110
    for k in (-far, -30, 30, far):
        scaled = run(name, np.ldexp(whole, k), np.ldexp(other, k), ids)
        np.testing.assert_array_equal(np.float32(np.ldexp(found, power * k)), np.float32(scaled))
    if name not in ("sum", "mean"):
        shifted = run(name, whole + np.float32(2**20), other - np.float32(2**20), ids)
        np.testing.assert_array_equal(shifted, found)
    third = np.full(N, 1 / 3, np.float32)
    constant = run(name, third, third, ids)
    right = {"mean": third[0], "sum": None, "corr": np.nan, "skew": np.nan, "kurtosis": np.nan}
    if right.get(name, 0) is not None:
        np.testing.assert_array_equal(constant, np.full(GROUPS, right.get(name, 0)))


def test_what_is_one_by_definition():
    x, y, ids = draw(4)
    np.testing.assert_array_equal(run("var", x, x, ids), run("cov", x, x.copy(), ids))
    np.testing.assert_array_equal(run("cov", x, y, ids), run("cov", y, x, ids))
    np.testing.assert_array_equal(run("corr", x, x, ids), np.ones(GROUPS))
    np.testing.assert_array_equal(run("corr", x, 2 * x, ids), np.ones(GROUPS))
    np.testing.assert_allclose(run("corr", x, -2 * x, ids), -np.ones(GROUPS), rtol=4 * U)
    assert np.all(abs(run("corr", x, x + np.float32(1e-3) * y, ids)) <= 1)
    root = np.sqrt(np.float32(run("var", x, y, ids, correction=1)))
    np.testing.assert_allclose(run("std", x, y, ids, correction=1), root, rtol=2 * U)


@pytest.mark.parametrize("name", NAMES)
def test_of_nothing_and_of_no_columns(name):
    empty = np.zeros(0, np.float32)
    found = run(name, empty, empty, empty.astype(np.int32))
    np.testing.assert_array_equal(found, np.full(GROUPS, 0 if name == "sum" else np.nan))
    columns = np.zeros((3, 0), np.float32)
    assert run(name, columns, columns, np.zeros(3, np.int32)).shape == (GROUPS, 0)
    x, y, _ = draw()
    outside = run(name, x, y, np.full(N, -1), nan="omit")
    np.testing.assert_array_equal(outside, np.full(GROUPS, 0 if name == "sum" else np.nan))
    negative = run(name, x, y, np.zeros(N, np.int32), weights=np.where(x > 3, -1, 1))
    assert np.isnan(negative[0])


def test_one_segment_in_another_range():
    ids = np.arange(N) % 3
    x = draw(5)[0] * np.array([1, 1e-30, 1e30], np.float32)[ids]
    for name in ("std", "sem", "mean", "skew", "kurtosis"):
        both = run(name, x, x, ids, 3)
        alone = [run(name, x[ids == g], x, np.zeros((ids == g).sum(), int), 1)[0] for g in range(3)]
        shape = name in ("skew", "kurtosis")
        np.testing.assert_allclose(both, alone, rtol=32 * U, atol=64 * U if shape else 0)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_all_but_the_hidden(name):
    x, y, ids = draw(6, n=60)
    keep = np.random.default_rng(7).random(60) < 0.8
    hidden = jnp.where(keep & (ids >= 0) & (ids < GROUPS), x, jnp.nan)

    def total(x):
        data = (x, y.astype(x.dtype)) if name in PAIRS else (x,)
        function = getattr(stats, f"segment_{name}")
        return jnp.sum(function(*data, ids, num_segments=GROUPS, where=keep))

    slope = np.asarray(jax.grad(total)(hidden))
    shown = ~np.isnan(hidden)
    assert not slope[~shown].any() and np.all(np.isfinite(slope))
    move = np.where(shown, np.random.default_rng(8).normal(size=60), 0)
    with jax.enable_x64(True):
        ends = [total(jnp.asarray(np.float64(hidden) + s * move)) for s in (2**-12, -(2**-12))]
    change = float(ends[0] - ends[1]) * 2**11
    np.testing.assert_allclose(slope @ move, change, rtol=1e-4, atol=1e-5)


def test_programs_are_short():
    def text(name, n, **options):
        like = jax.ShapeDtypeStruct((n,), jnp.float32)
        ids = jax.ShapeDtypeStruct((n,), jnp.int32)
        weights = like if options.pop("weighted", False) else None

        def call(x, y, ids, weights):
            data = (x, y) if name in PAIRS else (x,)
            function = getattr(stats, f"segment_{name}")
            return function(*data, ids, num_segments=64, weights=weights, **options)

        return len(jax.jit(call).lower(like, like, ids, weights).as_text())

    most = dict.fromkeys(NAMES, 20_000)
    most |= {"sum": 5_000, "std": 21_000, "sem": 22_000, "corr": 26_000}  # roots
    for name in NAMES:
        plain = text(name, 2**20)
        assert plain <= most[name], name
        limit = {"sum": 12_000}.get(name, 1.6 * plain)  # of a sum alone no weight is summed up
        assert max(text(name, 2**20, weighted=True), text(name, 2**20, nan="omit")) <= limit
        assert text(name, 2**24) <= 1.2 * text(name, 2**14)
