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

With pytest, `laws.holds` makes a test of each law of each function:

    @laws.holds(laws.constant, laws.translation, laws.permutation, of=[stats.var, stats.std])
    def test_spread(law, f):
        law(f)

A failure says what was expected, what came, and the lines that repeat it with the smallest input,
by `laws.example`. The examples are the same in each run, until `pytest --hypothesis-seed=N` or a
profile of Hypothesis that is not derandomized asks for others. A law that says nothing of a value
raises `NotApplicable`. Inside a `@given` test a law draws one example of each of the test's.
"""

from ..._core.checks import suggest_nearest as _suggest_nearest
from ._callback import callback
from ._chain import chain_monoid
from ._check import NotApplicable, example
from ._discover import discover
from ._findings import Finding, Findings
from ._fold import fold
from ._holds import holds
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
    "example",
    "fold",
    "frozen",
    "gradient",
    "holds",
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

_suggest_nearest(globals())
