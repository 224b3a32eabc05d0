"""What folds eat: elements, pairs, weighted ones; and which of them count.

Where a fold takes weights, an element is `(what it takes without, weight)`, so that `.of` makes
either: `folds.mean(weights=stats.Frequency).of(lambda e: (e["x"], e["times"]))`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._core.inputs import as_array, elements
from .._core.types import PyTree
from .._kernels.moments.formulas import alike
from .._kernels.numbers.units import inverse_unit, unit_of
from .._kernels.sample.arguments import Data, join
from .._kernels.sample.weights import Frequency, Probability, Reliability

Kind = type[Frequency] | type[Reliability] | type[Probability] | None
Nan = Literal["propagate", "omit"]
KINDS = (Frequency, Reliability, Probability)


@dataclass(frozen=True)
class Taken:
    """What a fold takes: pairs or single values, which weights, what becomes of nan.

    Two are equal where their memories are, so who asks is left out of it.
    """

    weights: Kind = None
    nan: Nan = "propagate"
    pairs: bool = field(default=False, repr=False)
    order: int = field(default=0, repr=False)  # of moments, the highest that is kept


def checked(who: str, weights: Any, nan: Nan, *, pairs: bool = False) -> Taken:
    """Return what a fold takes.

    Raises:
        TypeError: weights is none of the three classes.
        ValueError: nan is unknown.
    """
    if weights is not None and not any(weights is kind for kind in KINDS):  # arrays have no truth
        kinds = ", ".join(f"stats.{kind.__name__}" for kind in KINDS)
        raise TypeError(
            f"folds.{who}: weights is {weights!r}; give one of the classes {kinds}, and elements "
            "as (x, weight)"
        )
    if nan not in ("propagate", "omit"):
        raise ValueError(f"folds.{who}: nan is {nan!r}; it must be 'propagate' or 'omit'")
    return Taken(weights, nan, pairs)


def rows_of(
    taken: Taken, xs: PyTree, kept: jax.Array | None = None
) -> tuple[tuple[jax.Array, ...], Any]:
    """Return the variables of a block, and how much each row counts: None, bools or floats ≥ 0.

    Args:
        taken: what the fold takes.
        xs: the block.
        kept: bools, which of its elements are not left out; None: all.

    Raises:
        TypeError: the elements are not of the form the fold takes.
        ValueError: x and y, or the weights, do not fit.
    """
    weights = None
    if taken.weights is not None:
        what = "((x, y), weight)" if taken.pairs else "(x, weight)"
        xs, weights = _two(xs, what)
    values = _two(xs, "(x, y)") if taken.pairs else (xs,)
    if any(jax.tree.structure(v) != jax.tree.structure(0) for v in values):
        what = "pairs (x, y)" if taken.pairs else "single arrays"
        raise TypeError(
            f"this fold's elements are {what}, not trees; pick arrays out with "
            ".of(lambda element: ...)"
        )
    values = alike(tuple(as_array(v, "this fold", "x") for v in values))
    if len(values) == 2 and values[0].shape != values[1].shape:
        x, y = (v.shape[1:] for v in values)
        raise ValueError(f"x has shape {x} and y {y}; pairs need equal shapes")
    kind = taken.weights
    shape = values[0].shape
    where = None if kept is None else _spread(kept, shape)
    data = Data(values, kind and kind(_spread(weights, shape)), where)
    return values, join(data, taken.nan)


def weights_in_units(weights: jax.Array | None) -> tuple[jax.Array | None, jax.Array | None]:
    """Return a block's weights in units of the largest of each entry, and these; None for 1."""
    if weights is None or weights.dtype == np.bool_:
        return weights, None
    heft = unit_of(weights, None, (0,))
    return weights * inverse_unit(heft), jnp.squeeze(heft, 0)


def real_parts(values: Any) -> list[tuple[jax.Array, ...]]:
    """Return the variables, or pairs, whose sums make up those of complex data."""
    if not any(map(jnp.iscomplexobj, values)):
        return [values]
    parts = [(v.real, v.imag) for v in values]
    if len(parts) == 1:
        return [(part,) for part in parts[0]]
    (a, b), (c, d) = parts
    return [(a, c), (b, d), (b, c), (a, d)]


def _two(xs: PyTree, what: str) -> tuple[Any, Any]:
    if not isinstance(xs, tuple) or len(xs) != 2:
        names = what[1:-1]
        raise TypeError(
            f"this fold's elements are pairs {what}; give it a tuple of two, or make one with "
            f".of(lambda element: ({names}))"
        )
    return xs


def _spread(weights: Any, shape: tuple[int, ...]) -> jax.Array:
    """Return weights of the shape (n, ...) with axes put in, so that elements broadcast."""
    weights = as_array(weights, "this fold", "a weight")
    missing = len(shape) - weights.ndim
    if jnp.iscomplexobj(weights):
        raise TypeError("weights are complex; give real ones")
    placed = weights.reshape(shape[:1] + (1,) * missing + weights.shape[1:])
    if missing < 0 or any(
        n not in (1, m) for n, m in zip(placed.shape[1:], shape[1:], strict=True)
    ):
        raise ValueError(
            f"a weight has shape {weights.shape[1:]}, which does not broadcast to an element's "
            f"{shape[1:]}"
        )
    return placed


def one(x: Any) -> Any:
    """Return an element as a block of one."""
    return jax.tree.map(lambda leaf: leaf[None], elements(x))


def zero_rows(like: PyTree) -> Any:
    """Return a block of no elements."""
    return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape), leaf.dtype), like)
