"""Test a statistic of your own in ten lines: `laws` draw the data and show the smallest failure.

Here it is a winsorized deviation, which pulls outliers in before it measures the spread. The first
version is what one writes down, and it passes the usual test: standard normal data, compared with
NumPy. The laws say what is wrong with it, each with the smallest sample they found. The second
version keeps every law that one would want of a measure of spread. No knowledge of Hypothesis is
needed, and the ten lines go into any file that pytest collects.

    python examples/property_tests.py

Needs Hypothesis, which the extra `testing` brings.
"""

import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

try:
    from jfoundations.testing import checks, laws
except ModuleNotFoundError as error:
    sys.exit(f"missing {error.name}: pip install hypothesis")

Statistic = Callable[..., jax.Array]
LIMIT = 3.0  # deviations from the centre


def first_try(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
    """Return the deviation of data pulled in to within three deviations of their mean."""
    keep = jnp.ones(x.shape, bool) if where is None else where
    n = jnp.sum(keep)
    x = x * keep
    mean = jnp.sum(x) / n
    spread = jnp.sqrt(jnp.sum(x**2) / n - mean**2)
    pulled = jnp.clip(x, mean - LIMIT * spread, mean + LIMIT * spread) * keep
    return jnp.sqrt(jnp.sum(pulled**2) / n - (jnp.sum(pulled) / n) ** 2)


def winsorized_std(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
    """Return the same, of differences from one of the data, selected before they are computed."""
    keep = jnp.ones(x.shape, bool) if where is None else where
    pivot = x[jnp.argmax(keep)]
    d = jnp.where(keep, x, pivot) - pivot
    n = jnp.sum(keep)
    d = jnp.where(keep, d - jnp.sum(d) / n, 0)
    limit = LIMIT * root(jnp.sum(d**2) / n)
    d = jnp.where(keep, jnp.clip(d, -limit, limit), 0)
    return root(jnp.sum(jnp.where(keep, d - jnp.sum(d) / n, 0) ** 2) / n)


def root(x: jax.Array) -> jax.Array:
    """Return a square root whose derivative at 0 is 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0)


# The ten lines: a measure of spread, in units of its data, up to rounding.
def test_spread(f: Statistic = winsorized_std) -> None:
    laws.statistic(f, power=1, shift=0, lower=0, upper=half_range, exact=False, max_examples=100)


def test_transforms(f: Statistic = winsorized_std) -> None:
    x = jnp.array([[1.0, 2.0, 4.0, 18.0], [3.0, 3.0, 3.0, 3.0]])
    checks.assert_vmap_invariant(f, x, ulp=4)
    checks.assert_jit_invariant(f, x[0], ulp=4)
    checks.assert_grad_matches(f, x[1])


def half_range(x: jax.Array) -> jax.Array:
    return (jnp.max(x) - jnp.min(x)) / 2


def usual_test(f: Statistic) -> None:
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    centre, spread = np.mean(x), np.std(x)
    expected = np.std(np.clip(x, centre - LIMIT * spread, centre + LIMIT * spread))
    np.testing.assert_allclose(f(jnp.asarray(x)), expected, rtol=1e-5)


def verdict(test: Callable[[Statistic], None], f: Statistic) -> str:
    try:
        test(f)
    except AssertionError as failure:
        return f"fails\n\n{failure}\n"
    return "passes"


def main() -> None:
    verdicts = {}
    for f in (first_try, winsorized_std):
        for test in (usual_test, test_spread, test_transforms):
            name = f"{f.__name__}, {test.__name__}"
            verdicts[name] = verdict(test, f)
            print(f"{name}: {verdicts[name]}")
    failed = [name for name, said in verdicts.items() if said != "passes"]
    assert failed == ["first_try, test_spread", "first_try, test_transforms"]


if __name__ == "__main__":
    main()
