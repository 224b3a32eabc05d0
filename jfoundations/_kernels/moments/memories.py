"""Memories of sums about a pivot, and how two of them become one.

A memory keeps its mean in two words, a data value (the pivot) and a small offset from it, so that
merging loses nothing when the mean is large against the spread. Counts are exact integers in two
words; weights are floats.

>>> import jax.numpy as jnp
>>> a = Moments.of(Count.of(2), pivot=1.0, offset=0.5, m2=0.5)  # the data 1, 2
>>> b = Moments.of(Count.of(1), pivot=6.0, offset=0.0, m2=0.0)  # the datum 6
>>> both = merge(a, b)
>>> float(both.mean), float(both.m2), int(both.weight)
(3.0, 14.0, 3)

Source: Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance".
"""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from ..._core.pytrees import pytree
from ..._core.rounding import protect
from ..numbers.counts import Count


def weight_in(weight: Count | Array, dtype: DTypeLike) -> Array:
    """Return a memory's weight as a float, be it a count or a sum of weights."""
    return weight.astype(dtype)


@pytree
class Moments:
    """What is known of one variable: weight, mean (pivot + offset), sums of central powers.

    Attributes:
        weight: a `Count`, or the sum of weights in the float that is accumulated in.
        pivot: a data value, the first word of the mean.
        offset: mean - pivot, the second word.
        m2: sum of w (x - mean)**2, or None for means only.
    """

    weight: Count | Array
    pivot: Array
    offset: Array
    m2: Array | None = None

    @staticmethod
    def of(weight: Any, pivot: Array, offset: Array, m2: Any = None) -> "Moments":
        """Make a memory, numbers becoming arrays."""
        rest = None if m2 is None else jnp.asarray(m2)
        return Moments(weight, jnp.asarray(pivot), jnp.asarray(offset), rest)

    @property
    def mean(self) -> Array:
        """The mean in one word; nan of no data."""
        known = weight_in(self.weight, self.offset.dtype) != 0
        return jnp.where(known, self.pivot + self.offset, jnp.nan)


@pytree
class CoMoments:
    """What is known of a pair of variables: both means, both central sums and the cross sum."""

    weight: Count | Array
    pivot_x: Array
    offset_x: Array
    pivot_y: Array
    offset_y: Array
    mxx: Array
    myy: Array
    cxy: Array

    @property
    def x(self) -> "Moments":
        """The first variable alone."""
        return Moments(self.weight, self.pivot_x, self.offset_x, self.mxx)

    @property
    def y(self) -> "Moments":
        """The second variable alone."""
        return Moments(self.weight, self.pivot_y, self.offset_y, self.myy)


def merge(a: Any, b: Any) -> Any:
    """Join the memories of two halves of the data.

    Associative to rounding; an empty side changes no bit of the other.
    """
    if isinstance(a, CoMoments):
        return _merge_pairs(a, b)
    step = _gap(a, b)
    m2 = None
    if a.m2 is not None:
        m2 = _cross(a.m2, b.m2, step.distance, step.distance, step.lever)
    return Moments(a.weight + b.weight, step.pivot, step.offset, m2)


@pytree
class _Gap:
    """The joined mean, the distance between the two, and what its square counts."""

    pivot: Array
    offset: Array
    distance: Array
    lever: Array


def _gap(a: Moments, b: Moments) -> _Gap:
    wa, wb = (weight_in(m.weight, a.offset.dtype) for m in (a, b))
    # An empty side takes the other's mean before anything is computed: distance 0, so the identity
    # is exact.
    pa, oa = _select(wa == 0, (b.pivot, b.offset), (a.pivot, a.offset))
    pb, ob = _select(wb == 0, (pa, oa), (b.pivot, b.offset))
    total = jnp.where(wa + wb == 0, 1, wa + wb)
    share = wb / total
    distance = (pb - pa) + (ob - oa)
    # inf - inf is nan, but the mean of two infinite means of one sign is infinite
    finite = jnp.isfinite(oa) & jnp.isfinite(ob)
    offset = jnp.where(finite, oa + protect(distance * share), oa + ob)
    return _Gap(pa, offset, distance, wa * share)


def _select(condition: Array, yes: tuple[Any, ...], no: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(jnp.where(condition, y, n) for y, n in zip(yes, no, strict=True))


def _cross(a: Array, b: Array, dx: Array, dy: Array, lever: Array) -> Array:
    # C = Ca + Cb + Dx Dy Wa Wb / W
    return (a + b) + protect(protect(dx * dy) * lever)


def _merge_pairs(a: Any, b: Any) -> CoMoments:
    x, y = _gap(a.x, b.x), _gap(a.y, b.y)
    mxx = _cross(a.mxx, b.mxx, x.distance, x.distance, x.lever)
    myy = _cross(a.myy, b.myy, y.distance, y.distance, y.lever)
    cxy = _cross(a.cxy, b.cxy, x.distance, y.distance, x.lever)
    return CoMoments(a.weight + b.weight, x.pivot, x.offset, y.pivot, y.offset, mxx, myy, cxy)
