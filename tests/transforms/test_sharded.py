"""Arrays that lie on eight devices, under jit: the same statistics, wherever the shards are cut."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jfoundations import stats

EPS = float(np.finfo(np.float32).eps)
LAYOUTS = [  # shape, axis, and along which axis the array is cut
    ((80_000,), None, 0),
    ((800, 100), 0, 0),
    ((800, 104), 0, 1),
    ((800, 100), -1, 0),
    ((8, 10_000), 1, 0),
]


def place(x, cut):
    mesh = Mesh(np.array(jax.devices()), ("d",))
    spec = [None] * x.ndim
    spec[cut] = "d"
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))


@pytest.mark.parametrize(("shape", "axis", "cut"), LAYOUTS, ids=str)
def test_statistics_of_sharded_arrays(shape, axis, cut):
    run = jax.jit(lambda x: (stats.describe(x, axis=axis), stats.sum(x, axis=axis)))

    @settings(max_examples=3, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def holds(seed):
        x = np.random.default_rng(seed).normal(3.0, 1.0, shape).astype(np.float32)
        found, total = run(place(x, cut))
        wide = x.astype(np.float64)
        # rounded twice: what is left to a pivot, and what both make
        np.testing.assert_allclose(found.mean, wide.mean(axis=axis), rtol=2 * EPS)
        np.testing.assert_allclose(found.var, wide.var(axis=axis), rtol=32 * EPS)
        np.testing.assert_allclose(total, wide.sum(axis=axis), rtol=2 * EPS)
        np.testing.assert_array_equal(found.minimum, x.min(axis=axis))
        np.testing.assert_array_equal(found.maximum, x.max(axis=axis))

    holds()


def test_the_exact_laws_hold_on_shards():
    x = np.random.default_rng(0).integers(-512, 512, 80_000).astype(np.float32)
    run = jax.jit(stats.var)
    here = run(place(x, 0))
    assert run(place(x + np.float32(2**20), 0)) == here
    assert run(place(x * np.float32(2.0**-30), 0)) == here * np.float32(2.0**-60)
    assert run(place(np.full(80_000, 0.1, np.float32), 0)) == 0


@pytest.mark.parametrize("shape", [(4096, 16), (80_000, 32)], ids=str)  # one block, several
@pytest.mark.parametrize("nan", ["propagate", "omit", "pairwise"])
def test_rows_of_matrices_are_not_gathered(shape, nan):
    run = jax.jit(lambda x: stats.corr_matrix(x, nan=nan))
    x = np.random.default_rng(0).normal(3.0, 1.0, shape).astype(np.float32)
    program = run.lower(place(x, 0)).compile()
    text = program.as_text()
    moved = re.findall(r"= (.*?) (?:all-gather|all-to-all|collective-permute)(?:-start)?\(", text)
    sizes = [
        np.prod([int(n) for n in s.split(",")])
        for m in moved
        for s in re.findall(r"\[([\d,]+)\]", m)
    ]
    assert max(sizes, default=0) <= 8  # a place on each device, where a row that counts is found
    right = np.corrcoef(x.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(program(place(x, 0)), right, atol=32 * EPS)
