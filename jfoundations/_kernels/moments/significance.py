"""Tests of means and variances as formulas of moments: t and F, and how likely they are.

>>> import jax.numpy as jnp
>>> m = Moments(jnp.array(4.0), [(jnp.array(1.0), jnp.array(5.25))], [jnp.array(188.75)], [None])
>>> print(t_test([Sample.of(m)], 1.0, pooled=True, alternative="two-sided").statistic)
1.3237...
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ..numbers.units import inverse_unit
from .moments import Moments, root
from .tails import tails


class Significance(NamedTuple):
    """What a test says.

    Attributes:
        statistic: t or F.
        freedom: its degrees of freedom, of F those of both variances.
        p: how likely a statistic at least as far out is, were there no difference; it has no
            derivative.
    """

    statistic: Array
    freedom: Array | tuple[Array, Array]
    p: Array


class Sample(NamedTuple):
    """What is to be known of a sample.

    Attributes:
        size: how many observations there are.
        mean: two numbers, to be added.
        var: the variance, of the size, in units.
        unit: a power of two that deviations are in.
    """

    size: Array
    mean: tuple[Array, Array]
    var: Array
    unit: Array

    @classmethod
    def of(cls, m: Moments) -> "Sample":
        """Return what is to be known of moments."""
        unit = jnp.ones_like(m.words[0][1]) if m.units[0] is None else m.units[0]
        return cls(m.size, m.words[0], m.over(0, 0), unit)


def in_one_unit(samples: list[Sample], mean: ArrayLike = 0.0) -> tuple[list[Sample], Array]:
    """Return samples in the unit of the widest, and a mean: so nothing leaves the range."""
    unit = samples[0].unit
    for other in samples[1:]:
        unit = jnp.maximum(unit, other.unit)
    inverse = inverse_unit(unit)

    def scaled(s: Sample) -> Sample:
        ratio = s.unit * inverse
        high, low = (word * inverse for word in s.mean)
        return Sample(s.size, (high, low), s.var * ratio * ratio, unit)

    return list(map(scaled, samples)), jnp.asarray(mean, unit.dtype) * inverse


def t_test(
    samples: list[Sample], mean: ArrayLike, *, pooled: bool, alternative: str
) -> Significance:
    """Compare the mean of one sample, or of two, with a number."""
    samples, mean = in_one_unit(samples, mean)
    sizes, free = ([s.size - c for s in samples] for c in (0, 1))
    if len(samples) == 1:
        gap = _gap(samples[0], (mean, jnp.zeros_like(mean)))
        left, square = free[0], samples[0].var / free[0]
    elif pooled:
        gap, left = _gap(samples[0], samples[1].mean) - mean, free[0] + free[1]
        spread = sum(s.size * s.var for s in samples) / left
        square = spread * sum(1 / n for n in sizes)
    else:
        gap = _gap(samples[0], samples[1].mean) - mean
        each = [s.var / n for s, n in zip(samples, free, strict=True)]
        square = each[0] + each[1]
        shares = [v / jnp.where(square == 0, 1, square) for v in each]
        left = 1 / sum(v * v / n for v, n in zip(shares, free, strict=True))
        left = jnp.where(square == 0, 1, left)  # of constants any number will do
    t = gap / jnp.where(left > 0, root(square), jnp.nan)
    t, left = jnp.broadcast_arrays(t, left)
    fixed, n = lax.stop_gradient((t, left))
    tail = tails(fixed * fixed, jnp.ones_like(n), n)[1] / 2
    above = jnp.where(fixed > 0, tail, 1 - tail)
    below = jnp.where(fixed < 0, tail, 1 - tail)
    p = {"two-sided": 2 * tail, "less": below, "greater": above}[alternative]
    return Significance(t, left, p)


def _gap(a: Sample, mean: tuple[Array, Array]) -> Array:
    # how far the mean is from another: their first words cancel
    return (a.mean[0] - mean[0]) + (a.mean[1] - mean[1])


def f_test(samples: list[Sample], *, alternative: str) -> Significance:
    """Compare the variances of two samples."""
    samples, _ = in_one_unit(samples)
    free = [s.size - 1 for s in samples]
    a, b = (s.var * (s.size / n) for s, n in zip(samples, free, strict=True))
    f, m, n = jnp.broadcast_arrays(a / b, *free)
    below, above = tails(*lax.stop_gradient((f, m, n)))
    p = {"less": below, "greater": above, "two-sided": 2 * jnp.minimum(below, above)}[alternative]
    return Significance(f, (m, n), p)


def analysis_of_variance(samples: list[Sample]) -> Significance:
    """Compare the variance of the samples' means with that within the samples."""
    samples, _ = in_one_unit(samples)
    gaps = [_gap(s, samples[0].mean) for s in samples]
    total = sum(s.size for s in samples)
    center = sum(s.size * gap for s, gap in zip(samples, gaps, strict=True)) / total
    between = sum(s.size * (g - center) ** 2 for s, g in zip(samples, gaps, strict=True))
    within = sum(s.size * s.var for s in samples)
    free = jnp.full_like(total, len(samples) - 1), total - len(samples)
    f, m, n = jnp.broadcast_arrays((between / free[0]) / (within / free[1]), *free)
    f = jnp.where(n > 0, f, jnp.nan)
    return Significance(f, (m, n), tails(*lax.stop_gradient((f, m, n)))[1])
