"""What a statistic of one sample makes of constants, translations and powers of two: exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from jax.typing import ArrayLike, DTypeLike

from ..._core.types import PyTree
from ..strategies import arrays, floats_with_offset, strategy_of
from ._check import MAX_EXAMPLES, check
from ._failure import law, same
from ._near import BUCKETS, LENGTHS, Statistic, dtype_of, moved_by, near, of_quarters, offsets


@law
def constant(
    f: Statistic,
    value: Callable[[jax.Array], ArrayLike] | None = None,
    *,
    least: int = 1,
    rtol: float = 0.0,
    dtype: DTypeLike | None = None,
    max_examples: int = 60,
) -> None:
    """Hold a measure of spread to being exactly 0 on constants.

    Args:
        f: `x -> spread`.
        value: `c -> what f makes of a constant c` in another's place (the mean's is c itself).
        least: of how many elements f is a number: 2 for an unbiased variance.
        rtol: how far it may be off, relative to the larger.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> constant(stats.std, max_examples=5)
    >>> constant(stats.mean, lambda c: c, max_examples=5)
    """

    def constants_have_no_spread(c: jax.Array, n: int) -> None:
        answer = f(jax.device_put(np.full((n,), np.asarray(c))))
        expected = jnp.zeros_like(answer) if value is None else value(c)
        what = f"f of {n} times {c!r}, and what it must be"
        same(answer, expected, rtol=rtol, what=what)

    lengths = st.sampled_from([n for n in LENGTHS if n >= least])
    check(constants_have_no_spread, max_examples, c=arrays(dtype, ()), n=lengths)


@law
def translation(
    f: Statistic,
    *,
    shift: int = 0,
    rtol: float | None = 0.0,
    power: int = 1,
    plain: bool = False,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a measure of spread to `f(x + c) == f(x)` where x + c is exact.

    Args:
        f: `x -> spread`.
        shift: 1 for a measure of location, held to `f(x + c)` and `f(x) + c` being a few roundings
            apart, for this sum is rounded itself.
        rtol: how far they may differ, relative to the larger; None for what rounding can do to
            this data, see `strategies.tolerance`.
        power: of a plain measure of spread, 2 for a variance.
        plain: as in `permutation`; it needs `rtol=None`.
        dtype: of the samples, real or complex floats; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> translation(stats.mean_abs_dev, max_examples=5)
    >>> translation(stats.median, shift=1, max_examples=5)
    """
    kind = dtype_of(dtype)
    if shift and rtol == 0:
        rtol = 2 * float(jnp.finfo(kind).eps)

    def translations_come_out(x: jax.Array, c: complex) -> None:
        moved = moved_by(c, x)
        assume(bool(np.all(np.asarray(moved_by(-c, moved)) == np.asarray(x))))
        before = f(x)
        what = f"f(x + c) is not f(x), c = {c}"
        if shift:
            what = f"f(x + c) is not f(x) + c, c = {c}"
            before = jax.tree.map(lambda y: y + jnp.asarray(_as(shift * c, y)), before)
        # of spread, what rounding can do is relative to the spread itself
        kinds = {"power": power, "shift": shift, "plain": plain}
        near(f(moved), before, moved, rtol=rtol, what=what, **kinds)

    check(translations_come_out, max_examples, x=of_quarters(dtype, BUCKETS), c=offsets(dtype))


def _as(c: complex, y: jax.Array) -> np.ndarray:
    # of complex data a real answer moves by the real part
    return np.asarray(c if jnp.iscomplexobj(y) else c.real).astype(y.dtype)


@law
def scale(
    f: Statistic,
    *,
    power: int,
    rtol: float = 0.0,
    samples: PyTree = None,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a statistic to `f(2**k * x) == 2**(k * power) * f(x)`, which rounds nowhere.

    Args:
        f: `x -> statistic`.
        power: 1 for a mean or a deviation, 2 for a variance, 0 for a pure number.
        rtol: how far they may differ, relative to the larger.
        samples: an array or a strategy of arrays of moderate size; by default well- and
            ill-conditioned floats.
        dtype: of the default samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> scale(stats.var, power=2, max_examples=5)
    """

    def powers_of_two_come_out(x: jax.Array, k: int) -> None:
        k = k * max(1, jnp.finfo(x.dtype).maxexp // 64)
        before, after = f(x), f(times_power(x, k))
        expected = jax.tree.map(lambda y: times_power(y, k * power), before)
        what = f"f(2**{k} * x), and 2**{k * power} * f(x)"
        same(after, expected, rtol=rtol, what=what)

    moderate = arrays(dtype, BUCKETS) | floats_with_offset(dtype, BUCKETS, largest=1e4)
    given = moderate if samples is None else strategy_of(samples)
    check(powers_of_two_come_out, max_examples, x=given, k=st.integers(-8, 8))


def times_power(x: jax.Array, k: int) -> jax.Array:
    """Return x·2ᵏ; where that over- or underflows, and so is not exact, draw anew."""
    info = jnp.finfo(x.dtype)
    parts: Any = np.asarray(x)
    parts = np.stack([parts.real, parts.imag]) if np.iscomplexobj(parts) else parts[None]
    wide = np.ldexp(parts.astype(np.float64), k)
    size = np.abs(wide[np.isfinite(wide) & (wide != 0)])
    least, most = float(info.smallest_normal), float(info.max)
    assume(not size.size or (size.min() >= least and size.max() <= most))
    narrow = wide.astype(info.dtype)
    if len(narrow) == 1:
        return jax.device_put(narrow[0])
    found = np.empty(x.shape, x.dtype)  # a sum would make nan of inf
    found.real, found.imag = narrow
    return jax.device_put(found)
