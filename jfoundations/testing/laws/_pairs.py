"""What covariance and correlation keep: of two samples, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax.typing import DTypeLike

from ..._core.types import PyTree
from ..strategies import arrays, condition, floats_with_offset, tolerance
from ._check import MAX_EXAMPLES, check
from ._failure import claim, law, same
from ._near import Statistic, moved_by, of_quarters, offsets, samples_of
from ._stats import times_power

PairStatistic = Callable[[jax.Array, jax.Array], Any]
SHAPES = ((2, 5), (2, 300))


@law
def var_is_cov(
    var: Statistic,
    cov: PairStatistic,
    samples: PyTree = None,
    *,
    dtype: DTypeLike | None = None,
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
        AssertionError: the law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> var_is_cov(stats.var, stats.cov, max_examples=5)
    """

    def var_is_cov_with_itself(x: jax.Array) -> None:
        same(var(x), jnp.real(cov(x, x)), what="var(x), and cov(x, x)")

    check(var_is_cov_with_itself, max_examples, x=samples_of(samples, dtype))


@law
def covariance(
    cov: PairStatistic,
    *,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a covariance to its laws.

    Exact: `cov(y, x)` is the conjugate of `cov(x, y)`, so of real data the same; `cov(-x, y) ==
    -cov(x, y)`; `cov(2**j * x, 2**k * y) == 2**(j + k) * cov(x, y)`; `cov(x + c, y) == cov(x, y)`
    where x + c is exact; `cov(x, x) >= 0`; a constant's is 0. To what rounding can do to this data:
    Cauchy and Schwarz, `|cov(x, y)|**2 <= cov(x, x) * cov(y, y)`.

    Args:
        cov: `(x, y) -> covariance`, with one denominator for all pairs of a length.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> covariance(stats.cov, max_examples=5)
    """

    def covariances(xy: jax.Array, j: int, k: int) -> None:
        x, y = xy
        c = cov(x, y)
        same(cov(y, x), jnp.conj(c), what="cov(y, x), and cov(x, y)")
        same(cov(-x, y), -c, what="cov(-x, y), and -cov(x, y)")
        far = cov(times_power(x, j), times_power(y, k))
        what = f"cov(2**{j} * x, 2**{k} * y), and 2**{j + k} * cov(x, y)"
        same(far, times_power(c, j + k), what=what)
        constant = jax.device_put(np.full(x.shape, np.asarray(x)[0]))
        same(cov(constant, y), jnp.zeros_like(c), what="cov of a constant and y, and 0")
        _cauchy_schwarz(cov, x, y, c)

    def translations(xy: jax.Array, c: complex) -> None:
        x, y = xy
        moved = moved_by(c, x)
        same(cov(moved, y), cov(x, y), what=f"cov(x + c, y), and cov(x, y), c = {c}")

    powers = st.integers(-6, 6)
    check(covariances, max_examples, xy=_pairs(dtype), j=powers, k=powers)
    check(translations, max_examples, xy=of_quarters(dtype, SHAPES), c=offsets(dtype))


def _cauchy_schwarz(cov: PairStatistic, x: jax.Array, y: jax.Array, c: jax.Array) -> None:
    vx, vy = (float(jnp.real(cov(a, a))) for a in (x, y))
    negative = "cov(x, x) or cov(y, y) is negative"
    claim(vx >= 0 and vy >= 0, negative, f"{vx} and {vy}", "at least 0")
    slack = 1 + 2 * tolerance(c.dtype, x.size, max(condition(x), condition(y)))
    most = np.sqrt(vx) * np.sqrt(vy) * slack
    wrong = f"|cov(x, y)| is above {most}, that of deviations"
    claim(not abs(complex(c)) > most, wrong, c, f"at most {most}")


def _pairs(dtype: DTypeLike | None) -> Any:
    return arrays(dtype, SHAPES) | floats_with_offset(dtype, SHAPES, largest=1e4)


@law
def correlation(
    corr: PairStatistic,
    *,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a correlation coefficient to its laws.

    Exact: `|corr(x, y)| ≤ 1`; `corr(x, x) == 1` where x is not constant;
    `corr(2**j * x, 2**k * y) == corr(x, y)`, also far out (2^±96 in float32);
    `corr(x + c, y) == corr(x, y)` where x + c is exact. To two units in the last place, for the two
    divisions: `corr(y, x)` is the conjugate of `corr(x, y)`.

    Args:
        corr: `(x, y) -> coefficient`.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> correlation(stats.corr, max_examples=5)
    """

    def correlations(xy: jax.Array, j: int, k: int) -> None:
        x, y = xy
        r = corr(x, y)
        claim(not bool(jnp.abs(r) > 1), "|corr(x, y)| > 1", r, "at most 1")
        same(corr(y, x), jnp.conj(r), ulp=2, what="corr(y, x), and corr(x, y)")
        if np.any(np.asarray(x) != np.asarray(x)[0]):
            same(corr(x, x), jnp.ones_like(r), what="corr(x, x), and 1")
        step = jnp.finfo(x.dtype).maxexp // 8
        far_x, far_y = times_power(x, j * step), times_power(y, k * step)
        what = f"corr(2**{j * step} * x, 2**{k * step} * y), and corr(x, y)"
        same(corr(far_x, far_y), r, what=what)

    def translations(xy: jax.Array, c: complex) -> None:
        x, y = xy
        moved = moved_by(c, x)
        same(corr(moved, y), corr(x, y), what=f"corr(x + c, y), and corr(x, y), c = {c}")

    powers = st.integers(-6, 6)
    check(correlations, max_examples, xy=_pairs(dtype), j=powers, k=powers)
    check(translations, max_examples, xy=of_quarters(dtype, SHAPES), c=offsets(dtype))
