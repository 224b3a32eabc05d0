"""Diagnostics of one parameter by their definitions, one number after another, in float64.

Draws are (draws, chains), as folds are given them.
"""

import numpy as np


def floats(x):
    return np.float64(x - x.min())  # exact, of integers of any width too


def autocov(x, lags):
    y = floats(x)
    y, n = y - y.mean(0), len(y)
    return np.array([np.sum(y[: n - k] * y[k:], 0) / n for k in range(lags)])


def rhat(x):
    y = floats(x)
    half = len(y) // 2
    y = np.concatenate([y[:half], y[len(y) - half :]], 1)
    between, within = half * y.mean(0).var(ddof=1), y.var(0, ddof=1).mean()
    return np.sqrt((between / within + half - 1) / half)


def ess(x):
    """Add pairs of lags up to the first that is not positive, none larger than the one before."""
    n, chains = x.shape
    covariances = autocov(x, n).mean(1)
    within = covariances[0] * n / (n - 1)
    total = covariances[0] + floats(x).mean(0).var(ddof=1)
    rho = 1 - (within - covariances) / total
    rho[0] = 1.0
    tau, least, last = -1.0, np.inf, max((n - 3) // 2, 0)
    for k in range(last + 1):
        pair = rho[2 * k] + rho[2 * k + 1]
        if pair <= 0 or k == last:
            tau += rho[2 * k] if rho[2 * k] > 0 or pair >= 0 else 0
            break
        least = min(least, pair)
        tau += 2 * least
    return n * chains / max(tau, 1 / np.log10(n * chains))


def mcse(x):
    return floats(x).std(ddof=1) / np.sqrt(ess(x))
