"""A random sample of a stream: the same whatever the order and the parts, and fair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.folds._sample import _waits
from jfoundations.testing import checks

KEY = jax.random.key(3)
N = 240
NUMBER = jnp.arange(N)
ROWS = {"x": jnp.arange(N, dtype=jnp.float32), "y": jnp.arange(2 * N).reshape(N, 2)}


def cut(data, order=None, size=60):
    data = data if order is None else jax.tree.map(lambda a: a[order], data)
    return [jax.tree.map(lambda a, i=i: a[i : i + size], data) for i in range(0, N, size)]


def test_order_and_parts_do_not_matter():
    fold = folds.sample(10, key=KEY)
    rows, found = jf.fold(fold, (NUMBER, ROWS))
    assert found.all() and rows["y"].shape == (10, 2)
    assert rows["y"][:, 0].tolist() == (2 * rows["x"]).tolist()  # whole rows
    assert len(set(rows["x"].tolist())) == 10
    order = np.random.default_rng(0).permutation(N)
    for parts in (cut((NUMBER, ROWS)), cut((NUMBER, ROWS), order)):
        checks.assert_same(jf.fold(fold, parts), (rows, found), bits=True)
    fewer, _ = jf.fold(folds.sample(4, key=KEY), (NUMBER, ROWS))
    checks.assert_same(fewer, jax.tree.map(lambda a: a[:4], rows))
    stepped = jax.lax.scan(
        lambda m, e: (fold.step(m, e), None),
        fold.init((NUMBER[0], ROWS["x"][0])),
        (NUMBER, ROWS["x"]),
    )[0]
    checks.assert_same(fold.extract(stepped)[0], rows["x"])
    pairs = jnp.stack([NUMBER // 20, NUMBER % 20], axis=1)  # (file, row)
    assert jf.fold(fold, (pairs, ROWS["x"]))[1].all()


def test_each_is_drawn_as_often():
    @jax.jit
    @jax.vmap
    def draw(seed):
        fold = folds.sample(12, key=jax.random.key(seed))
        return fold.extract(fold.block((NUMBER, NUMBER)))[0]

    drawn = np.asarray(draw(jnp.arange(2000)))
    times = np.bincount(drawn.reshape(-1), minlength=N)
    expected = 2000 * 12 / N
    assert np.sum((times - expected) ** 2) / expected < N + 4 * np.sqrt(2 * N)  # of χ² 4 deviations
    together = np.mean((drawn < 120).sum(1) == 6)  # hypergeometric
    assert abs(together - 0.231) < 4 * np.sqrt(0.231 * 0.769 / 2000)


def test_weights_are_chances():
    weights = jnp.where(NUMBER < 10, 50.0, 1.0).at[20].set(0.0)

    def draw(seed):
        fold = folds.sample(10, key=jax.random.key(seed), weights=stats.Reliability)
        return fold.extract(fold.block((NUMBER, (NUMBER, weights))))[0]

    drawn = np.asarray(jax.jit(jax.vmap(draw))(jnp.arange(2000)))
    assert not (drawn == 20).any()
    assert abs(np.mean(drawn[:, 0] < 10) - 500 / 729) < 4 * np.sqrt(0.22 / 2000)
    rng = np.random.default_rng(0)
    waits = rng.exponential(size=(4000, N)) / np.where(weights > 0, weights, 1e-9)
    right = (np.argsort(waits, axis=1)[:, :10] < 10).sum(1).mean()
    assert abs((drawn < 10).sum(1).mean() - right) < 0.15
    heavy = folds.sample(5, key=KEY, weights=stats.Frequency)
    data = (NUMBER, (ROWS, weights))
    checks.assert_same(jf.fold(heavy, cut(data)), jf.fold(heavy, data))
    for bad in (-1.0, jnp.nan):
        wrong = (NUMBER, (NUMBER, weights.at[5].set(bad)))
        assert not jf.fold(heavy, cut(wrong))[1].any()


def test_fewer_than_asked_for():
    fold = folds.sample(4, key=KEY)
    x, found = jf.fold(fold, (NUMBER[:2], NUMBER[:2] + 5))
    assert sorted(x.tolist()) == [0, 0, 5, 6] and found.tolist() == [True, True, False, False]
    assert not jf.fold(fold, (NUMBER[:0], NUMBER[:0]))[1].any()
    kept = jf.fold(fold.where(lambda row: row[1] % 120 == 7), (NUMBER, NUMBER))
    assert sorted(kept[0].tolist()) == [0, 0, 7, 127]


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: folds.sample(0, key=KEY), ValueError, "folds.sample: k"),
        (lambda: folds.sample(1, key=0), TypeError, "folds.sample: key"),
        (
            lambda: jf.fold(folds.sample(1, key=KEY), jnp.zeros(3)),
            TypeError,
            r"pairs|elements are \(number, x\)",
        ),
        (
            lambda: jf.fold(folds.sample(1, key=KEY), (jnp.zeros(3), jnp.zeros(3))),
            TypeError,
            "numbers are float32; integers are needed",
        ),
    ],
)
def test_messages(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_waits_are_known_near_0_and_at_any_scale_of_weights():
    word = jnp.array([0, 1, 2, 3, 1000, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)
    share = (np.asarray(word, np.float64) + 0.5) / 2**32
    right = np.log(-np.log1p(-share))
    for weight in (1.0, 9.0, 2e-38, 3e38):
        found = np.asarray(_waits(word, jnp.full(8, weight, np.float32)))
        expected = right - np.log(np.float64(np.float32(weight)))
        np.testing.assert_allclose(found[:6], expected[:6], rtol=0, atol=4e-5)
        assert (np.diff(found[:7]) > 0).all() and np.isfinite(found).all()
    assert np.isfinite(np.asarray(_waits(word, jnp.full(8, np.inf, np.float32)))).all()


def test_the_first_of_many_goes_by_its_weight():
    # the words of the first of 2**26 elements are so small: of the heavy ones 0.9 come first
    rng = np.random.default_rng(3)
    words = rng.integers(0, 2**11, (4000, 32)).astype(np.uint32)
    weights = jnp.broadcast_to(jnp.where(jnp.arange(32) < 16, 9.0, 1.0), words.shape)
    first = np.asarray(_waits(jnp.asarray(words), weights)).argmin(1)
    assert abs(np.mean(first < 16) - 0.9) < 0.02
