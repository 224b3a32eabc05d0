"""Every public fold with 64-bit types: in three chunks, what the statistic is of the whole."""

import functools

import chain_oracles
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_statistics import exact, fractions, quantile
from helpers import assert_same, lane
from public_cases import COMBINED, FOLDS, MAKERS, elements, of_fold, options_of
from x64_cases import EPS, N, close, draw, leaves, whole

import jfoundations as jf
from jfoundations import folds, stats

pytestmark = pytest.mark.usefixtures("x64")

each = pytest.mark.parametrize("name", sorted(FOLDS))
STATISTIC = {"grouped": "segment_var", "window": "var", "buckets": "var"}
# of the newest five buckets of four elements
LATEST = {"window": 20, "buckets": (N - 1) % 4 + 17}
WITHIN = {"iqr", "median", "quantile", "sketch"}  # within 2**-8, if that is asked for
REDUCED = {
    "all": np.all,
    "any": np.any,
    "argmax": np.argmax,
    "argmin": np.argmin,
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
    "logsumexp": lambda x: np.logaddexp.reduce(np.float64(x)),
    "product": lambda x: np.inf if x[0] > 2**60 else np.prod(np.float64(x)),
    "top_k": lambda x: np.sort(x)[::-1][:2],
}
REDUCED |= {
    "autocov": lambda x: chain_oracles.autocov(x, 3),
    "ess": lambda x: chain_oracles.ess(x.reshape(-1, 4)),
    "mcse": lambda x: chain_oracles.mcse(x.reshape(-1, 4)),
    "rhat": lambda x: chain_oracles.rhat(x.reshape(-1, 4)),
}
NEAR = WITHIN | {"distinct"}  # whose test is `tests/folds/test_distinct.py`
PLACES = {"all", "any", "argmax", "argmin"}
NO_GRADIENT = NEAR | PLACES | {"count", "histogram", "grouped", *LATEST}  # of parts it is `var`'s
WEIGHTED = {k for k in FOLDS if "weights" in options_of(getattr(folds, k))}
WEIGHTED = sorted((WEIGHTED | {"grouped", *LATEST}) - {"sample"})  # where they are chances


@functools.cache
def made(name, **options):
    return MAKERS[name](**options)


def chunks(data):
    """Cut data into three chunks of one length."""
    n = len(jax.tree.leaves(data)[0]) // 3
    return [jax.tree.map(lambda a, k=k: a[k * n : (k + 1) * n], data) for k in range(3)]


def folded(name, x, y, weights=None):
    """Return a fold's answer of three chunks."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if weights is None:
        return jf.fold(made(name), chunks(elements(name, x, y)))
    weighted = made(name, weights=stats.Frequency)
    return jf.fold(weighted, chunks(elements(name, x, y, jnp.asarray(weights))))


def right_of(name, x, y, weights=None):
    """Return a fold's answer by definition."""
    x = np.asarray(x)
    if name == "sample":  # in three chunks as in one
        return [np.asarray(leaf) for leaf in jax.tree.leaves(of_fold("sample")(x, x))]
    x, y, weights = (
        v if v is None else np.asarray(v)[-LATEST.get(name, 0) :] for v in (x, y, weights)
    )
    kept = x if weights is None else np.repeat(x, np.asarray(weights, int))
    if name == "ema":
        return [exact("ema", x, y, weights)[0][-1]]
    if name == "count":
        return [np.array(len(kept))]
    if name in ("minimum", "maximum"):
        return [np.float64(kept.min() if name == "minimum" else kept.max())]
    if name == "moments":
        return [exact(k, x, y, weights)[0] for k in ("mean", "var")]
    if name == "pca":
        (matrix,), rows = exact("cov_matrix", x, y, weights), x.reshape(-1, 4)
        values, vectors = (v[..., ::-1] for v in np.linalg.eigh(matrix))
        vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0))
        mean = [exact("mean", column, y)[0] for column in rows.T]
        return [np.array(mean), vectors.T, values, values / values.sum(), np.array(0.0)]
    if name in REDUCED:
        return [np.asarray(REDUCED[name](kept))]
    if name == "histogram":
        return list(np.histogram(np.float64(kept), 8, (0.0, 6.0)))
    return exact(STATISTIC.get(name, name), x, y, weights)


def test_no_name_is_missing():
    assert set(MAKERS) == set(FOLDS)  # whose names `public_cases` checks


@each
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint64"])
def test_an_answer_has_the_datas_type(name, dtype):
    like = jax.ShapeDtypeStruct((N,), dtype)
    fold = made(name)
    found = jax.eval_shape(lambda x, y: jf.fold(fold, elements(name, x, y)), like, like)
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(found)}
    wide = {dtype if "float" in dtype else "float64"}
    known = {
        "count": {"int64"},
        "histogram": {"int64"} | wide,
        "describe": {"int64", dtype} | wide,
        "sketch": {"uint32", "uint8", "int32", dtype} | wide,
        "distinct": {"float64"},
        "sample": {dtype, "bool"},
        "linear_fit": {"int32"} | wide,
        **dict.fromkeys(("minimum", "maximum", "minmax", "first", "last", "top_k"), {dtype}),
        **dict.fromkeys(("any", "all"), {"bool"}),
        **dict.fromkeys(("argmin", "argmax"), {"int64"}),
    }
    assert kinds == known.get(name, wide)


@pytest.mark.parametrize("name", sorted(set(FOLDS) - NEAR))
def test_chunks_are_the_whole_to_the_digits_of_float64(name):
    x, y = draw(mean=3.0 if name == "histogram" else 1000.0)
    close(folded(name, x, y), right_of(name, x, y), 4 * N, atol=4 * N * EPS)


@pytest.mark.parametrize("name", sorted(WITHIN))
def test_sketches_are_within_their_bound(name):
    x, y = draw()
    q = {"median": [0.5], "iqr": [0.25, 0.75]}.get(name, [0.1])
    ends = [float(quantile(fractions(x), v)) for v in q]
    fine = MAKERS[name](accuracy=2.0**-8)
    found = jf.fold(fine, chunks(elements(name, jnp.asarray(x), jnp.asarray(y))))
    found = found.quantile(0.1) if name == "sketch" else found
    assert found.dtype == jnp.float64
    right = ends[-1] - ends[0] if name == "iqr" else ends[0]
    assert abs(float(found) - right) <= 2.0**-8 * sum(ends)


POWER = {
    "mean": 1,
    "var": 2,
    "std": 1,
    "sem": 1,
    "cov": 2,
    "corr": 0,
    "skew": 0,
    "kurtosis": 0,
}
POWER |= {"maximum": 1, "minimum": 1, "minmax": 1, "moment": 3, "ema": 1, "grouped": 2}
POWER |= {"corr_matrix": 0, "cov_matrix": 2}


@pytest.mark.parametrize("name", POWER)
def test_a_scale_of_the_data_changes_no_bit(name):
    x, y = whole()
    base = leaves(folded(name, x, y))
    for far in (600, -600):
        found = leaves(folded(name, x * 2.0**far, y * 2.0**far))
        for a, b in zip(found, base, strict=True):
            with np.errstate(over="ignore", under="ignore"):
                right = np.ldexp(b, POWER[name] * far)
            right = np.where(np.abs(right) < np.finfo(np.float64).tiny, 0, right)
            np.testing.assert_array_equal(a, right, err_msg=f"2**{far}")


@pytest.mark.parametrize("name", POWER)
def test_a_constant_and_a_shift(name):
    x, y = whole()
    one = np.full(N, 0.1)
    constant = {0: np.nan, 1: 0.1, 2: 0.0, 3: 0.0}[POWER[name]]
    constant = 0.0 if name in ("std", "sem") else constant
    if name != "corr_matrix":  # 1 on its diagonal, or nan: as the array's
        for leaf in leaves(folded(name, one, one)):
            np.testing.assert_array_equal(leaf, np.full(leaf.shape, constant))
    moved, base = leaves(folded(name, x + 2.0**20, y + 2.0**20)), leaves(folded(name, x, y))
    by = 2.0**20 if constant == 0.1 else 0.0
    for a, b in zip(moved, base, strict=True):
        np.testing.assert_allclose(a, b + by, rtol=8 * EPS, atol=8 * EPS)


@pytest.mark.parametrize("name", sorted(set(FOLDS) - NEAR))
def test_integers_beyond_63_bits(name):
    rng = np.random.default_rng(1)
    x = np.uint64(3 * 2**62) + rng.integers(0, 1000, N).astype(np.uint64)
    y = x - rng.integers(1, 900, N).astype(np.uint64)
    found, right = leaves(folded(name, x, y)), right_of(name, x, y)
    if name in ("maximum", "minimum", "minmax"):
        ends = {"maximum": [x.max()], "minimum": [x.min()], "minmax": [x.min(), x.max()]}
        assert [int(v) for v in found] == [int(v) for v in ends[name]]
    else:  # a lag's terms cancel, and are as large as those of lag 0
        scale = np.max(np.abs(right[0])) if name == "autocov" else 1
        close(found, right, 4 * N, atol=4 * N * EPS * scale)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weight_is_a_repetition_and_0_hides_everything(name):
    x, y = draw(mean=3.0)
    weights = np.random.default_rng(2).integers(0, 4, N)
    found = folded(name, x, y, weights)
    right = [] if name in WITHIN else right_of(name, x, y, weights)
    if name == "histogram":  # the sum of weights, a float
        assert leaves(found)[0].dtype == np.float64
    if name in WITHIN:
        assert_same(found, jf.fold(made(name), jnp.asarray(np.repeat(x, weights))))
    else:
        close(found, right, 4 * N, atol=4 * N * EPS)
    bad = np.where(weights == 0, np.resize([np.nan, np.inf], N), 0)
    assert_same(folded(name, x + bad, y + bad, weights), found)


@pytest.mark.parametrize("name", sorted(set(FOLDS) - NO_GRADIENT))
def test_gradients_are_differences_and_lanes_are_loops(name):
    x, y = draw(5, mean=3.0)
    dx, dy = np.random.default_rng(3).normal(size=(2, N))
    step, fold = 2.0**-17, made(name)
    pairs = [(x, y), (x + step * dx, y + step * dy), (x - step * dx, y - step * dy)]

    def run(x, y):
        found = jf.fold(fold, elements(name, x, y))
        floats = [v for v in jax.tree.leaves(found) if jnp.issubdtype(v.dtype, jnp.inexact)]
        return sum(jnp.sum(leaf) for leaf in floats), found

    slopes = jax.jit(jax.vmap(jax.value_and_grad(run, (0, 1), has_aux=True)))
    columns = (jnp.asarray(np.stack(column)) for column in zip(*pairs, strict=True))
    (totals, found), gradients = slopes(*columns)
    close(lane(found, 0), right_of(name, x, y), 4 * N, atol=4 * N * EPS)
    gradients = [np.asarray(g[0]) for g in gradients]
    assert all(np.isfinite(g).all() for g in gradients)
    moved = sum(np.sum(g * d) for g, d in zip(gradients, (dx, dy), strict=True))
    np.testing.assert_allclose(moved, (totals[1] - totals[2]) / (2 * step), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", sorted(COMBINED))
def test_what_is_made_of_folds(name):
    x = jnp.asarray(draw(mean=3.0)[0])
    parts, whole = jf.fold(COMBINED[name], chunks(x)), jf.fold(COMBINED[name], x)
    assert {leaf.dtype.name for leaf in leaves(parts)} == {"float64"}
    close(parts, leaves(whole), N)
    if name == "combine":
        close([parts["mean"], parts["var"]], [exact(k, x, x)[0] for k in ("mean", "var")], N)


def test_counts_are_int64_beyond_2_to_32():
    f = folds.count()
    memory = f.block(jnp.zeros(2**14))
    for _ in range(20):
        memory = f.merge(memory, memory)
    found = f.extract(memory)
    assert isinstance(found, jax.Array) and found.dtype == jnp.int64 and int(found) == 2**34
    assert repr(int(found)) == "17179869184" and (found + 1).tolist() == 2**34 + 1
    for g in (folds.describe(), folds.histogram([-1.0, 0.5, 2.0]), folds.sketch()):
        memory = g.block(jnp.arange(2.0))
        for _ in range(33):
            memory = g.merge(memory, memory)
        answer = g.extract(memory)
        count = answer[0].sum() if isinstance(answer, tuple) else answer.count
        assert int(count) == 2**34


@pytest.mark.parametrize("x", [np.random.default_rng(0).normal(size=60), np.arange(60)])
def test_a_sketch_of_64_bits_is_exact_in_five_passes(x):
    x = jnp.asarray(x)
    near = jf.fold(folds.sketch(accuracy=2.0**-8), x)
    right = stats.quantile(x, 0.25)
    assert abs(near.quantile(0.25) - right) <= 2.0**-8 * abs(right)
    for _ in range(3):
        near = jf.fold(folds.narrow(0.25, within=near), x)
    assert jf.fold(folds.quantile(0.25, within=near), x) == right


def test_a_span_larger_than_any_number():
    huge = 0.9 * np.finfo(np.float64).max
    near = jf.fold(folds.quantile([0.25, 0.5, 0.75]), np.array([-huge, huge]))
    np.testing.assert_allclose(near, [-huge / 2, 0, huge / 2], atol=2**-8 * huge)
