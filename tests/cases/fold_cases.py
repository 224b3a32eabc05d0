"""Data in three blocks, and every fold of moments beside the statistic of the whole array."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

RNG = np.random.default_rng(5)
X = jnp.asarray(RNG.standard_exponential((60, 2)) + 3, jnp.result_type(float))
Y = jnp.asarray(RNG.normal(size=(60, 2)), X.dtype) + X
W = jnp.asarray(RNG.permutation(np.arange(60) % 4))
CUTS = (slice(0, 20), slice(20, 40), slice(40, 60))  # of one length: one trace
EPS = float(jnp.finfo(X.dtype).eps)


def blocks(data):
    # in NumPy, where a cut compiles nothing
    data = jax.tree.map(lambda a: a if isinstance(a, jax.core.Tracer) else np.asarray(a), data)
    return [jax.tree.map(lambda a, s=s: a[s], data) for s in CUTS]


def close(found, right, ulps=32):
    # relative to 1 for what may be next to nothing: shape statistics are of that size
    checks.assert_same(found, right, rtol=ulps * EPS, atol=ulps * EPS)


def everything(correction=0, **options):
    return jf.combine(
        sum=folds.sum(**options),
        mean=folds.mean(**options),
        std=folds.std(correction=correction, **options),
        sem=folds.sem(**options),
        describe=folds.describe(correction=correction, **options),
    )


@functools.partial(jax.jit, static_argnames=("correction", "nan"))
def of_array(x, correction=0, **options):
    options["axis"] = 0
    return {
        "sum": stats.sum(x, **options),
        "mean": stats.mean(x, **options),
        "std": stats.std(x, correction=correction, **options),
        "sem": stats.sem(x, **options),
        "describe": stats.describe(x, correction=correction, **options),
    }


def alike(found, right):
    """Compare answers; counts of arrays are int32, of folds in two words."""
    count = found["describe"].count
    assert count.tolist() == right["describe"].count.tolist()
    right["describe"] = dataclasses.replace(right["describe"], count=count)
    close(found, right, 64)
