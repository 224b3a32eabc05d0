"""What a first pass leaves in doubt is read again: those rows alone, some at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jfoundations._kernels.moments import central_sums as _kernel
from jfoundations._kernels.sums import layout as _lines

SHAPES = [(300, 64), (301, 50), (130, 160)]  # one block a row, or several
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def rows(shape):
    x = np.random.default_rng(0).normal(3.0, 1.0, shape).astype(np.float32)
    x[5] *= np.float32(1e-30)  # squares leave their range
    x[-1] += np.float32(1e4)
    for k in (7, 8, -2):  # the middle of three values is far from the mean
        x[k, [0, shape[1] // 2 - 1, (shape[1] - 1) // 2, -1]] = 1e5
    return jnp.asarray(x)


def run(x, weights=None):
    found = jax.jit(lambda x, w: _kernel.central_sums([x], (1,), 2, w))(x, weights)
    return found.powers[0] * found.units[0], found.pivots[0] + found.offsets[0]


@shapes
@pytest.mark.parametrize("masked", [False, True])
def test_parts_give_the_bits_of_the_whole(shape, masked, monkeypatch):
    x = rows(shape)
    weights = jnp.asarray(np.random.default_rng(1).uniform(size=shape) < 0.9) if masked else None
    monkeypatch.setattr(_kernel, "AGAIN", 2**30)
    whole = run(x, weights)
    monkeypatch.setattr(_kernel, "AGAIN", 40 * shape[1])
    parts = run(x, weights)
    # a part without a doubt is not read again, and so keeps what the first pass found
    sure = np.ones(shape[0], bool)
    sure[:40] = sure[-40:] = False
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a[~sure], b[~sure])
        np.testing.assert_allclose(a, b, rtol=2e-5)


@shapes
def test_a_row_in_doubt_changes_no_row_far_from_it(shape, monkeypatch):
    monkeypatch.setattr(_kernel, "AGAIN", 40 * shape[1])
    x = rows(shape)
    calm = x.at[jnp.asarray([5, 7, 8, -1, -2])].set(x[60])
    for a, b in zip(run(x), run(calm), strict=True):
        np.testing.assert_array_equal(a[40:-40], b[40:-40])
        assert not np.array_equal(a, b)


@shapes
def test_turns_change_no_bit(shape, monkeypatch):
    x = rows(shape)
    at_once = run(x)
    monkeypatch.setattr(_lines, "TURN", 2**9)
    for a, b in zip(at_once, run(x), strict=True):
        np.testing.assert_array_equal(a, b)
