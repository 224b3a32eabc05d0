"""The effective sample size: as many independent draws would tell as much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array

from .._kernels.moments.chains import effective_size
from .._kernels.sample.arguments import Axes, Data, Numbers, answer, compiled
from ..stats._basic import mean
from ..stats._order import quantile
from ._autocov import lagged
from ._sequences import (
    BOTH,
    Probabilities,
    centred,
    chain_means,
    chosen,
    draws_of,
    from_middle,
    halves,
    in_floats,
    normal_scores,
    nothing,
    probabilities,
)

Kind: TypeAlias = Literal[
    "bulk", "tail", "mean", "sd", "median", "mad", "quantile", "local", "folded", "identity"
]


def ess(
    x: Numbers, *, kind: Kind = "bulk", prob: float | tuple[float, float] | None = None
) -> Array:
    """Return the effective sample size of each parameter, of all chains together.

    Args:
        x: real array of draws, (chains, draws, ...).
        kind: for what the draws are to serve. "bulk" is of the normal scores of ranks, "tail" the
            smaller one of two quantiles; "mean", "sd", "median", "mad", "quantile" are for these
            estimates; "local" for the share of draws between two quantiles; "folded" is of scores
            of distances from the median. All cut chains in halves; "identity" is that of the
            draws as they are.
        prob: of "quantile" which one, of "local" which two; of "tail" two, or one and its
            opposite, by default (0.05, 0.95).

    Returns:
        An array of shape (...), as `arviz.ess(method=kind)`. It is nan of fewer than 4 draws, which
        have no lags, and where any draw is nan, or for means infinite. Where all draws are equal it
        is their number, as arviz has it: each of them tells all. Draws that are tied at a quantile
        count as at it, where arviz's quantile may be rounded to one side of them.

    Raises:
        TypeError: x holds no real numbers; prob is given to a kind that has none, or is missing.
        ValueError: x has fewer than two axes; kind is unknown; prob is outside [0, 1].

    Sources: Geyer (1992), "Practical Markov chain Monte Carlo", for the initial monotone sequence;
    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding, and
    localization: an improved R̂ for assessing convergence of MCMC".

    >>> x = jnp.array([[1.0, 3.0, 2.0, 4.0, 2.0, 3.0], [2.0, 4.0, 3.0, 1.0, 3.0, 2.0]])
    >>> round(float(ess(x)), 2), round(float(ess(x, kind="tail")), 2)
    (12.95, 12.0)
    """
    data = draws_of("ess", x)
    known = chosen("ess", kind, KINDS)
    return _ess(data, BOTH, known, probabilities("ess", known, prob, PROBABILITIES))


def of_sequences(x: Array) -> Array:
    """Return the effective sample size of sequences as they are."""
    y, _ = centred(x)
    return effective_size(lagged(y, 1, (0,)), chain_means(y), x.shape[1])


def of_halves(x: Array) -> Array:
    """Return the effective sample size for the mean, of halved sequences."""
    return of_sequences(halves(x))


def below(x: Array, prob: float) -> Array:
    """Return the effective sample size for a quantile."""
    return _of_truth(x, x <= quantile(x, prob, axis=BOTH, keepdims=True))


def _of_truth(x: Array, true: Array) -> Array:
    return of_halves(jnp.where(jnp.isnan(x), jnp.nan, true.astype(x.dtype)))


def _bulk(x: Array) -> Array:
    return of_sequences(normal_scores(halves(x)))


def _folded(x: Array) -> Array:
    return of_sequences(normal_scores(from_middle(halves(x))))


def _tail(x: Array, low: float, high: float) -> Array:
    x = jnp.stack([x, x], axis=-1)
    ends = jnp.moveaxis(_ends(x[..., 0], low, high), 0, -1)
    return jnp.min(_of_truth(x, x <= ends), axis=-1)


def _local(x: Array, low: float, high: float) -> Array:
    first, last = _ends(x, low, high)
    return _of_truth(x, (first <= x) & (x <= last))


def _ends(x: Array, low: float, high: float) -> Array:
    return quantile(x, np.array([low, high], x.dtype), axis=BOTH, keepdims=True)


def _median(x: Array) -> Array:
    return below(x, 0.5)


def _mad(x: Array) -> Array:
    return below(from_middle(x), 0.5)


def _sd(x: Array) -> Array:
    return of_halves(squares(x)[0])


def squares(x: Array) -> tuple[Array, Array]:
    """Return the squares of deviations from the mean of all draws, and the square of their unit."""
    y, unit = centred(x)
    y = y - mean(y, axis=BOTH, keepdims=True)
    return y * y, unit


KINDS: dict[str, Callable[..., Array]] = {
    "bulk": _bulk,
    "tail": _tail,
    "mean": of_halves,
    "sd": _sd,
    "median": _median,
    "mad": _mad,
    "quantile": below,
    "local": _local,
    "folded": _folded,
    "identity": of_sequences,
}
PROBABILITIES: Probabilities = {
    "tail": (2, (0.05, 0.95)),
    "quantile": (1, None),
    "local": (2, None),
}


@compiled("kind", "prob")
def _ess(data: Data, axes: Axes, kind: str, prob: tuple[float, ...]) -> Array:
    (x,) = data.values
    few = x.shape[0] < 1 or x.shape[1] < 4
    return answer(nothing(x) if few else KINDS[kind](in_floats(x), *prob), data, axes, False)
