"""Diagnostics of arrays beside arviz: its own example data, and drawn AR(1) chains."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

from jfoundations import diagnostics

pytestmark = pytest.mark.usefixtures("x64")

ESS = {
    **{kind: {} for kind in ("bulk", "tail", "mean", "sd", "median", "mad", "folded", "identity")},
    "quantile": {"prob": 0.1},
    "local": {"prob": (0.25, 0.75)},
}
RHAT = dict.fromkeys(("rank", "split", "folded", "z_scale", "identity"), {})
MCSE = {"mean": {}, "sd": {}, "median": {}, "quantile": {"prob": 0.9}}
CASES = [
    *(("ess", kind, words) for kind, words in ESS.items()),
    *(("rhat", kind, words) for kind, words in RHAT.items()),
    *(("mcse", kind, words) for kind, words in MCSE.items()),
]


EDGES = [
    *(("ess", kind) for kind in ("bulk", "tail", "mean", "folded")),
    *(("rhat", kind) for kind in ("rank", "split")),
    *(("mcse", kind) for kind in ("mean", "sd", "median")),
]


@pytest.fixture(scope="module")
def arviz():
    """Import arviz, which warns, and let it run without numba, with which newer NumPys break it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        az = pytest.importorskip("arviz")
    flag, az.Numba.numba_flag = az.Numba.numba_flag, False
    yield az
    az.Numba.numba_flag = flag


def ar1(rho, chains, draws, rng):
    x = rng.normal(size=(chains, draws))
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x


@pytest.fixture(scope="module")
def draws(arviz):
    """Return the two data sets that arviz carries, and AR(1) chains, as parameters of 4 × 500."""
    rng = np.random.default_rng(0)
    found = [ar1(rho, 4, 500, rng) for rho in (-0.5, 0.0, 0.5, 0.95)]
    for name in ("centered_eight", "non_centered_eight"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            posterior = arviz.load_arviz_data(name).posterior
        for values in posterior.values():
            found += list(np.moveaxis(values.values.reshape(4, 500, -1), 2, 0))
    assert len(found) == 4 + 10 + 18
    return np.stack(found, axis=2)


def theirs(arviz, name, x, kind, **words):
    function = getattr(arviz, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = np.moveaxis(x, 2, 0)
        return np.array([function(part, method=kind, **words) for part in parts])


@pytest.mark.parametrize(("name", "kind", "words"), CASES)
def test_values(arviz, draws, name, kind, words):
    found = getattr(diagnostics, name)(draws, kind=kind, **words)
    assert found.shape == (32,) and found.dtype == np.float64
    right = theirs(arviz, name, draws, kind, **words)
    np.testing.assert_allclose(found, right, rtol=1e-12)  # 1e-6 is what is promised


@pytest.mark.parametrize(("name", "kind"), [("ess", "bulk"), ("ess", "mean"), ("rhat", "rank")])
def test_values_in_float32(arviz, draws, name, kind):
    x = draws.astype(np.float32)
    found = getattr(diagnostics, name)(x, kind=kind)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, theirs(arviz, name, x, kind), rtol=2e-4)


def test_autocovariance(arviz, draws):
    found, right = diagnostics.autocov(draws), arviz.autocov(draws, axis=1)
    spread = right[:, :1]
    np.testing.assert_allclose(found / spread, right / spread, atol=1e-13)
    ratio = arviz.stats.stats_utils.autocorr(draws, axis=1)
    np.testing.assert_allclose(diagnostics.autocorr(draws), ratio, atol=1e-13)
    single = np.asarray(diagnostics.autocov(np.float32(draws)))
    np.testing.assert_allclose(single / spread, right / spread, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 7), (1, 4)])
@pytest.mark.parametrize(
    ("name", "kind"), [("ess", "bulk"), ("ess", "identity"), ("mcse", "mean"), ("rhat", "rank")]
)
def test_few_draws_and_chains(arviz, shape, name, kind):
    """Odd numbers, whose middle draw is in neither half; and a single chain."""
    x = np.random.default_rng(sum(shape)).normal(size=(*shape, 2))
    found = getattr(diagnostics, name)(x, kind=kind)
    np.testing.assert_allclose(found, theirs(arviz, name, x, kind), rtol=1e-12)


def edge(name):
    x = np.random.default_rng(3).normal(size=(2, 8))
    if name == "constant":
        return np.full((2, 8), 0.1)
    if name == "constant chains":
        return np.broadcast_to([[0.1], [0.7]], (2, 8))
    if name == "two values":
        return np.sign(x)
    if name == "nan":
        x[1, 3] = np.nan
    return x[:, :3] if name == "short" else x


@pytest.mark.parametrize("case", ["constant", "constant chains", "two values", "nan", "short"])
def test_edges(arviz, case):
    x = edge(case)
    for name, kind in EDGES:
        if case == "two values" and kind in ("tail", "median"):
            continue  # draws are tied at the cut, which theirs is rounded to one side of
        found = getattr(diagnostics, name)(x, kind=kind)
        right = theirs(arviz, name, x[:, :, None], kind)[0]
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-9, err_msg=f"{name} {kind}")


def test_what_is_not_a_number_has_a_reason():
    """The table of what is nan, and what is not, as the docstrings have it."""
    constant, apart = edge("constant"), edge("constant chains")
    assert np.isnan(diagnostics.rhat(constant)) and np.isinf(diagnostics.rhat(apart, kind="split"))
    assert diagnostics.ess(constant) == 16 and diagnostics.mcse(constant) == 0
    assert np.isnan(diagnostics.mcse(constant, kind="sd"))
    for bad in (edge("nan"), edge("short")):
        for name in ("ess", "rhat", "mcse"):
            assert np.isnan(getattr(diagnostics, name)(bad))
    assert np.isnan(diagnostics.rhat(edge("plain")[:1])) and diagnostics.ess(edge("plain")[:1]) > 0
    assert jnp.isnan(diagnostics.autocov(edge("nan"))[1]).all()
    assert jnp.isnan(diagnostics.autocorr(constant)).all()
    assert not diagnostics.autocov(constant).any() and not diagnostics.autocov(apart).any()
