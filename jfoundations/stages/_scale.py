"""Stages that take each number of an element by itself: to units of its spread, or to a range."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from .. import folds
from .._core.types import PyTree
from .._core.values import partial
from .._folds.fold import combine
from .._folds.leafwise import leafwise as each_leaf
from .._kernels.sample.arguments import scalar
from .._pipes.learned import Learned
from ..folds._elements import Kind, Nan
from ._fitted import Fitted, check_nan, leafwise


def standardize(
    *, correction: float = 0, weights: Kind = None, nan: Nan = "propagate"
) -> Learned[PyTree, PyTree]:
    """Learn mean and standard deviation, and return (x - mean) / std: a stage that can be undone.

    Where the deviation is 0 it is taken to be 1, so that a constant becomes 0 and comes back.
    `inverse(forward(x))` is x but for 5 u (|x| + |x - mean|), u the unit roundoff, where nothing
    leaves the range of floats. The mean is one float, so far from 0 all y may be off by
    u |mean| / std, which `stats.standardize`, with two words, is not. Numbers may be complex.

    Args:
        correction: as in `folds.std`.
        weights: `stats.Frequency`, `stats.Reliability` or `stats.Probability`, the class: the data
            of `fit` are then pairs `(x, weight)`.
        nan: "propagate", or "omit" to leave nan out of mean and deviation; nan stays nan.

    Raises:
        TypeError: weights is none of the three.
        ValueError: nan is neither.

    >>> import jfoundations as jf
    >>> fitted = jf.fit(jf.Pipe(standardize()), jnp.array([1.0, 3.0]))
    >>> float(fitted(5.0)), float(fitted.inverse(3.0))
    (3.0, 5.0)
    """
    check_nan("standardize", nan)
    mean = folds.mean(weights=weights, nan=nan)
    std = folds.std(correction=correction, weights=weights, nan=nan)
    both = combine(mean=mean, std=std)
    return Learned(both, _standardizing, weighted=weights is not None, name="standardize")


def quantile_clip(
    low: float, high: float, *, passes: Literal[1, 2] = 1, nan: Nan = "propagate"
) -> Learned[PyTree, PyTree]:
    """Learn two quantiles of each number, and return x moved to the nearer where it is outside.

    It cannot be undone, and nan stays nan. In one pass the quantiles are as exact as those of
    `folds.quantile`, to a share of their value: of numbers far from 0, beside which their spread is
    small, that may be all of it, and two passes are needed.

    Args:
        low: the probability of the lower one.
        high: of the upper one, at least `low`.
        passes: 1; or 2, for quantiles as exact as `folds.quantile(within=)` makes them.
        nan: "propagate": a nan among the data makes all nan; "omit" leaves it out.

    Raises:
        TypeError: a probability is no real number.
        ValueError: it is not in [0, 1], or low is above high; passes or nan is none of those.

    >>> import jfoundations as jf
    >>> fitted = jf.fit(jf.Pipe(quantile_clip(0.25, 0.75)), jnp.array([1.0, 2.0, 4.0, 8.0, 64.0]))
    >>> clipped = fitted(jnp.array([-5.0, 4.0, 99.0]))
    >>> bool(jnp.allclose(clipped, jnp.array([2.0, 4.0, 8.0]), rtol=0.02))
    True
    """
    check_nan("quantile_clip", nan)
    ends = {"low": low, "high": high}
    low, high = (float(scalar("stages.quantile_clip", name, q)) for name, q in ends.items())
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"stages.quantile_clip: low is {low} and high is {high}; give two probabilities, "
            "0 <= low <= high <= 1"
        )
    if passes == 1:
        fold = each_leaf(folds.quantile((low, high), nan=nan))
        return Learned(fold, _clipping, name="quantile_clip")
    if passes != 2:
        raise ValueError(f"stages.quantile_clip: passes is {passes!r}; it must be 1 or 2")
    fold = each_leaf(folds.sketch(nan=nan))
    return Learned(fold, partial(_second_pass, low, high), name="quantile_clip")


def _standardizing(answer: dict[str, PyTree]) -> Fitted:
    scale = jax.tree.map(divisor, answer["std"])
    return Fitted((answer["mean"], scale), _forward, _backward, "standardize")


def divisor(std: jax.Array) -> jax.Array:
    """Return a standard deviation to divide by: 1 in the place of 0."""
    return jnp.where(std == 0, jnp.ones_like(std), std)


def _forward(numbers: tuple[PyTree, PyTree], x: PyTree) -> Any:
    return leafwise(lambda x, mean, scale: (x - mean) / scale, x, *numbers)


def _backward(numbers: tuple[PyTree, PyTree], y: PyTree) -> Any:
    return leafwise(lambda y, mean, scale: y * scale + mean, y, *numbers)


def _second_pass(low: float, high: float, near: PyTree) -> Learned[PyTree, PyTree]:
    """Return what learns quantiles within the sketches of a first pass, one of each leaf."""
    sketches, structure = jax.tree.flatten(near, is_leaf=lambda v: isinstance(v, folds.Sketch))
    found = [folds.quantile((low, high), within=sketch) for sketch in sketches]
    if jax.tree_util.treedef_is_leaf(structure):
        return Learned(found[0], _clipping)
    picked = {str(i): fold.of(partial(_leaf, i)) for i, fold in enumerate(found)}
    like = jax.tree.unflatten(structure, list(picked))
    return Learned(combine(**picked).map(partial(_by_name, like)), _clipping)


def _leaf(i: int, x: PyTree) -> Any:
    return jax.tree.leaves(x)[i]


def _by_name(like: PyTree, answers: dict[str, jax.Array]) -> PyTree:
    return jax.tree.map(lambda name: answers[name], like)


def _clipping(quantiles: PyTree) -> Fitted:
    low, high = (jax.tree.map(partial(_row, k), quantiles) for k in (0, 1))
    return Fitted((low, high), _clipped, None, "quantile_clip")


def _row(k: int, rows: jax.Array) -> jax.Array:
    return rows[k]


def _clipped(numbers: tuple[PyTree, PyTree], x: PyTree) -> Any:
    return leafwise(jnp.clip, x, *numbers)
