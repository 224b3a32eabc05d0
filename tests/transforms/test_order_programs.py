"""How large the programs of order statistics are: characters, the same on every machine."""

import jax
import jax.numpy as jnp
import pytest

from jfoundations import stats

N = 2**20
X = jax.ShapeDtypeStruct((N,), jnp.float32)
ROWS = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
Q = jnp.asarray([0.1, 0.5, 0.9], jnp.float32)
MOST = {
    "median": (stats.median, 21_500),
    "iqr": (stats.iqr, 22_000),
    "quantile": (lambda x: stats.quantile(x, Q), 28_000),
    "quantile hazen": (lambda x: stats.quantile(x, Q, method="hazen"), 30_000),
    "median_abs_dev": (stats.median_abs_dev, 24_000),
    "trim_mean": (lambda x: stats.trim_mean(x, 0.1), 30_000),
    "rank_corr": (lambda x: stats.rank_corr(x, jnp.flip(x)), 28_000),
    "histogram": (lambda x: stats.histogram(x, 64), 26_000),
}


@pytest.mark.parametrize("name", MOST)
def test_programs_are_small(name):
    function, most = MOST[name]
    assert len(jax.jit(function).lower(X).as_text()) <= most


def test_rows_and_lengths():
    assert len(jax.jit(lambda x: stats.median(x, axis=1)).lower(ROWS).as_text()) <= 11_000
    longer = jax.ShapeDtypeStruct((2**24,), jnp.float32)
    texts = [len(jax.jit(stats.median).lower(x).as_text()) for x in (X, longer)]
    assert texts[1] <= 1.05 * texts[0]


@pytest.mark.parametrize("name", ["median", "trim_mean", "histogram", "rank_corr"])
@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_accelerators_sort(name, platform):
    function, most = MOST[name]
    text = jax.jit(function).trace(X).lower(lowering_platforms=(platform,)).as_text()
    assert len(text) <= most and "u64" not in text and "ui64" not in text
    assert name == "histogram" or "stablehlo.sort" in text
