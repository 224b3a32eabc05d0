"""Laws: plain functions that take your own value, and raise with the smallest counter-example.

`laws.callback`, `laws.pipe` and `laws.fold` hold a value to all that its noun promises; the loop's
laws can be had one by one. The rest hold a statistic of yours to what ours keep. All take
`max_examples=`, and say in their docstring what is exact and what has a bound. Called inside a
`@given` test, a law needs `@settings(suppress_health_check=[HealthCheck.nested_given])` there.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> from jfoundations.testing import laws
>>> laws.translation(jf.stats.var)
>>> laws.translation(lambda x: jnp.mean(x * x) - jnp.mean(x) ** 2)  # doctest: +ELLIPSIS
Traceback (most recent call last):
AssertionError: f(x + c) is not f(x)...
"""

from ._chain import chain_monoid as chain_monoid
from ._fold import fold as fold
from ._loop import callback as callback
from ._loop import chunking as chunking
from ._loop import driver_equivalence as driver_equivalence
from ._loop import frozen as frozen
from ._loop import lane as lane
from ._loop import observer as observer
from ._loop import resume as resume
from ._pipe import pipe as pipe
from ._stats import constant as constant
from ._stats import correlation as correlation
from ._stats import scale as scale
from ._stats import translation as translation
from ._stats import var_is_cov as var_is_cov
