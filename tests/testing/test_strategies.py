"""Strategies of samples, meshes and dtypes draw what they say; tolerances hold, and can fail."""

import os

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from hypothesis import find, given, settings
from hypothesis import strategies as st

from jfoundations import stats
from jfoundations.testing import checks, strategies

quick = settings(deadline=None, database=None, max_examples=20, derandomize=True)
once = settings(quick, max_examples=200, phases=[hypothesis.Phase.generate])
LANES = 21

# XLA:CPU of JAX 0.10 has no float6, and mishandles int1
DTYPES = [
    *("bool", "int2", "int4", "int8", "int16", "int32", "uint2", "uint4", "uint8", "uint16"),
    *("uint32", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    *("float4_e2m1fn", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"),
    *("float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
]


@settings(quick, max_examples=80)
@given(st.data(), st.sampled_from(DTYPES))
def test_every_dtype(data, name):
    dtype = getattr(jnp, name).dtype
    x = data.draw(strategies.arrays(dtype, (16,)))
    assert x.dtype == jax.dtypes.canonicalize_dtype(dtype)
    wide = np.asarray(x).astype(np.complex128)
    assert np.all(np.isfinite(wide))
    assert len(np.unique(wide)) > 1 or x.dtype.itemsize == 1


@quick
@given(
    strategies.arrays(shape=(6,), lanes=LANES),
    strategies.ill_conditioned(length=6, lanes=LANES),
    strategies.floats_with_offset(shape=(6,), lanes=LANES),
)
def test_one_seed_feeds_many_lanes(plain, ill, far):
    for x in (plain, ill, far):
        assert x.shape == (LANES, 6)
        assert len({bytes(np.asarray(row)) for row in x}) == LANES
    spread = np.ptp(np.asarray(ill, np.float64), axis=1)
    assert sum(spread == 0) == LANES // 7  # every design has its share
    ratios = np.abs(np.mean(np.asarray(far, np.float64), axis=1)) / np.std(far, axis=1)
    assert ratios.max() > 1e4 * ratios.min()


def test_offsets_reach_what_they_say():
    def ratio(x):
        spread = np.std(np.asarray(x, np.float64))
        return float(np.abs(np.mean(x)) / spread) if spread else 0.0  # all rounded to one value

    far = strategies.floats_with_offset(shape=(24,))
    find(far, lambda x: ratio(x) > 2e7, settings=once)
    find(far, lambda x: ratio(x) < 4, settings=once)


@quick
@given(strategies.masks((12,), least=2), strategies.weights((12,)), strategies.masks(((3, 2),)))
def test_masks_and_weights(mask, weights, table):
    assert mask.dtype == bool and int(mask.sum()) in (12, 11, 6)
    assert table.shape == (3, 2)
    assert weights.dtype == jnp.zeros(()).dtype
    assert bool(jnp.all(weights >= 0)) and bool(jnp.any(weights > 0))


def test_masks_hide_everything_and_nothing():
    for left in (0, 1, 12):
        find(strategies.masks((12,)), lambda m, n=left: int(m.sum()) == n, settings=once)
    with raises(ValueError, "masks: of 3 elements no 4 can be left"):
        find(strategies.masks((3,), least=4), lambda m: True, settings=quick)


@quick
@given(strategies.weights((13,), whole=True))
def test_whole_weights_have_one_sum(weights):
    assert weights.dtype == jnp.int32 and int(weights.sum()) in (13, 19)


@quick
@given(st.data())
def test_permutations_keep_pairs_together(data):
    x = {"a": jnp.arange(7), "key": jax.random.split(jax.random.key(0), 7)}
    y = data.draw(strategies.permutations_of(x))
    order = np.asarray(y["a"])
    assert sorted(order) == list(range(7))
    checks.assert_same(y["key"], x["key"][order])


@quick
@given(st.data())
def test_permutations_and_blocks_are_of_what_was_given(data):
    x = {"ours": jnp.arange(6, dtype=jnp.bfloat16), "theirs": np.arange(6.0)}
    y, blocks = (data.draw(of(x)) for of in (strategies.permutations_of, strategies.blocks_of))
    for part in (y, *blocks):
        assert isinstance(part["ours"], jax.Array) and part["ours"].dtype == jnp.bfloat16
        assert type(part["theirs"]) is np.ndarray and part["theirs"].dtype == np.float64
        assert part["ours"].tolist() == part["theirs"].tolist()
    assert sum((block["theirs"].tolist() for block in blocks), []) == x["theirs"].tolist()


def test_permutations_are_of_every_kind():
    x = jnp.arange(9)
    for wanted in ([*range(8, -1, -1)], [8, *range(8)], [1, 0, *range(2, 9)]):
        find(strategies.permutations_of(x), lambda y, w=wanted: y.tolist() == w, settings=once)


def test_meshes():
    seen = set()

    @settings(quick, max_examples=60)
    @given(strategies.meshes(("x", "y")))
    def collect(mesh):
        seen.add(tuple(mesh.shape.values()))
        assert mesh.axis_names == ("x", "y")

    collect()
    sizes = {a * b for a, b in seen}
    assert sizes == {1, 2, 4, 8} and {(2, 4), (4, 2), (8, 1)} <= seen
    assert find(strategies.meshes(largest=2), lambda m: m.size > 1, settings=once).size == 2


def pivoted(x):
    d = x - x[0]
    return jnp.mean(d * d) - jnp.mean(d) ** 2


def textbook(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def two_pass(x):
    d = x - jnp.mean(x)
    return jnp.mean(d * d) - jnp.mean(d) ** 2


def off(f, x):
    """Return by how many tolerances a variance is off."""
    wide = np.asarray(x, np.float64)
    right = np.var(wide - wide[0])
    bound = strategies.tolerance(jnp.zeros(()).dtype, x.size, strategies.condition(x))
    return abs(float(f(x)) - right) / (bound * right) if right else 0.0


@settings(quick, max_examples=60)
@given(strategies.ill_conditioned("float32", (24, 300)) | strategies.arrays("float32", ((300,),)))
def test_sound_variances_are_within_tolerance(x):
    x = x.astype(jnp.zeros(()).dtype)
    assert off(pivoted, x) <= 1 and off(stats.var, x) <= 1


def test_unsound_variances_are_not():
    far = strategies.floats_with_offset(shape=(300,))
    find(far, lambda x: off(textbook, x) > 1, settings=once)
    bounded = find(far, lambda x: strategies.condition(x) < 16, settings=once)
    assert strategies.tolerance(jnp.float32, 300, strategies.condition(bounded)) < 2e-3
    assert off(lambda x: 1.01 * stats.var(x), bounded) > 1


def test_tolerance_is_the_certificate():
    u = 2.0**-24
    assert strategies.tolerance(jnp.float32, 1000, 3.0, height=10) == 38 * u * 3
    assert strategies.tolerance(jnp.float32, 1) == 8 * u
    assert strategies.tolerance(jnp.float32, 2**20) == (3 * (256 + 12) + 8) * u
    assert strategies.tolerance(jnp.bfloat16, 1) == 8 * 2.0**-8


def test_condition():
    x = np.random.default_rng(0).normal(size=50)
    q = [np.sum((x - k) ** 2) for k in x]
    assert np.isclose(strategies.condition(x), max(q) / (50 * np.var(x)), rtol=1e-12)
    assert strategies.condition(x) <= 50  # Samuelson
    assert strategies.condition(np.ones(3)) == strategies.condition(np.zeros(0)) == 1
    assert np.isclose(strategies.condition(x * 1e-200), strategies.condition(x))


@pytest.mark.parametrize(("ci", "name"), [("true", "jax-ci"), ("", "jax")])
def test_profiles(monkeypatch, ci, name):
    before = settings.get_current_profile_name()
    monkeypatch.setitem(os.environ, "CI", ci)
    try:
        assert strategies.register_profiles(max_examples=7) == name
        assert settings.default is not None
        assert settings.default.deadline is None and settings.default.max_examples == 7
        assert settings.default.derandomize == (name == "jax-ci")
        assert hypothesis.HealthCheck.too_slow in settings.default.suppress_health_check
    finally:
        settings.load_profile(before)
