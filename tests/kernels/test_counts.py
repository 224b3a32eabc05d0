"""A count's answer is right at any size, also where JAX has no int64.

The cause: the answer was the low one of two words. So it was of every fold that counts: `count`,
also within `combine`, `grouped` and arithmetic; `describe`; `histogram`; `sketch().count`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import folds
from jfoundations.stats import Count

MANY = 2**34
WORDS = not jax.config.jax_enable_x64


def doubled(f, memory):
    for _ in range(20):
        memory = f.merge(memory, memory)
    return f.extract(memory)


def test_more_than_one_word_holds():
    f = folds.count()
    n = doubled(f, f.block(jnp.zeros(MANY >> 20)))
    assert isinstance(n, Count) == WORDS
    assert int(n) == float(n) == MANY and n == MANY and n != MANY + 1
    assert repr(n if WORDS else int(n)) == "17179869184"
    assert np.asarray(n).tolist() == MANY
    if WORDS:
        assert float(jnp.sqrt(n)) == 2**17


@pytest.mark.parametrize(
    "f, counts",
    [
        (folds.describe(), lambda found: [found.count]),
        (folds.histogram([-1.0, 0.5, 2.0]), lambda found: list(found[0])),
        (folds.sketch(), lambda found: [found.count]),
    ],
    ids=["describe", "histogram", "sketch"],
)
def test_other_answers_that_count(f, counts):
    found = counts(doubled(f, f.block(jnp.arange(2.0))))
    assert sum(map(int, found)) == 2**21
    low = np.uint32(2**31)
    huge = Count(low, low)
    assert int(huge) == 2**63 + 2**31


def test_groups_and_arithmetic():
    data = (jnp.array([0, 1, 1]), jnp.array([1.0, 2.0, 6.0]))
    assert jf.fold(folds.grouped(folds.count(), 2), data).tolist() == [1, 2]
    x = data[1]
    if WORDS:  # strict promotion refuses an int64 here
        assert float(jf.fold(folds.mean() / folds.count(), x)) == 1
    assert int(jf.fold(1 - folds.count(), x)) == -2
    assert int(jf.fold(folds.count() + folds.count() * 2, x)) == 9
    assert int(jf.fold(abs(folds.count()), x)) == 3


@pytest.mark.parametrize("n", [0, 1, 2**24 + 1, 2**32 - 1, 2**32, 2**63 + 1])
def test_a_count_is_a_number(n):
    count = Count.of(n)
    assert (int(count), count.item(), count.tolist(), f"{count:d}") == (n, n, n, str(n))
    assert float(count) == float(n) and bool(count) == bool(n)
    assert count == n and count <= n and count >= n
    assert count < n + 1 and count > n - 1 and count != -1 and count > -1
    assert int(count + 1) == int(1 + count) == n + 1
    assert float(count - n) == 0 and float((count + 5) - n) == 5 and float(n - (count + 5)) == -5
    assert float(count * 2.0) == pytest.approx(2 * n) and float(-count) == pytest.approx(-n)


def test_what_words_cannot_do_is_refused():
    for op in (lambda n: n % 2, lambda n: n // 2, lambda n: 7 % n):
        with pytest.raises(TypeError, match=r"take int\(count\) on the host"):
            op(Count.of(5))
    with pytest.raises(TypeError):
        Count.of(5) + "a"
    assert Count.of(5) != "a"


def test_counts_under_transforms():
    x = jnp.zeros((3, 4))
    found = jax.vmap(lambda v: jf.fold(folds.count(), v))(x)
    assert found.tolist() == [4, 4, 4] and found.shape == (3,)
    assert bool(jax.jit(lambda v: jf.fold(folds.count(), v) == 4)(x[0]))
    if WORDS:
        assert int(found.sum()) == 12 and [int(n) for n in found] == [4, 4, 4]
        assert np.asarray(found).dtype == np.uint64
