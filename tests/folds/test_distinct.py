"""How many different elements there are: the stated error, and laws that hold with ==."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds
from jfoundations.testing import checks

DISTINCT = folds.distinct()


def test_the_error_is_as_stated():
    block, extract = jax.jit(jax.vmap(DISTINCT.block)), jax.jit(jax.vmap(DISTINCT.extract))
    for n in (1, 30, 1000, 20_000):
        x = jnp.asarray(np.random.default_rng(n).permuted(np.arange(64 * n)).reshape(64, n))
        found = np.asarray(extract(block(x.astype(jnp.float32))), np.float64) / n - 1
        # of 64 draws the root of the mean square is off by a tenth; twice that is let through
        assert np.sqrt(np.mean(found**2)) <= 1.2 * 0.02
        assert abs(found.mean()) <= 3 * 0.02 / 8
    assert float(extract(block(jnp.zeros((64, 0))))[0]) == 0


def test_order_parts_and_repetitions_do_not_matter():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, 500, (900, 2)), jnp.int32)
    memory = DISTINCT.block(x)
    again = DISTINCT.block(x[rng.integers(0, 900, 900)])
    checks.assert_same(DISTINCT.merge(memory, memory), memory)
    checks.assert_same(DISTINCT.merge(memory, again), memory)
    checks.assert_same(DISTINCT.merge(again, memory), memory)
    assert jf.fold(DISTINCT, x) == jf.fold(DISTINCT, [x[450:], x[:450], x[7:13]])
    some = jf.fold(DISTINCT.where(lambda row: row[0] < 100), x)
    checks.assert_same(some, jf.fold(DISTINCT, x[x[:, 0] < 100]))


def test_what_is_equal():
    nan = np.array([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    x = jnp.array([0.0, -0.0, 1.0, *nan, 1.0], jnp.float32)
    assert round(float(jf.fold(DISTINCT, x))) == 3
    for dtype in (jnp.bool_, jnp.int8, jnp.uint32, jnp.bfloat16, jnp.complex64):
        found = jf.fold(DISTINCT, (jnp.arange(12) % 2).astype(dtype))
        assert round(float(found)) == 2
    tree = {"a": jnp.arange(12) % 2, "b": jnp.arange(12)[:, None] % 3}
    assert round(float(jf.fold(DISTINCT, tree))) == 6
    alone = jf.fold(DISTINCT, (jnp.arange(12) % 2).astype(jnp.int8))
    assert alone == jf.fold(DISTINCT, jnp.arange(12) % 2)  # whole numbers, whatever their width


@pytest.mark.parametrize("accuracy", [0.3, 0.02, 0.003])
def test_bytes(accuracy):
    memory = folds.distinct(accuracy=accuracy).init(jnp.zeros(()))
    assert memory.nbytes <= 2 * (1.04 / accuracy) ** 2


@pytest.mark.parametrize("accuracy, error", [("low", TypeError), (0.5, ValueError)])
def test_messages(accuracy, error):
    with pytest.raises(error, match="folds.distinct: accuracy is"):
        folds.distinct(accuracy=accuracy)
