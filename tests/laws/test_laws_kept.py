"""Every law holds for the library's own pipes, folds and statistics."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks, laws, strategies

quick = settings(deadline=None, database=None, max_examples=20, derandomize=True)
nested = settings(quick, max_examples=18)  # of which each draws one of the law's

X64 = jax.config.read("jax_enable_x64")
# the narrower ones are tested in the first pass
FLOATS = ["float64"] if X64 else ["float32", "bfloat16", "float16"]


def build():
    return jf.Pipe(
        jnp.abs, scale=jf.partial(jnp.multiply, 0.25), both=jf.juxt(jnp.sum, jnp.max), first=first
    )


def first(pair):
    return pair[0]


def test_pipe_laws():
    laws.pipe(build(), rebuild=build, ulp=4)
    laws.pipe(jf.Pipe())
    laws.pipe(jf.compose(jnp.tanh, jnp.negative), inputs=jnp.arange(3.0))


@quick
@given(strategies.pipes(), strategies.pytrees())
def test_drawn_pipes_take_any_tree(pipe, tree):
    checks.assert_same(pipe(tree), pipe(tree), bits=True)


PAIRS = strategies.arrays(shape=((5, 2), (24, 2))).map(lambda a: (a[:, 0], a[:, 1]))
# Of one memory, which compiles once for all: each answer is held to the laws.
SQUARES = {"var": folds.var(), "var1": folds.var(correction=1), "std": folds.std()}
FOLDS = {
    "mean": folds.mean(),
    "minimum": folds.minimum(),
    "maximum": folds.maximum(),
    "count": folds.count(),
    "combine": jf.combine(mean=folds.mean(), n=folds.count(), **SQUARES),
    "nothing": jf.combine(),
    "arithmetic": folds.maximum() - folds.minimum() + 1,
    "of": folds.mean().of(jnp.abs),
}


@pytest.mark.parametrize("name", FOLDS)
def test_fold_laws(name):
    laws.fold(FOLDS[name])


@pytest.mark.slow
def test_fold_laws_of_where():
    positive = folds.var().where(lambda x: x > 0)
    laws.fold(positive, strategies.arrays(shape=(5,)), max_examples=8)


@pytest.mark.slow
def test_fold_laws_of_pairs():
    laws.fold(jf.combine(cov=folds.cov(), corr=folds.corr()), elements=PAIRS)


@pytest.mark.slow
def test_fold_laws_eager():
    three = jf.combine(mean=folds.mean(), var=folds.var(), n=folds.count())
    laws.fold(three, strategies.arrays(shape=((5,), (2,))), jit=False, max_examples=3)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int32, jnp.uint8, jnp.bool_])
def test_fold_laws_of_other_dtypes(dtype):
    three = jf.combine(mean=folds.mean(), hi=folds.maximum(), n=folds.count())
    laws.fold(three, strategies.arrays(dtype, ((5,), (2,))), max_examples=10)


@pytest.mark.slow
def test_fold_laws_of_complex_and_many_axes():
    values = strategies.arrays(jnp.complex64, ((4, 3),))
    laws.fold(jf.combine(mean=folds.mean(), var=folds.var()), values, max_examples=10)


def test_fold_laws_of_keys():
    """Keys are no numbers: they are cut where they are, and have no double."""
    drawn = folds.sum().of(lambda key: jax.random.randint(key, (), 0, 9))
    laws.fold(drawn, strategies.keys().map(lambda key: jax.random.split(key, 9)), max_examples=3)


@nested
@given(strategies.folds(ordered=True))
def test_order_dependent_folds_go_on(fold):
    laws.fold(fold, strategies.arrays(shape=(5,)))


@pytest.mark.slow
@settings(quick, max_examples=8)
@given(st.data(), strategies.folds(), strategies.arrays(shape=(6,)))
def test_a_fold_of_blocks_is_the_fold(data, fold, x):
    blocks = data.draw(strategies.blocks_of(x))
    whole, parts = jf.fold(fold, x), jf.fold(fold, blocks)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        largest = float(jnp.max(jnp.abs(x)))
        checks.assert_same(a, b, rtol=1e-5, atol=1e-5 * (largest if fold.name == "mean" else 0))


@pytest.mark.parametrize(("dtype", "jit"), [(FLOATS[0], True), *((d, False) for d in FLOATS)])
def test_exact_laws_of_statistics(dtype, jit):
    run = jax.jit if jit else lambda f: f
    n = 10
    laws.var_is_cov(run(stats.var), run(stats.cov), dtype=dtype, max_examples=n)
    laws.correlation(run(stats.corr), dtype=dtype, max_examples=n)
    laws.constant(run(stats.mean), lambda c: c, dtype=dtype, max_examples=n)
    for spread, power in ((stats.var, 2), (stats.std, 1), (stats.mean_abs_dev, 1)):
        laws.constant(run(spread), dtype=dtype, max_examples=n)
        laws.translation(run(spread), dtype=dtype, max_examples=n)
        laws.scale(run(spread), power=power, dtype=dtype, max_examples=n)


def test_a_law_runs_inside_a_given_test_too():
    @nested
    @given(st.sampled_from([folds.minimum(), folds.maximum()]))
    def run(fold):
        laws.fold(fold, jnp.arange(3.0))

    run()
