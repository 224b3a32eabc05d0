"""Folds of what a predicate keeps: the fold of those elements alone, in their order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, raises
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds
from jfoundations._folds import rows as _fold_rows
from jfoundations._folds.rows import merge_stacked, width_of
from jfoundations.testing import laws, strategies

RNG = np.random.default_rng(4)
FLOAT = jnp.result_type(float)


def then(f, g):
    return g[0] * f[0], g[0] * f[1] + g[1]


def no_map(like):
    return jnp.uint32(1), jnp.uint32(0)


# The maps n -> a·n + b mod 2³², composed: exact, and order matters.
COMPOSED = jf.Fold(no_map, then, then, name="composed")


def kept(x):
    return x[0]


def composed_where():
    return COMPOSED.of(lambda x: x[1]).where(kept)


def maps(size):
    return tuple(RNG.integers(0, 2**32, (2, size), dtype=np.uint32))


def one_by_one(keep, a, b):
    found = 1, 0
    for k, x, y in zip(keep.tolist(), a.tolist(), b.tolist(), strict=True):
        found = (x * found[0] % 2**32, (x * found[1] + y) % 2**32) if k else found
    return list(found)


def as_list(answer):
    return [leaf.tolist() for leaf in answer]


@pytest.fixture(params=["rows", "a tree"])
def way(request, monkeypatch):
    monkeypatch.setattr(_fold_rows, "LIGHT", 0 if request.param == "rows" else 10**6)


SIZES = (0, 1, 3, 4, 300)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_kept_is_folded_in_its_order(way, size):
    f, data = composed_where(), maps(size)
    run, traces = counted(f.block)
    run = jax.jit(run)
    some = [np.zeros(size), np.ones(size), np.arange(size) % 3 == 1, np.arange(size) > size // 2]
    some += [RNG.random(size) < 0.5, RNG.random(size) < 0.9, np.arange(size) == size - 1]
    for keep in (k.astype(bool) for k in some):
        assert as_list(run((keep, data))) == one_by_one(keep, *data)
    assert len(traces) == 1


SEVENTY = maps(70)
RUN = jax.jit(composed_where().block)


@settings(deadline=None, database=None, max_examples=25, derandomize=True)
@given(st.lists(st.booleans(), min_size=70, max_size=70))
def test_where_is_deletion(keep):
    keep = np.array(keep)
    assert as_list(RUN((keep, SEVENTY))) == one_by_one(keep, *SEVENTY)


def test_memories_of_any_height_are_merged_in_their_order():
    def by_all(data):
        return [merge_stacked(then, data, no_map(None), fan) for fan in (2, 3, 16)]

    for count in (1, 2, 3, 16, 17, 33, 40):
        data = maps(count)
        for merged in jax.jit(by_all)(data):
            assert as_list(merged) == one_by_one(np.ones(count), *data)


def test_rows_are_longer_where_memories_are_large(monkeypatch):
    sketch = jnp.zeros((2, 2**17), np.uint32)
    assert width_of(10**6, jnp.zeros(())) == 128 and width_of(100, jnp.zeros(())) == 10
    assert width_of(3, jnp.zeros(())) == 3 and 10**6 // width_of(10**6, sketch) <= 256
    monkeypatch.setattr(_fold_rows, "ROOM", 1)  # then there is one row
    monkeypatch.setattr(_fold_rows, "LIGHT", 0)
    run = jax.jit(composed_where().block)
    for keep in (np.arange(50) % 3 == 1, np.ones(50, bool)):
        data = maps(50)
        assert as_list(run((keep, data))) == one_by_one(keep, *data)


def test_a_light_merge_makes_no_loop_and_a_heavy_one_few_merges():
    x = jax.ShapeDtypeStruct((5000,), FLOAT)
    top, mean = (f.where(jnp.isfinite) for f in (folds.maximum(), folds.mean()))
    assert "stablehlo.while" not in jax.jit(top.block).lower(x).as_text()
    calls, merge = [], folds.mean().merge
    seen = jf.Fold(mean.init, folds.mean().step, lambda a, b: calls.append(1) or merge(a, b))
    jax.eval_shape(seen.where(jnp.isfinite).block, x)
    assert len(calls) <= 5  # 71 rows: two levels, and what is left


def test_moments_are_those_of_what_is_kept():
    x = RNG.normal(5.0, 1.0, 200).astype(FLOAT)
    both = jf.combine(mean=folds.mean(), std=folds.std(), n=folds.count(), top=folds.maximum())
    found = jf.fold(both.where(lambda x: x > 5), x)
    right = jf.fold(both, x[x > 5])
    close = {"rtol": 32 * float(jnp.finfo(x.dtype).eps)}
    np.testing.assert_allclose(found["mean"], right["mean"], **close)
    np.testing.assert_allclose(found["std"], right["std"], **close)
    assert found["n"] == right["n"] and found["top"] == right["top"]


POISON = (np.nan, np.inf, -np.inf, -1.0)


@pytest.mark.parametrize("none", [False, True], ids=["some kept", "none kept"])
def test_what_is_left_out_reaches_no_gradient(way, none):
    x = jnp.asarray(np.resize(POISON, 24) if none else np.resize([*POISON, 4.0, 9.0], 24), FLOAT)
    total = jf.Fold(lambda like: jnp.zeros((), FLOAT), jnp.add, jnp.add, name="total")

    def run(w, x):
        roots = total.of(lambda x: jnp.sqrt(w * x)).where(lambda x: (x > 0) & (x < 1e9))
        return jf.fold(roots, x)

    value, (of_w, of_x) = jax.jit(jax.value_and_grad(run, (0, 1)))(jnp.asarray(4.0, FLOAT), x)
    good = np.isin(np.asarray(x), (4.0, 9.0))
    assert value == 2 * np.sqrt(np.asarray(x)[good]).sum()
    if not none:
        assert of_w == value / 8
    np.testing.assert_allclose(of_x, np.where(good, 1 / np.sqrt(np.where(good, x, 1)), 0))


def test_a_step_left_out_reaches_no_gradient():
    step = folds.mean().where(jnp.isfinite).step
    like = jax.ShapeDtypeStruct((), FLOAT)

    def run(x):
        memory = folds.mean().init(like)
        for k in range(3):
            memory = step(memory, x[k])
        return folds.mean().extract(memory)

    x = jnp.array([1.0, jnp.nan, 4.0], FLOAT)
    for slope in jax.jit(lambda x: (jax.jacfwd(run)(x), jax.grad(run)(x)))(x):
        assert slope.tolist() == [0.5, 0.0, 0.5]
    smooth = jf.Fold(lambda like: jnp.ones((), FLOAT), lambda m, x: m * jnp.sqrt(x), None)
    positive = smooth.where(lambda x: x > 0)
    found = jax.jit(jax.grad(lambda x: jf.fold(positive, x)))(jnp.array([-1.0, jnp.nan, 4.0]))
    assert found.tolist() == [0.0, 0.0, 0.25]


def test_where_on_where_of_where():
    x = jnp.arange(100, dtype=np.int32)
    total = jf.Fold(lambda like: jnp.zeros((), np.int32), jnp.add, jnp.add, name="total")
    for light in (10**6, 0):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(_fold_rows, "LIGHT", light)
            twice = total.where(lambda x: x % 4 == 0).of(lambda x: x + 1).where(lambda x: x > 20)
            assert jf.fold(twice, x) == sum(k + 1 for k in range(21, 100) if (k + 1) % 4 == 0)
    assert jf.fold(jf.combine().where(lambda x: x > 3), x) == {}
    bools = jf.fold(folds.count().where(lambda x: x), x % 3 == 0)
    assert int(bools) == 34


def test_lanes():
    f = composed_where()
    keep, data = RNG.random((3, 20)) < 0.6, tuple(leaf.reshape(3, 20) for leaf in maps(60))
    lanes = jax.jit(jax.vmap(f.block))((keep, data))
    for k in range(3):
        one = jax.tree.map(lambda leaf, k=k: leaf[k], (keep, data))
        assert_same(jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], lanes), RUN(one))


def test_a_fold_that_may_be_finished():
    either = jf.Fold(
        lambda like: jnp.zeros((), bool), jnp.logical_or, jnp.logical_or, finished=jnp.asarray
    )
    for light in (10**6, 0):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(_fold_rows, "LIGHT", light)
            seven = either.of(lambda x: x == 7)
            assert jf.fold(seven.where(lambda x: x > 3), jnp.arange(9))
            assert not jf.fold(seven.where(lambda x: x > 7), jnp.arange(9))


def test_a_predicate_is_of_elements():
    everything = folds.maximum().where(lambda x: True)
    assert jf.fold(everything, jnp.arange(3.0)) == 2
    with raises(TypeError, "where: its predicate returned shape (2,), a bool scalar is needed"):
        jf.fold(folds.maximum().where(lambda x: x > 0), jnp.ones((3, 2)))


@pytest.mark.slow
def test_laws_by_rows():
    positive = jf.combine(mean=folds.mean(), n=folds.count()).where(lambda x: x > 0)
    laws.fold(positive, strategies.arrays(shape=(12,)), max_examples=8)
