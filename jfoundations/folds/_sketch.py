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
from .._core.rounding import protect
from .._kernels.numbers.counts import Count
from .._kernels.numbers.sortable_bits import decode, encode
from .._kernels.order.counting import add, in_blocks
from .._kernels.order.quantiles import between, halves, settled
from .._kernels.sample.arguments import accumulator

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
        shape, total = (len(q), *self.bins.low.shape[:-1]), self._size()
        known = _rows(jax.tree.map(lambda v: v[..., :-1], self.bins))
        size = _rows(jax.tree.map(lambda v: v[..., None], total))
        inside = (q >= 0) & (q <= 1)
        low, high, part = _ranks(jnp.where(inside, q, 0), size)
        ends = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), low, high)
        places, ranks = jax.tree.map(lambda v: v.reshape(2, *shape), _find(known, ends))
        good = total.positive()
        if self.nan == "propagate":
            good = good & ((self.bins.high[..., -1] | self.bins.low[..., -1]) == 0)
        good = good[None] & inside.reshape(-1, *(1,) * (len(shape) - 1))
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
    shifts, eleven = np.array([0, 11, 22], np.uint32)[:, None, None], np.uint32(0x7FF)
    digits = jnp.concatenate([(bins.low[None] >> shifts) & eleven, bins.high[None]])
    first, second, third, high = jnp.cumsum(digits, axis=2, dtype=np.uint32)
    second = second + (first >> 11)
    third = third + (second >> 11)
    low = (first & eleven) | (second & eleven) << 11 | third << 22
    return Count(high + (third >> 10), low)


def _find(bins: Count, ranks: Count) -> tuple[jax.Array, Count]:
    """Return the bins that ranks lie in, and the ranks within them.

    Args:
        bins: of shape (rows, bins).
        ranks: of shape (m, rows).
    """
    through = _cumulative(bins)
    low, high = ranks.low[..., None], ranks.high[..., None]
    passed = (through.high[None] < high) | (
        (through.high[None] == high) & (through.low[None] <= low)
    )
    place = jnp.sum(passed, axis=-1, dtype=np.uint32)

    def before(word: jax.Array) -> jax.Array:
        word = jnp.pad(word, ((0, 0), (1, 0)))
        return jnp.take_along_axis(word, place.T, axis=1, mode="clip").T

    rest = _minus(ranks, jax.tree.map(before, through))
    return jnp.minimum(place.astype(np.int32), bins.low.shape[1] - 1), rest


def find_all(bins: Count, ranks: Count) -> jax.Array:
    """Return for each row of counts (..., bins) the bin in which a rank (...) lies."""
    found, _ = _find(_rows(bins), jax.tree.map(lambda v: v.reshape(1, -1), ranks))
    return found.reshape(ranks.low.shape)


def _ranks(q: jax.Array, size: Count) -> tuple[Count, Count, jax.Array]:
    """Return the whole part of q·(n - 1), the next whole number, and the share of that one.

    Args:
        q: of shape (m,).
        size: n, of shape (rows, 1).

    Returns:
        Each of shape (m, rows).
    """
    size = jax.tree.map(lambda v: v[:, 0], size)
    last = _minus(size, Count.from_array(size.positive()))
    if q.dtype == np.float64:
        products = protect(q[:, None] * last.astype(q.dtype)[None])[None]
    else:  # of 12 and of at most 12 bits: exact
        masks = np.array([0xFFF, 0xFFF000, 0xFF000000], np.uint32)[:, None]
        low, high = ((word[None] & masks).astype(q.dtype) for word in (last.low, last.high))
        pieces = jnp.concatenate([low, high * 2.0**32])
        products = halves(q[:, None])[:, None] * pieces[None, :, None]
        products = products.reshape(-1, *products.shape[2:])
    wholes = jnp.floor(products)
    part = jnp.sum(products - wholes, axis=0)
    wholes = jnp.concatenate([wholes, jnp.floor(part)[None]])
    high = jnp.floor(wholes * 2.0**-32)
    rank = Count(high.astype(np.uint32), (wholes - high * 2.0**32).astype(np.uint32)).sum(0)
    near, part = settled(part - wholes[-1], rank.astype(q.dtype))
    rank = rank + Count.from_array(near)
    return rank, rank + Count.from_array(part > 0), part


def _minus(a: Count, b: Count) -> Count:
    low = a.low - b.low
    return Count(a.high - b.high - (a.low < b.low).astype(np.uint32), low)
