"""Checks of one value: how often it traces, and whether a transform changes its answer.

Exact unless `ulp=` or `rtol=` says otherwise: one function may differ by a unit in the last place
eager, jitted alone and inside a larger graph, because compilers contract differently.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> from jfoundations.testing import checks
>>> with checks.assert_traces(1) as counted:
...     run = jax.jit(counted(lambda pipe, x: pipe(x)))
...     for factor in (1.0, 2.0):
...         pipe = jf.Pipe(scale=jf.partial(jnp.multiply, factor))
...         assert run(pipe, 3.0) == 3.0 * factor
>>> checks.assert_vmap_invariant(jnp.sqrt, jnp.arange(4.0))
>>> checks.assert_grad_matches(jf.stats.var, jnp.arange(4.0))
"""

from ..._core.checks import suggest_nearest as _suggest_nearest
from ._gradients import assert_grad_matches
from ._memory import assert_abstract_init, assert_donatable
from ._same import assert_same
from ._traces import assert_traces
from ._transforms import assert_jit_invariant, assert_shard_invariant, assert_vmap_invariant

__all__ = [
    "assert_abstract_init",
    "assert_donatable",
    "assert_grad_matches",
    "assert_jit_invariant",
    "assert_same",
    "assert_shard_invariant",
    "assert_traces",
    "assert_vmap_invariant",
]

_suggest_nearest(globals())
