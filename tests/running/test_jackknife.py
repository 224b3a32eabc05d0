"""Each chunk left out in turn: values, passes, merges, kinds of data, executors."""

import fold_workers as w
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same

import jfoundations as jf
from jfoundations import executors, folds

X = np.random.default_rng(5).normal(3.0, 2.0, (23, 2)).astype(np.float32)
BLOCKS = [X[:10], X[10:12], X[12:20], X[20:20], X[20:]]
BOTH = jf.combine(mean=folds.mean(), top=folds.maximum(), n=folds.count())


def by_hand(a_fold, blocks):
    return [jf.fold(a_fold, blocks[:i] + blocks[i + 1 :]) for i in range(len(blocks))]


def stacked(answers):
    return jax.tree.map(lambda *leaves: np.stack(list(map(np.asarray, leaves))), *answers)


def test_each_is_the_fold_of_the_others():
    whole, without = jf.jackknife(BOTH, BLOCKS)
    assert_same(whole, jf.fold(BOTH, BLOCKS))
    right = stacked(by_hand(BOTH, BLOCKS))
    np.testing.assert_allclose(without["mean"], right["mean"], rtol=1e-6)
    assert np.array_equal(without["top"], right["top"])  # which no undo would have given
    assert np.asarray(without["n"]).tolist() == right["n"].tolist()


def test_the_order_of_the_chunks_is_kept():
    """First, last and composition are merges that do not commute."""
    ends = jf.combine(first=folds.first(), last=folds.last())
    found = jf.jackknife(ends, [b for b in BLOCKS if len(b)])[1]
    right = stacked(by_hand(ends, [b for b in BLOCKS if len(b)]))
    assert_same(jax.tree.map(np.asarray, found), right)


def test_no_digit_is_lost_to_what_is_left_out():
    """One chunk of 1e30 and one of nan among small ones: each shows by its absence."""
    small = [jnp.array([1.0, 2.0], jnp.float32)] * 9
    for bad in (1e30, jnp.inf, jnp.nan):
        whole, without = jf.jackknife(
            jf.combine(mean=folds.mean(), var=folds.var()),
            [*small[:4], jnp.array([bad, 1.0], jnp.float32), *small[4:]],
        )
        assert not whole["mean"] == 1.5
        assert without["mean"][4] == 1.5 and without["var"][4] == 0.25
        assert not jnp.any(jnp.delete(without["mean"], 4) == 1.5)


def test_which_of_ten_thousand_files_spoiled_the_mean():
    """In one pass: each is loaded once."""
    n, loaded = 10_000, []
    data = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    data[6543] += 50.0

    def load(i):
        loaded.append(i)
        return data[i]

    mean, without = jf.jackknife(folds.mean(), jf.Source(n, load))
    assert loaded == list(range(n)) and without.shape == (n,)
    assert int(jnp.argmax(jnp.abs(without - mean))) == 6543
    right = (data.sum(dtype=np.float64) - data.sum(1, dtype=np.float64)) / (4 * n - 4)
    np.testing.assert_allclose(without, right, atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 64])
def test_merges_are_a_few_a_chunk(n):
    """Counted where they happen: n - 1 for the whole, and three a chunk for the rest."""
    merges = []

    def merge(a, b):
        jax.debug.callback(lambda _: merges.append(1), a)
        return a + b

    total = jf.Fold(lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, merge)
    whole, without = jf.jackknife(total, [jnp.ones(2)] * n)
    jax.block_until_ready((whole, without))
    jax.effects_barrier()
    assert without.tolist() == [2.0 * (n - 1)] * n
    assert len(merges) == 4 * n - 1


def test_its_program_does_not_grow_with_the_chunks():
    from jfoundations._running.jackknife import Known, _left_out

    var, like = folds.var(), jax.ShapeDtypeStruct((), jnp.float32)
    memory = var.block(jnp.ones(3, jnp.float32))

    def text(n):
        known = Known(*jax.tree.flatten(like), n)
        several = jax.tree.map(lambda v: jnp.broadcast_to(v, (n, *v.shape)), memory)
        return jax.jit(_left_out, static_argnums=2).lower(var, several, known).as_text()

    assert len(text(1000)) <= len(text(10)) + 1000


EXECUTORS = {
    "Local": executors.Local,
    "Devices": lambda: executors.Devices(jax.make_mesh((4,), ("data",)), "data"),
    "Processes": executors.Processes,
    "Pool": lambda: executors.Pool(1),
}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_everywhere_the_same_bits(executor):
    both, data = jf.combine(total=w.total(), mean=folds.mean()), jf.Source.of(X, 6)
    assert_same(jf.jackknife(both, data, EXECUTORS[executor]()), jf.jackknife(both, data))


def test_kinds_of_data():
    mean, right = folds.mean(), jf.jackknife(folds.mean(), jf.Source.of(X, 1))
    assert_same(jf.jackknife(mean, X), right)  # an array is cut into at most 64
    assert_same(jf.jackknife(mean, (X[k : k + 1] for k in range(len(X)))), right)
    tree = jf.jackknife(mean, {"x": X})
    assert_same(tree, ({"x": right[0]}, {"x": right[1]}))
    heard = []
    jf.jackknife(mean, X, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(k + 1, 23) for k in range(23)]


def test_inside_jit_and_under_grad():
    f = folds.var()

    def most(blocks):
        return jnp.max(jf.jackknife(f, list(blocks))[1])

    blocks = jnp.asarray(X[:20, 0]).reshape(4, 5)
    assert_same(jax.jit(most)(blocks), most(blocks), rtol=1e-6)
    slope = jax.jit(jax.grad(most))(blocks)
    assert slope.shape == blocks.shape and bool(jnp.any(slope != 0))


def test_without_the_only_one_nothing_is_left():
    whole, without = jf.jackknife(BOTH, [X])
    assert_same(whole, jf.fold(BOTH, [X]))
    assert bool(jnp.all(jnp.isnan(without["mean"]))) and int(without["n"][0]) == 0


def test_a_fold_that_remembers_nothing():
    assert jf.jackknife(jf.combine(), BLOCKS) == ({}, {})
    always = jf.combine().map(lambda answer: jnp.float32(7))
    assert jf.jackknife(always, BLOCKS)[1].tolist() == [7.0] * 5


def test_random_numbers_are_data():
    keys = jax.random.split(jax.random.key(0), 6)
    found = jf.jackknife(folds.mean().of(jax.random.normal), [keys[:2], keys[2:3], keys[3:]])[1]
    assert found.shape == (3,)
    kept = jf.Fold(lambda like: jax.random.key(7), lambda m, x: x, lambda a, b: b)
    assert jf.jackknife(kept, list(keys.reshape(3, 2)))[1].shape == (3,)


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"jackknife: ema depends on the order .* write a merge"):
        jf.jackknife(folds.ema(0.5), BLOCKS)
    with pytest.raises(TypeError, match=r"jackknife: folds.mean makes a fold; call it"):
        jf.jackknife(folds.mean, BLOCKS)
    with pytest.raises(ValueError, match=r"there is no block"):
        jf.jackknife(folds.mean(), [])
    with pytest.raises(TypeError, match=r"jackknife: data is int; give an array"):
        jf.jackknife(folds.mean(), 3)
    with pytest.raises(TypeError, match=r"jackknife: executor is 3"):
        jf.jackknife(folds.mean(), BLOCKS, 3)
    with pytest.raises(TypeError, match=r"jackknife: progress is 3"):
        jf.jackknife(folds.mean(), BLOCKS, progress=3)
    with pytest.raises(TypeError, match=r"chunk 1 has elements"):
        jf.jackknife(folds.mean(), [X, X[:, :1]])
