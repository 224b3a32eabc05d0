"""What was merged is taken out again: exact of counts, bounded of moments, refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations._folds.leafwise import Leaf
from jfoundations.folds._memory import Memory

RNG = np.random.default_rng(3)
A, B = (jnp.asarray(RNG.normal(2.0, 1.5, n), jnp.float32) for n in (9, 15))
WHOLE = jnp.concatenate([A, B])
EXACT = jf.combine(
    n=folds.count(),
    bins=folds.histogram(7, range=(-3.0, 6.0)),
    whole=folds.sum().of(lambda x: jnp.round(x).astype(jnp.int32)),
)
MEANS = jf.combine(mean=folds.mean(), sum=folds.sum(), var=folds.var(), std=folds.std())
REFUSE = {
    "minimum": folds.minimum(),
    "maximum": folds.maximum(),
    "minmax": folds.minmax(),
    "describe": folds.describe(),
    "first": folds.first(),
    "last": folds.last(),
    "top_k": folds.top_k(2),
    "argmin": folds.argmin(),
    "product": folds.product(),
    "logsumexp": folds.logsumexp(),
    "any": folds.any(),
    "ema": folds.ema(0.5),
}


@jax.jit(static_argnums=0)
def undone(make, a, b):
    """Return the memories of a and of what is left of both, where b is taken out."""
    f = make()
    return f.block(a), f.unmerge(f.merge(f.block(a), f.block(b)), f.block(b))


def test_exact_arithmetic_leaves_no_trace():
    a, left = undone(lambda: EXACT, A, B)
    assert_same(EXACT.extract(left), EXACT.extract(a))
    assert_same(left[:2], a[:2])  # the memories of counts, bit for bit
    near_median = folds.narrow(0.5, within=folds.sketch().block(jnp.concatenate([A, B])))
    one, two = (near_median.block(x) for x in (A, B))
    assert_same(near_median.unmerge(near_median.merge(one, two), two), one)


def test_counts_beyond_32_bits():
    n = folds.count()
    many = stats.Count.of(2**40 + 5)
    for part in (5, 6, 2**32, 2**40 + 5):
        left = n.unmerge(many, stats.Count.of(part))
        assert int(left) == 2**40 + 5 - part
        assert int(n.merge(left, stats.Count.of(part))) == 2**40 + 5


def numbers(memory):
    """Return count, mean and sums of powers of a memory, in float64, of units of one."""
    unit = np.asarray(memory.units[0], np.float64) if memory.units else 1.0
    wide = lambda words: np.asarray(words.high, np.float64) + np.asarray(words.low)  # noqa: E731
    powers = [wide(p) * unit ** (k + 2) for k, p in enumerate(memory.powers)]
    return (
        int(memory.weight),
        np.asarray(memory.pivots[0], np.float64) + wide(memory.offsets[0]),
        powers,
    )


@pytest.mark.parametrize(("n_a", "n_b"), [(5, 7), (3, 200), (200, 3)])
def test_moments_to_the_stated_bound(n_a, n_b):
    """Whatever the distance of the means, and however the scales differ."""
    fold, u = folds.kurtosis(), float(np.finfo(np.float32).eps) / 2
    many = jax.jit(jax.vmap(lambda a, b: undone(folds.kurtosis, a, b)))
    scales = 10.0 ** RNG.uniform(-3, 8, 200)[:, None]
    shifts = 10.0 ** RNG.uniform(-2, 6, 200)[:, None]
    a = (shifts + RNG.normal(size=(200, n_a))).astype(np.float32)
    b = (shifts + scales * (1 + RNG.normal(size=(200, n_b)))).astype(np.float32)
    firsts, lefts = many(a, b)
    w = (n_a + n_b) / n_a
    for k, whole in enumerate(np.concatenate([a, b], axis=1).astype(np.float64)):
        first, left = (jax.tree.map(lambda v, k=k: v[k], m[0]) for m in (firsts, lefts))
        (count, mean, powers), (n, found, others) = numbers(first), numbers(left)
        assert n == count == n_a
        assert abs(found - mean) <= 4 * u * w * np.ptp(whole)
        for order, power, other in zip((2, 3, 4), powers, others, strict=True):
            size = np.sum(np.abs(whole - whole.mean()) ** order)
            factor = 16 * w if order == 2 else 32 * w * w
            assert abs(other - power) <= factor * u * size, order
    assert fold.undo is not None


@jax.jit
def answers(f, x, y):
    """Return answers of x, of what is left of x and y without y, of that with y, and of both."""
    a, b = f.block(x), f.block(y)
    both = f.merge(a, b)
    left = f.unmerge(both, b)
    return tuple(map(f.extract, (a, left, f.merge(left, b), both)))


def near(p, q):
    np.testing.assert_allclose(p, q, rtol=2e-5, atol=2e-5)


def test_what_is_left_is_used_as_any_memory():
    for f, x, y in (
        (MEANS, A, B),
        (folds.cov_matrix(), jnp.stack([A, -2 * A], 1), jnp.stack([B, B**2], 1)),
        (folds.cov(), (A, A**2), (B, -B)),
        (folds.var(weights=stats.Reliability), (A, A**2), (B, B**2)),
        (folds.mean(), {"x": A, "y": 2 * A}, {"x": B, "y": B}),
        (folds.sum(), jax.lax.complex(A, -A), jax.lax.complex(B, A[0] * B)),
    ):
        a, left, again, both = answers(f, x, y)
        jax.tree.map(near, left, a)
        jax.tree.map(near, again, both)


def test_nothing_is_left_of_all():
    f = jf.combine(**{n: getattr(folds, n)() for n in ("mean", "std", "skew", "count", "sum")})
    all_of_it = f.block(A)
    nothing, empty = f.unmerge(all_of_it, all_of_it), f.init(A[0])
    assert_same(f.extract(nothing), f.extract(empty))
    assert_same(f.extract(f.merge(nothing, f.block(B))), f.extract(f.block(B)))
    assert_same(f.extract(f.unmerge(all_of_it, empty)), f.extract(all_of_it))


def test_sums_to_the_stated_bound():
    u, f = float(np.finfo(np.float32).eps) / 2, folds.sum()
    a, b = (RNG.normal(size=(2, 1000)) * 10.0 ** RNG.uniform(-9, 9, (2, 1000))).astype(np.float32)
    of_one = lambda x: f.block(jnp.asarray(x)[None])  # noqa: E731
    left = f.extract(f.unmerge(f.merge(of_one(a), of_one(b)), of_one(b)))
    largest = np.maximum(np.abs(a), np.abs(b)) + np.abs(a.astype(np.float64) + b)
    assert np.all(np.abs(np.asarray(left, np.float64) - a) <= u * np.abs(a) + 8 * u * u * largest)


def test_what_was_spoiled_stays_so():
    """An infinity that is not taken out stays; one that is, or a nan, leaves nan and no guess."""
    mean, bad = folds.mean(), jnp.array([1.0, jnp.inf], jnp.float32)
    both = mean.merge(mean.block(A), mean.block(bad))
    assert mean.extract(both) == jnp.inf
    assert jnp.isnan(mean.extract(mean.unmerge(both, mean.block(bad))))
    assert mean.extract(mean.unmerge(both, mean.block(A))) == jnp.inf
    total = folds.sum()
    both = total.merge(total.block(A), total.block(bad))
    assert jnp.isnan(total.extract(total.unmerge(both, total.block(bad))))


def test_constants_have_no_negative_variance():
    f = folds.std()
    for offset in (0.1, 1e3, 1e6):
        constant = jnp.full(5, offset, jnp.float32)
        left = f.unmerge(f.merge(f.block(constant), f.block(B)), f.block(B))
        assert f.extract(left) >= 0


@pytest.mark.parametrize("name", REFUSE)
def test_refused_by_name(name):
    f = REFUSE[name]
    assert f.undo is None
    with pytest.raises(TypeError, match=rf"unmerge: {name} cannot take out .* jf.jackknife"):
        f.unmerge(f.init(A[0]), f.init(A[0]))


def test_made_of_others():
    """Kept where all members have it: side by side, mapped, filtered, grouped, in trees."""
    both = jf.combine(n=folds.count(), mean=folds.mean())
    assert both.undo is not None and (folds.mean() - folds.std()).undo is not None
    assert jf.combine().undo is not None
    mixed = jf.combine(n=folds.count(), top=folds.maximum())
    assert mixed.undo is None
    with pytest.raises(TypeError, match=r"unmerge: n, top cannot"):
        mixed.unmerge(0, 0)
    with pytest.raises(TypeError, match=r"after take cannot"):
        jf.Pipe(jf.take(3)).over(both).unmerge(0, 0)
    f = both.of(jnp.square).where(lambda x: x > 1).map(lambda answer: answer["mean"])
    left = f.unmerge(f.block(WHOLE), f.block(B))
    np.testing.assert_allclose(f.extract(left), f.extract(f.block(A)), rtol=1e-5)
    # after a round trip through JAX it still is one memory beside its like
    again = jax.tree.unflatten(*reversed(jax.tree.flatten(both)))
    assert again == both and len(jf.combine(a=again, b=folds.var(), c=folds.mean())._parts) == 3


def test_groups():
    group = jnp.array([0, 2, 0, 2])
    a, left, again, both = answers(folds.grouped(folds.mean(), 3), (group, A[:4]), (group, B[:4]))
    near(left, a)
    near(again, both)


def test_never_merged_is_an_error_where_it_can_be_seen():
    n, mean = folds.count(), folds.mean()
    with pytest.raises(ValueError, match=r"unmerge: .* seen 15 elements, and the whole 9: it was"):
        n.unmerge(n.block(A), n.block(B))
    with pytest.raises(ValueError, match=r"never merged"):
        mean.unmerge(mean.block(A), mean.block(B))
    bins = folds.histogram([0.0, 1.0])
    with pytest.raises(ValueError, match=r"never merged"):
        bins.unmerge(bins.block(jnp.zeros(2)), bins.block(jnp.zeros(3)))
    weighted = folds.mean(weights=stats.Frequency)
    with pytest.raises(ValueError, match=r"never merged"):
        weighted.unmerge(weighted.block((A, A)), weighted.block((B, B)))


def test_never_merged_is_nan_inside_jit():
    f = jf.combine(mean=folds.mean(), std=folds.std(), n=folds.count())
    left = jax.jit(f.undo)(f.block(A), f.block(B))
    found = f.extract(left)
    assert jnp.isnan(found["mean"]) and jnp.isnan(found["std"])
    assert int(left[-1]) == 2**64 - 6  # six too few, around 2**64
    assert_same(f.extract(f.merge(left, f.block(B)))["n"], f.extract(f.block(A))["n"])


def test_gradients():
    """Of what is left, with respect to what stays and to what is taken out."""
    f = folds.var()

    def left(a, b):
        return f.extract(f.unmerge(f.merge(f.block(a), f.block(b)), f.block(b)))

    of_a, of_b = jax.jit(jax.grad(left, argnums=(0, 1)))(A, B)
    np.testing.assert_allclose(of_a, jax.grad(lambda a: f.extract(f.block(a)))(A), atol=1e-5)
    np.testing.assert_allclose(of_b, 0, atol=1e-5)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match=r"Fold: undo is 3, which is not callable"):
        jf.Fold(lambda like: 0, jnp.add, jnp.add, unmerge=3)


def test_a_fold_of_ones_own():
    total = jf.Fold(
        lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, jnp.add, unmerge=jnp.subtract
    )
    assert float(total.unmerge(jnp.array(5.0), jnp.array(2.0))) == 3.0
    assert isinstance(folds.mean().block({"x": A})["x"], Leaf)
    assert isinstance(folds.mean().block(A)[0], Memory)
