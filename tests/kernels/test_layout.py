"""Sums in lines: every element once, whatever the layout; integers make the sums exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jfoundations._kernels.sums.layout import (
    CHUNK,
    LINE,
    ROWS,
    after,
    block_sums,
    choose,
    height_of,
    sum_levels,
)

SHAPES = [
    (1, 9001, 1),
    (1, LINE * ROWS + 17, 1),
    (131, 67, 1),
    (2, 5003, 3),
    (1, 523, 64),
    (7, 300, 6),
    (3, 5, 8),
    (1, 1, 1),
]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@st.composite
def layouts(draw):
    outer = draw(st.sampled_from([1, 2, 300]))
    inner = draw(st.sampled_from([1, 2, 7, 8, 64, 4096]))
    return outer, draw(st.integers(0, 10**9 // (outer * inner))), inner


@settings(deadline=None)
@given(layouts())
def test_segments_lie_side_by_side_and_hold_all_rows(shape):
    outer, n, inner = shape
    segments = choose(shape).segments
    start = 0
    for s in segments:
        assert s.start == start and s.blocks > 0 and s.size > 0
        start = s.stop
        # what one loop sums fits the cache, or is a sixteenth of an array that is larger still
        block = s.size * outer * inner
        assert s.blocks == 1 or s.blocks * block <= max(CHUNK, outer * n * inner / 16 + block)
        assert s.rows <= ROWS and s.height <= 12 * ROWS
    assert start == n
    assert len(segments) <= 16 + 2


@shapes
def test_each_element_is_summed_once(shape):
    x = np.random.default_rng(0).integers(-50, 50, shape).astype(np.float32)
    pivot = np.round(x.mean(axis=1, keepdims=True))

    def make(rows, sides):
        d = rows[0] - sides[0]
        return [d, d * d, jnp.ones_like(d, np.int32)]

    @jax.jit
    def run(x, pivot):
        parts = [block_sums(make, [x], [pivot], s) for s in choose(shape).segments]
        return [sum_levels([jnp.concatenate(p, axis=1)])[0] for p in zip(*parts, strict=True)]

    first, second, count = run(x, pivot)
    deviations = (x - pivot).astype(np.int64)
    np.testing.assert_array_equal(first, deviations.sum(axis=1))
    np.testing.assert_array_equal(second, (deviations**2).sum(axis=1))
    np.testing.assert_array_equal(count, np.full_like(count, shape[1]))


@shapes
def test_other_joins(shape):
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    joins = [(lax.min, np.float32(np.inf)), (lax.max, np.float32(-np.inf))]
    make = lambda rows, sides: [rows[0], rows[0]]  # noqa: E731
    parts = [block_sums(make, [jnp.asarray(x)], [], s, joins) for s in choose(shape).segments]
    low, high = sum_levels([jnp.concatenate(p, axis=1) for p in zip(*parts, strict=True)], joins)
    np.testing.assert_array_equal(low, x.min(axis=1))
    np.testing.assert_array_equal(high, x.max(axis=1))


@pytest.mark.parametrize("n", [1, 2, 127, 129, 1000, LINE, 4099])
def test_heights_are_those_of_the_loops(n):
    # a join that counts how deep a number lies: the deepest is at most as deep as was said
    deeper = lambda a, b: lax.max(a, b) + 1  # noqa: E731
    joins = [(deeper, np.int32(0)), (lax.add, np.int32(0))]
    depth, count = sum_levels(
        [jnp.zeros((1, n, 1), np.int32), jnp.ones((1, n, 1), np.int32)], joins
    )
    assert int(depth[0, 0]) <= height_of(n) <= 10 * ROWS
    assert int(count[0, 0]) == n


def test_what_waits_is_what_it_was():
    side = jnp.asarray([1.0, np.inf, np.nan])
    assert after(side, None) is side
    np.testing.assert_array_equal(after(side, jnp.asarray(False)), side)
