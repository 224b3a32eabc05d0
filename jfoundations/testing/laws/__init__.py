"""Laws: plain functions that take your own value, and raise with the smallest counter-example.

`laws.callback`, `laws.pipe` and `laws.fold` hold a value to all that its noun promises; the loop's
laws can be had one by one. `laws.statistic`, `laws.covariance` and `laws.correlation` hold a
statistic of yours to what ours keep, `laws.monoid`, `laws.inverse` and `laws.pytree` anything. All
take `max_examples=`, and say in their docstring what is exact and what has a bound. Which laws a
function keeps, `laws.discover` finds out, and writes the tests; how sharp tests are,
`laws.mutants`.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> from jfoundations.testing import laws
>>> laws.translation(jf.stats.var)
>>> laws.translation(lambda x: jnp.mean(x * x) - jnp.mean(x) ** 2)  # doctest: +ELLIPSIS
Traceback (most recent call last):
AssertionError: f(x + c) is not f(x)...

A law is a function, so pytest holds many things to many laws, each a test of its own:

    @pytest.mark.parametrize("f", [stats.var, stats.std])
    @pytest.mark.parametrize("law", [laws.constant, laws.translation, laws.permutation])
    def test_spread(f, law):
        law(f)

A law that says nothing of a value raises `NotApplicable`. Called inside a `@given` test, a law
needs `@settings(suppress_health_check=[HealthCheck.nested_given])` there.
"""

from ._callback import callback
from ._chain import chain_monoid
from ._check import NotApplicable
from ._discover import discover
from ._findings import Finding, Findings
from ._fold import fold
from ._loop import chunking, driver_equivalence, frozen, lane, observer, resume
from ._mutants import Mutant, Mutants, mutants
from ._pairs import correlation, covariance, var_is_cov
from ._pipe import pipe
from ._selection import deletion, gradient, permutation, poison, repetition
from ._statistic import bounds, statistic
from ._stats import constant, scale, translation
from ._values import inverse, monoid, pytree

__all__ = [
    "Finding",
    "Findings",
    "Mutant",
    "Mutants",
    "NotApplicable",
    "bounds",
    "callback",
    "chain_monoid",
    "chunking",
    "constant",
    "correlation",
    "covariance",
    "deletion",
    "discover",
    "driver_equivalence",
    "fold",
    "frozen",
    "gradient",
    "inverse",
    "lane",
    "monoid",
    "mutants",
    "observer",
    "permutation",
    "pipe",
    "poison",
    "pytree",
    "repetition",
    "resume",
    "scale",
    "statistic",
    "translation",
    "var_is_cov",
]
