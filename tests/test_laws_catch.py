"""Each law fails on a planted breach, and the counter-example is shown."""

import jax
import jax.numpy as jnp
import pytest

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import laws, strategies


def breach(match):
    """Expect a law to fail, and to show the values that made it fail."""
    return pytest.raises(AssertionError, match=rf"(?s){match}.*(Failing test case|Falsifying)")


def textbook(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def test_textbook_variance():
    with breach("f\\(x \\+ c\\) is not f\\(x\\)"):
        laws.translation(textbook)
    with breach("what it must be"):
        laws.constant(textbook)
    with breach("var\\(x\\), and cov\\(x, x\\)"):
        laws.var_is_cov(textbook, stats.cov)


def test_jnp_var_on_constants_and_translations():
    with breach("what it must be"):
        laws.constant(jnp.var)
    with breach("what it must be"):
        laws.constant(jnp.mean, lambda c: c)
    with breach("f\\(x \\+ c\\) is not f\\(x\\)"):
        laws.translation(jnp.var)


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


def test_weighted_mean_merge():
    with breach("differs"):
        laws.fold(fold_of(nothing, weighted, variance, "weighted"))


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


@jax.tree_util.register_pytree_with_keys_class
class Biased(jf.Fold):
    def of(self, g):
        f = super().of(jf.Pipe(g, _add_one))
        return Biased(f.init, f.step, f.merge, f.extract, f.block)


def _add_one(x):
    return x + 1


def nested(*callbacks):
    """A chain that keeps its bracketing, as a tree of tuples does."""
    if not callbacks:
        return jf.proceed
    return jf.Callback(
        name="nested", after_step=jf.partial(_run_all, callbacks=tuple(map(hold, callbacks)))
    )


def hold(callback):
    return callback if callback is not jf.proceed else jf.partial(jf.proceed)


def _run_all(state, *, callbacks):
    stop = False
    for callback in callbacks:
        state, asked = callback(state)
        stop = stop | asked
    return state, stop


def test_chain_that_keeps_its_brackets():
    with breach("is not a"):
        laws.chain_monoid(chain=nested)


def test_chain_where_the_last_one_wins():
    def last_wins(*callbacks):
        flat = [c for c in callbacks if c is not jf.proceed]
        return flat[-1] if flat else jf.proceed

    with breach("a chain stops by OR|does not run a|associativity"):
        laws.chain_monoid(chain=last_wins)


def test_meddler_posing_as_observer():
    def meddles(x):
        return x * 0.999, False

    with breach("with observers, and without"):
        laws.observer(meddles)
    with breach("with observers, and without"):
        laws.callback(meddles, observes=True, ulp=2, max_examples=2)


class Counts:
    """Counts its calls in Python: once a trace, but once a step in the python driver."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * (1 / self.calls), False


def test_hidden_state_in_drivers():
    with pytest.raises(AssertionError, match="drivers while and"):
        laws.driver_equivalence(Counts())


def test_hidden_state_in_resume():
    with pytest.raises(AssertionError, match="resumed after|same values gave different answers"):
        laws.resume(Counts())


def test_hidden_state_in_chunks():
    with pytest.raises(AssertionError, match="chunks of|same values gave different answers"):
        laws.chunking(Counts())


def test_lanes_that_look_at_each_other():
    @jax.custom_batching.custom_vmap
    def sees_others(x):
        return x

    @sees_others.def_vmap
    def _(size, batched, x):
        return x * 0 + jnp.max(x), True

    with breach("lane"):
        laws.lane(lambda x: (sees_others(x), False))


def test_what_goes_on_after_its_stop():
    # its answer depends on how much room there is, which a stopped run must not see
    def start(state, *, max_steps):
        return jnp.int32(max_steps)

    def greedy(room, state, *, step):
        return room, state * 0.5, step * 2 >= room

    with breach("a stopped run, and the same"):
        laws.frozen(jf.Callback(start, after_step=greedy))


class Remembers:
    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x + self.calls


def test_pipe_with_hidden_state():
    with pytest.raises(AssertionError, match="a second time|same values gave different answers"):
        laws.pipe(jf.Pipe(Remembers()))


def test_pipe_rebuilt_of_fresh_lambdas():
    with breach("p built anew is not p"):
        laws.pipe(jf.Pipe(double=lambda x: 2 * x), rebuild=lambda: jf.Pipe(double=lambda x: 2 * x))


class Opaque:
    """Equal to its like, but traced anew: its hash says so too late."""

    def __init__(self):
        self.values = [1]

    def __call__(self, x):
        return x + self.values[0]


def test_pipe_that_traces_again():
    with breach("p built anew is not p"):
        laws.pipe(jf.Pipe(Opaque()), rebuild=lambda: jf.Pipe(Opaque()))


@jax.tree_util.register_pytree_with_keys_class
class Bracketed(jf.Pipe):
    """A pipe that joins by nesting."""

    def __rshift__(self, other):
        return jf.Pipe._make(("left", "right"), (self, other))


def test_pipe_that_keeps_its_brackets():
    with breach("is not p"):
        laws.pipe(Bracketed(abs))
