"""What several chains of draws tell of one another: R-hat, and how many draws they are worth.

Both are formulas of means, variances and autocovariances of the chains, of arrays or of streams.

Sources: Gelman and Rubin (1992), "Inference from iterative simulation using multiple sequences";
Geyer (1992), "Practical Markov chain Monte Carlo"; Vehtari, Gelman, Simpson, Carpenter and Bürkner
(2021), "Rank-normalization, folding, and localization: an improved R̂ for assessing convergence of
MCMC".

>>> import jax.numpy as jnp
>>> apart = potential_scale(jnp.array([0.0, 2.0]), jnp.array([1.0, 1.0]), 100)
>>> round(float(apart), 4)
1.7292
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike


def between_chains(means: Array) -> Array:
    """Return the variance of the chains' means, (chains, ...), unbiased; 0 of one chain."""
    away = means - means[:1]  # of equal means exactly 0
    away = away - jnp.mean(away, axis=0, keepdims=True)
    return jnp.sum(away * away, axis=0) / max(len(means) - 1, 1)


def potential_scale(means: Array, variances: Array, draws: ArrayLike) -> Array:
    """Return R-hat = √((B / W + n − 1) / n): nan where no chain moves and all are at one place.

    Args:
        means: of each chain, (chains, ...), about any origin near them.
        variances: of each chain, unbiased.
        draws: n, how many each chain has, at least 2.
    """
    n = jnp.asarray(draws, means.dtype)
    within = jnp.mean(variances, axis=0)
    return jnp.sqrt((n * between_chains(means) / within + n - 1) / n)


def effective_size(autocov: Array, means: Array, draws: ArrayLike) -> Array:
    """Return the effective sample size of all chains, by Geyer's initial monotone sequence.

    Args:
        autocov: the mean over chains of their autocovariances, (lags, ...), at lags 0, 1, ..., of
            at least two lags, each a sum over n.
        means: of each chain, (chains, ...), about any origin near them.
        draws: n, how many each chain has, at least 2.

    Returns:
        An array of shape (...): as many as there are draws where all are equal; nan where the
        sequence has not ended within the lags.
    """
    dtype = autocov.dtype
    n = jnp.asarray(draws, np.int32)
    size = len(means) * n.astype(dtype)
    total = autocov[0] + between_chains(means)
    within = autocov[0] * (n.astype(dtype) / (n - 1).astype(dtype))
    rho = 1 - (within[None] - autocov) / jnp.where(total > 0, total, 1)[None]
    pairs = len(autocov) // 2
    even = rho[0 : 2 * pairs : 2].at[0].set(1)  # of no lag, the formula would give a little less
    sums = even + rho[1 : 2 * pairs : 2]
    place = jnp.arange(pairs, dtype=np.int32).reshape(-1, *(1,) * (sums.ndim - 1))
    ends = (sums <= 0) | (place == jnp.maximum((n - 3) // 2, 0))
    last = lax.argmax(ends, 0, np.int32)[None]
    # tau = -1 + 2 (sum of pairs before the last) + the last one's even lag, if it counts
    before = jnp.sum(jnp.where(place < last, lax.cummin(sums, axis=0), 0), axis=0)
    lag, pair = (jnp.take_along_axis(v, last, 0)[0] for v in (even, sums))
    tau = 2 * before - 1 + jnp.where((lag > 0) | (pair >= 0), lag, 0)
    tau = jnp.maximum(tau, 1 / jnp.log10(size))
    found = jnp.where(jnp.any(ends, axis=0), size / tau, jnp.nan)
    return jnp.where(total > 0, found, jnp.where(total == 0, size, jnp.nan))
