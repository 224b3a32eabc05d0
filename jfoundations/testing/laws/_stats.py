"""What the statistics keep exactly: `==`, not nearly."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ..checks import assert_same
from ..strategies import arrays, floats_with_offset, ill_conditioned, strategy_of
from ._check import MAX_EXAMPLES, check

Statistic = Callable[[jax.Array], Any]
LENGTHS = (5, 1, 300)
BUCKETS = tuple((n,) for n in LENGTHS)


def _samples(samples: Any, dtype: Any) -> Any:
    if samples is not None:
        return strategy_of(samples)
    return (
        arrays(dtype, BUCKETS)
        | ill_conditioned(dtype, LENGTHS)
        | floats_with_offset(dtype, BUCKETS)
    )


def var_is_cov(
    var: Statistic,
    cov: Callable[[jax.Array, jax.Array], Any],
    samples: Any = None,
    *,
    dtype: Any = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a variance to being the covariance of a thing with itself: `var(x) == cov(x, x)`.

    Exact for real data; for complex data the covariance's real part.

    Args:
        var: `x -> variance`.
        cov: `(x, y) -> covariance`.
        samples: an array or a strategy of arrays; by default well- and ill-conditioned floats.
        dtype: of the default samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the counter-example is in its notes.

    >>> from jfoundations import stats
    >>> var_is_cov(stats.var, stats.cov, max_examples=5)
    """

    def var_is_cov_with_itself(x: jax.Array) -> None:
        assert_same(var(x), jnp.real(cov(x, x)), what="var(x), and cov(x, x)")

    check(var_is_cov_with_itself, max_examples, x=_samples(samples, dtype))


def constant(
    f: Statistic,
    value: Callable[[jax.Array], Any] | None = None,
    *,
    dtype: Any = None,
    max_examples: int = 60,
) -> None:
    """Hold a measure of spread to being exactly 0 on constants.

    Args:
        f: `x -> spread`.
        value: `c -> what f makes of a constant c` in another's place (the mean's is c itself).
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the counter-example is in its notes.

    >>> from jfoundations import stats
    >>> constant(stats.std, max_examples=5)
    >>> constant(stats.mean, lambda c: c, max_examples=5)
    """

    def constants_have_no_spread(c: jax.Array, n: int) -> None:
        answer = f(jnp.full((n,), c))
        expected = jnp.zeros_like(answer) if value is None else value(c)
        assert_same(answer, expected, what=f"f of {n} times {c!r}, and what it must be")

    constants = arrays(dtype, ())
    check(constants_have_no_spread, max_examples, c=constants, n=st.sampled_from(LENGTHS))


def translation(f: Statistic, *, dtype: Any = None, max_examples: int = MAX_EXAMPLES) -> None:
    """Hold a measure of spread to `f(x + c) == f(x)` where x + c is exact.

    Args:
        f: `x -> spread`.
        dtype: of the samples, a floating dtype; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the counter-example is in its notes.

    >>> from jfoundations import stats
    >>> translation(stats.mean_abs_dev, max_examples=5)
    """
    kind = np.dtype(jnp.result_type(float) if dtype is None else dtype)
    bits = jnp.finfo(kind).nmant

    def translations_change_nothing(x: jax.Array, c: int) -> None:
        moved = x + jnp.asarray(c, kind)
        assume(bool(jnp.all(moved - jnp.asarray(c, kind) == x)))
        assert_same(f(moved), f(x), what=f"f(x + c) is not f(x), c = {c}")

    # x are multiples of 1/4 below 2, so that x + c is exact while |c| < 2**(bits - 2)
    quarters = arrays(kind, BUCKETS, elements=st.integers(-7, 7).map(lambda k: k / 4))
    offsets = st.integers(-(2 ** (bits - 3)), 2 ** (bits - 3))
    check(translations_change_nothing, max_examples, x=quarters, c=offsets)


def scale(
    f: Statistic,
    *,
    power: int,
    samples: Any = None,
    dtype: Any = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a statistic to `f(2**k * x) == 2**(k * power) * f(x)`, which rounds nowhere.

    Args:
        f: `x -> statistic`.
        power: 1 for a mean or a deviation, 2 for a variance, 0 for a pure number.
        samples: an array or a strategy of arrays of moderate size; by default well- and
            ill-conditioned floats.
        dtype: of the default samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the counter-example is in its notes.

    >>> from jfoundations import stats
    >>> scale(stats.var, power=2, max_examples=5)
    """

    def powers_of_two_come_out(x: jax.Array, k: int) -> None:
        k = k * max(1, jnp.finfo(x.dtype).maxexp // 64)
        before, after = f(x), f(_times_power(x, k))
        expected = _times_power(before, k * power)
        assert_same(after, expected, what=f"f(2**{k} * x), and 2**{k * power} * f(x)")

    moderate = arrays(dtype, BUCKETS) | floats_with_offset(dtype, BUCKETS, largest=1e4)
    given = moderate if samples is None else strategy_of(samples)
    check(powers_of_two_come_out, max_examples, x=given, k=st.integers(-8, 8))


def _times_power(x: jax.Array, k: int) -> jax.Array:
    """Return x·2ᵏ; where that over- or underflows, and so is not exact, draw anew."""
    info = jnp.finfo(x.dtype)
    wide = np.ldexp(np.asarray(x).astype(np.float64), k)
    size = np.abs(wide[np.isfinite(wide) & (wide != 0)])
    least, most = float(info.smallest_normal), float(info.max)
    assume(not size.size or (size.min() >= least and size.max() <= most))
    return jnp.asarray(wide.astype(x.dtype))


def correlation(
    corr: Callable[[jax.Array, jax.Array], Any],
    *,
    dtype: Any = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a correlation coefficient to its laws.

    Exact: `|corr(x, y)| ≤ 1`; `corr(x, x) == 1` where x is not constant;
    `corr(2**j * x, 2**k * y) == corr(x, y)`, also far out (2^±96 in float32). To two units in the
    last place, for the two divisions: `corr(x, y)` and `corr(y, x)`.

    Args:
        corr: `(x, y) -> coefficient`.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the counter-example is in its notes.

    >>> from jfoundations import stats
    >>> correlation(stats.corr, max_examples=5)
    """
    lengths = (5, 300)
    pairs = arrays(dtype, tuple((2, n) for n in lengths)) | floats_with_offset(
        dtype, tuple((2, n) for n in lengths), largest=1e4
    )

    def correlations(xy: jax.Array, j: int, k: int) -> None:
        x, y = xy
        r = corr(x, y)
        assert not bool(jnp.abs(r) > 1), f"|corr(x, y)| > 1: it is {r!r}"
        assert_same(corr(y, x), r, ulp=2, what="corr(y, x), and corr(x, y)")
        if bool(jnp.any(x != x[0])):
            assert_same(corr(x, x), jnp.ones_like(r), what="corr(x, x), and 1")
        step = jnp.finfo(x.dtype).maxexp // 8
        far_x, far_y = _times_power(x, j * step), _times_power(y, k * step)
        what = f"corr(2**{j * step} * x, 2**{k * step} * y), and corr(x, y)"
        assert_same(corr(far_x, far_y), r, what=what)

    powers = st.integers(-6, 6)
    check(correlations, max_examples, xy=pairs, j=powers, k=powers)
