"""From arrays to memories: every mean, variance and covariance starts here.

Deviations from a value of the data, the pivot, are summed in one read, with their products. By
Samuelson's inequality the shift costs a variance at most a factor n of its digits, and next to none
where the pivot is near the mean, as a median of three mostly is. The sums themselves say what was
lost: with q the sum of squares about the pivot and M2 about the mean, q / M2 is the certificate.
Where it is above 16, or squares left the range of their type, the same loop reads the data again:
in units of a power of two, and then about the mean.

>>> import jax.numpy as jnp
>>> sums = central_sums((jnp.array([1.0, 2.0, 4.0, 18.0]),), (0,))
>>> float(sums.pivots[0] + sums.offsets[0]), float(sums.powers[0])
(6.25, 188.75)

Source: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from ..._core.compat import cond, vary, varying
from ..._core.rounding import protect
from ..numbers.select import select
from ..numbers.two_words import one_word
from ..numbers.units import binary_unit, inverse_unit
from ..sample.arguments import Axes
from ..sums.blocks import (
    accumulator,
    counted,
    difference,
    finite,
    heaviest,
    signed,
    widen,
)
from ..sums.one_read import Join, axis_of, in_three, one_read
from ..sums.one_read import ends as ends_of
from .accurate import exact_sums, mean_of
from .pivots import pivot_of

_State = tuple[list[Array], list[Array], list[Array], list[Array]]

LOST_BITS = 4  # a certificate above 2**LOST_BITS asks for another read


class Sums(NamedTuple):
    """Central sums about `pivots + offsets`, in `units`; every leaf has the kept shape.

    Attributes:
        weight: the sum of weights, or how many elements there are, a float.
        pivots: first words of the means, in the data's own type.
        offsets: second words of the means.
        powers: M2 (and M3, M4), or Mxx, Myy, Cxy; empty for means only.
        units: exact powers of two, one a variable: the true M2 is ``powers[0] * units[0]**2``.
        shifted: sums of squares about what `powers` were summed about; shifted / M2 is the
            certificate. Of means alone the sum of what is left to the pivots, infinite or nan
            where that left the range.
        ends: the least and the greatest, if they were asked for.
    """

    weight: Array
    pivots: list[Array]
    offsets: list[Array]
    powers: list[Array]
    units: list[Array]
    shifted: list[Array]
    ends: Sequence[Array] = ()


class Data(NamedTuple):
    """One or two variables (outer, n, inner), and how much each element counts."""

    values: list[Array]
    weight: Array | None

    @property
    def products(self) -> list[tuple[int, int]]:
        """Which two variables each sum of products multiplies."""
        return [(0, 0)] if len(self.values) == 1 else [(0, 0), (1, 1), (0, 1)]

    @property
    def dtype(self) -> DTypeLike:
        """The float in which sums are kept."""
        return accumulator(self.values[0].dtype)


def central_sums(
    values: Sequence[Array],
    axes: Axes,
    order: int = 2,
    weights: Array | None = None,
    accuracy: str = "default",
    ends: bool = False,
) -> Sums:
    """Gather the sums of one or two variables over axes; the core of all others.

    Args:
        values: real arrays of one shape and dtype; half precision is summed in float32, integers
            are shifted before they are rounded.
        axes: the axes to reduce, non-negative.
        order: 0 for means alone, 2, or 4 for sums of third and fourth powers too.
        weights: None, a bool array (which elements count), or floats in units of the largest, of
            which negative ones give nan; of the values' shape.
        accuracy: "high" sums in two words.
        ends: whether the least and the greatest are wanted too, of one variable with elements.
    """
    data, kept = canonical(values, axes, weights, accuracy != "high")
    if data.values[0].size == 0:
        sums = _empty(data, order)
    elif accuracy == "high":
        sums = _in_two_words(data, order)
    else:
        sums = _means(data) if order < 2 else _plain(data, order, ends)
    shape = [values[0].shape[i] for i in kept]
    if list(sums.weight.shape) == shape:
        return sums
    return Sums(*jax.tree.map(lambda leaf: leaf.reshape(shape), tuple(sums)))


def canonical(
    values: Sequence[Array], axes: Axes, weights: Array | None, flat: bool = False
) -> tuple[Data, list[int]]:
    """Bring data to three axes; return them, and which axes are kept.

    Args:
        values: arrays of one shape.
        axes: the axes to reduce.
        weights: None, or an array that broadcasts against them.
        flat: whether data of which all is summed become (n,).
    """
    shape, axes = values[0].shape, tuple(sorted(axes))
    arrays = [in_three(widen(v), axes, flat) for v in values]
    if weights is not None:
        weights = in_three(jnp.broadcast_to(weights, shape), axes, flat)
    return Data(arrays, weights), [i for i in range(len(shape)) if i not in axes]


def _empty(data: Data, order: int) -> Sums:
    shape, k = data.values[0].shape, len(data.values)
    zero = jnp.zeros((shape[0], shape[-1]) if len(shape) > 1 else (), data.dtype)
    powers = [zero] * (0 if order < 2 else len(data.products) + order - 2)
    return Sums(zero, [zero] * k, [zero] * k, powers, [zero + 1] * k, powers[:k])


def _means(data: Data) -> Sums:
    """Return the mean of one variable, about its pivot, or by itself where that left the range."""
    (pivot,), (x,) = _pivots(data), data.values
    total, (first,), _ = _parted(data, _sums(data, [pivot], None, None, 1))
    offset, unit = over(data, first, total), lax.full_like(first, 1)
    if jnp.issubdtype(x.dtype, jnp.floating):
        fits = lax.is_finite(offset)

        def again() -> tuple[Array, Array]:
            # what is as small as others are large would be none in their unit
            step = select(fits, lax.full_like(first, 1), _steps(data.dtype)[0])
            found = _sums(data, [pivot], [step], None, 1)
            start, rest = pivot * step, over(data, _parted(data, found)[1][0], total)
            mean = start + rest
            low = select(lax.is_finite(mean), (start - mean) + rest, 0)
            return mean / step, low / step

        pivot, offset = cond(_all(fits), lambda: (pivot, offset), again)
    return Sums(total, [pivot], [offset], [], [unit], [first])


def _all(flags: Array) -> Array:
    return flags if flags.ndim == 0 else jnp.all(flags)


def _pivots(data: Data) -> list[Array]:
    keep = None if data.weight is None else counted(data.weight)
    look = jax.jit(pivot_of)  # of two variables the program is said once
    return [look(x, keep) for x in data.values]


def _sums(
    data: Data,
    pivots: list[Array],
    inverses: list[Array] | None,
    offsets: list[Array] | None,
    order: int,
    ends: bool = False,
) -> list[Array]:
    """Read the data once: sum weights, deviations in units less offsets, and their products."""
    k, weight, dtype = len(pivots), data.weight, data.dtype
    floats = jnp.issubdtype(pivots[0].dtype, jnp.floating)
    scales = inverses if floats and inverses is not None else []
    starts = [p * i for p, i in zip(pivots, scales, strict=True)] if scales else pivots
    beside = [*starts, *scales, *(offsets or [])]

    def make(*given: Array) -> list[Array]:
        values, sides = given[:k], given[-len(beside) :]
        starts, moves = sides[:k], sides[len(sides) - k :]
        if scales:
            values = [x * i for x, i in zip(values, sides[k:], strict=False)]
        e = [difference(x, p) for x, p in zip(values, starts, strict=True)]
        e = [d - o for d, o in zip(e, moves, strict=True)] if offsets else e
        counts, v, keep = [], e, None
        if weight is not None:
            w, keep = given[k], counted(given[k])
            e = v = [select(keep, d, 0) for d in e]
            counts = [signed(w)]
            v = e if weight.dtype == np.bool_ else [counts[0] * d for d in e]
        terms = [*counts, *v]
        if order > 1:
            # A product is added to a zero that no compiler knows to be one, so it is rounded by
            # itself, whatever it is added to then: var(x) is cov(x, x) in every program.
            zero = sides[-1] * np.zeros((), dtype)
            terms += [v[i] * e[j] + zero for i, j in data.products]
        if order > 2:
            cube = terms[-1] * e[0]
            terms += [cube, cube * e[0]]
        return [*terms, *ends_of(given[0], keep)] if ends else terms

    joins: Sequence[Join] = ()
    if ends:
        joins = [lax.add] * (order + (weight is not None)) + [lax.min, lax.max]
    return one_read(make, data.values if weight is None else [*data.values, weight], beside, joins)


def _parted(data: Data, found: list[Array]) -> tuple[Array, list[Array], list[Array]]:
    """Return the total weight, the first powers, and what else was summed."""
    k = len(data.values)
    if data.weight is None:
        n = data.values[0].shape[axis_of(data.values[0])]
        return lax.full_like(found[0], n), found[:k], found[k:]
    return found[0].astype(data.dtype), found[1 : k + 1], found[k + 1 :]


def over(data: Data, a: Array, total: Array) -> Array:
    """Divide by the total weight, of which the largest summand is at least 1; by 0 it is 0."""
    return a / (total if data.weight is None else lax.max(total, lax.full_like(total, 1)))


def _steps(dtype: DTypeLike) -> tuple[float, float]:
    """Return by what to multiply data whose squares overflowed, and such that were flushed to 0."""
    most = jnp.finfo(dtype).maxexp
    return 2.0 ** -(most * 45 // 64), 2.0 ** (most * 47 // 64)


def _plain(data: Data, order: int, ends: bool = False) -> Sums:
    pivots, k = _pivots(data), len(data.values)
    arrays = data.values if data.weight is None else [*data.values, data.weight]
    axes = frozenset().union(*map(varying, arrays))

    def start(value: Any, dtype: DTypeLike) -> Array:
        return vary(lax.full(pivots[0].shape, value, dtype), axes)

    zero, one = start(0, data.dtype), start(1, data.dtype)
    found = jax.eval_shape(lambda: _sums(data, pivots, [one] * k, [zero] * k, order, ends))

    def read(state: _State) -> _State:
        inverses, offsets, _, _ = state
        found = _sums(data, pivots, inverses, offsets, order, ends)
        total, firsts, powers = _parted(data, found)
        judged = [
            _judge(i, o, s, over(data, s, total), powers[v : v + order - 1])
            for v, (i, o, s) in enumerate(zip(inverses, offsets, firsts, strict=True))
        ]
        inverses, offsets, well = map(list, zip(*judged, strict=True))
        return inverses, offsets, found, well

    def ill(state: _State) -> Array:
        return ~_all(state[3][0] if k == 1 else state[3][0] & state[3][1])

    first = [one] * k, [zero] * k, [start(0, f.dtype) for f in found], [start(0, np.bool_)] * k
    inverses, offsets, found, _ = lax.while_loop(ill, read, first)
    total, firsts, products = _parted(data, found)
    low_high = [products.pop() for _ in range(2 * ends)][::-1]
    drifts = [over(data, s, total) for s in firsts]
    powers = [
        q - protect(over(data, firsts[i] * firsts[j], total))
        for q, (i, j) in zip(products, data.products, strict=False)
    ]
    if order > 2:  # sums of (e - d)**3 and of (e - d)**4
        (d,), (q, c, f) = drifts, products
        powers += [c - d * (3 * q - 2 * total * d * d)]
        powers += [f - d * (4 * c - d * (6 * q - 3 * total * d * d))]
    words = zip(pivots, offsets, drifts, inverses, strict=True)
    placed = [_placed(p, o + d, i) for p, o, d, i in words]
    pivots, offsets, units = map(list, zip(*placed, strict=True))
    return Sums(total, pivots, offsets, powers, units, products[:k], low_high)


@jax.jit
def _judge(
    inverse: Array, offset: Array, first: Array, drift: Array, powers: list[Array]
) -> tuple[Array, Array, Array]:
    """Return a variable's next inverse unit and offset, and whether there need be a next read.

    Args:
        inverse: of the unit, 1 at first.
        offset: what deviations were less, 0 at first.
        first: their sum.
        drift: their mean.
        powers: the sums of their squares; or of squares, cubes and fourth powers.
    """
    info, q = jnp.finfo(first.dtype), powers[0]
    low, high = float(info.tiny) * 2.0**56, float(info.max) * 2.0**-8
    down, up = _steps(q.dtype)
    step = lax.select(q > 1, lax.full_like(q, down), lax.full_like(q, up))
    usable = fits = (q > low) & (q < high)
    again = inverse == 1
    if len(powers) > 1:  # fourth powers leave the range before squares do
        near = inverse_unit(binary_unit(lax.sqrt(q))) * select(q > 1, lax.full_like(q, 2.0**24), 1)
        step = lax.select(usable, near, step)
        fits, again = usable & (powers[2] > low) & (powers[2] < high), again | usable
    fits = fits | (q + first == 0)  # both are 0 of a constant
    lost = ~(q <= 2.0**LOST_BITS * (q - first * drift))
    away, far = ~fits & again, fits & lost & (offset == 0)
    inverse = lax.select(away, inverse * step, inverse)
    return inverse, lax.select(far, drift, offset), ~(away | far)


def _placed(pivot: Array, offset: Array, inverse: Array) -> tuple[Array, Array, Array]:
    """Take an offset out of its unit; a mean that is too far from its pivot is its own."""
    unit = inverse_unit(inverse)
    out = offset * unit
    if not jnp.issubdtype(pivot.dtype, jnp.floating):
        return pivot, out, unit
    start = pivot * inverse
    mean = start + offset
    far = (abs(out) == np.inf) & lax.is_finite(offset)
    rest = ((start - mean) + offset) * unit
    return select(far, mean * unit, pivot), select(far, rest, out), unit


def _in_two_words(data: Data, order: int) -> Sums:
    """Sum about the means that plain sums gave: a shift may cost a factor n."""
    first = _means(data) if order < 2 else _plain(data, order)
    starts = [heaviest(x, data.weight) for x in data.values]
    about = [
        finite(difference(p, s) + o)
        for p, s, o in zip(first.pivots, starts, first.offsets, strict=True)
    ]
    found = exact_sums(data.values, data.weight, about, order > 1)
    weight = first.weight if found.weight is None else found.weight.astype(first.weight.dtype)
    words = [mean_of(*w) for w in zip(found.pivots, found.means, found.units, strict=True)]
    pivots, offsets = [m for m, _ in words], [rest for _, rest in words]
    if order > 1:
        pivots = found.pivots
        offsets = [one_word(m) * u for m, u in zip(found.means, found.units, strict=True)]
    return Sums(weight, pivots, offsets, found.powers, found.units, found.shifted)
