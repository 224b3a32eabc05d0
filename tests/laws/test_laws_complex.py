"""Laws of complex data: the library's statistics keep them, and what is planted is caught.

The cause: powers of two were multiplied into the real part alone, weights were drawn in the data's
dtype, and bounds were taken from real parts. Where it can act: every law that draws samples,
weights, offsets or masks, what they hold an answer to, folds, and gradients.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import breach
from hypothesis import find

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import laws, strategies

C = jnp.complex64
KINDS = {  # a power of two in the data, and a translation, come out so
    "sum": {"power": 1},
    "mean": {"power": 1, "shift": 1},
    "var": {"power": 2, "shift": 0, "lower": 0},
    "std": {"power": 1, "shift": 0, "lower": 0},
    "mean_abs_dev": {"power": 1, "shift": 0, "lower": 0},
}


@pytest.mark.parametrize("name", KINDS)
def test_statistics_keep_their_laws(name):
    laws.statistic(getattr(stats, name), dtype=C, max_examples=4, **KINDS[name])


def test_pairs_keep_their_laws():
    laws.var_is_cov(stats.var, stats.cov, dtype=C, max_examples=5)
    laws.covariance(stats.cov, dtype=C, max_examples=5)
    laws.correlation(stats.corr, dtype=C, max_examples=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["count", "mean", "std"])
def test_folds_keep_their_laws(name):
    hard = strategies.ill_conditioned(C, 5) | strategies.floats_with_offset(C, (5,))
    laws.fold(getattr(folds, name)(), hard, max_examples=8)


def test_loops_keep_their_laws():
    def step(z):
        return z * z * 0.5 + jnp.complex64(0.25 + 0.25j)

    start = jnp.array([0.5 + 0.25j, -0.5j, 1.0], C)
    watch = jf.callbacks.history(lambda z: jnp.max(jnp.abs(z)))
    laws.callback(watch, step=step, states=start, observes=True, ulp=4, max_examples=2)


def test_values_keep_their_laws():
    small = strategies.arrays(C, (3,))
    laws.monoid(jnp.multiply, jnp.ones(3, C), small, rtol=1e-5, max_examples=5)
    laws.inverse(jnp.conj, jnp.conj, small, max_examples=5)
    laws.pipe(jf.Pipe(jnp.conj, jnp.negative), small, max_examples=3)
    laws.pytree({"z": jnp.ones(2, C)})


def test_what_has_no_order_has_no_bounds():
    with pytest.raises(laws.NotApplicable, match="complex numbers have no order"):
        laws.bounds(stats.mean, lower=0, dtype=C, max_examples=2)


def textbook(x):
    return jnp.mean(jnp.abs(x) ** 2) - jnp.abs(jnp.mean(x)) ** 2


def parts(x, real, imag):
    """A statistic that is right for real parts, and wrong for imaginary ones."""
    return real(x.real) + imag(x.imag)


ALONE = {
    "translation": (lambda x: parts(x, stats.var, lambda v: v[0]), {"shift": 0}),
    "constant": (textbook, {}),
    "scale": (lambda x: parts(x, stats.var, jnp.sign)[0], {"power": 2}),
    "permutation": (lambda x: x[0].imag, {}),
    "gradient": (lambda x: jnp.sqrt(jnp.sum(jnp.abs(x - x[0]) ** 2)), {}),
    "bounds": (lambda x: -stats.var(x), {"lower": 0}),
}


@pytest.mark.parametrize("law", ALONE)
def test_a_breach_by_imaginary_parts_is_caught(law):
    f, kind = ALONE[law]
    with breach(""):
        getattr(laws, law)(f, dtype=C, **kind)


def test_a_breach_of_weights_and_masks_is_caught():
    def weighted(x, weights=None):
        return parts(x, lambda v: stats.mean(v, weights=weights), jnp.mean)

    def masked(x, where=None):
        return parts(x, lambda v: stats.mean(v, where=where), jnp.mean)

    with breach("weights=k"):
        laws.repetition(weighted, power=1, shift=1, dtype=C)
    with breach("where=mask"):
        laws.deletion(masked, power=1, shift=1, dtype=C)
    with breach("sees what is hidden"):
        laws.poison(masked, dtype=C)


def test_a_breach_of_pairs_is_caught():
    with breach("cov\\(y, x\\)"):
        laws.covariance(lambda x, y: stats.cov(x, jnp.conj(y)), dtype=C)
    with breach("corr\\(y, x\\)"):
        laws.correlation(lambda x, y: stats.corr(x, jnp.conj(y)), dtype=C)
    with breach("corr\\("):
        laws.correlation(lambda x, y: stats.corr(x, y) * np.complex64(1 + 1e-6), dtype=C)
    with breach("var\\(x\\)"):
        laws.var_is_cov(lambda x: stats.var(x.real), stats.cov, dtype=C)


def test_conditions_and_designs_are_of_both_parts():
    x = jnp.array([1.0, 1.0, 1.0, 1.0 + 100.0j], C)
    assert strategies.condition(x) == pytest.approx(4)
    assert strategies.condition(x.imag) == pytest.approx(4)

    def imaginary(z):
        return bool(jnp.any(z.imag != 0))

    for drawn in (strategies.ill_conditioned(C, 5), strategies.floats_with_offset(C, (5,))):
        assert find(drawn, imaginary).dtype == C
