"""Inside `shard_map` each device has an array of its own: every public function takes it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from jax.sharding import AxisType, PartitionSpec
from public_cases import FOLDS, STATISTICS, of_fold

import jfoundations as jf
from jfoundations import diagnostics, folds, stats
from jfoundations._kernels.sums.one_read import FAR, pieces_of

MESH = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
EACH = 64
LIKE = jax.ShapeDtypeStruct((8 * EACH,), jnp.float32)


def of_chains(name, x):
    return getattr(diagnostics, name)(x.reshape(4, 16))


IDS = np.arange(EACH) % 5
# of one array: what the tables do not have
MORE = {
    "rolling": lambda x: jf.rolling(folds.mean(), x, 5, min_periods=1),
    "rolling, long": lambda x: jf.rolling(folds.maximum(), jnp.tile(x, 30), 900),
    "rolling, of times": lambda x: jf.rolling(folds.var(), x, times=np.arange(EACH), span=7),
    "segment": lambda x: jf.segment(folds.skew(), x, IDS, 5),
    "segment of sketches": lambda x: jf.segment(folds.median(), x, IDS, 5),
    "reduce": lambda x: jf.reduce(folds.logsumexp(), x.reshape(8, 8), axis=0),
    "jackknife": lambda x: jf.jackknife(folds.mean(), [x[:20], x[20:50], x[50:]]),
    "a fold without block": lambda x: jf.fold(
        jf.Fold(lambda like: jnp.zeros_like(like), lambda m, x: m + x, lambda a, b: a + b), x
    ),
    "weighted sketch": lambda x: jf.fold(folds.median(weights=stats.Frequency), (x, x * x)),
    "sketch of rows": lambda x: jf.fold(folds.pca(2, sketch=3), x.reshape(-1, 4)),
    **{name: functools.partial(of_chains, name) for name in diagnostics.__all__},
    "error of a median": lambda x: diagnostics.mcse(x.reshape(4, 16), kind="median"),
}


def on_each(f, count=1):
    """Return a function of sharded arrays that calls one on each device, and stacks the answers."""

    def run(*arrays):
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], f(*arrays))

    spec = PartitionSpec("d")
    return jax.shard_map(run, mesh=MESH, in_specs=(spec,) * count, out_specs=spec)


@pytest.mark.parametrize("name", sorted(STATISTICS))
def test_statistics(name):
    jax.eval_shape(on_each(STATISTICS[name], 2), LIKE, LIKE)


@pytest.mark.parametrize("name", sorted(FOLDS))
def test_folds(name):
    jax.eval_shape(on_each(of_fold(name), 2), LIKE, LIKE)


@pytest.mark.parametrize("name", sorted(MORE))
def test_more(name):
    jax.eval_shape(on_each(MORE[name]), LIKE)


@functools.cache
def sample():
    return np.random.default_rng(0).normal(3, 1, 8 * EACH).astype(np.float32)


@pytest.mark.parametrize("name", ["rolling, long", "segment of sketches", "a fold without block"])
def test_values(name):
    x = jnp.asarray(sample())
    found = jax.jit(on_each(MORE[name]))(x)
    each = [MORE[name](part) for part in jnp.split(x, 8)]
    assert_same(found, jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))


def test_much_data():
    assert pieces_of(2 * FAR, 1, 1)[1] > 1
    like = jax.ShapeDtypeStruct((8 * 2 * FAR,), jnp.float32)
    for f in (stats.var, stats.describe, lambda x: stats.cov(x, -x), lambda x: stats.mean(x > 0)):
        jax.eval_shape(on_each(f), like)
