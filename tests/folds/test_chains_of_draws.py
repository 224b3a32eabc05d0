"""Folds of draws of chains beside the diagnostics of arrays; and loops that they stop."""

import functools

import chain_oracles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import diagnostics, folds

LAGS, FLOAT = 24, jnp.result_type(float)
ROUNDED = 2e-5 if FLOAT == np.float32 else 1e-12


def ar1(rho, draws=300, chains=4, seed=0):
    x = np.random.default_rng(seed).normal(size=(draws, chains, 2))
    for t in range(1, draws):
        x[t] = rho * x[t - 1] + np.sqrt(1 - rho**2) * x[t]
    return x.astype(FLOAT)


def chains_first(x):
    return np.swapaxes(x, 0, 1)


X = ar1(0.5)
LAGGED = jf.combine(autocov=folds.autocov(LAGS), ess=folds.ess(LAGS), mcse=folds.mcse(LAGS))
WHOLE = folds.rhat(split=False)
ALL = jf.combine(lagged=LAGGED, rhat=WHOLE)


@pytest.mark.parametrize(("cut", "offset"), [([], 1000), ([0, 3, 6, 103, 200], 0)])
def test_streams_are_arrays(cut, offset):
    x = X + np.asarray(offset, FLOAT)
    found = jf.fold(ALL, np.split(x, cut) if cut else x)
    draws = chains_first(x)
    right = diagnostics.autocov(draws)
    spread = np.max(right)
    bound = ROUNDED * (1 if offset == 0 or FLOAT == np.float64 else 10)
    kept = np.moveaxis(found["lagged"]["autocov"], 0, 1)
    np.testing.assert_allclose(kept / spread, right[:, :LAGS] / spread, atol=bound)
    ess = diagnostics.ess(draws, kind="identity")
    np.testing.assert_allclose(found["lagged"]["ess"], ess, rtol=10 * bound)
    error = np.std(draws, axis=(0, 1), ddof=1, dtype=np.float64) / np.sqrt(ess)
    np.testing.assert_allclose(found["lagged"]["mcse"], error, rtol=10 * bound)
    rhat = diagnostics.rhat(draws, kind="identity")
    np.testing.assert_allclose(found["rhat"], rhat, rtol=bound)


def test_halves_of_a_stream_are_those_of_all_but_the_last_draws():
    fold = folds.rhat()
    step, extract = jax.jit(fold.step), jax.jit(fold.extract)
    memory = fold.init(jax.ShapeDtypeStruct(X.shape[1:], FLOAT))
    for n in range(1, 301):
        memory = step(memory, X[n - 1])
        two = 2 * int(memory.length)
        m = n // two * two
        if n <= 32:
            assert m == n // 2 * 2
        assert n - m < max(2, n / 8)
        if n in (3, 4, 7, 32, 33, 64, 65, 200, 300):
            found = extract(memory)
            if m < 4:
                assert np.isnan(found).all()
                continue
            right = [chain_oracles.rhat(X[:m, :, k]) for k in range(2)]
            np.testing.assert_allclose(found, right, rtol=ROUNDED)
    right = diagnostics.rhat(chains_first(X[:m]), kind="split")
    np.testing.assert_allclose(found, right, rtol=ROUNDED)
    assert fold.merge is None
    with raises(TypeError, "rhat depends on the order", "merge is None"):
        jf.fold(fold, [X, X], jf.executors.Pool(1))


def test_scale_and_place_change_nothing():
    """Sums are in units of a power of two: at the ends of the range they are as in its middle."""
    fold = jf.combine(ess=folds.ess(LAGS), whole=WHOLE, split=folds.rhat())
    right = jf.fold(fold, X)
    info = jnp.finfo(FLOAT)
    for e in (info.minexp + 30, info.maxexp - 6):
        found = jf.fold(fold, np.ldexp(X, e).astype(FLOAT))
        for name in right:
            np.testing.assert_array_equal(found[name], right[name])


def test_a_sequence_that_goes_on_beyond_the_lags_is_not_known():
    slow = ar1(0.99)
    assert np.isnan(jf.fold(folds.ess(10), slow)).all()
    assert np.isnan(jf.fold(folds.mcse(10), slow)).all()
    assert np.isfinite(jf.fold(folds.ess(300), slow)).all()


def test_what_has_no_answer():
    """Of few draws, one chain, constants and nan, as of arrays."""
    fold = jf.combine(ess=folds.ess(20), whole=WHOLE, split=folds.rhat(), lag=folds.autocov(3))
    few = jf.fold(fold, X[:3])
    assert all(np.isnan(few[name]).all() for name in ("ess", "whole", "split"))
    constant = jf.fold(fold, np.full((8, 2, 1), 0.1, FLOAT))
    assert constant["ess"] == 16 and np.isnan(constant["whole"]) and np.isnan(constant["split"])
    assert not constant["lag"].any()
    apart = jf.fold(fold, np.broadcast_to(np.array([[0.1], [0.7]], FLOAT), (8, 2, 1)))
    assert np.isinf(apart["whole"]) and np.isinf(apart["split"])
    one = jf.fold(fold, X[:20, :1])
    assert np.isnan(one["whole"]).all() and np.isnan(one["split"]).all()
    right = diagnostics.ess(chains_first(X[:20, :1]), kind="identity")
    np.testing.assert_allclose(one["ess"], right, rtol=1e-4)
    spoilt = X[:20].copy()
    spoilt[7, 1, 0] = np.nan
    found = jf.fold(fold, spoilt)
    for name in ("ess", "whole", "split"):
        assert np.isnan(found[name][0]) and not np.isnan(found[name][1])
    assert np.isnan(jf.fold(folds.autocov(2), X[:0, 0, 0])).all()


def test_integers_bools_and_trees():
    ints = np.random.default_rng(1).integers(0, 9, (50, 2, 1)).astype(np.int32)
    fold = jf.combine(lag=folds.autocov(3), rhat=folds.rhat())
    plain = jf.fold(fold, ints.astype(FLOAT))
    high = jf.fold(fold, ints + np.int32(2**30))
    for name, value in plain.items():
        np.testing.assert_allclose(high[name], value, rtol=1e-5)
    tree = jf.fold(folds.rhat(), {"a": X[:50, :, 0], "b": (ints > 4,)})
    assert tree["a"].shape == () and tree["b"][0].shape == (1,)
    np.testing.assert_array_equal(tree["a"], jf.fold(folds.rhat(), X[:50])[0])


def test_four_chains_of_one_loop_are_stopped():
    """By both rules; the draws seen are those that the arrays judge."""

    def step(x, *, key):
        return 0.5 * x + jax.random.normal(key, x.shape, FLOAT)

    seen = jf.combine(rhat=folds.rhat(), ess=folds.ess(LAGS))
    enough = lambda found: jnp.all(found["rhat"] < 1.01) & jnp.all(found["ess"] > 400)  # noqa: E731
    stop = jf.callbacks.until(seen, when=enough, name="enough")
    start = jnp.arange(8.0, dtype=FLOAT).reshape(4, 2)
    run = functools.partial(jf.iterate, step, max_steps=3000, key=jax.random.key(0))
    result = run(start, stop, jf.callbacks.history())
    n = int(result.steps)
    assert result.reasons == ("enough",) and 100 < n < 2900
    draws = chains_first(result.memory["history"].values)
    assert (diagnostics.ess(draws, kind="identity") > 400 * (1 - 1e-4)).all()
    assert (diagnostics.rhat(draws) < 1.02).all()
    both = jf.callbacks.until(folds.rhat(), when=lambda r: jnp.all(r < 1.01)) & jf.callbacks.until(
        folds.ess(LAGS), when=lambda n: jnp.all(n > 400)
    )
    again = run(start, both)
    assert abs(int(again.steps) - n) <= 1 and again.reasons == ("rhat & ess",)


def test_autocorrelation_is_a_quotient():
    found = jf.fold(folds.autocov(LAGS).map(lambda c: c / c[:1]), X)
    right = diagnostics.autocorr(X, axis=0)[:LAGS]
    np.testing.assert_allclose(found, right, atol=ROUNDED)


def test_mistakes_are_named():
    x = jnp.ones(5)
    with raises(ValueError, "one draw of all chains", "x[None]"):
        jf.fold(folds.ess(4), x)
    with raises(ValueError, "one draw of all chains"):
        jf.fold(folds.rhat(), x)
    with raises(TypeError, "complex", ".of(jnp.real)"):
        jf.fold(folds.autocov(4), x.astype(jnp.result_type(complex)))
    with raises(ValueError, "folds.ess: lags is 1"):
        folds.ess(1)
    with raises(TypeError, "folds.autocov: lags is 2.0, a Python int is needed"):
        folds.autocov(2.0)
    with raises(TypeError, "folds.rhat: split is 'yes'; True or False is needed"):
        folds.rhat(split="yes")
