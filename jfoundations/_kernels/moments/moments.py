"""What formulas are made of: the moments of one variable, or of two, whatever they were summed of.

Arrays, folds, windows and groups each sum in their own way; what they found is said in one form,
so that a statistic is one formula for all of them.

>>> import jax.numpy as jnp
>>> m = Moments(jnp.array(4.0), [(jnp.array(1.0), jnp.array(5.25))], [jnp.array(188.75)], [None])
>>> float(m.mean), float(m.var(0)), round(float(m.std(1)), 4)
(6.25, 47.1875, 7.932)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from ..._core.rounding import divide
from ..numbers.select import select
from ..numbers.units import in_both_units


class Moments(NamedTuple):
    """Moments of a sample, each an array of the shape that is kept.

    Attributes:
        weight: the sum W of the weights; how many elements there are, where they have none.
        words: for each variable its mean, as two numbers to be added.
        powers: sums of w(x − mean)²; of one variable also of cubes and fourth powers, if they were
            asked for; of two M of x, M of y, and of their product.
        units: for each variable the power of two that its powers are in; None for 1.
        free: what a kind of weights leaves of W after a correction; by default W − correction, and
            W is not 0.
        effective: how many observations the weights stand for; by default W.
    """

    weight: Array
    words: Sequence[tuple[Array, Array]]
    powers: Sequence[Array] = ()
    units: Sequence[Array | None] = ()
    free: Callable[[ArrayLike], Array] | None = None
    effective: Callable[[], Array] | None = None

    @property
    def size(self) -> Array:
        """How many observations there are: W, or what the kind of weights makes of them."""
        return self.weight if self.effective is None else self.effective()

    @property
    def mean(self) -> Array:
        """The mean of the first variable; nan of nothing."""
        pivot, offset = self.words[0]
        return self._known(pivot + offset)

    def var(self, correction: ArrayLike = 0) -> Array:
        """Return the variance of the first variable."""
        return times(self.over(0, correction), self.units[0], self.units[0])

    def std(self, correction: ArrayLike = 0) -> Array:
        """Return the standard deviation of the first variable."""
        return times(root(self.over(0, correction)), self.units[0])

    def sem(self, correction: ArrayLike = 1) -> Array:
        """Return the standard error of the mean of the first variable."""
        size = self.size
        square = self.over(0, correction) / jnp.where(size > 0, size, 1)
        return times(root(square), self.units[0])

    def central(self, order: int) -> Array:
        """Return the central moment of an order, 2 … 4."""
        whole = self.weight if self.free is None else select(self.weight == 0, 1, self.weight)
        return self._known(times(self.powers[order - 2] / whole, *[self.units[0]] * order))

    @property
    def skew(self) -> Array:
        """The skewness of the first variable, biased; nan of a constant."""
        second, third, varied = self._shape(1)
        return _unless(varied, third / second / root(second))

    @property
    def kurtosis(self) -> Array:
        """The excess kurtosis of the first variable, biased; nan of a constant."""
        second, fourth, varied = self._shape(2)
        return _unless(varied, fourth / second / second - 3)

    @property
    def unbiased_skew(self) -> Array:
        """The skewness G₁, unbiased for a normal distribution; nan of two observations or fewer."""
        n, some = self._more_than(2)
        return _unless(some, self.skew * root(n * (n - 1)) / (n - 2))

    @property
    def unbiased_kurtosis(self) -> Array:
        """The excess kurtosis G₂, unbiased for a normal distribution; nan of three or fewer."""
        n, some = self._more_than(3)
        value = ((n + 1) * self.kurtosis + 6) * ((n - 1) / (n - 2) / (n - 3))
        return _unless(some, value)

    def _more_than(self, least: int) -> tuple[Array, Array]:
        some = self.size > least
        return select(some, self.size, least + 1), some

    def cov(self, correction: ArrayLike = 0) -> Array:
        """Return the covariance of two variables."""
        x, y = self.units
        value = self.over(2, correction)
        return value if x is None or y is None else in_both_units(value, x, y)

    @property
    def corr(self) -> Array:
        """Pearson's correlation of two variables."""
        return coefficient(*self.powers)

    def over(self, power: int, correction: ArrayLike) -> Array:
        """Return a sum of squares or products over what the weights leave, in units."""
        correction = jnp.asarray(correction, self.weight.dtype)
        free = self.weight - correction if self.free is None else self.free(correction)
        valid = free > 0 if self.free is None else (free > 0) & (self.weight > 0)
        value = divide(self.powers[power], select(valid, free, 1))
        return _unless(valid, value)

    def _known(self, value: Array) -> Array:
        return value if self.free is None else _unless(self.weight != 0, value)

    def _shape(self, power: int) -> tuple[Array, Array, Array]:
        if self.free is None:  # of so many elements, which the program knows
            second, last = self.powers[0] / self.weight, self.powers[power] / self.weight
        else:
            whole = select(self.weight == 0, 1, self.weight)
            second, last = (divide(self.powers[k], whole) for k in (0, power))
        varied = second > 0
        return select(varied, second, 1), last, varied


def _unless(valid: Array, value: Array) -> Array:
    return select(valid, value, jnp.nan)


def times(value: Array, *units: Array | None) -> Array:
    """Multiply by units one after another: the value may be at an end of its range."""
    for unit in units:
        value = value if unit is None else value * unit
    return value


@jax.custom_jvp
def root(x: Array) -> Array:
    """Return the square root, with slope 0 at 0: a constant's spread shrinks in no direction."""
    return lax.sqrt(lax.max(x, lax.full_like(x, 0)))


@root.defjvp
def _root_rule(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value, some = root(*primals), primals[0] > 0
    return value, select(some, tangents[0] / select(some, 2 * value, 1), 0)


def coefficient(mxx: Array, myy: Array, cxy: Array) -> Array:
    """Return cxy / √mxx / √myy in −1 … 1, ±1 where all three agree, nan of a constant.

    A product of two roots is in the range of what they are roots of. The value is clamped, its
    slope is not.
    """
    mxx, myy, cxy = jnp.broadcast_arrays(mxx, myy, cxy)
    varied = (mxx > 0) & (myy > 0)
    x, y = (root(select(varied, m, 1)) for m in (mxx, myy))
    raw = cxy / (x * y)
    one = lax.full_like(raw, 1)
    size = abs(cxy)
    value = select((size == mxx) & (size == myy), lax.sign(cxy), lax.clamp(-one, raw, one))
    value = raw + lax.stop_gradient(value - raw)
    return select(varied | (raw != raw), value, jnp.nan)


def complex_coefficient(xx: Array, yy: Array, xy: Array) -> Array:
    """Return xy / √xx / √yy of at most size 1, ±1 where all three agree, nan of a constant."""
    varied = (xx > 0) & (yy > 0)
    x, y = (root(jnp.where(varied, m, 1)) for m in (xx, yy))
    raw = lax.complex(xy.real / x / y, xy.imag / x / y)
    straight = jnp.minimum(jnp.abs(xy.real), jnp.abs(xy.imag)) == 0
    exact = straight & (jnp.maximum(jnp.abs(xy.real), jnp.abs(xy.imag)) == xx) & (xx == yy)
    size = jnp.abs(raw)
    size = jnp.where(size > 1, size * (1 + 2 * jnp.finfo(size.dtype).eps), 1)  # its rounding too
    clamped = lax.complex(raw.real / size, raw.imag / size)
    value = jnp.where(exact, lax.complex(jnp.sign(xy.real), jnp.sign(xy.imag)), clamped)
    return jnp.where(varied | jnp.isnan(jnp.abs(raw)), value, jnp.nan)
