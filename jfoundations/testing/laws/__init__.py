"""Laws: plain functions that take your own value, and raise with the smallest counter-example.

`laws.callback`, `laws.pipe` and `laws.fold` hold a value to all that its noun promises; the loop's
laws can be had one by one. `laws.statistic`, `laws.covariance` and `laws.correlation` hold a
statistic of yours to what ours keep, `laws.monoid`, `laws.inverse` and `laws.pytree` anything. All
take `max_examples=`, and say in their docstring what is exact and what has a bound.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> from jfoundations.testing import laws
>>> laws.translation(jf.stats.var)
>>> laws.translation(lambda x: jnp.mean(x * x) - jnp.mean(x) ** 2)  # doctest: +ELLIPSIS
Traceback (most recent call last):
AssertionError: f(x + c) is not f(x)...

Laws of one kind are a `Bundle`, a value; `laws.bundles` has them ready, and `laws.run` holds many
things to many bundles and reports by bundle. Called inside a `@given` test, a law needs
`@settings(suppress_health_check=[HealthCheck.nested_given])` there.
"""

from . import bundles as bundles
from ._bundle import Bundle as Bundle
from ._bundle import NotApplicable as NotApplicable
from ._bundle import Report as Report
from ._bundle import run as run
from ._callback import callback as callback
from ._chain import chain_monoid as chain_monoid
from ._fold import fold as fold
from ._loop import chunking as chunking
from ._loop import driver_equivalence as driver_equivalence
from ._loop import frozen as frozen
from ._loop import lane as lane
from ._loop import observer as observer
from ._loop import resume as resume
from ._pairs import correlation as correlation
from ._pairs import covariance as covariance
from ._pairs import var_is_cov as var_is_cov
from ._pipe import pipe as pipe
from ._selection import deletion as deletion
from ._selection import gradient as gradient
from ._selection import permutation as permutation
from ._selection import poison as poison
from ._selection import repetition as repetition
from ._statistic import bounds as bounds
from ._statistic import statistic as statistic
from ._stats import constant as constant
from ._stats import scale as scale
from ._stats import translation as translation
from ._values import inverse as inverse
from ._values import monoid as monoid
from ._values import pytree as pytree
