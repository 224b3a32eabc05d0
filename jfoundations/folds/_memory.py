"""What folds of one or two variables remember, and how two memories become one.

A memory keeps a weight, the mean as a data value and what is left to it, and sums of powers of
deviations, in units of a power of two near the deviations themselves, so that nothing under- or
overflows. All but the pivots and the units are kept in two words.

Sources: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"; Pébay
(2008), "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
statistical moments", for orders three and four.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from .._core.pytrees import pytree
from .._core.rounding import divide
from .._kernels.moments.derivatives import memory as sums_of
from .._kernels.moments.formulas import Call, times
from .._kernels.moments.powers import power_sums
from .._kernels.numbers.counts import Count
from .._kernels.numbers.units import binary_unit, coarse_unit, inverse_unit, unit_of
from .._kernels.sample.arguments import Data
from .._kernels.sample.weights import Frequency, Reliability
from .._kernels.sums.blocks import counted
from ._words import Words, choose


@pytree
class Weight:
    """How much was seen.

    Attributes:
        total: the sum of the weights; a `Count` where each is one.
        heavy: the weights' mean by weight, Σw²/W, for `Reliability`, else None. The sum of their
            squares would leave the range of its type where they are very large or small.
        seen: how many are not 0, where they are weights, else None.
    """

    total: Count | Words
    heavy: Words | None = None
    seen: Count | None = None

    def __add__(self, other: "Weight") -> "Weight":
        total = self.total + other.total  # type: ignore[operator]
        seen = None if self.seen is None else self.seen + other.seen  # type: ignore[operator]
        return Weight(total, self._heavy_with(other, total), seen)

    def _heavy_with(self, other: "Weight", total: Any) -> Words | None:
        if self.heavy is None or other.heavy is None:
            return None
        some = choose(total.high == 0, Words.of(jnp.ones_like(total.high)), total)
        both = self.heavy * (self.total / some) + other.heavy * (other.total / some)  # type: ignore
        # an empty side changes no bit of the other
        return choose(
            other.heavy.high == 0, self.heavy, choose(self.heavy.high == 0, other.heavy, both)
        )

    def __int__(self) -> int:
        return int(self.total)  # type: ignore[arg-type]

    def words(self, dtype: DTypeLike) -> Words:
        """Return the total in two words."""
        return Words.of_count(self.total, dtype) if isinstance(self.total, Count) else self.total

    def free(self, kind: Any, correction: ArrayLike, dtype: DTypeLike) -> jax.Array:
        """Return what a sum of squares is divided by, as the kind of weights has it."""
        total = self.words(dtype).value
        seen = None if self.seen is None else self.seen.astype(dtype)
        free = (Frequency if kind is None else kind)(None).free
        if self.heavy is None:
            return free(total, None, seen, correction)
        scale = binary_unit(total)
        total, heavy = (v * inverse_unit(scale) for v in (total, self.heavy.value))
        return free(total, heavy * total, seen, correction) * scale


@pytree
class Memory:
    """The sums of one variable, or of two.

    Attributes:
        weight: how much was seen.
        pivots: for each variable a data value.
        offsets: for each the mean less the pivot.
        units: for each a power of two; none for means alone.
        powers: in these units, M2 (and M3, M4) of one variable, or Mxx, Myy, Mxy of two.
    """

    weight: Weight
    pivots: tuple[jax.Array, ...]
    offsets: tuple[Words, ...]
    units: tuple[jax.Array, ...] = ()
    powers: tuple[Words, ...] = ()

    @property
    def dtype(self) -> Any:
        """The float that sums are kept in."""
        return self.offsets[0].high.dtype

    @property
    def total(self) -> jax.Array:
        """The sum of the weights, in one word."""
        return self.weight.words(self.dtype).value

    @property
    def mean(self) -> jax.Array:
        """The mean of the first variable; nan of nothing."""
        mean = Words.of(self.pivots[0]) + self.offsets[0]
        return jnp.where(self.total == 0, jnp.nan, mean.value)

    def over(self, power: int, kind: Any, correction: ArrayLike) -> jax.Array:
        """Return a sum of squares or products over what the weights leave, in units."""
        free = self.weight.free(kind, jnp.asarray(correction, self.dtype), self.dtype)
        valid = (free > 0) & (self.total > 0)
        found = divide(self.powers[power].value, jnp.where(valid, free, 1))
        return jnp.where(valid, found, jnp.nan)


def gather(values: tuple[jax.Array, ...], weights: Any, kind: Any, order: int) -> Memory:
    """Return the memory of a block of rows.

    Args:
        values: one or two arrays, all of the shape (n, ...).
        weights: None, bools (which elements there are) or floats ≥ 0, of that shape.
        kind: the class of the weights, or None.
        order: 0 (means alone), 2 or 4.
    """
    call = Call(Data(values, None, None), weights, (0,))
    values, scales = call.ranged(values, coarse_unit if order == 0 else unit_of, small=True)
    heft = None  # what the weights are in
    if weights is not None and weights.dtype != np.bool_:
        heft = unit_of(weights, None, (0,))
        weights = weights * inverse_unit(heft)
    found = sums_of(values, weights, (0,), min(order, 2), "default")
    scales = [s if s is None else jnp.squeeze(s, 0) for s in scales]
    heft = heft if heft is None else jnp.squeeze(heft, 0)
    total, words, powers, units = jax.tree.map(lambda leaf: jnp.squeeze(leaf, 0), found)
    pairs = [_about_finite(*pair) for pair in words]
    weight = _weight(total, values[0], weights, kind, heft)
    outside = [_outside(*pair, s) for pair, s in zip(pairs, scales, strict=True)]
    pivots, offsets = zip(*outside, strict=True)
    if order == 0:
        return Memory(weight, pivots, offsets)
    found = zip(powers, units, scales, strict=False)
    near = [_near(p, total, u, s) for p, u, s in found]
    ratios = [u / n for u, n in zip(units, near, strict=True)]
    scaled = [p * ratios[i] * ratios[j] for p, (i, j) in zip(powers, _pairs(values), strict=True)]
    if order == 4:
        scaled += power_sums(values[0], weights, *pairs[0], near[0], (0,), (3, 4))
    scaled = [Words.of(times(p, heft)) for p in scaled]
    near = [times(n, s) for n, s in zip(near, scales, strict=True)]
    return Memory(weight, pivots, offsets, tuple(near), tuple(scaled))


def _outside(pivot: jax.Array, offset: jax.Array, unit: Any) -> tuple[jax.Array, Words]:
    """Return a mean as it is outside its unit: what is left to a value at an end of the range."""
    if unit is None:
        return pivot, Words.of(offset)
    mean = Words.of(pivot) + Words.of(offset)
    # a value of the data and what is left to it; but this may be out of range, and is then moved
    far = unit > 1
    pivot = jnp.where(far, mean.high, pivot)
    return pivot * unit, Words.of(jnp.where(far, mean.low, offset) * unit)


def _about_finite(pivot: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
    # an infinite mean is one about 0, else two of them would be inf - inf apart
    finite = jnp.isfinite(pivot)
    return jnp.where(finite, pivot, 0), jnp.where(finite, offset, pivot + offset)


def _pairs(variables: Any) -> list[tuple[int, int]]:
    return [(0, 0)] if len(variables) == 1 else [(0, 0), (1, 1), (0, 1)]


def _near(m2: jax.Array, total: jax.Array, unit: jax.Array, scale: Any) -> jax.Array:
    """Return the power of two near a standard deviation, a unit outside its scale too."""
    mean_square = m2 / jnp.where(total > 0, total, 1)
    deviation = jnp.sqrt(lax.stop_gradient(mean_square))
    size = jnp.minimum(deviation * unit, jnp.finfo(unit.dtype).max)
    near = jnp.where(deviation > 0, binary_unit(size), unit)
    return near if scale is None else binary_unit(near * scale) * inverse_unit(scale)


def _weight(total: jax.Array, x: jax.Array, weights: Any, kind: Any, heft: Any) -> Weight:
    if weights is None:
        count = Count.of(x.shape[0], x.shape[1:])
    else:
        count = Count.from_array(jnp.sum(counted(weights), axis=0, dtype=np.int32))
    if kind is None or weights is None:
        return Weight(count)
    heavy = None
    if issubclass(kind, Reliability):
        heavy = times(_heavy(jnp.broadcast_to(weights, x.shape), total), heft)
        heavy = Words.of(heavy)
    return Weight(Words.of(times(total, heft)), heavy, count)


def _heavy(weights: jax.Array, total: jax.Array) -> jax.Array:
    w = weights.astype(total.dtype)
    several, [(pivot, offset)], _, _ = sums_of((w * w,), w != 0, (0,), 1, "default")
    heavy = several * (pivot + offset) / jnp.where(total > 0, total, 1)[None]
    return jnp.squeeze(heavy, 0)


def merge(a: Memory, b: Memory) -> Memory:
    """Join the memories of two halves of the data; an empty side changes no bit of the other."""
    dtype = a.dtype
    wa, wb = a.weight.words(dtype), b.weight.words(dtype)
    no_a, no_b = wa.high == 0, wb.high == 0
    total = choose(no_a & no_b, Words.of(jnp.ones_like(wa.high)), wa + wb)
    share_a, share_b = wa / total, wb / total
    lever = wa * share_b
    # in units that are 1 but at the ends of the range, where a difference would leave it
    scales = tuple(map(_scale, a.pivots, b.pivots))
    gaps = tuple(
        choose(
            no_a | no_b,
            Words.of(jnp.zeros_like(p)),
            Words.between(p / s, q / s) + (ob.times(1 / s) - oa.times(1 / s)),
        )
        for p, q, oa, ob, s in zip(a.pivots, b.pivots, a.offsets, b.offsets, scales, strict=True)
    )
    means = [
        _moved(p, oa, ob, gap * share_b, s)
        for p, oa, ob, gap, s in zip(a.pivots, a.offsets, b.offsets, gaps, scales, strict=True)
    ]
    pivots, offsets = zip(*means, strict=True)
    units, powers = (), ()
    if a.powers:
        units = tuple(map(_common, a.units, b.units, gaps, scales))
        gaps = tuple(g.times(s / u) for g, u, s in zip(gaps, units, scales, strict=True))
        mine, its = _rescaled(a, units), _rescaled(b, units)
        powers = tuple(
            p + q + gaps[i] * gaps[j] * lever
            for p, q, (i, j) in zip(mine, its, _pairs(gaps), strict=False)
        )
        if len(gaps) == 1 and len(mine) == 3:
            powers += _third_and_fourth(mine, its, gaps[0], lever, share_a, share_b)
    weight = a.weight + b.weight
    both = Memory(weight, pivots, offsets, units, powers)
    kept = choose(no_b, _bare(a), choose(no_a, _bare(b), _bare(both)))
    return Memory(weight, *kept)


def _bare(memory: Memory) -> Any:
    return memory.pivots, memory.offsets, memory.units, memory.powers


def _scale(a: jax.Array, b: jax.Array) -> jax.Array:
    size = jnp.maximum(jnp.abs(a), jnp.abs(b))
    far = size > 2.0 ** (jnp.finfo(size.dtype).maxexp - 32)
    return lax.stop_gradient(jnp.where(far, 2.0**28, 1.0).astype(size.dtype))


def _moved(
    pivot: jax.Array, a: Words, b: Words, step: Words, scale: jax.Array
) -> tuple[jax.Array, Words]:
    # inf - inf is nan, but the mean of two infinite means of one sign is infinite
    finite = jnp.isfinite(a.high) & jnp.isfinite(b.high)
    offset = choose(finite, a + step, Words.of(a.high + b.high))
    # far out, what is left to the first pivot may be out of range: the mean's first word is one
    mean = Words.of(pivot / scale) + (a.times(1 / scale) + step)
    far = (scale > 1) & finite
    left = choose(far, Words.of(mean.low * scale), offset)
    return jnp.where(far, mean.high * scale, pivot), left


def _common(a: jax.Array, b: jax.Array, gap: Words, scale: jax.Array) -> jax.Array:
    most = 2.0 ** (jnp.finfo(a.dtype).maxexp - 8)  # as `binary_unit` has it
    far = jnp.minimum(binary_unit(lax.stop_gradient(gap.high)), most / scale) * scale
    return jnp.maximum(jnp.maximum(a, b), far)


def _rescaled(memory: Memory, units: tuple[jax.Array, ...]) -> list[Words]:
    ratios = [old / new for old, new in zip(memory.units, units, strict=True)]
    if len(units) == 2:
        x, y = ratios
        factors = [(x, x), (y, y), (x, y)]
    else:
        factors = [(ratios[0],) * k for k in range(2, 2 + len(memory.powers))]
    scaled = []
    for power, several in zip(memory.powers, factors, strict=True):
        for factor in several:
            power = power.times(factor)
        scaled.append(power)
    return scaled


def _third_and_fourth(
    a: list[Words], b: list[Words], d: Words, lever: Words, p: Words, q: Words
) -> tuple[Words, Words]:
    # M3 = M3a + M3b + D**3 Wa Wb (Wa - Wb) / W**2 + 3 D (Wa M2b - Wb M2a) / W
    square = d * d
    skewed = d * (p * b[0] - q * a[0])
    m3 = a[1] + b[1] + d * square * lever * (p - q) + skewed.times(2) + skewed
    # M4 = M4a + M4b + D**4 Wa Wb (Wa**2 - Wa Wb + Wb**2) / W**3
    #    + 6 D**2 (Wa**2 M2b + Wb**2 M2a) / W**2 + 4 D (Wa M3b - Wb M3a) / W
    spread = square * (p * p * b[0] + q * q * a[0])
    far = square * square * lever * (p * p - p * q + q * q)
    crossed = (d * (p * b[1] - q * a[1])).times(4)
    return m3, a[2] + b[2] + far + spread.times(4) + spread.times(2) + crossed
