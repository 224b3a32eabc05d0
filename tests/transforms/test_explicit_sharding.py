"""Arrays with explicit sharding, as `jax.make_mesh` gives them: results of every public function.

The cause: there the type of an array says how it lies over the devices, so each operation must say
how its answer lies; reshapes, concatenations and loops of the statistics did not. Where it can act:
every core that is compiled by itself, folds of arrays, of blocks and of streams, a fold in a loop,
weights and masks that lie otherwise than the data, a mesh in scope with data that lies anywhere.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from public_cases import FOLDS, STATISTICS, check_that_none_is_missing, elements, of_fold

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

EXPLICIT = jax.make_mesh((8,), ("d",))
AUTO = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
ROWS, COLUMNS = PartitionSpec("d"), PartitionSpec(None, "d")
RNG = np.random.default_rng(0)
X, Y = (RNG.normal(3, 1, (64, 8)).astype(np.float32) for _ in range(2))
# another order of the sums: of 64 numbers and their powers, of deviations of size 1
APART = 64 * float(np.finfo(np.float32).eps)


def lay(x, spec=ROWS, mesh=EXPLICIT):
    return jax.device_put(x, NamedSharding(mesh, spec))


def same(found, right, apart=APART):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=apart, atol=apart)


def spec_of(x):
    return jax.typeof(x).sharding.spec


def test_no_public_name_is_missing():
    check_that_none_is_missing()


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name):
    run = STATISTICS[name]
    same(run(lay(X), lay(Y)), run(X, Y))


@pytest.mark.parametrize("name", FOLDS)
def test_folds(name):
    run = of_fold(name)
    same(run(lay(X), lay(Y)), run(jnp.asarray(X), jnp.asarray(Y)))


@pytest.mark.parametrize("name", ["var", "corr", "standardize", "median", "cov_matrix"])
def test_inside_jit_the_bits_are_those_of_automatic_axes(name):
    run = jax.jit(STATISTICS[name])
    for spec in (ROWS, COLUMNS):
        explicit, automatic = ([lay(v, spec, mesh) for v in (X, Y)] for mesh in (EXPLICIT, AUTO))
        # how a product of matrices is split over devices, the compiler chooses
        ulp = {"ulp": 16, "atol": 1e-7} if name == "cov_matrix" else {"bits": True}
        checks.assert_same(run(*explicit), run(*automatic), **ulp)


def test_axes_that_are_kept_lie_as_they_lay():
    rows, columns = lay(X), lay(X, COLUMNS)
    assert spec_of(stats.var(rows, axis=1)) == PartitionSpec("d")
    assert spec_of(stats.mean(rows, axis=1, keepdims=True)) == PartitionSpec("d", None)
    assert spec_of(stats.var(columns, axis=0)) == PartitionSpec("d")
    assert spec_of(stats.quantile(columns, [0.1, 0.9], axis=0)) == PartitionSpec(None, "d")
    assert spec_of(stats.standardize(rows, axis=0)) == PartitionSpec("d", None)
    assert spec_of(stats.var(rows)) == PartitionSpec()
    assert spec_of(jf.fold(folds.var(), columns)) == PartitionSpec("d")


def test_what_lies_otherwise_joins_in():
    w, keep = np.arange(64, dtype=np.float32)[:, None] % 4, X > 2
    call = functools.partial(stats.std, axis=0, nan="omit")
    right = call(X, weights=w, where=keep)
    same(call(lay(X), weights=w, where=keep), right)
    same(call(X, weights=lay(w), where=lay(keep, COLUMNS)), right)
    same(stats.cov(lay(X), Y, axis=0), stats.cov(X, Y, axis=0))
    with jax.set_mesh(EXPLICIT):
        same(call(jnp.asarray(X), weights=w, where=keep), right)
        same(jf.fold(folds.var(), jnp.asarray(X)), stats.var(X, axis=0))


def test_reproducible_sums_have_one_set_of_bits():
    for spec in (ROWS, COLUMNS):
        for run in (stats.sum, stats.mean, stats.var):
            found = run(lay(X, spec), axis=0, reproducible=True)
            checks.assert_same(found, run(X, axis=0, reproducible=True), bits=True)


def test_folds_of_blocks_and_sources():
    right = jf.fold(folds.var(), jnp.asarray(X))
    same(jf.fold(folds.var(), [lay(X[:32]), lay(X[32:])]), right)
    same(jf.fold(folds.var(), lay(X), progress=lambda done, total: None), right)
    same(jax.jit(functools.partial(jf.fold, folds.var()))(lay(X)), right)


@pytest.mark.parametrize("name", ["mean", "var", "describe", "maximum", "cov", "histogram"])
def test_a_fold_in_a_loop(name):
    watch = jf.callbacks.watch(FOLDS[name], name="seen")

    def grown(state):
        return jax.tree.map(lambda x: x * np.float32(1.25), state)

    def run(x, y):
        result = jf.iterate(grown, elements(name, x, y), watch, max_steps=3)
        return FOLDS[name].extract(result.memory["seen"])

    right = run(jnp.asarray(X), jnp.asarray(Y))
    same(run(lay(X), lay(Y)), right)
    same(jax.jit(run)(lay(X), lay(Y)), right)


def test_gradients_and_lanes():
    right = jax.grad(lambda x: jnp.sum(stats.std(x, axis=0)))(X)
    with jax.set_mesh(EXPLICIT):  # as JAX asks for every gradient of such arrays
        found = jax.grad(lambda x: jnp.sum(stats.std(x, axis=0)))(lay(X))
        assert spec_of(found) == PartitionSpec("d", None)
        same(found, right)
    same(jax.vmap(stats.var)(lay(X)), stats.var(X, axis=1))
