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

from .._rounding import divide
from .._tree import pytree
from ..stats._blocks import counted
from ..stats._count import Count
from ..stats._gradients import memory as sums_of
from ..stats._higher import power_sums
from ..stats._units import binary_unit, inverse_unit
from ..stats._weights import Frequency, Reliability
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

    def words(self, dtype: Any) -> Words:
        """Return the total in two words."""
        return Words.of_count(self.total, dtype) if isinstance(self.total, Count) else self.total

    def free(self, kind: Any, correction: Any, dtype: Any) -> jax.Array:
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

    def over(self, power: int, kind: Any, correction: Any) -> jax.Array:
        """Return a sum of squares or products over what the weights leave, in units."""
        free = self.weight.free(kind, jnp.asarray(correction, self.dtype), self.dtype)
        found = divide(self.powers[power].value, jnp.where(free > 0, free, 1))
        return jnp.where(free > 0, found, jnp.nan)


def gather(values: tuple[jax.Array, ...], weights: Any, kind: Any, order: int) -> Memory:
    """Return the memory of a block of rows.

    Args:
        values: one or two arrays, all of the shape (n, ...).
        weights: None, bools (which elements there are) or floats ≥ 0, of that shape.
        kind: the class of the weights, or None.
        order: 0 (means alone), 2 or 4.
    """
    found = sums_of(values, weights, (0,), min(order, 2), "default")
    total, words, powers, units = jax.tree.map(lambda leaf: jnp.squeeze(leaf, 0), found)
    weight = _weight(total, values[0], weights, kind)
    pivots, offsets = zip(*(_about_finite(*pair) for pair in words), strict=True)
    memory = Memory(weight, pivots, tuple(map(Words.of, offsets)))
    if order == 0:
        return memory
    near = [_near(p, total, u) for p, u in zip(powers, units, strict=False)]
    ratios = [u / n for u, n in zip(units, near, strict=True)]
    scaled = [p * ratios[i] * ratios[j] for p, (i, j) in zip(powers, _pairs(values), strict=True)]
    if order == 4:
        about = pivots[0], offsets[0], near[0]
        scaled += power_sums(values[0], weights, *about, (0,), (3, 4))
    return Memory(weight, pivots, memory.offsets, tuple(near), tuple(map(Words.of, scaled)))


def _about_finite(pivot: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
    # an infinite mean is one about 0, else two of them would be inf - inf apart
    finite = jnp.isfinite(pivot)
    return jnp.where(finite, pivot, 0), jnp.where(finite, offset, pivot + offset)


def _pairs(variables: Any) -> list[tuple[int, int]]:
    return [(0, 0)] if len(variables) == 1 else [(0, 0), (1, 1), (0, 1)]


def _near(m2: jax.Array, total: jax.Array, unit: jax.Array) -> jax.Array:
    """Return the power of two near a standard deviation."""
    mean_square = m2 / jnp.where(total > 0, total, 1)
    deviation = jnp.sqrt(lax.stop_gradient(mean_square))
    return jnp.where(deviation > 0, binary_unit(deviation * unit), unit)


def _weight(total: jax.Array, x: jax.Array, weights: Any, kind: Any) -> Weight:
    if weights is None:
        count = Count.of(x.shape[0], x.shape[1:])
    else:
        count = Count.from_array(jnp.sum(counted(weights), axis=0, dtype=np.int32))
    if kind is None or weights is None:
        return Weight(count)
    heavy = None
    if issubclass(kind, Reliability):
        heavy = _heavy(jnp.broadcast_to(weights, x.shape), total)
    return Weight(Words.of(total), heavy, count)


def _heavy(weights: jax.Array, total: jax.Array) -> Words:
    whole = jnp.where(total > 0, total, 1)[None]
    scale = binary_unit(whole)
    shares = weights.astype(total.dtype) * inverse_unit(scale)
    several, [(pivot, offset)], _, _ = sums_of((shares * shares,), weights != 0, (0,), 1, "default")
    heavy = several * (pivot + offset) / (whole * inverse_unit(scale)) * scale
    return Words.of(jnp.squeeze(heavy, 0))


def merge(a: Memory, b: Memory) -> Memory:
    """Join the memories of two halves of the data; an empty side changes no bit of the other."""
    dtype = a.dtype
    wa, wb = a.weight.words(dtype), b.weight.words(dtype)
    no_a, no_b = wa.high == 0, wb.high == 0
    total = choose(no_a & no_b, Words.of(jnp.ones_like(wa.high)), wa + wb)
    share_a, share_b = wa / total, wb / total
    lever = wa * share_b
    gaps = tuple(
        choose(no_a | no_b, Words.of(jnp.zeros_like(p)), Words.between(p, q) + (ob - oa))
        for p, q, oa, ob in zip(a.pivots, b.pivots, a.offsets, b.offsets, strict=True)
    )
    offsets = tuple(
        _moved(oa, ob, gap * share_b)
        for oa, ob, gap in zip(a.offsets, b.offsets, gaps, strict=True)
    )
    units, powers = (), ()
    if a.powers:
        units = tuple(map(_common, a.units, b.units, gaps))
        gaps = tuple(g.times(1 / u) for g, u in zip(gaps, units, strict=True))
        mine, its = _rescaled(a, units), _rescaled(b, units)
        powers = tuple(
            p + q + gaps[i] * gaps[j] * lever
            for p, q, (i, j) in zip(mine, its, _pairs(gaps), strict=False)
        )
        if len(gaps) == 1 and len(mine) == 3:
            powers += _third_and_fourth(mine, its, gaps[0], lever, share_a, share_b)
    weight = a.weight + b.weight
    both = Memory(weight, a.pivots, offsets, units, powers)
    kept = choose(no_b, _bare(a), choose(no_a, _bare(b), _bare(both)))
    return Memory(weight, *kept)


def _bare(memory: Memory) -> Any:
    return memory.pivots, memory.offsets, memory.units, memory.powers


def _moved(a: Words, b: Words, step: Words) -> Words:
    # inf - inf is nan, but the mean of two infinite means of one sign is infinite
    finite = jnp.isfinite(a.high) & jnp.isfinite(b.high)
    return choose(finite, a + step, Words.of(a.high + b.high))


def _common(a: jax.Array, b: jax.Array, gap: Words) -> jax.Array:
    return jnp.maximum(jnp.maximum(a, b), binary_unit(lax.stop_gradient(gap.high)))


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
