"""A histogram over the leading bits of numbers: every quantile of a stream, to 2**-8 of its value.

Numbers become keys in their order (see `stats._keys`), and are counted by sign, exponent and eight
bits of the mantissa. Numbers of 16 bits are counted whole, so of them it is exact.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> sketch = jf.fold(jf.folds.sketch(), jnp.array([1.0, 2.0, 4.0, 18.0]))
>>> int(sketch.count), abs(float(sketch.quantile(1.0)) - 18.0) <= 18 * 2**-8
(4, True)

Source: Masson, Rim and Lee (2019), "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", with bins by bits rather than by logarithms.
"""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from .._core.pytrees import pytree, static
from .._kernels.numbers.counts import Count
from .._kernels.numbers.sortable_bits import decode, encode
from .._kernels.order.counting import add, in_blocks
from .._kernels.order.quantiles import between, settled
from .._kernels.sample.arguments import accumulator
from ._words import Words

KEPT = 8  # bits of the mantissa


def carrier(dtype: DTypeLike) -> Any:
    """Return the dtype that is counted: 32-bit integers, whose bits are no exponents, as floats."""
    dtype = np.dtype(dtype)
    if dtype.itemsize > 2 and not jnp.issubdtype(dtype, jnp.floating):
        return np.dtype(jnp.result_type(float))
    return dtype


def dropped_bits(dtype: Any) -> int:
    """Return how many bits of a key are not looked at."""
    dtype = carrier(dtype)
    return 0 if dtype.itemsize <= 2 else jnp.finfo(dtype).nmant - KEPT


def keys_of(x: jax.Array) -> jax.Array:
    """Return keys in the order of the numbers."""
    return encode(x.astype(carrier(x.dtype)))


@pytree
class Sketch:
    """How many elements there are of each leading bits: what `folds.sketch` answers.

    Attributes:
        bins: counts, of the shape (..., bins), the elements' shape first; the last bin holds nan.
        dtype: the elements' dtype.
        nan: "propagate" or "omit".
    """

    bins: Count
    dtype: Any = static()
    nan: str = static()

    @property
    def count(self) -> jax.Array | Count:
        """How many elements there are: int64 under x64, else a `stats.Count`."""
        return self._size().answer()

    def quantile(self, q: Any) -> jax.Array:
        """Return quantiles, each of the two order statistics to 2**-9 of its value.

        Args:
            q: probabilities, a scalar or of shape (m,).

        Returns:
            Floats of q's shape and then an element's; nan of nothing and for q outside [0, 1].
        """
        return _quantile(self, jnp.asarray(q, accumulator(carrier(self.dtype))))

    def places(self, q: jax.Array) -> "Places":
        """Return where the order statistics are whose mean a quantile is.

        Args:
            q: of shape (m,).
        """
        shape = (len(q), *self.bins.low.shape[:-1])
        known = _rows(jax.tree.map(lambda v: v[..., :-1], self.bins))
        size = _rows(jax.tree.map(lambda v: v[..., None], self._size()))
        spoilt = jnp.zeros(shape[1:], bool)
        if self.nan == "propagate":
            spoilt = (self.bins.high[..., -1] | self.bins.low[..., -1]) != 0
        inside = ((q >= 0) & (q <= 1)).reshape(-1, *(1,) * (len(shape) - 1))
        safe = jnp.where((q >= 0) & (q <= 1), q, 0)
        low, high, part = jax.vmap(lambda p: _ranks(p, jax.tree.map(lambda v: v[:, 0], size)))(safe)
        through = _cumulative(known)
        find = jax.vmap(jax.vmap(_find), in_axes=(None, 0))
        ends = jax.tree.map(lambda a, b: jnp.stack([a, b]), find(through, low), find(through, high))
        places, ranks = jax.tree.map(lambda v: v.reshape(2, *shape), ends)
        good = (self._size().positive() & ~spoilt)[None] & inside
        return Places(places, ranks, part.reshape(shape), good)

    def _size(self) -> Count:
        return jax.tree.map(lambda v: v[..., :-1], self.bins).sum(self.bins.low.ndim - 1)

    def middle(self, place: jax.Array) -> jax.Array:
        """Return the number in the middle of a bin; of bins that hold an infinity, that."""
        dtype, drop = carrier(self.dtype), dropped_bits(self.dtype)
        first = lowest_key(place, self.dtype)
        if not drop:
            return decode(first, dtype)
        inner = [np.array(k, first.dtype) for k in (0, 1 << drop >> 1, (1 << drop) - 1)]
        low, middle, high = (decode(first | k, dtype) for k in inner)
        for end in (low, high):
            middle = jnp.where(jnp.isinf(end), end, middle)
        return jnp.where(jnp.abs(middle) < jnp.finfo(dtype).smallest_normal, 0, middle)


@pytree
class Places:
    """Where two order statistics are, and how they are joined.

    Attributes:
        bins: the bins of the lower and the upper one, of shape (2, m, ...).
        ranks: their ranks among the elements of their bins.
        part: the share of the upper one, of shape (m, ...).
        good: whether there is an answer at all.
    """

    bins: jax.Array
    ranks: Count
    part: jax.Array
    good: jax.Array

    def answer(self, values: jax.Array) -> jax.Array:
        """Return the quantiles, given the numbers of shape (2, m, ...)."""
        dtype = accumulator(values.dtype)
        low, high = values.astype(dtype)
        return jnp.where(self.good, between(low, high, self.part.astype(dtype)), jnp.nan)


def bins_of(dtype: DTypeLike) -> int:
    """Return how many bins there are, without that of nan."""
    return 1 << (max(16, 8 * carrier(dtype).itemsize) - dropped_bits(dtype))


def bin_of(x: jax.Array) -> jax.Array:
    """Return each number's bin; that of nan is the last."""
    keys = keys_of(x)
    index = (keys >> np.array(dropped_bits(x.dtype), keys.dtype)).astype(jnp.int32)
    return jnp.where(x != x, bins_of(x.dtype), index)


def lowest_key(place: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Return the first key of a bin."""
    keys = np.dtype(f"uint{max(16, 8 * carrier(dtype).itemsize)}")
    return place.astype(keys) << np.array(dropped_bits(dtype), keys)


def counted(index: jax.Array, bins: int) -> Count:
    """Count indices of shape (n, ...) into (..., bins); those from bins on are left out."""
    shape = index.shape[1:]
    rows = index.reshape(len(index), prod(shape)).T
    # no compiler can tell that it holds zeros: what follows from those alone takes minutes to fold
    start = lax.optimization_barrier(jnp.zeros(bins, jnp.int32))

    def count(row: jax.Array) -> jax.Array:
        return in_blocks(add, start, row)

    found = jax.vmap(count)(rows) if shape else count(rows[0])
    return Count.from_array(found.reshape(*shape, bins))


@jax.jit
def _quantile(sketch: Sketch, q: jax.Array) -> jax.Array:
    found = sketch.places(jnp.atleast_1d(q))
    value = found.answer(sketch.middle(found.bins))
    return value.reshape(*q.shape, *value.shape[1:])


def _rows(count: Count) -> Count:
    return jax.tree.map(lambda v: v.reshape(-1, v.shape[-1]), count)


def _cumulative(bins: Count) -> Count:
    # in digits of 11 bits, of which even 2**18 sums do not overflow 32; then the carries
    low = bins.low
    digits = low & np.uint32(0x7FF), (low >> 11) & np.uint32(0x7FF), low >> 22, bins.high
    first, second, third, high = (jnp.cumsum(d, axis=1, dtype=np.uint32) for d in digits)
    second = second + (first >> 11)
    third = third + (second >> 11)
    low = (first & np.uint32(0x7FF)) | (second & np.uint32(0x7FF)) << 11 | third << 22
    return Count(high + (third >> 10), low)


def _find(through: Count, rank: Count) -> tuple[jax.Array, Count]:
    """Return the first bin whose cumulative count is above a rank, and the rank within it."""
    above = (rank.high < through.high) | ((rank.high == through.high) & (rank.low < through.low))
    place = jnp.argmax(above).astype(jnp.int32)
    before = jnp.maximum(place - 1, 0)
    start = jax.tree.map(lambda v: jnp.where(place > 0, v[before], 0), through)
    return place, _minus(rank, start)


def find_all(bins: Count, ranks: Count) -> jax.Array:
    """Return for each row of counts (..., bins) the bin in which a rank (...) lies."""
    shape = ranks.low.shape
    through = _cumulative(_rows(bins))
    found, _ = jax.vmap(_find)(through, jax.tree.map(jnp.ravel, ranks))
    return found.reshape(shape)


def _ranks(q: jax.Array, size: Count) -> tuple[Count, Count, jax.Array]:
    """Return the whole part of q·(n - 1), the next whole number, and the share of that one."""
    one = jax.tree.map(lambda n: jnp.broadcast_to(n, size.low.shape), Count.of(1))
    some = size.positive()
    last = jax.tree.map(lambda n: jnp.where(some, n, 0), _minus(size, one))
    product = Words.of(jnp.broadcast_to(q, some.shape)) * Words.of_count(last, q.dtype)
    whole = jnp.floor(product.high)
    part = (product.high - whole) + product.low
    carry = jnp.floor(part)
    rank = _minus(_whole(whole) + _whole(jnp.maximum(carry, 0)), _whole(jnp.maximum(-carry, 0)))
    near, part = settled(part - carry, product.high)
    rank = rank + jax.tree.map(lambda n: jnp.where(near, n, 0), one)
    step = jax.tree.map(lambda n: jnp.where(part > 0, n, 0), one)
    return rank, rank + step, part


def _whole(x: jax.Array) -> Count:
    high = jnp.floor(x * 2.0**-32)
    return Count(high.astype(np.uint32), (x - high * 2.0**32).astype(np.uint32))


def _minus(a: Count, b: Count) -> Count:
    low = a.low - b.low
    return Count(a.high - b.high - (a.low < b.low).astype(np.uint32), low)
