"""Folds of pytrees of arrays: at each leaf the answer of the leaf alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fold_cases import W, X, Y, blocks, close
from helpers import assert_same

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import laws, strategies

TREE = {"pair": (X[:, 0],), "flag": X > 4}


@pytest.mark.slow
def test_describe_has_a_description_at_each_leaf():
    found = jf.fold(folds.describe(correction=1), TREE)
    assert found.keys() == TREE.keys() and isinstance(found["pair"][0], stats.Description)
    single = lambda leaf: jf.fold(folds.describe(correction=1), leaf)  # noqa: E731
    assert_same(found, jax.tree.map(single, TREE))
    assert found["flag"].maximum.dtype == np.bool_


def test_one_weight_counts_for_all_leaves():
    a_fold, tree = folds.mean(weights=stats.Frequency), {"a": X, "b": (Y[:, 0],)}
    found = jf.fold(a_fold, blocks((tree, W)))
    assert_same(found, jax.tree.map(lambda leaf: jf.fold(a_fold, blocks((leaf, W))), tree))
    close(found["a"], stats.mean(X, axis=0, weights=jnp.broadcast_to(W[:, None], X.shape)))


def test_moments_and_extremes():
    ends = {"low": folds.minimum(), "high": folds.maximum(), "both": folds.minmax()}
    each = jf.combine(mean=folds.mean(), std=folds.std(), **ends)
    tree = {"x": X, "y": (X.astype(np.int32),)}
    found = jf.fold(each, tree)
    x, y = jf.fold(each, X), jf.fold(each, tree["y"][0])
    assert_same(found, {name: {"x": x[name], "y": (y[name],)} for name in x})


def test_memories_are_shared_and_of_single_arrays_as_before():
    like = {"a": jax.ShapeDtypeStruct((), X.dtype)}
    assert len(jf.combine(var=folds.var(), std=folds.std()).init(like)) == 1
    bare = folds.var().block(X)
    assert isinstance(bare, tuple) and int(bare[0].weight.total.low[0]) == 60


def test_nan_is_left_out_of_its_own_leaf():
    gaps = jnp.where(jnp.arange(60) % 4 == 1, jnp.nan, X[:, 0])
    found = jf.fold(folds.mean(nan="omit"), {"a": gaps, "b": X[:, 0]})
    close(found["a"], stats.mean(gaps, nan="omit"))
    assert found["b"] == jf.fold(folds.mean(), X[:, 0])


def test_loops_and_transforms():
    step = lambda s: {"w": s["w"] / 2, "n": s["n"] + 1}  # noqa: E731
    start = {"w": jnp.ones(2), "n": jnp.zeros((), np.int32)}
    seen = jf.iterate(step, start, jf.watch(folds.maximum(), of=lambda s: s), max_steps=3)
    assert_same(seen.memory["maximum"], {"w": np.full(2, 0.5, start["w"].dtype), "n": np.int32(3)})
    slope = jax.grad(lambda x: jf.fold(folds.mean(), {"x": x, "y": x})["y"])(X[:, 0])
    close(slope, jnp.full(60, 1 / 60))


def test_errors_name_the_leaf():
    with pytest.raises(TypeError, match="complex") as error:
        jf.fold(folds.sem(), {"a": X, "b": (jax.lax.complex(X, X),)})
    assert "in the element['b'][0]" in error.value.__notes__


def test_matrices_of_trees():
    tree = {"b": X, "a": (Y[:, 0], X[:, 0] * Y[:, 1])}
    rows = jnp.stack([Y[:, 0], X[:, 0] * Y[:, 1], X[:, 0], X[:, 1]], axis=1)
    both = jf.combine(cov=folds.cov_matrix(correction=1), corr=folds.corr_matrix())
    assert_same(jf.fold(both, tree), jf.fold(both, rows))
    names = ("a.0", "a.1", "b[0]", "b[1]")
    assert folds.row_names(jax.tree.map(lambda leaf: leaf[0], tree)) == names
    shapes = {"m": jax.ShapeDtypeStruct((2, 2), X.dtype), "s": 1.0}
    assert folds.row_names(shapes) == ("m[0,0]", "m[0,1]", "m[1,0]", "m[1,1]", "s")
    assert folds.row_names(np.zeros(2)) == ("[0]", "[1]")


def test_matrices_of_mixed_dtypes_and_shapes():
    tree = {"i": jnp.arange(60) % 5, "x": Y.reshape(60, 1, 2), "z": Y[:, 0] > 0, "h": X[:, 0]}
    tree["h"] = tree["h"].astype(jnp.bfloat16)
    columns = [np.asarray(v, np.float64).reshape(60, -1) for _, v in sorted(tree.items())]
    found = jf.fold(folds.cov_matrix(), tree)
    np.testing.assert_allclose(found, np.cov(np.hstack(columns).T, ddof=0), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_laws_of_trees():
    wide = strategies.arrays(shape=((12, 3),)).map(lambda a: {"x": a[:, 0], "y": (a[:, 1:],)})
    laws.fold(jf.combine(mean=folds.mean(), high=folds.maximum()), wide, max_examples=6)
