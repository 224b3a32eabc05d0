"""What a fold of every window or group is given: an array's elements, and which of them count.

>>> import jax.numpy as jnp
>>> from jfoundations import folds
>>> given = check_given("rolling", folds.mean(), jnp.array([1.0, jnp.nan]), None, None, "omit")
>>> which_count(given, "omit")[1].tolist()
[True, False]
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .._core.inputs import as_block
from .._core.shown import see
from .._core.types import PyTree
from .._core.values import maker_of
from .._kernels.sample.arguments import Numbers, numbers
from .fold import Fold


class Given(NamedTuple):
    """Checked arguments.

    Attributes:
        xs: what the fold takes, n elements along the leading axis; pairs `(x, weight)` if there
            are weights.
        weights: one an element, or None.
        where: bools, one an element, or None.
    """

    xs: PyTree
    weights: Array | None
    where: Array | None


def check_given(
    who: str,
    a_fold: Fold[Any],
    x: PyTree,
    weights: Numbers | None,
    where: Numbers | None,
    nan: str,
) -> Given:
    """Return checked arguments.

    Raises:
        TypeError: the fold is none, or cannot be merged; x holds no arrays, weights no real
            numbers, where no bools.
        ValueError: lengths differ, or nan is unknown.
    """
    check_fold(a_fold, who)
    if a_fold.merge is None:
        raise TypeError(
            f"{who}: {a_fold.name} cannot be merged (its merge is None), and of merges its answers "
            "are made; write a merge, or fold each part by itself" + see("array_to_cluster")
        )
    if nan not in ("propagate", "omit"):
        raise ValueError(f"{who}: nan is {nan!r}; it must be 'propagate' or 'omit'")
    xs = jax.tree.map(jnp.asarray, as_block(x, f"{who}'s x"))
    n = length(xs)
    if weights is not None:
        weights = one_each(who, "weights", weights, n)
        if jnp.iscomplexobj(weights):
            raise TypeError(f"{who}: weights are complex; give real ones")
        xs = (xs, weights)
    if where is not None:
        where = one_each(who, "where", where, n)
        if where.dtype != np.bool_:
            raise TypeError(
                f"{who}: where has dtype {where.dtype}, bools are needed; numbers that count more "
                "or less are weights="
            )
    return Given(xs, weights, where)


def check_fold(value: object, who: str) -> None:
    """Raise unless a value is a fold."""
    if isinstance(value, Fold):
        return
    if name := maker_of(value, "jfoundations.folds"):
        raise TypeError(f"{who}: folds.{name} makes a fold; call it: folds.{name}()")
    name = getattr(value, "__name__", None) or repr(value)
    raise TypeError(
        f"{who}: {name} is no Fold; make one with Fold(init, step, merge) "
        "or take one from jfoundations.folds"
    )


def length(xs: PyTree) -> int:
    """Return how many elements there are along the leading axis."""
    return jax.tree.leaves(xs)[0].shape[0]


def one_each(who: str, name: str, value: Numbers, n: int) -> Array:
    """Return an array of one number an element, or say that it is none."""
    array = numbers(who, name, value)
    if array.shape != (n,):
        raise ValueError(
            f"{who}: {name} has shape {array.shape}; one for each of the {n} elements along x's "
            "leading axis is needed"
        )
    return array


def which_count(given: Given, nan: str) -> tuple[Any, Array | None]:
    """Return the elements, and bools that say which of them count; None where all do.

    A weight that is nan is not left out: it is an error of the data, which the answer shows.
    """
    kept, x = [] if given.where is None else [given.where], given.xs
    if given.weights is not None:
        kept.append(given.weights != 0)
        x = x[0]
    if nan == "omit":
        leaves = [v for v in jax.tree.leaves(x) if jnp.issubdtype(v.dtype, jnp.inexact)]
        kept += [~jnp.any(jnp.isnan(v), axis=tuple(range(1, v.ndim))) for v in leaves]
    return given.xs, jnp.all(jnp.stack(kept), axis=0) if kept else None
