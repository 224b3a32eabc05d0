"""Every law holds for the library's own nouns: callbacks, pipes, folds, statistics."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks, laws, strategies

quick = settings(deadline=None, database=None, max_examples=20, derandomize=True)
nested = settings(quick, max_examples=6, suppress_health_check=[HealthCheck.nested_given])

X64 = jax.config.read("jax_enable_x64")
FLOATS = [jnp.float32, jnp.bfloat16, jnp.float16] + [jnp.float64] * X64


def biggest(x):
    return jnp.max(x)


class Clip:
    def before_step(self, x):
        return jnp.minimum(x, 0.75), False

    def after_step(self, x, step):
        return x, (step >= 6) & (jnp.max(x) > 0.5)


def half(x):
    return x * 0.5, False


CALLBACKS = {
    "function": half,
    "proceed": jf.proceed,
    "object": Clip(),
    "stop_when": jf.stop_when(lambda x: jnp.max(x) > 0.9, name="high"),
    "when": jf.when(lambda x: jnp.max(x) > 0.5, half),
    "every": jf.every(3, jf.callbacks.history(biggest)),
    "history": jf.callbacks.history(),
    "best": jf.callbacks.best(biggest),
    "early_stopping": jf.callbacks.early_stopping(biggest, patience=2),
    "converged": jf.callbacks.converged(atol=0.1),
    "nonfinite": jf.callbacks.terminate_on_nonfinite(),
    "watch": jf.watch(jf.combine(m=folds.mean(), hi=folds.maximum()), of=jnp.sum),
    "chain": jf.chain(half, jf.callbacks.early_stopping(biggest, patience=2)),
}
OBSERVERS = [k for k in CALLBACKS if k not in ("function", "object", "when", "chain")]


def test_chain_is_a_monoid():
    laws.chain_monoid()


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_keep_every_law(name):
    laws.callback(CALLBACKS[name], observes=name in OBSERVERS, ulp=4, max_examples=3)


def test_loop_laws_hold_for_drawn_callbacks_together():
    several = (half, jf.callbacks.history(biggest), CALLBACKS["early_stopping"])
    laws.resume(*several, max_examples=8)
    laws.chunking(*several, max_examples=8)
    laws.lane(*several, max_examples=8)
    laws.frozen(*several, max_examples=8)
    laws.driver_equivalence(*several, max_examples=8)


def test_laws_take_a_state_and_a_step_of_ones_own():
    start = {"x": jnp.float32(1.0), "n": jnp.int32(0)}
    laws.callback(
        jf.stop_when(lambda s: s["n"] > 4),
        step=lambda s: {"x": s["x"] / 3, "n": s["n"] + 1},
        states=start,
        observes=True,
        max_examples=2,
    )


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


PAIRS = strategies.arrays(shape=((5, 2), (2, 2), (40, 2))).map(lambda a: (a[:, 0], a[:, 1]))
FOLDS = {
    "mean": folds.mean(),
    "var": folds.var(),
    "var1": folds.var(correction=1),
    "std": folds.std(),
    "minimum": folds.minimum(),
    "maximum": folds.maximum(),
    "count": folds.count(),
    "combine": jf.combine(mean=folds.mean(), var=folds.var(), n=folds.count()),
    "nothing": jf.combine(),
    "arithmetic": folds.maximum() - folds.minimum() + 1,
    "of": folds.mean().of(jnp.abs),
    "where": folds.var().where(lambda x: x > 0),
}


@pytest.mark.parametrize("name", FOLDS)
def test_fold_laws(name):
    laws.fold(FOLDS[name])


@pytest.mark.parametrize("name", ["cov", "corr"])
def test_fold_laws_of_pairs(name):
    laws.fold(getattr(folds, name)(), elements=PAIRS)


def test_fold_laws_eager():
    laws.fold(FOLDS["combine"], strategies.arrays(shape=((5,), (2,))), jit=False, max_examples=6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int32, jnp.uint8, jnp.bool_])
def test_fold_laws_of_other_dtypes(dtype):
    three = jf.combine(mean=folds.mean(), hi=folds.maximum(), n=folds.count())
    laws.fold(three, strategies.arrays(dtype, ((5,), (2,))), max_examples=10)


def test_fold_laws_of_complex_and_many_axes():
    values = strategies.arrays(jnp.complex64, ((4, 3),))
    laws.fold(jf.combine(mean=folds.mean(), var=folds.var()), values, max_examples=10)


@nested
@given(strategies.folds(ordered=True))
def test_order_dependent_folds_go_on(fold):
    laws.fold(fold, strategies.arrays(shape=(5,)), max_examples=3)


@settings(quick, max_examples=15)
@given(st.data(), strategies.folds(), strategies.arrays(shape=(6,)))
def test_a_fold_of_blocks_is_the_fold(data, fold, x):
    blocks = data.draw(strategies.blocks_of(x))
    whole, parts = jf.fold(fold, x), jf.fold(fold, blocks)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        largest = float(jnp.max(jnp.abs(x)))
        checks.assert_same(a, b, rtol=1e-5, atol=1e-5 * (largest if fold.name == "mean" else 0))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", FLOATS)
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
        laws.fold(fold, jnp.arange(3.0), max_examples=2)

    run()


@quick
@given(
    strategies.arrays(st.sampled_from([*FLOATS, jnp.int8, jnp.uint32, jnp.bool_, jnp.complex64]))
)
def test_drawn_arrays_are_finite_and_normal(x):
    assert bool(jnp.all(jnp.isfinite(x)))
    parts = (x.real, x.imag) if jnp.iscomplexobj(x) else (x,)
    for part in parts:
        if jnp.issubdtype(part.dtype, jnp.floating):
            size = np.abs(np.asarray(part).astype(np.float64))
            assert np.all((size == 0) | (size >= float(jnp.finfo(part.dtype).smallest_normal)))


@quick
@given(strategies.arrays(shape=(64, 16)))
def test_large_drawn_arrays_vary(x):
    values, counts = np.unique(np.asarray(x), return_counts=True)
    assert len(values) >= 10 and counts.max() < x.size / 4


@quick
@given(strategies.keys(), strategies.callbacks(memory=True), strategies.callbacks(memory=False))
def test_drawn_keys_and_callbacks(key, remembers, forgets):
    assert jax.random.uniform(key).shape == ()
    assert isinstance(remembers, jf.Callback) and remembers.init is not None
    assert not isinstance(forgets, jf.Callback) or forgets.init is None


def test_strategies_shrink_to_a_small_plain_value():
    found = find(
        strategies.arrays(jnp.float32),
        lambda x: x.size >= 3,
        settings=settings(quick, max_examples=50),
    )
    assert found.shape == (3,)
    assert np.all(np.asarray(found) == np.round(np.asarray(found)))


def test_checks_say_what_differs():
    with pytest.raises(AssertionError, match="traced 2 times, expected 1"):
        with checks.assert_traces(1) as counted:
            f = jax.jit(counted(lambda x: x))
            f(jnp.ones(2)), f(jnp.ones(3))
    checks.assert_jit_invariant(lambda x: {"a": x + 1}, jnp.arange(3))
    checks.assert_vmap_invariant(stats.var, jnp.arange(12.0).reshape(3, 4) ** 2)
    with pytest.raises(AssertionError, match=r"eager and jitted.*differs"):
        checks.assert_jit_invariant(
            lambda x: x + int(isinstance(x, jax.core.Tracer)), jnp.arange(3)
        )
    with pytest.raises(AssertionError, match="lane 0"):
        checks.assert_vmap_invariant(
            lambda x: x + (0 if type(x).__name__ == "ArrayImpl" else 1), jnp.arange(3)
        )
    one = jnp.float32(1.0)
    near = jnp.nextafter(one, jnp.float32(2))
    checks.assert_same(one, near, ulp=1)
    checks.assert_same(jax.random.key(1), jax.random.key(1))
    for other in (near, jnp.int32(1), {"a": one}, jnp.ones(1, jnp.float32)):
        with pytest.raises(AssertionError, match="differ"):
            checks.assert_same(one, other)
    checks.assert_same(jnp.float32(0), jnp.float32(-0.0))
    with pytest.raises(AssertionError, match="the value differs"):
        checks.assert_same(jnp.float32(0), jnp.float32(-0.0), bits=True)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    for name in [m for m in sys.modules if m.startswith("jfoundations.testing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'jfoundations\[testing\]'"):
        import jfoundations.testing  # noqa: F401
