"""Draws of chains: checked, cut in halves, centred, replaced by what their ranks are worth."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri

from .._core.checks import nearest
from .._kernels.numbers.sortable_bits import encode
from .._kernels.numbers.units import binary_unit, inverse_unit, unit_of
from .._kernels.sample.arguments import (
    PARTS,
    REAL,
    Axes,
    Data,
    Numbers,
    accumulator,
    check,
    numbers,
)
from .._kernels.sums.blocks import difference
from ..stats._basic import mean
from ..stats._order import median
from ..stats._ranks import centred_ranks

BOTH: Axes = (0, 1)  # the chains, and their draws
# by kind, how many probabilities it takes, and those that it has by itself
Probabilities: TypeAlias = dict[str, tuple[int, tuple[float, ...] | None]]


def draws_of(who: str, x: Numbers) -> Data:
    """Return checked draws, or say what is wrong with them."""
    x = numbers(who, "x", x)
    if x.ndim < 2:
        cure = ": of one chain x[None]" if x.ndim else ""
        raise ValueError(f"{who}: x has shape {x.shape}; give draws (chains, draws, ...){cure}")
    if jnp.iscomplexobj(x):
        raise TypeError(f"{who}: x is complex, {REAL}; {PARTS.format(name='x')}")
    return check(who, {"x": x}, BOTH)[0]


def in_floats(x: Array, axes: Axes = BOTH) -> Array:
    """Return draws in the float of sums; integers less the first along axes, which is exact."""
    if jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(accumulator(x.dtype))
    x = x.astype(jnp.int32) if x.dtype == jnp.bool_ else x
    return difference(x, x[tuple(slice(0, 1 if k in axes else None) for k in range(x.ndim))])


def nothing(x: Array) -> Array:
    """Return nan for each parameter."""
    return jnp.full(x.shape[2:], jnp.nan, accumulator(x.dtype))


def halves(x: Array) -> Array:
    """Cut each chain in two: (2 chains, draws // 2, ...); of an odd number the middle is left."""
    half = x.shape[1] // 2
    return jnp.concatenate([x[:, :half], x[:, x.shape[1] - half :]])


def centred(x: Array, axes: Axes = BOTH) -> tuple[Array, Array]:
    """Return deviations from the mean over axes, about, in units of a power of two, and these.

    Deviations of what does not vary are exactly 0.
    """
    outer = unit_of(x, None, axes)
    x = x * inverse_unit(outer)
    x = x - mean(x, axis=axes, keepdims=True)
    inner = unit_of(x, None, axes)
    return x * inverse_unit(inner), outer * inner


def chain_means(x: Array) -> Array:
    """Return the mean of each chain, (chains, ...)."""
    return mean(x, axis=1)


def from_middle(x: Array) -> Array:
    """Return the sizes of deviations from the median of all draws."""
    return jnp.abs(x - median(x, axis=BOTH, keepdims=True))


def normal_scores(x: Array) -> Array:
    """Replace draws by the normal quantiles of their ranks among all; ties by the middle rank.

    Source: Blom (1958), "Statistical estimates and transformed beta-variables": z of
    (rank - 3/8) / (size + 1/4).
    """
    dtype, shape = x.dtype, x.shape
    size = shape[0] * shape[1]
    rows = jnp.moveaxis(x.reshape(size, -1), 0, 1)
    rows = jnp.where(rows == 0, jnp.zeros_like(rows), rows)  # -0.0 ties with 0.0
    ranks = centred_ranks(encode(rows)[None], None, dtype)[0]
    ranks = ranks * binary_unit(jnp.asarray(size, dtype))
    # the rank from the nearer end, so that what is small keeps its digits
    low = (size + 1 - jnp.abs(ranks)) / 2
    scores = -ndtri((low - 0.375) / (size + 0.25)) * jnp.sign(ranks)
    scores = jnp.where(jnp.isnan(rows), jnp.nan, scores)
    return jnp.moveaxis(scores, 1, 0).reshape(shape)


def chosen(who: str, kind: object, kinds: Iterable[str]) -> str:
    """Return a kind that there is, or say which there are."""
    if kind in (known := tuple(kinds)):
        return str(kind)
    raise ValueError(
        f"{who}: kind is {kind!r}; it must be one of {', '.join(map(repr, known))}"
        f"{nearest(kind, known)}"
    )


def probabilities(
    who: str, kind: str, prob: float | Sequence[float] | None, kinds: Probabilities
) -> tuple[float, ...]:
    """Return the probabilities of a kind as Python floats, or say what is wrong with them.

    Args:
        who: the function's name.
        kind: one that there is.
        prob: what was given.
        kinds: those that take any: how many, and which by default.
    """
    count, usual = kinds.get(kind, (0, ()))
    if prob is None:
        if usual is None:
            form = "0.9" if count == 1 else "(0.25, 0.75)"
            raise TypeError(f"{who}: kind={kind!r} needs a probability; give prob={form}")
        return usual
    if not count:
        raise TypeError(f"{who}: kind={kind!r} takes no prob; leave it out")
    given = tuple(prob) if isinstance(prob, Sequence) else (prob,)
    if kind == "tail" and len(given) == 1:
        given = (given[0], 1 - given[0])
    if len(given) != count or not all(isinstance(q, int | float) for q in given):
        what = "a Python float" if count == 1 else "a tuple of two Python floats"
        raise TypeError(f"{who}: prob is {prob!r}; kind={kind!r} needs {what}")
    if not all(0 <= q <= 1 for q in given):
        raise ValueError(f"{who}: prob is {prob!r}; it must lie in [0, 1]")
    return tuple(map(float, given))
