"""Fold, combine, fold, Source, Local: one pass, any blocks, clear refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

X = jnp.array([1.0, 2.0, 4.0, 18.0])
BOTH = jf.combine(mean=folds.mean(), n=folds.count())


def zeros(like):
    return jnp.zeros(like.shape, like.dtype)


def value(fold, data=X):
    return float(jf.fold(fold, data))


def test_the_lessons_numbers():
    every = jf.combine(
        mean=folds.mean(), var=folds.var(), std=folds.std(), lo=folds.minimum(), hi=folds.maximum()
    )
    found = jf.fold(every, X)
    assert list(map(float, (found["mean"], found["var"], found["lo"], found["hi"]))) == [
        6.25,
        47.1875,
        1.0,
        18.0,
    ]
    assert found["std"] == jnp.sqrt(jnp.asarray(47.1875))
    assert value(folds.var(correction=1)) == pytest.approx(62.916666, rel=1e-6)
    assert value(folds.cov(), (X, 2 * X)) == 94.375
    assert value(folds.corr(), (X, -X)) == -1.0


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_folds_are_the_statistics(name):
    x = jnp.asarray(np.random.default_rng(0).normal(3.0, 1.0, (100, 2)))
    checks.assert_same(jf.fold(getattr(folds, name)(), x), getattr(stats, name)(x, axis=0), ulp=1)


def test_arithmetic_is_arithmetic_on_answers():
    hi, lo, mean = folds.maximum(), folds.minimum(), folds.mean()
    assert value(hi - lo) == 17 and value(hi + 1) == 19 and value(1 + hi) == 19
    assert value(20 - hi) == 2 and value(hi * 2) == 36 and value(2 * hi) == 36
    assert value(hi / lo) == 18 and value(36 / hi) == 2 and value(lo**2) == 1
    assert value(-hi) == -18 and value(abs(-hi)) == 18
    assert value((hi + lo) * mean - 0.25) == 19 * 6.25 - 0.25
    array = jf.fold(np.array([1.0, 2.0], np.asarray(X).dtype) * mean, X)
    assert array.tolist() == [6.25, 12.5]
    with pytest.raises(TypeError, match="unsupported operand"):
        hi @ lo


def test_arithmetic_shares_a_memory():
    snr = folds.mean() / folds.mean()
    assert len(snr.init(jax.ShapeDtypeStruct((), X.dtype))) == 1
    both = jf.combine(var=folds.var(), std=folds.std(), var1=folds.var(correction=1))
    assert len(both.init(jax.ShapeDtypeStruct((), X.dtype))) == 1
    assert len(BOTH.init(jax.ShapeDtypeStruct((), X.dtype))) == 2
    found = jf.fold(both, X)
    assert found["std"] ** 2 == pytest.approx(float(found["var"]), rel=1e-6)


def test_map_of_where():
    assert value(folds.mean().map(jnp.sqrt)) == 2.5
    assert value(folds.mean().of(jnp.sqrt), X**2) == 6.25
    assert value(folds.mean().where(lambda x: x < 10)) == pytest.approx(7 / 3, rel=1e-6)
    assert value(folds.count().where(lambda x: x > 1)) == 3
    assert value(folds.var().where(lambda x: x < 0)) != value(folds.var())
    assert np.isnan(value(folds.var().where(lambda x: x < 0)))
    assert value(folds.mean().where(lambda x: x > 1).of(lambda x: x - 1)) == 10
    assert value(folds.mean().of(lambda x: x - 1).where(lambda x: x > 1)) == 7


def test_where_is_deletion_also_of_nan():
    x = jnp.array([jnp.nan, 1.0, jnp.inf, 3.0])
    for fold in (folds.mean(), folds.var(), folds.maximum(), folds.count()):
        assert value(fold.where(jnp.isfinite), x) == value(fold, jnp.array([1.0, 3.0]))
        blocks = [x[:2], x[2:]]
        assert value(fold.where(jnp.isfinite), blocks) == value(fold, jnp.array([1.0, 3.0]))


RAGGED = [X[:1], X[1:3], X[3:], X[:0]]
SOURCES = {
    "list of blocks": lambda: RAGGED,
    "numpy blocks": lambda: [np.asarray(b) for b in RAGGED],
    "generator": lambda: (b for b in RAGGED),
    "source": lambda: jf.Source(4, lambda i: RAGGED[i]),
    "one block": lambda: [X],
    "array": lambda: X,
    "numpy array": lambda: np.asarray(X),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_data(source):
    found = jf.fold(BOTH, SOURCES[source]())
    assert found["mean"] == 6.25 and int(found["n"]) == 4


def test_local_is_the_default():
    checks.assert_same(
        jf.fold(BOTH, RAGGED), jf.fold(BOTH, RAGGED, jf.executors.Local()), bits=True
    )


def test_bits_depend_on_the_cut_alone():
    x = jnp.asarray(np.random.default_rng(1).normal(size=60))
    blocks = [x[10 * k : 10 * k + 10] for k in range(6)]
    fold = jf.combine(mean=folds.mean(), var=folds.var())
    first = jf.fold(fold, blocks)
    checks.assert_same(first, jf.fold(fold, iter(blocks)), bits=True)
    checks.assert_same(first, jf.fold(fold, jf.Source(6, blocks.__getitem__)), bits=True)


def test_elements_that_are_trees():
    data = {"x": X, "y": jnp.stack([X, -X], axis=1)}
    fold = jf.combine(x=folds.mean().of(lambda e: e["x"]), y=folds.maximum().of(lambda e: e["y"]))
    found = jf.fold(fold, data)
    assert found["x"] == 6.25 and found["y"].tolist() == [18.0, -1.0]
    blocks = [jax.tree.map(lambda a: a[:3], data), jax.tree.map(lambda a: a[3:], data)]
    checks.assert_same(jf.fold(fold, blocks), found, ulp=1)
    assert int(jf.fold(folds.count(), data)) == 4
    assert value(folds.cov(), [(X[:2], X[:2]), (X[2:], X[2:])]) == 47.1875


def test_order_dependent_folds():
    last = jf.Fold(zeros, lambda memory, x: x, None, name="last")
    smooth = jf.Fold(zeros, lambda memory, x: 0.5 * memory + x, None)
    both = jf.combine(last=last, smooth=smooth, mean=folds.mean())
    assert both.merge is None
    for data in (X, RAGGED):
        found = jf.fold(both, data)
        assert (float(found["last"]), float(found["smooth"])) == (18.0, 20.625)
        assert found["mean"] == 6.25
    assert value(last.map(jnp.negative)) == -18 and value(last.of(jnp.negative)) == -18
    assert value(last.where(lambda x: x < 10)) == 4.0
    assert value(last.where(lambda x: x < 10), RAGGED) == 4.0


def test_counts_do_not_saturate():
    def doubled(memory, times):
        for _ in range(times):
            memory = count.merge(memory, memory)
        return memory

    count = folds.count()
    one = count.block(jnp.zeros(3))
    for times in (24, 30, 40):
        assert int(doubled(one, times)) == 3 * 2**times
    plus_one = count.step(doubled(one, 31), 0.0)
    assert int(plus_one) == 3 * 2**31 + 1
    answer = count.extract(count.step(doubled(one, 24), 0.0))
    assert jnp.issubdtype(answer.dtype, jnp.integer) and int(answer) == 3 * 2**24 + 1


def test_a_mean_over_more_than_2_to_24_elements():
    mean = folds.mean()
    memory = mean.block(jnp.ones(2))
    merge = jax.jit(mean.merge)
    for _ in range(30):
        memory = merge(memory, memory)
    one_more = merge(memory, mean.block(jnp.full((1,), 2.0**31)))
    assert mean.extract(memory) == 1.0 and int(one_more[0].weight) == 2**31 + 1
    assert mean.extract(one_more) == pytest.approx(2.0, rel=1e-6)


def test_a_large_offset_loses_nothing():
    x = jnp.asarray(1e4 + np.random.default_rng(2).normal(size=4096), jnp.float32)
    exact = np.asarray(x, np.float64)
    blocks = jnp.sort(x).reshape(64, 64)
    assert value(folds.var(), list(blocks)) == pytest.approx(exact.var(), rel=2e-6)
    assert value(folds.mean(), list(blocks)) == pytest.approx(exact.mean(), rel=1e-7)


@pytest.mark.parametrize("fold", [folds.mean, folds.var, folds.std, folds.minimum])
def test_nothing_at_all(fold):
    nothing = jf.fold(fold(), jnp.zeros(0))
    assert np.isinf(nothing) if fold is folds.minimum else np.isnan(nothing)


def test_extrema_of_every_dtype():
    for x in (jnp.array([3, 1, 2], jnp.uint8), jnp.array([True, False]), X.astype(jnp.bfloat16)):
        assert jf.fold(folds.minimum(), x) == x.min() and jf.fold(folds.maximum(), x) == x.max()
        assert jf.fold(folds.maximum(), x).dtype == x.dtype
        assert jf.fold(folds.maximum(), [x[:1], x[1:]]) == x.max()
    assert np.isnan(value(folds.maximum(), jnp.array([1.0, jnp.nan, 2.0])))


def test_combine_of_none_is_the_do_nothing():
    assert jf.fold(jf.combine(), X) == {}
    assert jf.fold(jf.combine(), RAGGED) == {}


def test_under_transforms():
    checks.assert_jit_invariant(lambda x: jf.fold(BOTH, x), X)
    batch = jnp.stack([X, 2 * X])
    checks.assert_vmap_invariant(lambda x: jf.fold(folds.mean(), x), batch)
    slope = jax.grad(lambda x: jf.fold(folds.mean(), x))(X)
    assert slope.tolist() == [0.25] * 4
    with checks.assert_traces(1) as counted:
        run = jax.jit(counted(lambda fold, x: jf.fold(fold, x)))
        for _ in range(2):
            run(jf.combine(mean=folds.mean(), n=folds.count().map(jf.identity)), X)


def test_folds_are_values():
    assert folds.var() == folds.var() and hash(folds.var()) == hash(folds.var())
    assert folds.var() != folds.var(correction=1) and folds.var() != folds.mean()
    assert repr(folds.var()) == "Fold(var)" and "maximum" in repr(folds.maximum() - folds.mean())


BAD = {
    "list of scalars": ([1.0, 2.0], TypeError, r"chunk 0.*no leading axis.*jnp\.array\(numbers\)"),
    "scalar": (jnp.float32(3), TypeError, "no leading axis"),
    "number": (3.0, TypeError, "data is float; give an array, or an iterable of blocks"),
    "strings": (np.array(["a", "b"]), TypeError, "fold's data: a leaf is <U1.*no array of numbers"),
    "block of strings": ([["a"]], TypeError, "chunk 0: a leaf is str"),
    "objects": ({"x": np.array([None])}, TypeError, "a leaf is object"),
    "mismatched axes": ((X, X[:2]), ValueError, r"leaves have lengths \[2, 4\].*one leading axis"),
    "mismatched in block": ([(X, X), (X, X[:2])], ValueError, "chunk 1: its leaves have lengths"),
    "other dtype": ([X, jnp.arange(3)], TypeError, "chunk 1 has elements int.*others had float"),
    "other shape": ([X, X[:, None]], TypeError, "chunk 1 has elements.*all must be alike"),
    "other structure": ([(X,), (X, X)], TypeError, "all must be alike"),
    "no block": ([], ValueError, "there is no block"),
    "empty generator": (iter(()), ValueError, "there is no block"),
    "no arrays": ({}, ValueError, "no arrays"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data(case):
    data, error, message = BAD[case]
    with pytest.raises(error, match=message):
        jf.fold(folds.count(), data)


def test_bad_folds():
    with pytest.raises(TypeError, match="is no Fold; make one with Fold"):
        jf.fold(jnp.mean, X)
    with pytest.raises(TypeError, match="combine: mean is .*, which is no Fold"):
        jf.combine(mean=jnp.mean)
    with pytest.raises(TypeError, match="Fold: step is 3, which is not callable"):
        jf.Fold(zeros, 3, None)
    with pytest.raises(TypeError, match="Fold: extract is None"):
        jf.Fold(zeros, jnp.add, None, None)
    with pytest.raises(TypeError, match="watch: .* is no Fold"):
        jf.watch(jnp.mean)


def test_bad_sources():
    with pytest.raises(ValueError, match="Source: n_chunks is 0"):
        jf.Source(0, RAGGED.__getitem__)
    with pytest.raises(TypeError, match="n_chunks is 1.5"):
        jf.Source(1.5, RAGGED.__getitem__)
    with pytest.raises(TypeError, match="load is 3, which is not callable"):
        jf.Source(2, 3)


def test_an_executor_refuses_what_depends_on_order():
    last = jf.Fold(zeros, lambda memory, x: x, None, name="last")
    assert value(last, RAGGED) == 18.0
    assert jf.fold(last, RAGGED, jf.executors.Local()) == 18.0
    with pytest.raises(TypeError, match="last depends on the order.*so Splitting cannot split it"):
        jf.fold(last, RAGGED, Splitting())


class Splitting(jf.executors.Executor):
    """An executor as others are: it needs a merge."""

    def run(self, chunks, progress):
        for i, block in reversed(list(chunks)):
            progress.fold(i, block)


def test_an_executor_of_ones_own():
    assert jf.fold(folds.maximum(), RAGGED, Splitting()) == 18.0
