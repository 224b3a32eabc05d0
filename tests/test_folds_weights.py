"""Weighted folds, and folds that leave nan out, are the statistics of the whole array."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

pytestmark = pytest.mark.slow  # compiles many programs

F = stats.Frequency
RNG = np.random.default_rng(5)
X = jnp.asarray(RNG.standard_exponential((60, 2)) + 3, jnp.result_type(float))
Y = jnp.asarray(RNG.normal(size=(60, 2)), X.dtype) + X
W = jnp.asarray(RNG.permutation(np.arange(60) % 4))
CUTS = (slice(0, 20), slice(20, 40), slice(40, 60))  # of one length: one trace
EPS = float(jnp.finfo(X.dtype).eps)


def blocks(data):
    return [jax.tree.map(lambda a, s=s: a[s], data) for s in CUTS]


def close(found, right, ulps=32):
    # relative to 1 for what may be next to nothing: shape statistics are of that size
    checks.assert_same(found, right, rtol=ulps * EPS, atol=ulps * EPS)


def everything(correction=0, **options):
    return jf.combine(
        mean=folds.mean(**options),
        std=folds.std(correction=correction, **options),
        sem=folds.sem(**options),
        describe=folds.describe(correction=correction, **options),
    )


def of_array(x, correction=0, **options):
    options["axis"] = 0
    return {
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


@pytest.mark.parametrize("kind", [stats.Reliability, stats.Probability])
def test_kinds(kind):
    found = jf.fold(everything(1, weights=kind), blocks((X, W)))
    alike(found, of_array(X, 1, weights=kind(W[:, None])))
    pairs = {"cov": folds.cov(weights=kind, correction=1), "corr": folds.corr(weights=kind)}
    found = jf.fold(jf.combine(**pairs), blocks(((X, Y), W)))
    options = {"axis": 0, "weights": kind(W[:, None])}
    right = {
        "cov": stats.cov(X, Y, correction=1, **options),
        "corr": stats.corr(X, Y, **options),
    }
    close(found, right)


def test_frequency_is_repetition_and_weight_0_deletion():
    often = np.repeat(np.asarray(X), np.asarray(W), axis=0)
    found = jf.fold(everything(1, weights=F), blocks((X, W)))
    alike(found, of_array(jnp.asarray(often), 1))
    spoilt = jnp.where((W == 0)[:, None], jnp.nan, X)
    again = jf.fold(everything(1, weights=F), blocks((spoilt, W)))
    checks.assert_same(again, found)
    negative = jf.fold(folds.mean(weights=F), blocks((X, W - 1)))
    assert np.isnan(negative).all()
    ends = jf.fold(folds.minmax(weights=F), blocks((spoilt, W)))
    assert ends[0].tolist() == often.min(0).tolist() and ends[1].tolist() == often.max(0).tolist()


def test_nan_is_left_out_by_element():
    gaps = X.at[3, 0].set(jnp.nan).at[50, 1].set(jnp.nan)
    both = jf.fold(everything(nan="omit"), blocks(gaps))
    alike(both, of_array(gaps, nan="omit"))
    found = both["describe"]
    assert found.count.tolist() == [59, 59]
    assert found.minimum.tolist() == np.nanmin(np.asarray(gaps), 0).tolist()
    assert np.isnan(jf.fold(folds.minmax(), blocks(gaps))[1]).all()
    pairs = jf.fold(folds.cov(nan="omit"), blocks((gaps, Y)))
    close(pairs, stats.cov(gaps, Y, axis=0, nan="omit"))
