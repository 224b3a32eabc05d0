"""Laws of statistics and folds fail on planted and on real defects, and hold for what is sound."""

import jax
import jax.numpy as jnp
import pytest
from helpers import breach

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations._core.values import node
from jfoundations.testing import laws, strategies

HARD = strategies.ill_conditioned(length=5) | strategies.floats_with_offset(shape=(5,))


def textbook(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def popoviciu(x):
    return (jnp.max(x) - jnp.min(x)) ** 2 / 4


def test_textbook_variance():
    with breach("f\\(x \\+ c\\) is not f\\(x\\)"):
        laws.translation(textbook)
    with breach("what it must be"):
        laws.constant(textbook)
    with breach("var\\(x\\), and cov\\(x, x\\)"):
        laws.var_is_cov(textbook, stats.cov)
    with breach("below 0|is nan|above"):
        far = strategies.floats_with_offset(shape=(24,), largest=1e12)
        laws.bounds(textbook, lower=0, upper=popoviciu, samples=far, max_examples=200)
    laws.bounds(stats.var, lower=0, upper=popoviciu, samples=HARD, max_examples=10)


def test_jnp_var_on_constants_and_translations():
    with breach("what it must be"):
        laws.constant(jnp.var)
    with breach("what it must be"):
        laws.constant(jnp.mean, lambda c: c)
    with breach("f\\(x \\+ c\\) is not f\\(x\\)"):
        laws.translation(jnp.var)


def test_jnp_std_has_no_gradient_at_a_constant():
    with breach("its gradient is not"):
        laws.gradient(jnp.std)
    laws.gradient(stats.std, samples=HARD, max_examples=10)


def test_an_absolute_regulariser_breaks_scale():
    with breach("f\\(2\\*\\*"):
        laws.scale(lambda x: stats.var(x) + 1e-3, power=2)


def test_corrcoef_far_out():
    # at a scale of 1e-19 the products underflow
    with breach("corr\\("):
        laws.correlation(lambda x, y: jnp.corrcoef(x, y)[0, 1])


def test_unclamped_correlation():
    with breach("\\|corr\\(x, y\\)\\| > 1"):
        laws.correlation(lambda x, y: stats.corr(x, y) * 4)


def test_asymmetric_correlation():
    with breach("corr\\(y, x\\)"):
        laws.correlation(lambda x, y: stats.corr(x, y) * jnp.where(x[0] > y[0], 0.5, 1.0))


def fold_of(init, merge, extract, name):
    def step(memory, x):
        return merge(memory, one(x))

    def one(x):
        return jnp.ones(()), x, jnp.zeros_like(x)

    return jf.Fold(init, step, merge, extract, name=name)


def nothing(like):
    return jnp.zeros(()), jnp.zeros(like.shape, like.dtype), jnp.zeros(like.shape, like.dtype)


def chan(a, b):
    """Chan's merge with the mean in one word."""
    (na, ma, sa), (nb, mb, sb) = a, b
    n = jnp.maximum(na + nb, 1)
    gap = mb - ma
    return na + nb, ma + gap * nb / n, sa + sb + gap * gap * na * nb / n


def weighted(a, b):
    (na, ma, sa), (nb, mb, sb) = a, b
    n = jnp.maximum(na + nb, 1)
    mean = (na * ma + nb * mb) / n
    return na + nb, mean, sa + sb + na * (ma - mean) ** 2 + nb * (mb - mean) ** 2


def variance(memory):
    return memory[2] / memory[0]


def sums(a, b):
    return jax.tree.map(jnp.add, a, b)


def test_one_word_chan_merge():
    with breach("differs"):
        laws.fold(fold_of(nothing, chan, variance, "chan"))
    laws.fold(folds.var(), HARD, max_examples=10)


def test_weighted_mean_merge():
    with breach("differs"):
        laws.fold(fold_of(nothing, weighted, variance, "weighted"))


@pytest.mark.parametrize("merge", [chan, weighted])
def test_merges_of_means_on_constants(merge):
    def mean(x):
        counts = x.size - x.size // 3, x.size // 3
        parts = [(jnp.asarray(n, x.dtype), x[0], jnp.zeros_like(x[0])) for n in counts]
        return merge(*parts)[1]

    if merge is chan:
        laws.constant(mean, lambda c: c)
    else:
        with breach("what it must be"):
            laws.constant(mean, lambda c: c)


def test_textbook_fold():
    def step(memory, x):
        return sums(memory, (jnp.ones(()), x, x * x))

    def extract(memory):
        n, s, q = memory
        return q / n - (s / n) ** 2

    with breach("the fold of xs \\+\\+ ys|merge\\(merge"):
        laws.fold(jf.Fold(nothing, step, sums, extract, block=None, name="textbook"))


def test_wrong_identity():
    largest = jf.Fold(lambda like: jnp.zeros(like.shape, like.dtype), jnp.maximum, jnp.maximum)
    with breach("merge\\(init, m\\), and m|the fold of xs|step\\(m, x\\)"):
        laws.fold(jf.Fold(largest.init, jnp.maximum, jnp.maximum, block=_max))


def _max(xs):
    return jnp.max(xs, axis=0, initial=-jnp.inf)


def test_non_associative_merge():
    half = jf.Fold(jnp.zeros_like, lambda m, x: x, lambda a, b: (a + b) / 2)
    with breach("differs"):
        laws.fold(half, strategies.arrays(shape=(5,)))


def test_step_that_is_no_merge_of_one():
    bad = jf.Fold(
        lambda like: jnp.zeros(like.shape, like.dtype),
        lambda m, x: m + 2 * x,
        jnp.add,
        block=lambda xs: jnp.sum(xs, axis=0),
    )
    with breach("step\\(m, x\\), and merge\\(m, block\\(\\[x\\]\\)\\)"):
        laws.fold(bad)


def test_mask_that_is_not_heeded():
    total = jf.folds.count()
    bad = jf.Fold(total.init, total.step, total.merge, block_where=lambda xs, kept: total.block(xs))
    with breach("block_where\\(xs, kept\\), and block\\(xs\\[kept\\]\\)"):
        laws.fold(bad)


def test_undo_that_is_none():
    """One that forgets the part, one that takes out too much, one where no one can tell."""
    small = strategies.arrays(shape=(5,))
    total = jf.Fold(
        lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, jnp.add, unmerge=lambda m, b: m
    )
    with breach("merge\\(unmerge\\(m, b\\), b\\), and m"):
        laws.fold(total, small)
    n = folds.count()
    twice = jf.Fold(
        *(n.init, n.step, n.merge, n.extract, n.block),
        unmerge=lambda m, b: n.undo(n.undo(m, b), b),
    )
    with breach("unmerge\\(merge\\(a, b\\), b\\), and a"):
        laws.fold(twice, small)
    most = folds.maximum()
    never = jf.Fold(most.init, most.step, most.merge, block=most.block, unmerge=lambda m, b: m)
    with breach("b\\), a\\), and init"):
        laws.fold(never, small)


def test_ordered_fold_with_another_block():
    last = jf.Fold(
        lambda like: jnp.zeros(like.shape, like.dtype), lambda m, x: x, None, block=lambda xs: xs[0]
    )
    with breach("step by step"):
        laws.fold(last)


def test_unlawful_of():
    f = folds.maximum()
    with breach("f.of\\(g\\).of\\(h\\)"):
        laws.fold(Biased(f.init, f.step, f.merge, f.extract, f.block))


@node
class Biased(jf.Fold):
    def of(self, g):
        f = super().of(jf.Pipe(g, _add_one))
        return Biased(f.init, f.step, f.merge, f.extract, f.block)


def _add_one(x):
    return x + 1
