"""Diagnostics of chains of draws, (chains, draws, ...): do they agree, and what are they worth?

The numbers are those of `arviz`, under `jit` and `vmap`, for all parameters at once. "As
`arviz.ess(method=kind)`" means the same rule: of float64 to 1e-6 of the value, of float32 to 2e-4,
but where a sum of autocorrelations is 0 to rounding, and decides how many lags count.

>>> import jax, jax.numpy as jnp
>>> from jfoundations import diagnostics
>>> x = jax.random.normal(jax.random.key(0), (4, 1000, 2))
>>> x = x.at[0, :, 1].add(1.0)  # one chain is elsewhere with its second parameter
>>> (diagnostics.rhat(x) < 1.01).tolist(), (diagnostics.ess(x) > 1000).tolist()
([True, False], [True, False])

Streams, one draw of all chains after another, have `folds.rhat`, `folds.ess`, `folds.mcse` and
`folds.autocov`; on these, `callbacks.until` stops the sampler itself.
"""

from .._core.checks import suggest_nearest as _suggest_nearest
from ._autocov import autocorr, autocov
from ._ess import ess
from ._mcse import mcse
from ._rhat import rhat

__all__ = ["autocorr", "autocov", "ess", "mcse", "rhat"]

_suggest_nearest(globals())
