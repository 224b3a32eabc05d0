"""R-hat: how much further apart chains are than their own spread explains."""

from __future__ import annotations

from typing import Literal, TypeAlias

import jax.numpy as jnp
from jax import Array

from .._kernels.moments.chains import potential_scale
from .._kernels.sample.arguments import Axes, Data, Numbers, answer, compiled
from ..stats._basic import var
from ._sequences import (
    BOTH,
    centred,
    chain_means,
    chosen,
    draws_of,
    from_middle,
    halves,
    in_floats,
    normal_scores,
    nothing,
)

Kind: TypeAlias = Literal["rank", "split", "folded", "z_scale", "identity"]


def rhat(x: Numbers, *, kind: Kind = "rank") -> Array:
    """Return R-hat of each parameter: near 1 where the chains agree, larger where they do not.

    Args:
        x: real array of draws, (chains, draws, ...).
        kind: of what it is taken. "rank" is the larger of "z_scale", of normal scores of the
            ranks of halved chains, and "folded", of those of distances from the median; "split" is
            of halved chains themselves, and "identity" of whole ones, as in Gelman and Rubin.

    Returns:
        An array of shape (...), as `arviz.rhat(method=kind)`. It is nan of a single chain, and of
        fewer than 4 draws, which have no halves to compare; where any draw is nan; and of constant
        draws, whose chains lie 0 apart in units of 0. Of constant chains at different places it
        is inf.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: x has fewer than two axes; kind is unknown.

    Source: Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding,
    and localization: an improved R̂ for assessing convergence of MCMC".

    >>> x = jnp.array([[1.0, 3.0, 2.0, 4.0, 2.0, 3.0], [2.0, 4.0, 3.0, 1.0, 3.0, 2.0]])
    >>> away = x + jnp.array([[0.0], [9.0]])  # the second chain
    >>> [round(float(r), 2) for r in rhat(jnp.stack([x, away], axis=2))]
    [1.0, 1.91]
    """
    data = draws_of("rhat", x)
    return _rhat(data, BOTH, chosen("rhat", kind, KINDS))


def _of_sequences(x: Array) -> Array:
    y, _ = centred(x)
    return potential_scale(chain_means(y), var(y, axis=1, correction=1), x.shape[1])


def _split(x: Array) -> Array:
    return _of_sequences(halves(x))


def _z_scale(x: Array) -> Array:
    return _of_sequences(normal_scores(halves(x)))


def _folded(x: Array) -> Array:
    return _of_sequences(normal_scores(from_middle(halves(x))))


def _rank(x: Array) -> Array:
    parts = halves(x)
    both = jnp.stack([normal_scores(parts), normal_scores(from_middle(parts))], axis=-1)
    bulk, tail = jnp.moveaxis(_of_sequences(both), -1, 0)
    # all draws may be at one distance from the median, which says nothing of the chains
    return jnp.where(tail > bulk, tail, bulk)


KINDS = {
    "rank": _rank,
    "split": _split,
    "folded": _folded,
    "z_scale": _z_scale,
    "identity": _of_sequences,
}


@compiled("kind")
def _rhat(data: Data, axes: Axes, kind: str) -> Array:
    (x,) = data.values
    few = x.shape[0] < 2 or x.shape[1] < 4
    return answer(nothing(x) if few else KINDS[kind](in_floats(x)), data, axes, False)
