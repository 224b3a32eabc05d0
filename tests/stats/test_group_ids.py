"""Which group an element belongs to, whatever integers say so; groups in units of their own.

Causes, and where else they can act:
ids compared and filled in their own type: every `segment_*`, `folds.grouped`; int8 to uint64,
bools, lists, NumPy's wide integers without x64, big-endian ones, integers beyond all types;
negative ids, and those at and beyond the number of groups;
squares and spans that leave the range in one group while another is small: data and weights.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats

FLOAT = np.dtype(jnp.result_type(float))
EPS = float(np.finfo(FLOAT).eps)
TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">i8", ">i2"]


@pytest.mark.parametrize("dtype", TYPES)
def test_more_groups_than_a_type_can_count(dtype):
    ids, x = np.array([0, 1, 127], dtype), np.array([1, 2, 3], FLOAT)
    found = np.asarray(stats.segment_mean(x, ids, num_segments=128))
    right = np.full(128, np.nan)
    right[[0, 1, 127]] = 1, 2, 3
    assert np.array_equal(found, right, equal_nan=True)
    assert np.array_equal(stats.segment_mean(x, ids, num_segments=300)[:128], right, equal_nan=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32"])
def test_traced_ids_of_any_type(dtype):
    ids = jnp.asarray([0, 1, 127, 120], dtype)
    run = jax.jit(lambda x, ids: stats.segment_mean(x, ids, num_segments=128))
    found = np.asarray(run(jnp.arange(4, dtype=FLOAT), ids))
    assert found[[0, 1, 127, 120]].tolist() == [0, 1, 2, 3] and np.isnan(found).sum() == 124
    count = jf.fold(folds.grouped(folds.count(), 128), (ids, jnp.zeros(4)))
    assert np.flatnonzero(np.asarray(count)).tolist() == [0, 1, 120, 127]


OUTSIDE = {
    "negative": np.array([-1, 0, -128, 1], np.int8),
    "large": np.array([2, 0, 255, 1], np.uint8),
    "wraps to 0 and 1": np.array([2**32, 0, 2**32 + 1, 1]),
    "wraps to -1": np.array([2**64 - 1, 0, 2**63, 1], np.uint64),
    "beyond all types": [2**70, 0, -(2**70), 1],
    "a list": [5, 0, -1, 1],
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_ids_out_of_range_are_of_no_group(name):
    x = np.array([100, 1, 200, 2], FLOAT)
    assert stats.segment_mean(x, OUTSIDE[name], num_segments=2).tolist() == [1, 2]
    assert stats.segment_var(x, OUTSIDE[name], num_segments=2).tolist() == [0, 0]


def test_bools_are_ids_too():
    ids = [True, False, True]
    for given in (ids, np.array(ids), jnp.array(ids)):
        found = stats.segment_mean(np.array([1, 2, 4], FLOAT), given, num_segments=2)
        assert found.tolist() == [2, 2.5]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([0.0, 1.0, 1.0], "segment_ids have dtype float"),
        (["a", "b", "c"], "segment_ids is list"),
        ([0, 1], "one id for each element"),
    ],
)
def test_bad_ids(ids, said):
    with pytest.raises((TypeError, ValueError), match=said):
        stats.segment_mean(np.ones(3), ids, num_segments=2)


def test_each_group_in_units_of_its_own():
    x = np.array([1, 2, 4, 18], FLOAT)
    scale = [1.0, 1e-15, 1e15] if FLOAT == np.float32 else [1.0, 1e-150, 1e150]
    data = np.concatenate([x * FLOAT.type(s) for s in scale])
    weights = np.concatenate([np.full(4, s * s, FLOAT) for s in scale])
    ids = np.repeat(np.arange(3), 4)
    kind = stats.Reliability(weights)
    var = stats.segment_var(data, ids, num_segments=3, weights=kind, correction=1)
    np.testing.assert_allclose(var / np.square(scale), np.full(3, 62.916668), rtol=1e-6)
    mean = stats.segment_mean(data, ids, num_segments=3, weights=kind)
    np.testing.assert_allclose(mean / np.array(scale), np.full(3, 6.25), rtol=1e-6)


def test_whole_numbers_in_groups():
    x = np.array([2**30, 2**30 + 2, -(2**31), 2**31 - 1], np.int64).astype(np.int32)
    found = stats.segment_var(x, [0, 0, 1, 1], num_segments=2)
    np.testing.assert_allclose(found, [1.0, (2.0**32 - 1) ** 2 / 4], rtol=4 * EPS)
