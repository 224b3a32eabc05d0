"""Sums in one read: the loop that is tuned to a compiler is held to its plain twin."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from jfoundations import stats
from jfoundations._kernels.sums.one_read import (
    FAR,
    MANY,
    MOST,
    ROWS,
    SHORT,
    by_pieces,
    by_rows,
    cut,
    ends,
    height,
    in_three,
    one_read,
    pieces_of,
    plainly,
)

SHAPES = [
    *((1,), (15,), (65,), (1000,), (1031,), (2**16 + 3,)),
    *((3, 70, 1), (2, 65, 5), (1, 1029, 3), (1, 64 * 16 * 67, 2)),
]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def draw(shape, seed=0):
    # integers whose sums are exact: any order gives the same bits
    return jnp.asarray(np.random.default_rng(seed).integers(-9, 9, shape), jnp.float32)


def squares(x, side):
    return [x - side, (x - side) ** 2]


@shapes
@pytest.mark.parametrize("terms", [1, 2])
def test_rows_are_the_plain_sums(shape, terms):
    x, side = draw(shape), draw((shape[0], shape[-1]) if len(shape) > 1 else ())
    make = lambda x, side: squares(x, side)[:terms]  # noqa: E731
    loop, plain, chosen = (
        jax.jit(lambda x, s, f=f: f(make, [x], [s]))(x, side) for f in (by_rows, plainly, one_read)
    )
    axis = x.ndim // 2
    side = np.expand_dims(side, axis) if side.ndim else side
    for found in (loop, plain, chosen):
        for a, b in zip(found, squares(np.asarray(x), side)[:terms], strict=True):
            np.testing.assert_array_equal(a, b.sum(axis))


MUCH = [(FAR + 77,), (FAR * 2,), (2, FAR // 8, 5), (1, 3, FAR // 2), (1, 64 * 5, FAR // 256)]


@pytest.mark.parametrize("shape", MUCH, ids=str)
def test_much_data_piece_by_piece(shape):
    # of integers, whose sums are exact
    x = np.arange(math.prod(shape), dtype=np.int32).reshape(shape) % 7
    side = np.ones((shape[0], shape[-1]), np.int32) if len(shape) > 1 else np.int32(1)
    joins = (lax.add, lax.add, lax.max)
    make = lambda x, side: [x - side, x * x, x]  # noqa: E731
    found = jax.jit(lambda x: by_pieces(make, [x], [side], joins))(x)
    axis = len(shape) // 2
    expected = (x - 1).sum(axis), (x * x).sum(axis), x.max(axis)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_of_much_data_too_a_variance_is_a_covariance():
    x = np.random.default_rng(0).standard_normal(FAR + 77, np.float32)
    assert pieces_of(x.size, 1, 1)[1] > 1
    var, cov = jax.jit(lambda x: (stats.var(x), stats.cov(x, x)))(x)
    assert var == cov == stats.var(x)


def test_pieces_stay_where_their_shards_are():
    mesh = jax.make_mesh((8,), ("i",))
    rows = jax.NamedSharding(mesh, jax.P("i"))
    x = jax.ShapeDtypeStruct((2 * FAR,), jnp.float32, sharding=rows)
    text = jax.jit(stats.var).lower(x).compile().as_text()
    assert "all-gather" not in text and text.count(" all-reduce(") <= 3


@shapes
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.bool_])
def test_ends(shape, dtype):
    x, keep = draw(shape).astype(dtype), draw(shape, 1) > 0
    joins, axis = (lax.min, lax.max), len(shape) // 2
    for given_ in ([x], [x, keep]):
        loop = by_rows(ends, given_, [], joins)
        plain = plainly(ends, given_, [], joins)
        for a, b in zip(loop, plain, strict=True):
            np.testing.assert_array_equal(a, b)
    found = by_rows(ends, [x], [], joins)
    np.testing.assert_array_equal(found[0], np.asarray(x).min(axis))
    np.testing.assert_array_equal(found[1], np.asarray(x).max(axis))


@settings(deadline=None)
@given(st.integers(1, 10**9), st.sampled_from([1, 3, 64, 2048, 2**22]))
def test_the_cut(n, inner):
    blocks, rows = cut(n, inner)
    assert 0 < rows <= min(n, MANY)
    # fewer than two rows of each block are left over
    assert n - n // (blocks * rows) * blocks * rows < max(blocks * rows, 1)
    for outer in (1, 5):
        blocks, pieces, rows, lines = pieces_of(n, inner, outer)
        assert n % blocks == 0 or pieces == 1
        assert pieces >= 1 and pieces * blocks * rows * lines <= n
        # of each block less than a piece is left over
        assert pieces * rows * lines <= n // blocks < (pieces + 1) * rows * max(lines, 1) + rows
        assert min(n - 1, rows) <= height(n, inner, outer) <= 4 * SHORT + 8 * ROWS + 2 * MOST


@pytest.mark.parametrize("n", [1, 100, 2**16])
def test_a_plain_sum_is_no_higher_than_said(n):
    # of equal numbers all roundings of a sum are to one side, until it doubles
    x = jnp.full(n, np.float32(1 / 3))
    (found,) = plainly(lambda x: [x], [x], [])
    u = float(jnp.finfo(jnp.float32).eps) / 2
    exact = n * float(np.float32(1 / 3))
    assert abs(float(found) - exact) <= (32 * math.ceil(math.log(max(n, 2), 32)) + 1) * u * exact


def test_three_axes():
    x = draw((2, 3, 4, 5))
    np.testing.assert_array_equal(in_three(x, (1, 2)), np.reshape(x, (2, 12, 5)))
    apart = np.asarray(x).transpose(0, 1, 3, 2).reshape(2, 15, 4)
    assert in_three(x, (1, 3)).shape == apart.shape
    np.testing.assert_array_equal(in_three(x, (1, 3)), apart)
    assert in_three(x, (0, 1, 2, 3)).shape == (120,)
    assert in_three(x, (0, 1, 2, 3), flat=False).shape == (1, 120, 1)
