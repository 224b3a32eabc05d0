"""A memory a group: the fold of each group's elements alone, in their order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, raises

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations._folds import grouped as _grouped
from jfoundations.testing import laws, strategies

RNG = np.random.default_rng(8)
SIZES = ((500, 3), (500, 40), (5, 3), (3, 9), (1, 1), (130, 1))  # of elements, of groups


def composed():
    """Return the fold that composes the maps n -> a·n + b mod 2³²: exact, and order matters."""

    def then(f, g):
        return g[0] * f[0], g[0] * f[1] + g[1]

    one, zero = np.uint32(1), np.uint32(0)
    return jf.Fold(lambda like: (jnp.array(one), jnp.array(zero)), then, then, name="composed")


def maps(size, n, beyond=2):
    """Return groups, some of them out of range, and as many random maps."""
    group = RNG.integers(-beyond, n + beyond, size).astype(np.int32)
    return group, tuple(RNG.integers(0, 2**32, (2, size), dtype=np.uint32))


def one_by_one(group, a, b, n):
    found = np.array([(1, 0)] * n, dtype=object)
    for g, x, y in zip(group.tolist(), a.tolist(), b.tolist(), strict=True):
        if 0 <= g < n:
            f, h = found[g]
            found[g] = x * f % 2**32, (x * h + y) % 2**32
    return found.T.tolist()


def as_lists(answer):
    return [leaf.tolist() for leaf in answer]


@pytest.mark.parametrize(("size", "n"), SIZES, ids=str)
def test_every_group_is_folded_in_its_order(size, n):
    group, (a, b) = maps(size, n)
    f = folds.grouped(composed(), n)
    assert as_lists(jf.fold(f, (group, (a, b)))) == one_by_one(group, a, b, n)


def test_one_program_for_all_ways_to_deal_out():
    n, size = 4, 90
    f = folds.grouped(composed(), n)
    run, traces = counted(lambda group, a, b: f.extract(f.block((group, (a, b)))))
    run = jax.jit(run)
    _, (a, b) = maps(size, n)
    some = [np.zeros(size), np.full(size, 3), np.full(size, 7), np.full(size, -1)]
    some += [np.sort(RNG.integers(0, n, size)), np.arange(size) % 2 * 9, np.arange(size) // 30]
    for group in (g.astype(np.int32) for g in some):
        assert as_lists(run(group, a, b)) == one_by_one(group, a, b, n)
    assert len(traces) == 1


def test_parts_steps_and_nothing():
    n, (group, (a, b)) = 3, maps(60, 3)
    f, right = folds.grouped(composed(), n), one_by_one(group, a, b, n)
    parts = [(group[s], (a[s], b[s])) for s in (slice(0, 20), slice(20, 40), slice(40, 60))]
    assert as_lists(jf.fold(f, parts)) == right
    stepped = jf.Fold(f.init, f.step, f.merge, f.extract)
    assert as_lists(jf.fold(stepped, (group, (a, b)))) == right
    nothing = jf.fold(f, (group[:0], (a[:0], b[:0])))
    assert as_lists(nothing) == [[1, 1, 1], [0, 0, 0]]


def test_large_memories_and_many_groups_take_other_ways(monkeypatch):
    group, (a, b) = maps(2000, 3)
    monkeypatch.setattr(_grouped, "ROOM", 0)
    f = folds.grouped(composed(), 3)
    lowered = jax.jit(f.block).lower((group, (a, b))).as_text()
    assert "stablehlo.sort" not in lowered  # it is the scan
    assert as_lists(f.block((group, (a, b)))) == one_by_one(group, a, b, 3)
    place = RNG.integers(0, 5, 300).astype(np.int32)
    for n in (5, 2**30):
        found = _grouped._order(jnp.asarray(place), n)
        assert found.tolist() == np.argsort(place, kind="stable").tolist()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32", "bool"])
def test_groups_of_any_integer(dtype):
    group = np.array([0, 1, 1, 127, 0, 200]).astype(dtype)
    f = folds.grouped(folds.count(), 150 if dtype != "bool" else 2)
    found = jf.fold(f, (group, np.zeros(6))).tolist()
    whole = group.astype(int)
    assert found == [int((whole == g).sum()) for g in range(len(found))]


@pytest.mark.slow
def test_moments_and_their_gradients_are_those_of_each_group():
    group, n = RNG.integers(-1, 4, 240).astype(np.int32), 5  # the last is empty
    x = jnp.asarray(RNG.normal(5.0, 1.0, 240), jnp.result_type(float))
    a_fold = folds.grouped(folds.var(correction=1), n)
    found, back = jax.vjp(jax.jit(lambda x: jf.fold(a_fold, (group, x))), x)
    close = {"rtol": 64 * float(jnp.finfo(x.dtype).eps)}
    for g in range(n):
        own = np.flatnonzero(group == g)
        right = np.var(np.asarray(x, float)[own], ddof=1) if len(own) else np.nan
        np.testing.assert_allclose(found[g], right, **close)
    (slope,) = back(jnp.zeros(n, x.dtype).at[1].set(1.0))
    own = np.flatnonzero(group == 1)
    right = 2 * (np.asarray(x)[own] - np.mean(np.asarray(x)[own])) / (len(own) - 1)
    np.testing.assert_allclose(np.asarray(slope)[own], right, rtol=1e-4, atol=1e-6)
    assert not np.asarray(slope)[group != 1].any()
    right = stats.segment_var(x, jnp.asarray(group), num_segments=n, correction=1)
    np.testing.assert_allclose(found, right, **close)


def test_order_dependent_folds_and_their_refusal():
    group, x = jnp.array([0, 1, 0, 1, 5, 0]), jnp.array([1.0, 2.0, 3.0, 4.0, 9.0, 5.0])
    f = folds.grouped(folds.ema(0.5), 2)
    found = jf.fold(f, (group, x))
    right = [jf.fold(folds.ema(0.5), x[group == g]) for g in (0, 1)]
    np.testing.assert_allclose(found, right, rtol=1e-6)
    assert f.merge is None and f.name == "grouped ema"


def test_equal_memories_are_shared():
    like = (jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((), np.float32))
    two = jf.combine(v=folds.grouped(folds.var(), 2), s=folds.grouped(folds.std(), 2))
    assert len(two.init(like)) == 1


def test_groups_of_groups_and_lanes():
    row, column = np.arange(12) % 2, np.arange(12) % 3
    inner = folds.grouped(summed(), 3)
    table = jf.fold(folds.grouped(inner, 2), (row, (column, np.arange(12))))
    assert table.tolist() == [[6, 14, 10], [12, 8, 16]]
    f = folds.grouped(composed(), 2)
    data = [maps(8, 2) for _ in range(3)]
    lanes = jax.jit(jax.vmap(f.block))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *data))
    for k, one in enumerate(data):
        assert_same(jax.tree.map(lambda leaf, k=k: leaf[k], lanes), jax.jit(f.block)(one))


BAD = {
    "no fold": (lambda: folds.grouped(jnp.sum, 3), TypeError, ("is no Fold",)),
    "no int": (lambda: folds.grouped(folds.mean(), 2.0), TypeError, ("num_groups is 2.0",)),
    "none": (lambda: folds.grouped(folds.mean(), 0), ValueError, ("num_groups is 0",)),
    "no pair": (
        lambda: jf.fold(folds.grouped(folds.mean(), 2), np.ones(3, np.float32)),
        TypeError,
        ("pairs (group, x), not float32[3]", ".of(lambda element: (group, x))"),
    ),
    "floats": (
        lambda: jf.fold(folds.grouped(folds.mean(), 2), (np.ones(3, np.float32), np.ones(3))),
        TypeError,
        ("a group is float32[]", "an integer or a bool is needed"),
    ),
    "vectors": (
        lambda: jf.fold(folds.grouped(folds.mean(), 2), (np.ones((3, 2), np.int32), np.ones(3))),
        TypeError,
        ("a group is int32[2]", "one for each element"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    run, error, said = BAD[case]
    with raises(error, *said):
        run()


@pytest.mark.slow
def test_laws():
    both = jf.combine(n=folds.count(), top=folds.maximum(), total=summed())
    groups = strategies.arrays(np.int32, shape=((12,),)).map(lambda g: g % 5 - 1)
    pairs = groups.flatmap(lambda g: strategies.arrays(shape=((12,),)).map(lambda x: (g, x)))
    laws.fold(folds.grouped(both, 3), pairs, max_examples=10)


def summed():
    return jf.Fold(lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, jnp.add, name="sum")
