"""Weighted folds, and folds that leave nan out, are the statistics of the whole array."""

import jax.numpy as jnp
import numpy as np
import pytest
from fold_cases import W, X, Y, alike, blocks, close, everything, of_array

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

pytestmark = pytest.mark.slow  # compiles many programs

F = stats.Frequency


@pytest.mark.parametrize("kind", [stats.Reliability, stats.Probability])
def test_kinds(kind):
    found = jf.fold(everything(1, weights=kind), blocks((X, W)))
    w = np.asarray(W)[:, None]
    alike(found, of_array(X, 1, weights=kind(w)))
    pairs = {"cov": folds.cov(weights=kind, correction=1), "corr": folds.corr(weights=kind)}
    found = jf.fold(jf.combine(**pairs), blocks(((X, Y), W)))
    options = {"axis": 0, "weights": kind(w)}
    right = {
        "cov": stats.cov(X, Y, correction=1, **options),
        "corr": stats.corr(X, Y, **options),
    }
    close(found, right)


def test_frequency_is_repetition_and_weight_0_deletion():
    often = np.repeat(np.asarray(X), np.asarray(W), axis=0)
    found = jf.fold(everything(1, weights=F), blocks((X, W)))
    alike(found, of_array(often, 1))
    x, w = np.asarray(X), np.asarray(W)
    spoilt = np.where((w == 0)[:, None], x.dtype.type(np.nan), x)
    again = jf.fold(everything(1, weights=F), blocks((spoilt, W)))
    checks.assert_same(again, found)
    negative = jf.fold(folds.mean(weights=F), blocks((X, w - 1)))
    assert np.isnan(negative).all()
    ends = jf.fold(folds.minmax(weights=F), blocks((spoilt, W)))
    assert ends[0].tolist() == often.min(0).tolist() and ends[1].tolist() == often.max(0).tolist()


def test_nan_is_left_out_by_element():
    gaps = np.array(X)
    gaps[3, 0] = gaps[50, 1] = np.nan
    both = jf.fold(everything(nan="omit"), blocks(gaps))
    alike(both, of_array(gaps, nan="omit"))
    found = both["describe"]
    assert found.count.tolist() == [59, 59]
    assert found.minimum.tolist() == np.nanmin(np.asarray(gaps), 0).tolist()
    assert np.isnan(jf.fold(folds.minmax(), blocks(gaps))[1]).all()
    pairs = jf.fold(folds.cov(nan="omit"), blocks((gaps, Y)))
    close(pairs, stats.cov(gaps, Y, axis=0, nan="omit"))


def test_bools_as_weights_of_any_kind():
    x, keep = np.float32([1.0, 2.0, 4.0, 18.0]), np.array([True, True, False, True])
    for kind in (stats.Frequency, stats.Reliability, stats.Probability):
        found = jf.fold(folds.var(weights=kind, correction=1), (x, keep))
        assert float(found) == pytest.approx(91)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_edges_that_half_precision_does_not_tell_apart(dtype):
    first = int(2 / jnp.finfo(dtype).eps)
    x = np.array([first, first + 2, first + 2]).astype(dtype)
    for fold in (
        folds.histogram([first, first + 1, first + 2]),
        folds.histogram(2, range=(first, first + 2)),
    ):
        counts, edges = jf.fold(fold, [x[:1], x[:0], x[1:]])
        assert counts.tolist() == [1, 2] and edges.tolist() == [first, first + 1, first + 2]
