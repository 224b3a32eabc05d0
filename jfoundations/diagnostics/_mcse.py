"""The Monte Carlo standard error: how far an estimate of draws is from that of endless ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._kernels.moments.moments import root, times
from .._kernels.moments.tails import tails
from .._kernels.sample.arguments import Axes, Data, Numbers, answer, compiled
from ..stats._basic import mean, std, var
from ._ess import below, of_halves, squares
from ._sequences import BOTH, Probabilities, chosen, draws_of, in_floats, nothing, probabilities

Kind: TypeAlias = Literal["mean", "sd", "median", "quantile"]
WITHIN = (0.1586553, 0.8413447)  # one standard deviation about the median of a normal


def mcse(x: Numbers, *, kind: Kind = "mean", prob: float | None = None) -> Array:
    """Return the Monte Carlo standard error of an estimate of each parameter.

    Args:
        x: real array of draws, (chains, draws, ...).
        kind: of which estimate: "mean", "sd", "median" or "quantile".
        prob: of "quantile" which one.

    Returns:
        An array of shape (...), in the unit of x, as `arviz.mcse(method=kind)`. It is nan of fewer
        than 4 draws, and where any draw is nan. Of constant draws the error of the mean is 0, and
        that of the sd nan: 0 over 0.

    Raises:
        TypeError: x holds no real numbers; prob is given to a kind that has none, or is missing.
        ValueError: x has fewer than two axes; kind is unknown; prob is outside [0, 1].

    Source: Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding,
    and localization: an improved R̂ for assessing convergence of MCMC".

    >>> x = jnp.array([[1.0, 3.0, 2.0, 4.0, 2.0, 3.0], [2.0, 4.0, 3.0, 1.0, 3.0, 2.0]])
    >>> round(float(mcse(x)), 4)
    0.2779
    """
    data = draws_of("mcse", x)
    known = chosen("mcse", kind, KINDS)
    return _mcse(data, BOTH, known, probabilities("mcse", known, prob, PROBABILITIES))


def _of_mean(x: Array) -> Array:
    return std(x, axis=BOTH, correction=1) / jnp.sqrt(of_halves(x))


def _of_sd(x: Array) -> Array:
    square, unit = squares(x)
    # the variance of a variance over 4 of it is that of its root
    of_var = var(square, axis=BOTH) / of_halves(square)
    return times(root(of_var / mean(square, axis=BOTH) / 4), jnp.squeeze(unit, BOTH))


def _of_median(x: Array) -> Array:
    return _of_quantile(x, 0.5)


def _of_quantile(x: Array, prob: float) -> Array:
    """Return half the way between the draws at the ends of the quantile's interval."""
    size = x.shape[0] * x.shape[1]
    worth = below(x, prob)
    known = jnp.where(jnp.isnan(worth), 1, worth)
    a, b = known * prob + 1, known * (1 - prob) + 1
    low, high = (_beta_quantile(q, a, b) * size - 1 for q in WITHIN)
    ordered = jnp.sort(x.reshape(size, *x.shape[2:]), axis=0)
    places = (jnp.floor(jnp.maximum(low, 0)), jnp.ceil(jnp.minimum(high, size - 1)))
    ends = [jnp.take_along_axis(ordered, k.astype(np.int32)[None], 0)[0] for k in places]
    return jnp.where(jnp.isnan(worth), jnp.nan, (ends[1] - ends[0]) / 2)


def _beta_quantile(q: float, a: Array, b: Array) -> Array:
    """Return the quantile of a beta distribution, by bisection to the last digit but one."""

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        # of so many degrees of freedom F is as likely to be below
        less = tails(middle / (1 - middle) * (b / a), 2 * a, 2 * b)[0] < q
        return jnp.where(less, middle, low), jnp.where(less, high, middle)

    digits = jnp.finfo(a.dtype).nmant
    ends = lax.fori_loop(0, digits, halve, (jnp.zeros_like(a), jnp.ones_like(a)))
    return (ends[0] + ends[1]) / 2


KINDS: dict[str, Callable[..., Array]] = {
    "mean": _of_mean,
    "sd": _of_sd,
    "median": _of_median,
    "quantile": _of_quantile,
}
PROBABILITIES: Probabilities = {"quantile": (1, None)}


@compiled("kind", "prob")
def _mcse(data: Data, axes: Axes, kind: str, prob: tuple[float, ...]) -> Array:
    (x,) = data.values
    few = x.shape[0] < 1 or x.shape[1] < 4
    return answer(nothing(x) if few else KINDS[kind](in_floats(x), *prob), data, axes, False)
