"""The laws of functions of arrays, each said once, of lanes: two sides that are to be equal.

A law is `(f, draws, constant) -> (left, right)`. Some speak of a constant, a degree or a bound,
which is found first. `LAWS` is their table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..._core.types import Function
from ._check import NotApplicable
from ._draws import Draws
from ._lanes import Lanes, limit, unit

Sides = tuple[Lanes, Lanes]
GRID = {"x": ("grid", "x"), "c": ("c", "t")}
FAR = 2.0**46  # where a bound of the slope that is none shows
NEIGHBOURS = 8  # times as many examples: an order may be broken by one pair of floats in thousands
STEEP = 3  # how much steeper than mostly a function with such a bound may be


@dataclass(frozen=True)
class Law:
    """A law: its name, what it says, of which draws, and its two sides.

    Attributes:
        says: the law, as one writes it; `{}` is its constant.
        uses: the draws it speaks of.
        sides: `(f, draws, constant) -> (left, right)`.
        find: `(f, draws) -> constant`, or None where it speaks of none.
        played: which draws stand for one used, where the sides are several times as long.
        times: how many times as many examples it takes while it seems exact.
    """

    name: str
    says: str
    uses: tuple[str, ...]
    sides: Callable[[Function, Draws, Any], Sides]
    find: Callable[[Function, Draws], float] | None = None
    played: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    times: int = 1


def same_shape(d: Draws, y: Lanes) -> Lanes:
    if y.value.shape != d.x.value.shape:
        raise NotApplicable("the answer has another shape")
    return y


def _ordered(d: Draws, y: Lanes) -> Lanes:
    if any(jnp.issubdtype(one.dtype, jnp.complexfloating) for one in (d.x, y)):
        raise NotApplicable("complex numbers have no order")
    return y


def _excess(over: np.ndarray, size: np.ndarray, like: Lanes) -> Sides:
    # what is beyond a bound is to be nothing
    over = np.where(over > 0, over, np.where(np.isnan(over), np.nan, 0))
    nothing = Lanes(np.zeros_like(over), size, like.exact, like.dtype)
    return Lanes(over, size, like.exact, like.dtype), nothing


def keeps_shape(f: Function, d: Draws, _: Any) -> Sides:
    y = f(d.x)
    found, expected = ([float(n) for n in one.value.shape[1:]] for one in (y, d.x))
    same = np.full((d.lanes, 1), float(found == expected), np.longdouble)
    return Lanes.of(same), Lanes.of(np.ones_like(same))


def keeps_dtype(f: Function, d: Draws, _: Any) -> Sides:
    same = np.full((d.lanes, 1), float(f(d.x).dtype == d.x.dtype), np.longdouble)
    return Lanes.of(same), Lanes.of(np.ones_like(same))


def _constant(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.x), f(d.y)


def _elementwise(f: Function, d: Draws, _: Any) -> Sides:
    if d.x.value[0].size < 2:
        raise NotApplicable("there is one element")
    y = same_shape(d, f(d.x))
    # others in some places change nothing in the rest, and in another order comes that order
    rest = f(d.x.choose(d.mask, d.y)).choose(d.mask, y).take(d.order)
    return rest, f(d.x.take(d.order))


def _additive(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.x + d.y), f(d.x) + f(d.y)


def _linear(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.x * d.a + d.y * d.b), f(d.x) * d.a + f(d.y) * d.b


def _degree(f: Function, d: Draws) -> float:
    four = Lanes.of(np.full(d.lanes, 4.0), d.x.dtype)
    before, after = f(d.x), f(d.x * four)
    with np.errstate(all="ignore"):
        ratio = np.abs(after.value) / np.abs(before.value)
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not ratio.size:
        raise NotApplicable("it is 0, or no number")
    return float(Fraction(float(np.log2(np.median(ratio))) / 2).limit_denominator(6))


def _homogeneous(f: Function, d: Draws, degree: float) -> Sides:
    power = np.abs(d.s.value) ** degree
    return f(d.x * d.s), f(d.x) * Lanes(power, power, d.s.exact, d.s.dtype)


def _scale_invariant(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.x * d.s), f(d.x)


def _translation_invariant(f: Function, d: Draws, _: Any) -> Sides:
    return _both(f(d.grid + d.c), f(d.x + d.t)), _both(f(d.grid), f(d.x))


def _translation_equivariant(f: Function, d: Draws, _: Any) -> Sides:
    return _both(f(d.grid + d.c), f(d.x + d.t)), _both(f(d.grid) + d.c, f(d.x) + d.t)


def _both(a: Lanes, b: Lanes) -> Lanes:
    """Return two answers in one, lane beside lane."""
    value, size, exact = (
        np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("value", "size", "exact")
    )
    return Lanes(value, size, exact, a.dtype)


def _increasing(f: Function, d: Draws, _: Any) -> Sides:
    return _rises(f, d, 1)


def _decreasing(f: Function, d: Draws, _: Any) -> Sides:
    return _rises(f, d, -1)


def _rises(f: Function, d: Draws, sign: int) -> Sides:
    _ordered(d, d.x)
    below = d.x.choose(d.x.value <= d.y.value, d.y)
    above = d.x.choose(d.x.value > d.y.value, d.y)
    # half of the examples rise by a unit in the last place or by eight, where an answer's own show
    lane = np.arange(d.lanes).reshape((-1,) + (1,) * (d.x.value.ndim - 1))
    little = np.where(lane % 4 == 0, 1, 8) * (unit(d.x.dtype) or 1.0)
    beside = replace(below, value=below.value + np.abs(below.value) * little)
    even = lane % 2 == 0
    # some of the elements rise, the others stay
    low, high = f(below), f(beside.choose(even, above).choose(d.mask, below))
    _ordered(d, low)
    with np.errstate(all="ignore"):
        over = np.where(low.value == high.value, 0, sign * (low.value - high.value))
    return _excess(over, np.maximum(low.size, high.size), low)


def _idempotent(f: Function, d: Draws, _: Any) -> Sides:
    y = same_shape(d, f(d.x))
    return f(y), y


def _involution(f: Function, d: Draws, _: Any) -> Sides:
    y = same_shape(d, f(d.x))
    return f(y), d.x


def permutation_invariant(f: Function, d: Draws, _: Any) -> Sides:
    return f(d.x.take(d.order)), f(d.x)


def permutation_equivariant(f: Function, d: Draws, _: Any) -> Sides:
    y = f(d.x)
    if y.value.shape[1:2] != d.x.value.shape[1:2]:
        raise NotApplicable("the answer has another length")
    return f(d.x.take(d.order)), y.take(d.order)


def _odd(f: Function, d: Draws, _: Any) -> Sides:
    return f(-d.x), -f(d.x)


def _even(f: Function, d: Draws, _: Any) -> Sides:
    return f(-d.x), f(d.x)


def _keeps_constants(f: Function, d: Draws, _: Any) -> Sides:
    y = f(_first(d.x))
    return y, Lanes.of(np.asarray(d.x.value).reshape(d.lanes, -1)[:, 0], d.x.dtype)


def _zero_of_constants(f: Function, d: Draws, _: Any) -> Sides:
    y = f(_first(d.x))
    return y, Lanes(np.zeros_like(y.value), np.zeros_like(y.size), y.exact, y.dtype)


def _first(x: Lanes) -> Lanes:
    flat = x.value.reshape(len(x.value), -1)[:, 0]
    lane = flat.reshape((-1,) + (1,) * (x.value.ndim - 1))
    return Lanes.of(np.broadcast_to(lane, x.value.shape), x.dtype)


def _slopes(f: Function, d: Draws) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, Lanes]]:
    """Return, of pairs near and far, how far answers and inputs are apart, and their sizes."""
    far, tiny, two = (Lanes.of(np.full(d.lanes, by), d.x.dtype) for by in (FAR, 1 / FAR, 2 / FAR))
    beyond = getattr(f, "beyond", f)  # with the array that is fixed as far out
    pairs = [(f, d.x, d.y)]
    if unit(d.x.dtype):
        x = d.x * tiny
        some = x.choose(d.mask, d.y), (d.x * two).choose(d.mask, d.y)
        pairs += [(f, d.x, d.near), (f, d.x, d.x + d.t)]  # a sum is steepest where all rise
        pairs += [(beyond, d.x * far, d.y * far), (f, x, d.y * tiny), (f, *some)]
    found = []
    for g, x, y in pairs:
        a, b = g(x), g(y)
        with np.errstate(all="ignore"):
            gone = _norm(a.value - b.value)
            infinite = np.isinf(a.value) | np.isinf(b.value)
            gone = np.where(infinite.reshape(d.lanes, -1).any(axis=1), np.inf, gone)
            found.append((gone, _norm(x.value - y.value), _norm(a.size) + _norm(b.size), a))
    return found


def _norm(x: np.ndarray) -> np.ndarray:
    return np.sqrt((np.abs(x) ** 2).reshape(len(x), -1).sum(axis=1))


def _lipschitz_bound(f: Function, d: Draws) -> float:
    ratios = []
    for gone, moved, size, like in _slopes(f, d):
        with np.errstate(all="ignore"):
            rounding = limit(like.dtype) * unit(like.dtype) * size
            sure = np.maximum(gone - np.where(np.isfinite(rounding), rounding, 0), 0)
            ratio = sure / moved
        # beyond a domain there are no numbers, and nothing is said
        ratios.append(ratio[(moved > 0) & ~np.isnan(gone)])
    if not ratios[0].size:
        raise NotApplicable("it is no number")
    mostly = np.quantile(ratios[0], 0.99)
    most = max(float(np.max(r, initial=0)) for r in ratios)
    if not most <= STEEP * mostly:
        raise AssertionError(
            f"its slope is mostly below {float(mostly):.3g}, and as large as {most:.3g}"
        )
    level = float(2.0 ** np.ceil(np.log2(most) - 1e-4)) if most > 0 else 0.0
    # a largest slope that is all but reached is one; else there may be a steeper place
    return level if most >= 0.99 * level or most <= 0.8 * level else 2 * level


def _lipschitz(f: Function, d: Draws, bound: float) -> Sides:
    parts = []
    for gone, moved, size, like in _slopes(f, d):
        over = np.where(np.isnan(gone), 0, gone - bound * moved)
        rounded = replace(like, exact=np.zeros_like(like.exact))  # norms are
        parts.append(_excess(over[:, None], (size + bound * moved)[:, None], rounded))
    left, right = parts[0]
    for a, b in parts[1:]:
        left, right = _both(left, a), _both(right, b)
    return left, right


LAWS = {
    law.name: law
    for law in (
        Law("shape", "f(x).shape == x.shape", ("x",), keeps_shape),
        Law("dtype", "f(x).dtype == x.dtype", ("x",), keeps_dtype),
        Law("constant", "f(x) == f(y)", ("x", "y"), _constant),
        Law("elementwise", "f(x)[i] is g(x[i])", ("x", "y", "mask", "order"), _elementwise),
        Law("additive", "f(x + y) == f(x) + f(y)", ("x", "y"), _additive),
        Law("linear", "f(a * x + b * y) == a * f(x) + b * f(y)", ("x", "y", "a", "b"), _linear),
        Law("homogeneous", "f(s * x) == s**{} * f(x), s > 0", ("x", "s"), _homogeneous, _degree),
        Law("scale_invariant", "f(s * x) == f(x), s > 0", ("x", "s"), _scale_invariant),
        Law(
            "translation_invariant",
            "f(x + c) == f(x)",
            ("x", "c"),
            _translation_invariant,
            None,
            GRID,
        ),
        Law(
            "translation_equivariant",
            "f(x + c) == f(x) + c",
            ("x", "c"),
            _translation_equivariant,
            None,
            GRID,
        ),
        Law(
            "increasing",
            "f(x) <= f(y) where x <= y",
            ("x", "y", "mask"),
            _increasing,
            times=NEIGHBOURS,
        ),
        Law(
            "decreasing",
            "f(x) >= f(y) where x <= y",
            ("x", "y", "mask"),
            _decreasing,
            times=NEIGHBOURS,
        ),
        Law("idempotent", "f(f(x)) == f(x)", ("x",), _idempotent),
        Law("involution", "f(f(x)) == x", ("x",), _involution),
        Law("permutation_invariant", "f(x[order]) == f(x)", ("x", "order"), permutation_invariant),
        Law(
            "permutation_equivariant",
            "f(x[order]) == f(x)[order]",
            ("x", "order"),
            permutation_equivariant,
        ),
        Law("odd", "f(-x) == -f(x)", ("x",), _odd),
        Law("even", "f(-x) == f(x)", ("x",), _even),
        Law("keeps_constants", "f([c, c, …]) == c", ("x",), _keeps_constants),
        Law("zero_of_constants", "f([c, c, …]) == 0", ("x",), _zero_of_constants),
        Law(
            "lipschitz",
            "|f(x) - f(y)| <= {} |x - y|",
            ("x", "y"),
            _lipschitz,
            _lipschitz_bound,
            {"x": ("x",) * 6, "y": ("y",) * 6},
        ),
    )
}
