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
